//! Rewind (`docs/replay.md`): which calls of a new generation the one before answers, and in which order. Pure.
//!
//! ```text
//! issue(call) ─┬─ hit ──► hits ──recalled──► take_next(): by position in the base ──► CallReused
//!              └─ live                              (live answers wait until no hit is left)
//! ```

mod base;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bellwether_journal::error::StoreError;
use bellwether_journal::id::{CallNumber, Position, RunId, TimerNumber};
use bellwether_journal::key::Digest;
use bellwether_journal::read;
use bellwether_journal::record::{CallKind, Millis, Policy, Record};
use bellwether_journal::state::GenerationState;
use bellwether_journal::store::Store;

pub use self::base::{Base, BaseAnswer, BaseCall, BaseEnd, Recalled, recall};

/// Which calls of the base may answer.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How a call is known again.
    pub policy: Policy,
    /// Whether failed and cancelled calls are reused, too.
    pub keep_failed: bool,
    /// Calls that run again though nothing they depend on has changed.
    pub dirty: HashSet<CallNumber>,
}

impl Rules {
    /// As the generation's record has them.
    #[must_use]
    pub fn of(generation: &GenerationState) -> Self {
        Self {
            policy: generation.policy,
            keep_failed: generation.keep_failed,
            dirty: generation.dirty.iter().copied().collect(),
        }
    }

    /// Whether the base's call may answer one that is the same.
    #[must_use]
    pub fn allow(&self, number: CallNumber, call: &BaseCall) -> bool {
        let may = match call.end {
            BaseEnd::Completed | BaseEnd::ByPerson => true,
            BaseEnd::Failed | BaseEnd::Cancelled => self.keep_failed,
            BaseEnd::Refused | BaseEnd::Unfinished => false,
        };
        may && call.answer.is_some() && !self.dirty.contains(&number)
    }
}

/// A generation on its way through its base.
#[derive(Debug)]
pub struct Rewind {
    base: Arc<Base>,
    rules: Rules,
    /// Answers and firings of the base that may still be reused.
    left: usize,
    taken: HashSet<CallNumber>,
    /// Firings that no timer has asked for.
    timers_left: BTreeSet<Position>,
    /// Issued and not delivered, by position in the base.
    hits: BTreeMap<Position, Hit>,
    /// Where a call's hit is.
    places: HashMap<CallNumber, Position>,
    timer_places: HashMap<TimerNumber, Position>,
    /// Of each turn of the base, the first reusable answer to a call that it issued: while that turn has not been seen
    /// again, nothing behind this position may be delivered.
    first_of_turn: HashMap<u64, Position>,
    /// `prefix`: no call has differed so far.
    is_prefix: bool,
    /// `reuse-all`: the base's calls by content, and how many of each this generation has issued.
    by_content: HashMap<Digest, Vec<CallNumber>>,
    occurrences: HashMap<Digest, usize>,
    /// Calls that run and have no answer yet.
    live: usize,
    /// Whether a merge that was done may be done again.
    repeats_merges: bool,
    /// Calls of the base with an attempt at work that no call of this generation has yet.
    under_way: HashSet<CallNumber>,
}

/// An answer of the base that a call or timer of this generation gets.
#[derive(Debug)]
enum Hit {
    Call {
        call: CallNumber,
        from: CallNumber,
        /// `None` until it has been read.
        recalled: Option<Box<Recalled>>,
    },
    Timer {
        timer: TimerNumber,
        key: Digest,
    },
}

/// Where the answer of a hit is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The base's run.
    pub run: RunId,
    /// The base's call.
    pub from: CallNumber,
    /// Its answer.
    pub answer: Position,
    /// The changes that belong to it.
    pub changes: Option<Position>,
    /// The hash of its value.
    pub value: Option<Digest>,
}

/// What the base has for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issued {
    /// The answer.
    Answered(Place),
    /// An attempt that is at work on this call of its own.
    UnderWay(CallNumber),
    /// Nothing: the call is to be carried out.
    Live,
}

