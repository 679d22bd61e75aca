//! One agent's process as an attempt sees it: bytes in, bytes out, news of the launcher, and why it is being ended.

use std::io;
use std::sync::Arc;

use bellwether_actors::backend::{AgentOutcome, AttemptContext, Ended, Pressure};
use bellwether_journal::record::{Failure, FailureKind, Usage};
use bellwether_launcher::{
    Decoder, Exit, Launcher, LauncherProcess, Message, Order, Running, Start, StartError,
    sweep_attempt,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

use super::Options;

const READ_BYTES: usize = 16 * 1024;
/// How much of the last line of stderr stands in a message.
const MESSAGE_CHARS: usize = 200;
/// `E2BIG`: the command line is longer than the operating system takes.
const ARGUMENTS_TOO_LONG: i32 = 7;

/// An agent's process. Dropping it kills it with all its descendants.
pub(crate) struct Process {
    stdin: Option<pipe::Sender>,
    stdout: Option<pipe::Receiver>,
    control: UnixStream,
    decoder: Decoder,
    launcher: LauncherProcess,
    /// The launcher has said something.
    greeted: bool,
}

/// What happened next.
pub(crate) enum News {
    /// Something was read from stdout.
    Output,
    /// Stdout has ended.
    Closed,
    /// It is over.
    Over(Over),
}

/// How a process ended. Nothing of it is left, but for what `survivors` and `left` name.
pub(crate) enum Over {
    Ended {
        exit: Exit,
        survivors: Vec<u32>,
        stderr: String,
    },
    NotStarted {
        errno: i32,
    },
    /// The launcher ended without a last word: somebody killed it, or (without a greeting) it was none. The agent and
    /// its descendants were then found and killed.
    LauncherLost {
        left: usize,
        greeted: bool,
    },
}

impl Process {
    /// Starts one; a thread that may wait does it.
    pub(crate) async fn start(launcher: &Arc<Launcher>, start: Start) -> Result<Self, StartError> {
        let launcher = Arc::clone(launcher);
        let running = tokio::task::spawn_blocking(move || launcher.start(&start))
            .await
            .map_err(io::Error::other)??;
        Ok(Self::attach(running)?)
    }

    /// Takes a process into the runtime that runs here.
    pub(super) fn attach(running: Running) -> io::Result<Self> {
        let Running {
            stdin,
            stdout,
            control,
            decoder,
            process,
        } = running;
        control.set_nonblocking(true)?;
        Ok(Self {
            stdin: Some(pipe::Sender::from_owned_fd(stdin)?),
            stdout: Some(pipe::Receiver::from_owned_fd(stdout)?),
            control: UnixStream::from_std(control)?,
            decoder,
            launcher: process,
            greeted: false,
        })
    }

    /// Takes it out of the runtime, so that another may take it up; `None` when it cannot be used any more.
    pub(super) fn detach(self) -> Option<Running> {
        Some(Running {
            stdin: self.stdin?.into_nonblocking_fd().ok()?,
            stdout: self.stdout?.into_nonblocking_fd().ok()?,
            control: self.control.into_std().ok()?,
            decoder: self.decoder,
            process: self.launcher,
        })
    }

    /// Waits for the next news, writing `input` meanwhile; what is written is taken off it. What is read is put
    /// behind `output`. May be dropped while it waits: nothing is lost.
    ///
    /// While the journal is behind nothing is read: the agent waits at its full pipe.
    pub(crate) async fn next(
        &mut self,
        input: &mut Input,
        output: &mut Vec<u8>,
        pressure: &Pressure,
    ) -> News {
        let Self {
            stdin,
            stdout,
            control,
            decoder,
            launcher,
            greeted,
        } = self;
        loop {
            if input.is_done() && input.then_close {
                *stdin = None;
            }
            output.reserve(READ_BYTES);
            tokio::select! {
                biased;
                over = end(control, decoder, launcher, greeted) => return News::Over(over),
                read = read(stdout, output, pressure) => match read {
                    Ok(0) | Err(_) => {
                        *stdout = None;
                        return News::Closed;
                    }
                    Ok(_) => return News::Output,
                },
                written = write(stdin, input.rest()) => match written {
                    Ok(written) => input.written += written,
                    // It does not read, and need not: how it ends says what that means.
                    Err(_) => *stdin = None,
                },
            }
        }
    }

    /// Reads what the dead have left in the pipe. A survivor may still hold it, so its end is not waited for.
    pub(crate) fn rest(&mut self, output: &mut Vec<u8>, limit: usize) {
        let Some(stdout) = self.stdout.take() else {
            return;
        };
        let mut bytes = vec![0; READ_BYTES];
        let Ok(fd) = stdout.into_nonblocking_fd() else {
            return;
        };
        let mut file = std::fs::File::from(fd);
        while output.len() <= limit {
            match io::Read::read(&mut file, &mut bytes) {
                Ok(read) if read > 0 => {
                    output.extend_from_slice(bytes.get(..read).unwrap_or_default());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Stops reading: what the agent writes from now on is refused.
    pub(super) fn close_stdout(&mut self) {
        self.stdout = None;
    }

    pub(crate) async fn order(&mut self, order: Order) {
        // A launcher that cannot hear has ended, which is the next news.
        let _ = self.control.write_all(&order.encode()).await;
    }
}

/// Bytes on their way to stdin.
pub(crate) struct Input {
    bytes: Vec<u8>,
    written: usize,
    then_close: bool,
}

impl Input {
    pub(crate) const fn new(bytes: Vec<u8>, then_close: bool) -> Self {
        Self {
            bytes,
            written: 0,
            then_close,
        }
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// Has all been written?
    pub(super) fn is_done(&self) -> bool {
        self.rest().is_empty()
    }
}

async fn read(
    stdout: &mut Option<pipe::Receiver>,
    output: &mut Vec<u8>,
    pressure: &Pressure,
) -> io::Result<usize> {
    pressure.relieved().await;
    match stdout {
        Some(stdout) => stdout.read_buf(output).await,
        None => std::future::pending().await,
    }
}

async fn write(stdin: &mut Option<pipe::Sender>, bytes: &[u8]) -> io::Result<usize> {
    match stdin {
        Some(stdin) if !bytes.is_empty() => stdin.write(bytes).await,
        _ => std::future::pending().await,
    }
}

/// Waits for the launcher's last word.
async fn end(
    control: &mut UnixStream,
    decoder: &mut Decoder,
    launcher: &mut LauncherProcess,
    greeted: &mut bool,
) -> Over {
    let mut bytes = [0; 1024];
    loop {
        match decoder.next_message() {
            Ok(Some(Message::Ended {
                exit,
                survivors,
                stderr,
            })) => {
                let stderr = String::from_utf8_lossy(&stderr).into_owned();
                return Over::Ended {
                    exit,
                    survivors,
                    stderr,
                };
            }
            Ok(Some(Message::StartFailed { errno })) => return Over::NotStarted { errno },
            // What is new in a later version is no end.
            Ok(Some(_)) => {
                *greeted = true;
                continue;
            }
            Ok(None) => {}
            Err(_) => break,
        }
        match control.read(&mut bytes).await {
            Ok(read) if read > 0 => decoder.push(bytes.get(..read).unwrap_or_default()),
            Ok(_) | Err(_) => break,
        }
    }
    // No last word: it was killed. Its agent got the parent-death signal, but what that had started did not.
    launcher.kill();
    let attempt = launcher.marker().clone();
    let report = tokio::task::spawn_blocking(move || sweep_attempt(&attempt)).await;
    let left = report.map_or(1, |report| report.left.len());
    Over::LauncherLost {
        left,
        greeted: *greeted,
    }
}

/// Why an attempt is being ended by us.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Cancelled,
    Killed,
    Timeout,
    TooMuchOutput,
}

/// The reasons to end an attempt, as they come.
pub(super) struct Stops<'a> {
    context: &'a AttemptContext,
    timeout: std::pin::Pin<Box<tokio::time::Sleep>>,
    has_timeout: bool,
    /// The one that counts.
    pub(super) stop: Option<Stop>,
}

impl<'a> Stops<'a> {
    pub(super) fn new(context: &'a AttemptContext, options: &Options) -> Self {
        let timeout = tokio::time::sleep(options.timeout.unwrap_or_default());
        let has_timeout = options.timeout.is_some();
        Self {
            context,
            timeout: Box::pin(timeout),
            has_timeout,
            stop: None,
        }
    }

    /// Waits for the next reason that changes anything, and gives what to tell the launcher. A kill overrides all, the
    /// first of the others counts. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> Order {
        let can_be_killed = !matches!(self.stop, Some(Stop::Killed | Stop::TooMuchOutput));
        let can_be_asked = self.stop.is_none();
        let (stop, order) = tokio::select! {
            biased;
            () = self.context.killed.cancelled(), if can_be_killed => (Stop::Killed, Order::Kill),
            () = self.context.cancelled.cancelled(), if can_be_asked => (Stop::Cancelled, self.terminate()),
            () = &mut self.timeout, if can_be_asked && self.has_timeout => (Stop::Timeout, self.terminate()),
            else => std::future::pending().await,
        };
        self.stop = Some(stop);
        order
    }

    fn terminate(&self) -> Order {
        Order::Terminate {
            grace: self.context.grace,
        }
    }

    /// How an attempt ended that we ended; `None` when we did not.
    pub(super) fn ended(&self, over: &Over, options: &Options) -> Option<Ended> {
        let stop = self.stop.as_ref()?;
        let left = match over {
            Over::Ended { survivors, .. } => survivors.len(),
            Over::LauncherLost { left, .. } => *left,
            Over::NotStarted { .. } => 0,
        };
        let evidence = over.evidence();
        Some(match stop {
            Stop::Cancelled | Stop::Killed if left > 0 => failed(
                FailureKind::Other,
                format!("cancelled, but {left} of its processes could not be killed"),
                evidence,
            ),
            Stop::Cancelled | Stop::Killed => Ended::cancelled(),
            Stop::Timeout => {
                let timeout = options.timeout.unwrap_or_default();
                failed(
                    FailureKind::Timeout,
                    format!("the agent took longer than {timeout:?} and was ended"),
                    evidence,
                )
            }
            Stop::TooMuchOutput => failed(
                FailureKind::Other,
                format!(
                    "the agent wrote more than {} bytes to stdout (`output_bytes_max`) and was killed",
                    options.output_bytes_max
                ),
                evidence,
            ),
        })
    }
}

impl Over {
    pub(super) fn evidence(&self) -> Option<String> {
        match self {
            Self::Ended { stderr, .. } if !stderr.trim().is_empty() => Some(stderr.clone()),
            _ => None,
        }
    }

    /// The failure that this end is, for an attempt that has no answer.
    pub(super) fn crash(&self, program: &str) -> Ended {
        let kind = match self {
            // Not the agent's doing: another attempt is in order.
            Self::LauncherLost { greeted: true, .. } => FailureKind::Transport,
            _ => FailureKind::Crash,
        };
        failed(kind, self.reason(program), self.evidence())
    }

    /// How it ended, for people.
    pub(crate) fn reason(&self, program: &str) -> String {
        match self {
            Self::Ended { exit, stderr, .. } => {
                let last = stderr
                    .lines()
                    .rev()
                    .map(str::trim)
                    .find(|line| !line.is_empty());
                let last: String = last
                    .unwrap_or_default()
                    .chars()
                    .take(MESSAGE_CHARS)
                    .collect();
                let separator = if last.is_empty() { "" } else { ": " };
                format!("the agent {}{separator}{last}", describe(*exit))
            }
            Self::NotStarted { errno } => not_started(program, *errno),
            Self::LauncherLost { greeted: true, .. } => {
                "the agent's launcher was killed, and the agent with it".to_owned()
            }
            Self::LauncherLost { greeted: false, .. } => {
                "the agent's launcher ended before it began: does the program call `bellwether::child_main()` first?"
                    .to_owned()
            }
        }
    }
}

fn not_started(program: &str, errno: i32) -> String {
    let error = io::Error::from_raw_os_error(errno);
    let hint = match error.kind() {
        io::ErrorKind::NotFound if !program.contains('/') => "; it is not in PATH",
        _ if errno == ARGUMENTS_TOO_LONG => {
            "; leave `{prompt}` out of the command and let the agent read stdin"
        }
        _ => "",
    };
    format!("cannot start `{program}`: {error}{hint}")
}

/// The failure of an attempt whose launcher could not be started.
pub(super) fn start_error(error: &StartError, program: &str) -> Ended {
    let message = match error {
        StartError::Io(error) => match error.raw_os_error() {
            Some(ARGUMENTS_TOO_LONG) => not_started(program, ARGUMENTS_TOO_LONG),
            _ => format!("cannot start a launcher for `{program}`: {error}"),
        },
        other => other.to_string(),
    };
    failed(FailureKind::Crash, message, None)
}

pub(super) fn failed(kind: FailureKind, message: String, evidence: Option<String>) -> Ended {
    let failure = Failure {
        kind,
        message,
        evidence,
        retry_after: None,
    };
    Ended::new(AgentOutcome::Failed(failure), Usage::default())
}

/// How a process ended, in words that follow its name.
pub(crate) fn describe(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("ended with exit code {code}"),
        Exit::Signal(signal) => {
            let name = match signal {
                1 => " (SIGHUP)",
                2 => " (SIGINT)",
                4 => " (SIGILL)",
                6 => " (SIGABRT)",
                7 => " (SIGBUS)",
                8 => " (SIGFPE)",
                9 => " (SIGKILL; out of memory?)",
                11 => " (SIGSEGV)",
                13 => " (SIGPIPE)",
                15 => " (SIGTERM)",
                _ => "",
            };
            format!("was ended by signal {signal}{name}")
        }
        _ => "could not be waited for".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use futures_util::FutureExt as _;
    use tokio::sync::watch;

    use super::*;

    #[tokio::test]
    async fn nothing_is_read_while_the_journal_is_behind() {
        let (mut sender, receiver) = pipe::pipe().unwrap();
        sender.write_all(b"an answer").await.unwrap();
        let (high, pressure) = watch::channel(true);
        let pressure = Pressure::new(pressure);
        let (mut stdout, mut output) = (Some(receiver), Vec::new());
        {
            let mut reading = std::pin::pin!(read(&mut stdout, &mut output, &pressure));
            for _ in 0..100 {
                assert!(reading.as_mut().now_or_never().is_none());
                tokio::task::yield_now().await;
            }
            high.send_replace(false);
            assert_eq!(reading.await.unwrap(), 9);
        }
        assert_eq!(output, b"an answer");
    }
}
