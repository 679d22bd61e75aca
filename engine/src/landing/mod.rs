//! Landing (T03): kept branches go into a target branch, one at a time, each verified before it does.
//!
//! Nothing is merged in anybody's checkout: `git merge-tree` makes the merged tree, the commit is made from that, a
//! worktree of the pool shows whether it holds, and only then the target's ref moves, if it still is what it was. A branch
//! that conflicts or does not hold is left out with its reason, and the target knows nothing of it.
//!
//! **Before the ref moves, a note says so**, durably. A merge commit depends on nothing but what it merges, so that a
//! landing that was cut off goes on like this:
//!
//! | the last note | the target | then |
//! |---|---|---|
//! | `before` → `after` | is `before` | it is moved now |
//! | | is `after`, or has it behind it | that branch has landed |
//! | | is anything else | an error: somebody has moved it elsewhere |
//! | a branch was left | | it stays left |

mod merge;
mod note;
mod step;
mod target;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bellwether_actors::backend::{NoteError, Notes};
use bellwether_journal::id::FencingToken;
use bellwether_journal::record::ChangedFile;
use serde::{Deserialize, Serialize};

use self::merge::{Merged, merge};
use self::note::{Note, Past};
pub(crate) use self::step::{MergeOptions, MergeStep};
use self::target::{Moved, Target};
use crate::git::{Git, GitError};
use crate::worktree::{Base, Pool, WorktreeError, changes::files_between, shell};

/// A target that moves on under one branch so often is somebody else's.
const TRIES: usize = 10;
const VERIFY_TIMEOUT: Duration = Duration::from_mins(30);

/// What is to land, and where.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Landing {
    /// The branches, in the order in which they go in.
    pub branches: Vec<Branch>,
    /// The target branch. Made at `base` where there is none.
    pub into: String,
    /// Where the run that made the branches began.
    pub base: Base,
    /// What must hold of each merged commit.
    pub verify: Option<Verify>,
    /// The attempt that does it.
    pub token: FencingToken,
}

impl Landing {
    /// Puts `branches` into the branch `into`, without verifying anything.
    #[must_use]
    pub fn new(
        branches: Vec<Branch>,
        into: impl Into<String>,
        base: Base,
        token: FencingToken,
    ) -> Self {
        Self {
            branches,
            into: into.into(),
            base,
            verify: None,
            token,
        }
    }
}

/// A branch that is to land.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Its name, without `refs/heads/`.
    pub name: String,
    /// What the merge calls it; else its commit's own subject.
    pub label: Option<String>,
}

impl Branch {
    /// The branch of this name.
    pub fn named(name: impl Into<String>) -> Self {
        let name = name.into();
        Self { name, label: None }
    }
}

/// A shell command that must end with exit code 0 in a worktree at the merged commit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verify {
    /// The command.
    pub command: String,
    /// How long it may take.
    pub timeout: Duration,
}

impl Verify {
    /// Half an hour for this command.
    pub fn new(command: impl Into<String>) -> Self {
        Self {
            command: command.into(),
            timeout: VERIFY_TIMEOUT,
        }
    }
}

/// What has landed, and what has not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Landed {
    /// The target branch.
    pub into: String,
    /// Its tip before.
    pub before: String,
    /// Its tip now.
    pub after: String,
    /// What is in it.
    pub landed: Vec<LandedBranch>,
    /// What is not.
    pub left: Vec<LeftBranch>,
}

/// A branch that is in the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LandedBranch {
    /// Its name.
    pub branch: String,
    /// The merge, or the branch's own commit where the target had it already.
    pub commit: String,
    /// The files that the merge changed in the target.
    pub files: Vec<String>,
}

/// A branch that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftBranch {
    /// Its name.
    pub branch: String,
    /// Why.
    pub reason: Reason,
    /// Why, for people.
    pub message: String,
    /// The files in conflict, or in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<String>>,
    /// The end of what the verification wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// Why a branch was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Reason {
    /// It and the target changed the same lines.
    Conflict,
    /// The merged commit does not hold.
    Verify,
    /// There is no such branch.
    Missing,
    /// It has no commit in common with the target.
    Unrelated,
    /// No worktree at the merged commit could be made ready.
    Setup,
    /// The target is checked out, and something of the person's is in the way there.
    Checkout,
}

