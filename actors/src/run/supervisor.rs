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
use bellwether_journal::codec::{self, Entry};
use bellwether_journal::error::{Damage, StoreError};
use bellwether_journal::id::{CallNumber, FencingToken, Position, RunId, TimerNumber};
use bellwether_journal::key::Digest;
use bellwether_journal::read;
use bellwether_journal::record::{Actor as By, Millis, Record, Status};
use bellwether_journal::state::RunState;
use bellwether_journal::store::Store;
use bellwether_journal::text::{self, Packed};
use bellwether_scripts::{Settlement, Turn, TurnStatus, Vm};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::task::JoinHandle;

use super::keys::{Keys, Resolved};
use super::machine::{Action, Machine, Output, Permits, Source, Start, Work};
use super::replay::{self, ReplayError};
use crate::backend::{AgentBackend, Progress, Task};
use crate::clock::Clock;
use crate::journal::{self, Acknowledgement};
use crate::observe::{Observer, Report};
use crate::orchestrator::{self, Orchestrator};
use crate::pool::{self, AgentPool, End};
use crate::restart::{self, Exit, History, Verdict};
use crate::scheduler::{Granted, Scheduler};

/// An answer may wait so long for the turn that it begins, to share its commit; a script that computes for longer pays
/// with a commit of its own.
const COMMIT_TOGETHER: Duration = Duration::from_millis(5);

/// Makes a run's VM from what its records say, in recovery and after a crash of the VM.
pub type MakeVm =
    Arc<dyn Fn(&RunState, &dyn Store) -> Result<(Vm, Turn), StoreError> + Send + Sync>;

/// Reads another workflow's script: gives the JSON text `{"source": …, "path": …}`, or why it cannot. May block.
pub type LoadScript = Arc<dyn Fn(&str) -> Result<String, String> + Send + Sync>;

/// What a run shares with its engine.
#[derive(Clone)]
pub struct Surroundings {
    /// Where records are read.
    pub store: Arc<dyn Store>,
    /// The journal's own name.
    pub journal_identity: Digest,
    /// Where records are written.
    pub writer: ActorRef<journal::Message>,
    /// Permits.
    pub scheduler: Scheduler,
    /// Time of day.
    pub clock: Arc<dyn Clock>,
}

/// A run's arguments.
pub struct Arguments {
    /// The engine's part.
    pub surroundings: Surroundings,
    /// Its rules.
    pub machine: Machine,
    /// How it begins here.
    pub beginning: Beginning,
    /// Makes its VM.
    pub make_vm: MakeVm,
    /// Gives fresh keys for a VM that is made anew.
    pub make_keys: Arc<dyn Fn() -> Keys + Send + Sync>,
    /// Reads other workflows.
    pub load_script: LoadScript,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
    /// Where its agents' progress goes.
    pub progress: Progress,
    /// Where its agents work.
    pub working_directory: PathBuf,
    /// How long agents may take to end in order.
    pub grace: Duration,
    /// When the run is stopped, in milliseconds from now.
    pub time_limit: Option<Millis>,
}

impl Arguments {
    /// Which run this is.
    #[must_use]
    pub fn machine_run(&self) -> RunId {
        self.machine.state().id
    }
}

/// How a run begins in this engine.
pub enum Beginning {
    /// With these records, the texts that left them, and the VM's start.
    New(Vec<Record>, Vec<Packed>, orchestrator::Start),
    /// From the journal: the VM, and turns that the journal does not have whole.
    Recovered(Box<Vm>, Vec<(u64, Millis, Turn)>, By),
    /// It does not: it crashed too often, for this reason, and is quarantined.
    Condemned(String),
}

/// What a run is told.
pub enum Message {
    /// The VM's turns.
    Turns(Vec<Turn>),
    /// An attempt ended.
    Ended(FencingToken, End),
    /// What became of records.
    Acknowledged(Acknowledgement),
    /// A permit is the run's own now.
    Granted,
    /// The answers have waited long enough for their turn.
    CommitNow,
    /// A timer's time has come.
    TimerDue(TimerNumber),
    /// A call's back-off is over.
    RetryDue(CallNumber),
    /// Another workflow was read.
    Loaded(CallNumber, Result<String, String>),
    /// An attempt's prompt and options were read back from the journal.
    Fetched(Box<Start>, Result<(Arc<str>, Arc<str>), StoreError>),
    /// A new VM stands where the journal ends.
    Rebuilt(Result<Box<replay::Recovered>, ReplayError>),
    /// A child is gone, and everything that it sent was handled.
    Gone(ActorId, Exit, String),
    /// A child's back-off is over: start it again.
    Restart(Child),
    /// Start nothing new.
    Pause(By, Option<String>, RpcReplyPort<()>),
    /// Go on after a pause.
    Resume(By, RpcReplyPort<()>),
    /// End in order within the grace, or at once without one.
    Stop(Option<Duration>, By, Option<String>, RpcReplyPort<()>),
    /// What state is the run in, as decided?
    Ask(RpcReplyPort<Status>),
    /// The run's time is over.
    OutOfTime(Millis),
}

