//! The run's supervisor: owns its [`Machine`], performs what comes out, and is the only one that writes the run's records.
//!
//! What may not happen before a record is durable waits in `effects`, by position. What the script is told does not wait:
//! its commands join the commit that makes the answer durable, so a step in sequence is one commit.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bellwether_journal::batch::Submission;
use bellwether_journal::codec::Entry;
use bellwether_journal::id::{CallNumber, FencingToken, Position, RunId, TimerNumber};
use bellwether_journal::record::{Actor as By, Millis, Record, Status};
use bellwether_scripts::{Settlement, TurnStatus};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::adopt::Hearing;
use super::changeover::Still;
use super::keys::Keys;
use super::machine::{Machine, Permits};
pub use super::message::{
    Arguments, Beginning, Child, LoadScript, MakeVm, Message, Surroundings, TellAsked,
};
use super::orders::OrderError;
use super::output::{Action, Output};
use super::replay::{self, ReplayError};
use super::rewind::Place;
use crate::backend::{AgentBackend, Pressure, Progress, Task, Used, Word};
use crate::child;
use crate::journal::{self, Acknowledgement};
use crate::observe::{Observer, Report};
use crate::orchestrator::{self, Orchestrator};
use crate::pool::{self, AgentPool};
use crate::restart::{self, Exit, History, Verdict};
use crate::scheduler::{Granted, Permit, Scheduler};

/// An answer may wait so long for the turn that it begins, to share its commit; a script that computes for longer pays
/// with a commit of its own.
const COMMIT_TOGETHER: Duration = Duration::from_millis(5);

/// So many attempts are started before the others of the engine have their turn: a fan-out of thousands would else stand before
/// every step of every other run.
const STARTS_AT_ONCE: usize = 64;

/// The supervisor of a run.
pub struct RunSupervisor;

/// What the supervisor keeps.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a message that is on its way, or the end"
)]
pub struct State {
    pub(super) run: RunId,
    pub(super) surroundings: Surroundings,
    pub(super) machine: Machine,
    pub(super) make_vm: MakeVm,
    pub(super) make_keys: Arc<dyn Fn() -> Keys + Send + Sync>,
    pub(super) load_script: LoadScript,
    pub(super) tell_asked: TellAsked,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) progress: Progress,
    pub(super) working_directory: PathBuf,
    pub(super) grace: Duration,
    pub(super) journal: journal::Handle,
    pub(super) acknowledge: journal::Acknowledge,
    pub(super) granted: Arc<Granted>,
    pub(super) pool: Option<ActorRef<pool::Message>>,
    /// Attempts to start as soon as there is a pool again.
    pub(super) starts: Vec<(Arc<dyn AgentBackend>, Arc<Task>)>,
    pub(super) pool_history: History,
    pub(super) orchestrator: Option<ActorRef<orchestrator::Message>>,
    pub(super) orchestrator_history: History,
    /// Records decided and not yet sent to the writer.
    pub(super) output: Output,
    /// What waits for a position to be durable.
    pub(super) effects: VecDeque<(Position, Effect)>,
    /// Records of which those who watch are told when they are durable.
    pub(super) told_later: VecDeque<Entry>,
    pub(super) durable: Position,
    /// Answers that the VM was given and has not answered.
    pub(super) turns_owed: usize,
    pub(super) answers: Vec<Settlement>,
    /// Answers of the base to read.
    pub(super) recalls: Vec<(CallNumber, Place)>,
    pub(super) commit_timer: bool,
    /// A slice of the machine's backlog is in the mailbox.
    pub(super) working_off: bool,
    pub(super) timers: HashMap<TimerNumber, JoinHandle<()>>,
    /// When questions are answered without a person.
    pub(super) deadlines: HashMap<CallNumber, JoinHandle<()>>,
    pub(super) vm_idle: Duration,
    pub(super) rebuild_after: Duration,
    pub(super) rebuild_until: Position,
    /// Set to end a recovery that is under way.
    pub(super) abandoned: Arc<AtomicBool>,
    /// Who waits for the run's end.
    pub(super) stops: Vec<RpcReplyPort<()>>,
    pub(super) journal_failed: Option<String>,
    pub(super) finished: bool,
    /// How often the run was rewound here: what was set up to happen in an earlier round does not.
    pub(super) round: u32,
    pub(super) still: Still,
    /// What arrived while the run stood still and is to be heard before anything else.
    pub(super) unheard: VecDeque<Message>,
    /// Notes of attempts whose call may be still to come.
    pub(super) notes_held: Vec<(FencingToken, Arc<str>, oneshot::Sender<()>)>,
    /// The same of what was used.
    pub(super) used_held: HashMap<FencingToken, Used>,
    /// Attempts that are durable and whose prompt is being read.
    pub(super) fetching: usize,
    /// What is durable is done on when that message comes back.
    pub(super) start_on_sent: bool,
}

