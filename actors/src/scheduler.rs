//! Who may run an agent now: permits over all runs of an engine.
//!
//! This is a lock and not an actor, on purpose: a step of a script is one commit only if its next agent's permit is known
//! in the same handler that journals the step. The lock is held for a few instructions and never over an await.
//!
//! A run asks for one permit at a time and for its oldest waiter, so a late caller never overtakes (A06); between runs
//! permits go round in order of asking, each run once a round.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bellwether_journal::id::RunId;
use tokio::sync::watch;

use crate::backend::Pressure;

/// Tells a run that a permit is now its own.
pub type Granted = Box<dyn Fn() + Send + Sync>;

/// A permit on its way to a run: if the run is gone before it hears of it, the permit goes back.
pub struct Permit(Option<Scheduler>);

impl Permit {
    /// One that was taken from `scheduler`.
    #[must_use]
    pub const fn new(scheduler: Scheduler) -> Self {
        Self(Some(scheduler))
    }

    /// The run has it, and gives it back by itself.
    pub fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(scheduler) = self.0.take() {
            scheduler.give_back();
        }
    }
}

/// A cheap handle on the permits.
#[derive(Clone)]
pub struct Scheduler(Arc<Mutex<Permits>>, Arc<watch::Sender<bool>>);

struct Permits {
    limit: Option<usize>,
    in_use: usize,
    /// The journal has too many bytes that are not durable yet.
    held_back: bool,
    waiting: VecDeque<(RunId, Arc<Granted>)>,
}

impl Scheduler {
    /// Permits for at most `limit` agents at once over all runs; `None` leaves it to the runs.
    #[must_use]
    pub fn new(limit: Option<usize>) -> Self {
        let waiting = VecDeque::new();
        let permits = Permits {
            limit,
            in_use: 0,
            held_back: false,
            waiting,
        };
        Self(Arc::new(Mutex::new(permits)), Arc::default())
    }

    /// Takes a permit for `run`. If none is free, `granted` is called once when one is the run's own (never from within
    /// this call); until then further calls for the run change nothing.
    pub fn take(&self, run: RunId, granted: &Arc<Granted>) -> bool {
        self.with(|permits| {
            if permits.waiting.iter().any(|(waiting, _)| *waiting == run) {
                return false;
            }
            if permits.waiting.is_empty() && permits.has_room() {
                permits.in_use += 1;
                return true;
            }
            permits.waiting.push_back((run, Arc::clone(granted)));
            false
        })
    }

    /// Gives a permit back.
    pub fn give_back(&self) {
        self.change(|permits| permits.in_use = permits.in_use.saturating_sub(1));
    }

    /// The run wants nothing any more: it no longer waits for a permit.
    pub fn forget(&self, run: RunId) {
        self.change(|permits| permits.waiting.retain(|(waiting, _)| *waiting != run));
    }

    /// Starts nothing while the journal is behind, and lets agents that run know it.
    pub fn hold_back(&self, held_back: bool) {
        self.change(|permits| permits.held_back = held_back);
        self.1.send_replace(held_back);
    }

    /// Whether the journal is behind, for agents that run.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        Pressure::new(self.1.subscribe())
    }

    /// Permits in use now.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.with(|permits| permits.in_use)
    }

    fn change(&self, change: impl FnOnce(&mut Permits)) {
        let granted = self.with(|permits| {
            change(permits);
            permits.grant()
        });
        // Outside the lock: whoever is told may ask again at once.
        for tell in granted {
            tell();
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Permits) -> T) -> T {
        // The counts are whole at every step, so a panic elsewhere while it was held has left nothing half done.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Permits {
    fn has_room(&self) -> bool {
        !self.held_back && self.limit.is_none_or(|limit| self.in_use < limit)
    }

    fn grant(&mut self) -> Vec<Arc<Granted>> {
        let mut granted = Vec::new();
        while self.has_room() {
            let Some((_, tell)) = self.waiting.pop_front() else {
                break;
            };
            self.in_use += 1;
            granted.push(tell);
        }
        granted
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|permits| {
            formatter
                .debug_struct("Scheduler")
                .field("limit", &permits.limit)
                .field("in_use", &permits.in_use)
                .field("waiting", &permits.waiting.len())
                .finish_non_exhaustive()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(number: u64) -> RunId {
        RunId::from_u64(number).unwrap_or_else(|| panic!("a small number is a run id"))
    }

    fn recorder() -> (Arc<Mutex<Vec<u64>>>, impl Fn(u64) -> Arc<Granted>) {
        let granted = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&granted);
        let tell = move |number| {
            let log = Arc::clone(&log);
            let tell: Granted = Box::new(move || {
                log.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(number);
            });
            Arc::new(tell)
        };
        (granted, tell)
    }

    #[test]
    fn permits_go_round_between_runs() {
        let scheduler = Scheduler::new(Some(2));
        let (granted, tell) = recorder();
        let (one, two) = (tell(1), tell(2));
        assert!(scheduler.take(run(1), &one) && scheduler.take(run(1), &one));
        assert!(!scheduler.take(run(1), &one), "the limit is reached");
        assert!(
            !scheduler.take(run(1), &one),
            "asking again changes nothing"
        );
        assert!(!scheduler.take(run(2), &two));
        scheduler.give_back();
        scheduler.give_back();
        assert_eq!(
            *granted.lock().unwrap_or_else(PoisonError::into_inner),
            [1, 2]
        );
        assert_eq!(scheduler.in_use(), 2);
    }

    #[test]
    fn a_journal_that_is_behind_holds_everything_back() {
        let scheduler = Scheduler::new(None);
        let (granted, tell) = recorder();
        scheduler.hold_back(true);
        assert!(!scheduler.take(run(1), &tell(1)));
        assert!(!scheduler.take(run(2), &tell(2)));
        scheduler.forget(run(1));
        scheduler.hold_back(false);
        assert_eq!(*granted.lock().unwrap_or_else(PoisonError::into_inner), [2]);
        assert!(
            scheduler.take(run(1), &tell(1)),
            "nobody waits and there is room"
        );
    }
}
