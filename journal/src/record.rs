//! The journal's vocabulary. A record says what happened; nothing here is derived from anything else in the journal.
//!
//! The numbers of [`Kind`] are the published format: never reordered, never reused. A record that must change gets a new
//! kind; the old one stays readable.

use std::sync::Arc;

use bincode::{Decode, Encode};

use crate::id::{Attempt, CallNumber, Epoch, Generation, Position, RunId, TimerNumber};
use crate::key::{Context, Digest};
use crate::text::Text;
use crate::usage::{ModelAsked, UsageCounted};

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = u64;

macro_rules! records {
    ($($(#[$doc:meta])* $number:literal $name:ident($payload:ty),)*) => {
        /// What happened in a run.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Record {
            $($(#[$doc])* $name($payload),)*
        }

        /// A record's kind: its number in the format, for good.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        #[expect(missing_docs, reason = "each is documented at its record")]
        pub enum Kind {
            $($name = $number,)*
        }

        impl Kind {
            /// Every kind there is, by number.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The kind with this number, if there is one.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The kind's name, as `journal dump` shows it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }

        impl Record {
            /// The record's kind.
            #[must_use]
            pub const fn kind(&self) -> Kind {
                match self {
                    $(Self::$name(_) => Kind::$name,)*
                }
            }
        }

        /// Calls a function on the payload of a record, or makes the payload of a kind by one: used by the codec alone.
        macro_rules! for_each_record {
            (encode $record:expr, $encode:ident, $out:expr) => {
                match $record {
                    $($crate::record::Record::$name(payload) => $encode(payload, $out),)*
                }
            };
            (decode $kind:expr, $decode:ident, $bytes:expr) => {
                match $kind {
                    $($crate::record::Kind::$name =>
                        $decode($bytes).map($crate::record::Record::$name),)*
                }
            };
        }
        pub(crate) use for_each_record;
    };
}

records! {
    /// The first record of every run.
    1 RunStarted(Box<RunStarted>),
    /// A generation begins; the first one follows `RunStarted`.
    2 GenerationOpened(Box<GenerationOpened>),
    /// The script asked for something. Durable before any of it begins.
    3 CallScheduled(Box<CallScheduled>),
    /// An attempt got its slot. Durable before it starts.
    4 AttemptStarted(AttemptStarted),
    /// An attempt ended without settling its call: another follows.
    5 AttemptFailed(Box<AttemptFailed>),
    /// A call has its answer. The order of these, of `TimerFired` and of `CallRefused` is the order in which the script
    /// gets them.
    6 CallSettled(Box<CallSettled>),
    /// A timer of the script fired.
    7 TimerFired(TimerFired),
    /// A call was refused before anything was spent; the script sees an error.
    8 CallRefused(Box<CallRefused>),
    /// A line for the run's log.
    9 Logged(Box<Logged>),
    /// The script entered a phase.
    10 PhaseEntered(Box<PhaseEntered>),
    /// The run changed its status otherwise than by ending.
    11 StatusChanged(Box<StatusChanged>),
    /// An engine took the run over from one that is gone.
    12 Recovered(Recovered),
    /// The VM or its actor died while it held the settlements up to here.
    13 OrchestratorLost(Box<OrchestratorLost>),
    /// The run has ended.
    14 RunEnded(Box<RunEnded>),
    /// What an attempt changed in its isolated working tree is kept. Durable together with the attempt's end.
    15 ChangesKept(Box<ChangesKept>),
    /// A step says what it is about to do to the world. Durable before it does it, so that a repeated attempt can tell.
    16 StepNoted(Box<StepNoted>),
    /// The engine noticed something that the script's author should see. Once for each text.
    17 Noticed(Box<Noticed>),
    /// A generation begins that is rewound from another: `docs/replay.md`. A run's second and later ones, and a fork's first.
    18 GenerationRewound(Box<GenerationRewound>),
    /// A call has the answer that a call of the base had: an answer like `CallSettled`, and it stands in the same order.
    19 CallReused(Box<CallReused>),
    /// A timer of the script fired, as `TimerFired`, with what it is known by in a rewind.
    20 TimerElapsed(TimerElapsed),
    /// A timer of a rewind wakes at another time than its turn says: the turn is of long ago, and it runs for its full time.
    21 TimerArmed(TimerArmed),
    /// Somebody outside, or the host for them, wanted something of the run.
    22 Ordered(Box<Ordered>),
    /// An attempt that was under way when its run was rewound goes on, for a call of the new generation.
    23 AttemptAdopted(Box<AttemptAdopted>),
    /// What an attempt has used so far, as the engine counted it.
    24 UsageCounted(Box<UsageCounted>),
    /// The model that a call asks: what is counted for it from here on is that one's.
    25 ModelAsked(Box<ModelAsked>),
}

/// What a run was started with: enough for any process to go on with it.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct RunStarted {
    /// `meta.name`, or what the caller named the run.
    pub name: String,
    /// The script's file as the caller gave it; `None` when the script came as text.
    pub script_path: Option<String>,
    /// What the run was started with, as canonical JSON (backend, agent command, limits …). Only the engine reads it.
    pub options: Text,
    /// The working directory.
    pub working_directory: String,
    /// The commit that was checked out there, if it was in a git repository.
    pub base_commit: Option<String>,
    /// The program that started the run, with its version.
    pub started_by: String,
}

/// A generation (`docs/replay.md`).
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct GenerationOpened {
    /// Its number.
    pub number: Generation,
    /// What it is rewound from; `None` for a run's first.
    pub base: Option<Base>,
    /// The script's whole text.
    pub script: Text,
    /// The arguments as JSON text; `None` without any.
    pub args: Option<Text>,
    /// Which VM runs it: recovery needs the same.
    pub vm_identity: Digest,
    /// Where the script's random numbers come from; new only in a run's first generation.
    pub seed: [u8; 32],
    /// The time of the script's first turn.
    pub time: Millis,
    /// Calls of the base that run again though nothing they depend on has changed.
    pub dirty: Vec<CallNumber>,
    /// Which completed calls of the base are reused.
    pub policy: Policy,
    /// Output tokens that the script may spend, if that is limited.
    pub budget_total: Option<u64>,
}

/// A generation that is rewound from another one.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct GenerationRewound {
    /// The generation, its `base` set.
    pub opened: GenerationOpened,
    /// Whether calls of the base that failed or were cancelled are reused like those that completed.
    pub keep_failed: bool,
    /// The run's options from here on, as [`RunStarted::options`].
    pub options: Text,
    /// The script's file from here on.
    pub script_path: Option<String>,
    /// The journal's epoch from here on: attempts of earlier ones are fenced off.
    pub epoch: Epoch,
    /// Who wanted it.
    pub by: Actor,
    /// Why, for a person.
    pub reason: Option<String>,
}

/// A call that a call of the base answers. All that matters of that is here: nobody looks behind it.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct CallReused {
    /// The call.
    pub call: CallNumber,
    /// The base's call that answers it.
    pub from: CallNumber,
    /// The answer.
    pub outcome: Outcome,
    /// What all its attempts used, whenever that was.
    pub usage: Usage,
    /// How many attempts it took.
    pub attempts: u32,
    /// The time at which the script first got the answer: that of the turn that it begins.
    pub time: Millis,
    /// The version of the answer (`docs/replay.md`).
    pub version: Digest,
}

/// Where a generation was rewound from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Base {
    /// The run, another one for a fork.
    pub run: RunId,
    /// Its generation.
    pub generation: Generation,
    /// The first position of the base that no longer counts.
    pub cut: Position,
}

