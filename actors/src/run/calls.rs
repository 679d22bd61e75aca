//! The machine's rules for calls: from a command of the script to its answer.

use std::sync::Arc;

use bellwether_journal::id::{Attempt, CallNumber, FencingToken, TimerNumber};
use bellwether_journal::key::Digest;
use bellwether_journal::record::{
    AttemptFailed, AttemptStarted, CallKind, CallRefused, CallScheduled, CallSettled, Cancellation,
    Failure, FailureKind, Logged, Millis, Noticed, Outcome, PhaseEntered, Record, ScriptError,
    Status, StepNoted, TimerElapsed, Usage,
};
use bellwether_journal::state::{CallState, CallStatus, PastEnd};
use bellwether_journal::text::{self, Packed, Text};
use bellwether_journal::usage::{ModelAsked, UsageCounted};
use bellwether_scripts::{Answer, Call, Command, Nothing, Settlement, Target, Turn, TurnStatus};

use super::adopt::idempotency_key;
use super::budget::Allowance;
use super::machine::{Armed, Begun, Ending, Held, Machine, Permits, Stage, about, cut, cut_shared};
use super::output::{Action, Output, Source, Start, Work};
use super::rewind::Issued;
use super::version::version_of;
use crate::backend::{NOTE_BYTES_MAX, PreviousAttempt, Used};
use crate::pool::{End, Kept};
use crate::restart::{self, Cause};

/// So many commands are carried out before other messages are heard again: some 2 ms of work.
const COMMANDS_AT_ONCE: usize = 512;
/// The code of a refusal for want of budget.
const BUDGET: &str = "BUDGET";
/// So many bytes of a prompt take as long to hash and compress as a command takes without them.
const BYTES_LIKE_A_COMMAND: usize = 2048;

/// What a call came to, for the journal and for the script.
pub(super) struct Came {
    pub(super) outcome: Outcome,
    pub(super) usage: Usage,
    pub(super) answer: Answer,
    /// The value, to be journaled with it.
    pub(super) value: Option<Packed>,
}

