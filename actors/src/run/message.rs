//! What a run's supervisor is told, and what it is started with.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bellwether_journal::error::StoreError;
use bellwether_journal::id::{CallNumber, FencingToken, RunId, TimerNumber};
use bellwether_journal::key::Digest;
use bellwether_journal::record::{Actor as By, Millis, Ordered, Record, Status};
use bellwether_journal::state::RunState;
use bellwether_journal::store::Store;
use bellwether_journal::text::Packed;
use bellwether_scripts::Turn;
use bellwether_scripts::process::ScriptVm;
use ractor::{ActorId, ActorRef, RpcReplyPort};
use tokio::sync::oneshot;

use super::keys::Keys;
use super::machine::{Machine, Way};
use super::orders::OrderError;
use super::output::Start;
use super::questions::Asked;
use super::replay::{self, ReplayError};
use super::rewind::Recalled;
use crate::backend::{Progress, Used};
use crate::clock::Clock;
use crate::journal::{self, Acknowledgement};
use crate::observe::Observer;
use crate::orchestrator;
use crate::pool::{End, Kept};
use crate::restart::Exit;
use crate::scheduler::{Permit, Scheduler};

/// Makes a run's VM from what its records say, in recovery and after a crash of the VM.
pub type MakeVm = Arc<
    dyn Fn(&RunState, &dyn Store) -> Result<(Box<dyn ScriptVm>, Turn), ReplayError> + Send + Sync,
>;

/// Reads another workflow's script: is given what names it and the call's options, JSON text that says how
/// (`{"by": "name"}` or `{"by": "path"}`); gives the JSON text `{"source": …, "path": …}`, or why it cannot. May block.
pub type LoadScript = Arc<dyn Fn(&str, &str) -> Result<String, String> + Send + Sync>;

/// Is told of each question that is open now, from its record: the call, what is asked, its options.
pub type TellAsked = Arc<dyn Fn(CallNumber, &Asked) + Send + Sync>;

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
    /// Who is told of questions to people.
    pub tell_asked: TellAsked,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
    /// Where its agents' progress goes.
    pub progress: Progress,
    /// Where its agents work.
    pub working_directory: PathBuf,
    /// How long agents may take to end in order.
    pub grace: Duration,
    /// Set when its VM is not wanted any more; whoever makes the VM gives it this to look at.
    pub abandoned: Arc<AtomicBool>,
    /// When the run is stopped, in milliseconds from now.
    pub time_limit: Option<Millis>,
    /// After how long without an answer the VM of its script is let go, to be made anew when one comes.
    pub vm_idle: Duration,
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
    /// With these records, the texts that left them, the VM's start, and for whom.
    New(Vec<Record>, Vec<Packed>, orchestrator::Start, By),
    /// From the journal: the VM, and turns that the journal does not have whole.
    Recovered(Box<dyn ScriptVm>, Vec<(u64, Millis, Turn)>, By, Way),
    /// It does not: it crashed too often, for this reason, and is quarantined.
    Condemned(String),
}

/// What a run is told.
pub enum Message {
    /// The VM's turns.
    Turns(Vec<Turn>),
    /// Carry out the next slice of what the script asked for.
    WorkOff,
    /// An attempt ended, and this is what it changed.
    Ended(FencingToken, End, Vec<Kept>),
    /// An attempt notes what it is about to do, and waits until that is durable.
    Noted(FencingToken, Arc<str>, oneshot::Sender<()>),
    /// An attempt has used so much so far.
    Used(FencingToken, Used),
    /// What became of records.
    Acknowledged(Acknowledgement),
    /// A permit is the run's own now.
    Granted(Permit),
    /// Others had their turn: start the next attempts.
    StartOn,
    /// The answers have waited long enough for their turn.
    CommitNow,
    /// A timer's time has come; in which round of the run.
    TimerDue(u32, TimerNumber),
    /// A call's back-off is over.
    RetryDue(u32, CallNumber),
    /// In a round: another workflow was read, or cannot be; or its name could not be read back from the journal.
    Loaded(u32, CallNumber, Result<Result<Packed, String>, StoreError>),
    /// In a round: a question was read, or cannot be.
    Asked(u32, CallNumber, Result<Asked, StoreError>),
    /// A question's time is over.
    DeadlineDue(u32, CallNumber),
    /// An attempt's prompt and options were read back from the journal.
    Fetched(Box<Start>, Result<(Arc<str>, Arc<str>), StoreError>),
    /// In a round: answers of the base were read, or cannot be.
    Recalled(u32, Vec<(CallNumber, Recalled)>, Option<StoreError>),
    /// A new VM stands where the journal ends.
    Rebuilt(Result<Box<replay::Recovered>, ReplayError>),
    /// A child is gone, and everything that it sent was handled.
    Gone(ActorId, Exit, String),
    /// A child's back-off is over: start it again.
    Restart(Child),
    /// Start nothing new; or end what is at work, too, to begin anew later.
    Pause {
        /// Whether to end what is at work.
        at_once: bool,
        /// Who wants it.
        by: By,
        /// Why.
        reason: Option<String>,
        /// Told when it is durable.
        reply: RpcReplyPort<()>,
    },
    /// Go on after a pause.
    Resume(By, RpcReplyPort<()>),
    /// End in order within the grace, or at once without one.
    Stop(Option<Duration>, By, Option<String>, RpcReplyPort<()>),
    /// A person wants something of an agent, or other limits.
    Order(Ordered, RpcReplyPort<Result<(), OrderError>>),
    /// What state is the run in, as decided?
    Ask(RpcReplyPort<Status>),
    /// The run's time is over.
    OutOfTime(u32, Millis),
    /// Stand still as soon as the run is at rest, until told otherwise: everything that it has decided is durable then.
    /// `false` when it will not be at rest soon.
    StandStill(RpcReplyPort<bool>),
    /// Do not stand still any more.
    GoOn,
    /// Begin this generation, which was made while the run stood still. Told when it is durable; `false` when it stood
    /// still no longer.
    Rewound(Box<Arguments>, RpcReplyPort<bool>),
}

/// The run's children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Child {
    /// Owns the VM.
    Orchestrator,
    /// Owns the agents.
    AgentPool,
}
