//! What a generation left behind that the next one can reuse, read from its records.

use std::collections::HashMap;
use std::sync::Arc;

use bellwether_journal::codec::{self, Entry};
use bellwether_journal::error::{Damage, StoreError};
use bellwether_journal::id::{CallNumber, Generation, Position, RunId, TimerNumber};
use bellwether_journal::key::{Context, Digest};
use bellwether_journal::read;
use bellwether_journal::record::{
    CallKind, CallReused, CallScheduled, Cancellation, Millis, Outcome, Record, Usage,
};
use bellwether_journal::state::RunState;
use bellwether_journal::store::Store;
use bellwether_journal::text::{self, Packed, Text};
use bellwether_journal::usage::Counted;
use bellwether_scripts::Target;

use super::super::version::{Pures, version_of};
use crate::pool::Kept;

/// A generation of a run, up to a position, as another one is rewound from it. Texts stay in the store.
#[derive(Debug)]
pub struct Base {
    /// The run.
    pub run: RunId,
    /// Its generation.
    pub generation: Generation,
    /// Its calls, by number.
    pub calls: Vec<BaseCall>,
    /// Firings of its timers, by key.
    pub(super) timers: HashMap<Digest, BaseTimer>,
    pub(super) by_key: HashMap<Digest, CallNumber>,
}

/// A call of the base.
#[derive(Clone, Debug)]
pub struct BaseCall {
    /// What it asks for.
    pub kind: CallKind,
    /// Where its prompt and options are.
    pub scheduled: Position,
    /// The turn that issued it.
    pub turn: u64,
    /// Hash of what it asks for.
    pub content: Digest,
    /// What the code that asked had waited for.
    pub context: Context,
    /// What it is known by.
    pub key: Digest,
    /// The name to show.
    pub label: Option<Arc<str>>,
    /// Line in the author's text.
    pub line: u32,
    /// What became of it.
    pub end: BaseEnd,
    /// Its answer, if it had one before the cut.
    pub answer: Option<BaseAnswer>,
    /// What its attempts used so far.
    pub usage: Usage,
    /// The same as far as the engine counted it.
    pub counted: Option<Box<Counted>>,
    /// Where the changes that it left on a branch stand.
    pub changes: Option<Position>,
}

/// What became of a call of the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseEnd {
    /// It has its value.
    Completed,
    /// It failed after its retries.
    Failed,
    /// A person stopped or skipped it: only a restart runs it again.
    ByPerson,
    /// It was cancelled since its script had ended.
    Cancelled,
    /// It was refused before anything was spent.
    Refused,
    /// It has no answer.
    Unfinished,
}

/// The answer to a call of the base.
#[derive(Clone, Copy, Debug)]
pub struct BaseAnswer {
    /// Where it stands.
    pub at: Position,
    /// The turn that it began.
    pub turn: u64,
    /// The time of that turn.
    pub time: Millis,
    /// Its version.
    pub version: Digest,
    /// How many attempts it took.
    pub attempts: u32,
    /// The hash of the value's text, if there is a value.
    pub value: Option<Digest>,
}

/// A firing of a timer of the base.
#[derive(Clone, Copy, Debug)]
pub(super) struct BaseTimer {
    pub(super) timer: TimerNumber,
    pub(super) at: Position,
    pub(super) turn: u64,
    pub(super) time: Millis,
}

impl Base {
    /// Reads a generation of a run up to `cut`; what comes later does not count.
    ///
    /// # Errors
    /// [`StoreError`]: the run cannot be read, is damaged, or has no such generation.
    pub fn read(
        store: &dyn Store,
        run: RunId,
        generation: Generation,
        cut: Position,
    ) -> Result<Self, StoreError> {
        let mut base = Self {
            run,
            generation,
            calls: Vec::new(),
            timers: HashMap::new(),
            by_key: HashMap::new(),
        };
        let mut state = RunState::new(run);
        let mut found = false;
        let mut pures = Pures::default();
        for entry in read::entries(store, run, Position(0)) {
            let entry = entry?;
            let before = state.generation.as_ref().map(|open| open.number);
            if entry.position >= cut || before > Some(generation) {
                break;
            }
            let version = target_of(&entry.record)
                .and_then(|target| version_of(&state, &pures, &entry.record, target));
            let damage =
                |error: &dyn ToString| Damage::new(format!("{run}: {}", error.to_string()));
            state.apply(&entry).map_err(|error| damage(&error))?;
            if state.generation.as_ref().map(|open| open.number) == Some(generation) {
                found = true;
                if let Record::CallScheduled(call) = &entry.record {
                    let read = || read::resolve(store, run, entry.position, &call.options);
                    pures.recorded(call, read)?;
                }
                base.take(&entry, &state, version);
            }
        }
        if !found {
            let message = format!("{run} has no generation {generation}");
            return Err(Damage::new(message).into());
        }
        for (number, call) in (0..).zip(&mut base.calls) {
            let kept = state.changes.get(&CallNumber(number));
            call.changes = kept.and_then(|kept| {
                let newest = kept.iter().rev().find(|(_, kept)| kept.branch.is_some());
                newest.map(|(position, _)| *position)
            });
        }
        Ok(base)
    }

