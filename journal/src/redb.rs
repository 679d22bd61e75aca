//! A journal in one file: the only file that knows `redb`.
//!
//! | table | key → value |
//! |---|---|
//! | `meta` | name → bytes: `format`, `created by`, `identity`, `epoch` |
//! | `runs` | run → summary |
//! | `records` | (run, position) → envelope |
//! | `payloads` | (run, position) → zstd bytes |
//! | `blobs` | hash → zstd bytes |

mod closing;
#[cfg(test)]
mod crash_tests;
mod file;
mod rewrite;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use redb::{
    Builder, Database, DatabaseError, ReadTransaction, ReadableDatabase as _, ReadableTable,
    StorageError, TableDefinition, TableError, WriteTransaction,
};

pub use self::rewrite::Rewritten;

use self::closing::when_closed;
use self::file::{check_magic, identity_of, opening_failed, sync_folder};
use crate::error::{Damage, StoreError};
use crate::id::{Epoch, Position, RunId};
use crate::key::Digest;
use crate::memory::within;
use crate::store::{Batch, Row, Store};

/// The newest format of a journal's file that this program reads, and the one it writes.
pub const FILE_FORMAT: u32 = 1;

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const RUNS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("runs");
const RECORDS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("records");
const PAYLOADS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("payloads");
const BLOBS: TableDefinition<'_, [u8; 16], &[u8]> = TableDefinition::new("blobs");

const META_FORMAT: &str = "format";
const META_CREATED_BY: &str = "created by";
const META_IDENTITY: &str = "identity";
const META_EPOCH: &str = "epoch";

/// How a journal's file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Memory for pages of the file, in bytes.
    pub cache_bytes: usize,
    /// Whether commits also write down which parts of the file are free.
    pub quick_repair: QuickRepair,
    /// Whether a journal is begun where there is no file.
    pub create: bool,
    /// How long a file is waited for that is open elsewhere. A process that was killed may still have it for a moment: the
    /// kernel closes its files one after the other, and a program that it was just starting has copies of them all.
    pub patience: Duration,
}

/// Whether commits also write down which parts of the file are free. Without that the first opening after a crash reads
/// the whole file, some 1 to 15 ms a megabyte; with it opening takes 1 ms and every small commit twice its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuickRepair {
    /// Never.
    Never,
    /// Always.
    Always,
    /// As soon as the file has so many bytes: as long as it is small, reading it whole is quick too.
    Above(u64),
}

impl QuickRepair {
    fn is_on(self, file_bytes: u64) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Above(bytes) => file_bytes >= bytes,
        }
    }
}

/// Measured (`examples/repair.rs`): with 16 MB a journal is written and read as fast as with 1 GB, since it grows at one
/// end and is read in order, and the process stays small.
const CACHE_BYTES: usize = 16 << 20;

/// A file of this size is read whole in some 20 ms, on a slow disk in a quarter of a second.
const QUICK_REPAIR_ABOVE: u64 = 16 << 20;

/// A process ends in milliseconds, on a machine with much else to do in a second.
const PATIENCE: Duration = Duration::from_secs(3);
impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: CACHE_BYTES,
            quick_repair: QuickRepair::Above(QUICK_REPAIR_ABOVE),
            create: true,
            patience: PATIENCE,
        }
    }
}

impl Options {
    /// With so much memory for pages of the file, in bytes.
    #[must_use]
    pub const fn cache_bytes(self, cache_bytes: usize) -> Self {
        Self {
            cache_bytes,
            ..self
        }
    }

    /// With quick repair always, never, or for large files.
    #[must_use]
    pub const fn quick_repair(self, quick_repair: QuickRepair) -> Self {
        Self {
            quick_repair,
            ..self
        }
    }

    /// Only a journal that is there: without one, [`StoreError::Missing`].
    #[must_use]
    pub const fn existing(self) -> Self {
        Self {
            create: false,
            ..self
        }
    }

    /// Waits so long for a file that is open elsewhere.
    #[must_use]
    pub const fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}

/// A journal in one file. The file belongs to one process at a time.
#[derive(Debug)]
pub struct RedbStore {
    /// Always there, until the store is dropped.
    database: Option<Database>,
    path: PathBuf,
    quick_repair: QuickRepair,
    /// The file's length when it was opened and what was committed since: near enough to say whether it is large.
    file_bytes: AtomicU64,
    /// Set by a commit that failed. What is on the disk then cannot be known, so nothing is acknowledged any more.
    failed: AtomicBool,
}

