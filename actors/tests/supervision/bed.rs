//! The test bed: a tree of actors on a store and a backend that do as they are told.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bellwether_actors::backend::{
    AgentBackend, AttemptContext, Ended, Progress, ProgressEvent, Task,
};
use bellwether_actors::clock::Clock;
use bellwether_actors::observe::{Observer, Report};
use bellwether_actors::run::budget::Allowance;
use bellwether_actors::run::keys::{Backends, Keys};
use bellwether_actors::run::machine::{Caps, Machine, Way};
use bellwether_actors::run::replay;
use bellwether_actors::run::supervisor::{self, Arguments, Beginning};
use bellwether_actors::scheduler::Scheduler;
use bellwether_actors::tree::{RunControl, Tree};
use bellwether_actors::{agent, orchestrator, pool};
use bellwether_journal::codec::{self, Entry};
use bellwether_journal::error::StoreError;
use bellwether_journal::id::{Epoch, Generation, Position, RunId};
use bellwether_journal::key::Digest;
use bellwether_journal::memory::MemoryStore;
use bellwether_journal::read;
use bellwether_journal::record::{
    Actor as By, FailureKind, GenerationOpened, Policy, Record, RunStarted, Status,
};
use bellwether_journal::state::RunState;
use bellwether_journal::store::{Batch, Row, Store};
use bellwether_journal::text;
use bellwether_scripts::process::{Lost, ScriptVm};
use bellwether_scripts::{Limits, Settlement, Start, Turn, Vm};
use futures_util::future::BoxFuture;
use ractor::ActorCell;
use tokio::sync::{mpsc, watch};

type Crash = (RunId, Option<Duration>, String);

/// A tree with a store and a backend.
pub(crate) struct Bed {
    pub(crate) tree: Tree,
    pub(crate) store: Arc<Faulty>,
    pub(crate) backend: Arc<Scripted>,
    pub(crate) scheduler: Scheduler,
    crashes: tokio::sync::Mutex<mpsc::UnboundedReceiver<Crash>>,
    epoch: Epoch,
    runs: AtomicU64,
    pub(crate) vms: Arc<Vms>,
}

/// A kind of actor.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Agent,
    Pool,
    Orchestrator,
    RunSupervisor,
}

/// When every run of the bed begins, in milliseconds.
const START: u64 = 1_700_000_000_000;
/// A script whose VM cannot be made.
const BROKEN: &str = "broken";

/// How long a script waits until its VM is let go.
pub(crate) const VM_IDLE: Duration = Duration::from_mins(1);

/// The VMs of a bed.
#[derive(Default)]
pub(crate) struct Vms {
    /// How many were made.
    pub(crate) made: AtomicUsize,
    /// How the next are lost, each when it is given something.
    pub(crate) losses: Mutex<VecDeque<Lost>>,
}

/// A VM that can be lost.
struct Fragile(Vm, Arc<Vms>);

impl ScriptVm for Fragile {
    fn deliver(&mut self, settlements: &[Settlement]) -> Result<Vec<Turn>, Lost> {
        let lost = self.1.losses.lock().unwrap().pop_front();
        lost.map_or_else(|| ScriptVm::deliver(&mut self.0, settlements), Err)
    }
}

fn make_vm(source: &str, vms: &Arc<Vms>) -> (Box<dyn ScriptVm>, Turn) {
    vms.made.fetch_add(1, Ordering::Relaxed);
    assert_ne!(source, BROKEN, "this VM is broken");
    let mut limits = Limits::default();
    limits.turn_cpu = Duration::from_millis(200);
    let script = bellwether_scripts::parse(source, "test.js", &limits).unwrap();
    let (vm, turn) = Vm::start(&Start {
        script: &script,
        args: None,
        limits: &limits,
        seed: [7; 32],
        time: START,
        budget_total: None,
    });
    (Box::new(Fragile(vm, Arc::clone(vms))), turn)
}

/// A run on the bed.
pub(crate) struct Run {
    pub(crate) control: RunControl,
    id: RunId,
    body: Arc<str>,
    store: Arc<Faulty>,
    report: watch::Receiver<Report>,
}

