//! What goes wrong on the way to the model.

use std::time::Duration;

use serde_json::json;

use super::server::{Reply, Server, say};
use super::tools::{NoTools, Odd};
use super::*;
use crate::backend::llm::conversation::StopKind;

fn overloaded() -> Reply {
    Reply::Refuse(
        529,
        &[],
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    )
}

fn limited(headers: &'static [(&'static str, &'static str)]) -> Reply {
    Reply::Refuse(
        429,
        headers,
        json!({"error": {"type": "rate_limit_error", "message": "slow down"}}),
    )
}

#[tokio::test]
async fn what_can_pass_is_tried_again() {
    for wire in WIRES {
        let server = Server::list(
            wire,
            vec![
                limited(&[("retry-after", "7")]),
                overloaded(),
                Reply::Break("Par"),
                say("whole").into(),
            ],
        )
        .await;
        let bed = Bed::new();
        let (end, log) = bed.work(&server.endpoint(), &job("Go."), &NoTools).await;
        assert_eq!(
            log,
            [
                "turn 1",
                "again RateLimit 8s",
                "again Overloaded 2s",
                "\"Par",
                "again Transport 4s",
                "\"whole",
            ],
            "{wire:?}"
        );
        // What the broken stream had brought is not in the answer.
        let done = finished((end, log));
        assert_eq!((done.text.as_str(), done.turns), ("whole", 1));
        assert_eq!(bed.slept(), [8, 2, 4].map(Duration::from_secs));
        let bodies = server.bodies();
        assert!(
            bodies.iter().all(|body| *body == bodies[0]),
            "it is the same request each time"
        );
    }
}

#[tokio::test]
async fn a_stream_without_its_end_is_no_answer() {
    for wire in WIRES {
        let server = Server::list(wire, vec![Reply::Leave("Par"), say("whole").into()]).await;
        let (end, log) = Bed::new()
            .work(&server.endpoint(), &job("Go."), &NoTools)
            .await;
        assert_eq!(log, ["turn 1", "\"Par", "again Transport 1s", "\"whole"]);
        assert_eq!(finished((end, log)).text, "whole");
    }
}

#[tokio::test]
async fn retries_end() {
    let server = Server::start(Wire::Anthropic, |_, _| overloaded()).await;
    let end = stopped(
        Bed::new()
            .work(&server.endpoint(), &job("Go."), &NoTools)
            .await,
    );
    assert_eq!((end.kind, server.seen().len()), (StopKind::Transport, 5));
    assert_eq!(end.message, "HTTP 529: Overloaded");

    let server = Server::start(Wire::OpenAiChat, |_, _| limited(&[("retry-after", "90")])).await;
    let end = stopped(
        Bed::new()
            .work(&server.endpoint(), &job("Go."), &NoTools)
            .await,
    );
    assert_eq!((end.kind, server.seen().len()), (StopKind::RateLimit, 1));
    assert_eq!(end.retry_after, Some(Duration::from_secs(90)));
}

#[tokio::test]
async fn what_cannot_pass_is_not_tried_again() {
    for (status, body, kind) in [
        (
            402,
            json!({"error": {"message": "The budget of this agent is spent."}}),
            StopKind::BudgetUsedUp,
        ),
        (
            403,
            json!({"error": {"message": "This attempt may not use it."}}),
            StopKind::Denied,
        ),
        (
            401,
            json!({"error": {"message": "invalid x-api-key"}}),
            StopKind::Denied,
        ),
        (
            429,
            json!({"error": {"code": "insufficient_quota", "message": "no credit"}}),
            StopKind::Quota,
        ),
        (
            400,
            json!({"error": {"code": "content_filter", "message": "no"}}),
            StopKind::Refused,
        ),
        (
            404,
            json!({"error": {"message": "no such model"}}),
            StopKind::Other,
        ),
    ] {
        for wire in WIRES {
            let refusal = body.clone();
            let server = Server::start(wire, move |number, _| {
                if number == 0 {
                    return say("first").call("alone", &json!({})).into();
                }
                Reply::Refuse(status, &[("retry-after", "1")], refusal.clone())
            })
            .await;
            let mut endpoint = server.endpoint();
            endpoint.native_schema = super::super::NativeSchema::Never;
            let bed = Bed::new();
            let end = stopped(bed.work(&endpoint, &job("Go."), &Odd::new()).await);
            assert_eq!(end.kind, kind, "{status} {wire:?}");
            assert_eq!(bed.slept(), []);
            // What it had come to is told all the same.
            assert_eq!(
                (end.last_text.as_deref(), end.tokens.output),
                (Some("first"), 5)
            );
        }
    }
}