/// Something that waits for records to be durable.
pub(super) enum Effect {
    Act(Action),
    Answer(RpcReplyPort<()>),
    Ordered(RpcReplyPort<Result<(), OrderError>>, Result<(), OrderError>),
    Began(RpcReplyPort<bool>, bool),
    Report(Report),
}

impl Actor for RunSupervisor {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let pressure = arguments.surroundings.scheduler.pressure();
        let pool = spawn_pool(&myself, &arguments.progress, pressure, arguments.grace).await?;
        let orchestrator = spawn_orchestrator(&myself, arguments.vm_idle).await?;
        let run = arguments.machine.state().id;
        let acknowledged = myself.clone();
        let granted = myself.clone();
        let scheduler = arguments.surroundings.scheduler.clone();
        let granted: Granted = Box::new(move || {
            // A run that is gone has given its permits back.
            let _ = granted.cast(Message::Granted(Permit::new(scheduler.clone())));
        });
        let mut state = State {
            run,
            journal: journal::Handle::new(arguments.surroundings.writer.clone(), run),
            acknowledge: Arc::new(move |acknowledgement| {
                let _ = acknowledged.cast(Message::Acknowledged(acknowledgement));
            }),
            granted: Arc::new(granted),
            durable: arguments.machine.state().next,
            surroundings: arguments.surroundings,
            machine: arguments.machine,
            make_vm: arguments.make_vm,
            make_keys: arguments.make_keys,
            load_script: arguments.load_script,
            tell_asked: arguments.tell_asked,
            observer: arguments.observer,
            progress: arguments.progress,
            working_directory: arguments.working_directory,
            grace: arguments.grace,
            pool: Some(pool),
            starts: Vec::new(),
            pool_history: History::default(),
            orchestrator: Some(orchestrator),
            orchestrator_history: History::default(),
            output: Output::default(),
            effects: VecDeque::new(),
            told_later: VecDeque::new(),
            turns_owed: 0,
            answers: Vec::new(),
            recalls: Vec::new(),
            commit_timer: false,
            working_off: false,
            timers: HashMap::new(),
            deadlines: HashMap::new(),
            vm_idle: arguments.vm_idle,
            rebuild_after: Duration::ZERO,
            rebuild_until: Position(0),
            abandoned: arguments.abandoned,
            stops: Vec::new(),
            journal_failed: None,
            finished: false,
            round: 0,
            still: Still::No,
            unheard: VecDeque::new(),
            notes_held: Vec::new(),
            used_held: HashMap::new(),
            fetching: 0,
            start_on_sent: false,
        };
        state.limit_time(&myself, arguments.time_limit);
        state.begin(arguments.beginning);
        state.perform(&myself, Commit::Now);
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let mut next = Some(message);
        while let Some(message) = next {
            if let Some(message) = state.put_by(message) {
                let commit = state.take(&myself, message).await?;
                state.perform(&myself, commit);
                state.come_to_rest();
            }
            next = state.unheard.pop_front();
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        _state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        // The end overtakes the child's last message: what it said is handled first (`pool`).
        if let Some((child, exit, why)) = child::ended(event) {
            myself.cast(Message::Gone(child, exit, why.unwrap_or_default()))?;
        }
        Ok(())
    }
}

impl Drop for State {
    /// However the supervisor ends, its permits go back, or the other runs would starve.
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::Relaxed);
        self.surroundings.scheduler.forget(self.run);
        for _ in 0..self.machine.running() {
            self.surroundings.scheduler.give_back();
        }
        for (_, timer) in self.timers.drain() {
            timer.abort();
        }
        for (_, deadline) in self.deadlines.drain() {
            deadline.abort();
        }
    }
}

