//! Where a run's isolated agents begin: a commit, and a folder below it.

use std::path::{Path, PathBuf};

use bellwether_journal::id::RunId;

use super::settings::{Settings, Uncommitted};
use super::{WorktreeError, blocking};
use crate::git::parse::{self, State};
use crate::git::{Git, GitError, RepoPath};

/// Where a run's isolated agents begin. Pinned once, at the run's start, and the same for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    commit: String,
    place: Place,
}

/// A folder of a checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The checkout's topmost folder.
    pub(crate) top: PathBuf,
    /// The repository: what all its worktrees share.
    pub(crate) common: PathBuf,
    /// The folder, from the top; empty for the top itself.
    pub(crate) prefix: PathBuf,
}

impl Place {
    /// The repository and the checkout that `folder` lies in.
    ///
    /// # Errors
    /// [`GitError`]: there is none, or it is bare.
    pub(crate) async fn of(git: &Git, folder: &Path) -> Result<Self, GitError> {
        git.check().await?;
        let ask = |question: &str| {
            let call = git.call(folder).arg("rev-parse");
            call.args(["--path-format=absolute", question])
        };
        let inside = ask("--is-inside-work-tree").output().await?;
        if !inside.success() {
            let missing = inside.stderr().contains("not a git repository")
                || inside.stderr().contains("cannot change to");
            return Err(if missing {
                GitError::NotARepository(folder.to_owned())
            } else {
                inside.error()
            });
        }
        if inside.stdout.trim_ascii() != b"true" {
            return Err(GitError::Bare(folder.to_owned()));
        }
        Ok(Self {
            top: ask("--show-toplevel").path().await?,
            common: ask("--git-common-dir").path().await?,
            prefix: ask("--show-prefix").path().await?.components().collect(),
        })
    }

    /// The same folder in another checkout.
    pub(crate) fn within(&self, top: &Path) -> PathBuf {
        if self.prefix.as_os_str().is_empty() {
            return top.to_owned();
        }
        top.join(&self.prefix)
    }
}

impl Base {
    /// Finds where the agents of a run that is started in `folder` begin: `HEAD`, or what the settings name. `scratch` is a
    /// folder for a file that is gone again when this returns.
    ///
    /// # Errors
    /// [`WorktreeError`]: there is no git, no repository, no commit; or there are uncommitted changes and the settings do
    /// not include them.
    pub async fn pin(
        folder: &Path,
        settings: &Settings,
        run: RunId,
        scratch: &Path,
    ) -> Result<Self, WorktreeError> {
        let git = &settings.git;
        let place = Place::of(git, folder).await?;
        if let Some(revision) = &settings.base {
            let commit = commit_of(git, &place.top, revision).await?;
            let commit = commit.ok_or_else(|| GitError::UnknownRevision {
                revision: revision.clone(),
            })?;
            return Ok(Self { commit, place });
        }
        let head = commit_of(git, &place.top, "HEAD").await?;
        let head = head.ok_or_else(|| GitError::NoCommit(folder.to_owned()))?;
        let changed = uncommitted(git, &place.top).await?;
        let commit = match settings.uncommitted {
            _ if changed.is_empty() => head,
            Uncommitted::Refuse => return Err(WorktreeError::uncommitted(changed)),
            Uncommitted::Include => snapshot(git, &place.top, &head, run, scratch).await?,
        };
        Ok(Self { commit, place })
    }

    /// The base of a run that was started before, from its journaled commit.
    ///
    /// # Errors
    /// [`WorktreeError`]: there is no git or no repository, or the commit is not there any more.
    pub async fn again(folder: &Path, git: &Git, commit: &str) -> Result<Self, WorktreeError> {
        let place = Place::of(git, folder).await?;
        let found = commit_of(git, &place.top, commit).await?;
        let commit = found.ok_or_else(|| GitError::UnknownRevision {
            revision: commit.to_owned(),
        })?;
        Ok(Self { commit, place })
    }

    /// The commit, 40 or 64 hexadecimal digits.
    #[must_use]
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// The topmost folder of the caller's checkout.
    #[must_use]
    pub fn top(&self) -> &Path {
        &self.place.top
    }

