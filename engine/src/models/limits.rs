//! What a provider is asked for at once and in a minute: what settings say of its account, whoever asks. A call that has to
//! wait waits here, and holds nothing of the budget.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What calls of one provider have to keep to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProviderLimits {
    /// Calls at once; `None` is no limit.
    pub concurrency: Option<NonZeroU32>,
    /// Calls begun in a minute, evenly spread; `None` is no limit.
    pub requests_per_minute: Option<NonZeroU32>,
}

/// The limits of all providers that have some.
#[derive(Default)]
pub(super) struct Turnstiles(HashMap<String, Turnstile>);

struct Turnstile {
    places: Option<Arc<Semaphore>>,
    /// One call each part of a minute: with more at once, a minute could see twice as many as it may.
    pace: Option<DefaultDirectRateLimiter>,
}

impl Turnstiles {
    pub(super) fn new<'a>(
        limits: impl IntoIterator<Item = (&'a String, &'a ProviderLimits)>,
    ) -> Self {
        let turnstiles = limits.into_iter().map(|(provider, limits)| {
            let places = limits.concurrency.map(|number| {
                let number = usize::try_from(number.get()).unwrap_or(usize::MAX);
                Arc::new(Semaphore::new(number.min(Semaphore::MAX_PERMITS)))
            });
            let pace = limits.requests_per_minute.map(|number| {
                let quota = Quota::per_minute(number).allow_burst(NonZeroU32::MIN);
                RateLimiter::direct(quota)
            });
            (provider.clone(), Turnstile { places, pace })
        });
        Self(turnstiles.collect())
    }

    /// Waits until the provider has a place for one more call. What it gives is held until the call has ended.
    pub(super) async fn place(&self, provider: &str) -> Option<OwnedSemaphorePermit> {
        let places = self.0.get(provider)?.places.clone()?;
        // It is never closed.
        places.acquire_owned().await.ok()
    }

    /// Waits for a call's part of the minute. A call has one, however often it looks whether it may go out.
    pub(super) async fn pace(&self, provider: &str) {
        let turnstile = self.0.get(provider);
        if let Some(pace) = turnstile.and_then(|turnstile| turnstile.pace.as_ref()) {
            pace.until_ready().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use futures_util::FutureExt as _;

    use super::*;

    fn turnstiles(limits: ProviderLimits) -> Turnstiles {
        Turnstiles::new([(&"paid".to_owned(), &limits)])
    }

    #[tokio::test]
    async fn so_many_calls_go_out_at_once_and_others_as_they_end() {
        let turnstiles = turnstiles(ProviderLimits {
            concurrency: NonZeroU32::new(2),
            requests_per_minute: None,
        });
        assert!(turnstiles.place("other").await.is_none());
        let first = turnstiles.place("paid").await;
        let second = turnstiles.place("paid").await;
        assert!(first.is_some() && second.is_some());
        let third = turnstiles.place("paid");
        tokio::pin!(third);
        assert!(third.as_mut().now_or_never().is_none());
        drop(first);
        assert!(third.await.is_some());
    }

    #[tokio::test]
    async fn calls_of_a_minute_are_spread_over_it() {
        let turnstiles = turnstiles(ProviderLimits {
            concurrency: None,
            requests_per_minute: NonZeroU32::new(1_200),
        });
        let begun = Instant::now();
        for _ in 0..5 {
            turnstiles.pace("paid").await;
        }
        // Four steps of a twentieth of a second; how much longer it takes is the machine's affair.
        assert!(begun.elapsed() >= Duration::from_millis(199));
    }
}
