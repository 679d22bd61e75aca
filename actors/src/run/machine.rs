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
use bellwether_journal::id::{Attempt, CallNumber, Epoch, FencingToken, Position, RunId, TimerNumber};
use bellwether_journal::key::{self, Digest};
use bellwether_journal::record::{
    Actor, AttemptFailed, AttemptStarted, CallKind, CallRefused, CallScheduled, CallSettled,
    Cancellation, Failure, FailureKind, Logged, Millis, OrchestratorLost, Outcome, PhaseEntered,
    Record, Recovered, RunEnded, ScriptError, Status, StatusChanged, TimerFired, Usage,
};
use bellwether_journal::state::{CallStatus, PastEnd, RunState};
use bellwether_journal::store::Row;
use bellwether_journal::text::{self, Packed, Text};
use bellwether_scripts::{Answer, Call, Command, Settlement, Target, Turn, TurnStatus};

use super::keys::{Keys, Resolved};
use crate::backend::PreviousAttempt;
use crate::pool::End;
use crate::restart::{self, Cause};

/// A log line or message longer than this, in bytes, is cut: it is for people.
const LINE_BYTES_MAX: usize = 16 << 10;

/// The run's own limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Agents at once; `None` is no limit.
    pub concurrency: Option<usize>,
    /// Agents in all.
    pub agents: u64,
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

/// What the supervisor is to do.
#[derive(Debug)]
pub enum Action {
    /// Give the script an answer. At once: what it does next joins the same commit.
    Deliver(Settlement),
    /// Start an attempt. Once durable, as are all those below.
    Start(Box<Start>),
    /// Read another workflow's script.
    Load(CallNumber, Source),
    /// Let the call's next attempt wait so many milliseconds.
    RetryAfter(CallNumber, Millis),
    /// Wake the timer at this time.
    Arm(TimerNumber, Millis),
    /// The timer is wanted no longer.
    Disarm(TimerNumber),
    /// Tell all agents to end in order.
    CancelAgents,
    /// End all agents at once.
    KillAgents,
    /// The script is not wanted any more.
    DropScript,
    /// Make a new VM from the journal.
    RebuildScript,
    /// The run is over for this engine.
    Finish,
}

/// An attempt to start.
#[derive(Debug)]
pub struct Start {
    /// Names it.
    pub token: FencingToken,
    /// The call's idempotency key.
    pub idempotency_key: Digest,
    /// The attempts before it.
    pub previous_attempts: Vec<PreviousAttempt>,
    /// Where its prompt and options are.
    pub work: Work,
    /// The name to show.
    pub label: Option<Arc<str>>,
    /// Its phase.
    pub phase: Option<Arc<str>>,
}

/// Where another workflow's script is.
#[derive(Clone, Debug)]
pub enum Source {
    /// In this file.
    Path(Arc<str>),
    /// In the file that the `CallScheduled` at this position names.
    InJournal(Position),
}

/// A call's prompt and options: at hand, or in the journal. A call that waits keeps no long prompt in memory.
#[derive(Clone)]
pub enum Work {
    /// At hand.
    AtHand(Arc<str>, Arc<Resolved>),
    /// In the `CallScheduled` at this position.
    InJournal(Position),
}

impl std::fmt::Debug for Work {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtHand(prompt, _) => formatter.debug_tuple("AtHand").field(prompt).finish(),
            Self::InJournal(position) => {
                formatter.debug_tuple("InJournal").field(position).finish()
            }
        }
    }
}

/// What came out: records first, then actions, each behind the records that it depends on.
#[derive(Debug, Default)]
pub struct Output {
    /// Records to make durable.
    pub rows: Vec<Row>,
    /// Texts that left their records.
    pub payloads: Vec<(Position, Arc<[u8]>)>,
    /// Texts that many records share.
    pub blobs: Vec<(Digest, Arc<[u8]>)>,
    /// The same as they were decoded, for those who watch.
    pub entries: Vec<Entry>,
    /// What to do, and up to which position the journal must be durable first.
    pub actions: Vec<(Position, Action)>,
}