/// The run's permits, as its machine asks for them.
struct RunPermits<'a> {
    run: RunId,
    scheduler: &'a Scheduler,
    granted: &'a Arc<Granted>,
}

impl Permits for RunPermits<'_> {
    fn take(&mut self) -> bool {
        self.scheduler.take(self.run, self.granted)
    }

    fn give_back(&mut self) {
        self.scheduler.give_back();
    }

    fn forget(&mut self) {
        self.scheduler.forget(self.run);
    }
}

/// Whether what was decided must be sent to the writer at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commit {
    Now,
    /// It may wait for the turn that it begins.
    WithItsTurn,
}

impl State {
    /// Lets the machine decide: with the time, the permits and the output that collects what follows.
    pub(super) fn decide<T>(
        &mut self,
        decide: impl FnOnce(&mut Machine, Millis, &mut dyn Permits, &mut Output) -> T,
    ) -> T {
        let now = self.surroundings.clock.now();
        let mut permits = RunPermits {
            run: self.run,
            scheduler: &self.surroundings.scheduler,
            granted: &self.granted,
        };
        let decided = decide(&mut self.machine, now, &mut permits, &mut self.output);
        self.machine
            .disown_rest(now, &mut permits, &mut self.output);
        self.machine.tell_waiting(now, &mut self.output);
        decided
    }

    /// Ends the run when its time is over.
    pub(super) fn limit_time(&self, myself: &ActorRef<Message>, limit: Option<Millis>) {
        if let Some(limit) = limit {
            let round = self.round;
            myself.send_after(Duration::from_millis(limit), move || {
                Message::OutOfTime(round, limit)
            });
        }
    }

    pub(super) fn begin(&mut self, beginning: Beginning) {
        match beginning {
            Beginning::New(records, packed, start, by) => {
                self.decide(|machine, now, _, out| machine.begin(records, &packed, by, now, out));
                self.tell_orchestrator(orchestrator::Message::Start(start));
                self.turns_owed = 1;
            }
            Beginning::Recovered(vm, fresh, by, way) => {
                self.tell_orchestrator(orchestrator::Message::Adopt(vm));
                self.decide(|machine, now, permits, out| {
                    machine.go_on(fresh, by, way, now, permits, out);
                });
            }
            Beginning::Condemned(why) => {
                self.decide(|machine, now, permits, out| {
                    machine.condemn(&why, now, permits, out);
                });
            }
        }
    }

