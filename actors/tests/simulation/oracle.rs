//! What must hold, whatever happens: a second, simpler reading of a run's records beside the product's own, which shares no
//! code with it.

use std::collections::HashSet;
use std::sync::Arc;

use bellwether_journal::codec::Entry;
use bellwether_journal::id::{CallNumber, Generation, Position, RunId, TimerNumber};
use bellwether_journal::key::{self, Digest};
use bellwether_journal::record::{
    CallKind, CallReused, CallScheduled, CallSettled, Cancellation, Order, Outcome, Policy, Record,
    Status,
};
use bellwether_journal::text::Text;
use bellwether_scripts::{Answer, Nothing, Settlement, Target};

use crate::script::read_label;

/// What a check says: nothing, or what does not hold.
pub(crate) type Checked = Result<(), String>;

/// How a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    Waiting,
    Running,
    Backoff,
    Done,
}

/// A call, as its records say.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    pub(crate) kind: CallKind,
    pub(crate) key: Digest,
    content: Digest,
    pub(crate) stand: Stand,
    pub(crate) attempts: u32,
    ancestors: u128,
    is_pure: bool,
    pub(crate) outcome: Option<Outcome>,
    version: Option<Digest>,
    reused_from: Option<CallNumber>,
    /// The attempt was started for this call of another generation.
    pub(crate) adopted: Option<(Generation, CallNumber)>,
}

/// What the script must have been told by a record.
#[derive(Clone, Debug)]
struct Heard {
    at: Position,
    target: Target,
    answer: Option<Outcome>,
}

/// A run's newest generation, as its records say.
#[derive(Clone)]
pub(crate) struct Facts {
    run: RunId,
    pub(crate) next: Position,
    pub(crate) status: Status,
    pub(crate) generation: Generation,
    pub(crate) calls: Vec<Fact>,
    heard: Vec<Heard>,
    base: Option<Arc<Vec<Fact>>>,
    policy: Policy,
    keep_failed: bool,
    dirty: Vec<CallNumber>,
    reused: HashSet<CallNumber>,
    keys: HashSet<Digest>,
    fired: HashSet<TimerNumber>,
    shown: HashSet<(u64, u32)>,
    was_recovered: bool,
    /// Calls that a person wanted to end.
    ordered: HashSet<CallNumber>,
}

impl Facts {
    pub(crate) fn new(run: RunId) -> Self {
        Self {
            run,
            next: Position(0),
            status: Status::Queued,
            generation: Generation(0),
            calls: Vec::new(),
            heard: Vec::new(),
            base: None,
            policy: Policy::Causal,
            keep_failed: false,
            dirty: Vec::new(),
            reused: HashSet::new(),
            keys: HashSet::new(),
            fired: HashSet::new(),
            shown: HashSet::new(),
            was_recovered: false,
            ordered: HashSet::new(),
        }
    }

    pub(crate) fn call(&self, number: CallNumber) -> Result<&Fact, String> {
        let call = self.calls.get(number.0 as usize);
        call.ok_or_else(|| format!("there is no call a-{number}"))
    }

    /// How many answers stand before a position.
    pub(crate) fn answers_before(&self, position: Position) -> usize {
        self.heard
            .iter()
            .filter(|heard| heard.at < position)
            .count()
    }

    /// How many answers there are.
    pub(crate) fn answers(&self) -> usize {
        self.heard.len()
    }

