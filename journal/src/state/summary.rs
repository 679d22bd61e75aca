//! What a list of runs shows, and how its agents are counted.

use bincode::{Decode, Encode};

use super::call::CallStatus;
use crate::id::{Epoch, Generation, Position};
use crate::key::Digest;
use crate::record::{Millis, Status, Usage};

/// What the store keeps of a run beside its records, so that a list of runs reads no record.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Summary {
    /// The run's name.
    pub name: String,
    /// What state it is in.
    pub status: Status,
    /// Whether it can be taken up as it is.
    pub resumable: bool,
    /// When it was accepted.
    pub started_at: Millis,
    /// When it ended or was stopped.
    pub ended_at: Option<Millis>,
    /// When its newest record was written.
    pub updated_at: Millis,
    /// Its agents, by how they stand.
    pub counts: Counts,
    /// What all attempts used.
    pub usage: Usage,
    /// Its newest generation.
    pub generation: Generation,
    /// The journal's epoch at the last takeover.
    pub epoch: Epoch,
    /// Where the next record will stand.
    pub next: Position,
    /// The hash over all records.
    pub head: Digest,
    /// The hash of the newest script.
    pub script_hash: Digest,
    /// The script's file.
    pub script_path: Option<String>,
}

/// Agents by how they stand. Always `total = completed + failed + cancelled + skipped + pending`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// All of them.
    pub total: u64,
    /// Gave their value.
    pub completed: u64,
    /// Failed after their retries, or were refused.
    pub failed: u64,
    /// Were cancelled.
    pub cancelled: u64,
    /// Were skipped.
    pub skipped: u64,
    /// Have no answer yet.
    pub pending: u64,
    /// Of the completed: those whose value came from the journal when the run was last taken over.
    pub reused: u64,
}

impl Counts {
    /// One agent more, which stands so.
    pub fn add(&mut self, status: CallStatus) {
        self.issue();
        self.settle(status);
    }

    pub(super) fn issue(&mut self) {
        self.total += 1;
        self.pending += 1;
    }

    /// Moves one agent from `pending` to where `status` puts it.
    pub(super) fn settle(&mut self, status: CallStatus) {
        let place = match status {
            CallStatus::Completed => &mut self.completed,
            CallStatus::Failed | CallStatus::Refused => &mut self.failed,
            CallStatus::Cancelled => &mut self.cancelled,
            CallStatus::Skipped => &mut self.skipped,
            CallStatus::Waiting | CallStatus::Running | CallStatus::Backoff { .. } => return,
        };
        *place += 1;
        self.pending -= 1;
    }
}