    /// One record further; `state` is the run's behind it.
    fn take(&mut self, entry: &Entry, state: &RunState, version: Option<Digest>) {
        match &entry.record {
            Record::CallScheduled(call) => self.scheduled(call, entry.position),
            Record::CallSettled(settled) => {
                let (end, value) = end_of(&settled.outcome);
                self.answered(settled.call, end, value, entry, state, version);
            }
            Record::CallReused(reused) => {
                let (end, value) = end_of(&reused.outcome);
                self.answered(reused.call, end, value, entry, state, version);
            }
            Record::CallRefused(refused) => {
                if let Some(call) = self.calls.get_mut(refused.call.0 as usize) {
                    call.end = BaseEnd::Refused;
                }
            }
            Record::AttemptFailed(failed) => {
                if let Some(call) = self.calls.get_mut(failed.call.0 as usize) {
                    call.usage = call.usage.plus(failed.usage);
                }
            }
            Record::TimerElapsed(elapsed) => {
                let timer = BaseTimer {
                    timer: elapsed.timer,
                    at: entry.position,
                    turn: state.turns,
                    time: state.turn_time,
                };
                self.timers.insert(elapsed.key, timer);
            }
            _ => {}
        }
    }

    fn scheduled(&mut self, call: &CallScheduled, position: Position) {
        self.by_key.insert(call.key, call.call);
        self.calls.push(BaseCall {
            kind: call.kind,
            scheduled: position,
            turn: call.turn,
            content: call.content,
            context: call.context,
            key: call.key,
            label: call.label.clone(),
            line: call.line,
            end: BaseEnd::Unfinished,
            answer: None,
            usage: Usage::default(),
            counted: None,
            changes: None,
        });
    }

    fn answered(
        &mut self,
        number: CallNumber,
        end: BaseEnd,
        value: Option<Digest>,
        entry: &Entry,
        state: &RunState,
        version: Option<Digest>,
    ) {
        let (Some(call), Some(version)) = (self.calls.get_mut(number.0 as usize), version) else {
            return;
        };
        let known = state.call(number);
        call.end = end;
        call.usage = known.map_or(call.usage, |known| known.usage);
        call.counted = known.and_then(|known| known.counted.clone());
        call.answer = Some(BaseAnswer {
            at: entry.position,
            turn: state.turns,
            time: state.turn_time,
            version,
            attempts: known.map_or(0, |known| known.attempts),
            value,
        });
    }

    /// A call of the base.
    #[must_use]
    pub fn call(&self, number: CallNumber) -> Option<&BaseCall> {
        self.calls.get(number.0 as usize)
    }

    /// The call of this key.
    #[must_use]
    pub fn by_key(&self, key: Digest) -> Option<CallNumber> {
        self.by_key.get(&key).copied()
    }
}

fn target_of(record: &Record) -> Option<Target> {
    match record {
        Record::CallSettled(settled) => Some(Target::Call(settled.call)),
        Record::CallReused(reused) => Some(Target::Call(reused.call)),
        _ => None,
    }
}

fn end_of(outcome: &Outcome) -> (BaseEnd, Option<Digest>) {
    match outcome {
        Outcome::Completed(Text::Inline(value)) => (BaseEnd::Completed, Some(text::hash(value))),
        Outcome::Completed(Text::Payload(value) | Text::Shared(value)) => {
            (BaseEnd::Completed, Some(value.hash))
        }
        Outcome::Failed(_) => (BaseEnd::Failed, None),
        Outcome::Skipped | Outcome::Cancelled(Cancellation::Person) => (BaseEnd::ByPerson, None),
        Outcome::Cancelled(Cancellation::ScriptEnded) => (BaseEnd::Cancelled, None),
    }
}

/// What a call of the base came to, read back whole.
#[derive(Debug)]
pub struct Recalled {
    /// The answer as the journal has it.
    pub outcome: Outcome,
    /// Its value, ready to be journaled again.
    pub value: Option<Packed>,
    /// What it left on a branch.
    pub changes: Option<Kept>,
}

/// Reads an answer of the base, and the changes that belong to it.
///
/// # Errors
/// [`StoreError`]: they cannot be read, or are not where they were.
pub fn recall(
    store: &dyn Store,
    run: RunId,
    answer: Position,
    changes: Option<Position>,
) -> Result<Recalled, StoreError> {
    let outcome = match record_at(store, run, answer)? {
        Record::CallSettled(settled) => settled.outcome,
        Record::CallReused(reused) => {
            let CallReused { outcome, .. } = *reused;
            outcome
        }
        _ => return Err(missing(run, answer).into()),
    };
    let value = match &outcome {
        Outcome::Completed(value) => Some(repack(store, run, answer, value)?),
        _ => None,
    };
    let changes = match changes {
        None => None,
        Some(position) => {
            let Record::ChangesKept(record) = record_at(store, run, position)? else {
                return Err(missing(run, position).into());
            };
            let diff = repack(store, run, position, &record.diff)?;
            Some(Kept {
                record: *record,
                diff,
            })
        }
    };
    Ok(Recalled {
        outcome,
        value,
        changes,
    })
}

fn record_at(store: &dyn Store, run: RunId, position: Position) -> Result<Record, StoreError> {
    let rows = store.records(run, position, 1)?;
    let row = rows.first().filter(|row| row.position == position);
    let row = row.ok_or_else(|| missing(run, position))?;
    Ok(codec::decode(run, row.position, &row.bytes)?.record)
}

fn missing(run: RunId, position: Position) -> Damage {
    Damage::new(format!(
        "run {run}: there is no answer at record {position}"
    ))
}

/// A text of a record as it goes into another one, without compressing it again.
fn repack(
    store: &dyn Store,
    run: RunId,
    position: Position,
    stored: &Text,
) -> Result<Packed, StoreError> {
    let compressed = match stored {
        Text::Payload(_) => store.payload(run, position)?,
        Text::Inline(_) | Text::Shared(_) => None,
    };
    let text = match (stored, &compressed) {
        (Text::Payload(reference), Some(bytes)) => text::unpack(reference, bytes)?,
        _ => read::resolve(store, run, position, stored)?,
    };
    Ok(Packed {
        text,
        stored: stored.clone(),
        compressed: compressed.map(Into::into),
    })
}