/// The run's children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Child {
    /// Owns the VM.
    Orchestrator,
    /// Owns the agents.
    AgentPool,
}

/// The supervisor of a run.
pub struct RunSupervisor;

/// What the supervisor keeps.
pub struct State {
    run: RunId,
    surroundings: Surroundings,
    machine: Machine,
    make_vm: MakeVm,
    make_keys: Arc<dyn Fn() -> Keys + Send + Sync>,
    load_script: LoadScript,
    observer: Arc<dyn Observer>,
    progress: Progress,
    working_directory: PathBuf,
    grace: Duration,
    journal: journal::Handle,
    acknowledge: journal::Acknowledge,
    granted: Arc<Granted>,
    pool: Option<ActorRef<pool::Message>>,
    /// Attempts to start as soon as there is a pool again.
    starts: Vec<(Arc<dyn AgentBackend>, Arc<Task>)>,
    pool_history: History,
    orchestrator: Option<ActorRef<orchestrator::Message>>,
    orchestrator_history: History,
    /// Records decided and not yet sent to the writer.
    output: Output,
    /// What waits for a position to be durable.
    effects: VecDeque<(Position, Effect)>,
    /// Records that somebody wants to be told of when they are durable.
    told_later: VecDeque<Entry>,
    durable: Position,
    /// Answers that the VM was given and has not answered.
    turns_owed: usize,
    answers: Vec<Settlement>,
    commit_timer: bool,
    timers: HashMap<TimerNumber, JoinHandle<()>>,
    rebuild_after: Duration,
    rebuild_until: Position,
    /// Set to end a recovery that is under way.
    abandoned: Arc<AtomicBool>,
    /// Who waits for the run's end.
    stops: Vec<RpcReplyPort<()>>,
    journal_failed: Option<String>,
    finished: bool,
}

