//! Submodules: filled from the main checkout's own copies, without a network and without a word in the repository's
//! configuration. One that the main checkout has not fetched is as empty here as it is there.

use std::path::Path;

use super::WorktreeError;
use super::slot::Slot;
use crate::git::{Git, RepoPath, parse};

/// The mode of a submodule in a tree.
const MODE: &[u8] = b"160000 ";

/// A submodule of a commit.
struct Submodule {
    path: RepoPath,
    commit: String,
}

/// Fills the submodules of a worktree from those of `checkout`. To be done when a worktree has moved to a commit.
pub(super) async fn fill(git: &Git, slot: &Slot, checkout: &Path) -> Result<(), WorktreeError> {
    if !slot.tree.join(".gitmodules").exists() {
        return Ok(());
    }
    let listing = slot
        .git(git)
        .args(["ls-files", "--stage", "-z"])
        .run()
        .await?;
    let mut todo = vec![(
        listing,
        checkout.to_owned(),
        slot.tree.clone(),
        String::new(),
    )];
    while let Some((listing, from, to, above)) = todo.pop() {
        for Submodule { path, commit } in submodules(&listing) {
            let (source, target) = (from.join(path.as_path()), to.join(path.as_path()));
            let name = format!("{above}{}", path.text());
            if !source.join(".git").exists() {
                continue;
            }
            fill_one(git, &source, &target, &commit, &name).await?;
            if target.join(".gitmodules").exists() {
                let call = git.call(&target).args(["ls-files", "--stage", "-z"]);
                todo.push((call.run().await?, source, target, format!("{name}/")));
            }
        }
    }
    Ok(())
}

async fn fill_one(
    git: &Git,
    source: &Path,
    target: &Path,
    commit: &str,
    name: &str,
) -> Result<(), WorktreeError> {
    let is_at = |head: String| head.trim_end() == commit;
    if std::fs::read_to_string(target.join(".git/HEAD")).is_ok_and(is_at) {
        return Ok(());
    }
    let wanted = format!("{commit}^{{commit}}");
    let call = git.call(source).args(["cat-file", "-e", &wanted]);
    if !call.output().await?.success() {
        return Err(WorktreeError::Submodule {
            path: name.to_owned(),
            commit: commit.to_owned(),
        });
    }
    if !target.join(".git").exists() {
        let call = git.call(source).args(["rev-parse", "--absolute-git-dir"]);
        let repository = call.path().await?;
        let call = git
            .call(source)
            .args(["clone", "--quiet", "--shared", "--no-checkout"]);
        let call = call.arg("--template=").arg(repository).arg(target);
        call.run().await?;
    }
    let call = git.call(target).args(["checkout", "--quiet", "--force"]);
    call.args(["--detach", commit]).run().await?;
    Ok(())
}

/// Puts the submodules of a clean worktree back to their commits, those of them that are filled.
pub(super) async fn restore(git: &Git, slot: &Slot) -> Result<(), WorktreeError> {
    if !slot.tree.join(".gitmodules").exists() {
        return Ok(());
    }
    let listing = slot
        .git(git)
        .args(["ls-files", "--stage", "-z"])
        .run()
        .await?;
    let mut todo = vec![(listing, slot.tree.clone())];
    while let Some((listing, tree)) = todo.pop() {
        for Submodule { path, commit } in submodules(&listing) {
            let folder = tree.join(path.as_path());
            if !folder.join(".git").is_dir() {
                continue;
            }
            let call = git.call(&folder).args(["checkout", "--quiet", "--force"]);
            call.args(["--detach", &commit]).run().await?;
            git.call(&folder).args(["clean", "-ffdxq"]).run().await?;
            let call = git.call(&folder).args(["ls-files", "--stage", "-z"]);
            todo.push((call.run().await?, folder));
        }
    }
    Ok(())
}

/// The submodules that `git ls-files --stage -z` lists: `<mode> <id> <stage> TAB path`.
fn submodules(listing: &[u8]) -> Vec<Submodule> {
    let read = |record: &[u8]| {
        let rest = record.strip_prefix(MODE)?;
        let tab = rest.iter().position(|byte| *byte == b'\t')?;
        let (numbers, path) = rest.split_at(tab);
        let commit = numbers.split(|byte| *byte == b' ').next()?;
        Some(Submodule {
            path: RepoPath::new(path.get(1..)?),
            commit: String::from_utf8(commit.to_owned()).ok()?,
        })
    };
    parse::records(listing).filter_map(read).collect()
}
