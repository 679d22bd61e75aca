//! The supervisor of a run's agents, so that their comings and goings never stand before a `pause` in the run's mailbox.
//!
//! In ractor a child's end overtakes its last message. So on a child's end the pool sends itself `Gone`, which arrives behind
//! everything the child sent, and only then decides: an attempt that reported is done, one that did not is lost.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bellwether_journal::id::FencingToken;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, ActorRuntime, SupervisionEvent};

use crate::agent::{self, Agent};
use bellwether_journal::record::{ChangesKept, Failure, Usage};
use bellwether_journal::text::Packed;

use crate::backend::{AgentBackend, Pressure, Progress, TakeWord, Task};

/// How an attempt ended.
#[derive(Clone, Debug)]
pub enum End {
    /// Its backend has a value, made ready for the journal.
    Completed(Packed, Usage),
    /// Its backend says that it failed.
    Failed(Failure, Usage),
    /// It was told to end and did.
    Cancelled(Usage),
    /// Its actor or task broke; what is known of it.
    Lost(String),
}

/// What an attempt changed in an isolated working tree, made ready for the journal.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The record.
    pub record: ChangesKept,
    /// The patch that it refers to.
    pub diff: Packed,
}

/// Hears how attempts end, each exactly once, and what they changed.
pub type Listener = Arc<dyn Fn(FencingToken, End, Vec<Kept>) + Send + Sync>;

/// What the pool is told.
pub enum Message {
    /// Start an attempt.
    Start(Arc<dyn AgentBackend>, Arc<Task>),
    /// An attempt's last word.
    Ended {
        /// Whose.
        token: FencingToken,
        /// The word.
        end: End,
        /// What it changed.
        kept: Vec<Kept>,
    },
    /// An agent's actor is gone, and everything that it sent was handled.
    Gone(ActorId, Option<String>),
    /// End one attempt in order.
    Cancel(FencingToken, Duration),
    /// End all attempts in order.
    CancelAll(Duration),
    /// End all attempts at once.
    KillAll,
}

/// The pool's arguments.
pub struct Arguments {
    /// Who hears of ends.
    pub listener: Listener,
    /// Where agents' progress goes.
    pub progress: Progress,
    /// Who takes agents' words for the journal.
    pub take_word: TakeWord,
    /// Whether the journal is behind.
    pub pressure: Pressure,
    /// How long an agent may take to end in order.
    pub grace: Duration,
}

/// The pool.
pub struct AgentPool;

/// What the pool keeps.
pub struct State {
    listener: Listener,
    progress: Progress,
    take_word: TakeWord,
    pressure: Pressure,
    grace: Duration,
    agents: HashMap<ActorId, (FencingToken, ActorRef<agent::Message>)>,
    tokens: HashMap<FencingToken, ActorId>,
}

impl Actor for AgentPool {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        _myself: ActorRef<Message>,
        Arguments {
            listener,
            progress,
            take_word,
            pressure,
            grace,
        }: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State {
            listener,
            progress,
            take_word,
            pressure,
            grace,
            agents: HashMap::new(),
            tokens: HashMap::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Start(backend, task) => start(&myself, backend, task, state),
            Message::Ended { token, end, kept } => {
                let Some(&actor) = state.tokens.get(&token) else {
                    tracing::debug!(%token, "a second last word is refused");
                    return Ok(());
                };
                state.tokens.remove(&token);
                state.agents.remove(&actor);
                (state.listener)(token, end, kept);
            }
            Message::Gone(actor, why) => {
                if let Some((token, _)) = state.agents.remove(&actor) {
                    state.tokens.remove(&token);
                    let why = why.unwrap_or_else(|| "its actor ended without a word".to_owned());
                    (state.listener)(token, End::Lost(why), Vec::new());
                }
            }
            Message::Cancel(token, grace) => {
                let agent = state
                    .tokens
                    .get(&token)
                    .and_then(|actor| state.agents.get(actor));
                if let Some((_, agent)) = agent {
                    // One that is ending anyway does not hear it.
                    let _ = agent.cast(agent::Message::Cancel(grace));
                }
            }
            Message::CancelAll(grace) => {
                for (_, agent) in state.agents.values() {
                    let _ = agent.cast(agent::Message::Cancel(grace));
                }
            }
            Message::KillAll => {
                for (_, agent) in state.agents.values() {
                    let _ = agent.cast(agent::Message::Kill);
                }
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Message>,
        event: SupervisionEvent,
        _state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (actor, why) = match event {
            SupervisionEvent::ActorTerminated(actor, _, _) => (actor, None),
            SupervisionEvent::ActorFailed(actor, error) => (actor, Some(error.to_string())),
            _ => return Ok(()),
        };
        myself.cast(Message::Gone(actor.get_id(), why))?;
        Ok(())
    }
}

fn start(
    myself: &ActorRef<Message>,
    backend: Arc<dyn AgentBackend>,
    task: Arc<Task>,
    state: &mut State,
) {
    let token = task.token;
    let arguments = agent::Arguments {
        backend,
        task,
        grace: state.grace,
        progress: state.progress.clone(),
        take_word: Arc::clone(&state.take_word),
        pressure: state.pressure.clone(),
        pool: myself.clone(),
    };
    // `instant`: the pool does not wait for the agent's start, so that a thousand starts are a thousand sends.
    match ActorRuntime::spawn_linked_instant(None, Agent, arguments, myself.get_cell()) {
        Ok((agent, _)) => {
            state.tokens.insert(token, agent.get_id());
            state.agents.insert(agent.get_id(), (token, agent));
        }
        Err(error) => (state.listener)(token, End::Lost(error.to_string()), Vec::new()),
    }
}
