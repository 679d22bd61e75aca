//! Landing (T03): kept branches go into a target branch one at a time, each merged without a checkout, verified at the very
//! commit that would land, and only then there.
//!
//! ```text
//! for each branch:   merge-tree ──conflict──► left out
//!                        │ commit
//!                    verify in a worktree ──fails──► left out
//!                        │ note {branch, before, after}: durable
//!                    the target moves from `before` to `after`, or somebody else moved it: again
//! ```
//!
//! A branch that is left out has not touched the target. What is noted before the target moves tells a repeated attempt
//! whether it did: a landing that a crash cuts off goes on with the next branch and lands none twice.

mod merge;
mod step;
mod target;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bellwether_actors::backend::Notes;
use bellwether_journal::id::{Attempt, CallNumber, Epoch, FencingToken, Generation, RunId};
use serde::{Deserialize, Serialize};

pub(crate) use self::step::{MergeOptions, MergeStep};
use self::target::{Moved, Target};
use crate::git::{Git, GitError};
use crate::worktree::{Base, Pool, WorktreeError, files_between, shell};

/// How long a verification may take where nothing is said.
pub(crate) const VERIFY_TIMEOUT: Duration = Duration::from_mins(10);
/// How often a branch is tried anew because somebody else moved the target meanwhile.
const TRIES: u32 = 5;
/// How much of a message, of file names and of output is kept in a note, in bytes: a note has 2,048 in all.
const NOTED_BYTES: usize = 1_200;

/// What to land, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LandingOrder {
    /// The branches, in the order in which they land.
    pub branches: Vec<String>,
    /// The branch that they go into. It is made, at the run's base, when it is not there.
    pub into: String,
    /// A command for the shell, run in a worktree at each commit that would land; anything but exit code 0 leaves the
    /// branch out.
    pub verify: Option<String>,
    /// How long the command may take.
    pub verify_timeout: Duration,
}

impl LandingOrder {
    /// Lands `branches` in `into`, unverified.
    #[must_use]
    pub fn new(branches: Vec<String>, into: impl Into<String>) -> Self {
        Self {
            branches,
            into: into.into(),
            verify: None,
            verify_timeout: VERIFY_TIMEOUT,
        }
    }

    /// Verifies each by a command for the shell.
    #[must_use]
    pub fn verify(mut self, command: impl Into<String>, timeout: Option<Duration>) -> Self {
        self.verify = Some(command.into());
        self.verify_timeout = timeout.unwrap_or(VERIFY_TIMEOUT);
        self
    }
}

/// What came of a landing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Landing {
    /// The target branch.
    pub into: String,
    /// Its tip before; the run's base when it was made here.
    pub before: String,
    /// Its tip afterwards.
    pub after: String,
    /// The branches that are in it now.
    pub landed: Vec<LandedBranch>,
    /// Those that were left out, and why.
    pub left: Vec<LeftBranch>,
}

/// A branch that has landed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LandedBranch {
    /// Its name.
    pub branch: String,
    /// The target's tip with it.
    pub commit: String,
    /// The files that this changed in the target; none when all of it was there already.
    pub files: Vec<String>,
}

/// A branch that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LeftBranch {
    /// Its name.
    pub branch: String,
    /// Why.
    pub reason: LeftReason,
    /// The same for a person.
    pub message: String,
    /// The files in conflict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// The end of what the verification wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// Why a branch was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LeftReason {
    /// It and the target changed the same lines.
    Conflict,
    /// The verification failed.
    Verify,
    /// There is no such branch.
    Missing,
}

/// Why a landing could not go on. What has landed until then stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LandingError {
    /// Git, or the repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// There is no worktree to verify in.
    #[error("no worktree to verify in: {0}")]
    Worktree(#[from] WorktreeError),
    /// The target is no name for a branch, or that of a kept one.
    #[error("`into`: `{name}` {problem}")]
    Target {
        /// What was asked for.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The target is checked out and has changes of its own there.
    #[error(
        "`{into}` is checked out in {} with uncommitted changes ({files}): commit or stash them, or land into another branch",
        .checkout.display()
    )]
    Dirty {
        /// The target.
        into: String,
        /// The checkout.
        checkout: PathBuf,
        /// Some of the changed files.
        files: String,
    },
    /// Somebody else moves the target all the time.
    #[error(
        "`{0}` was moved by somebody else {TRIES} times while a branch was to land: try again when it rests"
    )]
    Contended(String),
    /// The verification could not be started.
    #[error("the verification could not be started: {0}")]
    Verify(String),
    /// The attempt is not the one to do it any more.
    #[error("the landing was taken over by another attempt")]
    Superseded,
}

