//! Runs from a store, a page at a time: no more than a page of a run is in memory, and no read transaction outlives one.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::codec::{self, Entry};
use crate::error::{Damage, StoreError};
use crate::id::{Position, RunId};
use crate::key::Digest;
use crate::state::{RunState, Summary};
use crate::store::{Row, Store};
use crate::text::{self, Text};

/// Rows that one page has at most.
pub const PAGE_ROWS: usize = 1_000;

/// Bytes that one page of payloads has at most, but for a single larger one.
pub const PAGE_BYTES: usize = 4 << 20;

/// The rows of a run from a position on, read a page at a time; ends behind an error.
pub struct Rows<'store> {
    store: &'store dyn Store,
    run: RunId,
    page: VecDeque<Row>,
    /// Where the next page begins; `None` behind the last.
    next_page: Option<Position>,
}

impl<'store> Rows<'store> {
    /// Rows of `run` from `from` on.
    pub fn new(store: &'store dyn Store, run: RunId, from: Position) -> Self {
        Self {
            store,
            run,
            page: VecDeque::new(),
            next_page: Some(from),
        }
    }

    fn read_page(&mut self) -> Result<(), StoreError> {
        let Some(from) = self.next_page.take() else {
            return Ok(());
        };
        let rows = self.store.records(self.run, from, PAGE_ROWS)?;
        if rows.len() == PAGE_ROWS {
            self.next_page = rows.last().map(|row| row.position.next());
        }
        self.page = rows.into();
        Ok(())
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Row, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty()
            && let Err(error) = self.read_page()
        {
            return Some(Err(error));
        }
        self.page.pop_front().map(Ok)
    }
}

/// The records of `run` from `from` on; ends behind the first error. That none is missing is what the fold and [`verify`]
/// check.
pub fn entries(
    store: &dyn Store,
    run: RunId,
    from: Position,
) -> impl Iterator<Item = Result<Entry, StoreError>> {
    let mut rows = Rows::new(store, run, from);
    let mut broken = false;
    std::iter::from_fn(move || {
        if broken {
            return None;
        }
        let entry = rows
            .next()?
            .and_then(|row| codec::decode(run, row.position, &row.bytes));
        broken = entry.is_err();
        Some(entry)
    })
}

/// The text that `text` stands for; `position` is that of the record that holds it.
///
/// # Errors
/// [`StoreError::Damage`] when the store does not have it, or has another.
pub fn resolve(
    store: &dyn Store,
    run: RunId,
    position: Position,
    text: &Text,
) -> Result<Arc<str>, StoreError> {
    let (reference, bytes) = match text {
        Text::Inline(text) => return Ok(Arc::clone(text)),
        Text::Payload(reference) => (reference, store.payload(run, position)?),
        Text::Shared(reference) => (reference, store.blob(reference.hash)?),
    };
    let bytes = bytes.ok_or_else(|| {
        Damage::new(format!(
            "the text {} of record {position} of {run} is missing",
            reference.hash
        ))
    })?;
    Ok(text::unpack(reference, &bytes)?)
}

/// The texts of a run's records in the order of their records, payloads read ahead a page at a time: for recovery, which
/// wants all of them. Any other order works too, a look-up a text.
pub struct Texts<'store> {
    store: &'store dyn Store,
    run: RunId,
    ahead: VecDeque<Row>,
    /// Payloads before this position are in `ahead` or behind us.
    read_to: Position,
}

impl<'store> Texts<'store> {
    /// The texts of `run`.
    pub fn new(store: &'store dyn Store, run: RunId) -> Self {
        Self {
            store,
            run,
            ahead: VecDeque::new(),
            read_to: Position(0),
        }
    }

    /// As [`resolve`].
    ///
    /// # Errors
    /// [`StoreError::Damage`] when the store does not have the text, or has another.
    pub fn resolve(&mut self, position: Position, text: &Text) -> Result<Arc<str>, StoreError> {
        let Text::Payload(reference) = text else {
            return resolve(self.store, self.run, position, text);
        };
        if position >= self.read_to {
            self.ahead = self
                .store
                .payloads(self.run, position, PAGE_ROWS, PAGE_BYTES)?
                .into();
            self.read_to = self
                .ahead
                .back()
                .map_or(position, |row| row.position.next());
        }
        while self
            .ahead
            .front()
            .is_some_and(|row| row.position < position)
        {
            self.ahead.pop_front();
        }
        match self.ahead.front() {
            Some(row) if row.position == position => Ok(text::unpack(reference, &row.bytes)?),
            _ => resolve(self.store, self.run, position, text),
        }
    }
}

/// What all records of a run make of it. A run without records gives [`RunState::new`].
///
/// # Errors
/// [`StoreError::Damage`] names the first record that cannot be where it is.
pub fn load_state(store: &dyn Store, run: RunId) -> Result<RunState, StoreError> {
    let mut state = RunState::new(run);
    for entry in entries(store, run, Position(0)) {
        state
            .apply(&entry?)
            .map_err(|illegal| Damage::new(format!("{run}: {illegal}")))?;
    }
    Ok(state)
}

/// One run's summary; `None` when the store has no such run.
///
/// # Errors
/// [`StoreError`] when it cannot be read.
pub fn summary(store: &dyn Store, run: RunId) -> Result<Option<Summary>, StoreError> {
    store
        .summary(run)?
        .map(|bytes| codec::decode_summary(run, &bytes))
        .transpose()
}

/// Every run's summary in the order of ids, read a page at a time; ends behind the first error.
pub fn summaries(store: &dyn Store) -> impl Iterator<Item = Result<(RunId, Summary), StoreError>> {
    let mut page: VecDeque<(RunId, Vec<u8>)> = VecDeque::new();
    let mut after = None;
    let mut done = false;
    std::iter::from_fn(move || {
        if page.is_empty() && !done {
            match store.summaries(after, PAGE_ROWS) {
                Ok(read) => {
                    done = read.len() < PAGE_ROWS;
                    after = read.last().map(|(run, _)| *run);
                    page = read.into();
                }
                Err(error) => {
                    done = true;
                    return Some(Err(error));
                }
            }
        }
        let (run, bytes) = page.pop_front()?;
        let summary = codec::decode_summary(run, &bytes);
        if summary.is_err() {
            page.clear();
            done = true;
        }
        Some(summary.map(|summary| (run, summary)))
    })
}

/// Walks all records of a run and checks that none was changed, lost or moved; gives where the next one will stand and the
/// hash over all of them, which must be those of the run's summary if no end of the run may be missing.
///
/// # Errors
/// [`StoreError::Damage`] names the first record that is not as it was written.
pub fn verify(store: &dyn Store, run: RunId) -> Result<(Position, Digest), StoreError> {
    let mut next = Position(0);
    let mut head = codec::origin(run);
    for row in Rows::new(store, run, next) {
        let Row { position, bytes } = row?;
        if position != next {
            return Err(Damage::new(format!("record {next} of {run} is missing")).into());
        }
        head = codec::verify(head, &bytes)
            .map_err(|_| Damage::new(format!("record {position} of {run} is not as written")))?;
        next = position.next();
    }
    Ok((next, head))
}
