//! Calls that do not come to their end: cut from either side, revoked, shut down.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::FutureExt;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::super::{CallFailureKind, CallOutcome};
use super::{Fake, Stand, events, json, listen, lock, provider, send, tokens, within, written};

const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\n";
const DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"nine char\"}}\n\n";
const REST: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":99}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const REQUEST: &str = r#"{"model":"fake-1","max_tokens":100,"stream":true}"#;

/// A provider whose one stream the test writes.
async fn hand_written() -> (Fake, mpsc::Sender<Bytes>) {
    let (sender, receiver) = mpsc::channel(1);
    let receiver = Mutex::new(Some(receiver));
    let fake = Fake::start(move |_| match lock(&receiver).take() {
        Some(receiver) => written(receiver),
        None => json("{}"),
    })
    .await;
    (fake, sender)
}

async fn write(sender: &mpsc::Sender<Bytes>, text: &'static str) {
    let sent = within(sender.send(Bytes::from_static(text.as_bytes()))).await;
    sent.unwrap_or_else(|error| panic!("{error}"));
}

/// Reads until all of a text has come.
async fn expect(response: &mut reqwest::Response, text: &str) {
    let mut read = Vec::new();
    while read.len() < text.len() {
        match within(response.chunk()).await {
            Ok(Some(chunk)) => read.extend_from_slice(&chunk),
            other => panic!("{other:?} after {read:?}"),
        }
    }
    assert_eq!(String::from_utf8_lossy(&read), text);
}

#[tokio::test]
async fn an_agent_that_leaves_is_counted_and_the_provider_is_let_go_of() {
    let (fake, sender) = hand_written().await;
    let mut stand = Stand::new(fake.provider()).await;
    let mut response = send(stand.post("/v1/messages", REQUEST)).await;
    write(&sender, START).await;
    write(&sender, DELTA).await;
    expect(&mut response, &[START, DELTA].concat()).await;

    drop(response);

    let end = stand.end().await;
    assert_eq!(end.outcome, CallOutcome::CutByAgent);
    assert_eq!(
        (end.tokens, end.is_exact),
        (Some(tokens(10, 3, 0, 0, 0)), false)
    );
    // The provider's stream is dropped although nothing was written to it any more.
    within(sender.closed()).await;
    stand.nothing_else();
}

#[tokio::test]
async fn an_agent_that_leaves_after_the_end_was_answered() {
    let (fake, sender) = hand_written().await;
    let mut stand = Stand::new(fake.provider()).await;
    let mut response = send(stand.post("/v1/messages", REQUEST)).await;
    write(&sender, START).await;
    write(&sender, REST).await;
    expect(&mut response, &[START, REST].concat()).await;
    // Told before the agent was, though the provider has not closed its stream.
    let end = stand.ends.try_recv().map(|(_, end)| end);
    let end = end.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(end.outcome, CallOutcome::Answered);
    assert_eq!(
        (end.tokens, end.is_exact),
        (Some(tokens(10, 99, 0, 0, 0)), true)
    );
    drop(response);
    within(sender.closed()).await;
    stand.nothing_else();
}

#[tokio::test]
async fn an_agent_that_leaves_before_there_is_an_answer() {
    let listener = listen().await;
    let address = listener
        .local_addr()
        .unwrap_or_else(|error| panic!("{error}"));
    let mut stand = Stand::new(provider(&format!("http://{address}"))).await;
    let request = stand.post("/v1/messages", REQUEST);
    let call = tokio::spawn(request.send());
    let (mut silent, _) = within(listener.accept())
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let mut buffer = [0; 4096];
    within(silent.read(&mut buffer))
        .await
        .unwrap_or_else(|error| panic!("{error}"));

    call.abort();

    let end = stand.end().await;
    assert_eq!(
        (end.outcome, end.tokens, end.is_exact),
        (CallOutcome::CutByAgent, None, false)
    );
    // The provider sees its connection end.
    while within(silent.read(&mut buffer))
        .await
        .is_ok_and(|read| read > 0)
    {}
    stand.nothing_else();
}

#[tokio::test]
async fn a_provider_that_breaks_off_never_looks_like_an_end() {
    let listener = listen().await;
    let address = listener
        .local_addr()
        .unwrap_or_else(|error| panic!("{error}"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await;
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            let piece = format!("{head}{:x}\r\n{START}\r\n", START.len());
            let wrote = stream.write_all(piece.as_bytes()).await;
            assert!(read.is_ok() && wrote.is_ok());
        }
    });
    let mut stand = Stand::new(provider(&format!("http://{address}"))).await;
    let response = send(stand.post("/v1/messages", REQUEST)).await;
    assert!(within(response.bytes()).await.is_err());
    let end = stand.end().await;
    let CallOutcome::Failed(failure) = end.outcome else {
        panic!("{:?}", end.outcome)
    };
    assert_eq!(
        (failure.status, failure.kind),
        (Some(200), CallFailureKind::Transport)
    );
    assert_eq!(
        (end.tokens, end.is_exact),
        (Some(tokens(10, 1, 0, 0, 0)), false)
    );
    stand.nothing_else();
}

