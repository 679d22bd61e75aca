//! Attempts that outlive their generation (`docs/replay.md`, "Restart of a finished agent"): when a live run is rewound, those
//! that are at work go on, and a call of the new generation that is the same as theirs gets their end.
//!
//! ```text
//! at work ──leave──► waiting ─┬─ the same call is made ──► its attempt (`AttemptAdopted`), also when it has ended meanwhile
//!                             └─ the script waits for nothing but calls that run ──► disowned: cancelled, its end is dropped
//! ```

use std::collections::{BTreeMap, HashMap};

use bellwether_journal::id::{Attempt, CallNumber, FencingToken};
use bellwether_journal::key::{self, Digest};
use bellwether_journal::record::{AttemptAdopted, CallKind, Millis, Record};
use bellwether_journal::state::{CallState, CallStatus, RunState};
use bellwether_journal::text::Text;

use super::budget::Allowance;
use super::machine::{Machine, Permits};
use super::orders::ToEnd;
use super::output::{Action, Output};
use crate::pool::{End, Kept};

/// An attempt that is at work when its generation ends.
#[derive(Clone, Debug)]
pub struct UnderWay {
    /// What the agents' pool knows it by.
    token: FencingToken,
    /// Its number.
    attempt: Attempt,
    started_at: Millis,
    idempotency_key: Digest,
    notes: Vec<Text>,
    /// A person wants it to end.
    to_end: Option<ToEnd>,
}

/// What a generation leaves at work.
#[derive(Debug, Default)]
pub struct Left {
    /// Attempts, by their call.
    under_way: BTreeMap<CallNumber, UnderWay>,
    /// Attempts that nobody wants any more and that have not ended.
    disowned: Vec<FencingToken>,
}

/// Attempts of the base, and of this generation those that the pool knows by a name of the base.
#[derive(Debug, Default)]
pub(super) struct Adoption {
    /// Those that no call has asked for yet, by their call in the base.
    waiting: BTreeMap<CallNumber, UnderWay>,
    /// What became of those meanwhile.
    ended: HashMap<CallNumber, (End, Vec<Kept>)>,
    /// Ends that came before their calls, for calls that are made by now.
    due: Vec<(CallNumber, End, Vec<Kept>)>,
    /// Whose each attempt is that the pool knows by a name of the base.
    whose: HashMap<FencingToken, Whose>,
    /// The same the other way, for calls of this generation.
    names: HashMap<CallNumber, FencingToken>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// It waits for a call that is the same as this one of the base.
    Base(CallNumber),
    /// This generation's call has it.
    Own(CallNumber),
    /// Nobody wants it.
    Nobody,
}

/// What to do with the word of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// It is about this attempt.
    Now(FencingToken),
    /// It may be about a call that is still to come.
    Later,
    /// Nobody wants to hear it.
    Never,
}

impl Left {
    /// Which calls have an attempt at work, as the run's records say.
    #[must_use]
    pub fn recorded(state: &RunState, token: impl Fn(CallNumber, Attempt) -> FencingToken) -> Self {
        let running = state
            .unsettled()
            .filter(|(_, call)| call.kind == CallKind::Agent && call.status == CallStatus::Running);
        let under_way = running.map(|(number, call)| {
            let token = token(number, call.attempt());
            (number, UnderWay::of(state, number, token, None))
        });
        Self {
            under_way: under_way.collect(),
            disowned: Vec::new(),
        }
    }

    /// The calls of the base whose attempts go on.
    pub fn calls(&self) -> impl Iterator<Item = CallNumber> {
        self.under_way.keys().copied()
    }
}

impl UnderWay {
    fn of(
        state: &RunState,
        number: CallNumber,
        token: FencingToken,
        to_end: Option<ToEnd>,
    ) -> Self {
        let call = state.call(number);
        let notes = state.notes.get(&number).map_or(&[][..], Vec::as_slice);
        Self {
            token,
            attempt: call.map_or(Attempt(1), CallState::attempt),
            started_at: call.and_then(|call| call.started_at).unwrap_or_default(),
            idempotency_key: idempotency_key(state, number),
            notes: notes.iter().map(|(_, note)| note.clone()).collect(),
            to_end,
        }
    }
}

