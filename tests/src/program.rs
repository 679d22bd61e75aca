//! The real program, built once and run under a watch.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail, ensure};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;

use crate::GUARD;
use crate::fifo::readable;

static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();

/// The folder with the programs, built from the sources as they are now.
///
/// Cargo builds a program only for tests of its own package, so the harness asks for the others: once a process, with
/// the profile and the target folder that the asking program was itself built with.
///
/// # Errors
/// When cargo cannot be run or the build fails; its output goes to stderr.
pub fn programs() -> anyhow::Result<&'static Path> {
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.as_deref().map_err(|error| anyhow!("{error}"))
}

fn build() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let beside = own.parent().context("a program without a folder")?;
    let folder = if beside.ends_with("deps") {
        beside.parent()
    } else {
        Some(beside)
    }
    .context("a program in no build folder")?;
    let target = folder
        .parent()
        .context("a build folder in no target folder")?;
    let profile = match folder.file_name().and_then(OsStr::to_str) {
        Some("debug") => "dev",
        Some(other) => other,
        None => bail!("{} is no build folder", folder.display()),
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--profile", profile])
        .args(["--package", "bellwether-cli", "--bin", "bellwether"])
        .args(["--package", "bellwether-tests", "--bin", "fake_agent"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .env("CARGO_TARGET_DIR", target)
        .stdin(Stdio::null())
        .status()
        .context("cargo build")?;
    ensure!(status.success(), "cargo build: {status}");
    Ok(folder.to_owned())
}

/// A command of `bellwether`, to be run in a folder.
#[derive(Debug)]
pub struct Bellwether {
    command: Command,
    shown: String,
}

impl Bellwether {
    /// `bellwether` with `arguments`, in `folder`, apart from the settings of the person who runs the tests.
    ///
    /// # Errors
    /// When the program cannot be built.
    pub fn new<I, S>(folder: &Path, arguments: I) -> anyhow::Result<Self>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = Command::new(programs()?.join("bellwether"));
        command
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("BELLWETHER_") {
                command.env_remove(name);
            }
        }
        // Personal settings, and the folder of sockets, are the test's own.
        command
            .env("HOME", folder)
            .env("XDG_CONFIG_HOME", folder.join(".config"));
        command
            .env("XDG_RUNTIME_DIR", folder)
            .env_remove("RUST_LOG")
            .env("NO_COLOR", "1")
            .env("BELLWETHER_FOREGROUND", "1");
        let shown = format!("{command:?}");
        Ok(Self { command, shown })
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Gives it a file as its stdin.
    #[must_use]
    pub fn reading(mut self, file: File) -> Self {
        self.command.stdin(file);
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut self) -> anyhow::Result<Running> {
        let mut child = self
            .command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| self.shown.clone())?;
        let pid = Pid::from_child(&child);
        let handle = pidfd_open(pid, PidfdFlags::empty())?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let stderr = child.stderr.take().context("stderr is piped")?;
        let (sender, lines) = channel();
        let out = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody may be reading any longer; the pipe is emptied all the same.
                let _ = sender.send(line);
            }
        });
        let error = std::thread::spawn(move || {
            let mut text = Vec::new();
            // What was read before an error is what there is to show.
            let _ = BufReader::new(stderr).read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Ok(Running {
            child,
            handle,
            lines,
            seen: Vec::new(),
            out,
            error,
            shown: self.shown,
        })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// When it cannot be started or does not end.
    pub fn run(self) -> anyhow::Result<Finished> {
        self.start()?.wait(GUARD)
    }
}

/// The program at work. One that is dropped is killed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    handle: OwnedFd,
    lines: Receiver<String>,
    seen: Vec<String>,
    out: JoinHandle<()>,
    error: JoinHandle<String>,
    shown: String,
}

impl Running {
    /// The process's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the next line on stdout; `None` when there are no more.
    ///
    /// # Errors
    /// When none comes within `limit`.
    pub fn next_line(&mut self, limit: Duration) -> anyhow::Result<Option<String>> {
        match self.lines.recv_timeout(limit) {
            Ok(line) => {
                self.seen.push(line.clone());
                Ok(Some(line))
            }
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => {
                bail!(
                    "{} said nothing for {limit:?} after {:?}",
                    self.shown,
                    self.seen.last()
                )
            }
        }
    }

    /// Waits for a line that `wanted` is true of, and gives it.
    ///
    /// # Errors
    /// When the output ends or pauses too long before it.
    pub fn line_where(&mut self, wanted: impl Fn(&str) -> bool) -> anyhow::Result<String> {
        while let Some(line) = self.next_line(GUARD)? {
            if wanted(&line) {
                return Ok(line);
            }
        }
        bail!(
            "{} ended without the line that was waited for; it said {:#?}",
            self.shown,
            self.seen
        )
    }

    /// Waits for an event of `--events` of this type, and gives it.
    ///
    /// # Errors
    /// When none comes.
    pub fn event(&mut self, kind: &str) -> anyhow::Result<Value> {
        let parse = |line: &str| serde_json::from_str::<Value>(line).ok();
        let line =
            self.line_where(|line| parse(line).is_some_and(|event| event["type"] == kind))?;
        Ok(serde_json::from_str(&line)?)
    }

    /// Sends it a signal. One that has ended already is left alone.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        match pidfd_send_signal(&self.handle, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// `kill -9`, and waits until it is dead.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill(self) -> anyhow::Result<Finished> {
        self.signal(Signal::KILL)?;
        self.wait(GUARD)
    }

    /// Waits for its end, by itself.
    ///
    /// # Errors
    /// When it takes longer than `limit`; it is killed then.
    pub fn wait(mut self, limit: Duration) -> anyhow::Result<Finished> {
        let in_time = readable(&self.handle, Instant::now() + limit)?;
        if !in_time {
            self.signal(Signal::KILL)?;
        }
        let status = self.child.wait()?;
        self.seen.extend(self.lines.iter());
        let _ = self.out.join();
        let stderr = self.error.join().unwrap_or_default();
        let finished = Finished {
            status,
            stdout: self.seen.join("\n"),
            stderr,
            shown: self.shown,
        };
        ensure!(in_time, "it did not end within {limit:?}: {finished}");
        Ok(finished)
    }
}

/// The program's end.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All that it wrote to stdout.
    pub stdout: String,
    /// All that it wrote to stderr.
    pub stderr: String,
    shown: String,
}

impl Finished {
    /// Itself, when it ended with this exit code.
    ///
    /// # Errors
    /// When it ended otherwise; the text shows all that it said.
    pub fn expect_code(self, code: i32) -> anyhow::Result<Self> {
        ensure!(
            self.status.code() == Some(code),
            "exit {code} was expected: {self}"
        );
        Ok(self)
    }

    /// The one object that `--json` prints, or the last line of other output.
    ///
    /// # Errors
    /// When it is no JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        let last = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(&self.stdout)
            .or_else(|_| serde_json::from_str(last))
            .with_context(|| self.to_string())
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            status,
            stdout,
            stderr,
            shown,
        } = self;
        write!(
            formatter,
            "{shown}: {status}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
        )
    }
}
