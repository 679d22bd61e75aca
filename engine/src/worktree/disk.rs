//! Folders on the disk: what they take, and getting rid of them.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::WorktreeError;

/// The unit of a file's block count, whatever the file system's own is.
const BLOCK_BYTES: u64 = 512;
const OWNER_ALL: u32 = 0o700;

/// What a folder takes, in bytes. What cannot be read takes nothing.
pub(super) fn usage(folder: &Path) -> u64 {
    let mut bytes = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            bytes += metadata.blocks() * BLOCK_BYTES;
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    bytes
}

/// Removes whatever is at `path`, and never what a symbolic link points to. Nothing there: as good.
pub(super) fn remove(path: &Path) -> Result<(), WorktreeError> {
    let removed = match fs::symlink_metadata(path) {
        Err(error) => Err(error),
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).or_else(|_| {
            // Caches of some tools are folders that nobody may write to.
            make_writable(path);
            fs::remove_dir_all(path)
        }),
        Ok(_) => fs::remove_file(path),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(WorktreeError::io(path, error))
        }
        _ => Ok(()),
    }
}

/// Removes pipes, sockets and the like below a folder, which git does not see. What `is_kept` says yes to is not looked
/// into.
pub(super) fn remove_special(
    folder: &Path,
    is_kept: &impl Fn(&Path) -> bool,
) -> Result<(), WorktreeError> {
    let failed = |error| WorktreeError::io(folder, error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_file() || kind.is_symlink() {
            continue;
        }
        let path = entry.path();
        if is_kept(&path) {
            continue;
        }
        if kind.is_dir() {
            remove_special(&path, is_kept)?;
        } else {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Lets their owner write to `folder` and all folders below it. What cannot be changed stays: the caller finds out.
pub(super) fn make_writable(folder: &Path) {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        if let Ok(metadata) = fs::symlink_metadata(&folder) {
            let mut permissions = metadata.permissions();
            if permissions.mode() & OWNER_ALL != OWNER_ALL {
                permissions.set_mode(permissions.mode() | OWNER_ALL);
                let _ = fs::set_permissions(&folder, permissions);
            }
        }
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
        }
    }
}
