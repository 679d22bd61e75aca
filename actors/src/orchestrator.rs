//! The owner of a run's VM: takes answers, gives turns.
//!
//! A turn may take its 30 s of CPU, so it runs on a thread where blocking is allowed; answers that come meanwhile are given
//! in one go when it is back. The VM is never used again after a panic: the supervisor makes a new one from the journal.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bellwether_scripts::{Settlement, Turn, Vm};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::agent::text_of;

/// Hears the turns, in the order of the answers.
pub type Listener = Arc<dyn Fn(Vec<Turn>) + Send + Sync>;

/// Makes a VM and its first turn.
pub type Start = Box<dyn FnOnce() -> (Vm, Turn) + Send>;

/// What the orchestrator is told.
pub enum Message {
    /// Make the VM and report its first turn.
    Start(Start),
    /// Go on with a VM that was recovered.
    Adopt(Box<Vm>),
    /// Give the script these answers.
    Deliver(Vec<Settlement>),
    /// A slice is done: the VM comes back with its turns.
    Returned(Result<(Box<Vm>, Vec<Turn>), String>),
}

/// The orchestrator.
pub struct Orchestrator;

/// What the orchestrator keeps.
pub struct State {
    listener: Listener,
    vm: Option<Box<Vm>>,
    answers: Vec<Settlement>,
}

impl Actor for Orchestrator {
    type Msg = Message;
    type State = State;
    type Arguments = Listener;

    async fn pre_start(
        &self,
        _myself: ActorRef<Message>,
        listener: Listener,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State {
            listener,
            vm: None,
            answers: Vec::new(),
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
                let (vm, turn) = start();
                (Box::new(vm), vec![turn])
            }),
            Message::Adopt(vm) => state.vm = Some(vm),
            Message::Deliver(answers) => state.answers.extend(answers),
            Message::Returned(Ok((vm, turns))) => {
                state.vm = Some(vm);
                (state.listener)(turns);
            }
            Message::Returned(Err(panic)) => return Err(panic.into()),
        }
        if !state.answers.is_empty()
            && let Some(mut vm) = state.vm.take()
        {
            let answers = std::mem::take(&mut state.answers);
            slice(&myself, move || {
                let turns = vm.deliver(&answers);
                (vm, turns)
            });
        }
        Ok(())
    }
}

/// Runs a slice beside the runtime. Whoever drops the orchestrator drops what comes back.
fn slice(
    myself: &ActorRef<Message>,
    slice: impl FnOnce() -> (Box<Vm>, Vec<Turn>) + Send + 'static,
) {
    let myself = myself.clone();
    tokio::task::spawn_blocking(move || {
        let result = std::panic::catch_unwind(AssertUnwindSafe(slice))
            .map_err(|panic| text_of(panic.as_ref()));
        // The actor may be gone: the run was stopped meanwhile.
        let _ = myself.cast(Message::Returned(result));
    });
}