/// What the script gets next.
#[derive(Debug)]
pub enum Next {
    /// These answers of the base, in this order.
    Reuse(Vec<Reuse>),
    /// A firing that does not count, since a call runs: the timer is to run for its full time.
    Rearm(TimerNumber),
    /// An answer that is still being read.
    Wait,
    /// None of the base: live ones may come.
    Nothing,
}

/// An answer of the base, ready for the script.
#[derive(Debug)]
pub enum Reuse {
    /// To a call.
    Call {
        /// The call.
        call: CallNumber,
        /// The base's call.
        from: CallNumber,
        /// What is known of its answer.
        answer: BaseAnswer,
        /// The answer.
        recalled: Box<Recalled>,
    },
    /// A timer's firing.
    Timer {
        /// The timer.
        timer: TimerNumber,
        /// What it is known by.
        key: Digest,
        /// The base's timer.
        from: TimerNumber,
        /// When that fired.
        time: Millis,
    },
}

impl Rewind {
    /// A generation that has issued nothing yet.
    #[must_use]
    pub fn new(base: Arc<Base>, rules: Rules) -> Self {
        let mut first_of_turn: HashMap<u64, Position> = HashMap::new();
        let mut by_content: HashMap<Digest, Vec<CallNumber>> = HashMap::new();
        let mut left = base.timers.len();
        for (number, call) in (0..).map(CallNumber).zip(&base.calls) {
            if rules.policy == Policy::ReuseAll {
                by_content.entry(call.content).or_default().push(number);
            }
            if let Some(answer) = call.answer.filter(|_| rules.allow(number, call)) {
                left += 1;
                let first = first_of_turn.entry(call.turn).or_insert(answer.at);
                *first = (*first).min(answer.at);
            }
        }
        let timers_left = base.timers.values().map(|timer| timer.at).collect();
        Self {
            base,
            rules,
            left,
            taken: HashSet::new(),
            timers_left,
            hits: BTreeMap::new(),
            places: HashMap::new(),
            timer_places: HashMap::new(),
            first_of_turn,
            is_prefix: true,
            by_content,
            occurrences: HashMap::new(),
            live: 0,
            repeats_merges: false,
            under_way: HashSet::new(),
        }
    }

    /// The same, with merges done again that were done.
    #[must_use]
    pub fn repeating_merges(self, repeats_merges: bool) -> Self {
        Self {
            repeats_merges,
            ..self
        }
    }

    /// A merge of the base that was done and answers no call of this generation: another one might do it again. `None` when
    /// there is none, or that is allowed.
    #[must_use]
    pub fn merged_before(&self) -> Option<CallNumber> {
        if self.repeats_merges {
            return None;
        }
        let mut numbered = (0..).map(CallNumber).zip(&self.base.calls);
        let done = numbered.find(|(number, call)| {
            call.kind == CallKind::Merge
                && call.end == BaseEnd::Completed
                && !self.taken.contains(number)
        });
        done.map(|(number, _)| number)
    }

    /// Where the rewind of a run's newest generation stands, by its records. `None` when it is no rewind.
    ///
    /// # Errors
    /// [`StoreError`]: the records of the generation or of its base cannot be read.
    pub fn load(
        store: &dyn Store,
        run: RunId,
        generation: &GenerationState,
    ) -> Result<Option<Self>, StoreError> {
        let Some(base) = generation.base else {
            return Ok(None);
        };
        let base = Base::read(store, base.run, base.generation, base.cut)?;
        let mut rewind = Self::new(Arc::new(base), Rules::of(generation));
        for entry in read::entries(store, run, generation.opened.next()) {
            rewind.follow(&entry?.record);
        }
        Ok(Some(rewind))
    }