/// Lands branches that no run is landing: what `bellwether land` does. Nothing is journaled; what has landed is found in the
/// target when this is done again.
///
/// `folder` is where commands are run, in a worktree of `pool`; `base` is where a target that is not there yet begins.
///
/// # Errors
/// [`LandingError`]; what has landed stays.
pub async fn land(
    pool: &Pool,
    base: &Base,
    folder: &Path,
    run: RunId,
    order: &LandingOrder,
) -> Result<Landing, LandingError> {
    let lander = Lander {
        pool,
        base,
        folder,
        token: FencingToken {
            epoch: Epoch(0),
            run,
            generation: Generation(0),
            call: CallNumber(0),
            attempt: Attempt(0),
        },
        notes: None,
    };
    lander.land(order, &[]).await
}

/// Lands branches in one repository.
pub(crate) struct Lander<'a> {
    /// Where worktrees to verify in come from.
    pub(crate) pool: &'a Pool,
    /// Where the run began, and its repository.
    pub(crate) base: &'a Base,
    /// The folder of the caller's checkout that commands are run in, in a worktree.
    pub(crate) folder: &'a Path,
    /// Names what is started and held for this.
    pub(crate) token: FencingToken,
    /// Where to note what is about to be done; `None` where nothing is journaled.
    pub(crate) notes: Option<&'a Notes>,
}

/// A note: what became of a branch, or is about to.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Note {
    Lands(Lands),
    Left(LeftBranch),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Lands {
    branch: String,
    before: String,
    after: String,
}

