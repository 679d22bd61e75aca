//! What a plan says. As JSON it is what `bellwether plan --json` prints.

use std::path::PathBuf;

use bellwether_journal::record::{Level, Millis, ScriptError};
use bellwether_scripts::check::{Finding, Severity};
use serde::Serialize;
use serde_json::value::RawValue;

/// What a run of the script would do, with made-up answers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Plan {
    /// How it ended.
    pub status: PlanStatus,
    /// Why it did not complete.
    pub error: Option<ScriptError>,
    /// The workflow's name; empty when its header cannot be read.
    pub name: String,
    /// The script, as the caller names it.
    pub script: String,
    /// Agents that were asked; those that were refused do not count.
    pub agent_calls: u64,
    /// The most agents that were at work at one moment, under the run's cap.
    pub peak_in_flight: u64,
    /// The most agents that had been asked and had not answered at one moment, whether at work or waiting for a slot.
    pub peak_outstanding: u64,
    /// The caps that it ran under.
    pub caps: PlanCaps,
    /// How long it took in virtual time, in milliseconds. Each agent takes a minute.
    pub duration_ms: Millis,
    /// The phases in the order in which they came, then those that were announced and did not come.
    pub phases: Vec<PlannedPhase>,
    /// Calls that were refused before anything was spent, by code and line.
    pub refused: Vec<RefusedCalls>,
    /// The log.
    pub logs: Vec<PlannedLog>,
    /// Workflows that were called, in order.
    pub workflow_calls: Vec<PlannedWorkflow>,
    /// Merges, in order.
    pub merges: Vec<PlannedMerge>,
    /// The longest prompt.
    pub longest_prompt: Option<LongestPrompt>,
    /// What the script returned; `None` when it did not.
    pub result: Option<Box<RawValue>>,
    /// What [`crate::check`] finds in the scripts, and what was not found on the way.
    pub findings: Vec<PlanFinding>,
}

impl Plan {
    /// Whether the script came to its end.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.status == PlanStatus::Completed
    }

    /// Whether a run would get through: the plan completed, and no finding is an error.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let is_error = |told: &PlanFinding| told.finding.severity == Severity::Error;
        self.is_complete() && !self.findings.iter().any(is_error)
    }
}

/// How a plan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PlanStatus {
    /// The script returned.
    Completed,
    /// It was refused, or threw.
    Failed,
    /// It did not end within the plan's bounds.
    Timeout,
}

impl PlanStatus {
    /// The status in a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
        }
    }
}

/// How much a run may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PlanCaps {
    /// Agents at once; `None` is no limit.
    pub concurrency: Option<u64>,
    /// Agents in all.
    pub agents: u64,
    /// Items of one fan-out.
    pub items: u64,
    /// Output tokens; `None` is no limit. Each made-up agent writes 2,000.
    pub budget: Option<u64>,
}

/// A phase with its agents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PlannedPhase {
    /// Its title; `None` for agents outside of all phases.
    pub title: Option<String>,
    /// What the header says of it.
    pub detail: Option<String>,
    /// Whether the header announces it.
    pub announced: bool,
    /// Its agents, in call order.
    pub agents: Vec<PlannedAgent>,
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PlannedAgent {
    /// As a run calls it: `a-3`.
    pub id: String,
    /// Its label.
    pub label: Option<String>,
    /// Its model, of the call or its agent type; `None` is the default.
    pub model: Option<String>,
    /// Its effort.
    pub effort: Option<String>,
    /// Its agent type, as the call names it.
    pub agent_type: Option<String>,
    /// `worktree`, or none.
    pub isolation: Option<String>,
    /// The backend that the call names.
    pub backend: Option<String>,
    /// Whether its answer must fit a schema.
    pub schema: bool,
    /// How its prompt begins: 80 characters on one line.
    pub prompt: String,
    /// The length of its prompt, in characters.
    pub prompt_characters: u64,
    /// The line that asks it, in its script's file; 0 when that is not known.
    pub line: u32,
    /// The file of the nested workflow that asks it; `None` is the script itself.
    pub workflow: Option<String>,
    /// When it began, in milliseconds of virtual time; `None` when it never did.
    pub start_ms: Option<Millis>,
    /// `completed`, `failed`, `refused` or, where the script ended before it, `cancelled`.
    pub outcome: &'static str,
}

/// Calls that were refused, with one error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RefusedCalls {
    /// The error's code.
    pub code: String,
    /// The first one's message.
    pub message: String,
    /// The line that asks.
    pub line: u32,
    /// How many.
    pub count: u64,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PlannedLog {
    /// How much it asks for.
    pub level: Level,
    /// The line.
    pub text: String,
}

/// A call of `workflow()`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PlannedWorkflow {
    /// As the script names it: a name, or a path that was made absolute.
    pub target: String,
    /// Its file; `None` when it was not found, and gave null.
    pub file: Option<PathBuf>,
    /// The line that calls it.
    pub line: u32,
    /// The phase.
    pub phase: Option<String>,
}

/// A call of `merge()`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PlannedMerge {
    /// The branches.
    pub branches: Vec<String>,
    /// The target, where the script names one.
    pub into: Option<String>,
    /// The command that verifies.
    pub verify: Option<String>,
    /// The line that calls it.
    pub line: u32,
    /// The phase.
    pub phase: Option<String>,
}

/// The longest prompt of all agents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LongestPrompt {
    /// Its length, in characters.
    pub characters: u64,
    /// Whose it is, as a run calls it.
    pub id: String,
    /// The agent's label.
    pub label: Option<String>,
    /// The line that asks the agent.
    pub line: u32,
}

/// A finding with its script's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlanFinding {
    /// The script's file, as the caller or the calling script names it.
    pub path: String,
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
}