impl RedbStore {
    /// Opens the journal at `path`, or begins one when there is no file. A new file appears under its name only when it
    /// is a whole journal, readable by its owner alone; its folder must be there. Blocks for [`Options::patience`] at most
    /// while another process has the file.
    ///
    /// # Errors
    /// [`StoreError`] says what is at `path` instead of a journal and what to do; it was left as it was.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let open = || match guarded(|| Self::open_existing(path, options)) {
            Err(StoreError::Missing { .. }) if options.create => Self::begin(path, options),
            opened => opened,
        };
        when_closed(options.patience, open, thread::sleep)
    }

    fn database(&self) -> Result<&Database, StoreError> {
        self.database
            .as_ref()
            .ok_or_else(|| StoreError::Io("it is closed".to_owned()))
    }

    /// The journal's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn open_existing(path: &Path, options: Options) -> Result<Self, StoreError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|error| opening_failed(path, &error))?;
        check_magic(path, &mut file)?;
        let store = Self::over_file(path, file, options)?;
        store.check_format()?;
        Ok(store)
    }

    fn over_file(path: &Path, file: File, options: Options) -> Result<Self, StoreError> {
        let metadata = file
            .metadata()
            .map_err(|error| opening_failed(path, &error))?;
        let database = Builder::new()
            .set_cache_size(options.cache_bytes)
            .create_file(file)
            .map_err(|error| database_failed(path, error))?;
        Ok(Self::over(database, path, metadata.len(), options))
    }

    fn over(database: Database, path: &Path, file_bytes: u64, options: Options) -> Self {
        Self {
            database: Some(database),
            path: path.to_owned(),
            quick_repair: options.quick_repair,
            file_bytes: AtomicU64::new(file_bytes),
            failed: AtomicBool::new(false),
        }
    }

    /// Makes the journal beside its place and then gives it its name, so that a crash leaves no half a file there.
    fn begin(path: &Path, options: Options) -> Result<Self, StoreError> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".new-{}", std::process::id()));
        let draft = path.with_file_name(name);
        let begun = Self::begin_draft(&draft, path, options);
        if begun.is_err() {
            // The first error is the one to tell.
            let _ = fs::remove_file(&draft);
        }
        match begun {
            Ok(store) => Ok(store),
            // Another process was quicker; the journal is its.
            Err(Begin::Taken) => Self::open_existing(path, options),
            Err(Begin::Failed(error)) => Err(error),
        }
    }

    fn begin_draft(draft: &Path, path: &Path, options: Options) -> Result<Self, Begin> {
        let failed = |error: io::Error| opening_failed(path, &error);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(draft)
            .map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let store = Self::over_file(path, file, options)?;
        store.write_meta(identity_of(&metadata), Epoch(0))?;
        match fs::hard_link(draft, path) {
            Ok(()) => fs::remove_file(draft).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(Begin::Taken),
            // A file system without links: the rename is as whole, only not as careful.
            Err(_) => fs::rename(draft, path).map_err(failed)?,
        }
        sync_folder(path).map_err(failed)?;
        Ok(store)
    }

    fn write_meta(&self, identity: Digest, epoch: Epoch) -> Result<(), StoreError> {
        let transaction = self.write()?;
        {
            let mut meta = transaction.open_table(META).map_err(failed)?;
            let created_by = concat!("bellwether ", env!("CARGO_PKG_VERSION"));
            meta.insert(META_FORMAT, FILE_FORMAT.to_le_bytes().as_slice())
                .map_err(failed)?;
            meta.insert(META_CREATED_BY, created_by.as_bytes())
                .map_err(failed)?;
            meta.insert(META_IDENTITY, identity.0.as_slice())
                .map_err(failed)?;
            meta.insert(META_EPOCH, epoch.0.to_le_bytes().as_slice())
                .map_err(failed)?;
            transaction.open_table(RUNS).map_err(failed)?;
            transaction.open_table(RECORDS).map_err(failed)?;
            transaction.open_table(PAYLOADS).map_err(failed)?;
            transaction.open_table(BLOBS).map_err(failed)?;
        }
        transaction.commit().map_err(failed)
    }

    fn check_format(&self) -> Result<(), StoreError> {
        let not_ours = |what: &str| StoreError::NotAJournal {
            path: self.path.display().to_string(),
            reason: format!("a database of another program ({what})"),
        };
        let read = self.database()?.begin_read().map_err(failed)?;
        let meta = match read.open_table(META) {
            Ok(meta) => meta,
            Err(TableError::Storage(error)) => return Err(failed(error)),
            Err(_) => return Err(not_ours("no table `meta`")),
        };
        let format = meta.get(META_FORMAT).map_err(failed)?;
        let format =
            format.and_then(|bytes| Some(u32::from_le_bytes(bytes.value().try_into().ok()?)));
        match format {
            None => Err(not_ours("no format")),
            Some(FILE_FORMAT) => Ok(()),
            Some(found) => Err(StoreError::Format {
                found,
                known: FILE_FORMAT,
            }),
        }
    }

    fn write(&self) -> Result<WriteTransaction, StoreError> {
        let mut transaction = self.database()?.begin_write().map_err(failed)?;
        let file_bytes = self.file_bytes.load(Ordering::Relaxed);
        transaction.set_quick_repair(self.quick_repair.is_on(file_bytes));
        Ok(transaction)
    }

    /// Runs a write. If it fails otherwise than by our own refusal, it is the last that this handle does.
    fn writing<T>(
        &self,
        write: impl FnOnce(&WriteTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.failed.load(Ordering::Acquire) {
            let what = "an earlier write failed; nothing more is written before it is opened anew";
            return Err(StoreError::Io(what.to_owned()));
        }
        let written = guarded(|| {
            let transaction = self.write()?;
            let value = write(&transaction)?;
            transaction.commit().map_err(failed)?;
            Ok(value)
        });
        if !matches!(written, Ok(_) | Err(StoreError::Occupied { .. })) {
            self.failed.store(true, Ordering::Release);
        }
        written
    }

    /// Runs a read in a transaction of its own.
    fn reading<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        guarded(|| read(&self.database()?.begin_read().map_err(failed)?))
    }
}

