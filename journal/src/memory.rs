//! A store without a disk: for tests, and for runs that need not outlive their process.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::StoreError;
use crate::id::{Epoch, Position, RunId};
use crate::key::Digest;
use crate::store::{Batch, Row, Store};

/// A store in memory. A clone is another handle of the same store, as reopening a file is.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    identity: Digest,
    contents: Arc<Mutex<Contents>>,
}

#[derive(Debug, Default)]
struct Contents {
    epoch: Epoch,
    records: BTreeMap<(RunId, Position), Arc<[u8]>>,
    payloads: BTreeMap<(RunId, Position), Arc<[u8]>>,
    blobs: BTreeMap<Digest, Arc<[u8]>>,
    summaries: BTreeMap<RunId, Vec<u8>>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        static STORES: AtomicU64 = AtomicU64::new(0);
        let number = STORES.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let identity = Digest::of(
            "memory store",
            &[&process.to_le_bytes(), &number.to_le_bytes()],
        );
        Self {
            identity,
            contents: Arc::default(),
        }
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        // Nothing in here panics between two changes that belong together.
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn page(
    table: &BTreeMap<(RunId, Position), Arc<[u8]>>,
    run: RunId,
    from: Position,
) -> impl Iterator<Item = Row> {
    table
        .range((run, from)..=(run, Position(u64::MAX)))
        .map(|(&(_, position), bytes)| Row {
            position,
            bytes: bytes.to_vec(),
        })
}

impl Store for MemoryStore {
    fn raise_epoch(&self) -> Result<Epoch, StoreError> {
        let mut contents = self.contents();
        contents.epoch = contents.epoch.next();
        Ok(contents.epoch)
    }

    fn identity(&self) -> Result<Digest, StoreError> {
        Ok(self.identity)
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut contents = self.contents();
        for (index, (run, position, bytes)) in batch.records.iter().enumerate() {
            match contents.records.entry((*run, *position)) {
                Entry::Vacant(place) => {
                    place.insert(bytes.as_slice().into());
                }
                Entry::Occupied(_) => {
                    for (run, position, _) in &batch.records[..index] {
                        contents.records.remove(&(*run, *position));
                    }
                    return Err(StoreError::Occupied {
                        run: *run,
                        position: *position,
                    });
                }
            }
        }
        for (run, position, bytes) in &batch.payloads {
            contents
                .payloads
                .insert((*run, *position), Arc::clone(bytes));
        }
        for (hash, bytes) in &batch.blobs {
            contents
                .blobs
                .entry(*hash)
                .or_insert_with(|| Arc::clone(bytes));
        }
        for (run, bytes) in &batch.summaries {
            contents.summaries.insert(*run, bytes.clone());
        }
        Ok(())
    }

    fn summaries(
        &self,
        after: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<(RunId, Vec<u8>)>, StoreError> {
        Ok(self
            .contents()
            .summaries
            .iter()
            .filter(|(run, _)| after.is_none_or(|after| **run > after))
            .take(limit)
            .map(|(run, bytes)| (*run, bytes.clone()))
            .collect())
    }

    fn summary(&self, run: RunId) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.contents().summaries.get(&run).cloned())
    }

    fn records(&self, run: RunId, from: Position, limit: usize) -> Result<Vec<Row>, StoreError> {
        Ok(page(&self.contents().records, run, from)
            .take(limit)
            .collect())
    }

    fn payloads(
        &self,
        run: RunId,
        from: Position,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let contents = self.contents();
        within(
            page(&contents.payloads, run, from).take(limit).map(Ok),
            bytes_max,
        )
    }

    fn payload(&self, run: RunId, position: Position) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self
            .contents()
            .payloads
            .get(&(run, position))
            .map(|bytes| bytes.to_vec()))
    }

    fn blob(&self, hash: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.contents().blobs.get(&hash).map(|bytes| bytes.to_vec()))
    }
}

/// The rows that are at most `bytes_max` bytes together, and the first one in any case.
pub(crate) fn within<E>(
    rows: impl Iterator<Item = Result<Row, E>>,
    bytes_max: usize,
) -> Result<Vec<Row>, E> {
    let mut page: Vec<Row> = Vec::new();
    let mut bytes = 0_usize;
    for row in rows {
        let row = row?;
        bytes = bytes.saturating_add(row.bytes.len());
        if bytes > bytes_max && !page.is_empty() {
            break;
        }
        page.push(row);
    }
    Ok(page)
}
