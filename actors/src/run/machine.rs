//! A run's rules: what happens to it and what follows. Pure but for its permits, which come in as an argument; time comes
//! in too. The supervisor beside it performs what comes out.
//!
//! ```text
//!             ┌────────► Pausing ──last agent ended──► Paused ─┐
//!   Live ─────┤◄──────────────────resume──────────────────────┘
//!             ├─ stop, kill ─► Stopping ──last agent ended──► Over (stopped, killed: resumable)
//!             └─ script returned, threw, broke a limit ─► Ending ──last agent ended──► Over (final)
//! ```

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bellwether_journal::codec::{self, Entry, Sealer};
use bellwether_journal::id::{
    Attempt, CallNumber, Epoch, FencingToken, Position, RunId, TimerNumber,
};
use bellwether_journal::key::Digest;
use bellwether_journal::record::{
    Actor, CallKind, Millis, Outcome, Record, Recovered, ScriptError, Status,
};
use bellwether_journal::state::{CallStatus, RunState};
use bellwether_journal::text::Packed;
use bellwether_scripts::{About, Answer, Command, Nothing, Target, Turn, TurnStatus};

use super::adopt::Adoption;
use super::budget::{Allowance, Reserved};
use super::keys::{Keys, Resolved};
use super::orders::ToEnd;
use super::output::{Action, Output, Source};
use super::questions::Open;
use super::queues::Queues;
use super::rewind::Rewind;
use super::version::Pures;
use crate::restart::Retries;

/// A log line or message longer than this, in bytes, is cut: it is for people.
const LINE_BYTES_MAX: usize = 16 << 10;

/// The run's own limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Agents at once; `None` is no limit.
    pub concurrency: Option<usize>,
    /// Agents in all.
    pub agents: u64,
    /// What all of them may use, tokens and money; what it does not say of tokens the generation does.
    pub budget: Allowance,
}

/// Where permits come from.
pub trait Permits {
    /// Takes one; if none is free, [`Machine::granted`] is called when one is the run's own.
    fn take(&mut self) -> bool;
    /// Gives one back.
    fn give_back(&mut self);
    /// Waits for none any more.
    fn forget(&mut self);
}

/// Where the run stands in its own life.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stage {
    Live,
    Pausing(Actor),
    Paused,
    Stopping {
        to: Status,
        by: Actor,
        reason: Option<String>,
    },
    Ending(Box<Ending>),
    Over,
}

/// How a script ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ending {
    pub(super) result: Option<Arc<str>>,
    pub(super) error: Option<ScriptError>,
    /// Calls without an answer stay so: a limit ended the script, and with another one it can go on.
    pub(super) resumable: bool,
    /// What the end is when no agent changes it.
    pub(super) status: Status,
}

/// How a run that is taken up goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It runs.
    Running,
    /// It stays paused: somebody had paused it before its supervisor crashed.
    Paused,
    /// It is stopped: somebody had asked for that before its supervisor crashed.
    Stopped,
}

/// A timer that is armed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Armed {
    /// When it wakes.
    pub at: Millis,
    /// How long the script lets it wait, in milliseconds.
    pub wait: Millis,
    /// What it is known by in a rewind.
    pub key: Digest,
    /// Whether its wake time stands in a record of its own.
    pub is_recorded: bool,
}

/// A turn whose commands are being carried out.
pub(super) struct Begun {
    pub(super) index: u64,
    pub(super) time: Millis,
    /// Lines and phases that it has shown so far.
    pub(super) ordinal: u32,
    pub(super) commands: std::vec::IntoIter<Command>,
    pub(super) status: TurnStatus,
}