#[tokio::test]
async fn nobody_at_the_address() {
    let server = Server::list(Wire::Anthropic, vec![]).await;
    let mut endpoint = server.endpoint();
    endpoint.base_url = "http://127.0.0.1:1".into();
    let bed = Bed::new();
    let end = stopped(bed.work(&endpoint, &job("Go."), &NoTools).await);
    assert_eq!((end.kind, bed.slept().len()), (StopKind::Transport, 4));
    assert!(end.message.contains("onnect"), "{}", end.message);
}

#[tokio::test]
async fn silence_is_a_fault() {
    for wire in WIRES {
        let server = Server::start(wire, |number, _| match number {
            0 => Reply::Stall("Let me"),
            _ => say("here").into(),
        })
        .await;
        let bed = Bed::with(|pace| pace.silence = Duration::from_millis(100));
        let (end, log) = bed.work(&server.endpoint(), &job("Go."), &NoTools).await;
        assert_eq!(log, ["turn 1", "\"Let me", "again Timeout 1s", "\"here"]);
        assert_eq!(finished((end, log)).text, "here");
        server.dropped(1).await;
    }
    let server = Server::start(Wire::Anthropic, |_, _| Reply::Stall("Let me")).await;
    let bed = Bed::with(|pace| pace.silence = Duration::from_millis(50));
    let end = stopped(bed.work(&server.endpoint(), &job("Go."), &NoTools).await);
    assert_eq!((end.kind, server.seen().len()), (StopKind::Timeout, 3));
}

#[tokio::test]
async fn a_refusal_within_an_answer() {
    for wire in WIRES {
        let server = Server::list(wire, vec![say("I will not").refused().into()]).await;
        let end = stopped(
            Bed::new()
                .work(&server.endpoint(), &job("Go."), &NoTools)
                .await,
        );
        assert_eq!(
            (end.kind, end.last_text.as_deref()),
            (StopKind::Refused, Some("I will not"))
        );
    }
}

#[tokio::test]
async fn what_a_model_does_not_take_is_left_out() {
    let refuse = |message: &str| Reply::Refuse(400, &[], json!({"error": {"message": message}}));
    let server = Server::start(
        Wire::OpenAiChat,
        move |_, body| match body["reasoning_effort"].as_str() {
            Some("max" | "xhigh") => refuse("Unsupported value: 'reasoning_effort'"),
            _ => say("done").into(),
        },
    )
    .await;
    let mut task = job("Go.");
    task.effort = super::super::Effort::named("max");
    let bed = Bed::new();
    finished(bed.work(&server.endpoint(), &task, &NoTools).await);
    finished(bed.work(&server.endpoint(), &task, &NoTools).await);
    let efforts: Vec<Value> = server
        .bodies()
        .iter()
        .map(|body| body["reasoning_effort"].clone())
        .collect();
    assert_eq!(
        efforts,
        ["max", "xhigh", "high", "high"],
        "what one agent found is known to the next"
    );
}

#[tokio::test]
async fn a_models_name_stays_whole() {
    for wire in WIRES {
        let server = Server::list(wire, vec![say("done").into()]).await;
        let mut endpoint = server.endpoint();
        endpoint.model = "mistral-medium".into();
        finished(Bed::new().work(&endpoint, &job("Go."), &NoTools).await);
        let body = &server.bodies()[0];
        assert_eq!(body["model"], "mistral-medium");
        assert!(
            body.get("reasoning_effort").is_none() && body.get("thinking").is_none(),
            "{body}"
        );
    }
}