/// Which completed calls of the base a generation reuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Policy {
    /// Those whose content is the same and whose ancestors were reused.
    Causal,
    /// The longest unchanged beginning, in order of start.
    Prefix,
    /// All with the same content.
    ReuseAll,
}

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[non_exhaustive]
pub enum CallKind {
    /// `agent(prompt, options)`.
    Agent,
    /// `workflow(…)`: the answer is the other script's text.
    Workflow,
    /// `merge(…)`: the engine lands branches; the prompt is the list of them, as JSON text.
    Merge,
    /// `ask(…)`: a person answers; the prompt is the question.
    Ask,
}

impl CallKind {
    /// The kind's name, as it is hashed and shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Workflow => "workflow",
            Self::Merge => "merge",
            Self::Ask => "ask",
        }
    }

    /// Whether attempts do the work, each in a slot; else the engine answers by itself, or a person does.
    #[must_use]
    pub const fn has_attempts(self) -> bool {
        match self {
            Self::Agent | Self::Merge => true,
            Self::Workflow | Self::Ask => false,
        }
    }
}

/// The script asked for something.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct CallScheduled {
    /// The call's number in its generation.
    pub call: CallNumber,
    /// What it asks for.
    pub kind: CallKind,
    /// The turn in which it was issued: 0 is the script's start, n the n-th settlement delivered.
    pub turn: u64,
    /// Hash of what it asks for.
    pub content: Digest,
    /// What the code that asks had waited for.
    pub context: Context,
    /// What it is known by in a rewind.
    pub key: Digest,
    /// The name to show.
    pub label: Option<Arc<str>>,
    /// The phase it belongs to.
    pub phase: Option<Arc<str>>,
    /// The prompt; for a workflow its path.
    pub prompt: Text,
    /// The call's options as the script gave them: JSON text of an object.
    pub options: Text,
    /// Line in the author's text, from 1; 0 when it is not known.
    pub line: u32,
}