/// Runs what calls the database. On a file that was changed behind its back it may panic; that is damage like any other.
fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    // What a panic leaves behind is inside the database, which refuses locks that a panic has poisoned.
    panic::catch_unwind(panic::AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        let text = text.unwrap_or("no reason given");
        Err(Damage::new(format!(
            "the database cannot make sense of its file ({text})"
        ))
        .into())
    })
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        let database = self.database.take();
        // Closing writes; what fails there the next opening repairs.
        let _ = guarded(|| {
            drop(database);
            Ok(())
        });
    }
}

enum Begin {
    Taken,
    Failed(StoreError),
}

impl From<StoreError> for Begin {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl Store for RedbStore {
    fn raise_epoch(&self) -> Result<Epoch, StoreError> {
        self.writing(|transaction| {
            let mut meta = transaction.open_table(META).map_err(failed)?;
            let epoch = {
                let bytes = meta.get(META_EPOCH).map_err(failed)?;
                bytes.and_then(|bytes| Some(u64::from_le_bytes(bytes.value().try_into().ok()?)))
            };
            let epoch = Epoch(epoch.ok_or_else(|| Damage::new("no epoch"))?).next();
            meta.insert(META_EPOCH, epoch.0.to_le_bytes().as_slice())
                .map_err(failed)?;
            Ok(epoch)
        })
    }

    fn identity(&self) -> Result<Digest, StoreError> {
        self.reading(|read| {
            let meta = read.open_table(META).map_err(failed)?;
            let bytes = meta.get(META_IDENTITY).map_err(failed)?;
            let identity = bytes.and_then(|bytes| Some(Digest(bytes.value().try_into().ok()?)));
            Ok(identity.ok_or_else(|| Damage::new("no identity"))?)
        })
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        self.file_bytes
            .fetch_add(batch.bytes() as u64, Ordering::Relaxed);
        self.writing(|transaction| {
            if !batch.records.is_empty() {
                let mut records = transaction.open_table(RECORDS).map_err(failed)?;
                for (run, position, bytes) in &batch.records {
                    let before = records.insert((run.to_u64(), position.0), bytes.as_slice());
                    if before.map_err(failed)?.is_some() {
                        return Err(StoreError::Occupied {
                            run: *run,
                            position: *position,
                        });
                    }
                }
            }
            if !batch.payloads.is_empty() {
                let mut payloads = transaction.open_table(PAYLOADS).map_err(failed)?;
                for (run, position, bytes) in &batch.payloads {
                    payloads
                        .insert((run.to_u64(), position.0), &**bytes)
                        .map_err(failed)?;
                }
            }
            if !batch.blobs.is_empty() {
                let mut blobs = transaction.open_table(BLOBS).map_err(failed)?;
                for (hash, bytes) in &batch.blobs {
                    let there = blobs.get(hash.0).map_err(failed)?.is_some();
                    if !there {
                        blobs.insert(hash.0, &**bytes).map_err(failed)?;
                    }
                }
            }
            if !batch.summaries.is_empty() {
                let mut runs = transaction.open_table(RUNS).map_err(failed)?;
                for (run, bytes) in &batch.summaries {
                    runs.insert(run.to_u64(), bytes.as_slice())
                        .map_err(failed)?;
                }
            }
            Ok(())
        })
    }