/// Why nothing (more) has landed. What has landed before stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LandError {
    /// Git, or the repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A worktree for verifying.
    #[error(transparent)]
    Worktree(#[from] WorktreeError),
    /// That cannot be the target.
    #[error("`{into}` cannot be the target: {problem}")]
    Target {
        /// What was named.
        into: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The target is checked out, and what is there cannot be moved on.
    #[error("the target `{into}` is checked out in {folder}, {problem}")]
    CheckedOut {
        /// The target.
        into: String,
        /// Where.
        folder: String,
        /// What is in the way, and what to do.
        problem: String,
        /// The files that are, as far as they are known.
        files: Vec<String>,
    },
    /// Somebody else has moved the target since the landing that this one goes on with.
    #[error(
        "`{into}` is at {tip}, and was to go from {before} to {after} when this was cut off: somebody else has moved it; \
         look whether {after} is missing, and merge the rest in a new run"
    )]
    Moved {
        /// The target.
        into: String,
        /// What it is.
        tip: String,
        /// What it was.
        before: String,
        /// What it was to be.
        after: String,
    },
    /// Somebody else moves the target all the time.
    #[error(
        "`{into}` was moved by somebody else {TRIES} times while `{branch}` was to land: try again later"
    )]
    Contended {
        /// The target.
        into: String,
        /// The branch.
        branch: String,
    },
    /// What is about to be done could not be noted, so it is not done.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A note of an earlier attempt makes no sense.
    #[error("a note of an earlier attempt cannot be read: {0}")]
    UnreadableNote(String),
}

/// Lands what `landing` says. `earlier` are the notes of attempts of the same landing that were cut off; `notes` takes
/// those of this one, and without it none are made, for a landing that nobody goes on with.
///
/// One at a time in a repository: another one waits for this. May be dropped at any time: what it started ends, and what
/// has landed stays.
///
/// # Errors
/// [`LandError`]. A branch that does not land is none.
pub async fn land(
    pool: &Pool,
    landing: &Landing,
    earlier: &[Arc<str>],
    notes: Option<&Notes>,
) -> Result<Landed, LandError> {
    let git = &pool.settings().git;
    let _only_here = pool.landing().await;
    let _only_one = target::lock(&landing.base.place().common).await?;
    let earlier = note::read(earlier)?;
    let target = Target::open(git, pool, landing).await?;
    if notes.is_none() {
        // Whoever waits for it can put the checkout in order first. A step of a run goes on and says what was left out.
        target.check().await?;
    }
    let now = target.tip().await?;
    let mut landed = Landed {
        into: landing.into.clone(),
        before: note::first_before(&earlier).unwrap_or_else(|| now.clone()),
        after: now,
        landed: Vec::new(),
        left: Vec::new(),
    };
    let past = Past::of(&earlier, &target).await?;
    let lander = Lander {
        git,
        pool,
        landing,
        target: &target,
        notes,
    };
    let mut seen = HashSet::new();
    for branch in &landing.branches {
        if seen.insert(&branch.name) {
            match lander.one(branch, past.of_branch(&branch.name)).await? {
                One::Landed(branch) => landed.landed.push(branch),
                One::Left(branch) => landed.left.push(branch),
            }
        }
    }
    landed.after = target.tip().await?;
    Ok(landed)
}

struct Lander<'a> {
    git: &'a Git,
    pool: &'a Pool,
    landing: &'a Landing,
    target: &'a Target<'a>,
    notes: Option<&'a Notes>,
}

enum One {
    Landed(LandedBranch),
    Left(LeftBranch),
}