#[tokio::test]
async fn errors_within_a_stream_are_failures() {
    for (path, text, kind) in [
        (
            "/v1/messages",
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n",
            CallFailureKind::Overloaded,
        ),
        (
            "/v1/responses",
            "data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"x\"}}}\n\n",
            CallFailureKind::RateLimit,
        ),
        (
            "/v1/chat/completions",
            "data: {\"error\":{\"message\":\"x\",\"code\":\"insufficient_quota\"}}\n\n",
            CallFailureKind::Quota,
        ),
        // It ends cleanly, and too early.
        ("/v1/messages", START, CallFailureKind::Transport),
    ] {
        let fake = Fake::start(move |_| events(text)).await;
        let mut stand = Stand::new(fake.provider()).await;
        let response = send(stand.post(path, REQUEST)).await;
        assert_eq!(super::body(response).await, text);
        let CallOutcome::Failed(failure) = stand.end().await.outcome else {
            panic!("{text}")
        };
        assert_eq!((failure.status, failure.kind), (Some(200), kind), "{text}");
        stand.nothing_else();
    }
}

#[tokio::test]
async fn a_revoked_pass_cuts_its_streams_off_and_no_others() {
    let (fake, sender) = hand_written().await;
    let mut stand = Stand::new(fake.provider()).await;
    let other = stand.gateway.open(stand.ledger.clone(), None);
    let other = other.unwrap_or_else(|error| panic!("{error}"));
    let mut response = send(stand.post("/v1/messages", REQUEST)).await;
    write(&sender, START).await;
    expect(&mut response, START).await;

    let pass = std::mem::replace(&mut stand.pass, other);
    let key = pass.key().to_owned();
    within(pass.close()).await;

    // Settled when it is closed.
    let end = stand.ends.try_recv().map(|(_, end)| end);
    let end = end.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(end.outcome, CallOutcome::CutOff);
    assert_eq!(
        (end.tokens, end.is_exact),
        (Some(tokens(10, 1, 0, 0, 0)), false)
    );
    assert!(within(response.chunk()).await.is_err());
    within(sender.closed()).await;
    let late = stand
        .agent
        .post(stand.url("/v1/messages"))
        .bearer_auth(key)
        .body(REQUEST);
    assert_eq!(send(late).await.status(), StatusCode::UNAUTHORIZED);
    let others = send(stand.post("/v1/messages", REQUEST)).await;
    assert_eq!(others.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_revoked_pass_cuts_off_an_agent_that_does_not_read() {
    let fake = Fake::start(|_| super::flow::endless()).await;
    let mut stand = Stand::new(fake.provider()).await;
    let mut deaf = connect(&stand).await;
    let mut first = [0; 1];
    within(deaf.read_exact(&mut first))
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    stand.pass.revoke();
    assert_eq!(stand.end().await.outcome, CallOutcome::CutOff);
    stand.nothing_else();
}

/// Sends a call by hand and reads nothing.
pub(super) async fn connect(stand: &Stand) -> TcpStream {
    let stream = TcpStream::connect(stand.gateway.address()).await;
    let mut stream = stream.unwrap_or_else(|error| panic!("{error}"));
    let call = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: {}\r\ncontent-length: {}\r\n\r\n{REQUEST}",
        stand.pass.key(),
        REQUEST.len()
    );
    stream
        .write_all(call.as_bytes())
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    stream
}

#[tokio::test]
async fn a_call_that_waits_for_admission_is_dropped_and_not_settled() {
    let (asked, mut asks) = mpsc::unbounded_channel();
    let fake = Fake::start(|_| json("{}")).await;
    let mut stand = Stand::deciding(fake.provider(), move |_| {
        let guard = Arc::new(());
        asked
            .send(Arc::downgrade(&guard))
            .unwrap_or_else(|error| panic!("{error}"));
        async move {
            let refused = futures_util::future::pending().await;
            drop(guard);
            refused
        }
        .boxed()
    })
    .await;
    for leaves in [true, false] {
        let call = tokio::spawn(stand.post("/v1/messages", REQUEST).send());
        let Some(guard) = within(asks.recv()).await else {
            panic!("nobody asked")
        };
        assert!(guard.upgrade().is_some());
        if leaves {
            call.abort();
            while guard.upgrade().is_some() {
                tokio::task::yield_now().await;
            }
        } else {
            let fresh = stand.gateway.open(stand.ledger.clone(), None);
            let fresh = fresh.unwrap_or_else(|error| panic!("{error}"));
            within(std::mem::replace(&mut stand.pass, fresh).close()).await;
            assert!(guard.upgrade().is_none());
            let result = within(call).await.unwrap_or_else(|error| panic!("{error}"));
            assert!(result.is_err());
        }
    }
    stand.nothing_else();
    assert!(fake.received().is_empty());
}

#[tokio::test]
async fn a_shutdown_settles_everything() {
    let (fake, sender) = hand_written().await;
    let Stand {
        gateway,
        pass,
        mut ends,
        agent,
        ledger,
    } = Stand::new(fake.provider()).await;
    let url = format!("http://{}/v1/messages", gateway.address());
    let request = agent.post(&url).bearer_auth(pass.key()).body(REQUEST);
    let mut response = send(request.try_clone().unwrap_or_else(|| panic!("it is plain"))).await;
    write(&sender, START).await;
    expect(&mut response, START).await;

    within(gateway.shutdown()).await;

    let end = ends.try_recv().map(|(_, end)| end.outcome);
    assert_eq!(end, Ok(CallOutcome::CutOff));
    assert!(
        within(request.send())
            .await
            .is_err_and(|error| error.is_connect())
    );
    drop(ledger);
}