    fn summaries(
        &self,
        after: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<(RunId, Vec<u8>)>, StoreError> {
        self.reading(|read| {
            let runs = read.open_table(RUNS).map_err(failed)?;
            let from = after.map_or(0, |after| after.to_u64() + 1);
            runs.range(from..)
                .map_err(failed)?
                .take(limit)
                .map(|row| {
                    let (run, bytes) = row.map_err(failed)?;
                    let run =
                        RunId::from_u64(run.value()).ok_or_else(|| Damage::new("no run id"))?;
                    Ok((run, bytes.value().to_vec()))
                })
                .collect()
        })
    }

    fn summary(&self, run: RunId) -> Result<Option<Vec<u8>>, StoreError> {
        self.reading(|read| {
            let runs = read.open_table(RUNS).map_err(failed)?;
            let bytes = runs.get(run.to_u64()).map_err(failed)?;
            Ok(bytes.map(|bytes| bytes.value().to_vec()))
        })
    }

    fn records(&self, run: RunId, from: Position, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.reading(|read| {
            let records = read.open_table(RECORDS).map_err(failed)?;
            rows(&records, run, from)?.take(limit).collect()
        })
    }

    fn payloads(
        &self,
        run: RunId,
        from: Position,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.reading(|read| {
            let payloads = read.open_table(PAYLOADS).map_err(failed)?;
            within(rows(&payloads, run, from)?.take(limit), bytes_max)
        })
    }

    fn payload(&self, run: RunId, position: Position) -> Result<Option<Vec<u8>>, StoreError> {
        self.reading(|read| {
            let payloads = read.open_table(PAYLOADS).map_err(failed)?;
            let bytes = payloads.get((run.to_u64(), position.0)).map_err(failed)?;
            Ok(bytes.map(|bytes| bytes.value().to_vec()))
        })
    }

    fn blob(&self, hash: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.reading(|read| {
            let blobs = read.open_table(BLOBS).map_err(failed)?;
            let bytes = blobs.get(hash.0).map_err(failed)?;
            Ok(bytes.map(|bytes| bytes.value().to_vec()))
        })
    }
}

fn rows(
    table: &impl ReadableTable<(u64, u64), &'static [u8]>,
    run: RunId,
    from: Position,
) -> Result<impl Iterator<Item = Result<Row, StoreError>>, StoreError> {
    let run = run.to_u64();
    let range = table
        .range((run, from.0)..=(run, u64::MAX))
        .map_err(failed)?;
    Ok(range.map(|row| {
        let (key, bytes) = row.map_err(failed)?;
        Ok(Row {
            position: Position(key.value().1),
            bytes: bytes.value().to_vec(),
        })
    }))
}

fn database_failed(path: &Path, error: DatabaseError) -> StoreError {
    let path_text = path.display().to_string();
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path: path_text },
        DatabaseError::UpgradeRequired(found) => StoreError::Format {
            found: found.into(),
            known: FILE_FORMAT,
        },
        DatabaseError::Storage(StorageError::Corrupted(reason)) => StoreError::Damaged {
            path: path_text,
            reason,
        },
        DatabaseError::Storage(StorageError::Io(error))
            if error.kind() == io::ErrorKind::UnexpectedEof =>
        {
            StoreError::Damaged {
                path: path_text,
                reason: "it is cut off".to_owned(),
            }
        }
        DatabaseError::Storage(StorageError::Io(error)) => opening_failed(path, &error),
        other => StoreError::Io(format!("{path_text}: {other}")),
    }
}

/// Any error of an open database.
fn failed(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Corrupted(what) => Damage::new(what).into(),
        redb::Error::Io(error) => StoreError::Io(error.to_string()),
        redb::Error::PreviousIo => StoreError::Io("an earlier read or write failed".to_owned()),
        other => StoreError::Io(other.to_string()),
    }
}
