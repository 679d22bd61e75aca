//! An admitted call, settled exactly once.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::task_tracker::TaskTrackerToken;

use super::meter::{CallEnd, CallFailure, CallId, CallOutcome, Tokens};
use super::pass::Holder;
use super::stopwatch::Stopwatch;

/// Settles a call when it is told to, or when it is dropped.
pub(super) struct OpenCall {
    holder: Arc<Holder>,
    id: CallId,
    begun: Stopwatch,
    first_byte: Option<Duration>,
    is_settled: bool,
    /// Lets [`Pass::close`](super::Pass::close) wait for this call.
    _open: TaskTrackerToken,
}

impl OpenCall {
    /// To be made as soon as the call is admitted, with no wait between.
    pub(super) fn new(holder: Arc<Holder>, id: CallId, open: TaskTrackerToken) -> Self {
        Self {
            _open: open,
            holder,
            id,
            begun: Stopwatch::start(),
            first_byte: None,
            is_settled: false,
        }
    }

    pub(super) fn first_byte(&mut self) {
        self.first_byte.get_or_insert_with(|| self.begun.elapsed());
    }

    pub(super) fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// The first one holds.
    pub(super) fn settle(&mut self, counted: Option<(Tokens, bool)>, outcome: CallOutcome) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        let end = CallEnd {
            tokens: counted.map(|(tokens, _)| tokens),
            is_exact: counted.is_some_and(|(_, is_exact)| is_exact),
            outcome,
            time_to_first_byte: self.first_byte,
            duration: self.begun.elapsed(),
        };
        self.holder.meter.settle(self.id, end);
    }

    /// Settles a call that has failed and costs nothing.
    pub(super) fn fail(&mut self, failure: CallFailure) {
        self.settle(
            Some((Tokens::default(), true)),
            CallOutcome::Failed(failure),
        );
    }

    /// Settles a call that has been let go of before its end.
    pub(super) fn cut(&mut self, counted: Option<(Tokens, bool)>) {
        let outcome = if self.holder.revoked.is_cancelled() {
            CallOutcome::CutOff
        } else {
            CallOutcome::CutByAgent
        };
        self.settle(counted, outcome);
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.cut(None);
    }
}
