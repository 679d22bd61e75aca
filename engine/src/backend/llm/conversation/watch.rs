//! What is told of an agent while it works.

use std::time::Duration;

use super::fault::FaultKind;
use super::job::Tokens;

/// Something that happened. Borrowed: whoever wants to keep it copies what matters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event<'a> {
    /// The model is asked; turns count from 1.
    TurnBegan {
        /// Its number.
        turn: u32,
    },
    /// The model writes. Where the stream is cut off and asked for again, its text begins again too.
    Text(&'a str),
    /// The model thinks, as far as its provider shows it.
    Thought(&'a str),
    /// The model has answered.
    TurnEnded {
        /// Its number.
        turn: u32,
        /// What the answer used.
        tokens: Tokens,
    },
    /// A tool is called.
    ToolBegan {
        /// The call's id, as the provider made it.
        call: &'a str,
        /// The tool's name.
        name: &'a str,
        /// What it is called with.
        arguments: &'a serde_json::Value,
    },
    /// A tool has answered.
    ToolEnded {
        /// The call's id.
        call: &'a str,
        /// The tool's name.
        name: &'a str,
        /// Whether it did not do what was asked.
        is_error: bool,
        /// How long its answer is, in bytes.
        bytes: usize,
    },
    /// A model call failed, and is made again.
    Retrying {
        /// What it died of.
        kind: FaultKind,
        /// What was said of it.
        message: &'a str,
        /// How long it is waited before.
        after: Duration,
    },
    /// The conversation was made shorter. Both figures are estimates in tokens.
    Compacted {
        /// How long it was.
        before: u64,
        /// How long it is.
        after: u64,
    },
}

/// Watches an agent at work. It is called where the work is done, so it must not wait.
pub(crate) trait Watch: Send + Sync {
    /// Something happened.
    fn see(&self, event: Event<'_>);
}
