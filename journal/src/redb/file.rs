//! The file itself, before and beside the database in it.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::error::StoreError;
use crate::key::Digest;

/// How every file of the database begins.
const MAGIC: [u8; 9] = *b"redb\x1A\x0A\xA9\x0D\x0A";

/// A name that no other file has or had: what the file system says of a file that was just made.
pub(super) fn identity_of(metadata: &fs::Metadata) -> Digest {
    let born = [metadata.ctime(), metadata.ctime_nsec()].map(i64::to_le_bytes);
    let place = [metadata.dev(), metadata.ino()].map(u64::to_le_bytes);
    Digest::of("redb store", &[&born[0], &born[1], &place[0], &place[1]])
}

/// Looks at what the file is before the database does, which would take an empty file for a new one.
pub(super) fn check_magic(path: &Path, file: &mut File) -> Result<(), StoreError> {
    let not_a_journal = |reason: &str| StoreError::NotAJournal {
        path: path.display().to_string(),
        reason: reason.to_owned(),
    };
    if !file
        .metadata()
        .map_err(|error| opening_failed(path, &error))?
        .is_file()
    {
        return Err(not_a_journal("no ordinary file"));
    }
    let mut start = [0; MAGIC.len()];
    match file.read_exact(&mut start) {
        Ok(()) if start == MAGIC => Ok(()),
        Ok(()) => Err(not_a_journal("a file of another kind")),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let empty = file.metadata().is_ok_and(|metadata| metadata.len() == 0);
            Err(not_a_journal(if empty {
                "an empty file"
            } else {
                "a file of another kind"
            }))
        }
        Err(error) => Err(opening_failed(path, &error)),
    }
}

/// What an error of the operating system means for whoever wants the journal at `path`.
pub(super) fn opening_failed(path: &Path, error: &io::Error) -> StoreError {
    let path_text = path.display().to_string();
    match error.kind() {
        io::ErrorKind::NotFound
            if path
                .parent()
                .is_none_or(|folder| folder.as_os_str().is_empty() || folder.is_dir()) =>
        {
            StoreError::Missing { path: path_text }
        }
        io::ErrorKind::NotFound => StoreError::Denied {
            path: path_text,
            reason: "its folder does not exist".to_owned(),
        },
        io::ErrorKind::IsADirectory => StoreError::NotAJournal {
            path: path_text,
            reason: "a folder".to_owned(),
        },
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::NotADirectory => StoreError::Denied {
            path: path_text,
            reason: error.to_string(),
        },
        _ => StoreError::Io(format!("{path_text}: {error}")),
    }
}

/// Makes sure that a name in the folder of `path` is on the disk, too.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all())
}