    async fn take(
        &mut self,
        myself: &ActorRef<Message>,
        message: Message,
    ) -> Result<Commit, ActorProcessingErr> {
        match message {
            Message::TimerDue(round, _)
            | Message::RetryDue(round, _)
            | Message::DeadlineDue(round, _)
            | Message::Loaded(round, ..)
            | Message::Asked(round, ..)
            | Message::Recalled(round, ..)
            | Message::OutOfTime(round, _)
                if round != self.round => {}
            Message::Turns(turns) => {
                let over = turns
                    .last()
                    .is_none_or(|turn| turn.status != TurnStatus::Running);
                self.turns_owed = if over {
                    0
                } else {
                    self.turns_owed.saturating_sub(turns.len())
                };
                self.decide(|machine, now, permits, out| machine.turns(turns, now, permits, out));
            }
            Message::WorkOff => {
                self.working_off = false;
                self.decide(|machine, now, permits, out| machine.work_off(now, permits, out));
            }
            Message::Ended(token, end, kept) => {
                self.decide(|machine, now, permits, out| {
                    machine.attempt_ended(token, end, kept, now, permits, out);
                });
                return Ok(Commit::WithItsTurn);
            }
            Message::Noted(token, note, reply) => self.noted(token, note, reply),
            Message::Used(token, used) => self.used(token, used),
            Message::Acknowledged(Acknowledgement::Durable(position)) => {
                self.durable = self.durable.max(position);
            }
            Message::Acknowledged(Acknowledgement::Failed(reason)) => self.journal_fails(reason),
            Message::Granted(permit) => {
                permit.keep();
                self.decide(|machine, now, permits, out| machine.granted(now, permits, out));
            }
            Message::StartOn => {
                tokio::task::yield_now().await;
                self.start_on_sent = false;
            }
            Message::CommitNow => self.commit_timer = false,
            Message::TimerDue(_, timer) => {
                self.timers.remove(&timer);
                self.decide(|machine, now, _, out| machine.timer_due(timer, now, out));
                return Ok(Commit::WithItsTurn);
            }
            Message::RetryDue(_, call) => {
                self.decide(|machine, now, permits, out| {
                    machine.retry_due(call, now, permits, out);
                });
            }
            Message::Loaded(_, _, Err(error)) | Message::Asked(_, _, Err(error)) => {
                self.journal_fails(error.to_string());
            }
            Message::Loaded(_, call, Ok(script)) => {
                self.decide(|machine, now, _, out| machine.loaded(call, script, now, out));
                return Ok(Commit::WithItsTurn);
            }
            Message::Asked(_, call, Ok(asked)) => {
                let is_open = self
                    .decide(|machine, now, _, out| machine.asked(call, asked.clone(), now, out));
                if is_open {
                    (self.tell_asked)(call, &asked);
                }
                return Ok(Commit::WithItsTurn);
            }
            Message::DeadlineDue(_, call) => {
                self.deadlines.remove(&call);
                self.decide(|machine, now, _, out| machine.deadline_due(call, now, out));
                return Ok(Commit::WithItsTurn);
            }
            Message::Fetched(start, Ok((prompt, options))) => {
                self.fetching = self.fetching.saturating_sub(1);
                let kind = self.machine.kind_of(start.token.call);
                let resolved = self.machine.resolve(kind, &options);
                self.start(*start, prompt, &resolved);
            }
            Message::Fetched(start, Err(error)) => {
                self.fetching = self.fetching.saturating_sub(1);
                // A journal that cannot be read never looks like a failed agent.
                if self.machine.never_started(start.token) {
                    self.surroundings.scheduler.give_back();
                }
                self.journal_fails(error.to_string());
            }
            Message::Recalled(_, answers, error) => {
                self.decide(|machine, now, _, out| {
                    for (call, answer) in answers {
                        machine.recalled(call, answer, now, out);
                    }
                });
                if let Some(error) = error {
                    self.journal_fails(error.to_string());
                }
                return Ok(Commit::WithItsTurn);
            }
            Message::Rebuilt(recovered) => self.rebuilt(myself, recovered).await?,
            Message::Gone(child, exit, why) => self.gone(myself, child, exit, &why)?,
            Message::Restart(Child::AgentPool) => {
                let pressure = self.surroundings.scheduler.pressure();
                let pool = spawn_pool(myself, &self.progress, pressure, self.grace).await?;
                self.pool = Some(pool);
                self.start_waiting();
            }
            Message::Restart(Child::Orchestrator) => self.rebuild(myself),
            Message::Pause {
                at_once,
                by,
                reason,
                reply,
            } => {
                self.decide(|machine, now, _, out| {
                    if at_once {
                        machine.pause_now(by, reason, now, out);
                    } else {
                        machine.pause(by, reason, now, out);
                    }
                });
                self.answer_when_durable(reply);
            }
            Message::Resume(by, reply) => {
                self.decide(|machine, now, permits, out| machine.resume(by, now, permits, out));
                self.answer_when_durable(reply);
            }
            Message::Stop(grace, by, reason, reply) => {
                self.stops.push(reply);
                self.stop(grace, by, reason);
            }
            Message::Order(order, reply) => {
                let ordered = self
                    .decide(|machine, now, permits, out| machine.order(&order, now, permits, out));
                let next = self.machine.state().next;
                self.effects
                    .push_back((next, Effect::Ordered(reply, ordered)));
            }
            Message::Ask(reply) => {
                // Whoever asked may have gone.
                let _ = reply.send(self.machine.state().status);
            }
            Message::OutOfTime(_, limit) => {
                let reason = format!("the run's time limit of {limit} ms is over");
                self.stop(Some(self.grace), By::Engine, Some(reason));
            }
            Message::StandStill(reply) => self.stand_still(reply),
            Message::GoOn => self.go_on(),
            Message::Rewound(arguments, reply) => {
                let began = self.change_over(myself, *arguments).await?;
                let next = self.machine.state().next;
                self.effects.push_back((next, Effect::Began(reply, began)));
            }
        }
        Ok(Commit::Now)
    }

