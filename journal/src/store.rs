//! What keeps a journal: the trait that stores implement, in bytes, so that a store knows neither records nor codec.

use std::sync::Arc;

use crate::error::StoreError;
use crate::id::{Epoch, Position, RunId};
use crate::key::Digest;

/// A record as a store keeps it: the envelope's bytes at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The record's place in its run.
    pub position: Position,
    /// The envelope ([`crate::codec`]).
    pub bytes: Vec<u8>,
}

/// What is made durable together: all of it or nothing.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Records, in order within each run.
    pub records: Vec<(RunId, Position, Vec<u8>)>,
    /// Payloads, at the position of their record.
    pub payloads: Vec<(RunId, Position, Arc<[u8]>)>,
    /// Shared texts by hash; one that is there already is left as it is.
    pub blobs: Vec<(Digest, Arc<[u8]>)>,
    /// The newest summary of each run that changed.
    pub summaries: Vec<(RunId, Vec<u8>)>,
}

impl Batch {
    /// Bytes that the batch carries, without keys.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.records
            .iter()
            .map(|(_, _, bytes)| bytes.len())
            .sum::<usize>()
            + self
                .payloads
                .iter()
                .map(|(_, _, bytes)| bytes.len())
                .sum::<usize>()
            + self
                .blobs
                .iter()
                .map(|(_, bytes)| bytes.len())
                .sum::<usize>()
            + self
                .summaries
                .iter()
                .map(|(_, bytes)| bytes.len())
                .sum::<usize>()
    }
}

/// A place where journals are kept. One writer at a time; readers may read beside it.
///
/// Every method may block on a disk, so the engine calls them only from threads where that is allowed.
pub trait Store: Send + Sync + 'static {
    /// Raises the epoch, durably, and gives the new one. Called once per opening for writing, before anything else is
    /// written.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it could not be made durable.
    fn raise_epoch(&self) -> Result<Epoch, StoreError>;

    /// The store's own name for good: the same for every opening, another for every store. It marks the processes that
    /// belong to its runs.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it cannot be read.
    fn identity(&self) -> Result<Digest, StoreError>;

    /// Makes a batch durable: when this returns `Ok`, the batch survives power loss; when it returns an error, either
    /// all of the batch is there or nothing.
    ///
    /// # Errors
    /// [`StoreError::Occupied`] when a record is there already; [`StoreError::Io`] or [`StoreError::Damage`], after which
    /// the store refuses every further commit.
    fn commit(&self, batch: &Batch) -> Result<(), StoreError>;

    /// Summaries of runs, at most `limit`, those after `after` in the order of ids.
    ///
    /// # Errors
    /// [`StoreError::Io`] when they cannot be read.
    fn summaries(
        &self,
        after: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<(RunId, Vec<u8>)>, StoreError>;

    /// One run's summary.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it cannot be read.
    fn summary(&self, run: RunId) -> Result<Option<Vec<u8>>, StoreError>;

    /// Records of a run from `from` on, at most `limit`, in order. A page is one read transaction.
    ///
    /// # Errors
    /// [`StoreError::Io`] when they cannot be read.
    fn records(&self, run: RunId, from: Position, limit: usize) -> Result<Vec<Row>, StoreError>;

    /// Payloads of a run from position `from` on, at most `limit` and, after the first, at most `bytes_max` bytes, in order.
    ///
    /// # Errors
    /// [`StoreError::Io`] when they cannot be read.
    fn payloads(
        &self,
        run: RunId,
        from: Position,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<Row>, StoreError>;

    /// One record's payload.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it cannot be read.
    fn payload(&self, run: RunId, position: Position) -> Result<Option<Vec<u8>>, StoreError>;

    /// A shared text's bytes.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it cannot be read.
    fn blob(&self, hash: Digest) -> Result<Option<Vec<u8>>, StoreError>;
}
