//! An agent that does what its prompt says: the prompt is the JSON text of a list of [`Step`]s.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One thing that the fake agent does. In lines and answers that are text, `{attempt}`, `{agentId}`, `{runId}` and
/// `{idempotencyKey}` stand for those of its task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Step {
    /// Appends a line to a file or rings a bell.
    Append {
        /// The file or pipe.
        to: PathBuf,
        /// The line.
        line: String,
    },
    /// Waits at a gate until it is let through.
    Pass(PathBuf),
    /// Says a line of progress: `{"event": …}`.
    Progress(Value),
    /// Writes this to stdout as it is.
    Say(String),
    /// Writes this to stderr as it is.
    Complain(String),
    /// Writes a line of so many bytes of prose to stdout.
    Flood(u64),
    /// Starts a process in a session of its own, which hangs for ever and keeps this one's output open. Its process id is
    /// appended to the file or rung at the bell.
    Grandchild(PathBuf),
    /// Goes on with the steps behind this one from this attempt on; before it, fails with the kind.
    FailBefore {
        /// The first attempt that is well.
        attempt: u32,
        /// The kind of failure.
        kind: String,
    },
    /// Answers its whole task, so that a test can read it.
    AnswerTask,
    /// Does the steps whose turn it is and no others: as many lines as the file has, so many turns were taken. A turn leaves
    /// a line there, with what its task said was wrong with the answer before.
    InTurn {
        /// The file.
        file: PathBuf,
        /// The steps of each turn.
        turns: Vec<Vec<Step>>,
    },
    /// Answers this value, with 5 input and 7 output tokens.
    Answer(Value),
    /// Answers with an error object.
    Fail {
        /// Its kind.
        kind: String,
        /// Its message.
        message: String,
    },
    /// Ends with this exit code, without an answer.
    Exit(i32),
    /// Ignores SIGTERM from here on.
    IgnoreTerminate,
    /// Never ends.
    Hang,
}

/// The prompt for these steps.
///
/// # Errors
/// Never for steps made of ordinary values.
pub fn prompt(steps: &[Step]) -> serde_json::Result<String> {
    serde_json::to_string(steps)
}
