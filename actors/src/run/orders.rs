//! The machine's rules for what people want of single agents and of the run's limits while it goes on. Each order is a record
//! with who gave it, in the same commit as what it leads to; giving it twice is giving it once.

use bellwether_journal::id::{Attempt, CallNumber, FencingToken};
use bellwether_journal::record::{
    Actor, AttemptFailed, CallKind, Cancellation, Failure, FailureKind, Millis, Order, Ordered,
    Outcome, Record, RunLimits, Usage,
};
use bellwether_journal::state::{CallState, CallStatus};
use bellwether_scripts::{Answer, Nothing, Target};

use super::calls::Came;
use super::machine::{Machine, Permits, Stage};
use super::output::{Action, Output};

/// Why an order is not carried out. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// The run has no such agent.
    #[error("there is no agent a-{0}")]
    Unknown(CallNumber),
    /// The call is none that can be ordered about.
    #[error("a-{0} is a call of {1}(), no agent")]
    NoAgent(CallNumber, &'static str),
    /// It has its answer.
    #[error("a-{0} is {1}: it has ended")]
    Ended(CallNumber, &'static str),
    /// It cannot be skipped any more.
    #[error("a-{0} has started: stop it instead")]
    Started(CallNumber),
    /// The call is none that a person can answer.
    #[error("a-{0} is a call of {1}(), no question")]
    NoQuestion(CallNumber, &'static str),
    /// It was answered otherwise.
    #[error("a-{0} was answered already, and otherwise")]
    Answered(CallNumber),
    /// Nobody can answer it any more.
    #[error("a-{0} has its answer: its time was over, or it was taken from the generation before")]
    Over(CallNumber),
    /// The generation before is about to answer it.
    #[error("a-{0} is being looked up in the generation before: try again in a moment")]
    NotAsked(CallNumber),
    /// The answer does not come with the order.
    #[error("the answer to a-{0} is not at hand")]
    Unreadable(CallNumber),
    /// The run does not go on.
    #[error("the run is ending")]
    Ending,
}

/// How an agent that is at work is to end, by order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ToEnd {
    /// Its call has no value then.
    Stopped,
    /// Another attempt follows.
    Restarted,
}

impl Machine {
    /// Carries out an order.
    ///
    /// # Errors
    /// [`OrderError`].
    pub fn order(
        &mut self,
        ordered: &Ordered,
        now: Millis,
        permits: &mut dyn Permits,
        out: &mut Output,
    ) -> Result<(), OrderError> {
        if !self.wants_script() {
            return Err(OrderError::Ending);
        }
        let record = |machine: &mut Self, out: &mut Output| {
            machine.append(Record::Ordered(Box::new(ordered.clone())), now, out)
        };
        match ordered.order {
            Order::StopAgent(call) => match self.agent(call)? {
                CallStatus::Running => {
                    if self.to_end.get(&call) != Some(&ToEnd::Stopped) && record(self, out) {
                        self.end_agent(call, ToEnd::Stopped, out);
                    }
                }
                CallStatus::Waiting | CallStatus::Backoff { .. } => {
                    if record(self, out) {
                        let outcome = Outcome::Cancelled(Cancellation::Person);
                        self.settle_unstarted(call, outcome, Nothing::Cancelled, now, out);
                    }
                }
                // It was stopped before.
                CallStatus::Cancelled | CallStatus::Skipped => {}
                status => return Err(OrderError::Ended(call, status.name())),
            },
            Order::SkipAgent(call) => match self.agent(call)? {
                CallStatus::Waiting if self.attempts_of(call) == Attempt(0) => {
                    if record(self, out) {
                        let nothing = Nothing::Skipped;
                        self.settle_unstarted(call, Outcome::Skipped, nothing, now, out);
                    }
                }
                CallStatus::Skipped | CallStatus::Cancelled => {}
                CallStatus::Waiting | CallStatus::Running | CallStatus::Backoff { .. } => {
                    return Err(OrderError::Started(call));
                }
                status => return Err(OrderError::Ended(call, status.name())),
            },
            Order::RestartAgent(call) => match self.agent(call)? {
                CallStatus::Running => {
                    if !self.to_end.contains_key(&call) && record(self, out) {
                        self.end_agent(call, ToEnd::Restarted, out);
                    }
                }
                // It is about to start anyway; not after a wait, then.
                CallStatus::Backoff { .. } => {
                    if record(self, out) {
                        self.open_queue_for(call);
                        self.retry_due(call, now, permits, out);
                    }
                }
                // A provider that is said to take calls again is asked.
                CallStatus::Waiting => self.open_queue_for(call),
                status => return Err(OrderError::Ended(call, status.name())),
            },
            Order::SetLimits(limits) if self.takes(limits) && record(self, out) => {
                self.set(limits);
            }
            Order::Answer(call, ref answer) => {
                self.answer(call, answer, ordered, now, out)?;
            }
            _ => {}
        }
        self.rewind_on(now, out);
        self.start_waiting(now, permits, out);
        Ok(())
    }

    fn agent(&self, call: CallNumber) -> Result<CallStatus, OrderError> {
        let known = self.state.call(call).ok_or(OrderError::Unknown(call))?;
        match known.kind {
            CallKind::Agent => Ok(self.held_answer(call).unwrap_or(known.status)),
            kind => Err(OrderError::NoAgent(call, kind.name())),
        }
    }

    /// How a call stands whose answer waits for those of the base: it has it, though no record says so yet.
    pub(super) fn held_answer(&self, call: CallNumber) -> Option<CallStatus> {
        let mut held = self.held.iter();
        let held = held.find(|held| held.target == Target::Call(call))?;
        Some(match &held.record {
            Record::CallSettled(settled) => match settled.outcome {
                Outcome::Completed(_) => CallStatus::Completed,
                Outcome::Failed(_) => CallStatus::Failed,
                Outcome::Skipped => CallStatus::Skipped,
                Outcome::Cancelled(_) => CallStatus::Cancelled,
            },
            _ => CallStatus::Refused,
        })
    }

    fn attempts_of(&self, call: CallNumber) -> Attempt {
        self.state.call(call).map_or(Attempt(0), CallState::attempt)
    }

    fn end_agent(&mut self, call: CallNumber, how: ToEnd, out: &mut Output) {
        self.to_end.insert(call, how);
        let own = self.token(call, self.attempts_of(call));
        let token = self.adoption.name(call).unwrap_or(own);
        out.act(self.state.next, Action::CancelAgent(token));
    }

    /// A call that no attempt is at work on gets its answer from a person.
    fn settle_unstarted(
        &mut self,
        call: CallNumber,
        outcome: Outcome,
        nothing: Nothing,
        now: Millis,
        out: &mut Output,
    ) {
        self.waiting.retain(|waiting| *waiting != call);
        self.at_hand.remove(&call);
        if let Some(rewind) = &mut self.rewind {
            rewind.miss(call);
        }
        let attempt = self.attempts_of(call);
        let token = self.token(call, attempt);
        let answer = Answer::Nothing(nothing);
        let came = Came {
            outcome,
            usage: Usage::default(),
            answer,
            value: None,
        };
        self.settle_call(token, came, now, out);
    }

    /// A person had stopped it, and the engine went before its agent had ended: it is not begun again.
    pub(super) fn stop_as_ordered(&mut self, call: CallNumber, now: Millis, out: &mut Output) {
        let outcome = Outcome::Cancelled(Cancellation::Person);
        self.settle_unstarted(call, outcome, Nothing::Cancelled, now, out);
    }

    /// Starts nothing new, and ends what is at work, in order, to begin anew when the run goes on.
    pub fn pause_now(&mut self, by: Actor, reason: Option<String>, now: Millis, out: &mut Output) {
        self.pause(by, reason, now, out);
        if !matches!(self.stage, Stage::Pausing(_)) {
            return;
        }
        let mut running: Vec<CallNumber> = self.running.iter().copied().collect();
        running.sort_unstable();
        for call in running {
            if !self.to_end.contains_key(&call) {
                self.end_agent(call, ToEnd::Restarted, out);
            }
        }
    }

    /// Whether a person wants the attempt that is at work on this call to end.
    #[must_use]
    pub fn is_to_end(&self, call: CallNumber) -> bool {
        self.to_end.contains_key(&call)
    }

    /// An attempt has ended that a person wanted to end. `false` when nobody did.
    pub(super) fn ended_by_order(
        &mut self,
        token: FencingToken,
        usage: Usage,
        now: Millis,
        out: &mut Output,
    ) -> bool {
        match self.to_end.remove(&token.call) {
            None => false,
            Some(ToEnd::Stopped) => {
                let outcome = Outcome::Cancelled(Cancellation::Person);
                let answer = Answer::Nothing(Nothing::Cancelled);
                let came = Came {
                    outcome,
                    usage,
                    answer,
                    value: None,
                };
                self.settle_call(token, came, now, out);
                true
            }
            Some(ToEnd::Restarted) => {
                let failure = Failure {
                    kind: FailureKind::ByPerson,
                    message: "a person ended it, for another attempt".to_owned(),
                    evidence: None,
                    retry_after: None,
                };
                let failed = AttemptFailed {
                    call: token.call,
                    attempt: token.attempt,
                    failure,
                    usage,
                    retry_at: now,
                };
                self.append(Record::AttemptFailed(Box::new(failed)), now, out);
                self.waiting.push_back(token.call);
                true
            }
        }
    }

    /// Whether these limits are others than those that hold.
    fn takes(&self, limits: RunLimits) -> bool {
        let concurrency = limits.concurrency.map(at_once);
        concurrency.is_some_and(|limit| limit != self.caps.concurrency)
            || limits.agents.is_some_and(|limit| limit != self.caps.agents)
    }

    fn set(&mut self, limits: RunLimits) {
        if let Some(limit) = limits.concurrency {
            self.caps.concurrency = at_once(limit);
        }
        if let Some(limit) = limits.agents {
            self.caps.agents = limit;
        }
    }
}

/// A limit of agents at once as it is written: 0 is none.
const fn at_once(limit: u32) -> Option<usize> {
    match limit {
        0 => None,
        limit => Some(limit as usize),
    }
}
