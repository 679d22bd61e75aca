//! What an attempt changed in its worktree: found, kept as a branch or as a patch.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;

use bellwether_actors::backend::Changes;
use bellwether_journal::id::{Attempt, FencingToken};
use bellwether_journal::record::ChangedFile;

use super::slot::Slot;
use super::{WorktreeError, blocking, clean};
use crate::git::parse::{self, File, State};
use crate::git::{Git, GitError, RepoPath};

/// A longer patch is cut.
const PATCH_BYTES_MAX: usize = 1 << 20;
/// What the list of files before the patch may take when both are asked for at once.
const LIST_BYTES_MAX: usize = 1 << 20;

/// The files of a worktree that are another than the base's.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// There, and another or new.
    there: Vec<RepoPath>,
    /// Not there any more.
    gone: Vec<RepoPath>,
    /// Repositories of their own that the agent made, which no commit of this one can hold.
    pub(super) nested: Vec<RepoPath>,
}

impl Found {
    pub(super) fn is_empty(&self) -> bool {
        self.there.is_empty() && self.gone.is_empty()
    }

    pub(super) fn paths(&self) -> Vec<RepoPath> {
        self.there.iter().chain(&self.gone).cloned().collect()
    }
}

/// Finds what differs from the base. Links, copies and products never do, and ignored files only if the agent has added them
/// to git itself.
///
/// # Errors
/// Among others, something was changed inside a submodule.
pub(super) async fn find(git: &Git, slot: &Slot) -> Result<Found, WorktreeError> {
    let mut found = Found::default();
    for entry in clean::status(git, slot).await? {
        match entry.state {
            State::Tracked {
                submodule: Some(true),
                ..
            } => return Err(WorktreeError::SubmoduleChanged(entry.path.text())),
            State::Tracked {
                file: File::Gone, ..
            } => found.gone.push(entry.path),
            // Files that are not tracked inside a submodule: as little as ignored ones.
            State::Tracked {
                submodule: Some(false),
                ..
            }
            | State::Ignored => {}
            State::Untracked { folder: true } => found.nested.push(entry.path),
            State::Tracked { .. } | State::Untracked { .. } | State::Unmerged => {
                found.there.push(entry.path);
            }
        }
    }
    found.there.extend(added_though_ignored(git, slot).await?);
    Ok(found)
}

/// Ignored files that the agent's own git tracks and the base does not: renamed by `git mv`, added by `git add --force`.
async fn added_though_ignored(git: &Git, slot: &Slot) -> Result<Vec<RepoPath>, WorktreeError> {
    let words = [
        "ls-files",
        "-z",
        "--cached",
        "--ignored",
        "--exclude-standard",
    ];
    let theirs = slot.git_of_agent(git).args(words).output().await?;
    // What an agent has made of its index is its own affair: one that cannot be read adds nothing.
    if !theirs.success() || theirs.stdout.is_empty() {
        return Ok(Vec::new());
    }
    let base = slot.git(git).args(words).run().await?;
    let base: HashSet<&[u8]> = parse::records(&base).collect();
    let is_file = |path: &RepoPath| {
        let there = fs::symlink_metadata(slot.tree.join(path.as_path()));
        there.is_ok_and(|there| !there.is_dir())
    };
    Ok(parse::records(&theirs.stdout)
        .filter(|path| !base.contains(path))
        .map(RepoPath::new)
        .filter(|path| !slot.is_ours(path) && is_file(path))
        .collect())
}