/// A run's rules and all that they need to know.
pub struct Machine {
    pub(super) state: RunState,
    pub(super) sealer: Sealer,
    pub(super) epoch: Epoch,
    pub(super) caps: Caps,
    pub(super) keys: Keys,
    pub(super) stage: Stage,
    /// Turns that the VM owes: index and time.
    pub(super) owed: VecDeque<(u64, Millis)>,
    /// Turns whose commands are not all carried out yet, in order.
    pub(super) backlog: VecDeque<Begun>,
    pub(super) timers: BTreeMap<TimerNumber, Armed>,
    /// Above every timer that was ever armed.
    pub(super) timers_next: TimerNumber,
    /// Calls that wait for a slot, in call order.
    pub(super) waiting: VecDeque<CallNumber>,
    /// What is at hand for them.
    pub(super) at_hand: HashMap<CallNumber, (Arc<str>, Arc<Resolved>)>,
    /// Calls with an attempt that is alive, each with a permit.
    pub(super) running: HashSet<CallNumber>,
    /// How many more attempts a call gets when it fails, of those whose options say so and that have been started.
    pub(super) retries: HashMap<CallNumber, Retries>,
    /// Calls whose attempt is to end, since a person wants that.
    pub(super) to_end: HashMap<CallNumber, ToEnd>,
    /// Workflows whose script is being read.
    pub(super) loading: HashSet<CallNumber>,
    /// Questions that are being read.
    pub(super) reading: HashSet<CallNumber>,
    /// Questions that wait for a person.
    pub(super) questions: BTreeMap<CallNumber, Open>,
    /// The last position whose settlement the script was given.
    pub(super) delivered: Position,
    /// Agents asked for so far.
    pub(super) agents: u64,
    /// The generation's way through its base; `None` when it has none.
    pub(super) rewind: Option<Rewind>,
    /// Calls of which only the value counts.
    pub(super) pures: Pures,
    /// Answers of this generation's own that wait for those of the base.
    pub(super) held: VecDeque<Held>,
    /// What the generation before left at work.
    pub(super) adoption: Adoption,
    /// What agents have reserved of the budget.
    pub(super) reserved: Reserved,
    /// Providers that take no calls for now.
    pub(super) queues: Queues,
}

/// An answer that is not recorded yet.
pub(super) struct Held {
    pub(super) record: Record,
    pub(super) target: Target,
    pub(super) answer: Answer,
    pub(super) packed: Option<Packed>,
}

impl Machine {
    /// A run that has records already or none; `owed` says which turns the VM still owes, `timers` which are armed.
    #[must_use]
    pub fn new(
        state: RunState,
        epoch: Epoch,
        caps: Caps,
        mut keys: Keys,
        timers: BTreeMap<TimerNumber, Armed>,
    ) -> Self {
        keys.leave_queues(&state.calls);
        let agents = state
            .calls
            .iter()
            .filter(|call| call.kind == CallKind::Agent)
            .count() as u64;
        Self {
            reserved: Reserved::of(&state.calls),
            sealer: Sealer::resume(state.id, state.next, state.head),
            state,
            epoch,
            caps,
            keys,
            stage: Stage::Live,
            owed: VecDeque::new(),
            backlog: VecDeque::new(),
            timers_next: timers
                .keys()
                .next_back()
                .map_or(TimerNumber(0), |last| last.next()),
            timers,
            waiting: VecDeque::new(),
            at_hand: HashMap::new(),
            running: HashSet::new(),
            retries: HashMap::new(),
            to_end: HashMap::new(),
            loading: HashSet::new(),
            reading: HashSet::new(),
            questions: BTreeMap::new(),
            delivered: Position(0),
            agents,
            rewind: None,
            pures: Pures::default(),
            held: VecDeque::new(),
            adoption: Adoption::default(),
            queues: Queues::default(),
        }
    }

    /// The same, for a generation that is rewound from another.
    #[must_use]
    pub fn with_rewind(mut self, rewind: Option<Rewind>) -> Self {
        self.rewind = rewind;
        self
    }

    /// The same, for a generation that has issued pure calls.
    #[must_use]
    pub fn with_pures(mut self, pures: Pures) -> Self {
        self.pures = pures;
        self
    }

    /// The run's state, as decided; the journal may be behind.
    #[must_use]
    pub const fn state(&self) -> &RunState {
        &self.state
    }

