//! Finds what an engine that died left behind, by the marker in the environment, and kills it.

use std::collections::HashSet;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, geteuid, getpid, pidfd_open, pidfd_send_signal};

use crate::marker::{MARKER_VARIABLE, Marker};
use crate::procfs;

/// How often `/proc` is read again: each round finds what the last one's dead had started meanwhile.
const ROUNDS_MAX: u32 = 100;
/// How long a killed process may take to be gone. It takes longer only when it hangs in the kernel.
const DEATH_TIMEOUT: Timespec = Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};

/// A process that was left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Its process id.
    pub process: u32,
    /// The attempt that it belonged to.
    pub marker: Marker,
    /// What it executed.
    pub command: String,
}

/// What a sweep found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Killed, and gone.
    pub killed: Vec<Leftover>,
    /// Still there: it may not be killed, or hangs in the kernel.
    pub left: Vec<Leftover>,
}

/// Kills the processes of agents that were started by earlier openings of a journal: those whose marker names `journal`
/// and an epoch below `epoch`. Blocks until they are gone.
///
/// Never touched: other journals, this opening, later ones, this process, its ancestors, and (when this process itself
/// belongs to an agent) the rest of that agent.
#[must_use]
pub fn sweep(journal: &str, epoch: u64) -> SweepReport {
    kill_all(|marker| marker.journal() == journal && marker.epoch() < epoch)
}

/// Kills the processes of one attempt: for one whose launcher was killed, so that it could not do so itself. Blocks until
/// they are gone; never touches this process and its ancestors.
#[must_use]
pub fn sweep_attempt(attempt: &Marker) -> SweepReport {
    kill_all(|marker| marker == attempt)
}

fn kill_all(wanted: impl Fn(&Marker) -> bool) -> SweepReport {
    let spared = Spared::of_this_process();
    let mut report = SweepReport::default();
    let mut given_up: HashSet<Pid> = HashSet::new();
    for _ in 0..ROUNDS_MAX {
        let found: Vec<(Pid, OwnedFd, Leftover)> = procfs::processes()
            .filter(|pid| !spared.processes.contains(pid) && !given_up.contains(pid))
            .filter_map(|pid| hold(pid, &wanted, &spared))
            .collect();
        if found.is_empty() {
            break;
        }
        // First all are hit, then all are waited for: none can watch the others go and act on it.
        let hit: Vec<bool> = found
            .iter()
            .map(|(_, process, _)| pidfd_send_signal(process, Signal::KILL).is_ok())
            .collect();
        for ((pid, process, leftover), hit) in found.into_iter().zip(hit) {
            if is_gone(&process, hit) {
                report.killed.push(leftover);
            } else {
                given_up.insert(pid);
                report.left.push(leftover);
            }
        }
    }
    report
}

/// Who is never killed.
struct Spared {
    processes: HashSet<Pid>,
    /// The attempt that this process itself is part of.
    attempt: Option<Marker>,
}

impl Spared {
    fn of_this_process() -> Self {
        let mut processes = HashSet::new();
        let mut next = Some(getpid());
        while let Some(pid) = next
            && processes.insert(pid)
        {
            next = procfs::stat(pid).and_then(|stat| Pid::from_raw(stat.parent));
        }
        let attempt = std::env::var(MARKER_VARIABLE)
            .ok()
            .and_then(|text| Marker::parse(&text));
        Self { processes, attempt }
    }
}

/// A process that is wanted, held so that its id cannot become another's before the signal.
fn hold(
    pid: Pid,
    wanted: &impl Fn(&Marker) -> bool,
    spared: &Spared,
) -> Option<(Pid, OwnedFd, Leftover)> {
    let marker_of = |pid| Marker::parse(&procfs::variable(pid, MARKER_VARIABLE)?);
    let is_wanted =
        |marker: &Marker| wanted(marker) && spared.attempt.as_ref() != Some(marker) && is_ours(pid);
    // A cheap look first; the one that counts comes with the process held.
    marker_of(pid).filter(&is_wanted)?;
    let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    let before = procfs::stat(pid)?;
    let marker = marker_of(pid).filter(&is_wanted)?;
    let command = procfs::command(pid);
    if procfs::stat(pid)?.start_time != before.start_time {
        return None;
    }
    let process_id = pid.as_raw_nonzero().get().unsigned_abs();
    Some((
        pid,
        process,
        Leftover {
            process: process_id,
            marker,
            command,
        },
    ))
}

fn is_ours(pid: Pid) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(format!("/proc/{}", pid.as_raw_nonzero()))
        .is_ok_and(|metadata| metadata.uid() == geteuid().as_raw())
}

/// Waits until a process that was hit has ended; one that was not hit may have ended by itself.
fn is_gone(process: &OwnedFd, hit: bool) -> bool {
    let timeout = if hit {
        DEATH_TIMEOUT
    } else {
        Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        }
    };
    let mut descriptors = [PollFd::new(process, PollFlags::IN)];
    loop {
        match poll(&mut descriptors, Some(&timeout)) {
            Ok(ready) => return ready > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
