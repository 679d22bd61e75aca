//! The tree from outside: what an engine holds, without knowing that there are actors.

use std::sync::Arc;
use std::time::Duration;

use bellwether_journal::key::Digest;
use bellwether_journal::record::{Actor as By, Ordered, Status};
use bellwether_journal::store::Store;
use ractor::rpc::CallResult;
use ractor::{Actor as _, ActorCell, ActorRef, RpcReplyPort};

use crate::clock::Clock;
use crate::journal;
use crate::root::{self, Crashed, Root};
use crate::run::orders::OrderError;
use crate::run::supervisor::{Arguments, Message, Surroundings};
use crate::scheduler::Scheduler;

/// The actors that should be there are gone: the engine was shut down, or its runtime is ending.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine's actors are gone{0}")]
pub struct Gone(String);

/// An engine's actors. Dropping it ends them at once, and their agents with them.
pub struct Tree {
    root: ActorRef<root::Message>,
    surroundings: Surroundings,
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.root.kill();
    }
}

impl Tree {
    /// Starts the root and the journal's writer. `journal_identity` is the store's own name; `crashed` hears of runs whose
    /// supervisor crashed.
    ///
    /// # Errors
    /// [`Gone`] when the runtime is ending.
    pub async fn start(
        store: Arc<dyn Store>,
        journal_identity: Digest,
        scheduler: Scheduler,
        clock: Arc<dyn Clock>,
        crashed: Crashed,
    ) -> Result<Self, Gone> {
        let arguments = root::Arguments {
            store: Arc::clone(&store),
            scheduler: scheduler.clone(),
            clock: Arc::clone(&clock),
            crashed,
        };
        let (started, writer) = tokio::sync::oneshot::channel();
        let (root, _) = Root::spawn(None, Root, (arguments, started))
            .await
            .map_err(|error| Gone(format!(": {error}")))?;
        let writer = writer.await.map_err(|error| Gone(format!(": {error}")))?;
        let surroundings = Surroundings {
            store,
            journal_identity,
            writer,
            scheduler,
            clock,
        };
        Ok(Self { root, surroundings })
    }

    /// What runs share.
    #[must_use]
    pub const fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// The root itself: from it every actor of the tree can be found, to be looked at or, in tests, broken.
    #[must_use]
    pub fn root(&self) -> ActorCell {
        self.root.get_cell()
    }

    /// Hands a run to the tree.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn run(&self, arguments: Box<Arguments>) -> Result<RunControl, Gone> {
        let message = |reply| root::Message::Run(arguments, reply);
        let started = call(&self.root, message, None).await?;
        started
            .map(RunControl)
            .map_err(|error| Gone(format!(": {error}")))
    }

    /// Waits until everything that was sent to the journal is durable, or has failed.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn drain(&self) -> Result<(), Gone> {
        call(&self.surroundings.writer, journal::Message::Drain, None).await
    }

    /// Drains the journal and ends the actors, all within `deadline`. Runs that are live then are cut off.
    ///
    /// # Errors
    /// [`Gone`] when they were gone already or did not end in time; they are ended all the same.
    pub async fn shutdown(&self, deadline: Duration) -> Result<(), Gone> {
        let ended = call(&self.root, root::Message::Shutdown, Some(deadline)).await;
        if ended.is_err() {
            self.root.kill();
        }
        ended
    }
}

/// A run's supervisor, from outside.
#[derive(Clone)]
pub struct RunControl(ActorRef<Message>);

impl RunControl {
    /// Starts no new agent, and ends those at work if `at_once`; returns when that is durable.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn pause(&self, at_once: bool, by: By, reason: Option<String>) -> Result<(), Gone> {
        let message = |reply| Message::Pause {
            at_once,
            by,
            reason,
            reply,
        };
        call(&self.0, message, None).await
    }

    /// Goes on after a pause; returns when that is durable.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn resume(&self, by: By) -> Result<(), Gone> {
        call(&self.0, |reply| Message::Resume(by, reply), None).await
    }

    /// Ends the run's agents within `grace`, or at once without one, and leaves the run resumable; returns when that is
    /// durable and no process is left.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn stop(
        &self,
        grace: Option<Duration>,
        by: By,
        reason: Option<String>,
    ) -> Result<(), Gone> {
        call(
            &self.0,
            |reply| Message::Stop(grace, by, reason, reply),
            None,
        )
        .await
    }

    /// Gives an order about an agent or the run's limits; returns when it is durable.
    ///
    /// # Errors
    /// [`Gone`]; the inner one says why the order cannot be carried out.
    pub async fn order(&self, ordered: Ordered) -> Result<Result<(), OrderError>, Gone> {
        call(&self.0, |reply| Message::Order(ordered, reply), None).await
    }

    /// Lets the run stand still, so that its journal can be read to the end: its agents go on, nothing else does. `None` when
    /// it is not going on, or will not be at rest soon.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn stand_still(&self) -> Result<Option<Standstill>, Gone> {
        let stands = call(&self.0, Message::StandStill, None).await?;
        Ok(stands.then(|| Standstill(self.0.clone())))
    }

    /// The run's status as decided, which the journal may not have yet.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn status(&self) -> Result<Status, Gone> {
        call(&self.0, Message::Ask, None).await
    }
}

/// A run that stands still. Dropping this lets it go on as it was.
pub struct Standstill(ActorRef<Message>);

impl Standstill {
    /// Begins the next generation; agents that are at work go on when it asks for the same. Returns when its first records are
    /// durable; `false` when the run stood still no longer.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn begin(self, arguments: Box<Arguments>) -> Result<bool, Gone> {
        let message = |reply| Message::Rewound(arguments, reply);
        call(&self.0, message, None).await
    }
}

impl Drop for Standstill {
    fn drop(&mut self) {
        // One that has begun another generation goes on already.
        let _ = self.0.cast(Message::GoOn);
    }
}

async fn call<M: ractor::Message, T: Send + 'static>(
    actor: &ActorRef<M>,
    message: impl FnOnce(RpcReplyPort<T>) -> M,
    deadline: Option<Duration>,
) -> Result<T, Gone> {
    match actor.call(message, deadline).await {
        Ok(CallResult::Success(answer)) => Ok(answer),
        Ok(CallResult::Timeout) => Err(Gone(", or too slow".to_owned())),
        Ok(CallResult::SenderError) => Err(Gone(String::new())),
        Err(error) => Err(Gone(format!(": {error}"))),
    }
}
