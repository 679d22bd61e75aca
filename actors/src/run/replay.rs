//! Recovery (`docs/replay.md`): a run's records, fed to a new VM in their order, until it stands where the journal ends.
//!
//! One pass: each record is folded, each settlement delivered, and each command that comes out is compared with the one
//! recorded. Memory is bounded by a page of records and by what the script itself keeps.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use bellwether_journal::codec::Entry;
use bellwether_journal::error::{Damage, StoreError};
use bellwether_journal::id::{CallNumber, Generation, Position, RunId, TimerNumber};
use bellwether_journal::key::{Context, Digest};
use bellwether_journal::read;
use bellwether_journal::record::{CallKind, Millis, Outcome, Record};
use bellwether_journal::state::RunState;
use bellwether_journal::store::Store;
use bellwether_journal::text::{self, Text};
use bellwether_scripts::process::{Lost, ScriptVm};
use bellwether_scripts::{Answer, Call, Command, Settlement, Target, Turn, TurnStatus};

use super::keys::{Keys, Known};
use super::machine::{self, Armed};
use super::version::{Pures, version_of};

/// So many steps are handed over in one go; more would only be more memory.
const STEPS_AT_ONCE: usize = 1_024;
/// Nor much more text than this, in bytes.
const TEXT_AT_ONCE: usize = 512 << 10;

/// Why a run could not be recovered. It stays as it was, and resumable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The journal cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The script asked for something else than the journal says it did (R06).
    #[error(
        "the replay of run {run} went another way: at call a-{call} the journal has {recorded}, and the script now asks for {issued}; the run is left as it was and can be resumed by the program that recorded it"
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
    /// The script broke a limit that it kept when the journal was written: today's are tighter (B07).
    #[error(
        "the replay of run {run} cannot go on at call a-{call}, which the journal has: {message}; the run is left as it was and can be resumed with the limit that it had"
    )]
    Limit {
        /// The run.
        run: RunId,
        /// The first call that is missing.
        call: CallNumber,
        /// The limit.
        message: String,
    },
    /// The VM crashed on the way.
    #[error("the script's VM crashed in recovery: {0}")]
    Crashed(String),
    /// The VM's process went on the way, for another script's sake: the recovery can begin again.
    #[error("the script's VM went in recovery: {0}")]
    Taken(String),
    /// Somebody wanted it to end.
    #[error("the recovery was cancelled")]
    Cancelled,
}

impl From<Lost> for ReplayError {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::AtWork(why) => Self::Crashed(why),
            Lost::Elsewhere(why) => Self::Taken(why),
        }
    }
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
    pub vm: Box<dyn ScriptVm>,
    /// Its calls' keys so far.
    pub keys: Keys,
    /// Timers that are armed.
    pub timers: BTreeMap<TimerNumber, Armed>,
    /// Calls of which only the value counts.
    pub pures: Pures,
    /// Turns, with index and time, whose commands the journal does not have, or not all.
    pub fresh: Vec<(u64, Millis, Turn)>,
}

/// What to recover.
pub struct Source<'a> {
    /// From where.
    pub store: &'a dyn Store,
    /// Which run.
    pub run: RunId,
    /// Which generation of it, the newest: those before it are only folded.
    pub generation: Generation,
    /// Records from here on do not count.
    pub until: Position,
    /// Set when the recovery is not wanted any more.
    pub cancelled: &'a AtomicBool,
}

