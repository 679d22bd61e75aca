//! What to answer, as all wires mean it, and what of it fits into the request's limit.

use std::time::Duration;

use serde_json::Value;

use super::request::{Request, tokens};

/// What a model that declines says.
const REFUSAL: &str = "I can't help with that.";

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The tool, as the client declared it.
    pub name: String,
    /// Its arguments.
    pub input: Value,
}

/// What goes wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The provider answers with an error of this HTTP status. 529 and 503 mean overloaded and go out with the status that
    /// the wire has for it: 529 for Anthropic, 503 elsewhere.
    Status {
        /// The status.
        status: u16,
        /// How long the client is asked to wait, in seconds.
        retry_after: Option<u64>,
        /// The error comes when a part of the answer has been streamed, under a status of 200.
        late: bool,
    },
    /// The account has no more money, or has reached its limit.
    Quota,
    /// The prompt is longer than the model can read.
    ContextExceeded,
    /// The connection is reset in the middle of the answer.
    Cut,
    /// Headers and one piece of the answer, then silence until the client goes.
    Stall,
    /// The answer breaks off in the middle of its JSON, and ends as if it were whole.
    Malformed,
    /// The model declines.
    Refusal,
    /// The request is refused as wrong, with this message.
    Invalid(String),
    /// There is no key.
    Unauthorized,
}

/// An answer to give.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// What the model thinks first. Shown only to those who ask for it, and counted.
    pub reasoning: String,
    /// What it says.
    pub text: String,
    /// The tools that it calls.
    pub calls: Vec<Call>,
    /// What goes wrong.
    pub fault: Option<Fault>,
    /// The output tokens to report, thinking included. Else they are counted.
    pub output_tokens: Option<u64>,
    /// The tokens of thinking to report. Else they are counted.
    pub reasoning_tokens: Option<u64>,
    /// How long the answer takes to begin.
    pub delay: Duration,
    /// How long each piece of a streamed answer takes.
    pub trickle: Duration,
}

impl Reply {
    /// Says this.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// Says this value as JSON.
    #[must_use]
    pub fn json(value: &Value) -> Self {
        Self::text(value.to_string())
    }

    /// Calls a tool, by the name that the client has for it.
    #[must_use]
    pub fn call(name: impl Into<String>, input: Value) -> Self {
        Self {
            calls: vec![Call {
                name: name.into(),
                input,
            }],
            ..Self::default()
        }
    }

    /// Fails.
    #[must_use]
    pub fn fault(fault: Fault) -> Self {
        Self {
            fault: Some(fault),
            ..Self::default()
        }
    }

    /// Fails with an HTTP status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::fault(Fault::Status {
            status,
            retry_after: None,
            late: false,
        })
    }
}

/// Why a model stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It has said what it had to say.
    End,
    /// It wants tools to be called.
    Calls,
    /// It reached the limit.
    Limit,
    /// It declines.
    Refusal,
}

/// A call as it goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CallOut {
    pub(super) name: String,
    /// JSON, or the beginning of it where the limit cut it off.
    pub(super) arguments: String,
}

impl CallOut {
    /// The arguments as a value. Those that were cut off are none.
    pub(super) fn input(&self) -> Value {
        serde_json::from_str(&self.arguments)
            .unwrap_or_else(|_| Value::Object(serde_json::Map::new()))
    }
}

/// What is written of a reply under a request's limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) reasoning: String,
    pub(super) text: String,
    pub(super) calls: Vec<CallOut>,
    pub(super) stop: Stop,
    /// All that was written, thinking included.
    pub(super) tokens: u64,
    pub(super) reasoning_tokens: u64,
}

impl Output {
    /// Cuts a reply at the limit, thinking first, and counts what stays.
    pub(super) fn of(reply: &Reply, request: &Request) -> Self {
        let refused = reply.fault == Some(Fault::Refusal);
        let text = if refused && reply.text.is_empty() {
            REFUSAL
        } else {
            &reply.text
        };
        let calls: Vec<CallOut> = reply
            .calls
            .iter()
            .map(|call| CallOut {
                name: call.name.clone(),
                arguments: call.input.to_string(),
            })
            .collect();
        let bytes = text.len() as u64
            + calls
                .iter()
                .map(|call| (call.name.len() + call.arguments.len()) as u64)
                .sum::<u64>();
        let reasoning_tokens = reply
            .reasoning_tokens
            .unwrap_or_else(|| tokens(reply.reasoning.len() as u64));
        let visible = reply
            .output_tokens
            .map_or_else(|| tokens(bytes), |all| all.saturating_sub(reasoning_tokens));
        let whole = Self {
            reasoning: reply.reasoning.clone(),
            text: text.to_owned(),
            stop: match (refused, calls.is_empty()) {
                (true, _) => Stop::Refusal,
                (false, true) => Stop::End,
                (false, false) => Stop::Calls,
            },
            calls,
            tokens: reasoning_tokens + visible,
            reasoning_tokens,
        };
        match request.max_tokens {
            Some(limit) if whole.tokens > limit => whole.cut(limit, visible, bytes),
            _ => whole,
        }
    }

    /// What fits into `limit` tokens of an output whose `bytes` of text and calls count as `visible` tokens.
    fn cut(mut self, limit: u64, visible: u64, bytes: u64) -> Self {
        let thought = self.reasoning_tokens.min(limit);
        if thought < self.reasoning_tokens {
            let share = self.reasoning.len() as u64 * thought / self.reasoning_tokens;
            truncate(&mut self.reasoning, share);
        }
        let left = limit - thought;
        // Without a number that was asked for, the same as four bytes a token.
        let mut keep = if visible == tokens(bytes) {
            (left * 4).min(bytes)
        } else {
            bytes * left / visible.max(1)
        };
        truncate(&mut self.text, keep);
        keep = keep.saturating_sub(self.text.len() as u64);
        self.calls.retain_mut(|call| {
            let before = keep;
            keep = keep.saturating_sub(call.name.len() as u64);
            truncate(&mut call.arguments, keep);
            keep = keep.saturating_sub(call.arguments.len() as u64);
            before > call.name.len() as u64
        });
        Self {
            stop: Stop::Limit,
            tokens: limit,
            reasoning_tokens: thought,
            ..self
        }
    }
}

/// Shortens a text to so many bytes, or a few less where a character would be torn.
fn truncate(text: &mut String, bytes: u64) {
    let mut end = usize::try_from(bytes).unwrap_or(usize::MAX).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}