    /// An attempt's note. When it is refused its answer is dropped: the attempt hears that it was superseded.
    pub(super) fn noted(
        &mut self,
        token: FencingToken,
        note: Arc<str>,
        reply: oneshot::Sender<()>,
    ) {
        match self.machine.hear(token) {
            Hearing::Now(token) => {
                if self.decide(|machine, now, _, out| machine.noted(token, note, now, out)) {
                    self.answer_when_durable(reply.into());
                }
            }
            Hearing::Later => self.notes_held.push((token, note, reply)),
            Hearing::Never => {}
        }
    }

    /// What an attempt has used so far.
    pub(super) fn used(&mut self, token: FencingToken, used: Used) {
        match self.machine.hear(token) {
            Hearing::Now(token) => {
                self.decide(|machine, now, _, out| machine.used(token, used, now, out));
            }
            Hearing::Later => {
                // It says all that was used, so only the newest counts.
                self.used_held.insert(token, used);
            }
            Hearing::Never => {}
        }
    }

    fn stop(&mut self, grace: Option<Duration>, by: By, reason: Option<String>) {
        self.grace = grace.unwrap_or(self.grace);
        let to = if grace.is_some() {
            Status::Stopped
        } else {
            Status::Killed
        };
        self.abandoned.store(true, Ordering::Relaxed);
        self.decide(|machine, now, permits, out| {
            machine.stop(to, by, reason, now, permits, out);
        });
    }

    fn answer_when_durable(&mut self, reply: RpcReplyPort<()>) {
        self.effects
            .push_back((self.machine.state().next, Effect::Answer(reply)));
    }

    /// Does all that can be done now. What is done may lead to further decisions, so it goes on until nothing is left.
    fn perform(&mut self, myself: &ActorRef<Message>, commit: Commit) {
        loop {
            self.collect();
            self.recall(myself);
            self.give_answers();
            let waits = commit == Commit::WithItsTurn && self.turns_owed > 0;
            if !self.output.rows.is_empty() {
                if !waits {
                    self.commit();
                } else if !self.commit_timer {
                    self.commit_timer = true;
                    myself.send_after(COMMIT_TOGETHER, || Message::CommitNow);
                }
            }
            self.do_effects(myself);
            self.tell();
            if self.output.entries.is_empty() && self.output.actions.is_empty() {
                break;
            }
        }
        if self.machine.has_backlog() && !self.working_off {
            self.working_off = myself.cast(Message::WorkOff).is_ok();
        }
        if self.journal_failed.is_some() && self.machine.running() == 0 {
            self.finish(myself);
        }
    }

    fn do_effects(&mut self, myself: &ActorRef<Message>) {
        if self.start_on_sent {
            return;
        }
        let mut starts = 0;
        while let Some((position, effect)) = self.effects.front()
            && *position <= self.durable
        {
            if matches!(effect, Effect::Act(Action::Start(_))) {
                if starts == STARTS_AT_ONCE {
                    self.start_on_sent = myself.cast(Message::StartOn).is_ok();
                    return;
                }
                starts += 1;
            }
            let Some((position, effect)) = self.effects.pop_front() else {
                return;
            };
            match effect {
                Effect::Act(action) => self.act(myself, position, action),
                Effect::Report(report) => self.observer.report(report),
                Effect::Answer(reply) => {
                    // Whoever asked may have gone.
                    let _ = reply.send(());
                }
                Effect::Ordered(reply, ordered) => {
                    let _ = reply.send(ordered);
                }
                Effect::Began(reply, began) => {
                    let _ = reply.send(began);
                }
            }
        }
    }

    /// Sorts what the machine decided: answers go to the script at once, the rest waits to be durable.
    fn collect(&mut self) {
        for entry in self.output.entries.drain(..) {
            if let Some(report) = report_of(&entry) {
                self.effects
                    .push_back((entry.position.next(), Effect::Report(report)));
            }
            self.told_later.push_back(entry);
        }
        for (position, action) in self.output.actions.drain(..) {
            match action {
                Action::Deliver(settlement) => self.answers.push(settlement),
                Action::Recall(call, place) => self.recalls.push((call, place)),
                action => self.effects.push_back((position, Effect::Act(action))),
            }
        }
    }

    fn give_answers(&mut self) {
        if self.answers.is_empty() || self.orchestrator.is_none() {
            return;
        }
        let answers = std::mem::take(&mut self.answers);
        self.turns_owed += answers.len();
        self.tell_orchestrator(orchestrator::Message::Deliver(answers));
    }

