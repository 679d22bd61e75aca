//! The host process: begun by a command that needs it, it carries out runs and outlives the command.
//!
//! It leaves when nothing is live, nobody is attached and nothing is asked of it for a moment. Whoever asks just then is told
//! to ask again, and begins another one.

use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;

/// How often the host looks whether it is wanted.
const LOOK: Duration = Duration::from_millis(250);
/// So often it looks and is not wanted before it leaves: two seconds.
pub(crate) const LOOKS_IDLE: u32 = 8;
/// As much of a host's log is shown when it could not begin, in bytes.
const LOG_SHOWN: usize = 2_000;

/// Who is wanted for what, as the host's answers and its end share it.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    /// Answers under way, and readers of events.
    busy: AtomicUsize,
    leaving: AtomicBool,
    /// Why the journal takes nothing any more, once it does not.
    failed: OnceLock<String>,
    /// Somebody wants it to leave.
    pub(crate) told_to_leave: Notify,
}

/// Something that keeps the host.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Presence>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Presence {
    /// Keeps the host for as long as what comes back is there; `None` when it is leaving.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Busy> {
        // First counted, then looked: one of the two sees the other.
        self.busy.fetch_add(1, Ordering::SeqCst);
        let busy = Busy(Arc::clone(self));
        (!self.leaving.load(Ordering::SeqCst)).then_some(busy)
    }

    /// The journal takes nothing any more: what is in memory here is not in it, so that nobody is to hear it, and only another
    /// opening of it helps.
    pub(crate) fn fail(&self, reason: String) {
        // The first reason is the one to tell.
        let _ = self.failed.set(reason);
        self.told_to_leave.notify_one();
    }

    /// Why the journal takes nothing any more.
    pub(crate) fn failed(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    /// Lets nobody in any more.
    pub(crate) fn close(&self) {
        self.leaving.store(true, Ordering::SeqCst);
    }

    /// Whether the host may leave now; from then on nobody is let in.
    fn try_leave(&self, is_idle: impl Fn() -> bool) -> bool {
        self.leaving.store(true, Ordering::SeqCst);
        let may = self.busy.load(Ordering::SeqCst) == 0 && is_idle();
        if !may {
            self.leaving.store(false, Ordering::SeqCst);
        }
        may
    }

    /// How many answers are under way, readers of events among them.
    pub(crate) fn attached(&self) -> usize {
        self.busy.load(Ordering::SeqCst)
    }

    /// Whether something is asked of it, or somebody reads events.
    pub(crate) fn is_busy(&self) -> bool {
        self.attached() > 0
    }

    /// Waits until the host has not been wanted at so many looks, or is told to leave.
    pub(crate) async fn until_idle(&self, looks_idle: u32, is_idle: impl Fn() -> bool) {
        let mut idle = 0;
        let told = self.told_to_leave.notified();
        tokio::pin!(told);
        let mut looks = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                () = &mut told => {
                    self.close();
                    return;
                }
                _ = looks.tick() => {
                    let wanted = self.is_busy() || !is_idle();
                    idle = if wanted { 0 } else { idle + 1 };
                    if idle >= looks_idle && self.try_leave(&is_idle) {
                        return;
                    }
                }
            }
        }
    }
}

/// A host that was begun and does not answer yet.
#[derive(Debug)]
pub(crate) struct Begun {
    child: Child,
    log: PathBuf,
}

/// Where the host of a journal writes what it has to say.
pub(crate) fn log_file(journal: &Path) -> PathBuf {
    journal.with_extension("host.log")
}

/// Begins a host for a journal, in `directory`.
///
/// # Errors
/// When this very program cannot be started.
pub(crate) fn begin(journal: &Path, directory: &Path) -> io::Result<Begun> {
    let log = log_file(journal);
    let child = Command::new(std::env::current_exe()?)
        .args(["host", "serve", "--journal"])
        .arg(journal)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&log)?)
        .spawn()?;
    Ok(Begun { child, log })
}

impl Begun {
    /// Why it has ended without being the host; `None` while it is there, when another one was first, and when it was killed:
    /// then another one may do better.
    pub(crate) fn failed(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok()??;
        if status.success() || status.signal().is_some() {
            return None;
        }
        let log = std::fs::read(&self.log).unwrap_or_default();
        let from = log.len().saturating_sub(LOG_SHOWN);
        let text = String::from_utf8_lossy(log.get(from..).unwrap_or_default()).into_owned();
        Some(text.trim().to_owned())
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

/// Makes this process one that no terminal's end reaches.
pub(crate) fn detach() {
    // It fails where this process leads a group already, which is as good.
    let _ = rustix::process::setsid();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_host_leaves_when_it_is_not_wanted_and_lets_nobody_in_then() {
        let presence = Arc::new(Presence::default());
        let live = Arc::new(AtomicBool::new(true));
        let idle = {
            let live = Arc::clone(&live);
            move || !live.load(Ordering::SeqCst)
        };
        let waiting = {
            let presence = Arc::clone(&presence);
            tokio::spawn(async move { presence.until_idle(LOOKS_IDLE, idle).await })
        };
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert!(!waiting.is_finished(), "a run is live");
        let attached = presence.enter();
        assert!(attached.is_some());
        live.store(false, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert!(!waiting.is_finished(), "somebody is attached");
        drop(attached);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!waiting.is_finished(), "somebody may come back");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(waiting.is_finished());
        assert!(presence.enter().is_none(), "it is leaving");
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_is_told_to_leave_does() {
        let presence = Arc::new(Presence::default());
        let _attached = presence.enter();
        presence.told_to_leave.notify_one();
        presence.until_idle(LOOKS_IDLE, || false).await;
        assert!(presence.enter().is_none());
    }
}
