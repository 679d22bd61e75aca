//! What an agent is to do, and what became of it.

use std::path::PathBuf;
use std::time::Duration;

pub(crate) use bellwether_actors::backend::Violation;
use serde_json::Value;

use super::history::Message;
use super::notes::ProjectNote;
pub(crate) use crate::gateway::Tokens;

/// How hard a model should think. It is a wish: a model that has no such knob does without, and one that goes less far
/// goes as far as it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effort {
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

impl Effort {
    /// The effort that options name, if there is such a one.
    #[must_use]
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "xhigh" => Self::XHigh,
            "max" => Self::Max,
            _ => return None,
        })
    }
}

/// One agent's task.
#[derive(Clone, Debug, Default)]
pub(crate) struct Job {
    /// What is to be done.
    pub(crate) prompt: String,
    /// What the agent type tells besides.
    pub(crate) system_prompt: Option<String>,
    /// Where the agent works.
    pub(crate) working_directory: PathBuf,
    /// What the repository tells agents, the nearest last.
    pub(crate) project_notes: Vec<ProjectNote>,
    /// The JSON Schema that the answer must fit. It is asked for, not checked: that is the caller's.
    pub(crate) schema: Option<Value>,
    /// How hard to think; `None` leaves it to the model.
    pub(crate) effort: Option<Effort>,
    /// The most answers of the model; `None` is [`super::TURNS_MAX`].
    pub(crate) max_turns: Option<u32>,
    /// How earlier attempts at this task ended, oldest first.
    pub(crate) earlier: Vec<String>,
    /// This attempt's last answer, which did not fit, as JSON text.
    pub(crate) previous_answer: Option<String>,
    /// Why it did not.
    pub(crate) violations: Vec<Violation>,
    /// What the model can take in at once, input and output, in tokens.
    pub(crate) context_window: u64,
    /// The most output of one answer of the model, in tokens; `None` leaves it to the provider.
    pub(crate) max_output_tokens: Option<u32>,
}

impl std::ops::AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.cached_read = self.cached_read.saturating_add(other.cached_read);
        self.cache_written = self.cache_written.saturating_add(other.cache_written);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
    }
}

/// An agent's answer.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    /// Its last message.
    pub(crate) text: String,
    /// With a schema: the last JSON in that message, byte for byte. `None` when there is none even on a second asking.
    pub(crate) value: Option<String>,
    /// How many answers of the model it took.
    #[cfg_attr(not(test), expect(dead_code, reason = "progress tells it"))]
    pub(crate) turns: u32,
    /// What they used.
    pub(crate) tokens: Tokens,
    /// The conversation as it last was, compactions included.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests look at it"))]
    pub(crate) messages: Vec<Message>,
}

/// Why an agent gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Stopped {
    /// What kind of end it is; decides what the caller does next.
    pub(crate) kind: StopKind,
    /// What happened, and what can be done about it.
    pub(crate) message: String,
    /// When the provider says that it may be tried again.
    pub(crate) retry_after: Option<Duration>,
    /// How many answers the model had given.
    pub(crate) turns: u32,
    /// What they used.
    pub(crate) tokens: Tokens,
    /// The model's last words, if there were any.
    pub(crate) last_text: Option<String>,
}

/// The kinds of [`Stopped`], by what is to be done about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum StopKind {
    /// Too many requests: goes by within minutes. Retries within the attempt are used up or would take too long.
    RateLimit,
    /// Credit, plan or daily quota is used up: hours, or a person.
    Quota,
    /// The provider was not reached, lost the connection or failed, again and again.
    Transport,
    /// The provider fell silent, again and again.
    Timeout,
    /// The model or its provider will not do this task.
    Refused,
    /// The key or the attempt may not do this.
    Denied,
    /// Anything else.
    Other,
    /// The attempt was cancelled.
    Cancelled,
    /// The turns were used up before there was an answer.
    TurnsUsedUp,
    /// The task does not fit the model's context, even after compaction.
    ContextTooLong,
    /// The answer does not fit the model's output limit, even on a second asking.
    MaxTokens,
    /// The budget is spent.
    BudgetUsedUp,
}
