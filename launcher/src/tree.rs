//! Signals to an agent's processes, and the proof that none is left.
//!
//! Runs in the launcher, which is single-threaded and a subreaper: orphans of the agent's descendants become its own
//! children, and nobody else waits for them.

use std::collections::HashSet;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, kill_process,
    kill_process_group, pidfd_open, pidfd_send_signal, wait, waitid, waitpid,
};

use crate::procfs;
use crate::protocol::Exit;

/// How the agent ended, and what could not be killed.
pub(crate) struct Death {
    pub(crate) exit: Exit,
    pub(crate) survivors: Vec<Pid>,
}

/// Has the agent ended? It stays unreaped, so that its id and its group's stay ours.
pub(crate) fn has_ended(agent: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::Pid(agent), options), Ok(None))
}

/// Takes leave of orphans that have ended; true when no child but the agent is left.
pub(crate) fn reap_orphans(agent: Pid) -> bool {
    let mut alone = true;
    for child in procfs::children(None) {
        // Still running: nothing to reap.
        if child != agent && matches!(waitpid(Some(child), WaitOptions::NOHANG), Ok(None)) {
            alone = false;
        }
    }
    alone
}

/// Asks the agent, its group and all its descendants to end. Those that were stopped are woken, so that they can.
/// Whoever was asked is noted in `told`.
pub(crate) fn terminate(agent: Pid, told: &mut HashSet<Pid>) {
    // Held before the first signal: when their parents end, they are somebody else's children.
    let held: Vec<OwnedFd> = descendants()
        .into_iter()
        .filter_map(|(pid, parent)| {
            let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
            let stat = procfs::stat(pid)?;
            // Held now: is it still the one that was seen, and not told with its group?
            if stat.parent != parent.as_raw_nonzero().get() {
                return None;
            }
            told.insert(pid);
            (stat.group != agent.as_raw_nonzero().get()).then_some(process)
        })
        .collect();
    for signal in [Signal::TERM, Signal::CONT] {
        // Failures mean that there is nobody, or nobody of ours: killing and proof come later.
        let _ = kill_process_group(agent, signal);
        for process in &held {
            let _ = pidfd_send_signal(process, signal);
        }
    }
}

/// Asks orphans to end that were not asked yet: they came to the launcher while the others were ending.
pub(crate) fn terminate_orphans(told: &mut HashSet<Pid>) {
    for child in procfs::children(None) {
        if told.insert(child) {
            for signal in [Signal::TERM, Signal::CONT] {
                let _ = kill_process(child, signal);
            }
        }
    }
}

/// All descendants of the launcher with their parents.
fn descendants() -> Vec<(Pid, Pid)> {
    let launcher = rustix::process::getpid();
    let mut found: Vec<(Pid, Pid)> = procfs::children(None)
        .into_iter()
        .map(|child| (child, launcher))
        .collect();
    let mut next = 0;
    while let Some(&(parent, _)) = found.get(next) {
        found.extend(
            procfs::children(Some(parent))
                .into_iter()
                .map(|child| (child, parent)),
        );
        next += 1;
    }
    found
}

/// Kills the agent and all that it started, and returns when nothing is left.
///
/// Deeper descendants become the launcher's children when their parents die, so killing children until there are none
/// kills all, and no id is used that somebody else could have got meanwhile.
pub(crate) fn kill(agent: Pid) -> Death {
    let mut survivors = Vec::new();
    loop {
        // The agent is not reaped: its group's id is still its own. Most trees end here, at once.
        let _ = kill_process_group(agent, Signal::KILL);
        if !kill_children(Some(agent), &mut survivors) {
            break;
        }
    }
    let exit = match kill_child(agent) {
        Killed::Dead(status) => status.map_or(Exit::Unknown, exit_of),
        Killed::Refused => {
            survivors.push(agent);
            Exit::Unknown
        }
    };
    // The proof: the kernel says that there is no child. A list of children may have missed one that was on its way.
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => {
                let progress = kill_children(None, &mut survivors);
                if !progress && !survivors.is_empty() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    Death { exit, survivors }
}

/// Kills all children but `spared` and known survivors; false when there was none.
fn kill_children(spared: Option<Pid>, survivors: &mut Vec<Pid>) -> bool {
    let mut children = procfs::children(None);
    children.retain(|child| spared != Some(*child) && !survivors.contains(child));
    // First all are hit, then each is waited for: none goes on meanwhile.
    for child in &children {
        let _ = kill_process(*child, Signal::KILL);
    }
    for child in &children {
        if matches!(kill_child(*child), Killed::Refused) {
            survivors.push(*child);
        }
    }
    !children.is_empty()
}

enum Killed {
    Dead(Option<WaitStatus>),
    /// It belongs to another user.
    Refused,
}

fn kill_child(child: Pid) -> Killed {
    let options = match kill_process(child, Signal::KILL) {
        // It may have ended by itself already; if not, it cannot be made to.
        Err(Errno::PERM) => WaitOptions::NOHANG,
        _ => WaitOptions::empty(),
    };
    loop {
        match waitpid(Some(child), options) {
            Ok(Some((_, status))) => return Killed::Dead(Some(status)),
            Ok(None) => return Killed::Refused,
            Err(Errno::INTR) => {}
            Err(_) => return Killed::Dead(None),
        }
    }
}

fn exit_of(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown,
    }
}