    /// How many attempts are alive, those with that the generation before left at work.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.len() + self.adoption.alive()
    }

    /// The generation's own attempts that are alive, in call order.
    pub(super) fn running_tokens(&self) -> Vec<FencingToken> {
        let mut calls: Vec<CallNumber> = self.running.iter().copied().collect();
        calls.sort_unstable();
        calls
            .into_iter()
            .filter_map(|call| Some(self.token(call, self.state.call(call)?.attempt())))
            .collect()
    }

    /// What names an attempt of this run in this opening of the journal.
    pub(super) fn token(&self, call: CallNumber, attempt: Attempt) -> FencingToken {
        FencingToken {
            epoch: self.epoch,
            run: self.state.id,
            generation: self.generation(),
            call,
            attempt,
        }
    }

    /// Nothing that is decided from here on can be made durable: only the ends of agents still count.
    pub fn abandon(&mut self) {
        self.stage = Stage::Over;
        self.backlog.clear();
        self.waiting.clear();
        self.at_hand.clear();
        self.loading.clear();
        self.reading.clear();
        self.questions.clear();
        self.timers.clear();
        self.held.clear();
        self.rewind = None;
    }

    /// An attempt whose start was decided was never carried out. `false` when it had ended already.
    pub fn never_started(&mut self, token: FencingToken) -> bool {
        self.release(token.call);
        self.is_current(token) && self.running.remove(&token.call)
    }

    /// Whether the run goes on: it is neither paused nor ending.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.stage == Stage::Live
    }

    /// Whether the script still gets answers.
    #[must_use]
    pub const fn wants_script(&self) -> bool {
        matches!(self.stage, Stage::Live | Stage::Pausing(_) | Stage::Paused)
    }

    /// A call's options, as its record has them.
    pub fn resolve(&mut self, kind: CallKind, options: &Arc<str>) -> Arc<Resolved> {
        self.keys.resolve(kind, options)
    }

    /// Says how many more attempts a call gets when it fails (X01). Said when it is started: what was not started has not
    /// failed.
    pub fn retry(&mut self, call: CallNumber, retries: Option<&Retries>) {
        if let Some(retries) = retries {
            self.retries.insert(call, retries.clone());
        }
    }

    /// What a call asks for; an agent's work when it is not known.
    #[must_use]
    pub fn kind_of(&self, call: CallNumber) -> CallKind {
        self.state
            .call(call)
            .map_or(CallKind::Agent, |call| call.kind)
    }

    /// The run begins: its first records. `packed` are the texts that they refer to.
    pub fn begin(
        &mut self,
        records: Vec<Record>,
        packed: &[Packed],
        by: Actor,
        now: Millis,
        out: &mut Output,
    ) {
        let first = self.state.next;
        for record in records {
            self.append(record, now, out);
        }
        for text in packed {
            out.attach(first, text);
        }
        // Those of the generation before are its own.
        self.agents = 0;
        self.status(Status::Running, by, None, now, out);
        self.owed.push_back((0, self.first_time()));
    }

    /// The run goes on from its journal, or stays as it was when its supervisor crashed: `fresh` are the turns whose commands the journal does not have yet, or not all.
    pub fn go_on(
        &mut self,
        fresh: Vec<(u64, Millis, Turn)>,
        by: Actor,
        way: Way,
        now: Millis,
        permits: &mut dyn Permits,
        out: &mut Output,
    ) {
        self.append(Record::Recovered(Recovered { epoch: self.epoch }), now, out);
        match way {
            Way::Running => self.status(Status::Running, by, None, now, out),
            Way::Paused => {
                self.stage = Stage::Paused;
                self.status(Status::Paused, by, None, now, out);
            }
            Way::Stopped => {
                self.stage = Stage::Over;
                self.status(Status::Stopped, by, None, now, out);
                out.act(self.state.next, Action::DropScript);
                out.act(self.state.next, Action::Finish);
                return;
            }
        }
        self.delivered = self.state.next;
        let unsettled: Vec<(CallNumber, CallKind, Position, CallStatus)> = self
            .state
            .unsettled()
            .map(|(number, call)| (number, call.kind, call.scheduled, call.status))
            .collect();
        for (number, kind, scheduled, status) in unsettled {
            if self.takes_up_hit(number, kind, scheduled, out) {
                continue;
            }
            if self.state.to_stop.contains(&number) {
                self.stop_as_ordered(number, now, out);
                continue;
            }
            if let Some((code, message)) = self.refused_meanwhile(number, kind) {
                self.refuse(number, code, message, now, out);
                continue;
            }
            match (kind, status) {
                (kind, CallStatus::Backoff { until }) if kind.has_attempts() => {
                    let after = until.saturating_sub(now);
                    self.close_queue_again(number, until);
                    out.act(self.state.next, Action::RetryAfter(number, after));
                }
                (kind, _) if kind.has_attempts() => self.waiting.push_back(number),
                (CallKind::Ask, _) => self.ask(number, Source::InJournal(scheduled), out),
                _ => {
                    self.loading.insert(number);
                    out.act(
                        self.state.next,
                        Action::Load(number, Source::InJournal(scheduled)),
                    );
                }
            }
        }
        if self.rewind.is_some() {
            // Those whose turn was recorded last may not have been looked for in the base.
            for (timer, armed) in std::mem::take(&mut self.timers) {
                self.timer_issued(timer, armed, now, out);
            }
        } else {
            self.arm_all(out);
        }
        for (index, time, turn) in fresh {
            self.put_by(index, time, turn);
        }
        self.work_off(now, permits, out);
    }

    /// A new VM has been made from the journal up to a position, with these timers armed; `fresh` as in
    /// [`Machine::go_on`].
    pub fn rebuilt(
        &mut self,
        timers: BTreeMap<TimerNumber, Armed>,
        fresh: Vec<(u64, Millis, Turn)>,
        now: Millis,
        permits: &mut dyn Permits,
        out: &mut Output,
    ) {
        for (timer, armed) in timers {
            // One that this machine knew and has no more fired since the old VM was lost.
            if timer >= self.timers_next {
                self.timer_issued(timer, armed, now, out);
            } else if let Some(known) = self.timers.get(&timer) {
                self.arm(timer, *known, out);
            }
        }
        for (index, time, turn) in fresh {
            self.put_by(index, time, turn);
        }
        self.work_off(now, permits, out);
    }

    /// Arms all timers anew, in their order.
    pub(super) fn arm_all(&self, out: &mut Output) {
        for (&timer, armed) in &self.timers {
            if !self.waits_for_base(timer) {
                out.act(self.state.next, Action::Arm(timer, armed.at));
            }
        }
    }

    pub(super) fn arm(&mut self, timer: TimerNumber, armed: Armed, out: &mut Output) {
        self.timers_next = self.timers_next.max(timer.next());
        self.timers.insert(timer, armed);
        if !self.waits_for_base(timer) {
            out.act(self.state.next, Action::Arm(timer, armed.at));
        }
    }

    /// Seals a record, folds it and sends it on its way. A record that cannot stand where it would is a defect of this
    /// module: it is reported and left out, so that the journal stays whole.
    pub(super) fn append(&mut self, record: Record, now: Millis, out: &mut Output) -> bool {
        let at = now.max(self.state.last_at);
        let row = match self.sealer.seal(at, &record) {
            Ok(row) => row,
            Err(error) => {
                tracing::error!(run = %self.state.id, %error, "a record is left out");
                return false;
            }
        };
        let entry = Entry {
            position: row.position,
            at,
            chain: self.sealer.head(),
            record,
        };
        if let Err(error) = self.state.apply(&entry) {
            tracing::error!(run = %self.state.id, %error, "a record is left out");
            self.sealer = Sealer::resume(self.state.id, self.state.next, self.state.head);
            return false;
        }
        let settled = match &entry.record {
            Record::CallSettled(settled) => Some(settled.call),
            Record::CallRefused(refused) => Some(refused.call),
            Record::CallReused(reused) => Some(reused.call),
            _ => None,
        };
        if let Some(call) = settled {
            self.keys.leave_queue(call);
        }
        out.rows.push(row);
        out.entries.push(entry);
        true
    }

    /// Whether this is the attempt that is at work on its call.
    #[must_use]
    pub fn is_current(&self, token: FencingToken) -> bool {
        token.epoch == self.epoch
            && token.run == self.state.id
            && token.generation == self.generation()
            && self.running.contains(&token.call)
            && self
                .state
                .call(token.call)
                .is_some_and(|call| call.attempt() == token.attempt)
    }

    pub(super) fn generation(&self) -> bellwether_journal::id::Generation {
        self.state
            .generation
            .as_ref()
            .map_or_else(Default::default, |open| open.number)
    }

    pub(super) fn first_time(&self) -> Millis {
        self.state
            .generation
            .as_ref()
            .map_or(0, |generation| generation.time)
    }

    /// The newest summary, to go with the records.
    #[must_use]
    pub fn summary(&self) -> (RunId, Vec<u8>) {
        (self.state.id, codec::encode_summary(&self.state.summary()))
    }
}