/// Where the run stands in its own life.
#[derive(Clone, Debug, PartialEq)]
enum Stage {
    Live,
    Pausing(Actor),
    Paused,
    Stopping { to: Status, by: Actor, reason: Option<String> },
    Ending(Box<Ending>),
    Over,
}

/// How a script ended.
#[derive(Clone, Debug, PartialEq)]
struct Ending {
    result: Option<Arc<str>>,
    error: Option<ScriptError>,
    /// What the end is when no agent changes it.
    status: Status,
}

/// A run's rules and all that they need to know.
pub struct Machine {
    state: RunState,
    sealer: Sealer,
    epoch: Epoch,
    caps: Caps,
    keys: Keys,
    stage: Stage,
    /// Turns that the VM owes: index and time.
    owed: VecDeque<(u64, Millis)>,
    timers: BTreeMap<TimerNumber, Millis>,
    /// Calls that wait for a slot, in call order.
    waiting: VecDeque<CallNumber>,
    /// What is at hand for them.
    at_hand: HashMap<CallNumber, (Arc<str>, Arc<Resolved>)>,
    /// Calls with an attempt that is alive, each with a permit.
    running: HashSet<CallNumber>,
    /// Workflows whose script is being read.
    loading: HashSet<CallNumber>,
    /// The last position whose settlement the script was given.
    delivered: Position,
    /// Agents asked for so far.
    agents: u64,
}

impl Machine {
    /// A run that has records already or none; `owed` says which turns the VM still owes, `timers` which are armed.
    #[must_use]
    pub fn new(
        state: RunState,
        epoch: Epoch,
        caps: Caps,
        keys: Keys,
        timers: BTreeMap<TimerNumber, Millis>,
    ) -> Self {
        let agents = state.calls.iter().filter(|call| call.kind == CallKind::Agent).count() as u64;
        Self {
            sealer: Sealer::resume(state.id, state.next, state.head),
            state,
            epoch,
            caps,
            keys,
            stage: Stage::Live,
            owed: VecDeque::new(),
            timers,
            waiting: VecDeque::new(),
            at_hand: HashMap::new(),
            running: HashSet::new(),
            loading: HashSet::new(),
            delivered: Position(0),
            agents,
        }
    }

    /// The run's state, as decided; the journal may be behind.
    #[must_use]
    pub const fn state(&self) -> &RunState {
        &self.state
    }

    /// How many attempts are alive.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// The attempts that are alive, in call order.
    #[must_use]
    pub fn running_tokens(&self) -> Vec<FencingToken> {
        let mut calls: Vec<CallNumber> = self.running.iter().copied().collect();
        calls.sort_unstable();
        calls
            .into_iter()
            .filter_map(|call| {
                Some(FencingToken {
                    epoch: self.epoch,
                    run: self.state.id,
                    generation: self.generation(),
                    call,
                    attempt: self.state.call(call)?.attempt(),
                })
            })
            .collect()
    }

    /// Nothing that is decided from here on can be made durable: only the ends of agents still count.
    pub fn abandon(&mut self) {
        self.stage = Stage::Over;
        self.waiting.clear();
        self.at_hand.clear();
        self.loading.clear();
        self.timers.clear();
    }

    /// Whether the script still gets answers.
    #[must_use]
    pub const fn wants_script(&self) -> bool {
        matches!(self.stage, Stage::Live | Stage::Pausing(_) | Stage::Paused)
    }

    /// A call's options, as its record has them.
    pub fn resolve(&mut self, options: &Arc<str>) -> Arc<Resolved> {
        self.keys.resolve(options)
    }

    /// Changes the limits from here on.
    pub const fn set_caps(&mut self, caps: Caps) {
        self.caps = caps;
    }

    /// The run begins: its first records. `packed` are the texts that they refer to.
    pub fn begin(&mut self, records: Vec<Record>, packed: &[Packed], now: Millis, out: &mut Output) {
        let first = self.state.next;
        for record in records {
            self.append(record, now, out);
        }
        for text in packed {
            out.attach(first, text);
        }
        self.status(Status::Running, Actor::Engine, None, now, out);
        self.owed.push_back((0, self.first_time()));
    }

