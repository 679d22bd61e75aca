//! Named pipes, by which tests and fake agents wait for one another without polling.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, Mode, mknodat};

/// A named pipe, open for both reading and writing as long as it lives, so that neither side ever sees its end.
#[derive(Debug)]
pub struct Fifo {
    path: PathBuf,
    file: File,
    unread: Vec<u8>,
}

impl Fifo {
    /// Makes a pipe at `path`.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn create(path: impl Into<PathBuf>) -> anyhow::Result<Self> {
        let path = path.into();
        mknodat(
            rustix::fs::CWD,
            &path,
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .with_context(|| path.display().to_string())?;
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        Ok(Self {
            path,
            file,
            unread: Vec::new(),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As a gate: lets `count` of those through that wait at it, now or later. At most 65,536 passes fit.
    ///
    /// # Errors
    /// When the pipe cannot be written.
    pub fn admit(&mut self, count: usize) -> anyhow::Result<()> {
        self.file.write_all(&vec![b'.'; count])?;
        Ok(())
    }

    /// As a bell: waits for the next line that somebody writes into it.
    ///
    /// # Errors
    /// When none comes within `limit`.
    pub fn next_line(&mut self, limit: Duration) -> anyhow::Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if !readable(&self.file, deadline)? {
                bail!(
                    "no line came through {} within {limit:?}",
                    self.path.display()
                );
            }
            let mut bytes = [0; 4096];
            let count = self.file.read(&mut bytes)?;
            self.unread.extend_from_slice(&bytes[..count]);
        }
    }
}

/// Waits at a gate until it lets one through.
///
/// # Errors
/// When the pipe cannot be read.
pub fn pass(gate: &Path) -> anyhow::Result<()> {
    let mut pass = [0];
    File::open(gate)
        .with_context(|| gate.display().to_string())?
        .read_exact(&mut pass)?;
    Ok(())
}

/// Writes a line, whole, to a bell or at the end of a file.
///
/// # Errors
/// When it cannot be written.
pub fn append_line(path: &Path, line: &str) -> anyhow::Result<()> {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .with_context(|| path.display().to_string())?;
    // One write, so that lines of many writers do not mix and a kill leaves no half of one.
    file.write_all(format!("{line}\n").as_bytes())?;
    Ok(())
}

/// Waits until there is something to read, or a process has ended; `false` when the deadline came first.
///
/// # Errors
/// When the system refuses.
pub fn readable(source: &impl std::os::fd::AsFd, deadline: Instant) -> anyhow::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = left.try_into().context("a time limit beyond the clock")?;
        match poll(&mut [PollFd::new(source, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_lets_through_and_a_bell_is_heard() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let mut gate = Fifo::create(folder.path().join("gate"))?;
        let mut bell = Fifo::create(folder.path().join("bell"))?;
        let (at, ring) = (gate.path().to_owned(), bell.path().to_owned());
        let waiter = std::thread::spawn(move || {
            pass(&at)?;
            append_line(&ring, "through")
        });
        gate.admit(1)?;
        assert_eq!(bell.next_line(crate::GUARD)?, "through");
        assert!(bell.next_line(Duration::ZERO).is_err());
        waiter
            .join()
            .map_err(|_| anyhow::anyhow!("the waiter panicked"))?
    }
}
