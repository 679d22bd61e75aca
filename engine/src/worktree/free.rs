//! Which worktrees there are, which of them are free, and which an attempt gets. No disk, no git.

use std::collections::{BTreeSet, HashMap};

use super::slot::Slot;

/// The worktree that others are copied from.
pub(super) const TEMPLATE: u32 = 0;

/// What is known of a worktree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// At its base, with nothing but what belongs there.
    Clean,
    /// Anything.
    Dirty,
    /// Nothing is there yet.
    New,
    /// It was given up.
    Gone,
}

/// The worktrees of a pool.
#[derive(Debug, Default)]
pub(super) struct Slots {
    free: Vec<(Slot, Condition)>,
    numbers: BTreeSet<u32>,
    /// What each takes on the disk, in bytes; measured only where there is a limit.
    bytes: HashMap<u32, u64>,
    /// The most that any ever took.
    largest: u64,
}

/// What a pool may grow to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) slots: u32,
    /// On the disk, in bytes.
    pub(super) disk: Option<u64>,
}

/// What an attempt gets.
#[derive(Debug)]
pub(super) enum Choice {
    /// One that is free.
    Free(Box<Slot>, Condition),
    /// A new one of this number; whether it is the only one.
    New { number: u32, alone: bool },
    /// One that is given back later.
    Later,
    /// None, ever: a single one would take so many bytes.
    None { needed: u64 },
}

impl Slots {
    /// Takes the fittest for a work that begins at `commit`.
    pub(super) fn take(&mut self, commit: &str, limits: Limits) -> Choice {
        let rank = |(slot, condition): &(Slot, Condition)| match condition {
            Condition::Clean if slot.state.base.as_deref() == Some(commit) => 0,
            Condition::Clean => 1,
            Condition::Dirty | Condition::New | Condition::Gone => 2,
        };
        // The last one given back is the one whose files are still in memory.
        let places = self.free.iter().enumerate().rev();
        let best = places.min_by_key(|(_, free)| rank(free));
        if let Some((at, _)) = best {
            let (slot, condition) = self.free.swap_remove(at);
            return Choice::Free(Box::new(slot), condition);
        }
        let alone = self.numbers.is_empty();
        if !alone && self.numbers.len() >= limits.slots.max(1) as usize {
            return Choice::Later;
        }
        if limits.disk.is_some() && self.largest == 0 && !alone {
            // What one takes will be known when the first is ready.
            return Choice::Later;
        }
        let needed = self.needed_for_one_more(alone);
        match limits.disk {
            Some(limit) if needed > limit && alone => return Choice::None { needed },
            Some(limit) if needed > limit => return Choice::Later,
            _ => {}
        }
        let mut free_numbers = (1..=u32::MAX).filter(|number| !self.numbers.contains(number));
        let number = free_numbers.next().unwrap_or(u32::MAX);
        self.numbers.insert(number);
        Choice::New { number, alone }
    }

    /// What all take, with one more, those that are being made, and the template, if there is to be one.
    fn needed_for_one_more(&self, alone: bool) -> u64 {
        let all = self.numbers.iter().chain((!alone).then_some(&TEMPLATE));
        let unknown = all.filter(|number| !self.bytes.contains_key(number));
        self.bytes.values().sum::<u64>() + (1 + unknown.count() as u64) * self.largest
    }

    /// Takes one back.
    pub(super) fn give_back(&mut self, slot: Slot, condition: Condition) {
        match condition {
            Condition::Gone | Condition::New => {
                self.numbers.remove(&slot.number);
                self.bytes.remove(&slot.number);
            }
            Condition::Clean | Condition::Dirty => self.free.push((slot, condition)),
        }
    }

    /// Takes up one that an earlier opening of the pool has left.
    pub(super) fn find(&mut self, slot: Slot) {
        self.numbers.insert(slot.number);
        self.measured(slot.number, slot.state.bytes);
        self.free.push((slot, Condition::Dirty));
    }

    /// Learns what one takes, and says what all take that are known.
    pub(super) fn measured(&mut self, number: u32, bytes: u64) -> u64 {
        self.bytes.insert(number, bytes);
        self.largest = self.largest.max(bytes);
        self.bytes.values().sum()
    }

    /// Whether there is more than one.
    pub(super) fn are_several(&self) -> bool {
        self.numbers.len() > 1
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const MANY: Limits = Limits {
        slots: 3,
        disk: None,
    };

    fn slot(number: u32, base: &str) -> Slot {
        let mut slot = Slot::new(Path::new("pool"), "name", number);
        slot.state.base = Some(base.to_owned());
        slot
    }

    fn words(choice: &Choice) -> String {
        match choice {
            Choice::Free(slot, condition) => format!("{} {condition:?}", slot.number),
            Choice::New { number, alone } => format!("new {number} {alone}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_fittest_free_one_is_taken_and_a_new_one_only_where_there_is_none() {
        let mut slots = Slots::default();
        let take = |slots: &mut Slots| words(&slots.take("b", MANY));
        assert_eq!(take(&mut slots), "new 1 true");
        assert_eq!(take(&mut slots), "new 2 false");
        assert_eq!(take(&mut slots), "new 3 false");
        assert_eq!(take(&mut slots), "Later");
        slots.give_back(slot(1, "b"), Condition::Dirty);
        slots.give_back(slot(2, "a"), Condition::Clean);
        slots.give_back(slot(3, "b"), Condition::Clean);
        assert_eq!(take(&mut slots), "3 Clean");
        assert_eq!(take(&mut slots), "2 Clean");
        assert_eq!(take(&mut slots), "1 Dirty");
        slots.give_back(slot(2, "b"), Condition::Gone);
        assert_eq!(take(&mut slots), "new 2 false");
    }

    #[test]
    fn those_that_are_being_made_count_before_they_are_measured() {
        let mut slots = Slots::default();
        let limits = Limits {
            slots: 10,
            disk: Some(45),
        };
        let take = |slots: &mut Slots| words(&slots.take("b", limits));
        assert_eq!(take(&mut slots), "new 1 true");
        assert_eq!(take(&mut slots), "Later", "nobody knows what one takes");
        assert_eq!(slots.measured(1, 10), 10);
        assert_eq!(take(&mut slots), "new 2 false", "with the template 30");
        assert_eq!(take(&mut slots), "new 3 false", "40");
        assert_eq!(take(&mut slots), "Later", "50");
        slots.give_back(slot(3, "b"), Condition::New);
        assert_eq!(take(&mut slots), "new 3 false");
        assert!(slots.are_several());
    }

    #[test]
    fn one_that_is_larger_than_the_limit_is_never_tried_again() {
        let mut slots = Slots::default();
        let limits = Limits {
            slots: 10,
            disk: Some(5),
        };
        assert_eq!(words(&slots.take("b", limits)), "new 1 true");
        slots.measured(1, 7);
        slots.give_back(slot(1, "b"), Condition::Gone);
        assert_eq!(words(&slots.take("b", limits)), "None { needed: 7 }");
    }
}