impl Lander<'_> {
    /// Lands what `order` says, but for what the notes of earlier attempts say of.
    ///
    /// # Errors
    /// [`LandingError`]; what has landed stays.
    pub(crate) async fn land(
        &self,
        order: &LandingOrder,
        noted: &[Arc<str>],
    ) -> Result<Landing, LandingError> {
        let _turn = self.pool.landing().await;
        let target = Target::find(self.git(), self.base, &order.into).await?;
        let noted: Vec<Note> = noted
            .iter()
            .filter_map(|note| serde_json::from_str(note).ok())
            .collect();
        let first = noted.iter().find_map(|note| match note {
            Note::Lands(lands) => Some(lands.before.clone()),
            Note::Left(_) => None,
        });
        let tip = target.tip().await?;
        let mut landing = Landing {
            into: order.into.clone(),
            before: first
                .or(tip)
                .unwrap_or_else(|| self.base.commit().to_owned()),
            ..Landing::default()
        };
        let mut known: BTreeMap<String, Note> = noted
            .into_iter()
            .map(|note| match note {
                Note::Lands(lands) => (lands.branch.clone(), Note::Lands(lands)),
                Note::Left(left) => (left.branch.clone(), Note::Left(left)),
            })
            .collect();
        for branch in &order.branches {
            match known.remove(branch) {
                Some(Note::Left(left)) => {
                    landing.left.push(left);
                    continue;
                }
                Some(Note::Lands(lands)) => {
                    if let Some(landed) = self.finish(&target, &lands).await? {
                        landing.landed.push(landed);
                        continue;
                    }
                }
                None => {}
            }
            match self.land_one(&target, branch, order).await? {
                Ok(landed) => landing.landed.push(landed),
                Err(left) => {
                    let mut note = left.clone();
                    cut(&mut note);
                    self.note(&Note::Left(note)).await?;
                    landing.left.push(left);
                }
            }
        }
        let tip = target.tip().await?;
        landing.after = tip.unwrap_or_else(|| landing.before.clone());
        Ok(landing)
    }

    fn git(&self) -> &Git {
        &self.pool.settings().git
    }

    /// A branch of which an earlier attempt noted that it lands: it has, or does now. `None` when the target has gone
    /// another way since, so that it has to be merged anew.
    async fn finish(
        &self,
        target: &Target<'_>,
        lands: &Lands,
    ) -> Result<Option<LandedBranch>, LandingError> {
        let tip = target.tip().await?;
        let here = tip.as_deref().unwrap_or_else(|| self.base.commit());
        let landed = if target.contains(here, &lands.after).await? {
            true
        } else if here == lands.before {
            target.advance(tip.as_deref(), &lands.after).await? == Moved::There
        } else {
            false
        };
        if !landed {
            return Ok(None);
        }
        let landed = self.landed(&lands.branch, &lands.before, &lands.after);
        landed.await.map(Some)
    }

    async fn land_one(
        &self,
        target: &Target<'_>,
        branch: &str,
        order: &LandingOrder,
    ) -> Result<Result<LandedBranch, LeftBranch>, LandingError> {
        for _ in 0..TRIES {
            let left = |reason, message: String, files, output| {
                Ok(Err(LeftBranch {
                    branch: branch.to_owned(),
                    reason,
                    message,
                    files,
                    output,
                }))
            };
            let tip = target.tip().await?;
            let before = tip.clone().unwrap_or_else(|| self.base.commit().to_owned());
            let Some(commit) = target.branch(branch).await? else {
                let message = format!("there is no branch `{branch}`");
                return left(LeftReason::Missing, message, Vec::new(), None);
            };
            let after = if target.contains(&before, &commit).await? {
                before.clone()
            } else {
                match merge::merge(self.git(), self.base.top(), &before, branch, &commit).await? {
                    merge::Merged::Commit(commit) => commit,
                    merge::Merged::Conflict(files) => {
                        let message = "it and the target have changed the same lines".to_owned();
                        return left(LeftReason::Conflict, message, files, None);
                    }
                }
            };
            if after != before
                && let Some(verify) = &order.verify
                && let Some((message, output)) =
                    self.verify(verify, order.verify_timeout, &after).await?
            {
                return left(LeftReason::Verify, message, Vec::new(), Some(output));
            }
            if tip.as_deref() != Some(after.as_str()) {
                target.check_clean().await?;
                let lands = Lands {
                    branch: branch.to_owned(),
                    before: before.clone(),
                    after: after.clone(),
                };
                self.note(&Note::Lands(lands)).await?;
                if target.advance(tip.as_deref(), &after).await? == Moved::Elsewhere {
                    continue;
                }
            }
            return Ok(Ok(self.landed(branch, &before, &after).await?));
        }
        Err(LandingError::Contended(order.into.clone()))
    }

    /// Why a commit may not land, and the end of what the command wrote; `None` when it may.
    async fn verify(
        &self,
        command: &str,
        timeout: Duration,
        commit: &str,
    ) -> Result<Option<(String, String)>, LandingError> {
        let base = self.base.at(commit);
        let worktree = self.pool.borrow_at(&base, self.token).await?;
        let folder = worktree.folder(self.folder);
        let marker = self.pool.marker(self.token);
        let ran = shell::run(self.pool.launcher(), command, &folder, marker, timeout).await;
        if let Err(error) = worktree.release().await {
            tracing::warn!(%error, "the worktree of a verification is not clean");
        }
        let ran = ran.map_err(LandingError::Verify)?;
        if ran.success {
            return Ok(None);
        }
        let message = format!("the verification `{command}` {}", ran.ended);
        Ok(Some((message, ran.output)))
    }

    async fn landed(
        &self,
        branch: &str,
        before: &str,
        after: &str,
    ) -> Result<LandedBranch, LandingError> {
        let files = if before == after {
            Vec::new()
        } else {
            files_between(self.git(), self.base.top(), before, after).await?
        };
        Ok(LandedBranch {
            branch: branch.to_owned(),
            commit: after.to_owned(),
            files: files.into_iter().map(|file| file.path).collect(),
        })
    }

    async fn note(&self, note: &Note) -> Result<(), LandingError> {
        let Some(notes) = self.notes else {
            return Ok(());
        };
        let text = serde_json::to_string(note).unwrap_or_default();
        let noted = notes.note(text).await;
        noted.map_err(|_| LandingError::Superseded)
    }
}

/// As much of why a branch was left out as a note has room for.
fn cut(left: &mut LeftBranch) {
    let mut room = NOTED_BYTES;
    let mut shorten = |text: &mut String, from_end: bool| {
        let over = text.len().saturating_sub(room / 2);
        if over > 0 {
            let mut place = if from_end { over } else { text.len() - over };
            while !text.is_char_boundary(place) {
                place += 1;
            }
            *text = if from_end {
                text.split_off(place)
            } else {
                text[..place].to_owned()
            };
        }
        room -= text.len();
    };
    shorten(&mut left.message, false);
    if let Some(output) = &mut left.output {
        shorten(output, true);
    }
    let mut files = std::mem::take(&mut left.files);
    files.retain(|file| {
        let fits = file.len() + 4 <= room;
        room -= if fits { file.len() + 4 } else { room };
        fits
    });
    left.files = files;
}
