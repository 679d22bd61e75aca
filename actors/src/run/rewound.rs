//! The machine's rules for a generation that is rewound from another (`docs/replay.md`): answers of the base, in its order,
//! before those of its own.

use bellwether_journal::id::{Attempt, CallNumber, Position, TimerNumber};
use bellwether_journal::record::{CallKind, CallReused, Millis, Record, TimerArmed, TimerElapsed};
use bellwether_journal::text::{self, Packed};
use bellwether_journal::usage::UsageCounted;
use bellwether_scripts::{Answer, Target};

use super::machine::{Armed, Held, Machine, nothing};
use super::output::{Action, Output, Source};
use super::rewind::{Next, Recalled, Reuse};
use crate::pool::Kept;

impl Machine {
    /// Whether an answer of this generation's own must wait.
    pub(super) fn base_comes_first(&self) -> bool {
        let at_work = !self.owed.is_empty() || !self.backlog.is_empty();
        self.wants_script()
            && (!self.held.is_empty()
                || self
                    .rewind
                    .as_ref()
                    .is_some_and(|rewind| rewind.comes_first(at_work)))
    }

    /// Gives the script, when it has nothing to do, what the base answers; when that has nothing, what waits.
    pub(super) fn rewind_on(&mut self, now: Millis, out: &mut Output) {
        while self.rewind.is_some()
            && self.wants_script()
            && self.owed.is_empty()
            && self.backlog.is_empty()
        {
            let Some(rewind) = &mut self.rewind else {
                return;
            };
            match rewind.take_next() {
                Next::Reuse(reuses) => {
                    for reuse in reuses {
                        self.reuse(reuse, now, out);
                    }
                }
                Next::Rearm(timer) => {
                    if let Some(armed) = self.timers.remove(&timer) {
                        self.arm_anew(timer, armed, now, out);
                    }
                }
                Next::Wait => return,
                Next::Nothing => match self.held.pop_front() {
                    Some(held) => self.settle_now(held, now, out),
                    None => return,
                },
            }
        }
    }

    fn reuse(&mut self, reuse: Reuse, now: Millis, out: &mut Output) {
        let (record, target, answer, packed) = match reuse {
            Reuse::Timer {
                timer,
                key,
                from,
                time,
            } => {
                self.timers.remove(&timer);
                let elapsed = TimerElapsed {
                    timer,
                    key,
                    time,
                    from: Some(from),
                };
                let record = Record::TimerElapsed(elapsed);
                (record, Target::Timer(timer), Answer::Fired, None)
            }
            Reuse::Call {
                call,
                from,
                answer,
                recalled,
            } => {
                let Recalled {
                    outcome,
                    value,
                    changes,
                } = *recalled;
                if let Some(Kept { mut record, diff }) = changes {
                    record.call = call;
                    let position = self.state.next;
                    if self.append(Record::ChangesKept(Box::new(record)), now, out) {
                        out.attach(position, &diff);
                    }
                }
                let heard = match (&value, nothing(&outcome)) {
                    (Some(value), _) => Answer::Value(std::sync::Arc::clone(&value.text)),
                    (None, Some(nothing)) => Answer::Nothing(nothing),
                    (None, None) => return,
                };
                let base = self
                    .rewind
                    .as_ref()
                    .and_then(|rewind| rewind.base().call(from));
                let counted = base.and_then(|base| base.counted.as_deref().copied());
                let usage = base.map(|base| base.usage).unwrap_or_default();
                if let Some(counted) = counted {
                    let counted = UsageCounted {
                        call,
                        attempt: Attempt(0),
                        counted,
                    };
                    self.append(Record::UsageCounted(Box::new(counted)), now, out);
                }
                let reused = CallReused {
                    call,
                    from,
                    outcome,
                    usage,
                    attempts: answer.attempts,
                    time: answer.time,
                    version: answer.version,
                };
                let record = Record::CallReused(Box::new(reused));
                (record, Target::Call(call), heard, value)
            }
        };
        let held = Held {
            record,
            target,
            answer,
            packed,
        };
        self.tell(held, now, out);
    }

    /// An answer of the base has been read.
    pub fn recalled(&mut self, call: CallNumber, answer: Recalled, now: Millis, out: &mut Output) {
        if let Some(rewind) = &mut self.rewind {
            rewind.recalled(call, answer);
        }
        self.rewind_on(now, out);
    }

    /// Whether a workflow's script is still the one that the base has; that answers the call then.
    pub(super) fn is_as_in_base(&mut self, call: CallNumber, script: &Packed) -> bool {
        let Some(rewind) = &mut self.rewind else {
            return false;
        };
        let place = rewind.place_of(call);
        if place.is_none_or(|place| place.value != Some(text::hash(&script.text))) {
            return false;
        }
        let answer = Recalled {
            outcome: bellwether_journal::record::Outcome::Completed(script.stored.clone()),
            value: Some(script.clone()),
            changes: None,
        };
        rewind.recalled(call, answer);
        true
    }

    /// A call that waited for the base's answer when the engine went does so again. `false` when it does not.
    pub(super) fn takes_up_hit(
        &mut self,
        call: CallNumber,
        kind: CallKind,
        scheduled: Position,
        out: &mut Output,
    ) -> bool {
        let place = self
            .rewind
            .as_ref()
            .and_then(|rewind| rewind.place_of(call));
        let Some(place) = place else {
            return false;
        };
        if kind == CallKind::Workflow {
            self.loading.insert(call);
            out.act(
                self.state.next,
                Action::Load(call, Source::InJournal(scheduled)),
            );
        } else {
            out.act(self.state.next, Action::Recall(call, place));
        }
        true
    }

    /// What waits for the base is recorded, though the script does not get it any more.
    pub(super) fn record_held(&mut self, now: Millis, out: &mut Output) {
        for held in std::mem::take(&mut self.held) {
            self.settle_now(held, now, out);
        }
    }

    /// Whether a timer waits for its firing in the base.
    pub(super) fn waits_for_base(&self, timer: TimerNumber) -> bool {
        self.rewind
            .as_ref()
            .is_some_and(|rewind| rewind.has_timer(timer))
    }

    /// The script has armed a timer. In a rewind its firing in the base counts, if it comes to that while no call runs; else
    /// it runs for its full time, also when the turn that armed it is one of long ago.
    pub(super) fn timer_issued(
        &mut self,
        timer: TimerNumber,
        armed: Armed,
        now: Millis,
        out: &mut Output,
    ) {
        let found = !armed.is_recorded
            && self
                .rewind
                .as_mut()
                .is_some_and(|rewind| rewind.arm(timer, armed.key));
        let began = self
            .state
            .generation
            .as_ref()
            .map_or(0, |open| open.opened_at);
        let is_of_the_past = armed.at.saturating_sub(armed.wait) < began;
        if self.rewind.is_some() && !found && !armed.is_recorded && is_of_the_past {
            self.arm_anew(timer, armed, now, out);
        } else {
            self.arm(timer, armed, out);
        }
    }

    fn arm_anew(&mut self, timer: TimerNumber, armed: Armed, now: Millis, out: &mut Output) {
        let armed = Armed {
            at: now.saturating_add(armed.wait),
            is_recorded: true,
            ..armed
        };
        let record = TimerArmed {
            timer,
            at: armed.at,
        };
        self.append(Record::TimerArmed(record), now, out);
        self.arm(timer, armed, out);
    }
}