    /// The run goes on from its journal: `fresh` are the turns whose commands the journal does not have yet, or not all.
    pub fn go_on(
        &mut self,
        fresh: Vec<(u64, Millis, Turn)>,
        by: Actor,
        now: Millis,
        permits: &mut dyn Permits,
        out: &mut Output,
    ) {
        self.append(Record::Recovered(Recovered { epoch: self.epoch }), now, out);
        self.status(Status::Running, by, None, now, out);
        self.delivered = self.state.next;
        let unsettled: Vec<(CallNumber, CallKind, Position, CallStatus)> = self
            .state
            .unsettled()
            .map(|(number, call)| (number, call.kind, call.scheduled, call.status))
            .collect();
        for (number, kind, scheduled, status) in unsettled {
            match (kind, status) {
                (CallKind::Agent, CallStatus::Backoff { until }) => {
                    let after = until.saturating_sub(now);
                    out.act(self.state.next, Action::RetryAfter(number, after));
                }
                (CallKind::Agent, _) => self.waiting.push_back(number),
                _ => {
                    self.loading.insert(number);
                    out.act(self.state.next, Action::Load(number, Source::InJournal(scheduled)));
                }
            }
        }
        let armed: Vec<_> = self.timers.iter().map(|(&timer, &at)| (timer, at)).collect();
        for (timer, at) in armed {
            out.act(self.state.next, Action::Arm(timer, at));
        }
        for (index, time, turn) in fresh {
            self.turn(index, time, turn, now, permits, out);
        }
        self.start_waiting(now, permits, out);
    }

    /// A new VM has been made from the journal up to a position; `fresh` as in [`Machine::go_on`].
    pub fn rebuilt(
        &mut self,
        fresh: Vec<(u64, Millis, Turn)>,
        now: Millis,
        permits: &mut dyn Permits,
        out: &mut Output,
    ) {
        for (index, time, turn) in fresh {
            self.turn(index, time, turn, now, permits, out);
        }
        self.start_waiting(now, permits, out);
    }

    /// The VM answered what it was given: turns in order.
    pub fn turns(
        &mut self,
        turns: Vec<Turn>,
        now: Millis,
        permits: &mut dyn Permits,
        out: &mut Output,
    ) {
        for turn in turns {
            let Some((index, time)) = self.owed.pop_front() else {
                tracing::error!(run = %self.state.id, "a turn that nobody waits for is dropped");
                return;
            };
            self.turn(index, time, turn, now, permits, out);
        }
        self.start_waiting(now, permits, out);
    }

    fn turn(
        &mut self,
        index: u64,
        time: Millis,
        turn: Turn,
        now: Millis,
        permits: &mut dyn Permits,
        out: &mut Output,
    ) {
        if !self.wants_script() {
            return;
        }
        let mut ordinal = 0;
        if !matches!(turn.status, TurnStatus::LimitReached(_)) {
            for command in turn.commands {
                self.command(command, index, time, &mut ordinal, now, out);
            }
        }
        match turn.status {
            TurnStatus::Running => {}
            TurnStatus::Returned(value) => {
                let end = Ending { result: Some(value), error: None, status: Status::Completed };
                self.end(end, now, permits, out);
            }
            TurnStatus::Threw(error) | TurnStatus::LimitReached(error) => {
                let end = Ending { result: None, error: Some(*error), status: Status::Failed };
                self.end(end, now, permits, out);
            }
        }
    }

    fn command(
        &mut self,
        command: Command,
        turn: u64,
        time: Millis,
        ordinal: &mut u32,
        now: Millis,
        out: &mut Output,
    ) {
        match command {
            Command::Call(call) => self.call(*call, turn, now, out),
            Command::Log { level, text } => {
                if !self.state.was_shown(turn, *ordinal) {
                    let text = cut(text);
                    let logged = Logged { turn, ordinal: *ordinal, level, text };
                    self.append(Record::Logged(Box::new(logged)), now, out);
                }
                *ordinal += 1;
            }
            Command::Phase { title } => {
                if !self.state.was_shown(turn, *ordinal) {
                    let title = cut_shared(title);
                    let entered = PhaseEntered { turn, ordinal: *ordinal, title };
                    self.append(Record::PhaseEntered(Box::new(entered)), now, out);
                }
                *ordinal += 1;
            }
            Command::Timer { timer, milliseconds } => {
                let at = time.saturating_add(milliseconds);
                self.timers.insert(timer, at);
                out.act(self.state.next, Action::Arm(timer, at));
            }
            Command::ClearTimer { timer } => {
                self.timers.remove(&timer);
                out.act(self.state.next, Action::Disarm(timer));
            }
        }
    }

