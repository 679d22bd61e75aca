//! Why an agent has no worktree, or its changes are not kept.

use std::io;
use std::path::{Path, PathBuf};

use crate::git::{GitError, is_disk_full};

/// So many files are named in an error.
const FILES_NAMED: usize = 5;

/// Why an agent has no worktree, or its changes are not kept. It never works in the main checkout instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorktreeError {
    /// Git, or the repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The caller has changes that an agent would not see.
    #[error(
        "{} with uncommitted changes ({}): commit or stash them, or set `[worktree] uncommitted = \"include\"`",
        files_in_all(*.count),
        .files.join(", ")
    )]
    Uncommitted {
        /// Some of them.
        files: Vec<String>,
        /// How many there are.
        count: usize,
    },
    /// The caller is in the middle of a merge.
    #[error("{} in conflict ({}): resolve that first", files_in_all(*.count), .files.join(", "))]
    Unmerged {
        /// Some of them.
        files: Vec<String>,
        /// How many there are.
        count: usize,
    },
    /// The folder belongs to another repository than the pool.
    #[error("{} is in another repository than {}", .folder.display(), .repository.display())]
    OtherRepository {
        /// The folder to work in.
        folder: PathBuf,
        /// The pool's repository.
        repository: PathBuf,
    },
    /// A path that is to be linked or copied, or that a setup depends on.
    #[error("`[worktree] {setting}`: `{path}` {problem}")]
    Path {
        /// `link`, `copy` or `setup_inputs`.
        setting: &'static str,
        /// The path.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The command that makes a worktree ready.
    #[error("the worktree's setup `{command}` {ended}{}", last_line(.output))]
    Setup {
        /// The command.
        command: String,
        /// How it ended.
        ended: String,
        /// The end of what it wrote.
        output: String,
    },
    /// No command can be started.
    #[error("{0}")]
    Launcher(String),
    /// Not one worktree fits.
    #[error(
        "a worktree takes {needed} bytes and `[worktree] disk_limit` is {limit}: raise it, or share large folders with \
         `[worktree] link`"
    )]
    DiskLimit {
        /// The limit.
        limit: u64,
        /// What one takes.
        needed: u64,
    },
    /// There is no room.
    #[error("no space is left on the disk for a worktree in {}: make room, or set `[worktree] disk_limit`", .0.display())]
    DiskFull(PathBuf),
    /// A submodule's commit is not at hand.
    #[error(
        "the submodule `{path}` needs commit {commit}, which the main checkout does not have: run `git submodule update \
         --init --recursive` there"
    )]
    Submodule {
        /// The submodule.
        path: String,
        /// The commit.
        commit: String,
    },
    /// Changes that cannot be kept.
    #[error(
        "files inside the submodule `{0}` were changed: those are another repository's and cannot be kept; let the agent \
         work in a checkout of that one"
    )]
    SubmoduleChanged(String),
    /// Files that were left out cannot be told from files that were removed.
    #[error(
        "the agent made its worktree sparse (`git sparse-checkout`), so that removed files cannot be told from those left \
         out: let it work without that, or make the main checkout sparse"
    )]
    MadeSparse,
    /// No branch can be made.
    #[error(
        "a branch named `{0}` is in the way: rename it, so that agents' branches can be made below that name"
    )]
    BranchInTheWay(String),
    /// Another engine has the pool.
    #[error("another engine works in {}", .0.display())]
    Busy(PathBuf),
    /// The operating system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The engine is ending, or a part of it broke.
    #[error("the work on a worktree was cut off: {0}")]
    Interrupted(String),
}

fn files_in_all(count: usize) -> String {
    match count {
        1 => "there is 1 file".to_owned(),
        count => format!("there are {count} files"),
    }
}

impl WorktreeError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        if is_disk_full(&source) {
            return Self::DiskFull(path.to_owned());
        }
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn uncommitted(files: Vec<String>) -> Self {
        let (files, count) = some(files);
        Self::Uncommitted { files, count }
    }

    pub(super) fn unmerged(files: Vec<String>) -> Self {
        let (files, count) = some(files);
        Self::Unmerged { files, count }
    }

    /// What shows more than the message: the end of a command's output.
    #[must_use]
    pub fn evidence(&self) -> Option<&str> {
        match self {
            Self::Setup { output, .. } if !output.is_empty() => Some(output),
            _ => None,
        }
    }

    /// Whether the disk is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Git(error) => error.is_disk_full(),
            Self::DiskFull(_) => true,
            _ => false,
        }
    }
}

fn last_line(output: &str) -> String {
    let last = output.lines().map(str::trim).rfind(|line| !line.is_empty());
    last.map_or_else(String::new, |line| format!(": {line}"))
}

fn some(mut files: Vec<String>) -> (Vec<String>, usize) {
    let count = files.len();
    files.truncate(FILES_NAMED);
    if count > FILES_NAMED {
        files.push("…".to_owned());
    }
    (files, count)
}
