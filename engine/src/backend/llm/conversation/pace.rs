//! Time and chance, as the loop needs them. The one file of this module that asks for them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

/// How long the loop waits, and for what.
#[derive(Clone)]
pub(crate) struct Pace {
    /// A stream that gives no byte for so long has stalled.
    pub(crate) silence: Duration,
    /// A request that is not even begun to be answered for so long has stalled. Longer than `silence`, since the gateway
    /// may hold a call until the provider's queue is open again.
    pub(crate) first_byte: Duration,
    /// The first wait before a failed call is made again, where the provider names none; each further one is twice as
    /// long.
    pub(crate) back_off: Duration,
    /// How long a sibling waits for another to put their common prefix into the provider's cache.
    pub(crate) sibling: Duration,
    /// How long tools may take to end once the attempt is cancelled; then they are dropped.
    pub(crate) grace: Duration,
    sleep: Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>,
    jitter: Arc<dyn Fn() -> f64 + Send + Sync>,
}

impl Pace {
    /// The usual waits on tokio's clock. `jitter` gives numbers from 0 to 1, so that siblings which failed together do
    /// not come back together.
    #[must_use]
    pub(crate) fn new(jitter: Arc<dyn Fn() -> f64 + Send + Sync>) -> Self {
        Self {
            silence: Duration::from_mins(2),
            first_byte: Duration::from_mins(30),
            back_off: Duration::from_secs(1),
            sibling: Duration::from_secs(20),
            grace: Duration::from_secs(5),
            sleep: Arc::new(|time| tokio::time::sleep(time).boxed()),
            jitter,
        }
    }

    /// The same, but it sleeps as `sleep` does.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn with_sleep(
        mut self,
        sleep: Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>,
    ) -> Self {
        self.sleep = sleep;
        self
    }

    pub(super) fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        (self.sleep)(time)
    }

    pub(super) fn jitter(&self) -> f64 {
        (self.jitter)().clamp(0.0, 1.0)
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pace")
            .field("silence", &self.silence)
            .field("first_byte", &self.first_byte)
            .field("back_off", &self.back_off)
            .field("sibling", &self.sibling)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}

/// What time it is on tokio's clock: what is in a provider's cache grows old by it.
pub(super) fn now() -> Instant {
    Instant::now()
}
