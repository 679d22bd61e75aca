//! What models have used, as the engine itself counted it on the road to them.

use std::sync::Arc;

use bincode::{Decode, Encode};

use crate::id::{Attempt, CallNumber};
use crate::record::Usage;

/// What an attempt has used so far. Each such record of an attempt takes the place of the one before it, so that an engine's
/// death loses at most the call of a model that was under way.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct UsageCounted {
    /// The call.
    pub call: CallNumber,
    /// Which attempt of it; 0 for what the answer of the base had cost, that is to be reused next and is not paid again.
    pub attempt: Attempt,
    /// All of it.
    pub counted: Counted,
}

/// The model that a call asks, when it is not the one that it asked before.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ModelAsked {
    /// The call.
    pub call: CallNumber,
    /// The attempt that asks it.
    pub attempt: Attempt,
    /// `provider/id`.
    pub model: Arc<str>,
}

/// Tokens and money. One meaning whatever the provider: what is read includes what came from a cache and what was put into
/// one, what is written includes reasoning.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "camelCase", default)]
pub struct Counted {
    /// Tokens read by models.
    pub input_tokens: u64,
    /// Tokens written by models.
    pub output_tokens: u64,
    /// Of those read: what came from the provider's cache.
    pub cached_tokens: u64,
    /// Of those read: what was put into the provider's cache.
    pub cache_written_tokens: u64,
    /// Of those written: reasoning.
    pub reasoning_tokens: u64,
    /// Calls of a model.
    pub requests: u64,
    /// What it cost, in millionths of a dollar; `None` where no price is known.
    pub cost: Option<u64>,
    /// Calls of a model that were cut off, so that what they wrote is an estimate.
    pub estimated: u64,
}

impl Counted {
    /// Both sums; at the end of the numbers it stays there. A cost that is known stays known.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.each(other, u64::saturating_add)
    }

    /// What this has more than `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        self.each(before, u64::saturating_sub)
    }

    /// The tokens alone.
    #[must_use]
    pub const fn usage(self) -> Usage {
        Usage {
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
        }
    }

    fn each(self, other: Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            input_tokens: of(self.input_tokens, other.input_tokens),
            output_tokens: of(self.output_tokens, other.output_tokens),
            cached_tokens: of(self.cached_tokens, other.cached_tokens),
            cache_written_tokens: of(self.cache_written_tokens, other.cache_written_tokens),
            reasoning_tokens: of(self.reasoning_tokens, other.reasoning_tokens),
            requests: of(self.requests, other.requests),
            cost: match (self.cost, other.cost) {
                (None, None) => None,
                (one, two) => Some(of(one.unwrap_or_default(), two.unwrap_or_default())),
            },
            estimated: of(self.estimated, other.estimated),
        }
    }
}