    fn call(&mut self, call: Call, turn: u64, now: Millis, out: &mut Output) {
        if call.number < self.state.next_call() {
            // Replayed: it is in the journal, and was compared there.
            return;
        }
        let (known, resolved) = self.keys.next(&call);
        let prompt = text::pack(Arc::clone(&call.prompt));
        let position = self.state.next;
        let scheduled = CallScheduled {
            call: call.number,
            kind: call.kind,
            turn,
            content: known.content,
            context: call.context,
            key: known.key,
            label: call.label.map(cut_shared),
            phase: call.phase.map(cut_shared),
            prompt: prompt.stored.clone(),
            options: resolved.packed.stored.clone(),
            line: call.line,
        };
        if self.append(Record::CallScheduled(Box::new(scheduled)), now, out) {
            out.attach(position, &prompt);
            out.attach(position, &resolved.packed);
        }
        if call.kind != CallKind::Agent {
            self.loading.insert(call.number);
            out.act(self.state.next, Action::Load(call.number, Source::Path(call.prompt)));
            return;
        }
        self.agents += 1;
        if self.agents > self.caps.agents {
            let message = format!(
                "the run's cap of {} agents is reached; raise it with --max-agents or `limits.max_agents`",
                self.caps.agents
            );
            self.refuse(call.number, "AGENT_CAP", message, now, out);
        } else if let Err(message) = &resolved.backend {
            let message = message.clone();
            self.refuse(call.number, "UNKNOWN_BACKEND", message, now, out);
        } else {
            // A long prompt is read back when its turn comes; a short one costs less than the look-up.
            if prompt.compressed.is_none() {
                self.at_hand.insert(call.number, (call.prompt, resolved));
            }
            self.waiting.push_back(call.number);
        }
    }

    fn refuse(
        &mut self,
        call: CallNumber,
        code: &str,
        message: String,
        now: Millis,
        out: &mut Output,
    ) {
        let code = code.to_owned();
        let refused = CallRefused { call, code: code.clone(), message: message.clone() };
        let answer = Answer::Refused { code, message };
        self.settle(Record::CallRefused(Box::new(refused)), Target::Call(call), answer, now, out);
    }

    /// A permit that was waited for is the run's own now.
    pub fn granted(&mut self, now: Millis, permits: &mut dyn Permits, out: &mut Output) {
        if self.may_start() {
            self.start_next(now, out);
            self.start_waiting(now, permits, out);
        } else {
            permits.give_back();
        }
    }

    fn may_start(&self) -> bool {
        self.stage == Stage::Live
            && !self.waiting.is_empty()
            && self.caps.concurrency.is_none_or(|limit| self.running.len() < limit)
    }

    fn start_waiting(&mut self, now: Millis, permits: &mut dyn Permits, out: &mut Output) {
        while self.may_start() && permits.take() {
            self.start_next(now, out);
        }
    }

    fn start_next(&mut self, now: Millis, out: &mut Output) {
        let Some(number) = self.waiting.pop_front() else { return };
        let Some(call) = self.state.call(number) else { return };
        let attempt = call.attempt().next();
        let generation = self.generation();
        let start = Start {
            token: FencingToken {
                epoch: self.epoch,
                run: self.state.id,
                generation,
                call: number,
                attempt,
            },
            idempotency_key: key::idempotency(self.state.id, generation, call.key),
            previous_attempts: previous(call.past()),
            work: match self.at_hand.remove(&number) {
                Some((prompt, resolved)) => Work::AtHand(prompt, resolved),
                None => Work::InJournal(call.scheduled),
            },
            label: call.label.clone(),
            phase: call.phase.clone(),
        };
        let started = AttemptStarted { call: number, attempt };
        self.append(Record::AttemptStarted(started), now, out);
        self.running.insert(number);
        out.act(self.state.next, Action::Start(Box::new(start)));
    }

