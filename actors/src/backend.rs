//! What an agent is to the actors: something that takes a task and ends with an outcome.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bellwether_journal::id::{Attempt, FencingToken};
use bellwether_journal::key::Digest;
use bellwether_journal::record::{ChangedFile, Failure, FailureKind, Usage};
use bellwether_journal::usage::Counted;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::restart::Retries;
use crate::run::budget::Allowance;

/// A kind of agent: a program, a protocol, a model API. One value serves all attempts of all runs of an engine.
///
/// The future may be dropped at any moment (a kill, a panic elsewhere): whatever it started must then end with it.
pub trait AgentBackend: Send + Sync + 'static {
    /// Works on `task` until it is done, fails or is cancelled through `context`.
    ///
    /// A value is JSON text in the agent's own key order (A08): a text answer is a JSON string.
    fn run(&self, task: Arc<Task>, context: AttemptContext) -> BoxFuture<'static, Ended>;

    /// Whether its agents ask models, and so are given a way to them where the engine keeps one.
    fn asks_models(&self) -> bool {
        false
    }

    /// Whether it takes a model as `provider/id`, and not by the name that a script gives.
    fn takes_resolved_models(&self) -> bool {
        false
    }

    /// What the author of a call with these options should hear.
    fn notices(&self, _options: &AgentOptions) -> Vec<String> {
        Vec::new()
    }

    /// What changes this backend's answers besides task and options (its command, its address): part of a call's
    /// content (R02). Empty when there is nothing.
    fn fingerprint(&self) -> String {
        String::new()
    }
}

/// One attempt's task.
#[derive(Clone, Debug)]
pub struct Task {
    /// Names the attempt; run, call and attempt stand in it.
    pub token: FencingToken,
    /// The same for all attempts of the call in a generation (R01).
    pub idempotency_key: Digest,
    /// The attempts before this one, oldest first. One that an engine's death cut off says so.
    pub previous_attempts: Vec<PreviousAttempt>,
    /// What is to be done.
    pub prompt: Arc<str>,
    /// How.
    pub options: AgentOptions,
    /// The name to show.
    pub label: Option<Arc<str>>,
    /// The phase that it belongs to.
    pub phase: Option<Arc<str>>,
    /// Where to work.
    pub working_directory: PathBuf,
    /// The journal's own name, by which leftovers of a dead engine are found.
    pub journal: Digest,
    /// How much this attempt may use, where somebody counts it.
    pub allowance: Allowance,
    /// The way to the models that the engine keeps for this attempt; `None` where it keeps none.
    pub models: Option<ModelAccess>,
    /// What earlier attempts of the call noted by [`Notes::note`], oldest first: JSON texts.
    pub notes: Vec<Arc<str>>,
    /// Why `previous_answer` was not accepted; empty when the task is given for the first time.
    pub violations: Vec<Violation>,
    /// This attempt's last answer, which did not fit the schema: JSON text, as the agent gave it.
    pub previous_answer: Option<Arc<str>>,
}

/// An attempt's way to the models: where they are asked, and the key that is good for this attempt alone.
#[derive(Clone, PartialEq, Eq)]
pub struct ModelAccess {
    /// The address, such as `http://127.0.0.1:40123`, without a path and a slash behind.
    pub address: String,
    /// The key.
    pub key: String,
    /// What programs find them by: environment variables with their values, and those that they must not have.
    pub environment: Vec<(String, Option<String>)>,
}

impl std::fmt::Debug for ModelAccess {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ModelAccess")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// One place where an answer does not fit its schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// Where in the answer, as a JSON pointer; the root is empty.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

/// An attempt that came before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviousAttempt {
    /// Its number, from 1.
    pub attempt: u32,
    /// How it ended: a failure's kind, or `interrupted` when its engine died.
    pub ended: String,
    /// What is known of why.
    pub message: String,
}