impl Lander<'_> {
    async fn one(&self, branch: &Branch, past: Option<&Note>) -> Result<One, LandError> {
        match past {
            Some(Note::Left { left }) => return Ok(One::Left(left.clone())),
            Some(Note::Move { before, after, .. }) => {
                return self.landed(&branch.name, before, after).await;
            }
            None => {}
        }
        for _ in 0..TRIES {
            // Before a verification that may take long.
            if let Err(error) = self.target.check().await {
                return self.in_the_way(branch, error).await;
            }
            let (target, tip) = self.target.and(branch).await?;
            let merged = merge(self.git, self.target.top, &target, branch, tip).await?;
            let after = match merged {
                Merged::Commit(commit) => commit,
                Merged::Already(commit) => {
                    return Ok(One::Landed(LandedBranch {
                        branch: branch.name.clone(),
                        commit,
                        files: Vec::new(),
                    }));
                }
                Merged::Not(left) => return self.left(left).await,
            };
            if let Some(left) = self.verify(branch, &after).await? {
                return self.left(left).await;
            }
            // What can be known to be in the way is, before a note says that nothing is.
            let before = target.commit;
            let checkout = match self.target.clear(&before, &after).await {
                Ok(checkout) => checkout,
                Err(error) => return self.in_the_way(branch, error).await,
            };
            self.note(&Note::Move {
                branch: branch.name.clone(),
                before: before.clone(),
                after: after.clone(),
            })
            .await?;
            match self.target.go(checkout.as_deref(), &before, &after).await {
                Ok(Moved::Yes) => return self.landed(&branch.name, &before, &after).await,
                // Then what was verified is not what the target would be.
                Ok(Moved::BySomebodyElse) => {}
                Err(error) => return self.in_the_way(branch, error).await,
            }
        }
        Err(LandError::Contended {
            into: self.landing.into.clone(),
            branch: branch.name.clone(),
        })
    }

    async fn landed(&self, branch: &str, before: &str, after: &str) -> Result<One, LandError> {
        let top = self.landing.base.top();
        let files: Vec<ChangedFile> = files_between(self.git, top, before, after).await?;
        Ok(One::Landed(LandedBranch {
            branch: branch.to_owned(),
            commit: after.to_owned(),
            files: files.into_iter().map(|file| file.path).collect(),
        }))
    }

    /// Leaves a branch out whose target is checked out where something is in the way; any other error is one.
    async fn in_the_way(&self, branch: &Branch, error: LandError) -> Result<One, LandError> {
        let message = error.to_string();
        let LandError::CheckedOut { files, .. } = error else {
            return Err(error);
        };
        let left = LeftBranch {
            branch: branch.name.clone(),
            reason: Reason::Checkout,
            message,
            files: Some(files),
            output: None,
        };
        self.left(left).await
    }

    async fn left(&self, left: LeftBranch) -> Result<One, LandError> {
        self.note(&Note::Left { left: left.clone() }).await?;
        Ok(One::Left(left))
    }

    async fn note(&self, note: &Note) -> Result<(), LandError> {
        if let Some(notes) = self.notes {
            notes.note(note.text()).await?;
        }
        Ok(())
    }

    /// Why the merged commit does not hold; `None` when it does.
    async fn verify(&self, branch: &Branch, commit: &str) -> Result<Option<LeftBranch>, LandError> {
        let Some(verify) = &self.landing.verify else {
            return Ok(None);
        };
        let left = |reason, message, output: String| LeftBranch {
            branch: branch.name.clone(),
            reason,
            message,
            files: None,
            output: (!output.is_empty()).then_some(output),
        };
        let base = self.landing.base.at(commit);
        let worktree = match self.pool.borrow_at(&base, self.landing.token).await {
            Ok(worktree) => worktree,
            Err(error @ (WorktreeError::Setup { .. } | WorktreeError::Path { .. })) => {
                let output = error.evidence().unwrap_or_default().to_owned();
                return Ok(Some(left(Reason::Setup, error.to_string(), output)));
            }
            Err(error) => return Err(error.into()),
        };
        let folder = base.place().within(worktree.path());
        let marker = self.pool.marker(self.landing.token);
        let launcher = self.pool.launcher();
        let ran = shell::run(launcher, &verify.command, &folder, marker, verify.timeout).await;
        worktree.release().await?;
        let ran = ran.map_err(WorktreeError::Launcher)?;
        Ok((!ran.success).then(|| {
            let message = format!("`{}` {}", verify.command, ran.ended);
            left(Reason::Verify, message, ran.output)
        }))
    }
}
