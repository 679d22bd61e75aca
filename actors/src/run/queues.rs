//! Whose calls wait unstarted since their provider takes none for now (A06): when one says that there were too many requests, or
//! that a quota is used up, its queue closes, and opens when the call that closed it last is tried again. A closed queue holds
//! up its own calls and no others. Pure, and derived from the run's records.

use std::collections::HashMap;
use std::sync::Arc;

use bellwether_journal::id::CallNumber;
use bellwether_journal::record::{FailureKind, Millis};
use bellwether_journal::state::{CallState, CallStatus, PastAttempt, PastEnd};

use super::machine::Machine;

/// The queues that are closed, by their names.
#[derive(Debug, Default)]
pub(super) struct Queues(HashMap<Arc<str>, Closed>);

#[derive(Clone, Copy, Debug)]
struct Closed {
    until: Millis,
    /// The call whose next attempt opens it.
    by: CallNumber,
    is_quota: bool,
}

/// Whether a failure says that its provider takes no calls for now.
pub(super) const fn closes(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::RateLimit | FailureKind::Quota)
}

impl Machine {
    /// A call's provider takes no calls until then, when this one is tried again.
    pub(super) fn close_queue(&mut self, call: CallNumber, kind: FailureKind, until: Millis) {
        let Some(queue) = self.keys.queue(call).filter(|_| closes(kind)) else {
            return;
        };
        let is_quota = kind == FailureKind::Quota;
        let closed = Closed {
            until,
            by: call,
            is_quota,
        };
        let known = self.queues.0.entry(queue).or_insert(closed);
        // A quota is not renewed by what else fails meanwhile.
        let is_quota = is_quota || known.is_quota;
        if until >= known.until {
            *known = closed;
        }
        known.is_quota = is_quota;
    }

    /// A call is tried again, or has no more need to: the queue that it closed is open.
    pub(super) fn open_queue_of(&mut self, call: CallNumber) {
        self.queues.0.retain(|_, closed| closed.by != call);
    }

    /// The queues are as they were: after a takeover calls in back-off say which are closed.
    pub(super) fn close_queues_again(&mut self, now: Millis) {
        let closing: Vec<(CallNumber, FailureKind, Millis)> = self
            .state
            .unsettled()
            .filter_map(|(number, call)| match (call.status, last_failure(call)) {
                (CallStatus::Backoff { until }, Some(kind)) if until > now => {
                    Some((number, kind, until))
                }
                _ => None,
            })
            .collect();
        for (number, kind, until) in closing {
            self.close_queue(number, kind, until);
        }
    }

    /// The place of the first call that waits for nothing but a slot.
    pub(super) fn next_open(&self) -> Option<usize> {
        if self.queues.0.is_empty() {
            return (!self.waiting.is_empty()).then_some(0);
        }
        self.waiting
            .iter()
            .position(|&call| self.closed_queue(call).is_none())
    }

    /// Whether a call waits since its provider's quota is used up.
    pub(super) fn waits_for_quota_unstarted(&self, call: CallNumber) -> bool {
        self.closed_queue(call)
            .is_some_and(|closed| closed.is_quota)
    }

    /// Until when a call's queue is closed, if it is.
    pub(super) fn queue_closed_until(&self, call: CallNumber) -> Option<Millis> {
        self.closed_queue(call).map(|closed| closed.until)
    }

    fn closed_queue(&self, call: CallNumber) -> Option<&Closed> {
        self.queues.0.get(&self.keys.queue(call)?)
    }
}

/// How a call's newest attempt failed.
pub(super) fn last_failure(call: &CallState) -> Option<FailureKind> {
    match call.past().last() {
        Some(PastAttempt {
            end: PastEnd::Failed(kind),
            ..
        }) => Some(*kind),
        _ => None,
    }
}