/// The runtime's clock as the time of day: it stands still and jumps with the test.
struct RuntimeClock(tokio::time::Instant);

impl Clock for RuntimeClock {
    fn now(&self) -> u64 {
        START + self.0.elapsed().as_millis() as u64
    }
}

struct Watching(watch::Sender<Report>);

impl Observer for Watching {
    fn is_watching(&self) -> bool {
        false
    }

    fn durable(&self, _: &RunState, _: &[Entry]) {}

    fn progress(&self, _: ProgressEvent) {}

    fn report(&self, report: Report) {
        self.0.send_replace(report);
    }
}

impl Bed {
    pub(crate) async fn new() -> Self {
        Self::on(Faulty::default()).await
    }

    /// A bed whose store holds the first `count` records of `run`, as an engine leaves it that dies then.
    pub(crate) async fn with_beginning_of(run: &Run, count: usize) -> Self {
        let store = Faulty::default();
        let rows = run.store.records(run.id, Position(0), count).unwrap();
        let mut state = RunState::new(run.id);
        let mut batch = Batch::default();
        for row in rows {
            let entry = codec::decode(run.id, row.position, &row.bytes).unwrap();
            state.apply(&entry).unwrap();
            batch.records.push((run.id, row.position, row.bytes));
        }
        let summary = codec::encode_summary(&state.summary());
        batch.summaries.push((run.id, summary));
        store.commit(&batch).unwrap();
        Self::on(store).await
    }

    async fn on(store: Faulty) -> Self {
        let store = Arc::new(store);
        let epoch = store.raise_epoch().unwrap();
        let identity = store.identity().unwrap();
        let scheduler = Scheduler::new(None);
        let clock = Arc::new(RuntimeClock(tokio::time::Instant::now()));
        let (sender, crashes) = mpsc::unbounded_channel();
        let crashed = Arc::new(move |run, after, why| {
            let _ = sender.send((run, after, why));
        });
        let tree = Tree::start(
            Arc::clone(&store) as Arc<_>,
            identity,
            scheduler.clone(),
            clock,
            crashed,
        )
        .await
        .unwrap();
        let crashes = tokio::sync::Mutex::new(crashes);
        let backend = Arc::new(Scripted::default());
        Self {
            tree,
            store,
            backend,
            scheduler,
            crashes,
            epoch,
            runs: AtomicU64::new(1),
            vms: Arc::default(),
        }
    }

    pub(crate) async fn start(&self, body: &str) -> Run {
        self.start_run(body, false).await
    }

    /// A run whose VM panics whenever it is made.
    pub(crate) async fn start_with_broken_vm(&self, body: &str) -> Run {
        self.start_run(body, true).await
    }

    async fn start_run(&self, body: &str, broken: bool) -> Run {
        let source: Arc<str> =
            format!("export const meta = {{ name: 'test', description: 'a test' }}\n{body}").into();
        let id = RunId::from_u64(self.runs.fetch_add(1, Ordering::Relaxed)).unwrap();
        let backend: Arc<dyn AgentBackend> = Arc::clone(&self.backend) as Arc<_>;
        let backends = Backends::new(
            HashMap::from([("scripted".to_owned(), backend)]),
            "scripted",
        );
        let keys = move || Keys::new(Arc::new(backends.clone()));
        let script = text::pack_shared(Arc::clone(&source));
        let started = RunStarted {
            name: "test".to_owned(),
            script_path: None,
            options: text::pack("{}".into()).stored,
            working_directory: ".".to_owned(),
            base_commit: None,
            started_by: String::new(),
        };
        let opened = GenerationOpened {
            number: Generation(1),
            base: None,
            script: script.stored.clone(),
            args: None,
            vm_identity: Vm::identity(),
            seed: [7; 32],
            time: START,
            dirty: Vec::new(),
            policy: Policy::Causal,
            budget_total: None,
        };
        let records = vec![
            Record::RunStarted(Box::new(started)),
            Record::GenerationOpened(Box::new(opened)),
        ];
        let caps = Caps {
            concurrency: None,
            agents: 100_000,
            budget: Allowance::default(),
        };
        let machine = Machine::new(RunState::new(id), self.epoch, caps, keys(), BTreeMap::new());
        let body = if broken { Arc::from(BROKEN) } else { source };
        let (making, vms) = (Arc::clone(&body), Arc::clone(&self.vms));
        let start = Box::new(move || Ok(make_vm(&making, &vms)));
        let beginning = Beginning::New(records, vec![script], start, By::Engine);
        self.supervise(id, body, machine, beginning, keys).await
    }

