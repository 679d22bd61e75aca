//! What crosses the border of the VM, both ways.

use std::sync::Arc;

use bellwether_journal::id::{CallNumber, TimerNumber};
use bellwether_journal::key::{Context, Digest};
use bellwether_journal::record::{CallKind, FailureKind, Level, Millis, ScriptError, Usage};
use bincode::{Decode, Encode};

/// What one settlement (or the start) made the script do.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Turn {
    /// What it asked for, in its order.
    pub commands: Vec<Command>,
    /// Where it stands afterwards.
    pub status: TurnStatus,
}

/// Where a script stands after a turn. After anything but `Running` nothing more may be delivered.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum TurnStatus {
    /// It waits for settlements.
    Running,
    /// It returned; the value as JSON text.
    Returned(Arc<str>),
    /// It threw, or its value is no JSON.
    Threw(Box<ScriptError>),
    /// A limit ended it (B07): the turn's commands are discarded, and no `catch` saw it.
    LimitReached(Box<ScriptError>),
}

/// All that a script can ask for.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Command {
    /// An agent or another workflow: wants a settlement.
    Call(Box<Call>),
    /// A line for the log.
    Log {
        /// How much it asks for.
        level: Level,
        /// The line.
        text: String,
    },
    /// Later calls belong to this phase.
    Phase {
        /// Its title.
        title: Arc<str>,
    },
    /// A timer: wants a settlement `milliseconds` after the time of this turn.
    Timer {
        /// Its number.
        timer: TimerNumber,
        /// How long it waits.
        milliseconds: u64,
        /// What the code that arms it had waited for.
        context: Context,
    },
    /// The timer is wanted no longer.
    ClearTimer {
        /// Its number.
        timer: TimerNumber,
    },
}

/// A call that wants an answer.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Call {
    /// Its number, dense from 0 in the order of issue.
    pub number: CallNumber,
    /// What it asks for.
    pub kind: CallKind,
    /// The prompt; for a workflow its path, as resolved against the parent script's folder.
    pub prompt: Arc<str>,
    /// The call's options as the script gave them, without `label` and `phase`: JSON text of an object.
    pub options: Arc<str>,
    /// The name to show.
    pub label: Option<Arc<str>>,
    /// The phase that it belongs to.
    pub phase: Option<Arc<str>>,
    /// What the code that asks had waited for.
    pub context: Context,
    /// The author's line, from 1; 0 when it is not known.
    pub line: u32,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Settlement {
    /// What it answers.
    pub target: Target,
    /// The answer.
    pub answer: Answer,
    /// The time of the turn that it begins; `now()` never goes below the last.
    pub time: Millis,
    /// What code that waited for this depends on (`docs/replay.md`).
    pub version: Digest,
    /// Output tokens of all settlements up to and with this one: `budget.spent()` for this turn.
    pub spent: u64,
    /// What `attempt()` shows beside the answer.
    pub about: About,
}

/// How a call came to its answer (X02).
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct About {
    /// What all its attempts used.
    pub usage: Usage,
    /// What that cost, in millionths of a dollar, where prices are known.
    pub cost: Option<u64>,
    /// How many attempts there were.
    pub attempts: u32,
    /// What it changed and where that is kept: JSON text `{"branch", "base", "commit", "files": [path, …]}`.
    pub worktree: Option<Arc<str>>,
}

/// What a settlement answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Target {
    /// A call.
    Call(CallNumber),
    /// A timer.
    Timer(TimerNumber),
}

/// The answer itself.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Answer {
    /// The call's value as JSON text. For a workflow: `{"source": …, "path": …}`, the script to run inline.
    Value(Arc<str>),
    /// There is no value: the script sees `null` (A02), but for a failure of kind `schema`, which `agent()` throws (A04), and of kind
    /// `budget`, which rejects a whole fan-out (P04).
    Nothing(Nothing),
    /// The call was refused before anything was spent: the script sees an error with this `name` and `code`. Caps and
    /// budget (`AGENT_CAP`, `BUDGET`) reject a whole fan-out (P04).
    Refused {
        /// The error's code.
        code: String,
        /// The error's message.
        message: String,
    },
    /// The timer's time has come.
    Fired,
}

/// Why a call has no value.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Nothing {
    /// It failed after its retries.
    Failed {
        /// What sort of failure.
        kind: FailureKind,
        /// What a person reads first.
        message: Arc<str>,
    },
    /// A person skipped it.
    Skipped,
    /// It was stopped: by a person, or since the script had returned.
    Cancelled,
}
