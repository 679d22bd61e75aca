//! A list of runs.

use bellwether_journal::id::RunId;
use bellwether_journal::record::{Millis, Status, Usage};
use bellwether_journal::state::{Counts, Summary};
use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// A run in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RunRow {
    /// The run.
    #[serde(with = "super::as_text")]
    pub run_id: RunId,
    /// Its name.
    pub name: String,
    /// How it stands.
    pub status: Status,
    /// When it was accepted.
    pub started_at: Timestamp,
    /// From then to its end; to now while it is live; to its last record when it is neither ended nor live.
    pub duration_ms: Millis,
    /// Its agents, by how they stand.
    pub agents: Counts,
    /// What all attempts used.
    pub usage: Usage,
}

impl RunRow {
    /// The row of `run`; `live` says whether an engine has it, `now` what the time is.
    #[must_use]
    pub(crate) fn new(run: RunId, summary: &Summary, live: bool, now: Millis) -> Self {
        let Summary {
            name,
            status,
            started_at,
            ended_at,
            updated_at,
            counts,
            usage,
            ..
        } = summary;
        Self {
            run_id: run,
            name: name.clone(),
            status: shown_status(*status, live),
            started_at: Timestamp(*started_at),
            duration_ms: duration(*started_at, *ended_at, *updated_at, live, now),
            agents: *counts,
            usage: *usage,
        }
    }
}

/// The status that people see: a run that needs an engine and has none is interrupted.
#[must_use]
pub(crate) const fn shown_status(recorded: Status, live: bool) -> Status {
    if recorded.needs_engine() && !live {
        Status::Interrupted
    } else {
        recorded
    }
}

pub(super) fn duration(
    started_at: Millis,
    ended_at: Option<Millis>,
    updated_at: Millis,
    live: bool,
    now: Millis,
) -> Millis {
    let end = ended_at.unwrap_or(if live { now } else { updated_at });
    end.saturating_sub(started_at)
}
