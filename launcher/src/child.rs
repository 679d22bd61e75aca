//! The launcher itself: the mode of the host program in which it starts one agent, watches it and its engine, and
//! leaves nothing behind.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{Pid, Signal, getpid, getppid};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use crate::protocol::{Decoder, Message, Order};
use crate::{system, tree};

/// The first argument of a program that is started as launcher; the agent's command follows.
pub(crate) const LAUNCHER_ARGUMENT: &str = "--bellwether-launcher";
/// Says the same in the environment, with what the launcher must know: `1.<engine's process id>.<bytes of stderr>`.
pub(crate) const LAUNCHER_VARIABLE: &str = "BELLWETHER_LAUNCHER";
const VERSION: &str = "1";

/// Whether this process has called [`child_main`], so that its program can be started as launcher. A process fact,
/// which no value could hold: `main` and the engine's builder may be crates apart.
static CAN_BE_LAUNCHER: AtomicBool = AtomicBool::new(false);

/// Whether this process has called [`child_main`], so that its program can be started in its other modes.
#[must_use]
pub fn can_be_launcher() -> bool {
    CAN_BE_LAUNCHER.load(Ordering::Relaxed)
}

/// Makes the program usable as launcher of its own agents. To be called first in `main`, before threads, runtimes and
/// argument parsers: when the engine started this process as a launcher it never returns, else it returns at once.
///
/// Without it, and without a helper program, starting a process agent is an error.
pub fn child_main() {
    CAN_BE_LAUNCHER.store(true, Ordering::Relaxed);
    let Some(settings) = Settings::of_this_process() else {
        return;
    };
    let mut arguments = std::env::args_os().skip(2);
    let Some(program) = arguments.next() else {
        return;
    };
    // There is nobody to tell an error but the engine, and it takes a launcher that ends without a word for a crash.
    let code = i32::from(launch(&settings, program, arguments).is_err());
    std::process::exit(code);
}

/// How an engine words [`LAUNCHER_VARIABLE`].
pub(crate) fn settings_text(stderr_bytes: u32) -> String {
    format!("{VERSION}.{}.{stderr_bytes}", getpid().as_raw_nonzero())
}

struct Settings {
    engine: Pid,
    stderr_bytes: usize,
}

impl Settings {
    fn of_this_process() -> Option<Self> {
        if std::env::args_os().nth(1)? != LAUNCHER_ARGUMENT {
            return None;
        }
        let text = std::env::var(LAUNCHER_VARIABLE).ok()?;
        let (version, rest) = text.split_once('.')?;
        let (engine, stderr_bytes) = rest.split_once('.')?;
        if version != VERSION {
            return None;
        }
        Some(Self {
            engine: Pid::from_raw(engine.parse().ok()?)?,
            stderr_bytes: stderr_bytes.parse().ok()?,
        })
    }

    /// The parent-death signal comes when the *thread* that started us ends; only the parent's id tells whether the
    /// engine did.
    fn engine_is_gone(&self) -> bool {
        getppid() != Some(self.engine)
    }
}

fn launch(
    settings: &Settings,
    program: OsString,
    arguments: impl Iterator<Item = OsString>,
) -> io::Result<()> {
    system::close_all_but(&[
        rustix::stdio::stdin(),
        rustix::stdio::stdout(),
        rustix::stdio::stderr(),
    ]);
    // The engine hands its control socket over as stderr: three descriptors that cannot leak into other children.
    let control = fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3)?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stderr(&null)?;
    let signals = system::take_signals()?;
    rustix::process::set_child_subreaper(Some(getpid()))?;
    rustix::process::set_parent_process_death_signal(Some(Signal::HUP))?;
    if settings.engine_is_gone() {
        return Ok(());
    }
    // Only what a person sees in `ps` depends on it.
    let _ = rustix::thread::set_name(c"bw-launcher");
    send(&control, &Message::Hello);

    let (stderr, agent_stderr) = io::pipe()?;
    let agent = match start_agent(program, arguments, agent_stderr) {
        Ok(agent) => agent,
        Err(error) => {
            let errno = error.raw_os_error().unwrap_or(0);
            send(&control, &Message::StartFailed { errno });
            return Ok(());
        }
    };
    // From here on only the agent holds its pipes, so that their ends are seen.
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    send(
        &control,
        &Message::Started {
            process: agent.as_raw_nonzero().get().unsigned_abs(),
        },
    );

    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
    let mut watch = Watch {
        settings,
        agent,
        control,
        signals,
        timer,
        stderr: Some(stderr),
        tail: Tail {
            bytes: Vec::new(),
            limit: settings.stderr_bytes,
        },
        decoder: Decoder::default(),
        told: None,
    };
    // Whatever goes wrong while watching, the agent ends.
    let _ = watch.until_over();
    let death = tree::kill(agent);
    watch.read_rest_of_stderr();
    let survivors = death
        .survivors
        .iter()
        .map(|pid| pid.as_raw_nonzero().get().unsigned_abs())
        .collect();
    let stderr = watch.tail.into_bytes();
    send(
        &watch.control,
        &Message::Ended {
            exit: death.exit,
            survivors,
            stderr,
        },
    );
    Ok(())
}