/// An attempt got its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AttemptStarted {
    /// The call.
    pub call: CallNumber,
    /// Which attempt of it, from 1.
    pub attempt: Attempt,
}

/// An attempt that was under way when its run was rewound goes on, for a call of the new generation.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct AttemptAdopted {
    /// The call that gets its end.
    pub call: CallNumber,
    /// The attempt: it keeps the number that it was started with.
    pub attempt: Attempt,
    /// The generation that it was started in.
    pub generation: Generation,
    /// The call of that generation that it was started for.
    pub from: CallNumber,
    /// When it was started.
    pub started_at: Millis,
    /// By what a backend knows the work; attempts that follow keep it.
    pub idempotency_key: Digest,
    /// What it had noted before, in order.
    pub notes: Vec<Text>,
}

/// An attempt ended without settling its call.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct AttemptFailed {
    /// The call.
    pub call: CallNumber,
    /// Which attempt of it.
    pub attempt: Attempt,
    /// Why.
    pub failure: Failure,
    /// What it used all the same.
    pub usage: Usage,
    /// When the next attempt may start.
    pub retry_at: Millis,
}

/// A call has its answer.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct CallSettled {
    /// The call.
    pub call: CallNumber,
    /// The attempt that gave the answer; 0 when none had started.
    pub attempt: Attempt,
    /// The answer.
    pub outcome: Outcome,
    /// What that attempt used.
    pub usage: Usage,
}

/// The answer to a call, never a bare null.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Outcome {
    /// It was done; the value as JSON text.
    Completed(Text),
    /// It failed, after its retries.
    Failed(Failure),
    /// A person skipped it before it started.
    Skipped,
    /// It was cancelled: by a person, or because the script had returned.
    Cancelled(Cancellation),
}

/// Why a call was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Cancellation {
    /// A person stopped this agent.
    Person,
    /// The script returned while it was still running (B08).
    ScriptEnded,
}

/// What an attempt used, as its backend reports it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// Tokens read by the model.
    pub input_tokens: u64,
    /// Tokens written by the model.
    pub output_tokens: u64,
}

impl Usage {
    /// What this has more than `before`.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_sub(before.input_tokens),
            output_tokens: self.output_tokens.saturating_sub(before.output_tokens),
        }
    }

    /// Both sums; at the end of the numbers it stays there.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
        }
    }
}

/// Why an agent failed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Failure {
    /// What sort of failure.
    pub kind: FailureKind,
    /// What a person reads first.
    pub message: String,
    /// What was left to look at, such as the end of a program's stderr.
    pub evidence: Option<String>,
    /// How long to wait before another try, in milliseconds, if the other side said so.
    pub retry_after: Option<Millis>,
}

