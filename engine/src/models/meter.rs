//! What stands between an attempt and its models: the breaker, the run's ledger and the attempt's own account.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bellwether_actors::backend::{Notes, Used};
use bellwether_actors::run::budget::Allowance;
use bellwether_journal::record::{FailureKind, Millis};
use bellwether_journal::usage::Counted;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;

use super::breaker::Closed;
use super::ledger::{Account, Spent, Wanted};
use super::{Hub, Till};
use crate::gateway::{
    Admitted, CallEnd, CallFailure, CallFailureKind, CallId, CallOutcome, Meter, ModelCall,
    RefusalKind, Refused,
};

/// Of a call that was cut before anything of its answer had come: so many bytes it read for a token …
const BYTES_A_TOKEN: u64 = 4;
/// … and so many tokens it may have written in a second.
const TOKENS_A_SECOND: u64 = 100;

/// An attempt's meter. Clones are the same one.
#[derive(Clone)]
pub(super) struct AttemptMeter(Arc<Shared>);

struct Shared {
    hub: Arc<Hub>,
    till: Arc<Till>,
    notes: Notes,
    state: Mutex<State>,
}

struct State {
    account: Account,
    /// The calls that are under way.
    open: HashMap<CallId, Open>,
    trouble: Option<Trouble>,
}

/// A call that is under way.
struct Open {
    provider: Arc<str>,
    /// As the provider calls it.
    model: String,
    /// Its place among the calls that its provider takes at once.
    _place: Option<OwnedSemaphorePermit>,
    /// Bytes of what is read.
    bytes: u64,
    /// Tokens that it may write at most.
    output: u64,
}

/// Why an attempt that fails has failed, as seen on its road to the models: of the last call that did not come to an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) kind: FailureKind,
    pub(super) message: String,
    pub(super) retry_after: Option<Millis>,
}

