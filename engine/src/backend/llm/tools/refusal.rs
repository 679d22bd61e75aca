//! Why a file is not touched, in words for the model: what is the matter, and what can be done.

use std::io;

use super::answer::Answer;

/// Why a file is not read or not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the path is empty: name a file or a folder")]
    Empty,
    #[error("{path:?} is no path: it has a NUL character in it")]
    Nul { path: String },
    #[error(
        "{path} leads out of the working directory {root}: only files in it can be used; give a path from it, without `..`"
    )]
    Outside { path: String, root: String },
    #[error("{path} can be read and not written: write in the working directory {root}")]
    ReadOnlyFolder { path: String, root: String },
    #[error("{path} belongs to git, and is not written by a tool")]
    Git { path: String },
    #[error("there is no {path}{near}")]
    NotFound { path: String, near: String },
    #[error("{path} is a folder: glob with the pattern `*` and this path lists what is in it")]
    Folder { path: String },
    #[error("{path} is a file: give a folder")]
    NoFolder { path: String },
    #[error("{path} is {kind}: only regular files are opened")]
    Special { path: String, kind: &'static str },
    #[error("{path} is a link to something that does not exist: write to another name")]
    Dangling { path: String },
    #[error("{path} is write-protected, and stays as it is")]
    Protected { path: String },
    #[error(
        "{path} is {size} bytes, and files of more than {max} are not opened as a whole: {remedy}"
    )]
    TooLarge {
        path: String,
        size: u64,
        max: u64,
        remedy: &'static str,
    },
    #[error("{path} exists and has not been read yet: read it first, then decide what to write")]
    NotRead { path: String },
    #[error(
        "{path} has changed since it was read: read it again, then repeat this with what it says now"
    )]
    Changed { path: String },
    #[error("{path} was removed since it was read: write makes it anew")]
    Gone { path: String },
    #[error("{path}: {error}")]
    Io { path: String, error: io::Error },
    #[error("cancelled: nothing was changed")]
    Cancelled,
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::error(refusal.to_string())
    }
}
