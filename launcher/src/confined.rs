//! A process that computes for its engine and needs nothing of the system: a copy of the host program in another mode
//! ([`confined_main`]), with a pipe in and a pipe out and nothing else.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::start::{Program, StartError};
use crate::{procfs, system};

/// Says the mode in the environment too: what a person types as an argument never makes a program one of these.
const VARIABLE: &str = "BELLWETHER_CONFINED";
/// How glibc's allocator keeps what is freed (mallopt(3)): in few arenas, and large pieces not at all. Without this the process,
/// which makes and drops interpreters on many threads, keeps several times of what it uses. Others pass it over.
const MEMORY: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "4"),
    ("MALLOC_MMAP_THRESHOLD_", "1048576"),
    ("MALLOC_TRIM_THRESHOLD_", "1048576"),
];
/// What a dynamic loader needs to find the program's libraries; all else of the environment stays away.
const LOADER_VARIABLES: [&str; 2] = ["LD_LIBRARY_PATH", "LD_PRELOAD"];
/// How a process is preferred when memory runs out (`/proc/<pid>/oom_score_adj`): before its engine.
const OUT_OF_MEMORY_SCORE: &str = "500";

/// A process that was started to compute. Dropping it ends it.
#[derive(Debug)]
pub struct Confined {
    child: Mutex<Child>,
    process: u32,
}

/// A process and its pipe.
#[derive(Debug)]
pub struct Pipe {
    /// Leads to its stdin; it ends when this is closed.
    pub input: File,
    /// Comes from its stdout.
    pub output: File,
    /// The process.
    pub process: Confined,
}

/// Starts `program` in the mode `mode`, that of a [`confined_main`].
///
/// It has no environment, the root as its working directory, and a process group of its own, so that a terminal's
/// signals do not reach it.
///
/// # Errors
/// [`StartError`] when the program has no such mode, or the operating system refuses. Whether a program that was named
/// by its path has the mode is for the caller to hear from it.
pub fn start_confined(program: &Program, mode: &str) -> Result<Pipe, StartError> {
    if std::env::var_os(VARIABLE).is_some() {
        return Err(StartError::InsideLauncher);
    }
    let mut command = Command::new(program.path()?);
    command
        .arg0(mode)
        .arg(argument(mode))
        .current_dir("/")
        .env_clear()
        .env(VARIABLE, mode)
        .envs(MEMORY)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    for name in LOADER_VARIABLES {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    let mut child = command.spawn()?;
    let pipes = child.stdin.take().zip(child.stdout.take());
    let process = Confined {
        process: child.id(),
        child: Mutex::new(child),
    };
    let (input, output) = pipes.ok_or_else(|| io::Error::other("no pipe to the process"))?;
    Ok(Pipe {
        input: OwnedFd::from(input).into(),
        output: OwnedFd::from(output).into(),
        process,
    })
}

impl Confined {
    /// The process id.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.process
    }

    /// CPU time that one of its threads has used, and whether that thread runs or could; nothing when it is gone.
    #[must_use]
    pub fn thread(&self, thread: u32) -> Option<(Duration, bool)> {
        procfs::thread(self.process, thread)
    }

    /// Ends it at once, unless it has ended; says how it ended.
    pub fn end(&self) -> String {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(Some(status)) = child.try_wait() {
            return how(status);
        }
        // It may just have ended: the wait tells.
        let _ = child.kill();
        match child.wait() {
            // It had no time to end otherwise.
            Ok(status) if status.signal() == Some(libc::SIGKILL) => {
                "it was ended by SIGKILL".to_owned()
            }
            Ok(status) => how(status),
            Err(error) => error.to_string(),
        }
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        self.end();
    }
}

fn how(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => format!("ended by signal {signal}"),
        None => format!("ended with exit code {}", status.code().unwrap_or_default()),
    }
}

fn argument(mode: &str) -> String {
    format!("--{mode}")
}

/// When this process was started in the mode `mode`: gives up all that it does not need and computes, then exits. Else it
/// returns at once. Belongs beside [`child_main`](crate::child_main).
pub fn confined_main(mode: &str, compute: impl FnOnce(File, File) -> io::Result<()>) {
    let is_asked = std::env::args_os()
        .nth(1)
        .is_some_and(|it| it == *argument(mode))
        && std::env::var_os(VARIABLE).is_some_and(|it| it == *OsStr::new(mode));
    if !is_asked {
        return;
    }
    let computed = confine().and_then(|(input, output)| compute(input, output));
    std::process::exit(i32::from(computed.is_err()));
}

/// Keeps the two ends of the pipe and gives up the rest.
fn confine() -> io::Result<(File, File)> {
    // While files can be opened. Where that is forbidden, the process counts as others do.
    let _ = fs::write("/proc/self/oom_score_adj", OUT_OF_MEMORY_SCORE);
    let input = copy(rustix::stdio::stdin())?;
    let output = copy(rustix::stdio::stdout())?;
    system::close_all_but(&[input.as_fd(), output.as_fd()]);
    system::block_signals();
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    for resource in [
        Resource::Core,
        Resource::Fsize,
        Resource::Nofile,
        Resource::Memlock,
        Resource::Msgqueue,
    ] {
        setrlimit(resource, none)?;
    }
    rustix::thread::set_no_new_privs(true)?;
    Ok((input, output))
}

fn copy(descriptor: impl AsFd) -> io::Result<File> {
    Ok(rustix::io::fcntl_dupfd_cloexec(descriptor, 3)?.into())
}