    /// One record further.
    pub(crate) fn apply(&mut self, entry: &Entry) -> Checked {
        ensure(entry.position == self.next, || {
            format!("a record at {}, not {}", entry.position, self.next)
        })?;
        self.next = entry.position.next();
        let was_recovered = std::mem::replace(&mut self.was_recovered, false);
        match &entry.record {
            Record::GenerationOpened(opened) => self.generation(opened.number, None),
            Record::GenerationRewound(rewound) => {
                let base = std::mem::take(&mut self.calls);
                self.generation(rewound.opened.number, Some(Arc::new(base)));
                self.policy = rewound.opened.policy;
                self.keep_failed = rewound.keep_failed;
                self.dirty.clone_from(&rewound.opened.dirty);
            }
            Record::CallScheduled(call) => self.scheduled(call)?,
            Record::AttemptStarted(started) => {
                let from = [Stand::Waiting, Stand::Backoff];
                let call = self.moves(started.call, &from, Stand::Running)?;
                call.attempts += 1;
                let attempts = call.attempts;
                ensure(started.attempt.0 == attempts, || {
                    format!("attempt {} where {attempts} comes next", started.attempt)
                })?;
            }
            Record::AttemptAdopted(adopted) => {
                let call = self.moves(adopted.call, &[Stand::Waiting], Stand::Running)?;
                ensure(call.attempts == 0, || {
                    format!("a-{} is begun and adopts", adopted.call)
                })?;
                call.attempts = adopted.attempt.0;
                call.adopted = Some((adopted.generation, adopted.from));
            }
            Record::AttemptFailed(failed) => {
                let call = self.moves(failed.call, &[Stand::Running], Stand::Backoff)?;
                let attempts = call.attempts;
                ensure(failed.attempt.0 == attempts, || {
                    format!("attempt {} failed while {attempts} ran", failed.attempt)
                })?;
            }
            Record::CallSettled(settled) => self.settled(settled, entry.position)?,
            Record::CallReused(reused) => self.reused(reused, entry.position)?,
            Record::CallRefused(refused) => {
                let call = self.moves(refused.call, &[Stand::Waiting], Stand::Done)?;
                ensure(call.attempts == 0, || {
                    format!("a-{} is refused after it had begun", refused.call)
                })?;
                self.hears(entry.position, Target::Call(refused.call), None);
            }
            Record::TimerElapsed(elapsed) => {
                let timer = elapsed.timer;
                ensure(self.fired.insert(timer), || {
                    format!("timer {timer} fired twice")
                })?;
                self.hears(entry.position, Target::Timer(timer), None);
            }
            Record::Logged(logged) => self.shows(logged.turn, logged.ordinal)?,
            Record::PhaseEntered(phase) => self.shows(phase.turn, phase.ordinal)?,
            Record::StatusChanged(changed) => {
                let (from, to) = (self.status, changed.status);
                let stopped_by_crash = was_recovered && to == Status::Stopped;
                let goes = stopped_by_crash || may_become(from, to, was_recovered);
                ensure(goes, || {
                    format!("the run goes from {} to {}", from.name(), to.name())
                })?;
                self.status = to;
            }
            Record::Recovered(_) => {
                self.was_recovered = true;
                for call in &mut self.calls {
                    if call.stand == Stand::Running {
                        call.stand = Stand::Waiting;
                    }
                }
                if matches!(
                    self.status,
                    Status::Stopping | Status::Stopped | Status::Killed | Status::Failed
                ) {
                    self.status = Status::Running;
                }
            }
            Record::RunEnded(ended) => {
                let from = self.status;
                let is_live = !from.is_final()
                    && !matches!(from, Status::Stopping | Status::Stopped | Status::Killed);
                ensure(is_live, || format!("the run ends from {}", from.name()))?;
                self.status = ended.status;
            }
            Record::Ordered(ordered) => {
                if let Order::SkipAgent(call) | Order::StopAgent(call) = ordered.order {
                    self.ordered.insert(call);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn generation(&mut self, number: Generation, base: Option<Arc<Vec<Fact>>>) {
        *self = Self {
            next: self.next,
            generation: number,
            base,
            ..Self::new(self.run)
        };
    }

    fn scheduled(&mut self, call: &CallScheduled) -> Checked {
        let next = self.calls.len();
        ensure(call.call.0 as usize == next, || {
            format!("a-{} is asked for where a-{next} comes next", call.call)
        })?;
        ensure(self.keys.insert(call.key), || {
            format!("a-{} has the key of another call", call.call)
        })?;
        let label = call.label.as_deref().and_then(read_label);
        let (ancestors, is_pure) = label.ok_or("a label that the model did not write")?;
        self.calls.push(Fact {
            kind: call.kind,
            key: call.key,
            content: call.content,
            stand: Stand::Waiting,
            attempts: 0,
            ancestors,
            is_pure,
            outcome: None,
            version: None,
            reused_from: None,
            adopted: None,
        });
        Ok(())
    }

    /// A call goes on along the table of `CallState`.
    fn moves(
        &mut self,
        number: CallNumber,
        from: &[Stand],
        to: Stand,
    ) -> Result<&mut Fact, String> {
        let call = self
            .calls
            .get_mut(number.0 as usize)
            .ok_or_else(|| format!("there is no call a-{number}"))?;
        ensure(from.contains(&call.stand), || {
            format!("a-{number} goes from {:?} to {to:?}", call.stand)
        })?;
        call.stand = to;
        Ok(call)
    }

    fn settled(&mut self, settled: &CallSettled, at: Position) -> Checked {
        let (run, generation, number) = (self.run, self.generation, settled.call);
        let before = self.call(number)?.stand;
        let call = self.moves(
            number,
            &[Stand::Waiting, Stand::Running, Stand::Backoff],
            Stand::Done,
        )?;
        let has_value = matches!(settled.outcome, Outcome::Completed(_));
        if has_value && call.kind.has_attempts() {
            ensure(
                before == Stand::Running && settled.attempt.0 == call.attempts,
                || {
                    format!(
                        "a-{number} has a value of attempt {}, and is {before:?} at attempt {}",
                        settled.attempt, call.attempts
                    )
                },
            )?;
        }
        call.version = match (&settled.outcome, call.is_pure) {
            (Outcome::Completed(_), true) => None,
            (Outcome::Completed(_), false) => {
                Some(key::version(call.key, run, generation, settled.attempt))
            }
            _ => Some(key::failed_version(call.key)),
        };
        call.outcome = Some(settled.outcome.clone());
        self.hears(at, Target::Call(number), Some(settled.outcome.clone()));
        Ok(())
    }

    fn reused(&mut self, reused: &CallReused, at: Position) -> Checked {
        let (number, from) = (reused.call, reused.from);
        let base = self
            .base
            .clone()
            .ok_or("a generation without a base reuses")?;
        let of_base = base
            .get(from.0 as usize)
            .ok_or_else(|| format!("a-{from} of the base is reused, and is not there"))?;
        let says = |what: &str| format!("a-{number} reuses a-{from} of the base, {what}");
        ensure(self.reused.insert(from), || says("which was reused before"))?;
        ensure(!self.dirty.contains(&from), || {
            says("which is to run again")
        })?;
        ensure(self.allows(of_base), || {
            says("whose answer is none to reuse")
        })?;
        ensure(of_base.outcome.as_ref() == Some(&reused.outcome), || {
            says("with another answer")
        })?;
        ensure(
            of_base
                .version
                .is_none_or(|version| version == reused.version),
            || says("with another version"),
        )?;
        let is_causal = self.policy == Policy::Causal;
        let outdated = self.outdated(self.call(number)?.ancestors);
        let call = self.moves(number, &[Stand::Waiting], Stand::Done)?;
        ensure(call.attempts == 0, || says("though it had begun"))?;
        ensure(
            call.content == of_base.content && call.kind == of_base.kind,
            || says("which is another call"),
        )?;
        ensure(!is_causal || call.key == of_base.key, || {
            says("which has another key")
        })?;
        if let (true, Some(ancestor)) = (is_causal, outdated) {
            return Err(says(&format!(
                "though it waited for a-{ancestor}, which ran anew"
            )));
        }
        call.outcome = Some(reused.outcome.clone());
        call.version = Some(reused.version);
        call.reused_from = Some(from);
        self.hears(at, Target::Call(number), Some(reused.outcome.clone()));
        Ok(())
    }

    /// One of these calls whose answer is this generation's own: whatever waited for it is new, too.
    fn outdated(&self, ancestors: u128) -> Option<usize> {
        (0..self.calls.len().min(128)).find(|number| {
            let call = &self.calls[*number];
            let is_own = call.reused_from.is_none() && !call.is_pure;
            ancestors >> number & 1 == 1
                && is_own
                && matches!(call.outcome, Some(Outcome::Completed(_)))
        })
    }

    fn allows(&self, call: &Fact) -> bool {
        match &call.outcome {
            Some(
                Outcome::Completed(_) | Outcome::Skipped | Outcome::Cancelled(Cancellation::Person),
            ) => true,
            Some(Outcome::Failed(_) | Outcome::Cancelled(Cancellation::ScriptEnded)) => {
                self.keep_failed
            }
            None => false,
        }
    }

    /// The call of the base whose answer a call that is about to start should have had.
    pub(crate) fn missed(&self, call: &Fact) -> Option<usize> {
        let base = self
            .base
            .as_ref()
            .filter(|_| self.policy == Policy::Causal)?;
        let (number, _) = (0..).zip(base.iter()).find(|(_, known)| {
            known.key == call.key && known.kind == call.kind && self.allows(known)
        })?;
        let is_free =
            !self.dirty.contains(&CallNumber(number)) && !self.reused.contains(&CallNumber(number));
        is_free.then_some(number as usize)
    }

    /// A call whose answer the base has, and that nothing but the reading of it keeps from it: answers of this generation's own
    /// wait for it.
    pub(crate) fn awaits_base(&self) -> Option<usize> {
        (0..self.calls.len()).find(|number| {
            let call = &self.calls[*number];
            let is_new = call.stand == Stand::Waiting && call.attempts == 0;
            let is_agent = call.kind == CallKind::Agent;
            let is_left_alone = !self.ordered.contains(&CallNumber(*number as u32));
            is_new && is_agent && is_left_alone && self.missed(call).is_some()
        })
    }

    /// Whether a merge of the base was done and answers no call, nor can be about to.
    pub(crate) fn has_merged_before(&self) -> bool {
        self.base.as_ref().is_some_and(|base| {
            (0..).zip(base.iter()).any(|(number, call)| {
                let is_done = call.kind == CallKind::Merge
                    && matches!(call.outcome, Some(Outcome::Completed(_)));
                let mut open = self
                    .calls
                    .iter()
                    .filter(|open| open.stand == Stand::Waiting && open.attempts == 0);
                let is_awaited =
                    open.any(|open| open.kind == CallKind::Merge && open.content == call.content);
                is_done && !is_awaited && !self.reused.contains(&CallNumber(number))
            })
        })
    }

    fn hears(&mut self, at: Position, target: Target, answer: Option<Outcome>) {
        self.heard.push(Heard { at, target, answer });
    }

    fn shows(&mut self, turn: u64, ordinal: u32) -> Checked {
        ensure(self.shown.insert((turn, ordinal)), || {
            format!("line {ordinal} of turn {turn} is shown twice")
        })
    }

    /// What the script was told from the `from`-th on is what the journal has, in its order.
    pub(crate) fn was_told(&self, from: usize, told: &[Settlement]) -> Checked {
        for (index, told) in told.iter().enumerate().skip(from) {
            let heard = self.heard.get(index);
            let says = || {
                format!(
                    "the script was told {told:?} as the {index}th, and the journal has {heard:?}"
                )
            };
            let heard = heard.ok_or_else(says)?;
            let same = match (&heard.answer, &told.answer) {
                (Some(Outcome::Completed(text)), Answer::Value(value)) => is_text(text, value),
                (Some(Outcome::Failed(failure)), Answer::Nothing(Nothing::Failed { kind, .. })) => {
                    failure.kind == *kind
                }
                (Some(Outcome::Skipped), Answer::Nothing(Nothing::Skipped))
                | (Some(Outcome::Cancelled(_)), Answer::Nothing(Nothing::Cancelled))
                | (None, Answer::Refused { .. } | Answer::Fired) => true,
                _ => false,
            };
            ensure(same && heard.target == told.target, says)?;
        }
        Ok(())
    }
}

/// Whether a stored text is this one.
pub(crate) fn is_text(stored: &Text, text: &str) -> bool {
    match stored {
        Text::Inline(stored) => stored.as_ref() == text,
        Text::Payload(stored) | Text::Shared(stored) => {
            stored.hash == bellwether_journal::text::hash(text)
        }
    }
}

/// The table of a run's status.
fn may_become(from: Status, to: Status, was_recovered: bool) -> bool {
    match (from, to) {
        (
            Status::Queued | Status::Running | Status::Waiting,
            Status::Waiting | Status::Pausing | Status::Stopping,
        )
        | (Status::Queued | Status::Waiting | Status::Pausing | Status::Paused, Status::Running)
        | (Status::Pausing, Status::Paused | Status::Stopping)
        | (Status::Paused, Status::Stopping)
        | (Status::Stopping, Status::Stopped | Status::Killed) => true,
        (Status::Running, Status::Running) | (Status::Paused, Status::Paused) => was_recovered,
        _ => false,
    }
}

pub(crate) fn ensure(holds: bool, says: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(says()) }
}