/// How a call came to its answer, as its records say. `state` is the run's behind the record of the answer.
#[must_use]
pub fn about(state: &RunState, target: Target) -> About {
    let Target::Call(number) = target else {
        return About::default();
    };
    let Some(call) = state.call(number) else {
        return About::default();
    };
    About {
        usage: call.usage,
        cost: call.counted.as_ref().and_then(|counted| counted.cost),
        attempts: call.attempts,
        worktree: state.kept_branch(number).map(|kept| {
            let files: Vec<&str> = kept.files.iter().map(|file| file.path.as_str()).collect();
            let worktree = serde_json::json!({
                "branch": kept.branch,
                "base": kept.base,
                "commit": kept.commit,
                "files": files,
            });
            worktree.to_string().into()
        }),
    }
}

/// Why a call has no value, as the script hears it.
#[must_use]
pub fn nothing(outcome: &Outcome) -> Option<Nothing> {
    match outcome {
        Outcome::Completed(_) => None,
        Outcome::Failed(failure) => Some(Nothing::Failed {
            kind: failure.kind,
            message: failure.message.as_str().into(),
        }),
        Outcome::Skipped => Some(Nothing::Skipped),
        Outcome::Cancelled(_) => Some(Nothing::Cancelled),
    }
}

pub(super) fn cut(text: String) -> String {
    if text.len() <= LINE_BYTES_MAX {
        return text;
    }
    let mut end = LINE_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}… ({} bytes in all)", &text[..end], text.len())
}

pub(super) fn cut_shared(text: Arc<str>) -> Arc<str> {
    if text.len() <= LINE_BYTES_MAX {
        text
    } else {
        cut(text.to_string()).into()
    }
}
