//! `shell`: a command, run by whoever knows how to start and end one.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Definition};
use super::names::Name;
use super::tool::{Tool, parsed};
use super::workplace::Workplace;

/// How long a command may take when nothing else is asked for, and at most, in seconds.
const SECONDS_DEFAULT: u64 = 120;
const SECONDS_MAX: u64 = 600;
/// How much of what a command writes is kept, in bytes: its beginning, where the first error is, and its end, where
/// the sum is.
const HEAD_BYTES: usize = 8 << 10;
const TAIL_BYTES: usize = 24 << 10;

/// Runs commands.
pub(crate) trait Shell: Send + Sync {
    /// Runs `command` with `sh -c` in `directory`, with nothing on stdin. It resolves when the command and all that
    /// it started have ended: by themselves, after `timeout`, or because `cancelled` is, whereupon they are ended.
    fn run(
        &self,
        command: String,
        directory: PathBuf,
        timeout: Duration,
        cancelled: CancellationToken,
    ) -> BoxFuture<'static, io::Result<Ran>>;
}

/// A command that has ended.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    /// What it wrote to stdout and stderr, as it came.
    pub(crate) output: Output,
    /// How it ended.
    pub(crate) end: End,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With this exit code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// Its time was over.
    TimedOut,
}

/// The beginning and the end of what a command writes, in bounded memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Output {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    left_out: u64,
}

impl Output {
    /// What was written next.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(HEAD_BYTES - self.head.len()));
        self.head.extend_from_slice(head);
        // Of a piece that is longer than the end, only its own end can stay.
        let (passed, rest) = rest.split_at(rest.len().saturating_sub(TAIL_BYTES));
        let surplus = (self.tail.len() + rest.len()).saturating_sub(TAIL_BYTES);
        let surplus = surplus.max(if passed.is_empty() {
            0
        } else {
            self.tail.len()
        });
        self.tail.drain(..surplus);
        self.tail.extend(rest);
        self.left_out += (passed.len() + surplus) as u64;
    }

    /// How many bytes between beginning and end were not kept.
    #[cfg(test)]
    pub(crate) const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// As text, saying what is left out.
    fn text(&self) -> String {
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        if self.left_out == 0 {
            // A character may lie across the two.
            return String::from_utf8_lossy(&[self.head.as_slice(), &tail].concat()).into_owned();
        }
        format!(
            "{}\n[… {} bytes left out …]\n{}",
            String::from_utf8_lossy(&self.head),
            self.left_out,
            String::from_utf8_lossy(&tail)
        )
    }
}

/// The tool.
pub(super) struct Command {
    pub(super) workplace: Arc<Workplace>,
    pub(super) shell: Arc<dyn Shell>,
}

#[derive(Deserialize)]
struct Arguments {
    command: String,
    #[serde(default = "default_seconds")]
    timeout_seconds: u64,
}

const fn default_seconds() -> u64 {
    SECONDS_DEFAULT
}

impl Tool for Command {
    fn definition(&self) -> Definition {
        Definition {
            name: Name::Shell.as_str().into(),
            description: format!(
                "Runs a command with `sh -c` in the working directory, with nothing on stdin, and shows what it wrote to stdout and stderr. \
                 Each call is a shell of its own: `cd` and variables do not last, and nothing runs on in the background. It is ended after \
                 {SECONDS_DEFAULT} seconds. Of long output the first {HEAD_BYTES} and the last {TAIL_BYTES} bytes are shown."
            ),
            parameters: json!({
                "type": "object",
                "properties": {
                    "command": {"type": "string", "minLength": 1, "description": "As for a shell"},
                    "timeout_seconds": {
                        "type": "integer", "minimum": 1, "maximum": SECONDS_MAX,
                        "description": "How long it may take"
                    }
                },
                "required": ["command"],
                "additionalProperties": false
            }),
        }
    }

    fn call(&self, arguments: Value, cancelled: CancellationToken) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let arguments: Arguments = match parsed(arguments) {
                Ok(arguments) => arguments,
                Err(answer) => return answer,
            };
            if arguments.command.contains('\0') {
                return Answer::error("a command has no NUL characters; write `\\0` for printf");
            }
            let directory = self.workplace.root().to_owned();
            let timeout = Duration::from_secs(arguments.timeout_seconds);
            // Waited for even when it is cancelled: it has ended when this does.
            let ran = self
                .shell
                .run(arguments.command, directory, timeout, cancelled);
            match ran.await {
                Ok(ran) => answer(&ran, timeout),
                Err(error) => Answer::error(format!("the command could not be run: {error}")),
            }
        })
    }
}

fn answer(ran: &Ran, timeout: Duration) -> Answer {
    let mut text = ran.output.text();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    // Writing to a text cannot fail.
    let _ = match ran.end {
        End::Exited(0) if text.is_empty() => write!(text, "(exit code 0, no output)"),
        End::Exited(0) => Ok(()),
        End::Exited(code) => write!(text, "(exit code {code})"),
        End::Signalled(signal) => write!(text, "(ended by signal {signal})"),
        End::TimedOut => write!(
            text,
            "(ended after {} seconds, which is all it had; give `timeout_seconds`, at most {SECONDS_MAX}, or do less at once)",
            timeout.as_secs()
        ),
    };
    Answer {
        text,
        is_error: ran.end != End::Exited(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginning_and_end_of_an_output_stay() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|n| b'a' + (n % 26) as u8).collect();
        for step in [1, 7, 4_096, 30_000, 100_000] {
            let mut output = Output::default();
            for piece in bytes.chunks(step) {
                output.push(piece);
            }
            assert_eq!(output.head, &bytes[..HEAD_BYTES], "in steps of {step}");
            assert_eq!(
                output.tail,
                &bytes[bytes.len() - TAIL_BYTES..],
                "in steps of {step}"
            );
            let kept = (HEAD_BYTES + TAIL_BYTES) as u64;
            assert_eq!(output.left_out() + kept, 100_000, "in steps of {step}");
        }
    }

    #[test]
    fn a_character_across_beginning_and_end_is_whole() {
        let mut output = Output::default();
        let text = format!("{}é", "x".repeat(HEAD_BYTES - 1));
        output.push(text.as_bytes());
        assert_eq!(output.text(), text);
    }
}
