//! Work that is done: tools, turns, and what is told of it.

use std::fs;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::server::{Reply, Server, say};
use super::tools::{Folder, NoTools, Odd};
use super::*;
use crate::backend::llm::conversation::{StopKind, Tokens};

#[tokio::test]
async fn a_job_is_done_with_tools() -> std::io::Result<()> {
    for wire in WIRES {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("sum.txt"), "1 + 1 = 3")?;
        fs::write(
            folder.path().join("check.sh"),
            "grep -qx '1 + 1 = 2' sum.txt || { echo 'sum.txt is wrong'; exit 1; }; echo fine",
        )?;
        let edit = |old: &str, new: &str| json!({"path": "sum.txt", "old": old, "new": new});
        let server = Server::list(
            wire,
            vec![
                say("I look.")
                    .call("read", &json!({"path": "sum.txt"}))
                    .call("read", &json!({"path": "none"}))
                    .into(),
                say("")
                    .call("edit", &edit("3", "4"))
                    .call("run", &json!({}))
                    .into(),
                say("")
                    .call("edit", &edit("4", "2"))
                    .call("run", &json!({}))
                    .into(),
                say("{\"sum\":2}").input(50, 40).into(),
            ],
        )
        .await;
        let bed = Bed::new();
        let mut job = job("Put it right.");
        job.working_directory = folder.path().to_owned();
        job.schema = Some(
            json!({"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}),
        );
        let tools = Folder(folder.path().to_owned());
        let (end, mut log) = bed.work(&server.endpoint(), &job, &tools).await;
        // The two reads run together, so either may begin or end first.
        log[2..6].sort_unstable();
        assert_eq!(
            log,
            [
                "turn 1",
                "\"I look.",
                ")read",
                ")read!",
                "read(",
                "read(",
                "turn 2",
                "edit(",
                ")edit",
                "run(",
                ")run!",
                "turn 3",
                "edit(",
                ")edit",
                "run(",
                ")run",
                "turn 4",
                "\"{\"sum\":2}",
            ],
            "{wire:?}"
        );
        let done = finished((end, log));
        assert_eq!(
            (done.value.as_deref(), done.turns),
            (Some("{\"sum\":2}"), 4)
        );
        assert_eq!(
            done.tokens,
            Tokens {
                input: 80,
                output: 20,
                cached_read: 40,
                cache_written: 0,
                reasoning: 0
            }
        );
        assert_eq!(done.messages.len(), 8);
        assert_eq!(
            fs::read_to_string(folder.path().join("sum.txt"))?,
            "1 + 1 = 2"
        );

        let seen = server.seen();
        let path = if wire == Wire::Anthropic {
            "/v1/messages"
        } else {
            "/v1/chat/completions"
        };
        assert!(
            seen.iter()
                .all(|seen| seen.path == path && seen.key.ends_with("the-key"))
        );
        let last = told(&seen[3].body);
        let answers: Vec<&str> = last
            .iter()
            .filter_map(|line| {
                line.strip_prefix("user tool_result ")
                    .or(line.strip_prefix("tool text "))
            })
            .collect();
        assert_eq!(answers[0], "1 + 1 = 3");
        assert!(answers[1].starts_with("Error: No such file"), "{answers:?}");
        assert_eq!(
            answers[2..],
            ["edited", "Error: sum.txt is wrong\n", "edited", "fine\n"]
        );
        let names = |body: &Value| -> Vec<String> {
            let tools = body["tools"].as_array().cloned().unwrap_or_default();
            let name = |tool: &Value| {
                tool["name"]
                    .as_str()
                    .or(tool["function"]["name"].as_str())
                    .map(str::to_owned)
            };
            tools.iter().filter_map(name).collect()
        };
        assert_eq!(names(&seen[0].body), ["edit", "read", "run"]);
        assert!(
            seen.iter()
                .all(|one| one.body["system"] == seen[0].body["system"]
                    && one.body["tools"] == seen[0].body["tools"])
        );
    }
    Ok(())
}

#[tokio::test]
async fn broken_arguments_and_unknown_tools_go_back_to_the_model() {
    for wire in WIRES {
        let server = Server::list(
            wire,
            vec![
                say("")
                    .call_raw("alone", "{\"path\": \"a")
                    .call("fly", &json!({}))
                    .call_raw("alone", "")
                    .into(),
                say("done").into(),
            ],
        )
        .await;
        let done = finished(
            Bed::new()
                .work(&server.endpoint(), &job("Go."), &Odd::new())
                .await,
        );
        assert_eq!(done.text, "done");
        let body = &server.bodies()[1];
        let text = body.to_string();
        assert!(
            text.contains("Error: The arguments are no valid JSON")
                && text.contains("ended in: {\\\"path\\\": \\\"a"),
            "{text}"
        );
        assert!(
            text.contains(
                "Error: There is no tool `fly`. There are: alone, deaf, long, meet, wait."
            ),
            "{text}"
        );
        assert!(
            text.contains("alone with 0"),
            "no arguments are none: {text}"
        );
        if wire == Wire::Anthropic {
            // It takes no history with arguments that are no object.
            assert_eq!(
                body["messages"][1]["content"][0]["input"],
                json!({"not_json": "{\"path\": \"a"})
            );
        }
    }
}

#[tokio::test]
async fn neighbours_run_together_only_where_they_may() {
    // `meet` answers only if two of them are under way; `alone` tells if anything was beside it.
    let server = Server::list(
        Wire::Anthropic,
        vec![
            say("")
                .call("meet", &json!({}))
                .call("meet", &json!({}))
                .call("alone", &json!({}))
                .call("alone", &json!({}))
                .into(),
            say("done").into(),
        ],
    )
    .await;
    let (end, log) = Bed::new()
        .work(&server.endpoint(), &job("Go."), &Odd::new())
        .await;
    finished((end, Vec::new()));
    assert_eq!(
        log[1..9],
        [
            "meet(", "meet(", ")meet", ")meet", "alone(", ")alone", "alone(", ")alone"
        ]
    );
    let answers = told(&server.bodies()[1])[5..].join("|");
    assert_eq!(
        answers,
        "user tool_result met|user tool_result met|user tool_result alone with 0|user tool_result alone with 0"
    );
}

#[tokio::test]
async fn the_last_turn_is_told_so_and_has_no_tools() {
    for wire in WIRES {
        let mut job = job("Go.");
        job.max_turns = Some(2);
        let script = |last: Reply| vec![say("").call("alone", &json!({})).into(), last];
        let server = Server::list(wire, script(say("what I have").into())).await;
        let done = finished(Bed::new().work(&server.endpoint(), &job, &Odd::new()).await);
        assert_eq!((done.text.as_str(), done.turns), ("what I have", 2));
        let bodies = server.bodies();
        assert!(
            told(&bodies[1])
                .last()
                .is_some_and(|line| line.contains("your last turn"))
        );
        match wire {
            // The list stays, since the provider's cache begins with it.
            Wire::Anthropic => {
                assert_eq!(bodies[1]["tools"], bodies[0]["tools"]);
                assert_eq!(bodies[1]["tool_choice"], json!({"type": "none"}));
            }
            _ => assert!(bodies[1].get("tools").is_none() && bodies[0].get("tools").is_some()),
        }

        // A model that calls a tool all the same has used up its turns.
        let server = Server::list(wire, script(say("").call("alone", &json!({})).into())).await;
        let end = stopped(Bed::new().work(&server.endpoint(), &job, &Odd::new()).await);
        assert_eq!((end.kind, end.turns), (StopKind::TurnsUsedUp, 2));
    }
}

#[tokio::test]
async fn an_answer_with_nothing_is_asked_for_once_more() {
    let server = Server::list(Wire::Anthropic, vec![say("").into(), say("here").into()]).await;
    let done = finished(
        Bed::new()
            .work(&server.endpoint(), &job("Go."), &NoTools)
            .await,
    );
    assert_eq!((done.text.as_str(), done.turns), ("here", 2));
    assert!(told(&server.bodies()[1])[1].contains("You answered with nothing"));

    let server = Server::list(Wire::OpenAiChat, vec![say("").into(), say(" ").into()]).await;
    let end = stopped(
        Bed::new()
            .work(&server.endpoint(), &job("Go."), &NoTools)
            .await,
    );
    assert_eq!((end.kind, end.turns), (StopKind::Other, 2));
}

#[tokio::test]
async fn cancelling_drops_the_stream_at_once() {
    for wire in WIRES {
        let server = Server::list(wire, vec![Reply::Stall("Let me")]).await;
        let cancelled = CancellationToken::new();
        let (bed, endpoint, task) = (Bed::new(), server.endpoint(), job("Go."));
        let log = CancelAtText(cancelled.clone());
        let end = bed
            .worker
            .work(&endpoint, &task, &NoTools, &log, &cancelled)
            .await;
        let end = stopped((end, Vec::new()));
        assert_eq!(end.kind, StopKind::Cancelled);
        server.dropped(1).await;
    }
}

struct CancelAtText(CancellationToken);

impl Watch for CancelAtText {
    fn see(&self, event: Event<'_>) {
        if let Event::Text(_) = event {
            self.0.cancel();
        }
    }
}

#[tokio::test]
async fn a_running_tool_is_told_and_given_time() {
    for (tool, in_order) in [("wait", 1), ("deaf", 0)] {
        let script = vec![
            say("")
                .call(tool, &json!({}))
                .call("alone", &json!({}))
                .into(),
        ];
        let server = Server::list(Wire::Anthropic, script).await;
        let tools = Odd::new();
        let cancelled = CancellationToken::new();
        let bed = Bed::with(|pace| pace.grace = Duration::from_millis(20));
        let (endpoint, task) = (server.endpoint(), job("Go."));
        let mut waiting = tools.waiting.subscribe();
        let cancel = async {
            let _ = waiting.wait_for(|waiting| *waiting).await;
            cancelled.cancel();
        };
        let (end, ()) = tokio::join!(bed.work_until(&endpoint, &task, &tools, &cancelled), cancel);
        assert!(
            !end.1.contains(&"alone(".to_owned()),
            "nothing is begun any more: {:?}",
            end.1
        );
        let end = stopped(end);
        assert_eq!((end.kind, end.tokens.output), (StopKind::Cancelled, 5));
        assert_eq!(tools.ended_in_order.load(Ordering::SeqCst), in_order);
    }
}

#[tokio::test]
async fn what_was_before_is_told() {
    let server = Server::list(Wire::OpenAiChat, vec![say("done").into()]).await;
    let mut task = job("Count.");
    task.system_prompt = Some("You count.".into());
    task.earlier = vec!["timeout: no answer".into()];
    finished(Bed::new().work(&server.endpoint(), &task, &NoTools).await);
    let told = told(&server.bodies()[0]);
    assert!(
        told[0].starts_with("system text You are an agent.")
            && told[0].ends_with("# Your role\n\nYou count.")
    );
    assert!(told[1].starts_with("user text Count.\n\nThis task was tried before."));
}
