//! A journal written anew with only some of its runs: so space is given back, since a file of redb never shrinks by itself.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::file::{opening_failed, sync_folder};
use super::{META, META_EPOCH, Options, RedbStore, failed};
use crate::error::StoreError;
use crate::id::{Epoch, RunId};
use crate::store::Store as _;
use crate::transfer;

/// What a rewrite came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// How many runs are kept.
    pub runs: u64,
    /// The file's length before, in bytes.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
}

impl RedbStore {
    /// Writes the journal at `path` anew with the runs of `keep` alone, under the same identity and epoch, and puts it in the
    /// old one's place when all of it is on the disk. Nobody else may have the journal open.
    ///
    /// # Errors
    /// [`StoreError`]; the journal is as it was then.
    pub fn rewrite(
        path: impl AsRef<Path>,
        options: Options,
        keep: &[RunId],
    ) -> Result<Rewritten, StoreError> {
        let path = path.as_ref();
        let old = Self::open(path, options.existing())?;
        let io = |error: io::Error| opening_failed(path, &error);
        let bytes_before = fs::metadata(path).map_err(io)?.len();
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".rewritten-{}", std::process::id()));
        let draft = path.with_file_name(name);
        let written = old.write_to(&draft, options, keep);
        drop(old);
        let placed = written.and_then(|()| {
            let bytes_after = fs::metadata(&draft).map_err(io)?.len();
            fs::rename(&draft, path).map_err(io)?;
            sync_folder(path).map_err(io)?;
            Ok(bytes_after)
        });
        if placed.is_err() {
            // The first error is the one to tell.
            let _ = fs::remove_file(&draft);
        }
        Ok(Rewritten {
            runs: keep.len() as u64,
            bytes_before,
            bytes_after: placed?,
        })
    }

    fn write_to(&self, draft: &Path, options: Options, keep: &[RunId]) -> Result<(), StoreError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(draft)
            .map_err(|error| opening_failed(draft, &error))?;
        let mut new = Self::over_file(draft, file, options)?;
        new.write_meta(self.identity()?, self.epoch()?)?;
        for run in keep {
            transfer::copy(self, &new, *run)?;
        }
        if let Some(database) = &mut new.database {
            let compacted = database.compact();
            compacted.map_err(|error| StoreError::Io(error.to_string()))?;
        }
        Ok(())
    }

    /// The newest epoch, not raised.
    fn epoch(&self) -> Result<Epoch, StoreError> {
        self.reading(|read| {
            let meta = read.open_table(META).map_err(failed)?;
            let bytes = meta.get(META_EPOCH).map_err(failed)?;
            let bytes = bytes.and_then(|bytes| bytes.value().try_into().ok());
            Ok(Epoch(bytes.map_or(0, u64::from_le_bytes)))
        })
    }
}