fn start_agent(
    program: OsString,
    arguments: impl Iterator<Item = OsString>,
    stderr: io::PipeWriter,
) -> io::Result<Pid> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_remove(LAUNCHER_VARIABLE)
        .stderr(Stdio::from(stderr));
    let child = system::bind_to_launcher(&mut command).spawn()?;
    Pid::from_raw(child.id().cast_signed()).ok_or_else(|| Errno::SRCH.into())
}

/// Tells the engine. When it cannot hear any more, its end is what the launcher acts on.
fn send(control: &OwnedFd, message: &Message) {
    let bytes = message.encode();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        match rustix::io::write(control, rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

struct Watch<'a> {
    settings: &'a Settings,
    agent: Pid,
    control: OwnedFd,
    signals: OwnedFd,
    timer: OwnedFd,
    stderr: Option<PipeReader>,
    tail: Tail,
    decoder: Decoder,
    /// Who was asked to end, once that is what is wanted.
    told: Option<HashSet<Pid>>,
}

impl Watch<'_> {
    /// Returns when the agent has ended or is to be killed.
    fn until_over(&mut self) -> io::Result<()> {
        loop {
            let [control, signals, timer, stderr] = self.wait()?;
            if control && self.orders()? || timer {
                return Ok(());
            }
            if signals && self.signals() {
                return Ok(());
            }
            if stderr {
                self.read_stderr();
            }
        }
    }

    /// Sleeps until something is to be read, and says where.
    fn wait(&self) -> io::Result<[bool; 4]> {
        let mut descriptors = vec![
            PollFd::new(&self.control, PollFlags::IN),
            PollFd::new(&self.signals, PollFlags::IN),
            PollFd::new(&self.timer, PollFlags::IN),
        ];
        if let Some(stderr) = &self.stderr {
            descriptors.push(PollFd::new(stderr, PollFlags::IN));
        }
        match poll(&mut descriptors, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready = [false; 4];
        for (ready, descriptor) in ready.iter_mut().zip(&descriptors) {
            *ready = !descriptor.revents().is_empty();
        }
        Ok(ready)
    }

    /// Follows the engine's orders; true when the agent is to be killed.
    fn orders(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 256];
        let read = rustix::io::read(&self.control, &mut bytes)?;
        if read == 0 {
            return Ok(true);
        }
        self.decoder.push(bytes.get(..read).unwrap_or_default());
        loop {
            match self.decoder.next_order() {
                Ok(None) => return Ok(false),
                Ok(Some(Order::Terminate { grace })) => self.terminate(grace)?,
                Ok(Some(Order::Kill)) | Err(_) => return Ok(true),
            }
        }
    }

    fn terminate(&mut self, grace: Duration) -> io::Result<()> {
        tree::terminate(self.agent, self.told.get_or_insert_default());
        // A timer of zero would never fire.
        let grace = grace.max(Duration::from_nanos(1));
        let value = Timespec {
            tv_sec: i64::try_from(grace.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: grace.subsec_nanos().into(),
        };
        let once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let setting = Itimerspec {
            it_interval: once,
            it_value: value,
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &setting)?;
        Ok(())
    }

    /// Some process ended, or the engine did; true when it is over.
    fn signals(&mut self) -> bool {
        // What they were is seen by looking; the descriptor only has to be empty before that.
        let mut bytes = [0; 1024];
        while rustix::io::read(&self.signals, &mut bytes).is_ok_and(|read| read > 0) {}
        if self.settings.engine_is_gone() {
            return true;
        }
        let alone = tree::reap_orphans(self.agent);
        if let Some(told) = &mut self.told {
            tree::terminate_orphans(told);
        }
        // While the agent is being asked to end, what it started has the same grace as itself.
        tree::has_ended(self.agent) && (alone || self.told.is_none())
    }

    fn read_stderr(&mut self) {
        let mut bytes = [0; 16 * 1024];
        let Some(stderr) = &mut self.stderr else {
            return;
        };
        match stderr.read(&mut bytes) {
            Ok(read) if read > 0 => self.tail.push(bytes.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => self.stderr = None,
        }
    }

    /// Reads what the dead have left in the pipe, without waiting for a survivor that still holds it.
    fn read_rest_of_stderr(&mut self) {
        if self
            .stderr
            .as_ref()
            .is_some_and(|stderr| set_nonblocking(stderr).is_err())
        {
            return;
        }
        while self.stderr.is_some() {
            self.read_stderr();
        }
    }
}

fn set_nonblocking(descriptor: impl AsFd) -> io::Result<()> {
    let flags = fcntl_getfl(&descriptor)?;
    fcntl_setfl(&descriptor, flags | OFlags::NONBLOCK)?;
    Ok(())
}

/// The end of what was written, however much it was.
struct Tail {
    bytes: Vec<u8>,
    limit: usize,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        // Cut at twice the limit, not at each push: every byte is moved at most once.
        if self.bytes.len() > self.limit.saturating_mul(2) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let surplus = self.bytes.len().saturating_sub(self.limit);
        self.bytes.drain(..surplus);
    }

    fn into_bytes(mut self) -> Vec<u8> {
        self.cut();
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_keeps_the_end() {
        let mut tail = Tail {
            bytes: Vec::new(),
            limit: 4,
        };
        for piece in [b"ab".as_slice(), b"cdef", b"ghijk", b"", b"l"] {
            tail.push(piece);
        }
        assert_eq!(tail.into_bytes(), b"ijkl");
    }
}