/// Something that waits for records to be durable.
enum Effect {
    Act(Action),
    Answer(RpcReplyPort<()>),
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
        let pool = spawn_pool(&myself, &arguments.progress, arguments.grace).await?;
        let orchestrator = spawn_orchestrator(&myself).await?;
        let run = arguments.machine.state().id;
        let acknowledged = myself.clone();
        let granted = myself.clone();
        let granted: Granted = Box::new(move || {
            // A run that is gone has given its permits back.
            let _ = granted.cast(Message::Granted);
        });
        if let Some(limit) = arguments.time_limit {
            myself.send_after(Duration::from_millis(limit), move || Message::OutOfTime(limit));
        }
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
            commit_timer: false,
            timers: HashMap::new(),
            rebuild_after: Duration::ZERO,
            rebuild_until: Position(0),
            abandoned: Arc::new(AtomicBool::new(false)),
            stops: Vec::new(),
            journal_failed: None,
            finished: false,
        };
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
        let commit = state.take(&myself, message).await?;
        state.perform(&myself, commit);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        _state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        // The end overtakes the child's last message: what it said is handled first (`pool`).
        let (child, exit, why) = match event {
            SupervisionEvent::ActorTerminated(child, _, why) => {
                (child, Exit::Normal, why.unwrap_or_default())
            }
            SupervisionEvent::ActorFailed(child, why) => (child, Exit::Abnormal, why.to_string()),
            _ => return Ok(()),
        };
        myself.cast(Message::Gone(child.get_id(), exit, why))?;
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
    fn decide<T>(
        &mut self,
        decide: impl FnOnce(&mut Machine, Millis, &mut dyn Permits, &mut Output) -> T,
    ) -> T {
        let now = self.surroundings.clock.now();
        let mut permits = RunPermits {
            run: self.run,
            scheduler: &self.surroundings.scheduler,
            granted: &self.granted,
        };
        decide(&mut self.machine, now, &mut permits, &mut self.output)
    }

    fn begin(&mut self, beginning: Beginning) {
        match beginning {
            Beginning::New(records, packed, start) => {
                self.decide(|machine, now, _, out| machine.begin(records, &packed, now, out));
                self.tell_orchestrator(orchestrator::Message::Start(start));
                self.turns_owed = 1;
            }
            Beginning::Recovered(vm, fresh, by) => {
                self.tell_orchestrator(orchestrator::Message::Adopt(vm));
                self.decide(|machine, now, permits, out| {
                    machine.go_on(fresh, by, now, permits, out);
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
            Message::Turns(turns) => {
                let over = turns.last().is_none_or(|turn| turn.status != TurnStatus::Running);
                self.turns_owed =
                    if over { 0 } else { self.turns_owed.saturating_sub(turns.len()) };
                self.decide(|machine, now, permits, out| machine.turns(turns, now, permits, out));
            }
            Message::Ended(token, end) => {
                self.decide(|machine, now, permits, out| {
                    machine.ended(token, end, now, permits, out);
                });
                return Ok(Commit::WithItsTurn);
            }
            Message::Acknowledged(Acknowledgement::Durable(position)) => {
                self.durable = self.durable.max(position);
            }
            Message::Acknowledged(Acknowledgement::Failed(reason)) => self.journal_fails(reason),
            Message::Granted => {
                self.decide(|machine, now, permits, out| machine.granted(now, permits, out));
            }
            Message::CommitNow => self.commit_timer = false,
            Message::TimerDue(timer) => {
                self.timers.remove(&timer);
                self.decide(|machine, now, _, out| machine.timer_due(timer, now, out));
                return Ok(Commit::WithItsTurn);
            }
            Message::RetryDue(call) => {
                self.decide(|machine, now, permits, out| {
                    machine.retry_due(call, now, permits, out);
                });
            }
            Message::Loaded(call, script) => {
                let script = script.map(|script| text::pack(script.into()));
                self.decide(|machine, now, _, out| machine.loaded(call, script, now, out));
                return Ok(Commit::WithItsTurn);
            }
            Message::Fetched(start, Ok((prompt, options))) => {
                let resolved = self.machine.resolve(&options);
                self.start(*start, prompt, &resolved);
            }
            Message::Fetched(start, Err(error)) => {
                let lost = End::Lost(format!("its prompt cannot be read: {error}"));
                self.decide(|machine, now, permits, out| {
                    machine.ended(start.token, lost, now, permits, out);
                });
            }
            Message::Rebuilt(recovered) => self.rebuilt(myself, recovered).await?,
            Message::Gone(child, exit, why) => self.gone(myself, child, exit, &why)?,
            Message::Restart(Child::AgentPool) => {
                let pool = spawn_pool(myself, &self.progress, self.grace).await?;
                for (backend, task) in self.starts.drain(..) {
                    pool.cast(pool::Message::Start(backend, task))?;
                }
                self.pool = Some(pool);
            }
            Message::Restart(Child::Orchestrator) => self.rebuild(myself),
            Message::Pause(by, reason, reply) => {
                self.decide(|machine, now, _, out| machine.pause(by, reason, now, out));
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
            Message::Ask(reply) => {
                // Whoever asked may have gone.
                let _ = reply.send(self.machine.state().status);
            }
            Message::OutOfTime(limit) => {
                let reason = format!("the run's time limit of {limit} ms is over");
                self.stop(Some(self.grace), By::Engine, Some(reason));
            }
        }
        Ok(Commit::Now)
    }

    fn stop(&mut self, grace: Option<Duration>, by: By, reason: Option<String>) {
        self.grace = grace.unwrap_or(self.grace);
        let to = if grace.is_some() { Status::Stopped } else { Status::Killed };
        self.abandoned.store(true, Ordering::Relaxed);
        self.decide(|machine, now, permits, out| {
            machine.stop(to, by, reason, now, permits, out);
        });
    }

    fn answer_when_durable(&mut self, reply: RpcReplyPort<()>) {
        self.effects.push_back((self.machine.state().next, Effect::Answer(reply)));
    }

    /// Does all that can be done now.
    fn perform(&mut self, myself: &ActorRef<Message>, commit: Commit) {
        self.collect();
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
        while let Some((position, _)) = self.effects.front()
            && *position <= self.durable
            && let Some((position, effect)) = self.effects.pop_front()
        {
            match effect {
                Effect::Act(action) => self.act(myself, position, action),
                Effect::Report(report) => self.observer.report(report),
                Effect::Answer(reply) => {
                    let _ = reply.send(());
                }
            }
        }
        self.tell();
        if self.journal_failed.is_some() && self.machine.running() == 0 {
            self.finish(myself);
        }
    }

    /// Sorts what the machine decided: answers go to the script at once, the rest waits to be durable.
    fn collect(&mut self) {
        let watched = self.observer.is_watching();
        for entry in self.output.entries.drain(..) {
            if let Some(report) = report_of(&entry) {
                self.effects.push_back((entry.position.next(), Effect::Report(report)));
            }
            if watched {
                self.told_later.push_back(entry);
            }
        }
        for (position, action) in self.output.actions.drain(..) {
            match action {
                Action::Deliver(settlement) => self.answers.push(settlement),
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
        let count = self.told_later.iter().take_while(|entry| entry.position < durable).count();
        if count > 0 {
            let entries: Vec<Entry> = self.told_later.drain(..count).collect();
            self.observer.durable(self.machine.state(), &entries);
        }
    }

    fn act(&mut self, myself: &ActorRef<Message>, position: Position, action: Action) {
        match action {
            Action::Deliver(_) => tracing::error!("an answer waited to be durable"),
            Action::Start(start) => match start.work.clone() {
                Work::AtHand(prompt, resolved) => self.start(*start, prompt, &resolved),
                Work::InJournal(scheduled) => self.fetch(myself, start, scheduled),
            },
            Action::Load(call, source) => self.load(myself, call, source),
            Action::RetryAfter(call, after) => {
                myself.send_after(Duration::from_millis(after), move || Message::RetryDue(call));
            }
            Action::Arm(timer, at) => {
                let wait = at.saturating_sub(self.surroundings.clock.now());
                let myself = myself.clone();
                let task = tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                    let _ = myself.cast(Message::TimerDue(timer));
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

    fn tell_pool(&self, message: pool::Message) {
        if let Some(pool) = &self.pool
            && pool.cast(message).is_err()
        {
            tracing::debug!(run = %self.run, "the agent pool is gone: its end is on its way");
        }
    }

    fn start(&mut self, start: Start, prompt: Arc<str>, resolved: &Arc<Resolved>) {
        let backend = match &resolved.backend {
            Ok(backend) => Arc::clone(backend),
            Err(message) => {
                let lost = End::Lost(message.clone());
                self.decide(|machine, now, permits, out| {
                    machine.ended(start.token, lost, now, permits, out);
                });
                return;
            }
        };
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
        });
        match &self.pool {
            Some(pool) => {
                if pool.cast(pool::Message::Start(backend, task)).is_err() {
                    tracing::debug!(run = %self.run, "the agent pool is gone: its end is on its way");
                }
            }
            None => self.starts.push((backend, task)),
        }
    }

    fn fetch(&self, myself: &ActorRef<Message>, start: Box<Start>, scheduled: Position) {
        let (store, run, myself) =
            (Arc::clone(&self.surroundings.store), self.run, myself.clone());
        tokio::task::spawn_blocking(move || {
            let fetched = read_work(store.as_ref(), run, scheduled);
            let _ = myself.cast(Message::Fetched(start, fetched));
        });
    }

    fn load(&self, myself: &ActorRef<Message>, call: CallNumber, source: Source) {
        let (store, run, myself) =
            (Arc::clone(&self.surroundings.store), self.run, myself.clone());
        let load_script = Arc::clone(&self.load_script);
        tokio::task::spawn_blocking(move || {
            let path = match source {
                Source::Path(path) => Ok(path),
                Source::InJournal(scheduled) => read_work(store.as_ref(), run, scheduled)
                    .map(|(path, _)| path)
                    .map_err(|error| error.to_string()),
            };
            let script = path.and_then(|path| load_script(&path));
            let _ = myself.cast(Message::Loaded(call, script));
        });
    }

    /// Makes a new VM from the journal, up to where the old one was lost.
    fn rebuild(&self, myself: &ActorRef<Message>) {
        let (store, run, until) =
            (Arc::clone(&self.surroundings.store), self.run, self.rebuild_until);
        let (keys, make_vm) = ((self.make_keys)(), Arc::clone(&self.make_vm));
        let (abandoned, myself) = (Arc::clone(&self.abandoned), myself.clone());
        tokio::task::spawn_blocking(move || {
            let recovered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let source = replay::Source {
                    store: store.as_ref(),
                    run,
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

    async fn rebuilt(
        &mut self,
        myself: &ActorRef<Message>,
        recovered: Result<Box<replay::Recovered>, ReplayError>,
    ) -> Result<(), ActorProcessingErr> {
        match recovered {
            Ok(_) if !self.machine.wants_script() => {}
            Ok(recovered) => {
                let orchestrator = spawn_orchestrator(myself).await?;
                orchestrator.cast(orchestrator::Message::Adopt(Box::new(recovered.vm)))?;
                self.orchestrator = Some(orchestrator);
                let fresh = recovered.fresh;
                self.decide(|machine, now, permits, out| {
                    machine.rebuilt(fresh, now, permits, out);
                });
            }
            Err(ReplayError::Crashed(message)) => self.orchestrator_lost(&message),
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
        if self.orchestrator.as_ref().is_some_and(|actor| actor.get_id() == child) {
            self.orchestrator = None;
            self.orchestrator_lost(why);
        } else if self.pool.as_ref().is_some_and(|actor| actor.get_id() == child) {
            self.pool = None;
            let now = self.surroundings.clock.now();
            let verdict = self.pool_history.ended(&restart::AGENT_POOL, exit, now, 0);
            let Verdict::Restart(wait) = verdict else {
                return Err(format!("the agent pool failed too often, at last: {why}").into());
            };
            let lost = End::Lost(format!("the agent pool failed: {why}"));
            self.decide(|machine, now, permits, out| {
                for token in machine.running_tokens() {
                    machine.ended(token, lost.clone(), now, permits, out);
                }
            });
            myself.send_after(wait, || Message::Restart(Child::AgentPool));
        }
        Ok(())
    }

    fn orchestrator_lost(&mut self, why: &str) {
        self.answers.clear();
        self.turns_owed = 0;
        let now = self.surroundings.clock.now();
        let verdict =
            self.orchestrator_history.ended(&restart::ORCHESTRATOR, Exit::Abnormal, now, 0);
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
        self.effects.retain(|(_, effect)| !matches!(effect, Effect::Act(_) | Effect::Report(_)));
        for (_, effect) in self.effects.drain(..) {
            if let Effect::Answer(reply) = effect {
                let _ = reply.send(());
            }
        }
        self.told_later.clear();
        self.machine.abandon();
        if let Some(orchestrator) = self.orchestrator.take() {
            orchestrator.stop(None);
        }
        self.abandoned.store(true, Ordering::Relaxed);
        self.tell_pool(pool::Message::CancelAll(self.grace));
        self.journal_failed = Some(reason);
    }

    fn finish(&mut self, myself: &ActorRef<Message>) {
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
            let _ = reply.send(());
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
    Some(Report { status, reason, done: false, journal_failed: false })
}

/// A call's prompt and options, from its record.
fn read_work(
    store: &dyn Store,
    run: RunId,
    scheduled: Position,
) -> Result<(Arc<str>, Arc<str>), StoreError> {
    let damage =
        || Damage::new(format!("run {run}: there is no call at position {scheduled}"));
    let rows = store.records(run, scheduled, 1)?;
    let row = rows.first().ok_or_else(damage)?;
    let entry = codec::decode(run, row.position, &row.bytes)?;
    let Record::CallScheduled(call) = entry.record else { return Err(damage().into()) };
    let prompt = read::resolve(store, run, scheduled, &call.prompt)?;
    let options = read::resolve(store, run, scheduled, &call.options)?;
    Ok((prompt, options))
}

async fn spawn_pool(
    myself: &ActorRef<Message>,
    progress: &Progress,
    grace: Duration,
) -> Result<ActorRef<pool::Message>, ActorProcessingErr> {
    let listener = myself.clone();
    let arguments = pool::Arguments {
        listener: Arc::new(move |token, end| {
            let _ = listener.cast(Message::Ended(token, end));
        }),
        progress: progress.clone(),
        grace,
    };
    let (pool, _) =
        AgentPool::spawn_linked(None, AgentPool, arguments, myself.get_cell()).await?;
    Ok(pool)
}

async fn spawn_orchestrator(
    myself: &ActorRef<Message>,
) -> Result<ActorRef<orchestrator::Message>, ActorProcessingErr> {
    let listener = myself.clone();
    let listener: orchestrator::Listener = Arc::new(move |turns| {
        let _ = listener.cast(Message::Turns(turns));
    });
    let (orchestrator, _) =
        Orchestrator::spawn_linked(None, Orchestrator, listener, myself.get_cell()).await?;
    Ok(orchestrator)
}
