//! What every backend keeps to, as a function over any of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use bellwether_actors::backend::{
    AgentBackend, AgentOutcome, AttemptContext, Ended, Progress, ProgressEvent,
};
use bellwether_journal::record::{Failure, FailureKind, Usage};
use tokio::sync::mpsc;

use super::fixtures::{context, task};

/// A context and the progress that comes through it.
pub(crate) fn watched() -> (AttemptContext, mpsc::Receiver<ProgressEvent>) {
    let (sender, receiver) = mpsc::channel(16);
    (
        AttemptContext {
            progress: Progress::new(sender),
            ..context()
        },
        receiver,
    )
}

/// What an agent of the suite does with any task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Answers [`VALUE`] and has used 3 and 4 tokens.
    Answers,
    /// Writes something that is nothing, an event, and then answers `1`.
    Babbles,
    /// Answers a text of [`LONG`] times `x`.
    AnswersAtLength,
    /// Reports that its quota is used up, for 2 s.
    Reports,
    /// Ends without an answer, saying `oops` where such things are said.
    Crashes,
    /// Starts a process, passes its id on as the event `{"event": id}`, and answers nothing until it is asked to end.
    Waits,
    /// As before, but it and its process do not hear when they are asked to end.
    IsDeaf,
}

pub(crate) const VALUE: &str = r#"{"z": 1e400, "a": [12345678901234567890]}"#;
pub(crate) const LONG: usize = 10 << 20;

pub(crate) fn failure(ended: Ended) -> Failure {
    match ended.outcome {
        AgentOutcome::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

/// The process id that an agent passes on.
pub(crate) async fn process_id(progress: &mut mpsc::Receiver<ProgressEvent>) -> u32 {
    let event = progress.recv().await.unwrap().event;
    let event: serde_json::Value = serde_json::from_str(&event).unwrap();
    event["event"].as_u64().unwrap().try_into().unwrap()
}

pub(crate) fn lives(process: u32) -> bool {
    std::path::Path::new(&format!("/proc/{process}")).exists()
}

/// Runs the suite on backends that `make` makes: one whose agents behave so, with this time limit for an attempt.
pub(crate) async fn conforms(make: &dyn Fn(Behaviour, Option<Duration>) -> Arc<dyn AgentBackend>) {
    let backend = make(Behaviour::Answers, None);
    for call in 0..2 {
        let ended = backend.run(task(call, None), context()).await;
        assert_eq!(ended.outcome, AgentOutcome::Completed(VALUE.into()));
        assert_eq!(
            ended.usage,
            Usage {
                input_tokens: 3,
                output_tokens: 4
            }
        );
    }

    let (watching, mut progress) = watched();
    let ended = make(Behaviour::Babbles, None)
        .run(task(0, None), watching)
        .await;
    assert_eq!(ended, Ended::completed("1"));
    let event = progress.recv().await.unwrap();
    assert_eq!(
        (&*event.event, event.token),
        (r#"{"event": "hm"}"#, task(0, None).token)
    );

    let ended = make(Behaviour::AnswersAtLength, None)
        .run(task(0, None), context())
        .await;
    let AgentOutcome::Completed(value) = ended.outcome else {
        panic!("{:?}", ended.outcome)
    };
    assert!(value.len() == LONG + 2 && value.trim_matches('"').bytes().all(|byte| byte == b'x'));

    let failed = failure(
        make(Behaviour::Reports, None)
            .run(task(0, None), context())
            .await,
    );
    assert_eq!(
        (failed.kind, failed.retry_after),
        (FailureKind::Quota, Some(2000))
    );
    assert_eq!(failed.message, "spent");

    let backend = make(Behaviour::Crashes, None);
    for call in 0..2 {
        let failed = failure(backend.run(task(call, None), context()).await);
        assert_eq!(failed.kind, FailureKind::Crash);
        assert!(failed.evidence.unwrap().contains("oops"));
    }

    ends_when_told(make).await;
}

async fn ends_when_told(make: &dyn Fn(Behaviour, Option<Duration>) -> Arc<dyn AgentBackend>) {
    // Before it began: nothing is started.
    let never = context();
    never.cancelled.cancel();
    let ended = make(Behaviour::Answers, None)
        .run(task(0, None), never)
        .await;
    assert_eq!(ended, Ended::cancelled());

    for (behaviour, grace, kill) in [
        (Behaviour::Waits, Duration::from_hours(1), false),
        (Behaviour::IsDeaf, Duration::from_millis(20), false),
        (Behaviour::IsDeaf, Duration::from_hours(1), true),
    ] {
        let backend = make(behaviour, None);
        let (mut context, mut progress) = watched();
        context.grace = grace;
        let running = tokio::spawn(backend.run(task(0, None), context.clone()));
        let process = process_id(&mut progress).await;
        context.cancelled.cancel();
        if kill {
            context.killed.cancel();
        }
        assert_eq!(running.await.unwrap(), Ended::cancelled(), "{behaviour:?}");
        assert!(!lives(process), "it answered before all was dead");
    }

    // Silence is bounded.
    for behaviour in [Behaviour::Waits, Behaviour::IsDeaf] {
        let backend = make(behaviour, Some(Duration::from_millis(300)));
        let (mut context, mut progress) = watched();
        context.grace = Duration::from_millis(20);
        let failed = failure(backend.run(task(0, None), context).await);
        assert_eq!(failed.kind, FailureKind::Timeout);
        // On a busy machine it may have been ended before it had anything to say.
        if let Ok(event) = progress.try_recv() {
            assert!(event.event.starts_with("{\"event\""));
        }
    }

    // A dropped attempt takes its processes along.
    let backend = make(Behaviour::IsDeaf, None);
    let (context, mut progress) = watched();
    let running = tokio::spawn(backend.run(task(0, None), context));
    let process = process_id(&mut progress).await;
    running.abort();
    while lives(process) {
        tokio::task::yield_now().await;
    }
}
