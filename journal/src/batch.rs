//! Group commit, the pure half: which submissions go to the disk together. While one batch is on its way, everything that
//! arrives waits here for the next.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::id::{Position, RunId};
use crate::key::Digest;
use crate::store::{Batch, Row};

/// A batch ends at this many bytes: about what a disk takes in the time that a sync costs anyway.
pub const BATCH_BYTES_MAX: usize = 4 << 20;

/// A batch ends at this many records, so that a sync answers in milliseconds.
pub const BATCH_RECORDS_MAX: usize = 2_000;

/// What one run wants to have durable, all of it or nothing. `T` is whatever the submitter wants to hear back.
#[derive(Clone, Debug)]
pub struct Submission<T> {
    /// The run.
    pub run: RunId,
    /// Its records, in order.
    pub rows: Vec<Row>,
    /// Their payloads, by position.
    pub payloads: Vec<(Position, Arc<[u8]>)>,
    /// Shared texts that they refer to.
    pub blobs: Vec<(Digest, Arc<[u8]>)>,
    /// The run's summary behind these records, if it changed.
    pub summary: Option<Vec<u8>>,
    /// Comes back with the batch.
    pub ticket: T,
}

impl<T> Submission<T> {
    fn bytes(&self) -> usize {
        self.rows.iter().map(|row| row.bytes.len()).sum::<usize>()
            + self
                .payloads
                .iter()
                .map(|(_, bytes)| bytes.len())
                .sum::<usize>()
            + self
                .blobs
                .iter()
                .map(|(_, bytes)| bytes.len())
                .sum::<usize>()
            + self.summary.as_ref().map_or(0, Vec::len)
    }
}

/// What waits to be written.
#[derive(Debug)]
pub struct Queue<T> {
    limits: Limits,
    /// What each run has waiting, oldest first; a run without anything waiting is not in here.
    waiting: HashMap<RunId, VecDeque<(usize, Submission<T>)>>,
    /// The runs of `waiting`, the one whose turn it is first.
    turns: VecDeque<RunId>,
    pending_bytes: usize,
}

/// When a batch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// At this many bytes.
    pub bytes_max: usize,
    /// At this many records.
    pub records_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes_max: BATCH_BYTES_MAX,
            records_max: BATCH_RECORDS_MAX,
        }
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl<T> Queue<T> {
    /// An empty queue.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            waiting: HashMap::new(),
            turns: VecDeque::new(),
            pending_bytes: 0,
        }
    }

    /// Puts a submission behind those of its run.
    pub fn push(&mut self, submission: Submission<T>) {
        let bytes = submission.bytes();
        let run = submission.run;
        self.pending_bytes += bytes;
        let waiting = self.waiting.entry(run).or_default();
        if waiting.is_empty() {
            self.turns.push_back(run);
        }
        waiting.push_back((bytes, submission));
    }

    /// Bytes that wait here; those of a batch that was taken are not among them.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// The next batch and the tickets of all that is in it, in the order of their records; `None` when nothing waits.
    ///
    /// The runs take turns, a submission at a time. A submission is never split: one that alone is over the limits is a
    /// batch of its own.
    pub fn next_batch(&mut self) -> Option<(Batch, Vec<T>)> {
        let mut batch = Batch::default();
        let mut tickets = Vec::new();
        let mut bytes = 0;
        let mut summaries: HashMap<RunId, Vec<u8>> = HashMap::new();
        let limits = self.limits;
        while bytes <= limits.bytes_max && batch.records.len() <= limits.records_max {
            let room = Limits {
                bytes_max: limits.bytes_max - bytes,
                records_max: limits.records_max - batch.records.len(),
            };
            // The first one goes in any case: it cannot be made smaller.
            let room = (!tickets.is_empty()).then_some(room);
            let Some((size, submission)) = self.take_within(room) else {
                break;
            };
            let Submission {
                run,
                rows,
                payloads,
                blobs,
                summary,
                ticket,
            } = submission;
            bytes += size;
            batch
                .records
                .extend(rows.into_iter().map(|row| (run, row.position, row.bytes)));
            batch.payloads.extend(
                payloads
                    .into_iter()
                    .map(|(position, bytes)| (run, position, bytes)),
            );
            batch.blobs.extend(blobs);
            if let Some(summary) = summary {
                summaries.insert(run, summary);
            }
            tickets.push(ticket);
        }
        if tickets.is_empty() {
            return None;
        }
        batch.summaries = summaries.into_iter().collect();
        batch.summaries.sort_unstable_by_key(|(run, _)| *run);
        Some((batch, tickets))
    }

    /// The next submission, if there is room for it; its run goes to the end of the line.
    fn take_within(&mut self, room: Option<Limits>) -> Option<(usize, Submission<T>)> {
        let run = *self.turns.front()?;
        let waiting = self.waiting.get_mut(&run)?;
        let (bytes, submission) = waiting.front()?;
        let fits =
            |room: Limits| *bytes <= room.bytes_max && submission.rows.len() <= room.records_max;
        if !room.is_none_or(fits) {
            return None;
        }
        let taken = waiting.pop_front()?;
        self.turns.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&run);
        } else {
            self.turns.push_back(run);
        }
        self.pending_bytes -= taken.0;
        Some(taken)
    }
}
