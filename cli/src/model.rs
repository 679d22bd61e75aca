//! Runs as the commands show them: read from the same JSON that programs are given, whether it comes
//! from the journal or from the process that holds it.

use bellwether::{ScriptError, Status, Usage};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// How many calls stand where: every call once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Counts {
    /// All.
    pub(crate) total: u64,
    /// Done.
    pub(crate) completed: u64,
    /// Failed, after their retries.
    pub(crate) failed: u64,
    /// Cancelled.
    pub(crate) cancelled: u64,
    /// Skipped by a person.
    pub(crate) skipped: u64,
    /// Not settled.
    pub(crate) pending: u64,
    /// Part of `completed`: those whose value came from the journal.
    pub(crate) reused: u64,
}

/// A run in a list.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    /// The run.
    pub(crate) run_id: String,
    /// Its name.
    pub(crate) name: String,
    /// Where it stands.
    pub(crate) status: Status,
    /// When it began, RFC 3339.
    #[serde(default)]
    pub(crate) started_at: Option<String>,
    /// How long it has worked.
    #[serde(default)]
    pub(crate) duration_ms: u64,
    /// Its agents.
    #[serde(default)]
    pub(crate) agents: Counts,
    /// What they used.
    #[serde(default)]
    pub(crate) usage: Usage,
}

/// How a run ended, or where it stands: the object that `--json` ends with.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outcome {
    /// The run.
    pub(crate) run_id: String,
    /// Its name.
    pub(crate) name: String,
    /// How it ended.
    pub(crate) status: Status,
    /// The script's value.
    #[serde(default)]
    pub(crate) result: Option<Box<RawValue>>,
    /// What the script threw.
    #[serde(default)]
    pub(crate) error: Option<ScriptError>,
    /// Its agents.
    #[serde(default)]
    pub(crate) agents: Counts,
    /// Why agents failed, the most frequent first.
    #[serde(default)]
    pub(crate) failures: Vec<FailureGroup>,
    /// What agents used.
    #[serde(default)]
    pub(crate) usage: Usage,
    /// How long it worked.
    #[serde(default)]
    pub(crate) duration_ms: u64,
    /// Why it has this status, if that was said.
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

/// Agents that failed alike.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct FailureGroup {
    /// What sort of failure.
    pub(crate) kind: String,
    /// How many.
    pub(crate) count: u64,
    /// The first one's message.
    pub(crate) first_message: String,
    /// Which agents.
    pub(crate) agents: Vec<String>,
}

/// A line of a run's log.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LogLine {
    /// When, RFC 3339.
    pub(crate) at: String,
    /// `info`, `warning` or `error`.
    pub(crate) level: String,
    /// The line.
    pub(crate) text: String,
}

/// A run with its phases and agents.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct View {
    /// The run in a line, with its failures, its error and its result.
    #[serde(flatten)]
    pub(crate) row: Row,
    /// Why it has this status, if that was said.
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// What the script threw.
    #[serde(default)]
    pub(crate) error: Option<ScriptError>,
    /// Its phases, in the order in which they were entered.
    #[serde(default)]
    pub(crate) phases: Vec<Phase>,
    /// Why agents failed.
    #[serde(default)]
    pub(crate) failures: Vec<FailureGroup>,
    /// Its calls, in order.
    #[serde(default)]
    pub(crate) calls: Vec<CallRow>,
}

/// A phase.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Phase {
    /// Its title; `None` for what belongs to no phase.
    pub(crate) title: Option<String>,
    /// Its agents.
    pub(crate) agents: Counts,
    /// What they used.
    pub(crate) usage: Usage,
    /// From its first agent's start to its last one's end.
    pub(crate) duration_ms: Option<u64>,
}

/// One call.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct CallRow {
    /// `a-<number>`.
    pub(crate) agent: String,
    /// Its label.
    pub(crate) label: Option<String>,
    /// Its phase.
    pub(crate) phase: Option<String>,
    /// Where it stands.
    pub(crate) state: String,
    /// How many attempts it had.
    pub(crate) attempts: u32,
    /// How long they took.
    pub(crate) duration_ms: Option<u64>,
    /// What they used.
    pub(crate) usage: Usage,
    /// The failure's kind.
    pub(crate) kind: Option<String>,
    /// The failure's message.
    pub(crate) message: Option<String>,
}
