//! The branch that others land in: found or made, and moved only from what it is known to be.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{LandError, Landing};
use crate::git::{Git, GitError};
use crate::worktree::base::{commit_of, uncommitted};
use crate::worktree::{Pool, WorktreeError};

/// How often another process's landing is looked at.
const LOOK: Duration = Duration::from_millis(100);

pub(super) struct Target<'a> {
    pub(super) git: &'a Git,
    pool: &'a Pool,
    /// Some checkout of the repository.
    pub(super) top: &'a Path,
    pub(super) into: &'a str,
    name: String,
}

/// Who moved the target.
pub(super) enum Moved {
    Yes,
    BySomebodyElse,
}

/// The repository's landing lock, held. Nothing is written for it: it is git's own folder that is locked.
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing it would not do: a process that is just being started still has it, too.
        let _ = self.0.unlock();
    }
}

/// Waits until no other process lands anything in the repository.
pub(super) async fn lock(common: &Path) -> Result<Lock, LandError> {
    let folder = File::open(common).map_err(|error| WorktreeError::io(common, error))?;
    loop {
        match folder.try_lock() {
            Ok(()) => return Ok(Lock(folder)),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOOK).await,
            Err(TryLockError::Error(error)) => return Err(WorktreeError::io(common, error).into()),
        }
    }
}

impl<'a> Target<'a> {
    /// Finds the target, or makes it at the base.
    pub(super) async fn open(
        git: &'a Git,
        pool: &'a Pool,
        landing: &'a Landing,
    ) -> Result<Self, LandError> {
        let target = Self {
            git,
            pool,
            top: landing.base.top(),
            into: &landing.into,
            name: format!("refs/heads/{}", landing.into),
        };
        target.check_name(landing).await?;
        if commit_of(git, target.top, &target.name).await?.is_none() {
            let made = target.update(landing.base.commit(), "").await;
            if let Err(error) = made {
                let problem = error.to_string();
                return Err(target.cannot_be(problem));
            }
        }
        target.check().await?;
        Ok(target)
    }

    fn cannot_be(&self, problem: impl Into<String>) -> LandError {
        LandError::Target {
            into: self.into.to_owned(),
            problem: problem.into(),
        }
    }

    async fn check_name(&self, landing: &Landing) -> Result<(), LandError> {
        let is_odd = self.into.starts_with('-') || self.into == "HEAD";
        let call = self
            .git
            .call(self.top)
            .args(["check-ref-format", &self.name]);
        if is_odd || self.into.starts_with("refs/") || !call.output().await?.success() {
            return Err(self.cannot_be("name a branch, as in `main` or `migration/landed`"));
        }
        if landing
            .branches
            .iter()
            .any(|branch| branch.name == self.into)
        {
            return Err(self.cannot_be("it is one of the branches that are to land"));
        }
        let call = self
            .git
            .call(self.top)
            .args(["symbolic-ref", "--quiet", &self.name]);
        if call.output().await?.success() {
            return Err(self.cannot_be("it is another name of some other branch: name that one"));
        }
        Ok(())
    }

    /// What it is.
    pub(super) async fn tip(&self) -> Result<String, LandError> {
        let tip = commit_of(self.git, self.top, &self.name).await?;
        tip.ok_or_else(|| self.cannot_be("it was removed while branches landed in it"))
    }

    /// Makes sure that it can be moved, as far as that can be seen.
    pub(super) async fn check(&self) -> Result<(), LandError> {
        match self.checkout().await? {
            Some(folder) => self.check_out_is_clean(&folder).await,
            None => Ok(()),
        }
    }

    /// Moves it from `before` to `after`, a commit that has `before` behind it. Where it is checked out, the files there
    /// move with it.
    pub(super) async fn go(&self, before: &str, after: &str) -> Result<Moved, LandError> {
        let failed = match self.checkout().await? {
            None => match self.update(after, before).await {
                Ok(()) => return Ok(Moved::Yes),
                Err(error) => LandError::Git(error),
            },
            Some(folder) => match self.fast_forward(&folder, after).await {
                Ok(()) => return Ok(Moved::Yes),
                Err(error) => error,
            },
        };
        if self.tip().await? == before {
            return Err(failed);
        }
        Ok(Moved::BySomebodyElse)
    }

    /// Moves a checkout that is on the target.
    async fn fast_forward(&self, folder: &Path, after: &str) -> Result<(), LandError> {
        self.check_out_is_clean(folder).await?;
        let call = self.git.call(folder).durable().identity();
        let call = call.args(["merge", "--quiet", "--ff-only", "--no-autostash"]);
        let output = call
            .args(["--no-verify-signatures", after])
            .output()
            .await?;
        if !output.success() {
            let problem = format!("and cannot be moved on: {}", output.stderr());
            return Err(self.checked_out(folder, problem));
        }
        Ok(())
    }

    /// Moves the ref alone, if it is `old`; made new where that is empty.
    async fn update(&self, new: &str, old: &str) -> Result<(), GitError> {
        let call = self.git.call(self.top).durable().identity();
        let call = call.args(["update-ref", "--create-reflog", "-m", "bellwether: landed"]);
        call.args([&self.name, new, old]).run().await.map(drop)
    }

    /// The checkout that is on the target, if there is one. Worktrees of agents do not count: they are cleaned anyway.
    async fn checkout(&self) -> Result<Option<PathBuf>, LandError> {
        let call = self
            .git
            .call(self.top)
            .args(["worktree", "list", "--porcelain", "-z"]);
        let listing = call.run().await?;
        let branch = format!("branch {}", self.name);
        let mut folder = None;
        for record in listing.split(|byte| *byte == 0) {
            if let Some(path) = record.strip_prefix(b"worktree ") {
                folder = Some(PathBuf::from(OsStr::from_bytes(path)));
            } else if record == branch.as_bytes()
                && let Some(folder) = &folder
                && !self.pool.owns(folder)
            {
                return Ok(Some(folder.clone()));
            }
        }
        Ok(None)
    }

    async fn check_out_is_clean(&self, folder: &Path) -> Result<(), LandError> {
        let changed = match uncommitted(self.git, folder).await {
            Ok(files) | Err(WorktreeError::Unmerged { files, .. }) => files,
            Err(error) => return Err(error.into()),
        };
        match changed.first() {
            None => Ok(()),
            Some(first) => Err(self.checked_out(
                folder,
                format!(
                    "with uncommitted changes ({first}{}): commit or stash them",
                    if changed.len() > 1 { ", …" } else { "" }
                ),
            )),
        }
    }

    fn checked_out(&self, folder: &Path, problem: String) -> LandError {
        LandError::CheckedOut {
            into: self.into.to_owned(),
            folder: folder.display().to_string(),
            problem,
        }
    }
}
