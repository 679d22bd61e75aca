//! The processes of a project: whoever works in its folder, has it as its home, or was told one of its paths.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::ensure;
use rustix::process::{Pid, Signal, kill_process};

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: Pid,
    /// The program's file name.
    pub program: String,
    /// Its words.
    pub words: Vec<String>,
}

impl Process {
    /// Kills it; one that has ended meanwhile is left alone.
    pub fn kill(&self) {
        let _ = kill_process(self.pid, Signal::KILL);
    }
}

/// Those of a folder that are there now, without this one and without those that are dead and not yet waited for.
///
/// # Errors
/// When the kernel does not list processes.
pub fn of_folder(folder: &Path) -> anyhow::Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str()?.parse().ok());
        let Some(pid) = number.and_then(Pid::from_raw) else {
            continue;
        };
        if pid == rustix::process::getpid() {
            continue;
        }
        // Others come and go meanwhile, and some are not ours to look into.
        if let Some(process) = look(&path, pid, folder) {
            found.push(process);
        }
    }
    Ok(found)
}

fn look(path: &Path, pid: Pid, folder: &Path) -> Option<Process> {
    let words = fs::read(path.join("cmdline")).ok()?;
    let within = fs::read_link(path.join("cwd")).is_ok_and(|place| place.starts_with(folder));
    let told = |bytes: &[u8]| {
        let wanted = folder.as_os_str().as_bytes();
        bytes.windows(wanted.len()).any(|window| window == wanted)
    };
    if !within && !told(&words) && !told(&fs::read(path.join("environ")).ok()?) {
        return None;
    }
    let program: PathBuf = fs::read_link(path.join("exe")).ok()?;
    Some(Process {
        pid,
        program: program.file_name()?.to_string_lossy().into_owned(),
        words: words
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect(),
    })
}

/// Waits until no process of a folder is left that `counts`.
///
/// # Errors
/// Names those that are still there after `limit`.
pub fn until_none(
    folder: &Path,
    limit: Duration,
    counts: impl Fn(&Process) -> bool,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        let mut left = of_folder(folder)?;
        left.retain(&counts);
        if left.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "still there: {left:?}");
        std::thread::yield_now();
    }
}