    async fn supervise(
        &self,
        id: RunId,
        body: Arc<str>,
        machine: Machine,
        beginning: Beginning,
        keys: impl Fn() -> Keys + Send + Sync + 'static,
    ) -> Run {
        let queued = Report {
            status: Status::Queued,
            reason: None,
            done: false,
            journal_failed: false,
        };
        let (sender, report) = watch::channel(queued);
        let (making, vms) = (Arc::clone(&body), Arc::clone(&self.vms));
        let arguments = Arguments {
            surroundings: self.tree.surroundings().clone(),
            machine,
            beginning,
            make_vm: Arc::new(move |_, _| Ok(make_vm(&making, &vms))),
            make_keys: Arc::new(keys),
            load_script: Arc::new(|path, _| Err(format!("no {path} here"))),
            tell_asked: Arc::new(|_, _| {}),
            observer: Arc::new(Watching(sender)),
            progress: Progress::none(),
            working_directory: PathBuf::from("."),
            grace: Duration::from_secs(10),
            abandoned: Arc::default(),
            time_limit: None,
            vm_idle: VM_IDLE,
        };
        let control = self.tree.run(Box::new(arguments)).await.unwrap();
        Run {
            control,
            id,
            body,
            store: Arc::clone(&self.store),
            report,
        }
    }

    /// Takes up the run that the store holds.
    pub(crate) async fn resume(&self, like: &Run) -> Run {
        let id = like.id;
        let body = Arc::clone(&like.body);
        let backend: Arc<dyn AgentBackend> = Arc::clone(&self.backend) as Arc<_>;
        let backends = Backends::new(
            HashMap::from([("scripted".to_owned(), backend)]),
            "scripted",
        );
        let keys = move || Keys::new(Arc::new(backends.clone()));
        let source = replay::Source {
            store: self.store.as_ref(),
            run: id,
            generation: Generation(1),
            until: Position(u64::MAX),
            cancelled: &AtomicBool::new(false),
        };
        let vms = Arc::clone(&self.vms);
        let make = move || make_vm(&body, &vms);
        let recovered = replay::recover(&source, keys(), |_| Ok(make())).unwrap();
        let replay::Recovered {
            state,
            vm,
            keys: known,
            timers,
            pures,
            fresh,
        } = recovered;
        let caps = Caps {
            concurrency: None,
            agents: 100_000,
            budget: Allowance::default(),
        };
        let machine = Machine::new(state, self.epoch, caps, known, timers).with_pures(pures);
        let beginning = Beginning::Recovered(vm, fresh, By::Engine, Way::Running);
        let body = Arc::clone(&like.body);
        self.supervise(id, body, machine, beginning, keys).await
    }

    /// Kills every actor of a kind.
    pub(crate) fn kill(&self, kind: Kind) {
        let mut todo = vec![self.tree.root()];
        let mut killed = 0;
        while let Some(actor) = todo.pop() {
            todo.extend(actor.get_children());
            if is_of(kind, &actor) {
                actor.kill();
                killed += 1;
            }
        }
        assert!(killed > 0, "there is no {kind:?} to kill");
    }

    /// The next crash of a run supervisor that is reported.
    pub(crate) async fn crashed(&self) -> Crash {
        self.crashes.lock().await.recv().await.unwrap()
    }
}

