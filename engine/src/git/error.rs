//! What can be wrong with git or a repository, by what a person does about it.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// Why git did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// The program is not there.
    #[error(
        "there is no `{}`: isolated agents and merging need git {} or later; install it, or leave `isolation` out",
        .program.display(),
        oldest()
    )]
    Missing {
        /// What was looked for.
        program: PathBuf,
    },
    /// It is too old.
    #[error(
        "this is {said}: isolated agents and merging need git {} or later",
        oldest()
    )]
    TooOld {
        /// What it says of itself.
        said: String,
    },
    /// The folder belongs to no repository.
    #[error(
        "{} is in no git repository: run `git init` and commit what agents should start from, or leave `isolation` out",
        .0.display()
    )]
    NotARepository(PathBuf),
    /// The repository has no files to work on.
    #[error("{} is in a bare repository, which has no checkout: start in a worktree of it", .0.display())]
    Bare(PathBuf),
    /// There is nothing to start from.
    #[error("the repository of {} has no commit yet: commit what agents should start from", .0.display())]
    NoCommit(PathBuf),
    /// A revision that was asked for is not there.
    #[error("`{revision}` names no commit of the repository")]
    UnknownRevision {
        /// What was asked for.
        revision: String,
    },
    /// There is no room for what git writes.
    #[error(
        "no space is left on the disk for `git {command}`: make room, or set `[worktree] disk_limit`"
    )]
    DiskFull {
        /// What git was doing.
        command: String,
    },
    /// A filter of the repository (as `git-lfs`) did not work.
    #[error(
        "a filter that this repository needs failed: {stderr}; install its program (for `lfs`: git-lfs), or try \
         `git checkout` in a worktree of your own"
    )]
    Filter {
        /// The end of what git said.
        stderr: String,
    },
    /// Any other failure.
    #[error("`git {command}` {ended}: {stderr}")]
    Failed {
        /// The arguments.
        command: String,
        /// Its exit code or signal.
        ended: String,
        /// The end of what it said.
        stderr: String,
    },
    /// It answered something that makes no sense.
    #[error("`git {command}` gave an answer that cannot be read")]
    Unreadable {
        /// The arguments.
        command: String,
    },
    /// The operating system refused.
    #[error("git cannot be run: {0}")]
    Io(#[from] io::Error),
}

fn oldest() -> String {
    let (major, minor) = super::VERSION_MIN;
    format!("{major}.{minor}")
}

impl GitError {
    /// What a call's end means.
    pub(super) fn of(command: &str, status: ExitStatus, stderr: &str) -> Self {
        if says_disk_full(stderr) {
            return Self::DiskFull {
                command: command.to_owned(),
            };
        }
        // `fatal: a.bin: smudge filter lfs failed`, `error: external filter 'git-lfs clean' failed`
        let is_filter = |line: &str| line.contains(" filter ") && line.contains(" failed");
        if stderr.lines().any(is_filter) {
            return Self::Filter {
                stderr: one_line(stderr),
            };
        }
        Self::Failed {
            command: command.to_owned(),
            ended: match status.code() {
                Some(code) => format!("ended with exit code {code}"),
                None => "was ended by a signal".to_owned(),
            },
            stderr: one_line(stderr),
        }
    }

    pub(crate) fn unreadable(command: &str) -> Self {
        Self::Unreadable {
            command: command.to_owned(),
        }
    }

    /// Whether the disk, or a quota on it, is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::DiskFull { .. } => true,
            Self::Io(error) => is_disk_full(error),
            _ => false,
        }
    }
}

/// Whether an error of the operating system means that there is no room.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn says_disk_full(stderr: &str) -> bool {
    ["No space left on device", "Disk quota exceeded"]
        .iter()
        .any(|words| stderr.contains(words))
}

fn one_line(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}