    /// An attempt has ended.
    pub fn ended(
        &mut self,
        token: FencingToken,
        end: End,
        now: Millis,
        permits: &mut dyn Permits,
        out: &mut Output,
    ) {
        if !self.is_current(token) {
            tracing::debug!(%token, "the word of an attempt that was replaced is refused");
            return;
        }
        self.running.remove(&token.call);
        permits.give_back();
        match end {
            End::Completed(value, usage) => {
                let answer = Answer::Value(Arc::clone(&value.text));
                let outcome = Outcome::Completed(value.stored.clone());
                let position = self.state.next;
                self.settle_call(token, outcome, usage, answer, now, out);
                out.attach(position, &value);
            }
            End::Failed(failure, usage) => {
                self.attempt_failed(token, failure, usage, false, now, out);
            }
            End::Lost(message) => {
                let failure = Failure {
                    kind: FailureKind::Crash,
                    message: format!("the engine lost the agent: {}", cut(message)),
                    evidence: None,
                    retry_after: None,
                };
                self.attempt_failed(token, failure, Usage::default(), true, now, out);
            }
            End::Cancelled(usage) => match self.stage {
                // It runs again when the run is resumed.
                Stage::Stopping { .. } | Stage::Over => {}
                Stage::Ending(_) => {
                    let outcome = Outcome::Cancelled(Cancellation::ScriptEnded);
                    self.settle_call(token, outcome, usage, Answer::Null, now, out);
                }
                Stage::Live | Stage::Pausing(_) | Stage::Paused => {
                    let failure = Failure {
                        kind: FailureKind::Other,
                        message: "the agent says it was cancelled, and nobody had asked".to_owned(),
                        evidence: None,
                        retry_after: None,
                    };
                    self.attempt_failed(token, failure, usage, false, now, out);
                }
            },
        }
        self.start_waiting(now, permits, out);
        self.settle_down(now, out);
    }

    fn attempt_failed(
        &mut self,
        token: FencingToken,
        failure: Failure,
        usage: Usage,
        ours: bool,
        now: Millis,
        out: &mut Output,
    ) {
        let failure = Failure {
            message: cut(failure.message),
            evidence: failure.evidence.map(cut),
            ..failure
        };
        let failures = self.state.call(token.call).map_or(0, |call| {
            call.past().iter().filter(|past| matches!(past.end, PastEnd::Failed(_))).count() as u32
        }) + 1;
        let key = self.state.call(token.call).map_or_else(Digest::default, |call| call.key);
        let cause = if ours { Cause::Engine } else { Cause::Agent(&failure) };
        let retry = restart::retry_after(cause, failures, restart::jitter(key, failures));
        match retry {
            Some(after) if !matches!(self.stage, Stage::Ending(_)) => {
                let failed = AttemptFailed {
                    call: token.call,
                    attempt: token.attempt,
                    failure,
                    usage,
                    retry_at: now.saturating_add(after),
                };
                self.append(Record::AttemptFailed(Box::new(failed)), now, out);
                out.act(self.state.next, Action::RetryAfter(token.call, after));
            }
            _ => {
                let outcome = Outcome::Failed(failure);
                self.settle_call(token, outcome, usage, Answer::Null, now, out);
            }
        }
    }

    /// A call's back-off is over.
    pub fn retry_due(
        &mut self,
        call: CallNumber,
        now: Millis,
        permits: &mut dyn Permits,
        out: &mut Output,
    ) {
        let waits = self
            .state
            .call(call)
            .is_some_and(|call| matches!(call.status, CallStatus::Backoff { .. }));
        if waits && !self.waiting.contains(&call) {
            self.waiting.push_back(call);
            self.start_waiting(now, permits, out);
        }
    }