    fn tell_orchestrator(&self, message: orchestrator::Message) {
        if let Some(orchestrator) = &self.orchestrator
            && orchestrator.cast(message).is_err()
        {
            tracing::debug!(run = %self.run, "the orchestrator is gone: its end is on its way");
        }
    }

    fn commit(&mut self) {
        let (_, summary) = self.machine.summary();
        let submission = Submission {
            run: self.run,
            rows: std::mem::take(&mut self.output.rows),
            payloads: std::mem::take(&mut self.output.payloads),
            blobs: std::mem::take(&mut self.output.blobs),
            summary: Some(summary),
            ticket: (self.machine.state().next, Arc::clone(&self.acknowledge)),
        };
        self.journal.append(submission);
    }

    /// Tells those who watch what is durable.
    fn tell(&mut self) {
        let durable = self.durable;
        let count = self
            .told_later
            .iter()
            .take_while(|entry| entry.position < durable)
            .count();
        let entries = self.told_later.drain(..count);
        // Only here: who begins to watch while a record is on its way to the disk finds it neither in the journal nor gone by.
        if count > 0 && self.observer.is_watching() {
            let entries: Vec<Entry> = entries.collect();
            self.observer.durable(self.machine.state(), &entries);
        }
    }

    async fn rebuilt(
        &mut self,
        myself: &ActorRef<Message>,
        recovered: Result<Box<replay::Recovered>, ReplayError>,
    ) -> Result<(), ActorProcessingErr> {
        match recovered {
            Ok(_) if !self.machine.wants_script() => {}
            Ok(recovered) => {
                let orchestrator = spawn_orchestrator(myself, self.vm_idle).await?;
                orchestrator.cast(orchestrator::Message::Adopt(recovered.vm))?;
                self.orchestrator = Some(orchestrator);
                let (timers, fresh) = (recovered.timers, recovered.fresh);
                self.decide(|machine, now, permits, out| {
                    machine.rebuilt(timers, fresh, now, permits, out);
                });
            }
            Err(ReplayError::Crashed(message)) => self.orchestrator_lost(&message),
            Err(ReplayError::Taken(_)) => self.vm_taken(),
            // It was told to end, and why is known.
            Err(ReplayError::Cancelled) => {}
            Err(error) => {
                tracing::error!(run = %self.run, %error, "the script's VM could not be made anew");
                self.stop(Some(self.grace), By::Engine, Some(error.to_string()));
            }
        }
        Ok(())
    }

    fn gone(
        &mut self,
        myself: &ActorRef<Message>,
        child: ActorId,
        exit: Exit,
        why: &str,
    ) -> Result<(), ActorProcessingErr> {
        if self.finished {
            return Ok(());
        }
        if self
            .orchestrator
            .as_ref()
            .is_some_and(|actor| actor.get_id() == child)
        {
            self.orchestrator = None;
            match exit {
                Exit::Normal => self.vm_taken(),
                Exit::Abnormal => self.orchestrator_lost(why),
            }
        } else if self
            .pool
            .as_ref()
            .is_some_and(|actor| actor.get_id() == child)
        {
            self.pool = None;
            let now = self.surroundings.clock.now();
            let verdict = self.pool_history.ended(&restart::AGENT_POOL, exit, now, 0);
            let Verdict::Restart(wait) = verdict else {
                return Err(format!("the agent pool failed too often, at last: {why}").into());
            };
            self.decide(|machine, now, permits, out| {
                machine.pool_lost(why, now, permits, out);
            });
            myself.send_after(wait, || Message::Restart(Child::AgentPool));
        }
        Ok(())
    }

    /// The VM was let go while the script waited, or went with its process for another's sake: no failure of this script.
    fn vm_taken(&mut self) {
        self.answers.clear();
        self.turns_owed = 0;
        self.rebuild_after = Duration::ZERO;
        self.decide(|machine, _, _, out| machine.vm_taken(out));
    }

