//! One record further. Every check stands before the first change, so that a refused record leaves the state as it was.

use std::sync::Arc;

use super::call::{CallState, CallStatus, PastEnd};
use super::{GenerationState, PhaseState, Recovery, RunState};
use crate::codec::Entry;
use crate::id::{Attempt, CallNumber, Generation, Position};
use crate::record::{
    AttemptAdopted, AttemptFailed, AttemptStarted, CallKind, CallRefused, CallReused,
    CallScheduled, CallSettled, ChangesKept, Failure, FailureKind, GenerationOpened,
    GenerationRewound, Kind, Millis, OrchestratorLost, Order, Outcome, PhaseEntered, Record,
    Recovered, RunEnded, RunLimits, RunStarted, Status, StatusChanged, StepNoted, Usage,
};
use crate::text::{self, Text};

/// A record that cannot follow those before it: the journal is damaged, or whoever wrote it is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {position} ({}) cannot stand here: expected {expected}", kind.name())]
pub struct IllegalRecord {
    /// Where it stands.
    pub position: Position,
    /// What it is.
    pub kind: Kind,
    /// What could have stood there.
    pub expected: String,
}

impl RunState {
    /// One record further.
    ///
    /// # Errors
    /// [`IllegalRecord`] when the record cannot follow those before it; the state is as it was then.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), IllegalRecord> {
        let Entry {
            position,
            at,
            chain,
            record,
        } = entry;
        let illegal = |expected: String| IllegalRecord {
            position: *position,
            kind: record.kind(),
            expected,
        };
        if *position != self.next {
            return Err(illegal(format!("position {}", self.next)));
        }
        self.check_place(record).map_err(illegal)?;
        match record {
            Record::RunStarted(started) => self.run_started(started, *at),
            Record::GenerationOpened(opened) => self.generation_opened(opened, *position, *at),
            Record::CallScheduled(call) => {
                self.call_scheduled(call, *position, *at).map_err(illegal)?;
            }
            Record::AttemptStarted(started) => {
                self.attempt_started(*started, *at).map_err(illegal)?;
            }
            Record::AttemptAdopted(adopted) => {
                self.attempt_adopted(adopted, *position).map_err(illegal)?;
            }
            Record::AttemptFailed(failed) => self.attempt_failed(failed, *at).map_err(illegal)?,
            Record::CallSettled(settled) => {
                self.call_settled(settled, *position, *at)
                    .map_err(illegal)?;
            }
            Record::TimerFired(_) => self.timer_fired(*at),
            Record::CallRefused(refused) => {
                self.call_refused(refused, *position, *at)
                    .map_err(illegal)?;
            }
            Record::Logged(logged) => self.shown(logged.turn, logged.ordinal),
            Record::PhaseEntered(entered) => self.phase_entered(entered, *at),
            Record::StatusChanged(changed) => self.status_changed(changed, *at).map_err(illegal)?,
            Record::Recovered(recovered) => {
                self.recovered(*recovered, *position, *at)
                    .map_err(illegal)?;
            }
            Record::OrchestratorLost(lost) => self.orchestrator_lost(lost),
            Record::RunEnded(ended) => self.run_ended(ended, *position, *at).map_err(illegal)?,
            Record::ChangesKept(kept) => self.changes_kept(kept, *position).map_err(illegal)?,
            Record::StepNoted(noted) => self.step_noted(noted, *position).map_err(illegal)?,
            Record::Noticed(noticed) => {
                self.noticed.insert(noticed.text.clone());
            }
            Record::GenerationRewound(rewound) => {
                self.generation_rewound(rewound, *position, *at);
            }
            Record::CallReused(reused) => {
                self.call_reused(reused, *position, *at).map_err(illegal)?;
            }
            Record::UsageCounted(counted) => self.usage_counted(counted).map_err(illegal)?,
            Record::ModelAsked(asked) => self.model_asked(asked).map_err(illegal)?,
            Record::TimerElapsed(elapsed) => self.timer_fired(elapsed.time),
            Record::Ordered(ordered) => self.ordered(&ordered.order, *position),
            // When a timer wakes is its own affair.
            Record::TimerArmed(_) => {}
        }
        self.next = position.next();
        self.head = *chain;
        self.last_at = self.last_at.max(*at);
        Ok(())
    }

    /// Whether a record of this kind can stand here at all, by what state the run is in.
    fn check_place(&self, record: &Record) -> Result<(), String> {
        let generation = self.generation.as_ref().map(|generation| generation.number);
        match record {
            Record::RunStarted(_) => match &self.started {
                None => Ok(()),
                Some(_) => Err("no second start of the run".to_owned()),
            },
            Record::GenerationOpened(opened) => self.check_generation(opened),
            Record::GenerationRewound(rewound) => {
                if rewound.opened.base.is_none() {
                    return Err("a generation that says what it is rewound from".to_owned());
                }
                if rewound.epoch < self.epoch {
                    let epoch = rewound.epoch;
                    return Err(format!("an epoch from {} on, not {epoch}", self.epoch));
                }
                self.check_generation(&rewound.opened)
            }
            Record::Recovered(_) if self.is_resumable() => Ok(()),
            Record::StatusChanged(_)
            | Record::Recovered(_)
            | Record::OrchestratorLost(_)
            | Record::RunEnded(_)
            | Record::Logged(_)
            | Record::Noticed(_)
            | Record::Ordered(_) => {
                if self.started.is_none() {
                    Err("the start of the run".to_owned())
                } else {
                    self.check_not_final()
                }
            }
            Record::CallScheduled(_)
            | Record::AttemptStarted(_)
            | Record::AttemptAdopted(_)
            | Record::UsageCounted(_)
            | Record::ModelAsked(_)
            | Record::AttemptFailed(_)
            | Record::CallSettled(_)
            | Record::TimerFired(_)
            | Record::CallRefused(_)
            | Record::PhaseEntered(_)
            | Record::ChangesKept(_)
            | Record::StepNoted(_)
            | Record::CallReused(_)
            | Record::TimerElapsed(_)
            | Record::TimerArmed(_) => {
                if self.started.is_none() {
                    Err("the start of the run".to_owned())
                } else if generation.is_none() {
                    Err("generation 1".to_owned())
                } else if matches!(self.status, Status::Stopped | Status::Killed) {
                    Err(format!(
                        "the resumption of the run, which is {}",
                        self.status.name()
                    ))
                } else {
                    self.check_not_final()
                }
            }
        }
    }

    fn check_generation(&self, opened: &GenerationOpened) -> Result<(), String> {
        let generation = self.generation.as_ref().map(|generation| generation.number);
        let next = generation.map_or(Generation(1), Generation::next);
        if self.started.is_none() {
            Err("the start of the run".to_owned())
        } else if opened.number == next {
            Ok(())
        } else {
            Err(format!("generation {next}"))
        }
    }

    fn check_not_final(&self) -> Result<(), String> {
        if self.status.is_final() {
            Err(format!(
                "a new generation, since the run is {}",
                self.status.name()
            ))
        } else {
            Ok(())
        }
    }

    fn run_started(&mut self, started: &RunStarted, at: Millis) {
        self.started = Some(Arc::new(started.clone()));
        self.started_at = Some(at);
    }

    fn generation_opened(&mut self, opened: &GenerationOpened, position: Position, at: Millis) {
        // Of the generation before, only what was used stays: its calls are in its records.
        self.calls = Vec::new();
        self.phases = Vec::new();
        self.phase_index.clear();
        self.turns = 0;
        self.turn_time = opened.time;
        self.last_shown = None;
        self.settled_output_tokens = 0;
        self.counts = super::Counts::default();
        self.changes.clear();
        self.notes.clear();
        self.adopted.clear();
        self.left_at_work = std::mem::take(&mut self.at_work);
        self.left_models = std::mem::take(&mut self.models);
        self.to_stop.clear();
        self.answers.clear();
        self.orchestrator_losses = Vec::new();
        self.status = Status::Queued;
        self.status_reason = None;
        self.ended_at = None;
        self.ended_by = None;
        self.result = None;
        self.error = None;
        let script_hash = match &opened.script {
            Text::Inline(script) => text::hash(script),
            Text::Payload(reference) | Text::Shared(reference) => reference.hash,
        };
        self.generation = Some(GenerationState {
            number: opened.number,
            base: opened.base,
            opened: position,
            opened_at: at,
            script: opened.script.clone(),
            script_hash,
            args: opened.args.clone(),
            vm_identity: opened.vm_identity,
            seed: opened.seed,
            time: opened.time,
            policy: opened.policy,
            dirty: opened.dirty.as_slice().into(),
            budget_total: opened.budget_total,
            keep_failed: false,
            options: None,
        });
    }

    fn generation_rewound(&mut self, rewound: &GenerationRewound, position: Position, at: Millis) {
        self.generation_opened(&rewound.opened, position, at);
        self.epoch = rewound.epoch;
        // They are in the generation's options now.
        self.limits = RunLimits::default();
        if let Some(generation) = &mut self.generation {
            generation.keep_failed = rewound.keep_failed;
            generation.options = Some(rewound.options.clone());
        }
        if let Some(started) = &mut self.started
            && started.script_path != rewound.script_path
        {
            Arc::make_mut(started)
                .script_path
                .clone_from(&rewound.script_path);
        }
    }

    /// The script has done something, so a run that was only accepted is running.
    fn script_moved(&mut self) {
        if self.status == Status::Queued {
            self.status = Status::Running;
        }
    }

    fn check_new_call(&self, call: CallNumber) -> Result<(), String> {
        let next = self.next_call();
        if call == next {
            Ok(())
        } else {
            Err(format!("call {next}, not {call}"))
        }
    }

    fn call_scheduled(
        &mut self,
        scheduled: &CallScheduled,
        position: Position,
        at: Millis,
    ) -> Result<(), String> {
        self.check_new_call(scheduled.call)?;
        if scheduled.turn > self.turns {
            return Err(format!(
                "a turn up to {}, not {}",
                self.turns, scheduled.turn
            ));
        }
        let phase = scheduled
            .phase
            .as_ref()
            .map(|title| self.phase(title, None));
        self.calls.push(CallState {
            key: scheduled.key,
            label: scheduled.label.clone(),
            phase,
            line: scheduled.line,
            ..CallState::new(scheduled.kind, position, at)
        });
        if scheduled.kind == CallKind::Agent {
            self.counts.issue();
        }
        self.script_moved();
        Ok(())
    }

    /// The one copy of a phase's title that all its calls share.
    fn phase(&mut self, title: &Arc<str>, entered_at: Option<Millis>) -> Arc<str> {
        let next = self.phases.len();
        let index = *self.phase_index.entry(Arc::clone(title)).or_insert(next);
        if index == next {
            self.phases.push(PhaseState {
                title: Arc::clone(title),
                entered_at,
            });
        }
        let phase = &mut self.phases[index];
        phase.entered_at = phase.entered_at.or(entered_at);
        Arc::clone(&phase.title)
    }

    /// The call, if it has no answer yet.
    pub(super) fn open_call(&mut self, number: CallNumber) -> Result<&mut CallState, String> {
        let issued = self.calls.len();
        let call = self
            .calls
            .get_mut(number.0 as usize)
            .ok_or_else(|| format!("one of the {issued} calls issued, not call {number}"))?;
        if call.status.is_settled() {
            let status = call.status.name();
            return Err(format!(
                "nothing more about call {number}, which is {status}"
            ));
        }
        Ok(call)
    }

    fn attempt_started(&mut self, started: AttemptStarted, at: Millis) -> Result<(), String> {
        let AttemptStarted {
            call: number,
            attempt,
        } = started;
        let call = self.open_call(number)?;
        let next = call.attempt().next();
        if call.status == CallStatus::Running {
            return Err(format!(
                "the end of attempt {} of call {number}",
                call.attempts
            ));
        }
        if attempt != next {
            return Err(format!("attempt {next} of call {number}, not {attempt}"));
        }
        call.status = CallStatus::Running;
        call.attempts = attempt.0;
        call.started_at = Some(at);
        self.script_moved();
        Ok(())
    }

    fn attempt_adopted(
        &mut self,
        adopted: &AttemptAdopted,
        position: Position,
    ) -> Result<(), String> {
        let number = adopted.call;
        let call = self.open_call(number)?;
        if call.status != CallStatus::Waiting || call.attempts > 0 {
            return Err(format!("call {number} before its first attempt"));
        }
        if adopted.attempt == Attempt(0) {
            return Err("an attempt from 1 on".to_owned());
        }
        call.status = CallStatus::Running;
        call.attempts = adopted.attempt.0;
        call.started_at = Some(adopted.started_at);
        if !adopted.notes.is_empty() {
            let notes = adopted.notes.iter();
            let notes = notes.map(|note| (position, note.clone())).collect();
            self.notes.insert(number, notes);
        }
        self.adopted.insert(number, adopted.idempotency_key);
        if let Some(model) = self.left_models.remove(&adopted.from) {
            self.models.insert(number, model);
        }
        if let Some(counted) = self.left_at_work.remove(&adopted.from) {
            // It was paid in the generation before; here it is part of what the call has used.
            self.at_work.insert(number, counted);
            self.count_for_call(number, counted);
        }
        Ok(())
    }

    /// The call, if just this attempt of it is running.
    pub(super) fn running_call(
        &mut self,
        number: CallNumber,
        attempt: Attempt,
    ) -> Result<&mut CallState, String> {
        let call = self.open_call(number)?;
        if call.status != CallStatus::Running {
            return Err(format!(
                "a start of attempt {} of call {number}",
                call.attempt().next()
            ));
        }
        if call.attempt() != attempt {
            return Err(format!(
                "attempt {} of call {number}, not {attempt}",
                call.attempts
            ));
        }
        Ok(call)
    }

    fn attempt_failed(&mut self, failed: &AttemptFailed, at: Millis) -> Result<(), String> {
        let AttemptFailed {
            call,
            attempt,
            failure,
            usage,
            retry_at,
        } = failed;
        let call = self.running_call(*call, *attempt)?;
        call.put_by(PastEnd::Failed(failure.kind), failure.message.clone(), at);
        call.status = CallStatus::Backoff { until: *retry_at };
        self.attempt_used(failed.call, *usage);
        Ok(())
    }

    fn call_settled(
        &mut self,
        settled: &CallSettled,
        position: Position,
        at: Millis,
    ) -> Result<(), String> {
        let CallSettled {
            call: number,
            attempt,
            outcome,
            usage,
        } = settled;
        let call = self.open_call(*number)?;
        let without_attempt = !call.kind.has_attempts() && *attempt == Attempt(0);
        let needs_attempt = matches!(outcome, Outcome::Completed(_)) && !without_attempt;
        if call.status == CallStatus::Running || needs_attempt {
            self.running_call(*number, *attempt)?;
        } else if *attempt != Attempt(0) && *attempt != call.attempt() {
            return Err(format!(
                "attempt {} of call {number}, not {attempt}",
                call.attempts
            ));
        }
        let (status, failure) = ending(outcome);
        self.settle(*number, status, failure, *usage, position, at);
        self.turn(at);
        Ok(())
    }

    fn call_refused(
        &mut self,
        refused: &CallRefused,
        position: Position,
        at: Millis,
    ) -> Result<(), String> {
        let CallRefused {
            call: number,
            code,
            message,
        } = refused;
        if *number == self.next_call() {
            self.calls
                .push(CallState::new(CallKind::Agent, position, at));
            self.counts.issue();
        } else {
            let call = self.open_call(*number)?;
            if call.status != CallStatus::Waiting || call.attempts > 0 {
                return Err(format!("no refusal of call {number}, which was begun"));
            }
        }
        let failure = Failure {
            kind: FailureKind::Refused,
            message: format!("{code}: {message}"),
            evidence: None,
            retry_after: None,
        };
        let used = Usage::default();
        self.settle(
            *number,
            CallStatus::Refused,
            Some(failure),
            used,
            position,
            at,
        );
        self.turn(at);
        self.script_moved();
        Ok(())
    }

    fn call_reused(
        &mut self,
        reused: &CallReused,
        position: Position,
        at: Millis,
    ) -> Result<(), String> {
        let from_base = self
            .generation
            .as_ref()
            .is_some_and(|open| open.base.is_some());
        if !from_base {
            return Err("an answer of this generation, which has no base".to_owned());
        }
        let number = reused.call;
        let call = self.open_call(number)?;
        if call.status != CallStatus::Waiting || call.attempts > 0 {
            return Err(format!("no reuse for call {number}, which was begun"));
        }
        call.attempts = reused.attempts;
        call.reused_from = Some(reused.from);
        let is_agent = call.kind == CallKind::Agent;
        let (status, failure) = ending(&reused.outcome);
        let spent = Usage::default();
        self.settle(number, status, failure, spent, position, at);
        self.turn(reused.time);
        // The script sees what it cost; nobody pays it again.
        self.calls[number.0 as usize].usage = reused.usage;
        self.settled_output_tokens = self
            .settled_output_tokens
            .saturating_add(reused.usage.output_tokens);
        if is_agent && status == CallStatus::Completed {
            self.counts.reused += 1;
        }
        self.script_moved();
        Ok(())
    }

    fn settle(
        &mut self,
        number: CallNumber,
        status: CallStatus,
        failure: Option<Failure>,
        usage: Usage,
        position: Position,
        at: Millis,
    ) {
        let call = &mut self.calls[number.0 as usize];
        call.status = status;
        call.failure = failure.map(Box::new);
        call.ended_at = Some(at);
        call.settled = Some(position);
        if call.kind == CallKind::Agent {
            self.counts.settle(status);
        }
        self.attempt_used(number, usage);
        self.settled_output_tokens = self
            .settled_output_tokens
            .saturating_add(self.calls[number.0 as usize].usage.output_tokens);
        self.notes.remove(&number);
        self.adopted.remove(&number);
        self.to_stop.remove(&number);
    }

    /// A settlement begins a turn at this time.
    fn turn(&mut self, time: Millis) {
        self.turns += 1;
        self.turn_time = self.turn_time.max(time);
    }

    fn changes_kept(&mut self, kept: &ChangesKept, position: Position) -> Result<(), String> {
        let rewinds = self
            .generation
            .as_ref()
            .is_some_and(|open| open.base.is_some());
        let call = self.open_call(kept.call)?;
        // Those of a call of the base stand before its reuse.
        let is_to_be_reused = rewinds && call.status == CallStatus::Waiting && call.attempts == 0;
        let has_begun = call.status == CallStatus::Running && kept.attempt.0 <= call.attempts;
        if !has_begun && !is_to_be_reused {
            return Err(format!(
                "changes of an attempt of call {} that has begun, while one is running",
                kept.call
            ));
        }
        let kept = (position, Arc::new(kept.clone()));
        self.changes.entry(kept.1.call).or_default().push(kept);
        Ok(())
    }

    fn step_noted(&mut self, noted: &StepNoted, position: Position) -> Result<(), String> {
        self.running_call(noted.call, noted.attempt)?;
        let note = (position, noted.note.clone());
        self.notes.entry(noted.call).or_default().push(note);
        Ok(())
    }

    fn timer_fired(&mut self, time: Millis) {
        self.turn(time);
        self.script_moved();
    }

    fn shown(&mut self, turn: u64, ordinal: u32) {
        self.last_shown = self.last_shown.max(Some((turn, ordinal)));
        self.script_moved();
    }

    fn phase_entered(&mut self, entered: &PhaseEntered, at: Millis) {
        self.phase(&entered.title, Some(at));
        self.shown(entered.turn, entered.ordinal);
    }

    /// What an order about an agent led to stands in the records behind it. An answer may wait for its place in the order
    /// of answers, so it is kept.
    fn ordered(&mut self, order: &Order, position: Position) {
        match order {
            Order::StopAgent(call) => {
                self.to_stop.insert(*call);
            }
            Order::SetLimits(limits) => {
                self.limits.concurrency = limits.concurrency.or(self.limits.concurrency);
                self.limits.agents = limits.agents.or(self.limits.agents);
            }
            Order::Answer(call, answer) => {
                self.answers.insert(*call, (position, answer.clone()));
            }
            Order::SkipAgent(_) | Order::RestartAgent(_) => {}
        }
    }

    fn status_changed(&mut self, changed: &StatusChanged, at: Millis) -> Result<(), String> {
        match changed.status {
            Status::Interrupted => return Err("a status that can be recorded".to_owned()),
            Status::Completed | Status::Degraded | Status::Failed => {
                return Err(format!(
                    "the end of the run, to be {}",
                    changed.status.name()
                ));
            }
            Status::Stopped | Status::Killed | Status::Quarantined => {
                self.ended_at = Some(at);
                self.ended_by = Some(changed.by.clone());
            }
            Status::Queued
            | Status::Running
            | Status::Pausing
            | Status::Paused
            | Status::Waiting
            | Status::Stopping => {
                self.ended_at = None;
                self.ended_by = None;
            }
        }
        self.status = changed.status;
        self.status_reason.clone_from(&changed.reason);
        Ok(())
    }

    fn recovered(
        &mut self,
        recovered: Recovered,
        position: Position,
        at: Millis,
    ) -> Result<(), String> {
        let Recovered { epoch } = recovered;
        if epoch < self.epoch {
            return Err(format!("an epoch from {} on, not {epoch}", self.epoch));
        }
        let why = match self.status {
            Status::Stopping | Status::Stopped => "the run was stopped",
            Status::Killed => "the run was killed",
            Status::Failed => "a limit ended the script",
            _ => "its engine went away",
        };
        let mut interrupted = 0;
        for call in self
            .calls
            .iter_mut()
            .filter(|call| call.status == CallStatus::Running)
        {
            call.put_by(PastEnd::Interrupted, why.to_owned(), at);
            call.status = CallStatus::Waiting;
            interrupted += 1;
        }
        if matches!(
            self.status,
            Status::Stopping | Status::Stopped | Status::Killed | Status::Failed
        ) {
            self.status = Status::Running;
            self.status_reason = None;
            self.error = None;
        }
        self.at_work.clear();
        self.ended_at = None;
        self.ended_by = None;
        self.epoch = epoch;
        self.counts.reused = self.counts.completed;
        let reused = self.counts.reused;
        self.recoveries.push(Recovery {
            position,
            at,
            epoch,
            reused,
            interrupted,
        });
        Ok(())
    }

    fn orchestrator_lost(&mut self, lost: &OrchestratorLost) {
        self.orchestrator_losses
            .push((lost.at, lost.message.clone()));
    }

    fn run_ended(
        &mut self,
        ended: &RunEnded,
        position: Position,
        at: Millis,
    ) -> Result<(), String> {
        let stops = matches!(ended.status, Status::Stopped | Status::Killed);
        if !ended.status.is_final() && !stops {
            return Err(format!(
                "a status that ends the run, not {}",
                ended.status.name()
            ));
        }
        self.status = ended.status;
        self.status_reason = None;
        self.ended_at = Some(at);
        self.ended_by = Some(ended.by.clone());
        self.result = ended.result.clone().map(|text| (position, text));
        self.error.clone_from(&ended.error);
        Ok(())
    }
}

/// How a call stands with this answer, and why it failed if it did.
fn ending(outcome: &Outcome) -> (CallStatus, Option<Failure>) {
    match outcome {
        Outcome::Completed(_) => (CallStatus::Completed, None),
        Outcome::Failed(failure) => (CallStatus::Failed, Some(failure.clone())),
        Outcome::Skipped => (CallStatus::Skipped, None),
        Outcome::Cancelled(_) => (CallStatus::Cancelled, None),
    }
}