    /// A record of this generation that was written before.
    fn follow(&mut self, record: &Record) {
        match record {
            Record::CallScheduled(call) => {
                self.issue(call.call, call.kind, call.content, call.key);
            }
            Record::CallReused(reused) => self.pass(reused.call),
            // What was begun is no hit, whatever it looked like.
            Record::AttemptStarted(started) => {
                self.miss(started.call);
            }
            Record::AttemptAdopted(adopted) => {
                self.miss(adopted.call);
                // It was the same call, which only whoever was there could see.
                self.is_prefix = true;
            }
            Record::CallSettled(settled) => {
                self.miss(settled.call);
                self.settled();
            }
            Record::CallRefused(refused) => {
                self.miss(refused.call);
                self.settled();
            }
            Record::TimerElapsed(elapsed) => {
                if let Some(fired) = self.base.timers.get(&elapsed.key)
                    && self.timers_left.remove(&fired.at)
                {
                    self.left = self.left.saturating_sub(1);
                }
            }
            _ => {}
        }
    }

    /// The base.
    #[must_use]
    pub const fn base(&self) -> &Arc<Base> {
        &self.base
    }

    /// The rules.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The script asks for this: what the base has for it. Calls come in their order.
    pub fn issue(
        &mut self,
        call: CallNumber,
        kind: CallKind,
        content: Digest,
        key: Digest,
    ) -> Issued {
        let found = self.find(call, content, key);
        if let Some(from) = found
            && kind == CallKind::Agent
            && !self.rules.dirty.contains(&from)
            && self.under_way.remove(&from)
        {
            self.live += 1;
            return Issued::UnderWay(from);
        }
        let place = found.and_then(|from| {
            let base = self.base.call(from)?;
            let answer = base.answer?;
            (base.kind == kind && !self.taken.contains(&from) && self.rules.allow(from, base))
                .then_some(Place {
                    run: self.base.run,
                    from,
                    answer: answer.at,
                    changes: base.changes,
                    value: answer.value,
                })
        });
        let Some(place) = place else {
            self.live += 1;
            return Issued::Live;
        };
        self.take(place.from);
        self.places.insert(call, place.answer);
        let hit = Hit::Call {
            call,
            from: place.from,
            recalled: None,
        };
        self.hits.insert(place.answer, hit);
        Issued::Answered(place)
    }

    /// These calls of the base have an attempt at work that goes on.
    pub fn leave_under_way(&mut self, calls: impl IntoIterator<Item = CallNumber>) {
        self.under_way = calls.into_iter().collect();
    }

    /// The attempt that was at work on this call of the base is not any more.
    pub fn give_up(&mut self, call: CallNumber) {
        self.under_way.remove(&call);
    }

    /// The base's call that is the same as this one, by the policy.
    fn find(&mut self, call: CallNumber, content: Digest, key: Digest) -> Option<CallNumber> {
        match self.rules.policy {
            Policy::Causal => self.base.by_key(key),
            Policy::Prefix => {
                let same = self.base.call(call).is_some_and(|base| {
                    base.content == content
                        && (self.rules.allow(call, base) || self.under_way.contains(&call))
                });
                self.is_prefix &= same;
                self.is_prefix.then_some(call)
            }
            Policy::ReuseAll => {
                let occurrence = self.occurrences.entry(content).or_default();
                let found = self.by_content.get(&content)?.get(*occurrence).copied();
                *occurrence += 1;
                found
            }
        }
    }

    fn take(&mut self, from: CallNumber) {
        if self.taken.insert(from) {
            self.left = self.left.saturating_sub(1);
        }
    }

    /// A timer is armed: whether the base has its firing.
    pub fn arm(&mut self, timer: TimerNumber, key: Digest) -> bool {
        let Some(fired) = self.base.timers.get(&key) else {
            return false;
        };
        if !self.timers_left.remove(&fired.at) {
            return false;
        }
        self.left = self.left.saturating_sub(1);
        self.timer_places.insert(timer, fired.at);
        self.hits.insert(fired.at, Hit::Timer { timer, key });
        true
    }

    /// A timer is wanted no longer.
    pub fn disarm(&mut self, timer: TimerNumber) {
        if let Some(at) = self.timer_places.remove(&timer) {
            self.hits.remove(&at);
        }
    }

