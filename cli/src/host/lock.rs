//! The lock beside a journal: who holds it may open the journal, nobody else.
//!
//! The file is never deleted and never renamed, so that all who ask lock the same inode. It says who
//! holds it; what stands there of a holder that is gone means nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

/// More than any claim is long.
const CLAIM_BYTES_MAX: u64 = 16 * 1024;

/// Who holds a journal, as the lock file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Claim {
    /// The process.
    pub(crate) pid: u32,
    /// Since when, RFC 3339 in UTC.
    pub(crate) since: String,
    /// When the process began, in clock ticks since the boot; tells it from a later one of the same
    /// number. `None` where the system does not say.
    pub(crate) process_start: Option<u64>,
    /// Which boot of the host; `None` where the system does not say.
    pub(crate) boot_id: Option<String>,
    /// The program's version.
    pub(crate) version: String,
    /// What it does: the command.
    pub(crate) purpose: String,
    /// Where it answers, if it does.
    pub(crate) socket: Option<PathBuf>,
}

impl Claim {
    /// What this process has to say of itself.
    pub(crate) fn of_this_process(purpose: &str) -> Self {
        Self {
            pid: std::process::id(),
            since: crate::time::now_text(),
            process_start: process_start(),
            boot_id: boot_id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            purpose: purpose.to_owned(),
            socket: None,
        }
    }
}

/// When this process began: field 22 of its `stat`, counted behind the program's name, which may
/// hold anything.
fn process_start() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

/// The lock of a journal, held. Dropping it gives the journal free.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing it would not do: a process that is just being started still has it, too, until it is its program.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

impl Lock {
    /// Takes the lock in the file `path`, which is created when it is not there; `None` when another
    /// process has it.
    ///
    /// # Errors
    /// When the file cannot be opened or locked.
    pub(crate) fn try_take(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(path)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            // Somebody may have removed the file between its opening and its locking; a lock on what
            // nobody else can open is none.
            let held = file.metadata()?;
            let seen = std::fs::metadata(path);
            if seen.is_ok_and(|seen| (seen.dev(), seen.ino()) == (held.dev(), held.ino())) {
                return Ok(Some(Self {
                    file,
                    path: path.to_path_buf(),
                }));
            }
        }
    }

    /// Writes into the file who holds it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn describe(&mut self, claim: &Claim) -> io::Result<()> {
        let mut text = serde_json::to_vec(claim)?;
        text.push(b'\n');
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(&text)
    }

    /// What tells this lock's file from every other one of the host: device and inode.
    ///
    /// # Errors
    /// When the file cannot be examined.
    pub(crate) fn identity(&self) -> io::Result<(u64, u64)> {
        let metadata = self.file.metadata()?;
        Ok((metadata.dev(), metadata.ino()))
    }

    /// The lock's file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Who last said that it holds the lock; `None` when nobody did, or is just about to.
pub(crate) fn read_claim(path: &Path) -> Option<Claim> {
    let mut text = String::new();
    File::open(path)
        .ok()?
        .take(CLAIM_BYTES_MAX)
        .read_to_string(&mut text)
        .ok()?;
    serde_json::from_str(&text).ok()
}

/// The lock's file of a journal. Symbolic links are followed first, so that two names of one journal
/// have one lock.
///
/// # Errors
/// When the journal's folder is not there.
pub(crate) fn path_for(journal: &Path) -> io::Result<PathBuf> {
    let real = match std::fs::canonicalize(journal) {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = match journal.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            };
            let name = journal.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            std::fs::canonicalize(folder)?.join(name)
        }
        Err(error) => return Err(error),
    };
    let mut name = real.into_os_string();
    name.push(".lock");
    Ok(name.into())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::process::Command;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn a_lock_has_one_holder_and_says_who() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.redb.lock");
        assert_eq!(read_claim(&path), None);
        let mut lock = Lock::try_take(&path).unwrap().unwrap();
        assert!(Lock::try_take(&path).unwrap().is_none());
        let long = Claim {
            version: "x".repeat(500),
            ..Claim::of_this_process("run")
        };
        lock.describe(&long).unwrap();
        let claim = Claim::of_this_process("run");
        lock.describe(&claim).unwrap();
        assert_eq!(read_claim(&path), Some(claim.clone()));
        assert_eq!(claim.pid, std::process::id());
        drop(lock);
        assert!(path.exists(), "the lock file stays");
        assert!(Lock::try_take(&path).unwrap().is_some());
    }

    #[test]
    fn many_who_ask_at_once_never_hold_it_together() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.redb.lock");
        let (inside, taken) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let Some(lock) = Lock::try_take(&path).unwrap() else {
                            continue;
                        };
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        taken.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(taken.load(Ordering::SeqCst) > 0);
    }

    /// The other half of the next test: holds the lock until its stdin ends.
    #[test]
    fn another_process_holds_the_lock() {
        let Some(path) = std::env::var_os("LOCK_TEST_PATH") else {
            return;
        };
        let lock = Lock::try_take(Path::new(&path)).unwrap();
        std::io::stderr()
            .write_all(if lock.is_some() { b"held\n" } else { b"lost\n" })
            .unwrap();
        io::copy(&mut io::stdin(), &mut io::sink()).unwrap();
    }

    #[test]
    fn a_killed_holder_gives_the_lock_free() {
        use std::io::BufRead as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j.redb.lock");
        for _ in 0..5 {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "--nocapture",
                    "host::lock::tests::another_process_holds_the_lock",
                ])
                .env("LOCK_TEST_PATH", &path)
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let mut said = String::new();
            io::BufReader::new(child.stderr.take().unwrap())
                .read_line(&mut said)
                .unwrap();
            assert_eq!(said, "held\n");
            assert!(Lock::try_take(&path).unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(Lock::try_take(&path).unwrap().is_some());
        }
    }

    #[test]
    fn two_names_of_a_journal_have_one_lock() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        std::fs::write(folder.path().join("j.redb"), "").unwrap();
        std::os::unix::fs::symlink("j.redb", folder.path().join("other")).unwrap();
        assert_eq!(
            path_for(&folder.path().join("other")).unwrap(),
            real.join("j.redb.lock")
        );
        assert_eq!(
            path_for(&folder.path().join("new")).unwrap(),
            real.join("new.lock")
        );
        assert!(path_for(&folder.path().join("no/folder")).is_err());
    }
}