/// A call's options, as far as they concern the agent. Unknown ones are left out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct AgentOptions {
    /// JSON Schema that the value must fit, as the script wrote it.
    pub schema: Option<Box<RawValue>>,
    /// Alias or id of the model.
    pub model: Option<String>,
    /// `low` … `max`.
    pub effort: Option<String>,
    /// The agent type's name.
    pub agent_type: Option<String>,
    /// `worktree`.
    pub isolation: Option<String>,
    /// The backend's name, when it is not the run's.
    pub backend: Option<String>,
    /// The tools that the agent may use; `None` is all of them.
    pub tools: Option<Vec<String>>,
    /// Of those the ones that it may not use.
    pub disallowed_tools: Vec<String>,
    /// How many turns of its own it may take.
    pub max_turns: Option<u32>,
    /// What its agent type tells it besides the prompt.
    pub system_prompt: Option<Arc<str>>,
    /// How many more attempts it gets when it fails; `None` leaves it to the kind of failure.
    pub retries: Option<Retries>,
    /// The names of the environment variables that its process gets besides those that every program needs; `None` is all
    /// that the engine has.
    pub env: Option<Vec<String>>,
    /// How many tokens models may write for it, over one attempt.
    pub max_tokens: Option<u64>,
    /// What one attempt may cost, in millionths of a dollar.
    pub max_cost: Option<u64>,
}

impl AgentOptions {
    /// What the call itself says of how much it may use.
    #[must_use]
    pub const fn allowance(&self) -> Allowance {
        Allowance {
            tokens: self.max_tokens,
            cost: self.max_cost,
        }
    }
}

/// An attempt's way to the engine.
#[derive(Clone, Debug)]
pub struct AttemptContext {
    /// Cancelled: end in order, within `grace`.
    pub cancelled: CancellationToken,
    /// Killed: end at once.
    pub killed: CancellationToken,
    /// How long an agent may take to end after `cancelled`.
    pub grace: Duration,
    /// Where progress goes; sheds when nobody keeps up.
    pub progress: Progress,
    /// What the attempt wants to be known: before it does it, and of what it uses.
    pub notes: Notes,
    /// Whether the journal is behind.
    pub pressure: Pressure,
}

/// Back-pressure: while the journal has too many bytes that are not durable yet, results are not read.
#[derive(Clone, Debug)]
pub struct Pressure(Option<watch::Receiver<bool>>);

impl Pressure {
    /// Says what `high` says.
    #[must_use]
    pub const fn new(high: watch::Receiver<bool>) -> Self {
        Self(Some(high))
    }

    /// There never is any.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Waits until the journal has caught up; at once when it is not behind. May be dropped while it waits.
    pub async fn relieved(&self) {
        if let Some(high) = &self.0 {
            // Without a journal nothing is held back.
            let _ = high.clone().wait_for(|high| !high).await;
        }
    }
}

/// A note longer than this, in bytes, is refused.
pub const NOTE_BYTES_MAX: usize = 2_048;

/// What an attempt has to say for the journal.
#[derive(Debug)]
#[non_exhaustive]
pub enum Word {
    /// A note. It is answered when it is durable; the answer is dropped when it will never be.
    Note(Arc<str>, oneshot::Sender<()>),
    /// What it has used so far.
    Used(Used),
}

/// What an attempt has used so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// The model that it asked last, as `provider/id`, where that is known.
    pub model: Option<Arc<str>>,
    /// All of it, whatever models it asked.
    pub counted: Counted,
}

/// Takes an attempt's word.
pub type TakeWord = Arc<dyn Fn(FencingToken, Word) + Send + Sync>;

/// An attempt's way into the journal, for work whose parts outlive it: what is noted before a part is done is known to the
/// next attempt ([`Task::notes`]), which can tell what was done and go on behind it.
#[derive(Clone)]
pub struct Notes(Option<(FencingToken, TakeWord)>);

impl std::fmt::Debug for Notes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Notes").finish_non_exhaustive()
    }
}

/// A note that is not in the journal, and never will be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// It is longer than [`NOTE_BYTES_MAX`].
    #[error("a note of {0} bytes; {NOTE_BYTES_MAX} is the most")]
    TooLong(usize),
    /// The attempt was replaced or its run is over: whatever it wanted to do must not be done.
    #[error("the attempt is not the call's newest any more, or its run is over")]
    Superseded,
}

