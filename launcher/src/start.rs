//! The engine's side: starts a launcher and holds on to it.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::child::{LAUNCHER_ARGUMENT, LAUNCHER_VARIABLE, can_be_launcher, settings_text};
use crate::marker::{MARKER_VARIABLE, Marker};
use crate::protocol::{Decoder, Message};
use crate::reaper::Reaper;

/// How long a helper program that was never tried may take to say that it is a launcher.
const HELLO_TIMEOUT: Duration = Duration::from_secs(30);

/// Which program becomes the launcher.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Program {
    /// This very program, which has called [`child_main`](crate::child_main) first in its `main`.
    #[default]
    CurrentExe,
    /// A helper program that does so.
    Path(PathBuf),
}

impl Program {
    /// The file that is executed.
    pub(crate) fn path(&self) -> Result<PathBuf, StartError> {
        match self {
            // By this name even a program whose file was replaced or deleted meanwhile starts itself, not another
            // version.
            Self::CurrentExe if can_be_launcher() => Ok(PathBuf::from("/proc/self/exe")),
            Self::CurrentExe => Err(StartError::NoLauncher),
            Self::Path(path) => Ok(std::path::absolute(path)?),
        }
    }
}

/// What is to be started.
#[derive(Clone, Debug)]
pub struct Start {
    /// The agent's program: a name to look up in `PATH`, or a path (relative to `working_directory`).
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Where it works.
    pub working_directory: PathBuf,
    /// The attempt that it belongs to.
    pub marker: Marker,
    /// Variables that are set, or removed, in what it inherits from the engine.
    pub environment: Vec<(OsString, Option<OsString>)>,
    /// How much of the end of its stderr is kept, in bytes.
    pub stderr_bytes: u32,
}

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The program cannot be its own launcher.
    #[error(
        "agents that are processes need a launcher: call `bellwether::child_main()` first in `main`, or name a helper \
         program in the engine's builder"
    )]
    NoLauncher,
    /// This process was started as a launcher, but went on as a program: starting more would never end.
    #[error(
        "this process was started as a launcher of agents but did not become one: `bellwether::child_main()` must be \
         called first in `main`, before anything else"
    )]
    InsideLauncher,
    /// The helper program is something else.
    #[error("`{}` is no launcher: it must call `bellwether::child_main()` first in its `main`", .0.display())]
    NotALauncher(PathBuf),
    /// The agent's working directory is not there.
    #[error("the working directory `{}` is no directory", .0.display())]
    WorkingDirectory(PathBuf),
    /// The operating system refused.
    #[error("cannot start a launcher for the agent: {0}")]
    Io(#[from] io::Error),
}

/// Starts launchers. One for an engine.
#[derive(Debug, Default)]
pub struct Launcher {
    program: Program,
    /// The helper program has answered once.
    known: AtomicBool,
    reaper: Reaper,
}

/// A launcher, and through it an agent, that was started.
#[derive(Debug)]
pub struct Running {
    /// Writes to the agent's stdin.
    pub stdin: OwnedFd,
    /// Reads the agent's stdout.
    pub stdout: OwnedFd,
    /// [`Message`]s come from here, [`Order`](crate::Order)s go here; closing it kills all.
    pub control: UnixStream,
    /// What has been read from `control` already.
    pub decoder: Decoder,
    /// The launcher as a process. To be kept as long as `control` is.
    pub process: LauncherProcess,
}

/// A launcher's process. Dropping it takes leave of the process once it ends, which it does when its control socket is
/// closed.
#[derive(Debug)]
pub struct LauncherProcess {
    child: Option<Child>,
    reaper: Sender<Child>,
    marker: Marker,
}

impl LauncherProcess {
    /// The launcher's process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// The attempt for which it was started.
    #[must_use]
    pub const fn marker(&self) -> &Marker {
        &self.marker
    }

    /// Kills the launcher itself: for one whose control socket has ended, so that it has no part to play any more.
    /// While it has, closing the socket is what kills the agent with all its descendants.
    pub fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            // It has ended already: as good.
            let _ = child.kill();
        }
    }
}

impl Drop for LauncherProcess {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            // The reaper lives as long as there are senders.
            let _ = self.reaper.send(child);
        }
    }
}

impl Launcher {
    /// Starts launchers from `program`. Whether that is possible is seen at the first start.
    #[must_use]
    pub fn new(program: Program) -> Self {
        Self {
            program,
            ..Self::default()
        }
    }

    /// Starts an agent behind a launcher. Whether the agent's own program could be started is the launcher's first news
    /// ([`Message::Started`], [`Message::StartFailed`]).
    ///
    /// Takes about as long as it takes the kernel to execute a program, during which the calling thread waits.
    ///
    /// # Errors
    /// [`StartError`] when there is no launcher, or the operating system refuses.
    pub fn start(&self, start: &Start) -> Result<Running, StartError> {
        if std::env::var_os(LAUNCHER_VARIABLE).is_some() {
            return Err(StartError::InsideLauncher);
        }
        let program = self.program.path()?;
        let reaper = self.reaper.sender()?;
        // One end is the launcher's stderr: nothing is inherited by number, so the standard library can use
        // posix_spawn (no copy of a large engine's page tables), and no other child of this program gets a copy.
        let (control, launcher_control) = UnixStream::pair()?;
        let mut command = Command::new(&program);
        command
            .arg0("bellwether-launcher")
            .arg(LAUNCHER_ARGUMENT)
            .arg(&start.program)
            .args(&start.arguments)
            .current_dir(&start.working_directory)
            // Signals of the terminal are the engine's; the agent gets a session of its own besides.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(OwnedFd::from(launcher_control)));
        for (name, value) in &start.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .env(MARKER_VARIABLE, start.marker.to_string())
            .env(LAUNCHER_VARIABLE, settings_text(start.stderr_bytes));
        let mut child = command.spawn().map_err(|error| {
            if start.working_directory.is_dir() {
                StartError::Io(error)
            } else {
                StartError::WorkingDirectory(start.working_directory.clone())
            }
        })?;
        // The command holds the launcher's end of the control socket.
        drop(command);
        let pipes = child.stdin.take().zip(child.stdout.take());
        let process = LauncherProcess {
            child: Some(child),
            reaper,
            marker: start.marker.clone(),
        };
        let (stdin, stdout) = pipes.ok_or_else(|| io::Error::other("no pipe to the launcher"))?;
        let mut running = Running {
            stdin: stdin.into(),
            stdout: stdout.into(),
            control,
            decoder: Decoder::default(),
            process,
        };
        if let Program::Path(path) = &self.program
            && !self.known.load(Ordering::Relaxed)
        {
            if !says_hello(&mut running)? {
                running.process.kill();
                return Err(StartError::NotALauncher(path.clone()));
            }
            self.known.store(true, Ordering::Relaxed);
        }
        Ok(running)
    }
}

/// Waits for the first message, and leaves it to be read again. Anything but a launcher stays silent or says something
/// else.
fn says_hello(running: &mut Running) -> io::Result<bool> {
    let mut bytes = [0; 256];
    running.control.set_read_timeout(Some(HELLO_TIMEOUT))?;
    let read = running.control.read(&mut bytes).unwrap_or(0);
    running.control.set_read_timeout(None)?;
    let read = bytes.get(..read).unwrap_or_default();
    running.decoder.push(read);
    let mut copy = Decoder::default();
    copy.push(read);
    Ok(matches!(copy.next_message(), Ok(Some(Message::Hello))))
}