    fn orchestrator_lost(&mut self, why: &str) {
        self.answers.clear();
        self.turns_owed = 0;
        let now = self.surroundings.clock.now();
        let verdict =
            self.orchestrator_history
                .ended(&restart::ORCHESTRATOR, Exit::Abnormal, now, 0);
        if let Verdict::Restart(wait) = verdict {
            self.rebuild_after = wait;
        }
        let spent = verdict == Verdict::Escalate;
        self.decide(|machine, now, permits, out| {
            machine.orchestrator_lost(why, spent, now, permits, out);
        });
    }

    /// The journal takes nothing any more: what is not durable never happened, and the run waits for a new engine.
    fn journal_fails(&mut self, reason: String) {
        if self.journal_failed.is_some() || self.finished {
            return;
        }
        self.surroundings.scheduler.forget(self.run);
        for (_, effect) in self.effects.drain(..) {
            match effect {
                // What it would say is not durable: whoever asked hears that the run is gone.
                Effect::Answer(reply) => drop(reply),
                Effect::Ordered(reply, _) => drop(reply),
                Effect::Began(reply, _) => drop(reply),
                // It never came to be, so no end of it will be heard.
                Effect::Act(Action::Start(start)) => {
                    if self.machine.never_started(start.token) {
                        self.surroundings.scheduler.give_back();
                    }
                }
                Effect::Act(_) | Effect::Report(_) => {}
            }
        }
        self.told_later.clear();
        self.decide(|machine, _, _, _| machine.abandon());
        if let Some(orchestrator) = self.orchestrator.take() {
            orchestrator.stop(None);
        }
        self.abandoned.store(true, Ordering::Relaxed);
        self.tell_pool(pool::Message::CancelAll(self.grace));
        self.journal_failed = Some(reason);
    }

    pub(super) fn finish(&mut self, myself: &ActorRef<Message>) {
        if self.finished {
            return;
        }
        self.finished = true;
        self.tell();
        // Children stop in the reverse of their order of start.
        if let Some(orchestrator) = self.orchestrator.take() {
            orchestrator.stop(None);
        }
        if let Some(pool) = self.pool.take() {
            pool.stop(None);
        }
        let state = self.machine.state();
        self.observer.report(match &self.journal_failed {
            Some(reason) => Report {
                status: Status::Paused,
                reason: Some(format!("the journal failed: {reason}")),
                done: true,
                journal_failed: true,
            },
            None => Report {
                status: state.status,
                reason: state.status_reason.clone(),
                done: true,
                journal_failed: false,
            },
        });
        for reply in self.stops.drain(..) {
            if self.journal_failed.is_none() {
                let _ = reply.send(());
            }
        }
        myself.stop(None);
    }
}

fn report_of(entry: &Entry) -> Option<Report> {
    let (status, reason) = match &entry.record {
        Record::StatusChanged(changed) => (changed.status, changed.reason.clone()),
        Record::RunEnded(ended) => (ended.status, None),
        _ => return None,
    };
    Some(Report {
        status,
        reason,
        done: false,
        journal_failed: false,
    })
}

async fn spawn_pool(
    myself: &ActorRef<Message>,
    progress: &Progress,
    pressure: Pressure,
    grace: Duration,
) -> Result<ActorRef<pool::Message>, ActorProcessingErr> {
    let (listener, said) = (myself.clone(), myself.clone());
    let arguments = pool::Arguments {
        listener: Arc::new(move |token, end, kept| {
            let _ = listener.cast(Message::Ended(token, end, kept));
        }),
        progress: progress.clone(),
        pressure,
        take_word: Arc::new(move |token, word| {
            let _ = said.cast(match word {
                Word::Note(note, reply) => Message::Noted(token, note, reply),
                Word::Used(used) => Message::Used(token, used),
            });
        }),
        grace,
    };
    let (pool, _) = AgentPool::spawn_linked(None, AgentPool, arguments, myself.get_cell()).await?;
    Ok(pool)
}

pub(super) async fn spawn_orchestrator(
    myself: &ActorRef<Message>,
    vm_idle: Duration,
) -> Result<ActorRef<orchestrator::Message>, ActorProcessingErr> {
    let listener = myself.clone();
    let listener: orchestrator::Listener = Arc::new(move |turns| {
        let _ = listener.cast(Message::Turns(turns));
    });
    let (orchestrator, _) =
        Orchestrator::spawn_linked(None, Orchestrator, (listener, vm_idle), myself.get_cell())
            .await?;
    Ok(orchestrator)
}
