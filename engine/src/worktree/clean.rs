//! Makes a worktree what it was before an agent had it.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use super::slot::Slot;
use super::{WorktreeError, blocking, create, disk, submodule};
use crate::git::parse::{self, File, State, StatusEntry};
use crate::git::{Git, RepoPath};

/// How a worktree differs from the engine's index: what is tracked and differs, and what is not tracked and not ignored.
/// Links, copies and products are left out.
pub(super) async fn status(git: &Git, slot: &Slot) -> Result<Vec<StatusEntry>, WorktreeError> {
    let call = slot.git(git).args(["status", "--porcelain=v2", "-z"]);
    let call = call.args(["--untracked-files=all", "--no-renames"]);
    let bytes = call.arg("--ignore-submodules=none").run().await?;
    let mut entries = parse::status(&bytes)?;
    // What only the index of a moved `HEAD` is about is nothing that the files say.
    entries.retain(|entry| {
        let is_about_files = !matches!(
            entry.state,
            State::Tracked {
                file: File::Same,
                ..
            }
        );
        is_about_files && !slot.is_ours(&entry.path)
    });
    Ok(entries)
}

/// What is there beside what is tracked, ignored or not, with whole folders as one; without links and copies.
pub(super) async fn untracked(git: &Git, slot: &Slot) -> Result<Vec<RepoPath>, WorktreeError> {
    let call = slot.git(git).args(["status", "--porcelain=v2", "-z"]);
    let call = call.args(["--untracked-files=normal", "--ignored=matching"]);
    let bytes = call.arg("--ignore-submodules=all").run().await?;
    let entries = parse::status(&bytes)?.into_iter();
    let paths = entries.filter_map(|entry| match entry.state {
        State::Untracked { .. } | State::Ignored => Some(entry.path),
        State::Tracked { .. } | State::Unmerged => None,
    });
    Ok(paths.filter(|path| !slot.is_ours(path)).collect())
}

/// Puts every tracked file back, removes whatever else is there but links, copies and what the setup made, and makes git
/// forget what was under way. Nobody may work in the worktree any more.
///
/// `commit` is where the worktree is afterwards.
pub(super) async fn clean(git: &Git, slot: &mut Slot, commit: &str) -> Result<(), WorktreeError> {
    slot.unlock();
    slot.restore_admin()?;
    let moves = slot.state.base.as_deref() != Some(commit);
    if moves {
        slot.state.base = None;
        slot.save()?;
    }
    // First what the agent has added: attributes among it would have a say in how files are written.
    remove_untracked(git, slot).await?;
    create::check_out(git, slot, commit).await?;
    submodule::restore(git, slot).await?;
    if moves {
        let call = git.call(&slot.tree).setting("core.logAllRefUpdates=false");
        let call = call.args(["update-ref", "--no-deref", "HEAD", commit]);
        call.env("GIT_DIR", slot.admin()).run().await?;
        slot.remember_admin()?;
        slot.state.base = Some(commit.to_owned());
        slot.save()?;
    }
    slot.restore_index()
}

async fn remove_untracked(git: &Git, slot: &Slot) -> Result<(), WorktreeError> {
    let call = || {
        let mut call = slot.git(git).args(["clean", "-ffdxq"]);
        for path in slot.ours() {
            let pattern = OsString::from_vec(path.pattern());
            call = call.arg(OsStr::new("-e")).arg(pattern);
        }
        call.output()
    };
    let mut output = call().await?;
    let tree = slot.tree.clone();
    if !output.success() {
        // Some tools make folders that nobody may write to, not even to empty them.
        blocking(move || {
            disk::make_writable(&tree);
            Ok(())
        })
        .await?;
        output = call().await?;
    }
    if !output.success() {
        return Err(output.error().into());
    }
    let kept: HashSet<PathBuf> = slot
        .ours()
        .map(|path| slot.tree.join(path.as_path()))
        .collect();
    let tree = slot.tree.clone();
    blocking(move || disk::remove_special(&tree, &|path| kept.contains(path))).await
}
