//! Which providers take no calls for now. When one says that there were too many, or that a quota is used up, its queue closes
//! until the time that it names; whoever asks meanwhile waits, if that is soon, or hears when it opens.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::gateway::{CallFailure, CallFailureKind};

/// A closed queue that opens within this is waited for.
const WAITED_FOR: Duration = Duration::from_mins(1);
/// Where a provider names no time: at first, doubled with each further failure …
const FIRST: Duration = Duration::from_secs(1);
/// … up to this.
const LONGEST: Duration = Duration::from_mins(1);
/// The same for a quota, which a person or the clock renews.
const QUOTA: Duration = Duration::from_mins(5);

/// All providers' queues.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<HashMap<Arc<str>, Queue>>);

#[derive(Clone, Copy, Debug)]
struct Queue {
    closed_until: Instant,
    failures: u32,
    is_quota: bool,
}

/// A queue that is closed for longer than anybody should wait at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    /// When it opens, from now.
    pub(crate) opens_in: Duration,
    /// Whether a quota is used up.
    pub(crate) is_quota: bool,
}

impl Breaker {
    /// Waits until the provider's queue is open.
    ///
    /// # Errors
    /// [`Closed`], when that is too long to wait.
    pub(crate) async fn pass(&self, provider: &str) -> Result<(), Closed> {
        loop {
            let Some(queue) = self.queue(provider) else {
                return Ok(());
            };
            let now = Instant::now();
            let opens_in = queue.closed_until.saturating_duration_since(now);
            if opens_in.is_zero() {
                return Ok(());
            }
            if opens_in > WAITED_FOR {
                return Err(Closed {
                    opens_in,
                    is_quota: queue.is_quota,
                });
            }
            tokio::time::sleep_until(queue.closed_until).await;
        }
    }

    /// A call was answered: its provider is well.
    pub(crate) fn answered(&self, provider: &str) {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A quota that is used up is not renewed by an answer that was under way.
        if queues.get(provider).is_some_and(|queue| !queue.is_quota) {
            queues.remove(provider);
        }
    }

    /// A call failed.
    pub(crate) fn failed(&self, provider: &Arc<str>, failure: &CallFailure) {
        let is_quota = match failure.kind {
            CallFailureKind::Quota => true,
            CallFailureKind::RateLimit | CallFailureKind::Overloaded => false,
            CallFailureKind::Invalid
            | CallFailureKind::Auth
            | CallFailureKind::Server
            | CallFailureKind::Transport => return,
        };
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let queue = queues.entry(Arc::clone(provider)).or_insert(Queue {
            closed_until: now,
            failures: 0,
            is_quota,
        });
        let own = if is_quota {
            QUOTA
        } else {
            FIRST
                .saturating_mul(1 << queue.failures.min(10))
                .min(LONGEST)
        };
        let is_open = queue.closed_until <= now;
        // What fails while it is closed was under way with what closed it, and a quota stays used up until its time.
        if is_open {
            queue.failures = queue.failures.saturating_add(1);
        }
        queue.is_quota = is_quota || (queue.is_quota && !is_open);
        let until = now + failure.retry_after.unwrap_or(own);
        queue.closed_until = queue.closed_until.max(until);
    }

    /// How long the provider's queue stays closed, where it is.
    pub(crate) fn closed_for(&self, provider: &str) -> Option<Duration> {
        let queue = self.queue(provider)?;
        let left = queue.closed_until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    fn queue(&self, provider: &str) -> Option<Queue> {
        let queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queues.get(provider).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: CallFailureKind, retry_after: Option<u64>) -> CallFailure {
        CallFailure {
            status: Some(429),
            kind,
            message: "too many".to_owned(),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_queue_is_waited_for_when_it_opens_soon() {
        let breaker = Breaker::default();
        let (slow, other): (Arc<str>, Arc<str>) = ("slow".into(), "other".into());
        let begun = Instant::now();
        breaker.failed(&slow, &failure(CallFailureKind::RateLimit, Some(20)));
        assert_eq!(breaker.pass(&other).await, Ok(()));
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(breaker.pass(&slow).await, Ok(()));
        assert_eq!(begun.elapsed(), Duration::from_secs(20));
        // Without a time of its own each failure doubles the wait.
        for expected in [2, 4, 8] {
            breaker.failed(&slow, &failure(CallFailureKind::Overloaded, None));
            let begun = Instant::now();
            assert_eq!(breaker.pass(&slow).await, Ok(()));
            assert_eq!(begun.elapsed(), Duration::from_secs(expected));
        }
        breaker.failed(&slow, &failure(CallFailureKind::Overloaded, None));
        breaker.answered(&slow);
        let begun = Instant::now();
        assert_eq!(breaker.pass(&slow).await, Ok(()));
        assert_eq!(begun.elapsed(), Duration::ZERO);
        breaker.failed(&slow, &failure(CallFailureKind::Invalid, Some(9)));
        assert_eq!(breaker.pass(&slow).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_quota_is_told_and_outlives_answers_that_were_under_way() {
        let breaker = Breaker::default();
        let provider: Arc<str> = "paid".into();
        breaker.failed(&provider, &failure(CallFailureKind::Quota, Some(7_200)));
        breaker.answered(&provider);
        let closed = Closed {
            opens_in: Duration::from_hours(2),
            is_quota: true,
        };
        assert_eq!(breaker.pass(&provider).await, Err(closed));
        tokio::time::advance(Duration::from_secs(7_190)).await;
        assert_eq!(breaker.pass(&provider).await, Ok(()));
    }
}