/// What sort of failure, by what can be done about it.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Encode,
    Decode,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// Too many requests: try again later.
    RateLimit,
    /// The account's quota is used up.
    Quota,
    /// The other side could not be reached.
    Transport,
    /// The attempt took longer than it may.
    Timeout,
    /// The agent refused the task.
    Refused,
    /// The agent's program ended without an answer, or could not be started.
    Crash,
    /// Anything else.
    Other,
    /// No answer fitted the schema, after all tries (S02).
    Schema,
    /// A person ended the attempt, for another one: no failure of the agent.
    ByPerson,
    /// The agent used what it alone may: tokens, money, turns.
    Limit,
    /// The run's budget is used up.
    Budget,
}

impl FailureKind {
    /// The name as agents and people write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RateLimit => "rate_limit",
            Self::Quota => "quota",
            Self::Transport => "transport",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Crash => "crash",
            Self::Other => "other",
            Self::Schema => "schema",
            Self::ByPerson => "by_person",
            Self::Limit => "limit",
            Self::Budget => "budget",
        }
    }
}

/// A timer of the script fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TimerFired {
    /// The timer.
    pub timer: TimerNumber,
}

/// A timer of the script fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TimerElapsed {
    /// The timer.
    pub timer: TimerNumber,
    /// What it is known by in a rewind.
    pub key: Digest,
    /// The time of the turn that it begins.
    pub time: Millis,
    /// The base's firing that this one repeats; `None` when it fired now.
    pub from: Option<TimerNumber>,
}

/// When a timer of a rewind wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TimerArmed {
    /// The timer.
    pub timer: TimerNumber,
    /// Its wake time.
    pub at: Millis,
}

/// What somebody outside wanted of the run. What came of it stands in the records that follow.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Ordered {
    /// What.
    pub order: Order,
    /// Who.
    pub by: Actor,
    /// Why, for a person.
    pub reason: Option<String>,
}

/// What can be wanted of a run that is going on, besides its pause, resumption and end.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[non_exhaustive]
pub enum Order {
    /// End this agent; its call has no value (A02).
    StopAgent(CallNumber),
    /// Do not start this agent; its call has no value (A02).
    SkipAgent(CallNumber),
    /// Begin this agent's work anew, with another attempt.
    RestartAgent(CallNumber),
    /// This is the answer to the question: JSON text.
    Answer(CallNumber, Text),
    /// Other limits from here on.
    SetLimits(RunLimits),
}

/// Limits of a run that can change while it goes on. `None` leaves one as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct RunLimits {
    /// Agents at once; 0 is no limit.
    pub concurrency: Option<u32>,
    /// Agents in all.
    pub agents: Option<u64>,
}

/// A call was refused before anything was spent.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct CallRefused {
    /// The call.
    pub call: CallNumber,
    /// The error's `code`, such as `AGENT_CAP`.
    pub code: String,
    /// The error's message.
    pub message: String,
}

/// A line for the run's log. Known by its turn and ordinal, so that a replay does not show it twice (F02).
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Logged {
    /// The turn that logged it.
    pub turn: u64,
    /// How many lines and phases the turn had shown before.
    pub ordinal: u32,
    /// Who must look at it.
    pub level: Level,
    /// The line.
    pub text: String,
}

/// How much a log line asks for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Level {
    /// For the reader of the log.
    Info,
    /// Something that the script's author should see.
    Warning,
    /// Something went wrong that did not fail the run.
    Error,
}

/// The script entered a phase. Known by its turn and ordinal, as [`Logged`] is.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct PhaseEntered {
    /// The turn that entered it.
    pub turn: u64,
    /// How many lines and phases the turn had shown before.
    pub ordinal: u32,
    /// The phase's title.
    pub title: Arc<str>,
}

/// The run changed its status otherwise than by ending.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct StatusChanged {
    /// The status from here on.
    pub status: Status,
    /// Who wanted it.
    pub by: Actor,
    /// Why, for a person.
    pub reason: Option<String>,
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Actor {
    /// The engine itself.
    Engine,
    /// The script, by returning or throwing.
    Script,
    /// A person or program outside, as named by the caller (`user@host`, `signal`).
    Caller(String),
}

/// An engine took the run over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Recovered {
    /// The journal's epoch from here on: attempts of earlier ones are fenced off.
    pub epoch: Epoch,
}

/// The VM or its actor died.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct OrchestratorLost {
    /// The position up to which it had been given settlements. The same crash at the same place twice is final.
    pub at: Position,
    /// What is known of the crash.
    pub message: String,
}