/// By what a backend knows a call's work.
pub(super) fn idempotency_key(state: &RunState, number: CallNumber) -> Digest {
    let generation = state.generation.as_ref().map(|open| open.number);
    let key = state.call(number).map(|call| call.key).unwrap_or_default();
    let adopted = state.adopted.get(&number).copied();
    adopted.unwrap_or_else(|| key::idempotency(state.id, generation.unwrap_or_default(), key))
}

impl Adoption {
    /// How many attempts are at work that are not this generation's.
    pub(super) fn alive(&self) -> usize {
        self.whose.len() - self.names.len()
    }

    /// Whether an attempt waits for its call.
    fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What the pool knows a call's attempt by, when that is not its own name.
    pub(super) fn name(&self, call: CallNumber) -> Option<FencingToken> {
        self.names.get(&call).copied()
    }

    /// A call's attempt has ended.
    pub(super) fn forget(&mut self, call: CallNumber) {
        if let Some(name) = self.names.remove(&call) {
            self.whose.remove(&name);
        }
    }
}

impl Machine {
    /// Whether the run stands so that it can be rewound without being stopped: the script waits, nothing is on its way to it,
    /// and what is at work are agents.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.is_live() && self.waits_for_live_calls() && !self.is_at_work_on(CallKind::Merge)
    }

    /// What is at work, to go on in another generation. This machine is not asked anything any more.
    #[must_use]
    pub fn leave(&mut self) -> Left {
        let mut left = Left::default();
        for call in std::mem::take(&mut self.running) {
            let attempt = self.state.call(call).map_or(Attempt(0), CallState::attempt);
            let own = self.token(call, attempt);
            let token = self.adoption.name(call).unwrap_or(own);
            let to_end = self.to_end.get(&call).copied();
            let under_way = UnderWay::of(&self.state, call, token, to_end);
            left.under_way.insert(call, under_way);
        }
        let foreign = self.adoption.whose.iter();
        let foreign = foreign.filter(|(_, whose)| !matches!(whose, Whose::Own(_)));
        left.disowned = foreign.map(|(token, _)| *token).collect();
        left
    }

    /// The same machine, for a generation that takes up what the one before left at work.
    #[must_use]
    pub fn with_left(mut self, left: Left) -> Self {
        let base = left.under_way.iter();
        let base = base.map(|(call, under_way)| (under_way.token, Whose::Base(*call)));
        let nobody = left.disowned.iter().map(|token| (*token, Whose::Nobody));
        self.adoption.whose = base.chain(nobody).collect();
        if let Some(rewind) = &mut self.rewind {
            rewind.leave_under_way(left.under_way.keys().copied());
        }
        self.adoption.waiting = left.under_way;
        self
    }

    /// A call is made that an attempt of the base is at work on, or was a moment ago.
    pub(super) fn adopt(
        &mut self,
        call: CallNumber,
        from: CallNumber,
        now: Millis,
        out: &mut Output,
    ) {
        let Some(under_way) = self.adoption.waiting.remove(&from) else {
            return;
        };
        let UnderWay {
            token,
            attempt,
            started_at,
            idempotency_key,
            notes,
            to_end,
        } = under_way;
        let adopted = AttemptAdopted {
            call,
            attempt,
            generation: token.generation,
            from: token.call,
            started_at,
            idempotency_key,
            notes,
        };
        if !self.append(Record::AttemptAdopted(Box::new(adopted)), now, out) {
            return;
        }
        self.running.insert(call);
        self.reserve(call, Allowance::default());
        self.adoption.whose.insert(token, Whose::Own(call));
        self.adoption.names.insert(call, token);
        if let Some(how) = to_end {
            self.to_end.insert(call, how);
        }
        out.act(self.state.next, Action::Adopted(token));
        if let Some((end, kept)) = self.adoption.ended.remove(&from) {
            self.adoption.due.push((call, end, kept));
        }
    }

    /// What the word of an attempt is about.
    #[must_use]
    pub fn hear(&self, token: FencingToken) -> Hearing {
        match self.adoption.whose.get(&token) {
            None => Hearing::Now(token),
            Some(Whose::Own(call)) => {
                let attempt = self.state.call(*call).map(CallState::attempt);
                Hearing::Now(self.token(*call, attempt.unwrap_or_default()))
            }
            Some(Whose::Base(_)) if self.wants_script() => Hearing::Later,
            Some(Whose::Base(_) | Whose::Nobody) => Hearing::Never,
        }
    }

    /// An attempt has ended, and this is what it changed: of this generation, or of one before.
    pub fn attempt_ended(
        &mut self,
        token: FencingToken,
        end: End,
        mut kept: Vec<Kept>,
        now: Millis,
        permits: &mut dyn Permits,
        out: &mut Output,
    ) {
        match self.hear(token) {
            Hearing::Now(own) => {
                for changes in &mut kept {
                    changes.record.call = own.call;
                }
                self.changed(own, kept, now, out);
                self.ended(own, end, now, permits, out);
            }
            // Its permit stays with it until it is known whose it is.
            Hearing::Later => {
                if let Some(Whose::Base(from)) = self.adoption.whose.get(&token) {
                    self.adoption.ended.insert(*from, (end, kept));
                }
            }
            Hearing::Never => {
                self.dropped(token, permits);
                self.start_waiting(now, permits, out);
                self.settle_down(now, out);
            }
        }
    }

    fn dropped(&mut self, token: FencingToken, permits: &mut dyn Permits) {
        if let Some(Whose::Base(from)) = self.adoption.whose.remove(&token) {
            self.adoption.waiting.remove(&from);
            self.gives_up(from);
        }
        permits.give_back();
    }

    /// No attempt of the base is at work on this any more: a call that is the same begins one of its own.
    fn gives_up(&mut self, from: CallNumber) {
        if let Some(rewind) = &mut self.rewind {
            rewind.give_up(from);
        }
    }

    /// Ends that came before their calls are those calls' ends now.
    pub(super) fn end_adopted(&mut self, now: Millis, permits: &mut dyn Permits, out: &mut Output) {
        for (call, end, mut kept) in std::mem::take(&mut self.adoption.due) {
            let attempt = self.state.call(call).map(CallState::attempt);
            let token = self.token(call, attempt.unwrap_or_default());
            for changes in &mut kept {
                changes.record.call = call;
            }
            self.changed(token, kept, now, out);
            self.ended(token, end, now, permits, out);
        }
    }

    /// When the script waits for nothing but calls that run, it has made all calls that can be the same as those of the base:
    /// whatever is still at work for none of them is to end. To be told after each decision.
    pub fn disown_rest(&mut self, now: Millis, permits: &mut dyn Permits, out: &mut Output) {
        if !self.adoption.is_waiting() || (self.wants_script() && !self.waits_for_live_calls()) {
            return;
        }
        for (from, under_way) in std::mem::take(&mut self.adoption.waiting) {
            self.gives_up(from);
            if self.adoption.ended.remove(&from).is_some() {
                self.adoption.whose.remove(&under_way.token);
                permits.give_back();
            } else {
                self.adoption.whose.insert(under_way.token, Whose::Nobody);
                out.act(self.state.next, Action::Disowned(under_way.token));
            }
        }
        self.start_waiting(now, permits, out);
        self.settle_down(now, out);
    }

    /// Whether nothing is on its way to the script but what calls that run will answer.
    fn waits_for_live_calls(&self) -> bool {
        self.owed.is_empty()
            && self.backlog.is_empty()
            && self.loading.is_empty()
            && self.reading.is_empty()
            && self.held.is_empty()
            && !self.base_comes_first()
    }

    /// Whether an attempt of such a call is alive.
    #[must_use]
    pub fn is_at_work_on(&self, kind: CallKind) -> bool {
        self.running.iter().any(|call| self.kind_of(*call) == kind)
    }

    /// The agents' pool is gone, and all attempts with it.
    pub fn pool_lost(
        &mut self,
        why: &str,
        now: Millis,
        permits: &mut dyn Permits,
        out: &mut Output,
    ) {
        let nobodys: Vec<FencingToken> = self
            .adoption
            .whose
            .iter()
            .filter(|(_, whose)| !matches!(whose, Whose::Own(_)))
            .map(|(token, _)| *token)
            .collect();
        for token in nobodys {
            self.dropped(token, permits);
        }
        self.adoption.ended.clear();
        let lost = End::Lost(format!("the agent pool failed: {why}"));
        for token in self.running_tokens() {
            self.ended(token, lost.clone(), now, permits, out);
        }
        // Those of the base may have been the last.
        self.start_waiting(now, permits, out);
        self.settle_down(now, out);
    }
}