    /// Another workflow's script was read, or cannot be.
    pub fn loaded(
        &mut self,
        call: CallNumber,
        script: Result<Packed, String>,
        now: Millis,
        out: &mut Output,
    ) {
        if !self.loading.remove(&call) || !self.wants_script() {
            return;
        }
        match script {
            Ok(value) => {
                let token = FencingToken {
                    epoch: self.epoch,
                    run: self.state.id,
                    generation: self.generation(),
                    call,
                    attempt: Attempt(0),
                };
                let position = self.state.next;
                let outcome = Outcome::Completed(value.stored.clone());
                let answer = Answer::Value(Arc::clone(&value.text));
                self.settle_call(token, outcome, Usage::default(), answer, now, out);
                out.attach(position, &value);
            }
            Err(message) => self.refuse(call, "WORKFLOW", message, now, out),
        }
    }

    /// A timer's time has come.
    pub fn timer_due(&mut self, timer: TimerNumber, now: Millis, out: &mut Output) {
        // A paused run's timers fire when it goes on.
        if matches!(self.stage, Stage::Live | Stage::Pausing(_))
            && self.timers.remove(&timer).is_some()
        {
            let record = Record::TimerFired(TimerFired { timer });
            self.settle(record, Target::Timer(timer), Answer::Fired, now, out);
        }
    }

    fn settle_call(
        &mut self,
        token: FencingToken,
        outcome: Outcome,
        usage: Usage,
        answer: Answer,
        now: Millis,
        out: &mut Output,
    ) {
        let settled =
            CallSettled { call: token.call, attempt: token.attempt, outcome, usage };
        let record = Record::CallSettled(Box::new(settled));
        self.settle(record, Target::Call(token.call), answer, now, out);
    }

    /// Records an answer and gives it to the script, if that still wants any.
    fn settle(
        &mut self,
        record: Record,
        target: Target,
        answer: Answer,
        now: Millis,
        out: &mut Output,
    ) {
        let position = self.state.next;
        let Some(version) = version_of(&self.state, &record, target) else { return };
        if !self.append(record, now, out) || !self.wants_script() {
            return;
        }
        self.delivered = position.next();
        let time = self.state.last_at;
        self.owed.push_back((self.state.turns, time));
        let spent = self.state.settled_output_tokens;
        let settlement = Settlement { target, answer, time, version, spent };
        out.act(position, Action::Deliver(settlement));
    }

    /// Starts nothing new.
    pub fn pause(&mut self, by: Actor, reason: Option<String>, now: Millis, out: &mut Output) {
        if self.stage != Stage::Live {
            return;
        }
        self.stage = Stage::Pausing(by.clone());
        self.status(Status::Pausing, by, reason, now, out);
        self.settle_down(now, out);
    }

    /// Goes on after a pause.
    pub fn resume(
        &mut self,
        by: Actor,
        now: Millis,
        permits: &mut dyn Permits,
        out: &mut Output,
    ) {
        if !matches!(self.stage, Stage::Pausing(_) | Stage::Paused) {
            return;
        }
        self.stage = Stage::Live;
        self.status(Status::Running, by, None, now, out);
        let armed: Vec<_> = self.timers.iter().map(|(&timer, &at)| (timer, at)).collect();
        for (timer, at) in armed {
            out.act(self.state.next, Action::Arm(timer, at));
        }
        self.start_waiting(now, permits, out);
    }

    /// Ends the run's agents and leaves the run resumable: `to` is `Stopped` or `Killed`. A kill overtakes a stop.
    pub fn stop(
        &mut self,
        to: Status,
        by: Actor,
        reason: Option<String>,
        now: Millis,
        permits: &mut dyn Permits,
        out: &mut Output,
    ) {
        let kill = to == Status::Killed;
        match &self.stage {
            Stage::Over => return,
            Stage::Stopping { to: Status::Stopped, .. } | Stage::Ending(_) if kill => {
                out.act(self.state.next, Action::KillAgents);
                return;
            }
            Stage::Stopping { .. } | Stage::Ending(_) => return,
            Stage::Live | Stage::Pausing(_) | Stage::Paused => {}
        }
        permits.forget();
        self.status(Status::Stopping, by.clone(), reason.clone(), now, out);
        self.stage = Stage::Stopping { to, by, reason };
        out.act(self.state.next, Action::DropScript);
        let end = if kill { Action::KillAgents } else { Action::CancelAgents };
        out.act(self.state.next, end);
        self.settle_down(now, out);
    }