/// Recovers a run. `start` makes the VM and gives its first turn; it is called with the state as of the records so far,
/// which hold script and arguments.
///
/// Records are read, checked and decompressed on a thread of their own, a batch ahead of the VM.
///
/// # Errors
/// [`ReplayError`].
pub fn recover(
    source: &Source<'_>,
    keys: Keys,
    start: impl FnOnce(&RunState) -> Result<(Box<dyn ScriptVm>, Turn), ReplayError>,
) -> Result<Recovered, ReplayError> {
    let mut replay = Replay::new(source.run, keys);
    let mut start = Some(start);
    let (state, pures) = std::thread::scope(|scope| {
        // One batch is in the VM, one waits, one is being read: that is all the memory this takes.
        let (sender, batches) = mpsc::sync_channel::<Vec<Step>>(1);
        let reading = scope.spawn(move || read_steps(source, &sender));
        let fed = batches.iter().try_for_each(|batch| {
            if source.cancelled.load(Ordering::Relaxed) {
                return Err(ReplayError::Cancelled);
            }
            replay.batch(batch, &mut start)
        });
        // A reader that still has something to send hears that nobody listens.
        drop(batches);
        let state = match reading.join() {
            Ok(state) => state,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        fed.and(state)
    })?;
    match replay.finish(state, pures) {
        // A VM that is told to end looks like one that broke a limit.
        Err(_) if source.cancelled.load(Ordering::Relaxed) => Err(ReplayError::Cancelled),
        finished => finished,
    }
}

/// What the VM's side needs to know of a record.
enum Step {
    /// The generation is open: the VM can be made.
    Opened(Box<RunState>),
    /// A call was scheduled.
    Scheduled(CallNumber, Digest, Sketch),
    /// A line or phase was shown.
    Shown(u64, u32),
    /// A timer wakes at another time than its turn says.
    Armed(TimerNumber, Millis),
    /// An answer was recorded; it begins this turn.
    Answer(u64, Settlement),
}

/// Reads the run's records, folds them, and sends what the VM's side needs; gives what the records make of the run.
fn read_steps(
    source: &Source<'_>,
    sender: &mpsc::SyncSender<Vec<Step>>,
) -> Result<(RunState, Pures), ReplayError> {
    let mut state = RunState::new(source.run);
    let mut texts = read::Texts::new(source.store, source.run);
    let (mut batch, mut bytes) = (Vec::new(), 0);
    let mut is_ours = false;
    let mut pures = Pures::default();
    for entry in read::entries(source.store, source.run, Position(0)) {
        let entry = entry?;
        if entry.position >= source.until {
            break;
        }
        let opens = match &entry.record {
            Record::GenerationOpened(opened) => Some(opened.number),
            Record::GenerationRewound(rewound) => Some(rewound.opened.number),
            _ => None,
        };
        is_ours |= opens == Some(source.generation);
        if !is_ours {
            state
                .apply(&entry)
                .map_err(|error| Damage::new(error.to_string()))?;
            continue;
        }
        let answer = answer_of(&entry, &mut texts)?;
        let version = answer
            .as_ref()
            .and_then(|(target, _)| version_of(&state, &pures, &entry.record, *target));
        state
            .apply(&entry)
            .map_err(|error| Damage::new(error.to_string()))?;
        match &entry.record {
            Record::GenerationOpened(_) | Record::GenerationRewound(_) => {
                batch.push(Step::Opened(Box::new(state.clone())));
            }
            Record::CallScheduled(call) => {
                pures.recorded(call, || texts.resolve(entry.position, &call.options))?;
                let shown = Sketch {
                    kind: call.kind,
                    label: call.label.clone(),
                    line: call.line,
                    prompt: match &call.prompt {
                        Text::Inline(prompt) => Ok(Arc::clone(prompt)),
                        Text::Payload(long) | Text::Shared(long) => Err(long.bytes),
                    },
                };
                batch.push(Step::Scheduled(call.call, call.key, shown));
            }
            Record::Logged(logged) => batch.push(Step::Shown(logged.turn, logged.ordinal)),
            Record::PhaseEntered(phase) => batch.push(Step::Shown(phase.turn, phase.ordinal)),
            Record::TimerArmed(armed) => batch.push(Step::Armed(armed.timer, armed.at)),
            _ => {}
        }
        if let (Some((target, answer)), Some(version)) = (answer, version) {
            if let Answer::Value(text) = &answer {
                bytes += text.len();
            }
            let spent = state.settled_output_tokens;
            let settlement = Settlement {
                target,
                answer,
                time: state.turn_time,
                version,
                spent,
                about: machine::about(&state, target),
            };
            batch.push(Step::Answer(state.turns, settlement));
        }
        if batch.len() >= STEPS_AT_ONCE || bytes >= TEXT_AT_ONCE {
            bytes = 0;
            if sender.send(std::mem::take(&mut batch)).is_err() {
                return Err(ReplayError::Cancelled);
            }
        }
    }
    // Whoever listened may have met an error of its own, which is the one that counts.
    let _ = sender.send(batch);
    Ok((state, pures))
}

fn answer_of(
    entry: &Entry,
    texts: &mut read::Texts<'_>,
) -> Result<Option<(Target, Answer)>, StoreError> {
    let mut came = |call, outcome: &Outcome| {
        let answer = match (outcome, machine::nothing(outcome)) {
            (_, Some(nothing)) => Answer::Nothing(nothing),
            (Outcome::Completed(value), None) => {
                Answer::Value(texts.resolve(entry.position, value)?)
            }
            (_, None) => return Ok(None),
        };
        Ok(Some((Target::Call(call), answer)))
    };
    Ok(Some(match &entry.record {
        Record::CallSettled(settled) => return came(settled.call, &settled.outcome),
        Record::CallReused(reused) => return came(reused.call, &reused.outcome),
        Record::CallRefused(refused) => {
            let (code, message) = (refused.code.clone(), refused.message.clone());
            (
                Target::Call(refused.call),
                Answer::Refused { code, message },
            )
        }
        Record::TimerFired(fired) => (Target::Timer(fired.timer), Answer::Fired),
        Record::TimerElapsed(elapsed) => (Target::Timer(elapsed.timer), Answer::Fired),
        _ => return Ok(None),
    }))
}

/// A call that the VM issued.
struct Issued {
    known: Known,
    context: Context,
    shown: Sketch,
}

/// As much of a call as its author knows it by; copied for each call of a recovery, written only when one goes wrong.
#[derive(Clone, PartialEq)]
struct Sketch {
    kind: CallKind,
    label: Option<Arc<str>>,
    line: u32,
    /// The prompt, or its length in bytes when it is long.
    prompt: Result<Arc<str>, u64>,
}

struct Replay {
    run: RunId,
    vm: Option<Box<dyn ScriptVm>>,
    keys: Keys,
    timers: BTreeMap<TimerNumber, Armed>,
    /// Turns that may still hold something that the journal does not have.
    turns: VecDeque<(u64, Millis, Turn)>,
    /// Calls that the VM issued and no record was compared with yet.
    issued: VecDeque<Issued>,
    issued_next: CallNumber,
    /// Calls recorded that were not compared yet.
    recorded: VecDeque<(CallNumber, Digest, Sketch)>,
    last_shown: Option<(u64, u32)>,
    ended: bool,
    /// The limit that ended the script.
    limit: Option<String>,
}

impl Replay {
    fn new(run: RunId, keys: Keys) -> Self {
        Self {
            run,
            vm: None,
            keys,
            timers: BTreeMap::new(),
            turns: VecDeque::new(),
            issued: VecDeque::new(),
            issued_next: CallNumber(0),
            recorded: VecDeque::new(),
            last_shown: None,
            ended: false,
            limit: None,
        }
    }

    fn batch(
        &mut self,
        batch: Vec<Step>,
        start: &mut Option<
            impl FnOnce(&RunState) -> Result<(Box<dyn ScriptVm>, Turn), ReplayError>,
        >,
    ) -> Result<(), ReplayError> {
        let mut answers = Vec::new();
        for step in batch {
            match step {
                Step::Opened(state) => {
                    if let Some(start) = start.take() {
                        let (vm, turn) = start(&state)?;
                        self.vm = Some(vm);
                        let time = state.generation.as_ref().map_or(0, |opened| opened.time);
                        self.turn(0, time, turn);
                    }
                }
                Step::Scheduled(call, key, shown) => self.recorded.push_back((call, key, shown)),
                Step::Shown(turn, ordinal) => {
                    self.last_shown = self.last_shown.max(Some((turn, ordinal)));
                }
                Step::Armed(timer, at) => {
                    // The turn that armed it may be among those before.
                    self.deliver(std::mem::take(&mut answers))?;
                    if let Some(armed) = self.timers.get_mut(&timer) {
                        armed.at = at;
                        armed.is_recorded = true;
                    }
                }
                Step::Answer(turn, settlement) => {
                    if let Target::Timer(timer) = settlement.target {
                        // Those before it first: the turn that armed it may be among them.
                        self.deliver(std::mem::take(&mut answers))?;
                        self.timers.remove(&timer);
                    }
                    answers.push((turn, settlement));
                }
            }
        }
        self.deliver(answers)?;
        self.compare()?;
        self.forget_recorded_turns();
        Ok(())
    }

    fn deliver(&mut self, answers: Vec<(u64, Settlement)>) -> Result<(), ReplayError> {
        let Some(vm) = &mut self.vm else {
            return Ok(());
        };
        if self.ended || answers.is_empty() {
            return Ok(());
        }
        let (places, settlements): (Vec<(u64, Millis)>, Vec<Settlement>) = answers
            .into_iter()
            .map(|(index, settlement)| ((index, settlement.time), settlement))
            .unzip();
        let turns = vm.deliver(&settlements)?;
        for ((index, time), turn) in places.into_iter().zip(turns) {
            self.turn(index, time, turn);
        }
        Ok(())
    }

    fn turn(&mut self, index: u64, time: Millis, turn: Turn) {
        for command in &turn.commands {
            match command {
                Command::Call(call) => {
                    let (known, _) = self.keys.next(call);
                    let shown = Sketch::of(call);
                    self.issued.push_back(Issued {
                        known,
                        context: call.context,
                        shown,
                    });
                }
                Command::Timer {
                    timer,
                    milliseconds,
                    context,
                } => {
                    let armed = Armed {
                        at: time.saturating_add(*milliseconds),
                        wait: *milliseconds,
                        key: self.keys.timer(*milliseconds, *context),
                        is_recorded: false,
                    };
                    self.timers.insert(*timer, armed);
                }
                Command::ClearTimer { timer } => {
                    self.timers.remove(timer);
                }
                Command::Log { .. } | Command::Phase { .. } => {}
            }
        }
        self.ended |= turn.status != TurnStatus::Running;
        if let TurnStatus::LimitReached(error) = &turn.status {
            self.limit = Some(error.message.clone());
        }
        self.turns.push_back((index, time, turn));
    }

    fn compare(&mut self) -> Result<(), ReplayError> {
        while let (Some(issued), Some((call, key, recorded))) =
            (self.issued.front(), self.recorded.front())
        {
            if *call != self.issued_next || issued.known.key != *key {
                let issued = if issued.shown == *recorded {
                    "one that begins alike, but whose prompt or options are others, or which waited for something else"
                        .to_owned()
                } else {
                    issued.shown.to_string()
                };
                return Err(ReplayError::Diverged {
                    run: self.run,
                    call: self.issued_next,
                    recorded: recorded.to_string(),
                    issued,
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
                && shown_count(turn).checked_sub(1).is_none_or(|ordinal| {
                    self.last_shown
                        .is_some_and(|last| (*index, ordinal) <= last)
                });
            if !recorded {
                break;
            }
            self.turns.pop_front();
        }
    }

    fn finish(mut self, state: RunState, pures: Pures) -> Result<Recovered, ReplayError> {
        if let Some((call, _, recorded)) = self.recorded.pop_front() {
            if let Some(message) = self.limit {
                let run = self.run;
                return Err(ReplayError::Limit { run, call, message });
            }
            let issued = "nothing".to_owned();
            return Err(ReplayError::Diverged {
                run: self.run,
                call,
                recorded: recorded.to_string(),
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
        // What became of timers stands in `timers`: one that has fired must not be armed again.
        for (_, _, turn) in &mut self.turns {
            turn.commands.retain(|command| {
                !matches!(command, Command::Timer { .. } | Command::ClearTimer { .. })
            });
        }
        Ok(Recovered {
            state,
            vm,
            keys: self.keys,
            timers: self.timers,
            pures,
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

impl Sketch {
    fn of(call: &Call) -> Self {
        let long = call.prompt.len() > text::INLINE_BYTES_MAX;
        Self {
            kind: call.kind,
            label: call.label.clone(),
            line: call.line,
            prompt: if long {
                Err(call.prompt.len() as u64)
            } else {
                Ok(Arc::clone(&call.prompt))
            },
        }
    }
}

impl fmt::Display for Sketch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// As much of a prompt as tells it from others in most cases.
        const CHARACTERS: usize = 80;
        write!(formatter, "{}()", self.kind.name())?;
        if let Some(label) = &self.label {
            write!(formatter, " `{label}`")?;
        }
        write!(formatter, " of line {} (", self.line)?;
        match &self.prompt {
            Err(bytes) => write!(formatter, "a prompt of {bytes} bytes")?,
            Ok(prompt) => match prompt.char_indices().nth(CHARACTERS) {
                Some((cut, _)) => write!(formatter, "{:?}…", &prompt[..cut])?,
                None => write!(formatter, "{prompt:?}")?,
            },
        }
        formatter.write_str(")")
    }
}