    /// The same place at another commit.
    #[must_use]
    pub fn at(&self, commit: impl Into<String>) -> Self {
        Self {
            commit: commit.into(),
            place: self.place.clone(),
        }
    }

    pub(crate) const fn place(&self) -> &Place {
        &self.place
    }
}

/// The ref that keeps a snapshot of uncommitted changes.
pub(super) fn base_ref(run: RunId) -> String {
    format!("refs/bellwether/{run}/base")
}

/// The commit that a revision names; `None` when it names none.
///
/// # Errors
/// [`GitError`].
pub(crate) async fn commit_of(
    git: &Git,
    folder: &Path,
    revision: &str,
) -> Result<Option<String>, GitError> {
    let wanted = format!("{revision}^{{commit}}");
    let call = git.call(folder).args(["rev-parse", "--verify", "--quiet"]);
    let output = call.args(["--end-of-options", &wanted]).output().await?;
    if output.success() {
        let id = String::from_utf8(output.stdout).map_err(|_| GitError::unreadable("rev-parse"))?;
        return Ok(Some(id.trim_end().to_owned()));
    }
    match output.code() {
        // `--quiet` makes "no such revision" say nothing; whatever speaks is another failure.
        Some(1 | 128) if output.stderr().is_empty() || is_unknown(output.stderr()) => Ok(None),
        _ => Err(output.error()),
    }
}

/// A well-formed id without its object is reported in spite of `--quiet`.
fn is_unknown(stderr: &str) -> bool {
    [
        "Needed a single revision",
        "bad object",
        "unknown revision",
        "is a tree",
        "is a blob",
    ]
    .iter()
    .any(|words| stderr.contains(words))
}

/// The tracked files with changes that are not committed, staged or not.
pub(crate) async fn uncommitted(git: &Git, top: &Path) -> Result<Vec<String>, WorktreeError> {
    let call = git.call(top).args(["status", "--porcelain=v2", "-z"]);
    let call = call.args(["--untracked-files=no", "--no-renames"]);
    let bytes = call.arg("--ignore-submodules=untracked").run().await?;
    let (mut changed, mut unmerged) = (Vec::new(), Vec::new());
    for entry in parse::status(&bytes)? {
        match entry.state {
            State::Tracked { .. } => changed.push(entry.path.text()),
            State::Unmerged => unmerged.push(entry.path.text()),
            State::Untracked { .. } | State::Ignored => {}
        }
    }
    if !unmerged.is_empty() {
        return Err(WorktreeError::unmerged(unmerged));
    }
    Ok(changed)
}

/// A commit of the tracked files as they are, made through a copy of the index.
async fn snapshot(
    git: &Git,
    top: &Path,
    head: &str,
    run: RunId,
    scratch: &Path,
) -> Result<String, WorktreeError> {
    let call = git.call(top).args(["rev-parse", "--path-format=absolute"]);
    let index = call.args(["--git-path", "index"]).path().await?;
    let copy = Scratch(scratch.join(format!("{run}.index")));
    let (from, to, folder) = (index, copy.0.clone(), scratch.to_owned());
    blocking(move || {
        std::fs::create_dir_all(&folder).map_err(|error| WorktreeError::io(&folder, error))?;
        std::fs::copy(&from, &to).map_err(|error| WorktreeError::io(&to, error))?;
        Ok(())
    })
    .await?;
    let with_copy = || git.call(top).durable().env("GIT_INDEX_FILE", &copy.0);
    with_copy().args(["add", "--update"]).run().await?;
    let tree = with_copy().arg("write-tree").text().await?;
    let message = format!("Uncommitted changes at the start of {run}\n");
    let call = git.call(top).durable().identity();
    let call = call.args(["commit-tree", &tree, "-p", head, "-F", "-"]);
    let commit = call.input(message).text().await?;
    let call = git.call(top).durable();
    let call = call.args(["update-ref", &base_ref(run), &commit]);
    call.run().await?;
    Ok(commit)
}

/// A file that is gone when this is.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        for path in [self.0.clone(), self.0.with_extension("index.lock")] {
            // Not there: as good.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A path of the settings, from the repository's top.
pub(super) fn from_top(project: &Path, path: &Path) -> Option<RepoPath> {
    RepoPath::relative(path)?;
    RepoPath::relative(&project.join(path))
}