/// The tree that a worktree's files make. The engine's own index stays the base's.
pub(super) async fn tree(git: &Git, slot: &Slot, found: &Found) -> Result<String, WorktreeError> {
    let staged = slot.meta().join("index.staged");
    let (from, to) = (slot.index(), staged.clone());
    blocking(move || {
        // A git that was killed may have left it.
        super::disk::remove(&to.with_extension("staged.lock"))?;
        fs::copy(&from, &to)
            .map(drop)
            .map_err(|error| WorktreeError::io(&to, error))
    })
    .await?;
    let call = || slot.git(git).durable().env("GIT_INDEX_FILE", &staged);
    // By their names alone: what lies behind a symbolic link that the agent made could not even be looked for.
    let steps = [
        (&found.gone, &["--force-remove"][..]),
        (&found.there, &["--add", "--remove", "--replace"][..]),
    ];
    for (paths, arguments) in steps {
        if !paths.is_empty() {
            let call = call().arg("update-index").args(arguments);
            call.args(["-z", "--stdin"])
                .input(names(paths))
                .run()
                .await?;
        }
    }
    Ok(call().arg("write-tree").text().await?)
}

fn names(paths: &[RepoPath]) -> Vec<u8> {
    let mut names = Vec::new();
    for path in paths {
        names.extend_from_slice(path.as_bytes());
        names.push(0);
    }
    names
}

/// The changes from `base` to `to` (commits or trees), as a patch without a branch. `None`: there are none.
pub(super) async fn between(
    git: &Git,
    slot: &Slot,
    base: &str,
    to: &str,
    attempt: Attempt,
) -> Result<Option<Changes>, WorktreeError> {
    let call = || {
        let call = slot.git(git).args(["diff-tree", "-r", "-z", "-M"]);
        call.args(["--no-color", "--no-ext-diff", "--no-textconv"])
    };
    let list = |call: crate::git::Call| call.args(["--raw", "--numstat"]);
    let patch = |call: crate::git::Call| call.args(["--patch", "--binary"]);

    let both = patch(list(call())).output_max(LIST_BYTES_MAX + PATCH_BYTES_MAX);
    let both = both.args([base, to]).output().await?;
    if !both.success() {
        return Err(both.error().into());
    }
    let (files, diff) = match parse::diff(&both.stdout) {
        Ok((files, rest)) => (files, text(rest, both.cut)),
        Err(error) if !both.cut => return Err(error.into()),
        // So many files that not even their list was whole.
        Err(_) => {
            let list = list(call()).args([base, to]).run().await?;
            let call = patch(call()).output_max(PATCH_BYTES_MAX);
            let patch = call.args([base, to]).output().await?;
            (parse::diff(&list)?.0, text(&patch.stdout, patch.cut))
        }
    };
    Ok((!files.is_empty()).then(|| Changes {
        attempt,
        branch: None,
        base: base.to_owned(),
        commit: None,
        files,
        diff,
    }))
}

/// A patch as text, with a line at its end for what is missing of it.
fn text(patch: &[u8], cut: bool) -> Arc<str> {
    let cut = cut || patch.len() > PATCH_BYTES_MAX;
    let kept = patch.get(..PATCH_BYTES_MAX).unwrap_or(patch);
    let kept = match kept.iter().rposition(|byte| *byte == b'\n') {
        Some(line) if cut => kept.get(..=line).unwrap_or(kept),
        _ => kept,
    };
    let text = String::from_utf8_lossy(kept);
    let mut notes = String::new();
    if matches!(text, std::borrow::Cow::Owned(_)) {
        notes
            .push_str("[not all of this patch is UTF-8: it cannot be applied as it stands here]\n");
    }
    if cut {
        notes.push_str("[this patch is longer than 1 MiB and ends here]\n");
    }
    if notes.is_empty() {
        return text.into();
    }
    format!("{text}{notes}").into()
}

/// Makes a commit of `tree` on `base`, by the engine itself.
pub(super) async fn commit(
    git: &Git,
    slot: &Slot,
    tree: &str,
    base: &str,
    message: &str,
) -> Result<String, WorktreeError> {
    let call = slot.git(git).durable().identity();
    let call = call.args(["commit-tree", tree, "-p", base, "-F", "-"]);
    Ok(call.input(message).text().await?)
}

