//! Recovery (`docs/replay.md`): a run's records, fed to a new VM in their order, until it stands where the journal ends.
//!
//! One pass: each record is folded, each settlement delivered, and each command that comes out is compared with the one
//! recorded. Memory is bounded by a page of records and by what the script itself keeps.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};

use bellwether_journal::error::{Damage, StoreError};
use bellwether_journal::id::{CallNumber, Position, RunId, TimerNumber};
use bellwether_journal::key::{Context, Digest};
use bellwether_journal::read;
use bellwether_journal::record::{Millis, Outcome, Record};
use bellwether_journal::state::RunState;
use bellwether_journal::store::Store;
use bellwether_scripts::{Answer, Call, Command, Settlement, Target, Turn, TurnStatus, Vm};

use super::keys::{Keys, Known};
use super::machine;

/// So many answers are given to the VM in one go; more would only be more memory.
const ANSWERS_AT_ONCE: usize = 256;
/// Nor more text than this, in bytes.
const TEXT_AT_ONCE: usize = 4 << 20;

/// Why a run could not be recovered. It stays as it was, and resumable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The journal cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The script asked for something else than the journal says it did (R06).
    #[error(
        "the replay of run {run} went another way: at call {call} the journal has {recorded}, and the script now asks for {issued}; the run is left as it was and can be resumed by the program that recorded it"
    )]
    Diverged {
        /// The run.
        run: RunId,
        /// Where.
        call: CallNumber,
        /// What the journal has.
        recorded: String,
        /// What came.
        issued: String,
    },
    /// The VM crashed on the way.
    #[error("the script's VM crashed in recovery: {0}")]
    Crashed(String),
    /// Somebody wanted it to end.
    #[error("the recovery was cancelled")]
    Cancelled,
}

impl From<Damage> for ReplayError {
    fn from(damage: Damage) -> Self {
        Self::Store(StoreError::Damage(damage))
    }
}

/// A run that stands where its journal ends.
pub struct Recovered {
    /// What its records make of it.
    pub state: RunState,
    /// Its VM.
    pub vm: Vm,
    /// Its calls' keys so far.
    pub keys: Keys,
    /// Timers that are armed.
    pub timers: BTreeMap<TimerNumber, Millis>,
    /// Turns, with index and time, whose commands the journal does not have, or not all.
    pub fresh: Vec<(u64, Millis, Turn)>,
}

/// What to recover.
pub struct Source<'a> {
    /// From where.
    pub store: &'a dyn Store,
    /// Which run.
    pub run: RunId,
    /// Records from here on do not count.
    pub until: Position,
    /// Set when the recovery is not wanted any more.
    pub cancelled: &'a AtomicBool,
}

/// Recovers a run. `start` makes the VM and gives its first turn; it is called with the state as of the records so far,
/// which hold script and arguments.
///
/// # Errors
/// [`ReplayError`].
pub fn recover(
    source: &Source<'_>,
    keys: Keys,
    start: impl FnOnce(&RunState) -> Result<(Vm, Turn), StoreError>,
) -> Result<Recovered, ReplayError> {
    let mut replay = Replay {
        run: source.run,
        state: RunState::new(source.run),
        vm: None,
        keys,
        timers: BTreeMap::new(),
        turns: VecDeque::new(),
        issued: VecDeque::new(),
        issued_next: CallNumber(0),
        recorded: VecDeque::new(),
        answers: Vec::new(),
        answers_bytes: 0,
        ended: false,
    };
    let mut start = Some(start);
    for entry in read::entries(source.store, source.run, Position(0)) {
        let entry = entry?;
        if entry.position >= source.until {
            break;
        }
        if source.cancelled.load(Ordering::Relaxed) {
            return Err(ReplayError::Cancelled);
        }
        replay.record(source.store, &entry)?;
        if replay.vm.is_none()
            && replay.state.generation.is_some()
            && let Some(start) = start.take()
        {
            let (vm, turn) = start(&replay.state)?;
            let time = replay
                .state
                .generation
                .as_ref()
                .map_or(0, |generation| generation.time);
            replay.vm = Some(vm);
            replay.turn(0, time, turn);
        }
    }
    replay.deliver()?;
    replay.finish()
}

/// A call that the VM issued.
struct Issued {
    known: Known,
    context: Context,
    shown: String,
}

struct Replay {
    run: RunId,
    state: RunState,
    vm: Option<Vm>,
    keys: Keys,
    timers: BTreeMap<TimerNumber, Millis>,
    /// Turns that may still hold something that the journal does not have.
    turns: VecDeque<(u64, Millis, Turn)>,
    /// Calls that the VM issued and no record was compared with yet.
    issued: VecDeque<Issued>,
    issued_next: CallNumber,
    /// Calls recorded that the VM has not been brought to issue yet.
    recorded: VecDeque<(CallNumber, Digest, String)>,
    answers: Vec<(u64, Settlement)>,
    answers_bytes: usize,
    ended: bool,
}

