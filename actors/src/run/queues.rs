//! Whose calls wait unstarted since their provider takes none for now (A06): when one says that there were too many requests, or
//! that a quota is used up, its queue closes, and opens when the call that closed it last is tried again. A closed queue holds
//! up its own calls and no others. Pure, and derived from the run's records.

use std::collections::HashMap;
use std::sync::Arc;

use bellwether_journal::id::CallNumber;
use bellwether_journal::record::{FailureKind, Millis};
use bellwether_journal::state::{CallState, CallStatus, PastAttempt, PastEnd};

use super::machine::Machine;

/// A timer may be ahead of the clock by so much.
const CLOCKS_DIFFER: Millis = 1_000;

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
const fn closes(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::RateLimit | FailureKind::Quota)
}

impl Machine {
    /// A call's provider takes no calls until then, when this one is tried again.
    pub(super) fn close_queue(&mut self, call: CallNumber, kind: FailureKind, until: Millis) {
        let Some(queue) = self.keys.queue(call).filter(|_| closes(kind)) else {
            return;
        };
        let queue = Arc::clone(queue);
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

    /// A call's time has come: the queue that it closed opens. `Some`: a later failure of it closed the queue for so much longer.
    pub(super) fn open_queue_of(&mut self, call: CallNumber, now: Millis) -> Option<Millis> {
        let mut rest = None;
        self.queues.0.retain(|_, closed| {
            let left = closed.until.saturating_sub(now);
            if closed.by == call && left > CLOCKS_DIFFER {
                rest = Some(left);
            }
            closed.by != call || rest.is_some()
        });
        rest
    }

    /// A person says that a call is to begin: its queue opens, whoever closed it.
    pub(super) fn open_queue_for(&mut self, call: CallNumber) {
        if let Some(queue) = self.keys.queue(call) {
            self.queues.0.remove(queue);
        }
    }

    /// A call that a takeover finds in back-off closes its queue as it did.
    pub(super) fn close_queue_again(&mut self, call: CallNumber, until: Millis) {
        let kind = self.state.call(call).and_then(last_failure);
        if let Some(kind) = kind {
            self.close_queue(call, kind, until);
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

    /// Until when a call waits since its provider's quota is used up, whether or not it was begun.
    pub(super) fn waits_for_quota_until(
        &self,
        number: CallNumber,
        call: &CallState,
    ) -> Option<Millis> {
        let queue = self.closed_queue(number).filter(|closed| closed.is_quota);
        match (queue, call.status) {
            (Some(closed), CallStatus::Waiting | CallStatus::Backoff { .. }) => Some(closed.until),
            (None, CallStatus::Backoff { until }) => {
                (last_failure(call) == Some(FailureKind::Quota)).then_some(until)
            }
            _ => None,
        }
    }

    fn closed_queue(&self, call: CallNumber) -> Option<&Closed> {
        self.queues.0.get(self.keys.queue(call)?)
    }
}

/// How a call's newest attempt failed.
fn last_failure(call: &CallState) -> Option<FailureKind> {
    match call.past().last() {
        Some(PastAttempt {
            end: PastEnd::Failed(kind),
            ..
        }) => Some(*kind),
        _ => None,
    }
}
