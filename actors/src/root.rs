//! The root of an engine's tree: starts the journal's writer first and stops it last; supervises the runs in between.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bellwether_journal::id::RunId;
use bellwether_journal::store::Store;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};

use crate::child;
use crate::clock::Clock;
use crate::journal::{self, Acknowledgement, Journal};
use crate::restart::{self, Exit, History, Verdict};
use crate::run::supervisor::{self, RunSupervisor};
use crate::scheduler::Scheduler;

/// Tells the engine that a run's supervisor crashed: to be recovered after the delay, or, without one, not any more.
pub type Crashed = Arc<dyn Fn(RunId, Option<Duration>, String) + Send + Sync>;

/// What the root is told.
pub enum Message {
    /// Supervise a run.
    Run(
        Box<supervisor::Arguments>,
        RpcReplyPort<Result<ActorRef<supervisor::Message>, String>>,
    ),
    /// A child is gone.
    Gone(ActorId, Exit, String),
    /// Drain the journal and end.
    Shutdown(RpcReplyPort<()>),
    /// The journal is drained.
    Drained(RpcReplyPort<()>),
}

/// The root's arguments.
pub struct Arguments {
    /// Where the journal is kept.
    pub store: Arc<dyn Store>,
    /// Permits.
    pub scheduler: Scheduler,
    /// Time of day.
    pub clock: Arc<dyn Clock>,
    /// Hears of runs that crashed.
    pub crashed: Crashed,
}

/// The root.
pub struct Root;

/// What the root keeps.
pub struct State {
    writer: ActorRef<journal::Message>,
    runs: HashMap<ActorId, (RunId, ActorRef<supervisor::Message>)>,
    histories: HashMap<RunId, History>,
    clock: Arc<dyn Clock>,
    crashed: Crashed,
}

impl Actor for Root {
    type Msg = Message;
    type State = State;
    type Arguments = (
        Arguments,
        tokio::sync::oneshot::Sender<ActorRef<journal::Message>>,
    );

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        (
            Arguments {
                store,
                scheduler,
                clock,
                crashed,
            },
            started,
        ): Self::Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let arguments = journal::Arguments { store, scheduler };
        let (writer, _) =
            Journal::spawn_linked(None, Journal, arguments, myself.get_cell()).await?;
        // Whoever starts the root waits for this; if it is gone, so is the root's owner.
        let _ = started.send(writer.clone());
        Ok(State {
            writer,
            runs: HashMap::new(),
            histories: HashMap::new(),
            clock,
            crashed,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Run(arguments, reply) => {
                let run = arguments.machine_run();
                let spawned =
                    RunSupervisor::spawn_linked(None, RunSupervisor, *arguments, myself.get_cell())
                        .await
                        .map(|(supervisor, _)| supervisor)
                        .map_err(|error| error.to_string());
                if let Ok(supervisor) = &spawned {
                    state
                        .runs
                        .insert(supervisor.get_id(), (run, supervisor.clone()));
                }
                let _ = reply.send(spawned);
            }
            Message::Gone(child, exit, why) => state.gone(child, exit, &why),
            Message::Shutdown(reply) => {
                let writer = state.writer.clone();
                // Beside the mailbox: the runs that are ending still have to be heard.
                tokio::spawn(async move {
                    let drained = ractor::call!(writer, journal::Message::Drain);
                    if let Err(error) = drained {
                        tracing::debug!(%error, "the journal's writer was gone already");
                    }
                    let _ = myself.cast(Message::Drained(reply));
                });
            }
            Message::Drained(reply) => {
                state.writer.stop(None);
                let _ = reply.send(());
                myself.stop(None);
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
        if let Some((child, exit, why)) = child::ended(event) {
            myself.cast(Message::Gone(child, exit, why.unwrap_or_default()))?;
        }
        Ok(())
    }
}

impl State {
    fn gone(&mut self, child: ActorId, exit: Exit, why: &str) {
        let Some((run, _)) = self.runs.remove(&child) else {
            if child == self.writer.get_id() && exit == Exit::Abnormal {
                tracing::error!(why, "the journal's writer failed");
                let failed = Acknowledgement::Failed(format!("its writer failed: {why}"));
                for (_, run) in self.runs.values() {
                    // One that is ending does not mind.
                    let _ = run.cast(supervisor::Message::Acknowledged(failed.clone()));
                }
            }
            return;
        };
        let history = self.histories.entry(run).or_default();
        match history.ended(&restart::RUN_SUPERVISOR, exit, self.clock.now(), 0) {
            Verdict::Leave => {
                self.histories.remove(&run);
            }
            Verdict::Restart(after) => {
                tracing::error!(%run, why, "a run's supervisor failed and is started again");
                (self.crashed)(run, Some(after), why.to_owned());
            }
            Verdict::Escalate => {
                tracing::error!(%run, why, "a run's supervisor failed too often");
                (self.crashed)(run, None, why.to_owned());
            }
        }
    }
}