impl AttemptMeter {
    pub(super) fn new(hub: Arc<Hub>, till: Arc<Till>, notes: Notes, allowance: Allowance) -> Self {
        Self(Arc::new(Shared {
            hub,
            till,
            notes,
            state: Mutex::new(State {
                account: Account::new(allowance),
                open: HashMap::new(),
                trouble: None,
            }),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What is in it is whole at every step.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the attempt has used so far, and why its last call came to nothing.
    pub(super) fn stand(&self) -> (Counted, Option<Trouble>) {
        let state = self.state();
        (state.account.counted(), state.trouble.clone())
    }

    fn closed(&self, call: &ModelCall, closed: Closed) -> Refused {
        let (kind, what) = if closed.is_quota {
            (FailureKind::Quota, "its quota is used up")
        } else {
            (FailureKind::RateLimit, "it takes no more calls for now")
        };
        let message = format!("{}: {what}", call.provider);
        self.state().trouble = Some(Trouble {
            kind,
            message: message.clone(),
            retry_after: Some(closed.opens_in.as_millis() as Millis),
        });
        let kind = RefusalKind::Closed {
            retry_after: Some(closed.opens_in),
        };
        Refused { kind, message }
    }

    /// `None`: others hold what it wants, and may give it back.
    fn let_out(
        &self,
        call: &ModelCall,
        place: &mut Option<OwnedSemaphorePermit>,
    ) -> Option<Result<Admitted, Refused>> {
        let price = self.0.hub.options.prices.of(&call.provider, &call.model);
        let choices = call.choices.max(1);
        let wanted = Wanted {
            id: call.id.0,
            bytes: call.request_bytes,
            output: call.max_output_tokens,
            output_max: choices.saturating_mul(
                self.0
                    .hub
                    .options
                    .prices
                    .max_output(&call.provider, &call.model),
            ),
            price,
        };
        // Always in this order.
        let mut state = self.state();
        match self.0.till.ledger().admit(&mut state.account, wanted) {
            Ok(max_output_tokens) => {
                let open = Open {
                    provider: Arc::clone(&call.provider),
                    model: call.model.clone(),
                    _place: place.take(),
                    bytes: call.request_bytes,
                    output: max_output_tokens.unwrap_or(wanted.output_max),
                };
                state.open.insert(call.id, open);
                Some(Ok(Admitted { max_output_tokens }))
            }
            Err(Spent::Held) => None,
            Err(why) => {
                let (kind, failure, message) = refusal(why, call);
                state.trouble = Some(Trouble {
                    kind: failure,
                    message: message.clone(),
                    retry_after: None,
                });
                Some(Err(Refused { kind, message }))
            }
        }
    }
}

fn refusal(why: Spent, call: &ModelCall) -> (RefusalKind, FailureKind, String) {
    match why {
        Spent::Run | Spent::Held => (
            RefusalKind::Budget,
            FailureKind::Budget,
            "the run's budget is used up; `bellwether resume --budget` gives it a larger one".to_owned(),
        ),
        Spent::Attempt => (
            RefusalKind::Budget,
            FailureKind::Limit,
            "this agent has used all that it may (`maxTokens`, `maxCost`, or its part of the run's budget)".to_owned(),
        ),
        Spent::NoPrice => (
            RefusalKind::NotAllowed,
            FailureKind::Other,
            format!(
                "the run has a budget in money, and what {}/{} costs is not known: say it under `[prices]` in the settings",
                call.provider, call.model
            ),
        ),
    }
}

impl Meter for AttemptMeter {
    fn admit(&self, call: ModelCall) -> BoxFuture<'static, Result<Admitted, Refused>> {
        let this = self.clone();
        async move {
            let mut has_its_part = false;
            loop {
                // Before it is looked: what is given back meanwhile is not missed.
                let settled = this.0.till.settled.notified();
                tokio::pin!(settled);
                settled.as_mut().enable();
                // Whoever has waited for others looks again: a queue may have closed meanwhile.
                if let Err(closed) = this.0.hub.breaker.pass(&call.provider).await {
                    return Err(this.closed(&call, closed));
                }
                let turnstiles = &this.0.hub.turnstiles;
                let mut place = turnstiles.place(&call.provider).await;
                if !has_its_part {
                    turnstiles.pace(&call.provider).await;
                    has_its_part = true;
                }
                // It may have closed while others stood before this one.
                if this.0.hub.breaker.closed_for(&call.provider).is_some() {
                    continue;
                }
                if let Some(answer) = this.let_out(&call, &mut place) {
                    return answer;
                }
                drop(place);
                settled.await;
            }
        }
        .boxed()
    }

    fn settle(&self, call: CallId, end: CallEnd) {
        let mut state = self.state();
        let open = state.open.remove(&call);
        let used = match (&end.tokens, &open) {
            (Some(tokens), _) => Some(Counted {
                input_tokens: tokens.input,
                output_tokens: tokens.output,
                cached_tokens: tokens.cached_read,
                cache_written_tokens: tokens.cache_written,
                reasoning_tokens: tokens.reasoning,
                estimated: u64::from(!end.is_exact),
                ..Counted::default()
            }),
            // It went out, and nobody waited for its answer: the provider bills what its model has read and written.
            (None, Some(open)) => Some(Counted {
                input_tokens: open.bytes.div_ceil(BYTES_A_TOKEN),
                output_tokens: end
                    .duration
                    .as_secs()
                    .saturating_mul(TOKENS_A_SECOND)
                    .min(open.output),
                estimated: 1,
                ..Counted::default()
            }),
            (None, None) => None,
        };
        let all = self
            .0
            .till
            .ledger()
            .settle(&mut state.account, call.0, used);
        let model = open
            .as_ref()
            .map(|open| format!("{}/{}", open.provider, open.model).into());
        if let Some(Open { provider, .. }) = open {
            match &end.outcome {
                CallOutcome::Answered => {
                    state.trouble = None;
                    self.0.hub.breaker.answered(&provider);
                }
                CallOutcome::Failed(failure) => {
                    self.0.hub.breaker.failed(&provider, failure);
                    // Whoever names no time is asked again when its queue opens.
                    let opens_in = self.0.hub.breaker.closed_for(&provider);
                    state.trouble = trouble(&provider, failure, opens_in);
                }
                CallOutcome::CutByAgent | CallOutcome::CutOff => {}
            }
        }
        drop(state);
        self.0.till.settled.notify_waiters();
        if let Some(counted) = all {
            self.0.notes.used(Used { model, counted });
        }
    }
}

fn trouble(provider: &str, failure: &CallFailure, opens_in: Option<Duration>) -> Option<Trouble> {
    let kind = match failure.kind {
        CallFailureKind::RateLimit | CallFailureKind::Overloaded => FailureKind::RateLimit,
        CallFailureKind::Quota => FailureKind::Quota,
        CallFailureKind::Server | CallFailureKind::Transport => FailureKind::Transport,
        // What is wrong with a request or a key the agent tells best.
        CallFailureKind::Invalid | CallFailureKind::Auth => return None,
    };
    Some(Trouble {
        kind,
        message: format!("{provider}: {}", failure.message),
        retry_after: failure
            .retry_after
            .or(opens_in)
            .map(|after| after.as_millis() as Millis),
    })
}