impl Machine {
    /// The VM answered what it was given: turns in order. A turn may hold a million commands, so they are worked off in
    /// slices: [`Machine::work_off`].
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
                break;
            };
            self.put_by(index, time, turn);
        }
        self.work_off(now, permits, out);
    }

    pub(super) fn put_by(&mut self, index: u64, time: Millis, turn: Turn) {
        if !self.wants_script() {
            return;
        }
        let discarded = matches!(turn.status, TurnStatus::LimitReached(_));
        self.backlog.push_back(Begun {
            index,
            time,
            ordinal: 0,
            commands: if discarded { Vec::new() } else { turn.commands }.into_iter(),
            status: turn.status,
        });
    }

    /// Carries out a slice of what the script has asked for, so that other messages are heard in between.
    pub fn work_off(&mut self, now: Millis, permits: &mut dyn Permits, out: &mut Output) {
        let mut left = COMMANDS_AT_ONCE;
        while left > 0
            && let Some(mut begun) = self.backlog.pop_front()
        {
            while left > 0
                && let Some(command) = begun.commands.next()
            {
                let size = match &command {
                    Command::Call(call) => call.prompt.len() / BYTES_LIKE_A_COMMAND,
                    _ => 0,
                };
                left = left.saturating_sub(1 + size);
                self.command(
                    command,
                    begun.index,
                    begun.time,
                    &mut begun.ordinal,
                    now,
                    out,
                );
            }
            if begun.commands.as_slice().is_empty() {
                self.turn_ended(begun.status, now, permits, out);
            } else {
                self.backlog.push_front(begun);
            }
        }
        self.end_adopted(now, permits, out);
        self.start_waiting(now, permits, out);
        self.rewind_on(now, out);
    }

    /// Whether [`Machine::work_off`] has something left to do.
    #[must_use]
    pub fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    fn turn_ended(
        &mut self,
        status: TurnStatus,
        now: Millis,
        permits: &mut dyn Permits,
        out: &mut Output,
    ) {
        match status {
            TurnStatus::Running => {}
            TurnStatus::Returned(value) => {
                let end = Ending {
                    result: Some(value),
                    error: None,
                    resumable: false,
                    status: Status::Completed,
                };
                self.end(end, now, permits, out);
            }
            TurnStatus::Threw(error) => {
                // Only the VM speaks of limits: a script that throws with such a code has still ended itself.
                let code = if error.is_limit() {
                    None
                } else {
                    error.code.clone()
                };
                let end = Ending {
                    result: None,
                    error: Some(ScriptError { code, ..*error }),
                    resumable: false,
                    status: Status::Failed,
                };
                self.end(end, now, permits, out);
            }
            TurnStatus::LimitReached(error) => {
                let end = Ending {
                    result: None,
                    error: Some(*error),
                    resumable: true,
                    status: Status::Failed,
                };
                self.end(end, now, permits, out);
            }
        }
    }

    pub(super) fn command(
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
                    let logged = Logged {
                        turn,
                        ordinal: *ordinal,
                        level,
                        text,
                    };
                    self.append(Record::Logged(Box::new(logged)), now, out);
                }
                *ordinal += 1;
            }
            Command::Phase { title } => {
                if !self.state.was_shown(turn, *ordinal) {
                    let title = cut_shared(title);
                    let entered = PhaseEntered {
                        turn,
                        ordinal: *ordinal,
                        title,
                    };
                    self.append(Record::PhaseEntered(Box::new(entered)), now, out);
                }
                *ordinal += 1;
            }
            Command::Timer {
                timer,
                milliseconds,
                context,
            } => {
                let armed = Armed {
                    at: time.saturating_add(milliseconds),
                    wait: milliseconds,
                    key: self.keys.timer(milliseconds, context),
                    is_recorded: false,
                };
                self.timer_issued(timer, armed, now, out);
            }
            Command::ClearTimer { timer } => {
                self.timers.remove(&timer);
                if let Some(rewind) = &mut self.rewind {
                    rewind.disarm(timer);
                }
                out.act(self.state.next, Action::Disarm(timer));
            }
        }
    }

    pub(super) fn call(&mut self, call: Call, turn: u64, now: Millis, out: &mut Output) {
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
            let options = &resolved.packed.text;
            self.pures.issued(call.number, call.context, options);
        }
        let issued = self
            .rewind
            .as_mut()
            .map(|rewind| rewind.issue(call.number, call.kind, known.content, known.key));
        match issued {
            Some(Issued::Answered(place)) if call.kind != CallKind::Workflow => {
                self.agents += u64::from(call.kind == CallKind::Agent);
                out.act(position, Action::Recall(call.number, place));
                return;
            }
            Some(Issued::UnderWay(from)) => {
                self.agents += 1;
                self.retry(call.number, resolved.options.retries.as_ref());
                self.adopt(call.number, from, now, out);
                return;
            }
            Some(Issued::Answered(_) | Issued::Live) | None => {}
        }
        if call.kind == CallKind::Ask {
            if let Err(refusal) = &resolved.backend {
                self.refuse(call.number, refusal.code, refusal.message.clone(), now, out);
            } else {
                let source = Source::AtHand(call.prompt, Arc::clone(&resolved.packed.text));
                self.ask(call.number, source, out);
            }
            return;
        }
        if !call.kind.has_attempts() {
            self.loading.insert(call.number);
            out.act(
                self.state.next,
                Action::Load(
                    call.number,
                    Source::AtHand(call.prompt, Arc::clone(&resolved.packed.text)),
                ),
            );
            return;
        }
        for notice in &resolved.notices {
            self.notice(notice, now, out);
        }
        self.agents += u64::from(call.kind == CallKind::Agent);
        if let Some((code, message)) = self.beyond_cap(call.kind, self.agents) {
            self.refuse(call.number, code, message, now, out);
        } else if call.kind == CallKind::Agent
            && let Some(message) = self.budget_used_up()
        {
            self.refuse(call.number, BUDGET, message, now, out);
        } else if let Some((code, message)) = self.merged_before(call.kind) {
            self.refuse(call.number, code, message, now, out);
        } else if let Err(refusal) = &resolved.backend {
            let (code, message) = (refusal.code, refusal.message.clone());
            self.refuse(call.number, code, message, now, out);
        } else {
            // A long prompt is read back when its turn comes; a short one costs less than the look-up.
            if prompt.compressed.is_none() {
                self.at_hand.insert(call.number, (call.prompt, resolved));
            }
            self.waiting.push_back(call.number);
        }
    }

    /// Why the `asked`-th agent is one too many.
    fn beyond_cap(&self, kind: CallKind, asked: u64) -> Option<(&'static str, String)> {
        let cap = self.caps.agents;
        (kind == CallKind::Agent && asked > cap).then(|| {
            let message = format!(
                "the run's cap of {cap} agents is reached; raise it with --max-agents, or `max_agents` in the settings"
            );
            ("AGENT_CAP", message)
        })
    }

    /// Why a merge may not begin: what was explained did not foresee it, and better no merge than a second one.
    fn merged_before(&self, kind: CallKind) -> Option<(&'static str, String)> {
        let rewind = self.rewind.as_ref().filter(|_| kind == CallKind::Merge)?;
        let before = rewind.merged_before()?;
        let message = format!(
            "merge(): a-{before} of the generation before merged already, and this is not that call; rewind with \
             --repeat-merges to let it merge again"
        );
        Some(("MERGED_BEFORE", message))
    }

    /// Why a call that has no answer and never began must not begin: in a rewind its refusal waits for the answers of the base,
    /// and may have gone with the engine.
    pub(super) fn refused_meanwhile(
        &self,
        number: CallNumber,
        kind: CallKind,
    ) -> Option<(&'static str, String)> {
        self.rewind.as_ref()?;
        let has_begun = |call: &CallState| call.attempt() > Attempt(0);
        if self.state.call(number).is_none_or(has_begun) {
            return None;
        }
        let up_to = self.state.calls.iter().take(number.0 as usize + 1);
        let asked = up_to.filter(|call| call.kind == CallKind::Agent).count();
        self.beyond_cap(kind, asked as u64)
            .or_else(|| self.merged_before(kind))
    }

    /// Tells the script's author something, once a run.
    pub(super) fn notice(&mut self, text: &str, now: Millis, out: &mut Output) {
        if !self.state.noticed.contains(text) {
            let text = text.to_owned();
            self.append(Record::Noticed(Box::new(Noticed { text })), now, out);
        }
    }

    pub(super) fn refuse(
        &mut self,
        call: CallNumber,
        code: &str,
        message: String,
        now: Millis,
        out: &mut Output,
    ) {
        let code = code.to_owned();
        let refused = CallRefused {
            call,
            code: code.clone(),
            message: message.clone(),
        };
        let answer = Answer::Refused { code, message };
        self.settle(
            Record::CallRefused(Box::new(refused)),
            Target::Call(call),
            answer,
            None,
            now,
            out,
        );
    }

    /// Agents that wait for a permit when the budget is used up never start. One that has begun goes on with its attempts.
    fn refuse_beyond_budget(&mut self, now: Millis, out: &mut Output) {
        if self.stage != Stage::Live || self.waiting.is_empty() {
            return;
        }
        let Some(message) = self.budget_used_up() else {
            return;
        };
        let waiting = std::mem::take(&mut self.waiting);
        for number in waiting {
            let is_new = self
                .state
                .call(number)
                .is_some_and(|call| call.kind == CallKind::Agent && call.attempt() == Attempt(0));
            if is_new {
                self.at_hand.remove(&number);
                self.refuse(number, BUDGET, message.clone(), now, out);
            } else {
                self.waiting.push_back(number);
            }
        }
    }

    /// A permit that was waited for is the run's own now.
    pub fn granted(&mut self, now: Millis, permits: &mut dyn Permits, out: &mut Output) {
        self.refuse_beyond_budget(now, out);
        if let Some(place) = self.next_to_start() {
            self.start(place, now, out);
            self.start_waiting(now, permits, out);
        } else {
            permits.give_back();
        }
    }

    /// The place of the waiting call that a permit would start.
    fn next_to_start(&self) -> Option<usize> {
        let limit = self.caps.concurrency;
        // Looking for it may take a while; most of the time all slots are taken.
        if self.stage != Stage::Live || limit.is_some_and(|limit| self.running() >= limit) {
            return None;
        }
        let place = self.next_open()?;
        let is_agent = self.kind_of(*self.waiting.get(place)?) == CallKind::Agent;
        (!is_agent || !self.is_all_reserved()).then_some(place)
    }

    pub(super) fn start_waiting(
        &mut self,
        now: Millis,
        permits: &mut dyn Permits,
        out: &mut Output,
    ) {
        self.refuse_beyond_budget(now, out);
        while let Some(place) = self.next_to_start()
            && permits.take()
        {
            self.start(place, now, out);
        }
    }

    /// Starts the call that waits at this place.
    fn start(&mut self, place: usize, now: Millis, out: &mut Output) {
        let Some(number) = self.waiting.remove(place) else {
            return;
        };
        let Some(call) = self.state.call(number) else {
            return;
        };
        let attempt = call.attempt().next();
        // Of a call whose options are not at hand it is said when they have been read.
        let at_hand = self.at_hand.get(&number);
        let own = at_hand.map_or_else(Allowance::default, |(_, resolved)| {
            resolved.options.allowance()
        });
        let notes = self.state.notes.get(&number);
        let notes = notes.map_or(&[][..], Vec::as_slice).iter();
        let notes = notes.filter_map(|(_, note)| match note {
            Text::Inline(note) => Some(Arc::clone(note)),
            // None is so long: `noted` sees to it.
            Text::Payload(_) | Text::Shared(_) => None,
        });
        let start = Start {
            token: self.token(number, attempt),
            notes: notes.collect(),
            idempotency_key: idempotency_key(&self.state, number),
            previous_attempts: previous(call.past()),
            work: match self.at_hand.remove(&number) {
                Some((prompt, resolved)) => Work::AtHand(prompt, resolved),
                None => Work::InJournal(call.scheduled),
            },
            label: call.label.clone(),
            phase: call.phase.clone(),
        };
        let started = AttemptStarted {
            call: number,
            attempt,
        };
        self.append(Record::AttemptStarted(started), now, out);
        self.running.insert(number);
        self.reserve(number, own);
        out.act(self.state.next, Action::Start(Box::new(start)));
    }

    /// An attempt says what it is about to do. `false` when it is not the one to do it any more.
    pub fn noted(
        &mut self,
        token: FencingToken,
        note: Arc<str>,
        now: Millis,
        out: &mut Output,
    ) -> bool {
        if !self.is_current(token) || !self.wants_script() || note.len() > NOTE_BYTES_MAX {
            return false;
        }
        let noted = StepNoted {
            call: token.call,
            attempt: token.attempt,
            note: Text::Inline(note),
        };
        self.append(Record::StepNoted(Box::new(noted)), now, out)
    }

    /// An attempt has used so much so far.
    pub fn used(&mut self, token: FencingToken, used: Used, now: Millis, out: &mut Output) {
        if !self.is_current(token) || matches!(self.stage, Stage::Over) {
            return;
        }
        let Used { model, counted } = used;
        let before = self.state.models.get(&token.call);
        if let Some(model) = model.filter(|model| before != Some(model)) {
            let asked = ModelAsked {
                call: token.call,
                attempt: token.attempt,
                model,
            };
            self.append(Record::ModelAsked(Box::new(asked)), now, out);
        }
        let used = UsageCounted {
            call: token.call,
            attempt: token.attempt,
            counted,
        };
        if self.append(Record::UsageCounted(Box::new(used)), now, out) {
            self.spend(token.call, now, out);
        }
    }

    /// What an attempt that ends has changed. To be told before [`Machine::ended`], so that both are one commit.
    pub fn changed(&mut self, token: FencingToken, kept: Vec<Kept>, now: Millis, out: &mut Output) {
        if !self.is_current(token) || matches!(self.stage, Stage::Over) {
            return;
        }
        for Kept { record, diff } in kept {
            let position = self.state.next;
            if self.append(Record::ChangesKept(Box::new(record)), now, out) {
                out.attach(position, &diff);
            }
        }
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
        self.release(token.call);
        self.adoption.forget(token.call);
        permits.give_back();
        let used = match &end {
            End::Completed(_, usage) | End::Failed(_, usage) | End::Cancelled(usage) => *usage,
            End::Lost(_) => Usage::default(),
        };
        if self.wants_script() && self.ended_by_order(token, used, now, out) {
            self.start_waiting(now, permits, out);
            self.rewind_on(now, out);
            self.settle_down(now, out);
            return;
        }
        match end {
            End::Completed(value, usage) => {
                let answer = Answer::Value(Arc::clone(&value.text));
                let outcome = Outcome::Completed(value.stored.clone());
                let came = Came {
                    outcome,
                    usage,
                    answer,
                    value: Some(value),
                };
                self.settle_call(token, came, now, out);
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
            End::Cancelled(usage) => match &self.stage {
                // It runs again when the run is resumed.
                Stage::Stopping { .. } | Stage::Over => {}
                Stage::Ending(end) if end.resumable => {}
                Stage::Ending(_) => {
                    let outcome = Outcome::Cancelled(Cancellation::ScriptEnded);
                    let answer = Answer::Nothing(Nothing::Cancelled);
                    let came = Came {
                        outcome,
                        usage,
                        answer,
                        value: None,
                    };
                    self.settle_call(token, came, now, out);
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
        self.rewind_on(now, out);
        self.settle_down(now, out);
    }

    pub(super) fn attempt_failed(
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
            call.past()
                .iter()
                .filter(|past| {
                    matches!(past.end, PastEnd::Failed(kind) if kind != FailureKind::ByPerson)
                })
                .count() as u32
        }) + 1;
        let key = self
            .state
            .call(token.call)
            .map_or_else(Digest::default, |call| call.key);
        let cause = if ours {
            Cause::Engine
        } else {
            Cause::Agent(&failure)
        };
        let asked = self.retries.get(&token.call);
        let jitter = restart::jitter(key, failures);
        let retry = restart::retry_after(cause, asked, failures, jitter);
        match retry {
            Some(after) if !matches!(&self.stage, Stage::Ending(end) if !end.resumable) => {
                let failed = AttemptFailed {
                    call: token.call,
                    attempt: token.attempt,
                    failure,
                    usage,
                    retry_at: now.saturating_add(after),
                };
                self.close_queue(token.call, failed.failure.kind, failed.retry_at);
                self.append(Record::AttemptFailed(Box::new(failed)), now, out);
                out.act(self.state.next, Action::RetryAfter(token.call, after));
            }
            _ => {
                let answer = Answer::Nothing(Nothing::Failed {
                    kind: failure.kind,
                    message: failure.message.as_str().into(),
                });
                let outcome = Outcome::Failed(failure);
                let came = Came {
                    outcome,
                    usage,
                    answer,
                    value: None,
                };
                self.settle_call(token, came, now, out);
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
        if let Some(rest) = self.open_queue_of(call, now) {
            out.act(self.state.next, Action::RetryAfter(call, rest));
        }
        let waits = self
            .state
            .call(call)
            .is_some_and(|call| matches!(call.status, CallStatus::Backoff { .. }));
        let waits = waits && self.held_answer(call).is_none();
        if waits && !self.waiting.contains(&call) {
            self.waiting.push_back(call);
        }
        self.start_waiting(now, permits, out);
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
        let script = match script {
            Ok(value) if self.is_as_in_base(call, &value) => {
                self.rewind_on(now, out);
                return;
            }
            script => script,
        };
        if let Some(rewind) = &mut self.rewind {
            rewind.miss(call);
        }
        match script {
            Ok(value) => {
                let token = self.token(call, Attempt(0));
                let outcome = Outcome::Completed(value.stored.clone());
                let answer = Answer::Value(Arc::clone(&value.text));
                let usage = Usage::default();
                let came = Came {
                    outcome,
                    usage,
                    answer,
                    value: Some(value),
                };
                self.settle_call(token, came, now, out);
            }
            Err(message) => self.refuse(call, "WORKFLOW", message, now, out),
        }
        self.rewind_on(now, out);
    }

    /// A timer's time has come.
    pub fn timer_due(&mut self, timer: TimerNumber, now: Millis, out: &mut Output) {
        // A paused run's timers fire when it goes on.
        if matches!(self.stage, Stage::Live | Stage::Pausing(_))
            && let Some(armed) = self.timers.remove(&timer)
        {
            let elapsed = TimerElapsed {
                timer,
                key: armed.key,
                time: now.max(self.state.last_at),
                from: None,
            };
            let record = Record::TimerElapsed(elapsed);
            self.settle(record, Target::Timer(timer), Answer::Fired, None, now, out);
            self.rewind_on(now, out);
        }
    }

    pub(super) fn settle_call(
        &mut self,
        token: FencingToken,
        came: Came,
        now: Millis,
        out: &mut Output,
    ) {
        self.retries.remove(&token.call);
        let settled = CallSettled {
            call: token.call,
            attempt: token.attempt,
            outcome: came.outcome,
            usage: came.usage,
        };
        let record = Record::CallSettled(Box::new(settled));
        let target = Target::Call(token.call);
        self.settle(record, target, came.answer, came.value, now, out);
    }

    /// Records an answer and gives it to the script, if that still wants any. In a rewind it waits while the base may have
    /// one that comes first.
    pub(super) fn settle(
        &mut self,
        record: Record,
        target: Target,
        answer: Answer,
        packed: Option<Packed>,
        now: Millis,
        out: &mut Output,
    ) {
        let held = Held {
            record,
            target,
            answer,
            packed,
        };
        if self.base_comes_first() {
            self.held.push_back(held);
        } else {
            self.settle_now(held, now, out);
        }
    }

    /// As [`Machine::settle`], at once.
    pub(super) fn settle_now(&mut self, held: Held, now: Millis, out: &mut Output) {
        let target = held.target;
        if self.tell(held, now, out)
            && let (Some(rewind), Target::Call(call)) = (&mut self.rewind, target)
        {
            rewind.miss(call);
            rewind.settled();
        }
    }

    /// Records an answer, whosever it is, and gives it to the script if that still wants any. `false` when it cannot stand there.
    pub(super) fn tell(&mut self, held: Held, now: Millis, out: &mut Output) -> bool {
        let Held {
            record,
            target,
            answer,
            packed,
        } = held;
        let position = self.state.next;
        let Some(version) = version_of(&self.state, &self.pures, &record, target) else {
            return false;
        };
        if !self.append(record, now, out) {
            return false;
        }
        if let Target::Call(call) = target {
            self.learn(call, now, out);
        }
        if let Some(packed) = &packed {
            out.attach(position, packed);
        }
        if self.wants_script() {
            self.delivered = position.next();
            let time = self.state.turn_time;
            self.owed.push_back((self.state.turns, time));
            let settlement = Settlement {
                target,
                answer,
                time,
                version,
                spent: self.state.settled_output_tokens,
                about: about(&self.state, target),
            };
            out.act(position, Action::Deliver(settlement));
        }
        true
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
            message: past.message.clone(),
        })
        .collect()
}
