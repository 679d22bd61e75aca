//! What the code that runs now has waited for (`docs/replay.md`): the VM's side of contexts, without any JavaScript.
//!
//! One settlement is one turn, so all that runs in a turn is one chain of continuations with one current context. It
//! begins as the version of what settled and changes only where a barrier or a race of the prelude ends, and where a
//! nested workflow begins.

use std::collections::HashMap;

use bellwether_journal::key::{self, Context, Digest};

/// A barrier's lanes take this much of the host's memory each.
pub(crate) const LANE_BYTES: usize = size_of::<Context>();

/// The contexts of a run.
#[derive(Debug)]
pub(crate) struct Contexts {
    current: Context,
    rolling: Context,
    turn: u64,
    barriers: HashMap<u32, Barrier>,
    next_barrier: u32,
}

#[derive(Debug)]
struct Barrier {
    opened_in: u64,
    before: Context,
    /// Where each lane ended; the start's context for one that has not, or that ended where it began.
    lanes: Vec<Context>,
    /// Whether any lane ended in a later turn.
    waited: bool,
}

impl Contexts {
    pub(crate) fn new() -> Self {
        let root = key::root();
        Self {
            current: root,
            rolling: root,
            turn: 0,
            barriers: HashMap::new(),
            next_barrier: 0,
        }
    }

    /// The context of what is issued now, by code that is followed exactly or not.
    pub(crate) fn of(&self, rolling: bool) -> Context {
        if rolling { self.rolling } else { self.current }
    }

    /// A turn begins: `version` settled, for code that is followed exactly or not.
    pub(crate) fn begin_turn(&mut self, version: Digest, rolling: bool) {
        self.turn += 1;
        self.rolling = key::mix(self.rolling, version);
        self.current = if rolling { self.rolling } else { version };
    }

    /// A barrier or race over `count` lanes begins.
    pub(crate) fn open(&mut self, count: usize) -> u32 {
        let id = self.next_barrier;
        self.next_barrier = self.next_barrier.wrapping_add(1);
        let barrier = Barrier {
            opened_in: self.turn,
            before: self.current,
            lanes: vec![self.current; count],
            waited: false,
        };
        self.barriers.insert(id, barrier);
        id
    }

    /// A lane has ended.
    pub(crate) fn lane(&mut self, id: u32, index: usize) {
        if let Some(barrier) = self.barriers.get_mut(&id)
            && barrier.opened_in != self.turn
            && let Some(lane) = barrier.lanes.get_mut(index)
        {
            *lane = self.current;
            barrier.waited = true;
        }
    }

    /// All lanes have ended; how many there were. If all did so in the turn in which the barrier began, nobody waited.
    pub(crate) fn join(&mut self, id: u32) -> usize {
        let Some(barrier) = self.barriers.remove(&id) else {
            return 0;
        };
        if barrier.waited {
            self.current = key::join(&barrier.lanes);
        }
        barrier.lanes.len()
    }

    /// The first lane has decided; how many there were. What the others come to no longer counts.
    pub(crate) fn won(&mut self, id: u32, index: u32) -> usize {
        let Some(barrier) = self.barriers.remove(&id) else {
            return 0;
        };
        if barrier.opened_in != self.turn {
            self.current = key::race(barrier.before, index, self.current);
        }
        barrier.lanes.len()
    }

    /// A nested workflow begins, in the turn of the settlement that gave its source: the version of that call tells
    /// equal calls apart, so there is one occurrence.
    pub(crate) fn enter(&mut self, name: &str) {
        self.current = key::nested(self.current, name, 0);
    }

    /// A nested workflow that could not be followed gives its value to one that is.
    pub(crate) fn leave_rolling(&mut self) {
        self.current = key::mix(self.current, self.rolling);
    }
}
