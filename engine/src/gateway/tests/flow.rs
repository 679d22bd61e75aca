//! How answers flow: back-pressure, trickles, many at once.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::super::{CallOutcome, Tokens};
use super::{Fake, Stand, answer, body, cuts, events, send, tokens, within, written};

const PIECE_BYTES: usize = 64 * 1024;

/// An event stream of 100 MB of comments, and how much of it has been asked for.
fn large(offered: Arc<AtomicUsize>) -> Response {
    let piece = Bytes::from(
        [
            ": ".to_owned(),
            "x".repeat(PIECE_BYTES - 4),
            "\n\n".to_owned(),
        ]
        .concat(),
    );
    let pieces = stream::iter(0..100_000_000 / PIECE_BYTES).map(move |_| {
        offered.fetch_add(PIECE_BYTES, Ordering::SeqCst);
        Ok::<_, Infallible>(piece.clone())
    });
    answer(200, "text/event-stream", Body::from_stream(pieces))
}

pub(super) fn endless() -> Response {
    large(Arc::default())
}

#[tokio::test]
async fn an_agent_that_does_not_read_stops_the_provider() {
    let offered = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let (counters, calls) = (offered.clone(), AtomicUsize::new(0));
    let fake =
        Fake::start(move |_| large(counters[calls.fetch_add(1, Ordering::SeqCst)].clone())).await;
    let mut stand = Stand::new(fake.provider()).await;
    let mut deaf = cuts::connect(&stand).await;
    let mut first = [0; 1];
    within(deaf.read_exact(&mut first))
        .await
        .unwrap_or_else(|error| panic!("{error}"));

    // While another takes all of its answer, this one's could come as far.
    let request = r#"{"model":"fake-1","max_tokens":1,"stream":true}"#;
    let all = body(send(stand.post("/v1/messages", request)).await).await;

    let [unread, read] = offered.map(|offered| offered.load(Ordering::SeqCst));
    assert_eq!(all.len(), read);
    assert!(read > 99_000_000);
    // What the system buffers on four sockets, and a piece or two.
    assert!(
        unread < 32_000_000,
        "{unread} bytes were taken in although nobody reads"
    );
    stand.end().await;
    drop(deaf);
    assert_eq!(stand.end().await.outcome, CallOutcome::CutByAgent);
}

#[tokio::test]
async fn each_event_of_a_trickle_passes_at_once() {
    let (sender, receiver) = mpsc::channel(1);
    let receiver = std::sync::Mutex::new(Some(receiver));
    let fake = Fake::start(move |_| match super::lock(&receiver).take() {
        Some(receiver) => written(receiver),
        None => events(""),
    })
    .await;
    let stand = Stand::new(fake.provider()).await;
    // With events taken out, which are held back until they are whole.
    let request = r#"{"model":"fake-1","stream":true}"#;
    let mut response = send(stand.post("/v1/chat/completions", request)).await;
    for number in 0..20 {
        let event =
            format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{number}\"}}}}]}}\n\n");
        let (first, second) = event.split_at(number + 1);
        for part in [first, second] {
            let part = Bytes::copy_from_slice(part.as_bytes());
            within(sender.send(part))
                .await
                .unwrap_or_else(|error| panic!("{error}"));
        }
        // The next is written only when this one has come.
        let chunk = within(response.chunk())
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(chunk, Some(Bytes::from(event)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_streams_at_once_are_all_counted() {
    let fake = Fake::start(|sent| {
        let asked: serde_json::Value =
            serde_json::from_slice(&sent.body).unwrap_or_else(|error| panic!("{error}"));
        let number = asked["number"].as_u64().unwrap_or_default();
        let event = "data: {\"choices\":[{\"delta\":{\"content\":\"word \"}}]}\n\n".repeat(50);
        let usage = format!(
            "data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":{number},\"completion_tokens\":50}}}}\n\ndata: [DONE]\n\n"
        );
        let pieces: Vec<_> = [event, usage]
            .concat()
            .as_bytes()
            .chunks(97)
            .map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece)))
            .collect();
        answer(200, "text/event-stream", Body::from_stream(stream::iter(pieces)))
    })
    .await;
    let mut stand = Stand::new(fake.provider()).await;
    let calls = (0..100).map(|number| {
        let request = format!(r#"{{"model":"fake-1","stream":true,"number":{number}}}"#);
        let call = stand.post("/v1/chat/completions", request);
        async move { body(send(call).await).await }
    });
    let bodies = futures_util::future::join_all(calls).await;
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert!(bodies[0].ends_with(b"}\n\ndata: [DONE]\n\n"));
    let mut all = Tokens::default();
    for _ in 0..100 {
        let end = stand.end().await;
        assert!(end.is_exact);
        let one = end.tokens.unwrap_or_default();
        all = tokens(all.input + one.input, all.output + one.output, 0, 0, 0);
    }
    assert_eq!(all, tokens((0..100).sum(), 5_000, 0, 0, 0));
    stand.nothing_else();
}
