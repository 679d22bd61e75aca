//! What the launcher asks of the operating system that only `unsafe` can ask.

#![expect(
    unsafe_code,
    reason = "signals, descriptors by number and the time between fork and exec are unsafe to touch"
)]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::io::Errno;
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal, setsid};

/// Makes `command` start a process with a session of its own, that dies with this process (which must have one thread
/// only), and with no signal blocked.
pub(crate) fn bind_to_launcher(command: &mut Command) -> &mut Command {
    let launcher = getpid();
    let prepare = move || {
        setsid()?;
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The launcher may have died before the signal was asked for.
        if getppid() != Some(launcher) {
            return Err(io::Error::from(Errno::SRCH));
        }
        // SAFETY: `mask` is initialised before it is used, and sigprocmask may be called between fork and exec.
        unsafe {
            let mut mask = std::mem::zeroed();
            libc::sigemptyset(&raw mut mask);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const mask, std::ptr::null_mut());
        }
        Ok(())
    };
    // SAFETY: `prepare` makes system calls only; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(prepare) }
}

/// Closes all descriptors but those `kept`: what the host program forgot to mark must not reach an agent or a script, nor be
/// held open here. For a process that has just begun and uses no others.
pub(crate) fn close_all_but(kept: &[BorrowedFd<'_>]) {
    let mut kept: Vec<u32> = kept
        .iter()
        .map(|kept| kept.as_raw_fd().cast_unsigned())
        .collect();
    kept.sort_unstable();
    let mut first = 0;
    let mut closed = true;
    for &next in kept.iter().chain([&u32::MAX]) {
        if let Some(last) = next.checked_sub(1).filter(|&last| last >= first) {
            // SAFETY: the process has just begun, and nobody holds a descriptor that he would use again but those kept;
            // the standard library writes to a stderr that is closed without an error. The numbers are in range.
            closed &= unsafe { libc::syscall(libc::SYS_close_range, first, last, 0_u32) } == 0;
        }
        first = next.saturating_add(1);
    }
    if closed {
        return;
    }
    // Before Linux 5.9.
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    let descriptors: Vec<u32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|descriptor| !kept.contains(descriptor))
        .collect();
    for descriptor in descriptors {
        // SAFETY: as above. The directory's own descriptor is closed already, and closing a free number does nothing.
        unsafe { libc::close(descriptor.cast_signed()) };
    }
}

/// Blocks all signals that can be blocked, for this thread and those that it starts: what a terminal or an administrator
/// sends is for the engine to answer.
pub(crate) fn block_signals() {
    // SAFETY: the set is initialised before it is used, and lives through the call.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
    }
}

/// Puts all signals back to their defaults, for the agent, and blocks them, for the launcher: what a terminal or an
/// administrator sends is for the engine to answer. Those that the launcher acts on are read from the descriptor.
pub(crate) fn take_signals() -> io::Result<OwnedFd> {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: the default is a valid disposition for every signal; the numbers that have none are refused.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    block_signals();
    // SAFETY: the set is initialised before it is used, and lives through the calls.
    let descriptor = unsafe {
        let mut wanted = std::mem::zeroed();
        libc::sigemptyset(&raw mut wanted);
        libc::sigaddset(&raw mut wanted, libc::SIGCHLD);
        libc::sigaddset(&raw mut wanted, libc::SIGHUP);
        libc::signalfd(
            -1,
            &raw const wanted,
            libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
        )
    };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
