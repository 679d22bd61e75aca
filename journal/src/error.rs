//! Errors, sorted by what the caller does next.

use crate::id::{Position, RunId};

/// Bytes that are no journal of ours, or one that was changed behind our back. Nothing can be done but to restore or to
/// leave the run alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal is damaged: {0}")]
pub struct Damage(String);

impl Damage {
    /// Says what does not fit, and where.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process holds the file; ask that one, or wait.
    #[error("the journal {path} is in use by another process")]
    InUse {
        /// The journal's file.
        path: String,
    },
    /// The file was written by a program of another format; upgrade, or open it with that one.
    #[error(
        "the journal has format {found}, and this program knows {known}; use the bellwether that wrote it, or a newer one"
    )]
    Format {
        /// The format's number in the file.
        found: u32,
        /// The newest that this program reads.
        known: u32,
    },
    /// A record of a kind that this program does not know; upgrade.
    #[error(
        "record {position} of {run} is of kind {kind}, which this program does not know; use a newer bellwether"
    )]
    UnknownKind {
        /// The run.
        run: RunId,
        /// The record's place in it.
        position: Position,
        /// The kind's number.
        kind: u16,
    },
    /// There is no file; start a run, or name another file.
    #[error("there is no journal at {path}; the first run begins one")]
    Missing {
        /// The journal's file.
        path: String,
    },
    /// The path leads to something else; name another file. It was left as it was.
    #[error("{path} is no journal: {reason}; name another file, or move this one away")]
    NotAJournal {
        /// The journal's file.
        path: String,
        /// What it is instead.
        reason: String,
    },
    /// The file is a journal, but cut off or changed; restore it. It was left as it was.
    #[error(
        "the journal {path} is damaged: {reason}; restore it from a copy, or move it away to begin a new one"
    )]
    Damaged {
        /// The journal's file.
        path: String,
        /// What does not fit.
        reason: String,
    },
    /// The operating system does not let us; change the permissions or name another file.
    #[error(
        "the journal {path} cannot be opened: {reason}; check that you may read and write the file and its folder"
    )]
    Denied {
        /// The journal's file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// A record stands there already, so nothing of the batch was written. Somebody else writes this run.
    #[error("record {position} of {run} is there already and is not written over")]
    Occupied {
        /// The run.
        run: RunId,
        /// The record's place in it.
        position: Position,
    },
    /// The bytes are damaged.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// The disk is full, gone, or refuses. After this nothing more is acknowledged from the same handle: what a failed
    /// sync left in the page cache cannot be known.
    #[error("the journal cannot be written or read: {0}")]
    Io(String),
}
