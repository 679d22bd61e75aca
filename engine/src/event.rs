//! What a run tells those who watch it.

use std::sync::Arc;

use bellwether_journal::record::{Level, Status, Usage};
use serde::{Deserialize, Serialize};

use crate::view::Money;

/// Something that happened in a run, told when it is durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
#[non_exhaustive]
pub enum Event {
    /// The run's status changed; the last event of a run says how it ended.
    Status {
        /// The run.
        run_id: String,
        /// When, RFC 3339 in UTC.
        at: String,
        /// The status from here on.
        status: Status,
        /// Why, if that was said.
        reason: Option<String>,
    },
    /// The script entered a phase.
    Phase {
        /// The run.
        run_id: String,
        /// When.
        at: String,
        /// The phase's title.
        title: String,
    },
    /// A line of the run's log.
    Log {
        /// The run.
        run_id: String,
        /// When.
        at: String,
        /// How much it asks for.
        level: Level,
        /// The line.
        text: String,
    },
    /// The script asked for an agent.
    AgentScheduled {
        /// The run.
        run_id: String,
        /// When.
        at: String,
        /// `a-<number>`.
        agent: String,
        /// Its label.
        label: Option<String>,
        /// Its phase.
        phase: Option<String>,
    },
    /// An attempt got its slot.
    AgentStarted {
        /// The run.
        run_id: String,
        /// When.
        at: String,
        /// `a-<number>`.
        agent: String,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// An agent said something of its work. May be shed.
    AgentProgress {
        /// The run.
        run_id: String,
        /// `a-<number>`.
        agent: String,
        /// The event as the agent wrote it.
        event: serde_json::Value,
    },
    /// An attempt failed, and another follows.
    AgentRetrying {
        /// The run.
        run_id: String,
        /// When.
        at: String,
        /// `a-<number>`.
        agent: String,
        /// Which attempt failed.
        attempt: u32,
        /// The failure's kind.
        kind: String,
        /// The failure's message.
        message: String,
    },
    /// What an agent uses was counted while it is at work. May come often.
    Spent {
        /// The run.
        run_id: String,
        /// When.
        at: String,
        /// `a-<number>`.
        agent: String,
        /// What the run's agents have used in all.
        usage: Usage,
        /// What that cost in dollars, as far as prices are known.
        cost: Option<Money>,
    },
    /// A call has its answer.
    AgentEnded {
        /// The run.
        run_id: String,
        /// When.
        at: String,
        /// `a-<number>`.
        agent: String,
        /// Its label.
        label: Option<String>,
        /// Its phase.
        phase: Option<String>,
        /// `completed`, `failed`, `skipped` or `cancelled`.
        outcome: String,
        /// The failure's kind.
        kind: Option<String>,
        /// The failure's message.
        message: Option<String>,
        /// What the attempt used.
        usage: Usage,
    },
}

/// A run's events, from the moment of asking on.
#[derive(Debug)]
pub struct Events(pub(crate) tokio::sync::broadcast::Receiver<Arc<Event>>);

/// The reader was too slow: so many events were dropped for it. The run did not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} events were dropped for a slow reader")]
pub struct Lagged(pub u64);

impl Events {
    /// The next event; `None` when the run has ended (in this engine) and all were read.
    ///
    /// # Errors
    /// [`Lagged`] when events were dropped; the next call goes on with the oldest that is left.
    pub async fn next(&mut self) -> Option<Result<Event, Lagged>> {
        use tokio::sync::broadcast::error::RecvError;
        match self.0.recv().await {
            Ok(event) => Some(Ok(Arc::unwrap_or_clone(event))),
            Err(RecvError::Lagged(count)) => Some(Err(Lagged(count))),
            Err(RecvError::Closed) => None,
        }
    }
}
