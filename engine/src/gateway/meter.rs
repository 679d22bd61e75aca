//! What the gateway tells whoever counts: which call wants to go out, and what became of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::wire::Wire;

/// Decides on an attempt's model calls and counts them. One per [`Pass`](super::Pass).
pub trait Meter: Send + Sync + 'static {
    /// Asked before a call goes out. It may wait (a closed breaker, a rate); what it answers holds for this call.
    ///
    /// The future is dropped where the agent or the engine goes away meanwhile. Such a call counts as not admitted,
    /// and nobody settles it: what has been reserved up to then must be given back by the future's own drop.
    fn admit(&self, call: ModelCall) -> BoxFuture<'static, Result<Admitted, Refused>>;

    /// Told exactly once for each admitted call, whatever became of it. It must neither wait nor panic: it is also
    /// called where a call is dropped.
    ///
    /// Where a stream says itself that it is over, this is called before the agent is given that event.
    fn settle(&self, call: CallId, end: CallEnd);
}

/// Numbers a gateway's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

impl fmt::Display for CallId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A call that wants to go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelCall {
    /// Its number.
    pub id: CallId,
    /// The provider's name.
    pub provider: Arc<str>,
    /// The model's id at the provider.
    pub model: String,
    /// The model as the agent has named it.
    pub asked_model: String,
    /// The wire format.
    pub wire: Wire,
    /// Whether the answer is to be streamed.
    pub is_streaming: bool,
    /// The body's size in bytes, for an estimate of the input.
    pub request_bytes: u64,
    /// As many answers are asked for at once (`n`, `candidateCount`).
    pub choices: u64,
    /// The most output that the request allows, over all its choices. None where it sets no limit.
    pub max_output_tokens: Option<u64>,
}

/// What an admitted call may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Admitted {
    /// The most output over all choices. The request's limit is cut to it, or set where it has none. Providers
    /// refuse limits under a floor of their own (`OpenAI`'s responses: 16 tokens), so little more should be a refusal.
    pub max_output_tokens: Option<u64>,
}

/// Why a call does not go out. The agent is told in its wire's own shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// What kind of refusal it is; decides the status.
    pub kind: RefusalKind,
    /// What the agent is told.
    pub message: String,
}

/// The kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalKind {
    /// The budget is spent: 402 (responses: 400), which clients do not try again.
    Budget,
    /// The provider's queue is closed for now: 429 with `retry-after`, after which clients try again.
    Closed {
        /// When it may be open again.
        retry_after: Option<Duration>,
    },
    /// The attempt may not use this model: 403 (responses: 400), which clients do not try again.
    NotAllowed,
}

/// What became of an admitted call.
#[derive(Clone, Debug, PartialEq)]
pub struct CallEnd {
    /// What it cost. None where nothing is known: the call was cut before an answer began. A streamed answer
    /// that was cut before its usage has what was seen; its input is 0 where the provider had not yet told it.
    pub tokens: Option<Tokens>,
    /// Whether `tokens` is the provider's own count for the whole call.
    pub is_exact: bool,
    /// How it ended.
    pub outcome: CallOutcome,
    /// From the call's admission to the first byte of the answer's body.
    pub time_to_first_byte: Option<Duration>,
    /// From the call's admission to its end.
    pub duration: Duration,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallOutcome {
    /// The model has answered.
    Answered,
    /// The provider has not. It may have failed within an answer that had begun with status 200.
    Failed(CallFailure),
    /// The agent went away.
    CutByAgent,
    /// The pass was revoked.
    CutOff,
}

/// A provider's failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallFailure {
    /// The answer's status; none where there was no answer.
    pub status: Option<u16>,
    /// What kind it is.
    pub kind: CallFailureKind,
    /// The provider's own words.
    pub message: String,
    /// When the provider says it may be tried again.
    pub retry_after: Option<Duration>,
}

/// The kinds of failures, by what is to be done about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallFailureKind {
    /// Too many requests or tokens at once: goes by within minutes.
    RateLimit,
    /// Credit, plan or daily quota is used up: hours, or a person.
    Quota,
    /// The provider has too much to do.
    Overloaded,
    /// The request is at fault: trying again gives the same.
    Invalid,
    /// The provider's key is wrong or may not do this.
    Auth,
    /// The provider's own fault.
    Server,
    /// It was not reached, or the connection was lost.
    Transport,
}

/// A call's tokens, with one meaning for all wires: `input` includes what was read from and written to the cache,
/// `output` includes reasoning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// All of the input.
    pub input: u64,
    /// All of the output.
    pub output: u64,
    /// The part of the input that was read from a cache.
    pub cached_read: u64,
    /// The part of the input that was written to a cache.
    pub cache_written: u64,
    /// The part of the output that was reasoning, where the provider tells it apart.
    pub reasoning: u64,
}
