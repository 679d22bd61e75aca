//! Errors, sorted by what the caller does next.

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
    /// The bytes are damaged.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// The disk is full, gone, or refuses. After this nothing more is acknowledged from the same handle: what a failed
    /// sync left in the page cache cannot be known.
    #[error("the journal cannot be written or read: {0}")]
    Io(String),
}