    /// The VM's actor died.
    pub fn orchestrator_lost(
        &mut self,
        message: &str,
        spent: bool,
        now: Millis,
        permits: &mut dyn Permits,
        out: &mut Output,
    ) {
        if !self.wants_script() {
            return;
        }
        let at = self.delivered;
        let before = self.state.orchestrator_losses.iter().any(|(position, _)| *position == at);
        let lost = OrchestratorLost { at, message: cut(message.to_owned()) };
        self.append(Record::OrchestratorLost(Box::new(lost)), now, out);
        self.owed.clear();
        if before || spent {
            let why = if before { "twice at the same place" } else { "too often" };
            self.quarantine(format!("the script's VM crashed {why}: {message}"), now, permits, out);
        } else {
            out.act(self.state.next, Action::RebuildScript);
        }
    }

    /// The run's supervisor crashed too often: the run ends here.
    pub fn condemn(
        &mut self,
        why: &str,
        now: Millis,
        permits: &mut dyn Permits,
        out: &mut Output,
    ) {
        self.append(Record::Recovered(Recovered { epoch: self.epoch }), now, out);
        self.quarantine(format!("the run's supervisor crashed too often: {why}"), now, permits, out);
    }

    fn quarantine(
        &mut self,
        message: String,
        now: Millis,
        permits: &mut dyn Permits,
        out: &mut Output,
    ) {
        let error = ScriptError {
            name: "QuarantineError".to_owned(),
            code: Some("QUARANTINED".to_owned()),
            message,
            line: 0,
            column: 0,
            stack: String::new(),
        };
        let end = Ending { result: None, error: Some(error), status: Status::Quarantined };
        self.end(end, now, permits, out);
    }

    fn end(&mut self, end: Ending, now: Millis, permits: &mut dyn Permits, out: &mut Output) {
        permits.forget();
        self.stage = Stage::Ending(Box::new(end));
        self.waiting.clear();
        self.at_hand.clear();
        self.loading.clear();
        self.timers.clear();
        out.act(self.state.next, Action::DropScript);
        let idle: Vec<CallNumber> = self
            .state
            .unsettled()
            .filter(|(_, call)| call.status != CallStatus::Running)
            .map(|(number, _)| number)
            .collect();
        for call in idle {
            let outcome = Outcome::Cancelled(Cancellation::ScriptEnded);
            let attempt = Attempt(0);
            let settled = CallSettled { call, attempt, outcome, usage: Usage::default() };
            self.append(Record::CallSettled(Box::new(settled)), now, out);
        }
        if !self.running.is_empty() {
            out.act(self.state.next, Action::CancelAgents);
        }
        self.settle_down(now, out);
    }

