//! Siblings that begin with the same long prefix: the first of them goes ahead and puts it into the provider's cache, the
//! others wait until its answer has begun, and are served from there.
//!
//! Without it ten siblings that start together pay for the prefix ten times, since a provider can read a prefix from its
//! cache only once the first answer to it has begun.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::pace;

/// A shorter prefix, in tokens, no provider keeps.
pub(super) const TOKENS_MIN: u64 = 1_024;
/// So long a prefix stays in a provider's cache at least. A little less than they promise: an answer that begins now was
/// asked for before.
const WARM: Duration = Duration::from_secs(4 * 60 + 30);

/// What a request begins with, as far as siblings share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Prefix(blake3::Hash);

impl Prefix {
    pub(super) fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        Self(hasher.finalize())
    }

    /// A name for it that fits a provider's field for such names.
    pub(super) fn name(&self) -> String {
        self.0.to_hex()[..32].to_owned()
    }
}

/// What is known of a prefix.
enum State {
    /// One went ahead; it tells when its answer has begun or it gave up.
    Ahead(watch::Receiver<bool>),
    /// It is in the cache until then.
    Warm(Instant),
}

/// One for all agents that share a provider's cache. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Gate(Arc<Mutex<HashMap<Prefix, State>>>);

/// One's place at the gate. Whoever went ahead tells by it that its answer has begun, and by dropping it that it will not.
pub(super) struct Place {
    ahead: Option<(Gate, Prefix, watch::Sender<bool>)>,
}

impl Gate {
    /// Comes to the gate with `prefix`: at once for the first, for the others when the first's answer has begun, when it
    /// gave up, or after `patience`.
    pub(super) async fn enter(&self, prefix: Prefix, patience: Duration) -> Place {
        let mut ahead = match self.arrive(prefix, pace::now()) {
            Arrival::First(told) => {
                return Place {
                    ahead: Some((self.clone(), prefix, told)),
                };
            }
            Arrival::Free => return Place { ahead: None },
            Arrival::Behind(ahead) => ahead,
        };
        // An error is a sender that was dropped: it gave up. Either way there is nothing to wait for any more.
        let _ = tokio::time::timeout(patience, ahead.wait_for(|begun| *begun)).await;
        Place { ahead: None }
    }

    fn arrive(&self, prefix: Prefix, now: Instant) -> Arrival {
        let mut states = self.states();
        states.retain(|_, state| match state {
            State::Warm(until) => *until > now,
            State::Ahead(told) => told.has_changed().is_ok(),
        });
        match states.get(&prefix) {
            Some(State::Warm(_)) => Arrival::Free,
            Some(State::Ahead(told)) => Arrival::Behind(told.clone()),
            None => {
                let (sender, receiver) = watch::channel(false);
                states.insert(prefix, State::Ahead(receiver));
                Arrival::First(sender)
            }
        }
    }

    fn states(&self) -> MutexGuard<'_, HashMap<Prefix, State>> {
        // Each change is one insertion or removal, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Arrival {
    First(watch::Sender<bool>),
    Behind(watch::Receiver<bool>),
    Free,
}

impl Place {
    /// The answer has begun: the prefix is in the cache.
    pub(super) fn begun(&mut self) {
        if let Some((gate, prefix, told)) = self.ahead.take() {
            gate.states()
                .insert(prefix, State::Warm(pace::now() + WARM));
            let _ = told.send(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn prefix(text: &str) -> Prefix {
        Prefix::of([text])
    }

    /// Sends `others` to the gate, and says how long each of them waited once all are through.
    async fn waits(gate: &Gate, others: usize) -> Vec<Duration> {
        let began = Instant::now();
        let enter = |_| async {
            let _place = gate.enter(prefix("p"), PATIENCE).await;
            began.elapsed()
        };
        futures_util::future::join_all((0..others).map(enter)).await
    }

    #[tokio::test(start_paused = true)]
    async fn the_others_wait_until_the_first_answer_has_begun() {
        let gate = Gate::default();
        let mut first = gate.enter(prefix("p"), PATIENCE).await;
        let (waited, ()) = tokio::join!(waits(&gate, 3), async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            first.begun();
        });
        assert_eq!(waited, [Duration::from_secs(3); 3]);
        assert_eq!(waits(&gate, 3).await, [Duration::ZERO; 3], "it is warm");
        // Another prefix is nobody's business here.
        let mut other = gate.enter(prefix("q"), PATIENCE).await;
        assert!(other.ahead.is_some());
        other.begun();
        tokio::time::advance(WARM).await;
        assert!(
            gate.enter(prefix("p"), PATIENCE).await.ahead.is_some(),
            "it went cold"
        );
        assert_eq!(gate.states().len(), 1, "nothing is kept of what is over");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_one_that_gave_up_or_is_too_slow() {
        let gate = Gate::default();
        let first = gate.enter(prefix("p"), PATIENCE).await;
        let (waited, ()) = tokio::join!(waits(&gate, 2), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(first);
        });
        assert_eq!(waited, [Duration::from_secs(1); 2]);

        let mut slow = gate.enter(prefix("p"), PATIENCE).await;
        assert!(slow.ahead.is_some());
        assert_eq!(waits(&gate, 2).await, [PATIENCE; 2]);
        slow.begun();
        assert_eq!(waits(&gate, 1).await, [Duration::ZERO]);
    }

    #[test]
    fn parts_are_not_mixed_up() {
        assert_ne!(Prefix::of(["ab", "c"]), Prefix::of(["a", "bc"]));
        assert_eq!(Prefix::of(["a"]).name().len(), 32);
    }
}