impl Drop for Bed {
    /// A test that failed must not leave a commit standing: the runtime waits for it.
    fn drop(&mut self) {
        let fault = std::mem::take(&mut *self.store.fault.lock().unwrap());
        if let Fault::Stop(gate) = fault {
            gate.open();
        }
        if let Some(gate) = self.store.read_gate.lock().unwrap().take() {
            gate.open();
        }
    }
}

fn is_of(kind: Kind, actor: &ActorCell) -> bool {
    let is = match kind {
        Kind::Agent => actor.is_message_type_of::<agent::Message>(),
        Kind::Pool => actor.is_message_type_of::<pool::Message>(),
        Kind::Orchestrator => actor.is_message_type_of::<orchestrator::Message>(),
        Kind::RunSupervisor => actor.is_message_type_of::<supervisor::Message>(),
    };
    is == Some(true)
}

impl Run {
    pub(crate) async fn done(&self) -> Report {
        self.report
            .clone()
            .wait_for(|report| report.done)
            .await
            .unwrap()
            .clone()
    }

    /// What the journal says.
    pub(crate) fn state(&self) -> RunState {
        read::load_state(self.store.as_ref(), self.id).unwrap()
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        read::entries(self.store.as_ref(), self.id, Position(0))
            .map(|entry| entry.unwrap().record)
            .collect()
    }

    pub(crate) fn result(&self) -> Option<Arc<str>> {
        let (position, value) = self.state().result?;
        Some(read::resolve(self.store.as_ref(), self.id, position, &value).unwrap())
    }
}

/// A backend whose agents do what their prompt says: `ok …` answers with the prompt, `fail` fails, `panic` panics, `deaf`
/// hears neither cancel nor kill.
#[derive(Default)]
pub(crate) struct Scripted {
    started: Mutex<Vec<String>>,
    begun: watch::Sender<usize>,
    alive: Arc<watch::Sender<usize>>,
    held: watch::Sender<Held>,
}

#[derive(Clone, Debug, Default, PartialEq)]
enum Held {
    #[default]
    None,
    All,
    Prompt(String),
}

/// Counts an agent as alive until its future is gone.
struct Alive(Arc<watch::Sender<usize>>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.send_modify(|alive| *alive -= 1);
    }
}

impl Scripted {
    /// Agents wait before they answer.
    pub(crate) fn hold(&self) {
        self.held.send_replace(Held::All);
    }

    /// Agents with this prompt wait before they answer.
    pub(crate) fn hold_prompt(&self, prompt: &str) {
        self.held.send_replace(Held::Prompt(prompt.to_owned()));
    }

    pub(crate) fn release(&self) {
        self.held.send_replace(Held::None);
    }

    /// Waits until so many attempts have begun.
    pub(crate) async fn begun(&self, count: usize) {
        self.begun
            .subscribe()
            .wait_for(|begun| *begun >= count)
            .await
            .unwrap();
    }

    /// Waits until no attempt's future is left.
    pub(crate) async fn all_dropped(&self) {
        self.alive
            .subscribe()
            .wait_for(|alive| *alive == 0)
            .await
            .unwrap();
    }

    /// The prompts of all attempts so far, each once, in order.
    pub(crate) fn started(&self) -> Vec<String> {
        let mut seen = HashSet::new();
        let started = self.started.lock().unwrap().clone();
        assert!(
            started.iter().all(|prompt| seen.insert(prompt.clone())),
            "{started:?}"
        );
        started
    }
}

impl AgentBackend for Scripted {
    fn run(&self, task: Arc<Task>, context: AttemptContext) -> BoxFuture<'static, Ended> {
        self.started.lock().unwrap().push(task.prompt.to_string());
        self.alive.send_modify(|alive| *alive += 1);
        let alive = Alive(Arc::clone(&self.alive));
        self.begun.send_modify(|begun| *begun += 1);
        let mut held = self.held.subscribe();
        Box::pin(async move {
            let _alive = alive;
            let prompt = task.prompt.to_string();
            match prompt.split(' ').next().unwrap_or_default() {
                "panic" => panic!("an agent lost its head"),
                "fail" => return Ended::failed(FailureKind::Other, "as it was told"),
                "deaf" => std::future::pending::<()>().await,
                _ => {}
            }
            let free = held.wait_for(|held| match held {
                Held::None => true,
                Held::All => false,
                Held::Prompt(which) => *which != prompt,
            });
            tokio::select! {
                _ = free => Ended::completed(serde_json::to_string(&prompt).unwrap()),
                () = context.cancelled.cancelled() => Ended::cancelled(),
            }
        })
    }
}

