//! A working tree of its own for each agent (T01, T02): a pool of linked git worktrees, of which an attempt gets one at its
//! run's base commit, and whose changes are kept as a branch or as a patch.
//!
//! ```text
//! <folder>/<journal>/            one pool: one repository, one journal; `lock` is held while it is open
//!     bw-<journal>-01/           a worktree that an agent works in
//!     .slots/01/                 what the engine knows of it: its own index, its state, whose it is
//!     leftovers/                 patches of attempts that a crash cut off
//! ```
//!
//! **The engine's own index.** Beside the index that git commands in the worktree use stands one that only the engine
//! writes and that always holds the base. What an agent changed is the difference between that index and the files,
//! whatever the agent did with git meanwhile: commits, other branches, a rebase half done, files marked as unchanged. It
//! also makes the comparison cheap: some 10 ms for 5,000 files.
//!
//! **A lease is a marker on the disk.** It is written before an agent gets the worktree and removed when the worktree is
//! clean again, so that whoever opens the pool next knows what a crash left and whose it was.
//!
//! [`Base`] says where work begins, [`Pool::acquire`] gives a [`Worktree`], and its `keep`, `discard` or `release` takes it
//! back; [`Isolated`] does all of that around a backend.

pub(crate) mod base;
pub(crate) mod changes;
mod clean;
mod create;
mod disk;
mod error;
mod extras;
mod free;
mod index;
mod isolated;
mod lease;
mod leftovers;
mod pool;
mod ready;
mod salvage;
mod settings;
mod setup;
pub(crate) mod shell;
mod slot;
mod submodule;
mod template;

pub use self::base::Base;
pub use self::error::WorktreeError;
pub use self::isolated::Isolated;
pub use self::lease::{Kept, Worktree};
pub use self::pool::{Pool, PoolOptions};
pub use self::settings::{Settings, Uncommitted};
pub use crate::git::{Git, GitError};

/// Runs `work`, which may wait for the disk, on a thread that may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, WorktreeError> + Send + 'static,
) -> Result<T, WorktreeError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|gone| Err(WorktreeError::Interrupted(gone.to_string())))
}
