//! The owner of a run's VM: takes answers, gives turns.
//!
//! A turn may take its 30 s of CPU, so it runs on a thread where blocking is allowed; answers that come meanwhile are given
//! in one go when it is back. The VM is never used again after a panic: the supervisor makes a new one from the journal.
//!
//! An orchestrator that ends in order has no VM and nobody is charged with that: it let go of it while the script only
//! waited, or the VM's process went for another script's sake. One that ends otherwise lost it while it was at work.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bellwether_scripts::process::{Lost, ScriptVm};
use bellwether_scripts::{Settlement, Turn, TurnStatus};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::agent::text_of;

/// Hears the turns, in the order of the answers.
pub type Listener = Arc<dyn Fn(Vec<Turn>) + Send + Sync>;

/// Makes a VM and its first turn.
pub type Start = Box<dyn FnOnce() -> Result<(Box<dyn ScriptVm>, Turn), Lost> + Send>;

/// What the orchestrator is told.
pub enum Message {
    /// Make the VM and report its first turn.
    Start(Start),
    /// Go on with a VM that was recovered.
    Adopt(Box<dyn ScriptVm>),
    /// Give the script these answers.
    Deliver(Vec<Settlement>),
    /// A slice is done: the VM comes back with its turns.
    Returned(Result<(Box<dyn ScriptVm>, Vec<Turn>), Lost>),
    /// The VM was idle for a while since its slice of this number.
    Idle(u64),
}

/// The orchestrator.
pub struct Orchestrator;

/// What the orchestrator keeps.
pub struct State {
    listener: Listener,
    idle_after: Duration,
    vm: Kept,
    answers: Vec<Settlement>,
    /// How many slices there were.
    slices: u64,
    /// How many answers it was given here: so many a replay gives again.
    given: usize,
    /// An [`Message::Idle`] is on its way.
    is_timed: bool,
    /// The script waits, and its VM was let go.
    is_parked: bool,
}

impl Actor for Orchestrator {
    type Msg = Message;
    type State = State;
    /// Who hears the turns, and after how long without any the VM of a script that waits is let go.
    type Arguments = (Listener, Duration);

    async fn pre_start(
        &self,
        _myself: ActorRef<Message>,
        (listener, idle_after): Self::Arguments,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State {
            listener,
            idle_after,
            vm: Kept(None),
            answers: Vec::new(),
            slices: 0,
            given: 0,
            is_timed: false,
            is_parked: false,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Start(start) => slice(&myself, move || {
                let (vm, turn) = start()?;
                Ok((vm, vec![turn]))
            }),
            Message::Adopt(vm) => {
                state.vm = Kept(Some(vm));
                state.rest(&myself);
            }
            Message::Deliver(answers) => state.answers.extend(answers),
            Message::Returned(Ok((vm, turns))) => {
                let waits = turns
                    .last()
                    .is_none_or(|turn| turn.status == TurnStatus::Running);
                state.vm = Kept(Some(vm));
                (state.listener)(turns);
                if waits {
                    state.rest(&myself);
                }
            }
            Message::Returned(Err(Lost::AtWork(why))) => return Err(why.into()),
            Message::Returned(Err(Lost::Elsewhere(why))) => {
                tracing::debug!(%why, "the script's VM is made anew");
                myself.stop(None);
                return Ok(());
            }
            Message::Idle(slices) => {
                state.is_timed = false;
                if slices != state.slices {
                    state.rest(&myself);
                } else if state.vm.0.is_some() && state.given <= REPLAYED_LIGHTLY {
                    state.vm = Kept(None);
                    state.is_parked = true;
                }
            }
        }
        if state.is_parked && !state.answers.is_empty() {
            myself.stop(None);
            return Ok(());
        }
        if !state.answers.is_empty()
            && let Some(mut vm) = state.vm.0.take()
        {
            let answers = std::mem::take(&mut state.answers);
            state.slices += 1;
            state.given += answers.len();
            slice(&myself, move || {
                let turns = vm.deliver(&answers)?;
                Ok((vm, turns))
            });
        }
        Ok(())
    }
}

impl State {
    /// The script waits from here on. One timer at a time: it looks again when it comes too early.
    fn rest(&mut self, myself: &ActorRef<Message>) {
        if !std::mem::replace(&mut self.is_timed, true) {
            let slices = self.slices;
            myself.send_after(self.idle_after, move || Message::Idle(slices));
        }
    }
}

/// So many answers are replayed before anybody notices; a script that had more keeps its VM while it waits.
const REPLAYED_LIGHTLY: usize = 10_000;

/// A VM that is dropped where that may take its time: its heap is freed, a process is told, or ended and waited for.
struct Kept(Option<Box<dyn ScriptVm>>);

impl Drop for Kept {
    fn drop(&mut self) {
        let Some(vm) = self.0.take() else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(vm))),
            Err(_) => drop(vm),
        }
    }
}

/// Runs a slice beside the runtime. Whoever drops the orchestrator drops what comes back.
fn slice(
    myself: &ActorRef<Message>,
    slice: impl FnOnce() -> Result<(Box<dyn ScriptVm>, Vec<Turn>), Lost> + Send + 'static,
) {
    let myself = myself.clone();
    tokio::task::spawn_blocking(move || {
        let result = std::panic::catch_unwind(AssertUnwindSafe(slice))
            .unwrap_or_else(|panic| Err(Lost::AtWork(text_of(panic.as_ref()))));
        // The actor may be gone: the run was stopped meanwhile.
        let _ = myself.cast(Message::Returned(result));
    });
}
