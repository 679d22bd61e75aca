//! A run's log: what its records mean to a reader, a line each.

use std::fmt::Write as _;

use bellwether_journal::codec::Entry;
use bellwether_journal::error::Damage;
use bellwether_journal::id::{CallNumber, Generation, Position, RunId};
use bellwether_journal::record::{
    Actor, CallKind, CallSettled, Cancellation, Level, Outcome, Record, RunEnded, StatusChanged,
};
use bellwether_journal::state::RunState;
use bellwether_journal::text::Text;
use serde::{Deserialize, Serialize};

use super::dump::{actor, order_words};
use super::run::agent_id;
use super::time::{Timestamp, duration_text};

/// A line of a run's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LogLine {
    /// The record that it tells of; a reader who has this one asks for those behind it.
    pub position: u64,
    /// When.
    pub at: Timestamp,
    /// How much it asks for.
    pub level: Level,
    /// The agent that it is about.
    pub agent_id: Option<String>,
    /// The line.
    pub text: String,
}

/// Makes the lines of one run, record by record from its first.
#[derive(Clone, Debug)]
pub(crate) struct LogLines {
    state: RunState,
}

impl LogLines {
    /// For a run of which no record was read yet.
    #[must_use]
    pub(crate) fn new(run: RunId) -> Self {
        Self {
            state: RunState::new(run),
        }
    }

    /// The line of the next record; many have none.
    ///
    /// # Errors
    /// [`Damage`] when the record cannot follow those before it.
    pub(crate) fn line(&mut self, entry: &Entry) -> Result<Option<LogLine>, Damage> {
        let run = self.state.id;
        self.state
            .apply(entry)
            .map_err(|illegal| Damage::new(format!("{run}: {illegal}")))?;
        Ok(self
            .describe(&entry.record, entry.at)
            .map(|(level, call, text)| LogLine {
                position: entry.position.0,
                at: Timestamp(entry.at),
                level,
                agent_id: call.map(agent_id),
                text,
            }))
    }

    /// A call by its number and label.
    fn name(&self, call: CallNumber) -> String {
        let label = self.state.call(call).and_then(|call| call.label.as_deref());
        match label {
            Some(label) => format!("{} ({label})", agent_id(call)),
            None => agent_id(call),
        }
    }

    fn describe(&self, record: &Record, at: u64) -> Option<(Level, Option<CallNumber>, String)> {
        let info = |text: String| Some((Level::Info, None, text));
        match record {
            Record::RunStarted(started) => info(format!("run {} accepted", started.name)),
            Record::GenerationOpened(opened) if opened.number == Generation(1) => None,
            Record::GenerationOpened(opened) => info(format!(
                "generation {} begins, from the script's first line",
                opened.number
            )),
            Record::CallScheduled(call) if call.kind == CallKind::Ask => {
                let text = match &call.prompt {
                    Text::Inline(question) => format!("{} asks: {question}", self.name(call.call)),
                    Text::Payload(_) | Text::Shared(_) => {
                        format!("{} asks a long question", self.name(call.call))
                    }
                };
                Some((Level::Info, Some(call.call), text))
            }
            Record::CallScheduled(_)
            | Record::TimerFired(_)
            | Record::StepNoted(_)
            | Record::CallReused(_)
            | Record::UsageCounted(_)
            | Record::ModelAsked(_)
            | Record::TimerElapsed(_)
            | Record::TimerArmed(_) => None,
            Record::GenerationRewound(rewound) => {
                let mut text = format!(
                    "generation {} begins, from the script's first line, by {}",
                    rewound.opened.number,
                    actor(&rewound.by)
                );
                if let Some(reason) = &rewound.reason {
                    let _ = write!(text, ": {reason}");
                }
                info(text)
            }
            Record::Ordered(ordered) => {
                let mut text = format!("{} by {}", order_words(&ordered.order), actor(&ordered.by));
                if let Some(reason) = &ordered.reason {
                    let _ = write!(text, ": {reason}");
                }
                info(text)
            }
            Record::AttemptStarted(started) => {
                let mut text = format!("{} started", self.name(started.call));
                if started.attempt.0 > 1 {
                    let _ = write!(text, ", attempt {}", started.attempt);
                }
                Some((Level::Info, Some(started.call), text))
            }
            Record::AttemptAdopted(adopted) => {
                let (name, from) = (self.name(adopted.call), agent_id(adopted.from));
                let text =
                    format!("{name} goes on: {from} of the generation before was at work on it");
                Some((Level::Info, Some(adopted.call), text))
            }
            Record::AttemptFailed(failed) => {
                let wait = duration_text(failed.retry_at.saturating_sub(at));
                let text = format!(
                    "{} failed ({}: {}), attempt {}; the next one in {wait}",
                    self.name(failed.call),
                    failed.failure.kind.name(),
                    failed.failure.message,
                    failed.attempt,
                );
                Some((Level::Warning, Some(failed.call), text))
            }
            Record::CallSettled(settled) => Some(self.settled(settled)),
            Record::CallRefused(refused) => {
                let name = self.name(refused.call);
                let text = format!("{name} refused ({}: {})", refused.code, refused.message);
                Some((Level::Warning, Some(refused.call), text))
            }
            Record::Logged(logged) => Some((logged.level, None, logged.text.clone())),
            Record::PhaseEntered(entered) => info(format!("phase {}", entered.title)),
            Record::StatusChanged(changed) => info(status_text(changed)),
            Record::Recovered(_) => info(self.recovered()),
            Record::OrchestratorLost(lost) => {
                let text = format!(
                    "the script's engine died at record {}: {}",
                    lost.at, lost.message
                );
                Some((Level::Error, None, text))
            }
            Record::RunEnded(ended) => Some(ended_text(ended)),
            Record::ChangesKept(kept) => {
                let place = match &kept.branch {
                    Some(branch) => format!("on branch {branch}"),
                    None => "as a patch in its record".to_owned(),
                };
                let files = match kept.file_count {
                    1 => "1 file".to_owned(),
                    count => format!("{count} files"),
                };
                let text = format!("{} changed {files}, kept {place}", self.name(kept.call));
                Some((Level::Info, Some(kept.call), text))
            }
            Record::Noticed(noticed) => Some((Level::Warning, None, noticed.text.clone())),
        }
    }