    /// When the last agent has ended, whatever waited for that happens.
    fn settle_down(&mut self, now: Millis, out: &mut Output) {
        if !self.running.is_empty() {
            return;
        }
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Pausing(by) => {
                self.stage = Stage::Paused;
                self.status(Status::Paused, by, None, now, out);
            }
            Stage::Stopping { to, by, reason } => {
                self.status(to, by, reason, now, out);
                out.act(self.state.next, Action::Finish);
            }
            Stage::Ending(end) => self.finish(*end, now, out),
            stage @ (Stage::Live | Stage::Paused | Stage::Over) => self.stage = stage,
        }
    }

    fn finish(&mut self, end: Ending, now: Millis, out: &mut Output) {
        let status = match end.status {
            Status::Completed if self.state.counts.failed > 0 => Status::Degraded,
            status => status,
        };
        let result = end.result.map(text::pack);
        let position = self.state.next;
        let by = if status == Status::Quarantined { Actor::Engine } else { Actor::Script };
        let ended = RunEnded {
            status,
            result: result.as_ref().map(|packed| packed.stored.clone()),
            error: end.error.map(|error| ScriptError {
                message: cut(error.message),
                stack: cut(error.stack),
                ..error
            }),
            by,
        };
        self.append(Record::RunEnded(Box::new(ended)), now, out);
        if let Some(packed) = &result {
            out.attach(position, packed);
        }
        out.act(self.state.next, Action::Finish);
    }

    fn status(
        &mut self,
        status: Status,
        by: Actor,
        reason: Option<String>,
        now: Millis,
        out: &mut Output,
    ) {
        let changed = StatusChanged { status, by, reason };
        self.append(Record::StatusChanged(Box::new(changed)), now, out);
    }

    /// Seals a record, folds it and sends it on its way. A record that cannot stand where it would is a defect of this
    /// module: it is reported and left out, so that the journal stays whole.
    fn append(&mut self, record: Record, now: Millis, out: &mut Output) -> bool {
        let at = now.max(self.state.last_at);
        let row = match self.sealer.seal(at, &record) {
            Ok(row) => row,
            Err(error) => {
                tracing::error!(run = %self.state.id, %error, "a record is left out");
                return false;
            }
        };
        let entry = Entry { position: row.position, at, chain: self.sealer.head(), record };
        if let Err(error) = self.state.apply(&entry) {
            tracing::error!(run = %self.state.id, %error, "a record is left out");
            self.sealer = Sealer::resume(self.state.id, self.state.next, self.state.head);
            return false;
        }
        out.rows.push(row);
        out.entries.push(entry);
        true
    }

    fn is_current(&self, token: FencingToken) -> bool {
        token.epoch == self.epoch
            && token.run == self.state.id
            && token.generation == self.generation()
            && self.running.contains(&token.call)
            && self.state.call(token.call).is_some_and(|call| call.attempt() == token.attempt)
    }

    fn generation(&self) -> bellwether_journal::id::Generation {
        self.state.generation.as_ref().map_or_else(Default::default, |open| open.number)
    }

    fn first_time(&self) -> Millis {
        self.state.generation.as_ref().map_or(0, |generation| generation.time)
    }

    /// The newest summary, to go with the records.
    #[must_use]
    pub fn summary(&self) -> (RunId, Vec<u8>) {
        (self.state.id, codec::encode_summary(&self.state.summary()))
    }
}

impl Output {
    fn act(&mut self, after: Position, action: Action) {
        self.actions.push((after, action));
    }

    /// Puts a text that left its record into the same commit.
    fn attach(&mut self, position: Position, packed: &Packed) {
        let Some(bytes) = &packed.compressed else { return };
        match &packed.stored {
            Text::Inline(_) => {}
            Text::Payload(_) => self.payloads.push((position, Arc::clone(bytes))),
            Text::Shared(reference) => self.blobs.push((reference.hash, Arc::clone(bytes))),
        }
    }
}

/// What code that waited for this settlement depends on (`docs/replay.md`). Pure in the records, so that a replay gives
/// the same. `None` when the call is not there.
#[must_use]
pub fn version_of(state: &RunState, record: &Record, target: Target) -> Option<Digest> {
    let number = match target {
        Target::Timer(timer) => return Some(Digest::of("timer", &[&timer.0.to_le_bytes()])),
        Target::Call(number) => number,
    };
    let call = state.call(number)?;
    let generation = state.generation.as_ref()?.number;
    match record {
        Record::CallSettled(settled) => Some(match &settled.outcome {
            Outcome::Completed(_) => {
                key::version(call.key, state.id, generation, settled.attempt)
            }
            Outcome::Failed(_) | Outcome::Skipped | Outcome::Cancelled(_) => {
                key::failed_version(call.key)
            }
        }),
        _ => Some(key::failed_version(call.key)),
    }
}

fn previous(past: &[bellwether_journal::state::PastAttempt]) -> Vec<PreviousAttempt> {
    past.iter()
        .map(|past| PreviousAttempt {
            attempt: past.attempt.0,
            ended: match past.end {
                PastEnd::Failed(kind) => kind.name().to_owned(),
                PastEnd::Interrupted => "interrupted".to_owned(),
            },
            message: past.message.to_string(),
        })
        .collect()
}

fn cut(text: String) -> String {
    if text.len() <= LINE_BYTES_MAX {
        return text;
    }
    let mut end = LINE_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}… ({} bytes in all)", &text[..end], text.len())
}

fn cut_shared(text: Arc<str>) -> Arc<str> {
    if text.len() <= LINE_BYTES_MAX { text } else { cut(text.to_string()).into() }
}
