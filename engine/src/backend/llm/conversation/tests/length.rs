//! Conversations that grow too long, and prefixes that siblings share.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::server::{Reply, Server, say};
use super::tools::{NoTools, Odd};
use super::*;
use crate::backend::llm::conversation::StopKind;

/// A model that calls `long` until it was asked so often for another answer, and summarises when it is asked to.
fn diligent(
    turns: usize,
    is_summary_told: &'static AtomicUsize,
) -> impl Fn(usize, &Value) -> Reply + Send + Sync {
    let asked = AtomicUsize::new(0);
    move |_, body| {
        if body
            .to_string()
            .contains("You write the notes that an agent goes on with")
        {
            is_summary_told.fetch_add(1, Ordering::SeqCst);
            return say("I read a lot.").input(9, 0).into();
        }
        let tokens = body.to_string().len() as u64 / 4;
        if asked.fetch_add(1, Ordering::SeqCst) < turns {
            return say("")
                .call("long", &json!({"path": "a"}))
                .input(tokens, 0)
                .into();
        }
        say("done").input(tokens, 0).into()
    }
}

/// No call of a request is without its answer, and no answer without its call.
fn pairs(body: &Value) -> (Vec<Value>, Vec<Value>) {
    let (mut calls, mut answers) = (Vec::new(), Vec::new());
    for message in body["messages"].as_array().into_iter().flatten() {
        for part in message["content"].as_array().into_iter().flatten() {
            calls.extend(part.get("input").map(|_| part["id"].clone()));
            answers.extend(part.get("tool_use_id").cloned());
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            calls.push(call["id"].clone());
        }
        answers.extend(message.get("tool_call_id").cloned());
    }
    (calls, answers)
}

#[tokio::test]
async fn a_long_conversation_is_compacted_and_goes_on() {
    static SUMMARIES: AtomicUsize = AtomicUsize::new(0);
    for wire in WIRES {
        // An answer of `long` is 5,000 tokens, so three of them are more than half of this window.
        let mut task = job("Read it all.");
        task.context_window = 30_000;
        let server = Server::start(wire, diligent(12, &SUMMARIES)).await;
        let (end, log) = Bed::new()
            .work(&server.endpoint(), &task, &Odd::new())
            .await;
        let done = finished((end, log.clone()));
        assert_eq!((done.text.as_str(), done.turns), ("done", 13));
        let compactions = log.iter().filter(|line| *line == "compacted").count();
        assert!((1..6).contains(&compactions), "{log:?}");
        assert!(SUMMARIES.swap(0, Ordering::SeqCst) >= 1);
        for body in server.bodies() {
            assert!(
                body.to_string().len() / 4 < 30_000,
                "no request is longer than the window"
            );
            let (calls, answers) = pairs(&body);
            assert_eq!(calls, answers);
        }
        let last = told(&server.bodies()[server.seen().len() - 1]).join("\n");
        assert!(
            last.contains("Read it all.") && last.contains("I read a lot."),
            "{last}"
        );
    }
}

#[tokio::test]
async fn a_provider_that_finds_it_too_long_is_believed() {
    static SUMMARIES: AtomicUsize = AtomicUsize::new(0);
    for wire in WIRES {
        let work = diligent(5, &SUMMARIES);
        let server = Server::start(wire, move |number, body| {
            if body.to_string().len() > 50_000 {
                let error = json!({"error": {"code": "context_length_exceeded", "message": "prompt is too long"}});
                return Reply::Refuse(400, &[], error);
            }
            work(number, body)
        })
        .await;
        let (end, log) = Bed::new()
            .work(&server.endpoint(), &job("Read."), &Odd::new())
            .await;
        assert!(log.contains(&"compacted".to_owned()));
        assert_eq!(finished((end, log)).text, "done");
        assert!(SUMMARIES.swap(0, Ordering::SeqCst) >= 1);
    }
}