    fn settled(&self, settled: &CallSettled) -> (Level, Option<CallNumber>, String) {
        let name = self.name(settled.call);
        let call = self.state.call(settled.call);
        let (level, mut text) = match &settled.outcome {
            Outcome::Completed(_) if call.is_some_and(|call| call.kind == CallKind::Ask) => {
                (Level::Info, format!("{name} answered"))
            }
            Outcome::Completed(_) => (Level::Info, format!("{name} done")),
            Outcome::Failed(failure) => {
                let kind = failure.kind.name();
                (
                    Level::Error,
                    format!("{name} failed ({kind}: {})", failure.message),
                )
            }
            Outcome::Skipped => (Level::Info, format!("{name} skipped")),
            Outcome::Cancelled(Cancellation::Person) => {
                (Level::Info, format!("{name} stopped by a person"))
            }
            Outcome::Cancelled(Cancellation::ScriptEnded) => (
                Level::Info,
                format!("{name} cancelled, since the script had returned"),
            ),
        };
        let time = call.and_then(|call| call.ended_at?.checked_sub(call.started_at?));
        if let Some(time) = time {
            let _ = write!(text, " after {}", duration_text(time));
        }
        let tokens = settled.usage.output_tokens;
        if tokens > 0 {
            let _ = write!(text, ", {tokens} tokens");
        }
        (level, Some(settled.call), text)
    }

    fn recovered(&self) -> String {
        let Some(recovery) = self.state.recoveries.last() else {
            return "taken over".to_owned();
        };
        format!(
            "taken over: {} completed agents reused, {} attempts interrupted",
            recovery.reused, recovery.interrupted
        )
    }
}

fn by(actor: &Actor) -> String {
    match actor {
        Actor::Engine | Actor::Script => String::new(),
        Actor::Caller(name) => format!(" by {name}"),
    }
}

fn status_text(changed: &StatusChanged) -> String {
    let mut text = format!("run {}{}", changed.status.name(), by(&changed.by));
    if let Some(reason) = &changed.reason {
        let _ = write!(text, ": {reason}");
    }
    text
}

fn ended_text(ended: &RunEnded) -> (Level, Option<CallNumber>, String) {
    let mut text = format!("run {}{}", ended.status.name(), by(&ended.by));
    let Some(error) = &ended.error else {
        return (Level::Info, None, text);
    };
    let _ = write!(text, ": {}: {}", error.name, error.message);
    if error.line > 0 {
        let _ = write!(text, " (line {}, column {})", error.line, error.column);
    }
    (Level::Error, None, text)
}

/// Whether a line is at or behind a position.
pub(super) fn is_from(line: &LogLine, from: Position) -> bool {
    line.position >= from.0
}