impl Replay {
    fn record(
        &mut self,
        store: &dyn Store,
        entry: &bellwether_journal::codec::Entry,
    ) -> Result<(), ReplayError> {
        let settlement = match &entry.record {
            Record::CallScheduled(call) => {
                let shown = describe(call.kind.name(), call.label.as_deref(), call.line);
                self.recorded.push_back((call.call, call.key, shown));
                None
            }
            Record::CallSettled(settled) => {
                let answer = match &settled.outcome {
                    Outcome::Completed(value) => {
                        Answer::Value(read::resolve(store, self.run, entry.position, value)?)
                    }
                    Outcome::Failed(_) | Outcome::Skipped | Outcome::Cancelled(_) => Answer::Null,
                };
                Some((Target::Call(settled.call), answer))
            }
            Record::CallRefused(refused) => {
                let answer = Answer::Refused {
                    code: refused.code.clone(),
                    message: refused.message.clone(),
                };
                Some((Target::Call(refused.call), answer))
            }
            Record::TimerFired(fired) => Some((Target::Timer(fired.timer), Answer::Fired)),
            _ => None,
        };
        let version = settlement
            .as_ref()
            .and_then(|(target, _)| machine::version_of(&self.state, &entry.record, *target));
        self.state
            .apply(entry)
            .map_err(|error| Damage::new(error.to_string()))?;
        if let (Some((target, answer)), Some(version)) = (settlement, version) {
            if let Target::Timer(timer) = target {
                // Delivered first: the turn that armed it may still be waiting here.
                self.deliver()?;
                self.timers.remove(&timer);
            }
            self.answers_bytes += match &answer {
                Answer::Value(text) => text.len(),
                _ => 0,
            };
            let settlement = Settlement {
                target,
                answer,
                time: entry.at,
                version,
                spent: self.state.settled_output_tokens,
            };
            self.answers.push((self.state.turns, settlement));
            if self.answers.len() >= ANSWERS_AT_ONCE || self.answers_bytes >= TEXT_AT_ONCE {
                self.deliver()?;
            }
        }
        Ok(())
    }

    fn deliver(&mut self) -> Result<(), ReplayError> {
        let answers = std::mem::take(&mut self.answers);
        self.answers_bytes = 0;
        if let (Some(vm), false) = (&mut self.vm, self.ended || answers.is_empty()) {
            let (places, settlements): (Vec<(u64, Millis)>, Vec<Settlement>) = answers
                .into_iter()
                .map(|(index, settlement)| ((index, settlement.time), settlement))
                .unzip();
            let turns = vm.deliver(&settlements);
            for ((index, time), turn) in places.into_iter().zip(turns) {
                self.turn(index, time, turn);
            }
        }
        self.compare()?;
        self.forget_recorded_turns();
        Ok(())
    }

    fn turn(&mut self, index: u64, time: Millis, turn: Turn) {
        for command in &turn.commands {
            match command {
                Command::Call(call) => {
                    let (known, _) = self.keys.next(call);
                    let shown = shown(call);
                    self.issued.push_back(Issued {
                        known,
                        context: call.context,
                        shown,
                    });
                }
                Command::Timer {
                    timer,
                    milliseconds,
                } => {
                    self.timers
                        .insert(*timer, time.saturating_add(*milliseconds));
                }
                Command::ClearTimer { timer } => {
                    self.timers.remove(timer);
                }
                Command::Log { .. } | Command::Phase { .. } => {}
            }
        }
        self.ended |= turn.status != TurnStatus::Running;
        self.turns.push_back((index, time, turn));
    }

    fn compare(&mut self) -> Result<(), ReplayError> {
        while let (Some(issued), Some((call, key, recorded))) =
            (self.issued.front(), self.recorded.front())
        {
            if *call != self.issued_next || issued.known.key != *key {
                return Err(ReplayError::Diverged {
                    run: self.run,
                    call: self.issued_next,
                    recorded: recorded.clone(),
                    issued: issued.shown.clone(),
                });
            }
            self.issued.pop_front();
            self.recorded.pop_front();
            self.issued_next = self.issued_next.next();
        }
        Ok(())
    }

    /// Turns whose every call, line and phase is in the journal are not needed any more.
    fn forget_recorded_turns(&mut self) {
        while let Some((index, _, turn)) = self.turns.front() {
            let recorded = turn.status == TurnStatus::Running
                && turn.commands.iter().all(|command| match command {
                    Command::Call(call) => call.number < self.issued_next,
                    _ => true,
                })
                && (shown_count(turn) == 0 || self.state.was_shown(*index, shown_count(turn) - 1));
            if !recorded {
                break;
            }
            self.turns.pop_front();
        }
    }

    fn finish(mut self) -> Result<Recovered, ReplayError> {
        if let Some((call, _, recorded)) = self.recorded.pop_front() {
            let issued = "nothing".to_owned();
            return Err(ReplayError::Diverged {
                run: self.run,
                call,
                recorded,
                issued,
            });
        }
        let vm = self.vm.ok_or_else(|| {
            Damage::new(format!(
                "run {} has no generation: its first records are missing",
                self.run
            ))
        })?;
        // Whoever schedules the calls that the journal does not have asks for their keys again.
        for issued in self.issued.iter().rev() {
            self.keys.take_back(issued.known, issued.context);
        }
        Ok(Recovered {
            state: self.state,
            vm,
            keys: self.keys,
            timers: self.timers,
            fresh: self.turns.into(),
        })
    }
}

fn shown_count(turn: &Turn) -> u32 {
    turn.commands
        .iter()
        .filter(|command| matches!(command, Command::Log { .. } | Command::Phase { .. }))
        .count() as u32
}

fn shown(call: &Call) -> String {
    describe(call.kind.name(), call.label.as_deref(), call.line)
}

fn describe(kind: &str, label: Option<&str>, line: u32) -> String {
    let label = label.map(|label| format!(" `{label}`")).unwrap_or_default();
    format!("{kind}(){label} of line {line}")
}
