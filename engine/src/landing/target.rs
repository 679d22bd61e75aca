//! The branch that others land in.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::LandingError;
use crate::git::{Git, GitError};
use crate::worktree::{Base, commit_of, uncommitted};

/// So many changed files are named in an error.
const FILES_NAMED: usize = 5;

/// The target branch of a landing.
pub(super) struct Target<'a> {
    git: &'a Git,
    base: &'a Base,
    name: String,
    /// Where it is checked out.
    checkout: Option<PathBuf>,
}

/// Where a branch is after somebody tried to move it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// Where it was to go.
    There,
    /// Somebody else has moved it.
    Elsewhere,
}

impl<'a> Target<'a> {
    /// The branch `name` of the repository of `base`, which need not be there yet.
    ///
    /// # Errors
    /// The name is no name for a branch, or that of a kept one.
    pub(super) async fn find(
        git: &'a Git,
        base: &'a Base,
        name: &str,
    ) -> Result<Self, LandingError> {
        let problem = |problem| LandingError::Target {
            name: name.to_owned(),
            problem,
        };
        if is_kept(name) {
            return Err(problem("is a branch that an agent's work is kept on"));
        }
        let call = git.call(base.top());
        let checked = call.args(["check-ref-format", "--branch", name]).output();
        let checked = checked.await?;
        // `@{-1}` and the like are names for other branches.
        if !checked.success() || checked.stdout.trim_ascii() != name.as_bytes() {
            return Err(problem("is no name for a branch"));
        }
        Ok(Self {
            git,
            base,
            name: name.to_owned(),
            checkout: checkout_of(git, base.top(), name).await?,
        })
    }

    /// Its commit; `None` when there is none yet.
    pub(super) async fn tip(&self) -> Result<Option<String>, GitError> {
        self.branch(&self.name).await
    }

    /// The commit of a branch; `None` when there is none of this name.
    pub(super) async fn branch(&self, name: &str) -> Result<Option<String>, GitError> {
        commit_of(self.git, self.base.top(), &format!("refs/heads/{name}")).await
    }

    /// Whether `commit` is `tip` or one of its ancestors.
    pub(super) async fn contains(&self, tip: &str, commit: &str) -> Result<bool, GitError> {
        if tip == commit {
            return Ok(true);
        }
        let call = self.git.call(self.base.top());
        let call = call.args(["merge-base", "--is-ancestor", commit, tip]);
        let output = call.output().await?;
        match output.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(output.error()),
        }
    }

    /// Makes sure that moving it destroys nobody's work.
    ///
    /// # Errors
    /// It is checked out with uncommitted changes.
    pub(super) async fn check_clean(&self) -> Result<(), LandingError> {
        let Some(checkout) = &self.checkout else {
            return Ok(());
        };
        let changed = uncommitted(self.git, checkout).await?;
        if changed.is_empty() {
            return Ok(());
        }
        let mut files = changed[..changed.len().min(FILES_NAMED)].join(", ");
        if changed.len() > FILES_NAMED {
            files.push_str(", …");
        }
        Err(LandingError::Dirty {
            into: self.name.clone(),
            checkout: checkout.clone(),
            files,
        })
    }

    /// Moves it from `before` (`None`: it is not there yet) to `after`, if it still is there. Where it is checked out, the
    /// files move with it.
    pub(super) async fn advance(
        &self,
        before: Option<&str>,
        after: &str,
    ) -> Result<Moved, LandingError> {
        let output = match &self.checkout {
            Some(checkout) => {
                let call = self.git.call(checkout).durable();
                call.args(["merge", "--ff-only", "--quiet", after]).output()
            }
            None => {
                let zeros = "0".repeat(after.len());
                let name = format!("refs/heads/{}", self.name);
                let call = self.git.call(self.base.top()).durable();
                let call = call.args(["update-ref", "-m", "bellwether: land", &name]);
                call.args([after, before.unwrap_or(&zeros)]).output()
            }
        }
        .await?;
        if output.success() {
            return Ok(Moved::There);
        }
        // Who moved it has won; anything else is an error.
        if self.tip().await?.as_deref() == before {
            return Err(output.error().into());
        }
        Ok(Moved::Elsewhere)
    }
}

/// Whether a name is one that the engine gives to an agent's work: `bellwether/<run>/a-…`, `bellwether/<run>/g2/a-…`.
pub(super) fn is_kept(name: &str) -> bool {
    let mut parts = name.split('/');
    let kept = |part: &str| part.starts_with("a-");
    parts.next() == Some("bellwether")
        && parts.next().is_some_and(|run| run.starts_with("r-"))
        && parts.any(kept)
}

/// The checkout that a branch is checked out in.
async fn checkout_of(git: &Git, top: &Path, name: &str) -> Result<Option<PathBuf>, GitError> {
    let call = git.call(top);
    let list = call.args(["worktree", "list", "--porcelain", "-z"]).run();
    let list = list.await?;
    let wanted = format!("branch refs/heads/{name}");
    let mut checkout = None;
    for line in list.split(|byte| *byte == 0) {
        if let Some(path) = line.strip_prefix(b"worktree ") {
            checkout = Some(Path::new(OsStr::from_bytes(path)).to_owned());
        } else if line == wanted.as_bytes() {
            return Ok(checkout);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_branches_are_known_by_their_names() {
        for (name, kept) in [
            ("bellwether/r-7k2m9q4d/a-3", true),
            ("bellwether/r-7k2m9q4d/g2/a-3-2", true),
            ("bellwether/r-7k2m9q4d/landed", false),
            ("bellwether/notes/a-3", false),
            ("main", false),
            ("feature/a-3", false),
        ] {
            assert_eq!(is_kept(name), kept, "{name}");
        }
    }
}