/// A store in memory that can be told to fail, to panic, or to stand still in the middle of a commit.
#[derive(Default)]
pub(crate) struct Faulty {
    memory: MemoryStore,
    fault: Mutex<Fault>,
    read_gate: Mutex<Option<Gate>>,
}

#[derive(Default)]
enum Fault {
    #[default]
    None,
    Fail(String),
    Panic,
    Stop(Gate),
}

/// Holds a commit until it is opened.
#[derive(Clone, Default)]
pub(crate) struct Gate {
    open: Arc<(Mutex<bool>, Condvar)>,
    reached: Arc<watch::Sender<bool>>,
}

impl Gate {
    pub(crate) async fn reached(&self) {
        self.reached
            .subscribe()
            .wait_for(|reached| *reached)
            .await
            .unwrap();
    }

    pub(crate) fn open(&self) {
        let (open, changed) = &*self.open;
        *open.lock().unwrap() = true;
        changed.notify_all();
    }

    fn pass(&self) {
        self.reached.send_replace(true);
        let (open, changed) = &*self.open;
        let _open = changed
            .wait_while(open.lock().unwrap(), |open| !*open)
            .unwrap();
    }
}

impl Faulty {
    pub(crate) fn fail_from_now_on(&self, why: &str) {
        *self.fault.lock().unwrap() = Fault::Fail(why.to_owned());
    }

    pub(crate) fn panic_from_now_on(&self) {
        *self.fault.lock().unwrap() = Fault::Panic;
    }

    /// The next look at records waits until the gate is opened.
    pub(crate) fn stop_at_next_read(&self) -> Gate {
        let gate = Gate::default();
        *self.read_gate.lock().unwrap() = Some(gate.clone());
        gate
    }

    pub(crate) fn stop_at_next_commit(&self) -> Gate {
        let gate = Gate::default();
        *self.fault.lock().unwrap() = Fault::Stop(gate.clone());
        gate
    }
}

impl Store for Faulty {
    fn raise_epoch(&self) -> Result<Epoch, StoreError> {
        self.memory.raise_epoch()
    }

    fn identity(&self) -> Result<Digest, StoreError> {
        self.memory.identity()
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let gate = match &*self.fault.lock().unwrap() {
            Fault::None => None,
            Fault::Fail(why) => return Err(StoreError::Io(why.clone())),
            Fault::Panic => Some(None),
            Fault::Stop(gate) => Some(Some(gate.clone())),
        };
        match gate {
            None => {}
            Some(None) => panic!("this store panics"),
            Some(Some(gate)) => gate.pass(),
        }
        self.memory.commit(batch)
    }

    fn summaries(
        &self,
        after: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<(RunId, Vec<u8>)>, StoreError> {
        self.memory.summaries(after, limit)
    }

    fn summary(&self, run: RunId) -> Result<Option<Vec<u8>>, StoreError> {
        self.memory.summary(run)
    }

    fn records(&self, run: RunId, from: Position, limit: usize) -> Result<Vec<Row>, StoreError> {
        let gate = self.read_gate.lock().unwrap().take();
        if let Some(gate) = gate {
            gate.pass();
        }
        self.memory.records(run, from, limit)
    }

    fn payloads(
        &self,
        run: RunId,
        from: Position,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.memory.payloads(run, from, limit, bytes_max)
    }

    fn payload(&self, run: RunId, position: Position) -> Result<Option<Vec<u8>>, StoreError> {
        self.memory.payload(run, position)
    }

    fn blob(&self, hash: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.memory.blob(hash)
    }
}
