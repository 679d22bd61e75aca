//! Virtual time: what is still to happen, in the order of its time, and what was put in first of equal times.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use bellwether_actors::run::machine::Permits;
use bellwether_journal::id::{CallNumber, FencingToken, TimerNumber};
use bellwether_journal::record::Millis;

/// Permits without end: in virtual time only the run's own cap counts.
pub(crate) struct Free;

impl Permits for Free {
    fn take(&mut self) -> bool {
        true
    }

    fn give_back(&mut self) {}

    fn forget(&mut self) {}
}

/// Something that happens at its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// An attempt ends.
    Ended(FencingToken),
    /// A timer fires.
    Timer(TimerNumber),
    /// A call's back-off is over.
    Retry(CallNumber),
}

/// An event with its place in the queue.
#[derive(Debug)]
struct Queued {
    at: Millis,
    number: u64,
    event: Event,
}

impl Queued {
    const fn place(&self) -> (Millis, u64) {
        (self.at, self.number)
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
    }
}

/// What is still to happen.
#[derive(Debug, Default)]
pub(crate) struct Events {
    queue: BinaryHeap<Reverse<Queued>>,
    number: u64,
    /// Timers that are in the queue and were not cleared.
    armed: HashSet<TimerNumber>,
}

impl Events {
    /// Lets `event` happen at this time.
    pub(crate) fn put(&mut self, at: Millis, event: Event) {
        if let Event::Timer(timer) = event {
            self.armed.insert(timer);
        }
        let number = self.number;
        self.number += 1;
        self.queue.push(Reverse(Queued { at, number, event }));
    }

    /// The timer does not fire any more.
    pub(crate) fn clear(&mut self, timer: TimerNumber) {
        self.armed.remove(&timer);
    }

    /// What happens next, and when.
    pub(crate) fn next(&mut self) -> Option<(Millis, Event)> {
        while let Some(Reverse(Queued { at, event, .. })) = self.queue.pop() {
            match event {
                Event::Timer(timer) if !self.armed.remove(&timer) => {}
                _ => return Some((at, event)),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_then_as_they_were_put_in() {
        let mut events = Events::default();
        for (at, timer) in [(20, 0), (10, 1), (20, 2), (10, 3), (15, 4)] {
            events.put(at, Event::Timer(TimerNumber(timer)));
        }
        events.clear(TimerNumber(4));
        events.clear(TimerNumber(9));
        let mut order = Vec::new();
        while let Some((at, Event::Timer(timer))) = events.next() {
            order.push((at, timer.0));
        }
        assert_eq!(order, [(10, 1), (10, 3), (20, 0), (20, 2)]);
    }
}