/// The run has ended.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct RunEnded {
    /// How.
    pub status: Status,
    /// The script's value as JSON text.
    pub result: Option<Text>,
    /// What the script threw, or why the run was ended.
    pub error: Option<ScriptError>,
    /// Who ended it.
    pub by: Actor,
}

/// What an attempt changed in its isolated working tree.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct ChangesKept {
    /// The call.
    pub call: CallNumber,
    /// Whose changes these are: the attempt's that ends, or an earlier one's that a crash left behind.
    pub attempt: Attempt,
    /// The branch that holds them; `None` when only the patch is kept.
    pub branch: Option<String>,
    /// The commit that the work began from.
    pub base: String,
    /// The branch's tip.
    pub commit: Option<String>,
    /// The files that changed: the first [`FILES_LISTED_MAX`].
    pub files: Vec<ChangedFile>,
    /// How many files changed in all.
    pub file_count: u64,
    /// The patch from `base` on; a long one is cut, and says so.
    pub diff: Text,
}

/// A record lists so many changed files; the patch names all.
pub const FILES_LISTED_MAX: usize = 1_000;

/// A file that an attempt changed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangedFile {
    /// Its path from the repository's top; its new one when it was renamed.
    pub path: String,
    /// What happened to it.
    pub change: FileChange,
    /// Lines added; 0 in a binary file.
    pub added: u32,
    /// Lines removed; 0 in a binary file.
    pub removed: u32,
}

/// What happened to a file.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FileChange {
    /// It is new.
    Added,
    /// Its content or mode is another.
    Modified,
    /// It is gone.
    Deleted,
    /// It has another path, and perhaps another content.
    Renamed,
}

/// What a step is about to do to the world.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct StepNoted {
    /// The call.
    pub call: CallNumber,
    /// The attempt that does it.
    pub attempt: Attempt,
    /// The step's own words: JSON text.
    pub note: Text,
}

/// Something that the engine noticed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Noticed {
    /// What, for the script's author.
    pub text: String,
}

/// An error of the script in its author's own places.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScriptError {
    /// The error's name, such as `TypeError`.
    pub name: String,
    /// The error's `code`, if it has one.
    pub code: Option<String>,
    /// The message.
    pub message: String,
    /// The author's line, from 1; 0 when it is not known.
    pub line: u32,
    /// The author's column, from 1; 0 when it is not known.
    pub column: u32,
    /// The stack, a frame a line, in the author's own lines.
    pub stack: String,
}

impl ScriptError {
    /// Whether a limit ended the script (B07): with another limit the run can go on.
    #[must_use]
    pub fn is_limit(&self) -> bool {
        self.code
            .as_deref()
            .is_some_and(|code| code.starts_with("LIMIT_"))
    }
}

/// What state a run is in.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Status {
    /// Accepted, nothing done yet.
    Queued,
    /// Going on.
    Running,
    /// No new agents start; those that run may finish.
    Pausing,
    /// Nothing runs until somebody resumes.
    Paused,
    /// Waits for a person, a timer of long ago, or a quota.
    Waiting,
    /// Its agents are being stopped.
    Stopping,
    /// Stopped; can be resumed.
    Stopped,
    /// Ended, and every agent was well.
    Completed,
    /// Ended with a value, but agents failed.
    Degraded,
    /// Ended by an error of the script or a limit.
    Failed,
    /// Ended by force; can be resumed as after a crash.
    Killed,
    /// The same crash at the same place twice: not tried again.
    Quarantined,
    /// Unfinished, and no engine has it. Never recorded: only a reader can know.
    Interrupted,
}

impl Status {
    /// The status as people read and write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Waiting => "waiting",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Completed => "completed",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
            Self::Killed => "killed",
            Self::Quarantined => "quarantined",
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether nothing is left to be done: the run has a result or an error that resuming does not change.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Degraded | Self::Failed | Self::Quarantined
        )
    }

    /// Whether an engine must be at work for this to be true; without one the run is `interrupted`.
    #[must_use]
    pub const fn needs_engine(self) -> bool {
        matches!(
            self,
            Self::Queued | Self::Running | Self::Pausing | Self::Stopping | Self::Waiting
        )
    }
}