    /// Whether a timer waits for its firing of the base.
    #[must_use]
    pub fn has_timer(&self, timer: TimerNumber) -> bool {
        self.timer_places.contains_key(&timer)
    }

    /// Where a call's answer of the base is, while it waits for it.
    #[must_use]
    pub fn place_of(&self, call: CallNumber) -> Option<Place> {
        let Some(Hit::Call { from, .. }) = self.hits.get(self.places.get(&call)?) else {
            return None;
        };
        let base = self.base.call(*from)?;
        let answer = base.answer?;
        Some(Place {
            run: self.base.run,
            from: *from,
            answer: answer.at,
            changes: base.changes,
            value: answer.value,
        })
    }

    /// A hit's answer has been read.
    pub fn recalled(&mut self, call: CallNumber, answer: Recalled) {
        if let Some(at) = self.places.get(&call)
            && let Some(Hit::Call { recalled, .. }) = self.hits.get_mut(at)
        {
            *recalled = Some(Box::new(answer));
        }
    }

    /// What looked like a hit is none: the call runs. `false` when it was none.
    pub fn miss(&mut self, call: CallNumber) -> bool {
        let was_hit = self.pass_by(call);
        self.live += usize::from(was_hit);
        was_hit
    }

    /// A call that ran has its answer.
    pub fn settled(&mut self) {
        self.live = self.live.saturating_sub(1);
    }

    fn pass(&mut self, call: CallNumber) {
        self.pass_by(call);
    }

    fn pass_by(&mut self, call: CallNumber) -> bool {
        let place = self.places.remove(&call);
        place.is_some_and(|at| self.hits.remove(&at).is_some())
    }

    /// Whether live answers must wait: the base may have something that comes first.
    #[must_use]
    pub fn comes_first(&self, script_is_at_work: bool) -> bool {
        !self.hits.is_empty() || (script_is_at_work && self.left > 0)
    }

    /// How many calls run and have no answer.
    #[must_use]
    pub const fn live(&self) -> usize {
        self.live
    }

    /// What the script, which has nothing to do, gets next. All that is given in one go would have come in this order one
    /// by one: none of the turns between can issue what comes before the rest.
    pub fn take_next(&mut self) -> Next {
        let mut reuses = Vec::new();
        let mut bound = Position(u64::MAX);
        while let Some(entry) = self.hits.first_entry()
            && *entry.key() < bound
        {
            let turn = match entry.get() {
                Hit::Timer { timer, .. } if self.live > 0 => {
                    if !reuses.is_empty() {
                        break;
                    }
                    let timer = *timer;
                    entry.remove();
                    self.timer_places.remove(&timer);
                    return Next::Rearm(timer);
                }
                Hit::Call { recalled: None, .. } => {
                    if reuses.is_empty() {
                        return Next::Wait;
                    }
                    break;
                }
                Hit::Call { .. } | Hit::Timer { .. } => match entry.remove() {
                    Hit::Timer { timer, key } => {
                        self.timer_places.remove(&timer);
                        let Some(fired) = self.base.timers.get(&key) else {
                            continue;
                        };
                        reuses.push(Reuse::Timer {
                            timer,
                            key,
                            from: fired.timer,
                            time: fired.time,
                        });
                        fired.turn
                    }
                    Hit::Call {
                        call,
                        from,
                        recalled,
                    } => {
                        self.places.remove(&call);
                        let answer = self.base.call(from).and_then(|base| base.answer);
                        let (Some(answer), Some(recalled)) = (answer, recalled) else {
                            continue;
                        };
                        reuses.push(Reuse::Call {
                            call,
                            from,
                            answer,
                            recalled,
                        });
                        answer.turn
                    }
                },
            };
            if let Some(first) = self.first_of_turn.get(&turn) {
                bound = bound.min(*first);
            }
            // Which turn armed a timer is not recorded.
            if let Some(first) = self.timers_left.first() {
                bound = bound.min(*first);
            }
        }
        if reuses.is_empty() {
            Next::Nothing
        } else {
            Next::Reuse(reuses)
        }
    }
}