/// The branch of an attempt: `bellwether/<run>/a-<call>`, with `g<generation>/` before the call in a later generation and
/// `-<attempt>` behind it for a later attempt.
pub(super) fn branch_of(token: FencingToken) -> String {
    let FencingToken {
        run,
        generation,
        call,
        attempt,
        ..
    } = token;
    let generation = match generation.0 {
        0 | 1 => String::new(),
        number => format!("g{number}/"),
    };
    let attempt = match attempt.0 {
        0 | 1 => String::new(),
        number => format!("-{number}"),
    };
    format!("bellwether/{run}/{generation}a-{call}{attempt}")
}

/// Makes a branch that must not be there yet.
pub(super) async fn make_branch(
    git: &Git,
    slot: &Slot,
    branch: &str,
    commit: &str,
) -> Result<(), WorktreeError> {
    let name = format!("refs/heads/{branch}");
    let call = slot.git(git).durable();
    let call = call.args(["update-ref", "-m", "bellwether: kept", &name, commit, ""]);
    let Err(error) = call.run().await else {
        return Ok(());
    };
    // A branch `a` leaves no room for one of the name `a/b`.
    for (end, _) in branch.match_indices('/') {
        let shorter = &branch[..end];
        let name = format!("refs/heads/{shorter}");
        if super::base::commit_of(git, &slot.tree, &name)
            .await?
            .is_some()
        {
            return Err(WorktreeError::BranchInTheWay(shorter.to_owned()));
        }
    }
    Err(error.into())
}

/// What an earlier attempt kept, whose end never became known: its branch is taken away, and what it held is a patch.
pub(super) async fn take_back(
    git: &Git,
    slot: &Slot,
    branch: &str,
    base: &str,
    attempt: Attempt,
) -> Result<Option<Changes>, WorktreeError> {
    let Some(commit) =
        super::base::commit_of(git, &slot.tree, &format!("refs/heads/{branch}")).await?
    else {
        return Ok(None);
    };
    let changes = between(git, slot, base, &commit, attempt).await?;
    let name = format!("refs/heads/{branch}");
    let call = slot
        .git(git)
        .durable()
        .args(["update-ref", "-d", &name, &commit]);
    match call.run().await {
        Ok(_) => Ok(changes),
        // Somebody has moved it: then it is theirs.
        Err(GitError::Failed { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The files that differ between two commits or trees.
pub(crate) async fn files_between(
    git: &Git,
    folder: &std::path::Path,
    from: &str,
    to: &str,
) -> Result<Vec<ChangedFile>, GitError> {
    let call = git.call(folder).args(["diff-tree", "-r", "-z", "-M"]);
    let bytes = call.args(["--raw", "--numstat", from, to]).run().await?;
    Ok(parse::diff(&bytes)?.0)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use bellwether_journal::id::{CallNumber, Epoch, Generation, RunId};

    use super::*;

    #[test]
    fn branches_tell_attempts_and_generations_apart() {
        let branch = |generation, attempt| {
            branch_of(FencingToken {
                epoch: Epoch(3),
                run: RunId::from_entropy([0; 5]),
                generation: Generation(generation),
                call: CallNumber(12),
                attempt: Attempt(attempt),
            })
        };
        assert_eq!(branch(1, 1), "bellwether/r-00000000/a-12");
        assert_eq!(branch(1, 2), "bellwether/r-00000000/a-12-2");
        assert_eq!(branch(2, 1), "bellwether/r-00000000/g2/a-12");
    }

    #[test]
    fn a_patch_that_is_not_whole_says_so() {
        assert_eq!(&*text(b"+a\n", false), "+a\n");
        let long = b"+line\n".repeat(PATCH_BYTES_MAX / 6 + 10);
        let cut = text(&long, false);
        let note = "\n[this patch is longer than 1 MiB and ends here]\n";
        assert!(
            cut.len() <= PATCH_BYTES_MAX + note.len() && cut.ends_with(&format!("+line{note}"))
        );
        let latin = text(b"+caf\xe9\n", false);
        assert!(latin.starts_with("+caf\u{fffd}\n[not all"), "{latin}");
        let (first, _) = latin.split_once('\n').unwrap();
        assert_eq!(first, "+caf\u{fffd}");
    }
}