impl Notes {
    /// Notes of the attempt that `token` names go to `take`.
    #[must_use]
    pub fn new(token: FencingToken, take: TakeWord) -> Self {
        Self(Some((token, take)))
    }

    /// Nobody keeps them: each is refused.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Tells all that the attempt has used so far, so that an engine's death loses none of it.
    pub fn used(&self, used: Used) {
        if let Some((token, take)) = &self.0 {
            take(*token, Word::Used(used));
        }
    }

    /// Notes `note` (JSON text) and waits until it is durable.
    ///
    /// # Errors
    /// [`NoteError`]: then it is not in the journal, and what it announces must not be done.
    pub async fn note(&self, note: impl Into<Arc<str>>) -> Result<(), NoteError> {
        let note = note.into();
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong(note.len()));
        }
        let (token, take) = self.0.as_ref().ok_or(NoteError::Superseded)?;
        let (sender, receiver) = oneshot::channel();
        take(*token, Word::Note(note, sender));
        receiver.await.map_err(|_| NoteError::Superseded)
    }
}

/// Bounded and lossy: progress must never slow an agent or a run.
#[derive(Clone, Debug)]
pub struct Progress(Option<mpsc::Sender<ProgressEvent>>);

impl Progress {
    /// Sends to `sender` what it has room for.
    #[must_use]
    pub const fn new(sender: mpsc::Sender<ProgressEvent>) -> Self {
        Self(Some(sender))
    }

    /// Nobody listens.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Reports something, unless the reader is behind.
    pub fn report(&self, event: ProgressEvent) {
        if let Some(sender) = &self.0 {
            // A full channel sheds: the next report says more than this one.
            let _ = sender.try_send(event);
        }
    }
}

/// What an agent says of its work while it is at it.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgressEvent {
    /// Whose.
    pub token: FencingToken,
    /// The event as the agent wrote it: JSON text.
    pub event: Arc<str>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// The answer.
    pub outcome: AgentOutcome,
    /// What it used, as far as the agent says.
    pub usage: Usage,
    /// What it, or an attempt before it that a crash cut off, changed in an isolated working tree.
    pub changes: Vec<Changes>,
    /// The end of what it had written, when it was ended before it had answered: whoever ended it may tell it on.
    pub written: Option<String>,
}

/// What an attempt changed in its isolated working tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Changes {
    /// Whose: the attempt's own, or an earlier one's.
    pub attempt: Attempt,
    /// The branch that holds them; `None` when only the patch is kept.
    pub branch: Option<String>,
    /// The commit that the work began from.
    pub base: String,
    /// The branch's tip.
    pub commit: Option<String>,
    /// Every file that changed.
    pub files: Vec<ChangedFile>,
    /// The patch from `base` on.
    pub diff: Arc<str>,
}

/// An attempt's answer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AgentOutcome {
    /// Done: the value as JSON text.
    Completed(Arc<str>),
    /// Not done.
    Failed(Failure),
    /// It ended because it was told to, and nothing of it is left running.
    Cancelled,
}

impl Ended {
    /// An end that changed nothing in an isolated working tree.
    #[must_use]
    pub const fn new(outcome: AgentOutcome, usage: Usage) -> Self {
        Self {
            outcome,
            usage,
            changes: Vec::new(),
            written: None,
        }
    }

    /// Done, with nothing counted.
    #[must_use]
    pub fn completed(value: impl Into<Arc<str>>) -> Self {
        Self::new(AgentOutcome::Completed(value.into()), Usage::default())
    }

    /// Failed, with nothing counted.
    #[must_use]
    pub fn failed(kind: FailureKind, message: impl Into<String>) -> Self {
        let failure = Failure {
            kind,
            message: message.into(),
            evidence: None,
            retry_after: None,
        };
        Self::new(AgentOutcome::Failed(failure), Usage::default())
    }

    /// Cancelled, with nothing counted.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::new(AgentOutcome::Cancelled, Usage::default())
    }
}
