//! Makes worktrees: the first as git does, the others as copies of a template that nobody works in.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::index::{Entry, Index, Kind};
use super::slot::Slot;
use super::{WorktreeError, blocking};
use crate::git::Git;

/// `git worktree add` looks at all worktrees of the repository, and stumbles over one that another process is making.
const ADD_TRIES: usize = 4;

/// Registers a worktree at `commit` with the repository that `checkout` belongs to, without files. Only one at a time in a
/// process: see [`ADD_TRIES`].
pub(super) async fn register(
    git: &Git,
    slot: &mut Slot,
    checkout: &Path,
    commit: &str,
) -> Result<(), WorktreeError> {
    let meta = slot.meta().to_owned();
    fs::create_dir_all(&meta).map_err(|error| WorktreeError::io(&meta, error))?;
    let mut tries = 0;
    loop {
        let call = git
            .call(checkout)
            .args(["worktree", "add", "--quiet", "--force"]);
        let call = call.args(["--detach", "--no-checkout"]).arg(&slot.tree);
        match call.arg(commit).run().await {
            Ok(_) => break,
            Err(error) if tries + 1 == ADD_TRIES || error.is_disk_full() => {
                return Err(error.into());
            }
            Err(_) => tries += 1,
        }
        unregister(git, slot, checkout).await?;
    }
    let call = git.call(&slot.tree).arg("rev-parse");
    slot.state.admin = call.arg("--absolute-git-dir").path().await?;
    slot.remember_admin()
}

/// Takes a worktree away with all that the repository and the engine know of it. What is not there is as good.
pub(super) async fn unregister(
    git: &Git,
    slot: &Slot,
    checkout: &Path,
) -> Result<(), WorktreeError> {
    // Refused for one that git does not know (any more), or whose `.git` is not what it was: then by hand.
    let call = git
        .call(checkout)
        .args(["worktree", "remove", "--force", "--force"]);
    let _ = call.arg(&slot.tree).output().await?;
    let (tree, admin, meta) = (
        slot.tree.clone(),
        slot.admin().to_owned(),
        slot.meta().to_owned(),
    );
    blocking(move || {
        super::disk::remove(&tree)?;
        if admin.is_absolute() {
            super::disk::remove(&admin)?;
        }
        super::disk::remove(&meta)
    })
    .await
}

/// Makes the files of a worktree and the engine's index those of `commit`, whatever they were. What is not tracked stays.
pub(super) async fn check_out(git: &Git, slot: &Slot, commit: &str) -> Result<(), WorktreeError> {
    let call = slot.git(git).args(["read-tree", "--reset", "-u", commit]);
    call.run().await?;
    Ok(())
}

/// Fills a worktree that has no files yet with those of `template`, which is at the same commit and clean. `false`: its
/// index is of a kind that cannot be copied, and nothing was done.
///
/// Waits for the disk.
pub(super) fn copy(template: &Slot, slot: &Slot) -> Result<bool, WorktreeError> {
    let from = template.index();
    let bytes = fs::read(&from).map_err(|error| WorktreeError::io(&from, error))?;
    let id_bytes = template.state.base.as_ref().map_or(0, String::len) / 2;
    let Some(mut index) = Index::read(bytes, id_bytes) else {
        return Ok(false);
    };
    let mut made = Folders::default();
    for entry in index.entries().to_vec() {
        let (old, new) = (
            template.tree.join(entry.path.as_path()),
            slot.tree.join(entry.path.as_path()),
        );
        made.parent_of(&slot.tree, &entry)?;
        let copied = copy_entry(&entry, &old, &new);
        let copied = copied.map_err(|error| WorktreeError::io(&new, error))?;
        if let Some(metadata) = copied {
            index.set(&entry, &metadata);
        }
    }
    super::slot::write(&slot.index(), &index.into_bytes())?;
    Ok(true)
}

/// The folder that was made last: entries come sorted, so that most need no look at the disk.
#[derive(Default)]
struct Folders(Vec<u8>);

impl Folders {
    fn parent_of(&mut self, tree: &Path, entry: &Entry) -> Result<(), WorktreeError> {
        let path = entry.path.as_bytes();
        let end = path.iter().rposition(|byte| *byte == b'/');
        let (Some(end), true) = (end, entry.kind != Kind::Absent) else {
            return Ok(());
        };
        let folder = path.get(..end).unwrap_or_default();
        if folder != self.0 {
            let absolute = tree.join(crate::git::RepoPath::new(folder).as_path());
            fs::create_dir_all(&absolute).map_err(|error| WorktreeError::io(&absolute, error))?;
            folder.clone_into(&mut self.0);
        }
        Ok(())
    }
}

/// Copies one file with its time and permissions, and says how the new one looks. `None` for what has no file.
fn copy_entry(entry: &Entry, old: &Path, new: &Path) -> io::Result<Option<fs::Metadata>> {
    match entry.kind {
        Kind::Absent => return Ok(None),
        Kind::Submodule => {
            fs::create_dir(new)?;
            return Ok(None);
        }
        // Where the file system has no links, git writes where they lead into a file.
        Kind::Link if fs::symlink_metadata(old)?.is_symlink() => {
            std::os::unix::fs::symlink(fs::read_link(old)?, new)?;
            return fs::symlink_metadata(new).map(Some);
        }
        Kind::Link | Kind::File => {}
    }
    let mut source = File::open(old)?;
    let metadata = source.metadata()?;
    let mut target = File::options()
        .write(true)
        .create_new(true)
        .mode(metadata.permissions().mode())
        .open(new)?;
    io::copy(&mut source, &mut target)?;
    // Older than the index that will name it, so that git need not read it to be sure of it.
    target.set_modified(metadata.modified()?)?;
    target.metadata().map(Some)
}
