//! Measuring: time, memory, commits, the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bellwether::store::{Batch, Position, RedbOptions, RedbStore, Row, Store, StoreError};
use bellwether::{Digest, Epoch, RunId};
use rustix::fs::{Advice, fadvise};

/// The value of what `work` does, and the seconds that it took.
///
/// # Errors
/// Those of `work`.
pub fn timed<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, f64)> {
    let start = Instant::now();
    let value = work()?;
    Ok((value, start.elapsed().as_secs_f64()))
}

/// The process's memory, as the kernel counts it.
#[derive(Debug)]
pub struct Memory {
    before_bytes: u64,
}

impl Memory {
    /// Begins to watch: what was the peak before does not count.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn watch() -> anyhow::Result<Self> {
        // 5 sets the peak back to what is used now.
        fs::write("/proc/self/clear_refs", "5")?;
        Ok(Self {
            before_bytes: status_bytes("VmRSS:")?,
        })
    }

    /// The most that was used at once since then, in bytes.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn peak_bytes(&self) -> anyhow::Result<u64> {
        status_bytes("VmHWM:")
    }

    /// By how much the peak is above the beginning, in bytes.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn growth_bytes(&self) -> anyhow::Result<u64> {
        Ok(self.peak_bytes()?.saturating_sub(self.before_bytes))
    }
}

fn status_bytes(name: &str) -> anyhow::Result<u64> {
    Ok(figure(Path::new("/proc/self/status"), name)? * 1024)
}

/// A figure of a process's `status` file; those of memory are in KiB.
fn figure(status: &Path, name: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(status)?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .context("no such figure")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// What this process and those that it started use now, as the kernel counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Memory of this process, in bytes.
    pub resident_bytes: u64,
    /// Memory of those that it has started, in bytes. A page that two of them share counts twice.
    pub children_bytes: u64,
    /// The sum of what each of them all ever used at once, in bytes.
    pub peak_bytes: u64,
    /// Open descriptors of this process.
    pub descriptors: u64,
    /// Threads of this process.
    pub threads: u64,
    /// Processes that it has started and that are there.
    pub children: u64,
}

impl Usage {
    /// That of this moment.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn now() -> anyhow::Result<Self> {
        let own = Path::new("/proc/self/status");
        let mut usage = Self {
            resident_bytes: figure(own, "VmRSS:")? * 1024,
            peak_bytes: figure(own, "VmHWM:")? * 1024,
            children_bytes: 0,
            // The folder that is read is open meanwhile.
            descriptors: fs::read_dir("/proc/self/fd")?.count() as u64 - 1,
            threads: figure(own, "Threads:")?,
            children: 0,
        };
        for entry in fs::read_dir("/proc")? {
            let status = entry?.path().join("status");
            // Others come and go meanwhile; one that has ended has no memory to show.
            if figure(&status, "PPid:").is_ok_and(|parent| parent == u64::from(std::process::id()))
                && let (Ok(resident), Ok(peak)) =
                    (figure(&status, "VmRSS:"), figure(&status, "VmHWM:"))
            {
                usage.children += 1;
                usage.children_bytes += resident * 1024;
                usage.peak_bytes += peak * 1024;
            }
        }
        Ok(usage)
    }
}

/// The median of some figures; 0 of none.
#[must_use]
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// The largest of some figures; 0 of none.
#[must_use]
pub fn largest(figures: &[f64]) -> f64 {
    figures.iter().copied().fold(0.0, f64::max)
}

/// Mebibytes.
#[must_use]
pub fn mb(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The median of an fdatasync after a write of 4 KiB, in seconds.
///
/// # Errors
/// When the disk refuses.
pub fn fdatasync_median(folder: &Path) -> anyhow::Result<f64> {
    const ROUNDS: usize = 301;
    const BLOCK: [u8; 4096] = [7; 4096];
    let path = folder.join("fdatasync");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)?;
    // The blocks are there beforehand, as they are in a journal: only data has to be synced.
    for _ in 0..ROUNDS {
        file.write_all(&BLOCK)?;
    }
    file.sync_all()?;
    file.seek(SeekFrom::Start(0))?;
    let mut rounds: Vec<Duration> = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        file.write_all(&BLOCK)?;
        file.sync_data()?;
        rounds.push(start.elapsed());
    }
    fs::remove_file(&path)?;
    rounds.sort_unstable();
    Ok(rounds[ROUNDS / 2].as_secs_f64())
}

/// Puts a file out of the page cache.
///
/// # Errors
/// When the file cannot be opened or the kernel refuses.
pub fn forget(path: &Path) -> anyhow::Result<()> {
    let file = File::open(path)?;
    // Only what is on the disk can be forgotten.
    file.sync_all()?;
    fadvise(&file, 0, None, Advice::DontNeed)?;
    Ok(())
}

/// The seconds that reading a file once takes that is not in the page cache; afterwards it is not again.
///
/// # Errors
/// When it cannot be read.
pub fn reading_once(path: &Path) -> anyhow::Result<f64> {
    forget(path)?;
    let ((), seconds) = timed(|| {
        let mut file = File::open(path)?;
        let mut buffer = vec![0; 1 << 20];
        while file.read(&mut buffer)? > 0 {}
        Ok(())
    })?;
    forget(path)?;
    Ok(seconds)
}

/// A journal in a file that counts its commits.
#[derive(Debug)]
pub struct CountingStore {
    store: RedbStore,
    commits: AtomicU64,
}

impl CountingStore {
    /// Opens the journal at `path`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let store = RedbStore::open(path, RedbOptions::default())?;
        Ok(Self {
            store,
            commits: AtomicU64::new(0),
        })
    }

    /// Commits so far.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }
}

impl Store for CountingStore {
    fn raise_epoch(&self) -> Result<Epoch, StoreError> {
        self.store.raise_epoch()
    }

    fn identity(&self) -> Result<Digest, StoreError> {
        self.store.identity()
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.store.commit(batch)
    }

    fn summaries(
        &self,
        after: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<(RunId, Vec<u8>)>, StoreError> {
        self.store.summaries(after, limit)
    }

    fn summary(&self, run: RunId) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.summary(run)
    }

    fn records(&self, run: RunId, from: Position, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.store.records(run, from, limit)
    }

    fn payloads(
        &self,
        run: RunId,
        from: Position,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.store.payloads(run, from, limit, bytes_max)
    }

    fn payload(&self, run: RunId, position: Position) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.payload(run, position)
    }

    fn blob(&self, hash: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.blob(hash)
    }
}
