//! The supervisor's hands: each action of the machine, when the records that it depends on are durable.

use std::sync::Arc;
use std::time::Duration;

use bellwether_journal::codec;
use bellwether_journal::error::{Damage, StoreError};
use bellwether_journal::id::{CallNumber, FencingToken, Position, RunId};
use bellwether_journal::read;
use bellwether_journal::record::{Record, Usage};
use bellwether_journal::store::Store;
use bellwether_journal::text;
use ractor::ActorRef;

use super::keys::Resolved;
use super::message::{Child, Message};
use super::output::{Action, Given, Source, Start, Work};
use super::questions::Asked;
use super::replay::{self, ReplayError};
use super::rewind;
use super::supervisor::State;
use crate::backend::{AgentBackend, Task};
use crate::pool::{self, End};

impl State {
    pub(super) fn act(&mut self, myself: &ActorRef<Message>, position: Position, action: Action) {
        match action {
            Action::Deliver(_) | Action::Recall(..) => {
                tracing::error!("an answer waited to be durable");
            }
            Action::Start(start) => match start.work.clone() {
                Work::AtHand(prompt, resolved) => self.start(*start, prompt, &resolved),
                Work::InJournal(scheduled) => self.fetch(myself, start, scheduled),
            },
            Action::Load(call, source) => self.load(myself, call, source),
            Action::Ask(call, source, given) => self.ask(myself, call, source, given),
            Action::ArmDeadline(call, at) => {
                let wait = at.saturating_sub(self.surroundings.clock.now());
                let (myself, round) = (myself.clone(), self.round);
                let task = tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                    let _ = myself.cast(Message::DeadlineDue(round, call));
                });
                if let Some(earlier) = self.deadlines.insert(call, task) {
                    earlier.abort();
                }
            }
            Action::DisarmDeadline(call) => {
                if let Some(task) = self.deadlines.remove(&call) {
                    task.abort();
                }
            }
            Action::RetryAfter(call, after) => {
                let round = self.round;
                myself.send_after(Duration::from_millis(after), move || {
                    Message::RetryDue(round, call)
                });
            }
            Action::Arm(timer, at) => {
                let wait = at.saturating_sub(self.surroundings.clock.now());
                let (myself, round) = (myself.clone(), self.round);
                let task = tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                    let _ = myself.cast(Message::TimerDue(round, timer));
                });
                if let Some(earlier) = self.timers.insert(timer, task) {
                    earlier.abort();
                }
            }
            Action::Disarm(timer) => {
                if let Some(task) = self.timers.remove(&timer) {
                    task.abort();
                }
            }
            Action::Adopted(token) => {
                if let Some(used) = self.used_held.remove(&token) {
                    self.used(token, used);
                }
                let held = std::mem::take(&mut self.notes_held);
                for (whose, note, reply) in held {
                    if whose == token {
                        self.noted(token, note, reply);
                    } else {
                        self.notes_held.push((whose, note, reply));
                    }
                }
            }
            Action::Disowned(token) => {
                self.used_held.remove(&token);
                self.notes_held.retain(|(whose, ..)| *whose != token);
                self.tell_pool(pool::Message::Cancel(token, self.grace));
            }
            Action::CancelAgent(token) => {
                self.tell_pool(pool::Message::Cancel(token, self.grace));
            }
            Action::CancelAgents => self.tell_pool(pool::Message::CancelAll(self.grace)),
            Action::KillAgents => self.tell_pool(pool::Message::KillAll),
            Action::DropScript => {
                if let Some(orchestrator) = self.orchestrator.take() {
                    orchestrator.stop(None);
                }
                self.answers.clear();
                self.turns_owed = 0;
            }
            Action::RebuildScript => {
                let wait = self.rebuild_after;
                self.rebuild_until = position;
                myself.send_after(wait, || Message::Restart(Child::Orchestrator));
            }
            Action::Finish => self.finish(myself),
        }
    }

    pub(super) fn tell_pool(&self, message: pool::Message) {
        if let Some(pool) = &self.pool
            && pool.cast(message).is_err()
        {
            tracing::debug!(run = %self.run, "the agent pool is gone: its end is on its way");
        }
    }

    pub(super) fn start(&mut self, start: Start, prompt: Arc<str>, resolved: &Arc<Resolved>) {
        if !self.is_wanted(start.token) {
            return;
        }
        let backend = match &resolved.backend {
            Ok(backend) => Arc::clone(backend),
            Err(refusal) => {
                let lost = End::Lost(refusal.message.clone());
                self.decide(|machine, now, permits, out| {
                    machine.ended(start.token, lost, now, permits, out);
                });
                return;
            }
        };
        self.machine
            .retry(start.token.call, resolved.options.retries.as_ref());
        let own = resolved.options.allowance();
        let allowance = self.machine.reserve(start.token.call, own);
        let task = Arc::new(Task {
            token: start.token,
            idempotency_key: start.idempotency_key,
            previous_attempts: start.previous_attempts,
            prompt,
            options: resolved.options.clone(),
            label: start.label,
            phase: start.phase,
            working_directory: self.working_directory.clone(),
            journal: self.surroundings.journal_identity,
            notes: start.notes,
            allowance,
            models: None,
            violations: Vec::new(),
            previous_answer: None,
        });
        self.send_to_pool(backend, task);
    }

    /// Whether an attempt that took its time to begin is still to begin: the run may have been stopped meanwhile, or the
    /// attempt given up.
    fn is_wanted(&mut self, token: FencingToken) -> bool {
        if !self.machine.is_current(token) {
            return false;
        }
        let wanted = self.machine.wants_script() && !self.machine.is_to_end(token.call);
        if !wanted {
            let cancelled = End::Cancelled(Usage::default());
            self.decide(|machine, now, permits, out| {
                machine.ended(token, cancelled, now, permits, out);
            });
        }
        wanted
    }

    /// Starts what had waited for a pool.
    pub(super) fn start_waiting(&mut self) {
        for (backend, task) in std::mem::take(&mut self.starts) {
            if self.is_wanted(task.token) {
                self.send_to_pool(backend, task);
            }
        }
    }

    fn send_to_pool(&mut self, backend: Arc<dyn AgentBackend>, task: Arc<Task>) {
        match &self.pool {
            Some(pool) => {
                if pool.cast(pool::Message::Start(backend, task)).is_err() {
                    tracing::debug!(run = %self.run, "the agent pool is gone: its end is on its way");
                }
            }
            None => self.starts.push((backend, task)),
        }
    }

    fn fetch(&mut self, myself: &ActorRef<Message>, start: Box<Start>, scheduled: Position) {
        self.fetching += 1;
        let (store, run, myself) = (
            Arc::clone(&self.surroundings.store),
            self.run,
            myself.clone(),
        );
        tokio::task::spawn_blocking(move || {
            let fetched = read_work(store.as_ref(), run, scheduled);
            let _ = myself.cast(Message::Fetched(start, fetched));
        });
    }

    fn load(&self, myself: &ActorRef<Message>, call: CallNumber, source: Source) {
        let (store, run, myself) = (
            Arc::clone(&self.surroundings.store),
            self.run,
            myself.clone(),
        );
        let (load_script, round) = (Arc::clone(&self.load_script), self.round);
        tokio::task::spawn_blocking(move || {
            let named = match source {
                Source::AtHand(name, options) => Ok((name, options)),
                Source::InJournal(scheduled) => read_work(store.as_ref(), run, scheduled),
            };
            let script = named.map(|(name, options)| {
                load_script(&name, &options).map(|text| text::pack(text.into()))
            });
            let _ = myself.cast(Message::Loaded(round, call, script));
        });
    }

    /// Reads a question, with what was answered to it already.
    fn ask(
        &self,
        myself: &ActorRef<Message>,
        call: CallNumber,
        source: Source,
        given: Option<Given>,
    ) {
        let (store, run, myself) = (
            Arc::clone(&self.surroundings.store),
            self.run,
            myself.clone(),
        );
        let round = self.round;
        tokio::task::spawn_blocking(move || {
            let read = || {
                let (question, options) = match source {
                    Source::AtHand(question, options) => (question, options),
                    Source::InJournal(scheduled) => read_work(store.as_ref(), run, scheduled)?,
                };
                let given = match given {
                    Some((position, text)) => {
                        Some(read::resolve(store.as_ref(), run, position, &text)?)
                    }
                    None => None,
                };
                Ok(Asked {
                    question,
                    options,
                    given,
                })
            };
            let _ = myself.cast(Message::Asked(round, call, read()));
        });
    }

    /// Reads what the base answers.
    pub(super) fn recall(&mut self, myself: &ActorRef<Message>) {
        if self.recalls.is_empty() {
            return;
        }
        let recalls = std::mem::take(&mut self.recalls);
        let (store, myself) = (Arc::clone(&self.surroundings.store), myself.clone());
        let round = self.round;
        tokio::task::spawn_blocking(move || {
            let mut answers = Vec::new();
            let mut failed = None;
            for (call, place) in recalls {
                match rewind::recall(store.as_ref(), place.run, place.answer, place.changes) {
                    Ok(answer) => answers.push((call, answer)),
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
            }
            let _ = myself.cast(Message::Recalled(round, answers, failed));
        });
    }

    /// Makes a new VM from the journal, up to where the old one was lost.
    pub(super) fn rebuild(&self, myself: &ActorRef<Message>) {
        let (store, run, until) = (
            Arc::clone(&self.surroundings.store),
            self.run,
            self.rebuild_until,
        );
        let (keys, make_vm) = ((self.make_keys)(), Arc::clone(&self.make_vm));
        let generation = self.machine.generation();
        let (abandoned, myself) = (Arc::clone(&self.abandoned), myself.clone());
        tokio::task::spawn_blocking(move || {
            let recovered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let source = replay::Source {
                    store: store.as_ref(),
                    run,
                    generation,
                    until,
                    cancelled: &abandoned,
                };
                replay::recover(&source, keys, |state| make_vm(state, store.as_ref()))
            }));
            let recovered = recovered.unwrap_or_else(|panic| {
                Err(ReplayError::Crashed(crate::agent::text_of(panic.as_ref())))
            });
            let _ = myself.cast(Message::Rebuilt(recovered.map(Box::new)));
        });
    }
}

/// A call's prompt and options, from its record.
fn read_work(
    store: &dyn Store,
    run: RunId,
    scheduled: Position,
) -> Result<(Arc<str>, Arc<str>), StoreError> {
    let damage = || {
        Damage::new(format!(
            "run {run}: there is no call at position {scheduled}"
        ))
    };
    let rows = store.records(run, scheduled, 1)?;
    let row = rows.first().ok_or_else(damage)?;
    let entry = codec::decode(run, row.position, &row.bytes)?;
    let Record::CallScheduled(call) = entry.record else {
        return Err(damage().into());
    };
    let prompt = read::resolve(store, run, scheduled, &call.prompt)?;
    let options = read::resolve(store, run, scheduled, &call.options)?;
    Ok((prompt, options))
}
