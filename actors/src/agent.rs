//! One attempt of one call: an actor that lives as long as the attempt does.
//!
//! The work itself runs in a task beside the mailbox, so that a stop is heard at once; the task's handle lies in the
//! actor's state, so that a kill or a panic of the actor takes the task with it, and what the task started ends with the
//! task ([`AgentBackend`]).

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bellwether_journal::id::FencingToken;
use bellwether_journal::record::{ChangesKept, FILES_LISTED_MAX, Failure, FailureKind, Usage};
use bellwether_journal::text::{self, Packed};
use futures_util::FutureExt as _;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::backend::{
    AgentBackend, AgentOutcome, AttemptContext, Changes, Ended, Notes, Pressure, Progress,
    TakeWord, Task,
};
use crate::pool::{self, End, Kept};

/// How long a backend that was killed may take to say so, before its task is dropped without a word.
const LAST_WORD: Duration = Duration::from_secs(5);

/// A value longer than this, in bytes, is compressed on a thread where that may take its time.
const VALUE_BYTES_AT_ONCE: usize = 256 << 10;

/// What an agent is told.
#[derive(Clone, Copy, Debug)]
pub enum Message {
    /// End in order; killed when that takes longer than the grace.
    Cancel(Duration),
    /// End at once.
    Kill,
    /// The backend did not even end when killed: go without it.
    Abandon,
}

/// An agent's arguments.
pub struct Arguments {
    /// What does the work.
    pub backend: Arc<dyn AgentBackend>,
    /// The work.
    pub task: Arc<Task>,
    /// How long it may take to end in order, where whoever ends it does not say.
    pub grace: Duration,
    /// Where progress goes.
    pub progress: Progress,
    /// Who takes its word for the journal.
    pub take_word: TakeWord,
    /// Whether the journal is behind.
    pub pressure: Pressure,
    /// Who hears how it ended.
    pub pool: ActorRef<pool::Message>,
}

/// An agent.
pub struct Agent;

/// What an agent keeps.
pub struct State {
    token: FencingToken,
    cancelled: CancellationToken,
    killed: CancellationToken,
    pool: ActorRef<pool::Message>,
    work: Work,
}

/// The work's task, which ends with its owner.
struct Work(JoinHandle<()>);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Actor for Agent {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        Arguments {
            backend,
            task,
            grace,
            progress,
            take_word,
            pressure,
            pool,
        }: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let token = task.token;
        let cancelled = CancellationToken::new();
        let killed = CancellationToken::new();
        let context = AttemptContext {
            cancelled: cancelled.clone(),
            killed: killed.clone(),
            grace,
            progress,
            notes: Notes::new(token, take_word),
            pressure,
        };
        let report = pool.clone();
        let work = tokio::spawn(async move {
            let work = AssertUnwindSafe(async { backend.run(task, context).await });
            let (end, kept) = match work.catch_unwind().await {
                Ok(ended) => made_ready(token, ended).await,
                Err(panic) => (End::Lost(text_of(panic.as_ref())), Vec::new()),
            };
            // Behind this message the pool decides about the actor's end; without a pool nobody waits.
            let _ = report.cast(pool::Message::Ended { token, end, kept });
            myself.stop(None);
        });
        Ok(State {
            token,
            cancelled,
            killed,
            pool,
            work: Work(work),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Cancel(grace) => {
                state.cancelled.cancel();
                myself.send_after(grace, || Message::Kill);
            }
            Message::Kill => {
                state.cancelled.cancel();
                state.killed.cancel();
                myself.send_after(LAST_WORD, || Message::Abandon);
            }
            Message::Abandon => {
                tracing::error!(token = %state.token, "an agent's backend did not end when it was killed");
                state.work.0.abort();
                let end = End::Cancelled(Usage::default());
                let _ = state.pool.cast(pool::Message::Ended {
                    token: state.token,
                    end,
                    kept: Vec::new(),
                });
                myself.stop(None);
            }
        }
        Ok(())
    }
}

/// Makes an end ready for the journal, here where many agents do it side by side.
async fn made_ready(token: FencingToken, ended: Ended) -> (End, Vec<Kept>) {
    let bytes: usize = ended.changes.iter().map(|changes| changes.diff.len()).sum();
    let value = match &ended.outcome {
        AgentOutcome::Completed(value) => value.len(),
        AgentOutcome::Failed(_) | AgentOutcome::Cancelled => 0,
    };
    if bytes + value <= VALUE_BYTES_AT_ONCE {
        return pack(token, ended);
    }
    match tokio::task::spawn_blocking(move || pack(token, ended)).await {
        Ok(ready) => ready,
        Err(error) => (End::Lost(error.to_string()), Vec::new()),
    }
}

fn pack(token: FencingToken, ended: Ended) -> (End, Vec<Kept>) {
    let Ended {
        outcome,
        usage,
        changes,
        written: _,
    } = ended;
    let kept = changes
        .into_iter()
        .map(|changes| keep(token, changes))
        .collect();
    let end = match outcome {
        AgentOutcome::Completed(value) => checked(value, usage),
        AgentOutcome::Failed(failure) => End::Failed(failure, usage),
        AgentOutcome::Cancelled => End::Cancelled(usage),
    };
    (end, kept)
}

fn keep(token: FencingToken, changes: Changes) -> Kept {
    let diff = text::pack(changes.diff);
    let file_count = changes.files.len() as u64;
    let mut files = changes.files;
    files.truncate(FILES_LISTED_MAX);
    Kept {
        record: ChangesKept {
            call: token.call,
            attempt: changes.attempt,
            branch: changes.branch,
            base: changes.base,
            commit: changes.commit,
            files,
            file_count,
            diff: diff.stored.clone(),
        },
        diff,
    }
}

/// A value that is JSON indeed.
fn checked(value: Arc<str>, usage: Usage) -> End {
    match check_and_pack(value) {
        Ok(packed) => End::Completed(packed, usage),
        Err(error) => {
            let failure = Failure {
                kind: FailureKind::Other,
                message: format!("the backend's value is no JSON: {error}"),
                evidence: None,
                retry_after: None,
            };
            End::Failed(failure, usage)
        }
    }
}

fn check_and_pack(value: Arc<str>) -> Result<Packed, serde_json::Error> {
    serde_json::from_str::<serde::de::IgnoredAny>(&value)?;
    Ok(text::pack(value))
}

/// What a panic said, if it said anything.
pub(crate) fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