#[tokio::test]
async fn a_task_that_is_too_long_by_itself_stops() {
    let server = Server::start(Wire::Anthropic, |_, _| {
        Reply::Refuse(
            400,
            &[],
            json!({"error": {"message": "prompt is too long: 9 tokens > 8 maximum"}}),
        )
    })
    .await;
    let end = stopped(
        Bed::new()
            .work(&server.endpoint(), &job("Read."), &NoTools)
            .await,
    );
    assert_eq!(
        (end.kind, server.seen().len()),
        (StopKind::ContextTooLong, 1)
    );
}

#[tokio::test]
async fn anthropic_is_told_what_to_cache() {
    let replies = vec![
        say("").call("alone", &json!({})).into(),
        say("").call("alone", &json!({})).into(),
        say("done").into(),
    ];
    let server = Server::list(Wire::Anthropic, replies).await;
    finished(
        Bed::new()
            .work(&server.endpoint(), &job("Go."), &Odd::new())
            .await,
    );
    let mark = json!({"type": "ephemeral"});
    for (turn, body) in server.bodies().iter().enumerate() {
        let marks = body.to_string().matches("cache_control").count();
        assert_eq!(marks, if turn == 0 { 3 } else { 4 }, "{body}");
        assert_eq!(body["system"][0]["cache_control"], mark);
        assert_eq!(body["tools"][4]["cache_control"], mark);
        let messages = body["messages"].as_array().map_or(0, Vec::len);
        assert_eq!(
            body["messages"][messages - 1]["content"][0]["cache_control"],
            mark
        );
    }
}

#[tokio::test]
async fn the_first_sibling_goes_ahead() {
    let server = Server::start(Wire::Anthropic, |number, _| match number {
        0 => Reply::Hold(say("done")),
        _ => say("done").into(),
    })
    .await;
    let bed = Bed::new();
    let (endpoint, mut task) = (server.endpoint(), job("Go."));
    task.system_prompt = Some("Mind this. ".repeat(600));
    let siblings =
        futures_util::future::join_all((0..4).map(|_| bed.work(&endpoint, &task, &NoTools)));
    let watching = async {
        server.asked(1).await;
        // Whoever does not wait at the gate has sent its request by now: nothing else is in its way.
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        assert_eq!(server.seen().len(), 1, "the others wait");
        server.release();
    };
    let (ends, ()) = tokio::join!(siblings, watching);
    assert!(ends.into_iter().all(|end| finished(end).text == "done"));
    assert_eq!(server.seen().len(), 4);

    // A short prefix is nothing to wait for.
    let server = Server::start(Wire::Anthropic, |_, _| Reply::Hold(say("done"))).await;
    let (endpoint, task) = (server.endpoint(), job("Go."));
    let siblings =
        futures_util::future::join_all((0..4).map(|_| bed.work(&endpoint, &task, &NoTools)));
    let watching = async {
        server.asked(4).await;
        server.release();
    };
    let (ends, ()) = tokio::join!(siblings, watching);
    assert!(ends.into_iter().all(|end| finished(end).text == "done"));
}

#[tokio::test]
async fn the_others_wait_for_the_first_byte_only() {
    let server = Server::start(Wire::Anthropic, |number, _| match number {
        0 => Reply::Stall("Let me"),
        _ => say("done").into(),
    })
    .await;
    // Nobody loses patience here.
    let bed = Bed::with(|pace| pace.sibling = Duration::from_hours(1));
    let (endpoint, mut task) = (server.endpoint(), job("Go."));
    task.system_prompt = Some("Mind this. ".repeat(600));
    let first = bed.work(&endpoint, &task, &NoTools);
    let others = async {
        server.asked(1).await;
        futures_util::future::join_all((0..3).map(|_| bed.work(&endpoint, &task, &NoTools))).await
    };
    tokio::select! {
        end = first => panic!("{end:?}"),
        ends = others => assert!(ends.into_iter().all(|end| finished(end).text == "done")),
    }
    server.dropped(1).await;
}
