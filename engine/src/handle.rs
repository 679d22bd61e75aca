//! A caller's hold on a run.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bellwether_actors::observe::Report;
use bellwether_actors::tree::{Gone, RunControl, Standstill};
use bellwether_journal::codec;
use bellwether_journal::error::{Damage, StoreError};
use bellwether_journal::id::{CallNumber, Position, RunId};
use bellwether_journal::read;
use bellwether_journal::record::{Actor, Order, Ordered, Record, RunLimits, Status};
use bellwether_journal::store::Store;
use bellwether_journal::text::Text;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;

use crate::error::{ControlError, RunError};
use crate::event::Events;
use crate::observe::Watch;
use crate::options::ResumeOptions;
use crate::view::Question;

/// A run in this engine. Cheap to clone; dropping it changes nothing for the run.
///
/// ```
/// # use std::sync::Arc;
/// # use bellwether::{Engine, RunError, Script, StartOptions, Status, backend::dry::Dry};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let engine = Engine::builder().memory().backend("dry", Arc::new(Dry)).build().await?;
/// # let source = "export const meta = { name: 'one', description: 'One' }\nreturn agent('Do it.')";
/// # let run = engine.start(Script::text(source), StartOptions::new().backend("dry")).await?;
/// match run.result::<String>().await {
///     Ok(value) => assert_eq!(value, "agent text output 1"),
///     Err(RunError::Unfinished { status, .. }) => println!("{} can be resumed", status.name()),
///     Err(error) => return Err(error.into()),
/// }
/// assert_eq!(run.status(), Status::Completed);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RunHandle(Arc<Shared>);

pub(crate) struct Shared {
    run: RunId,
    store: Arc<dyn Store>,
    watch: Arc<Watch>,
    report: watch::Receiver<Report>,
    /// Replaced when the run's supervisor is started again; `None` for a run that this engine does not have.
    control: Mutex<Option<RunControl>>,
    /// What was changed when it was resumed: holds after a crash of its supervisor, too.
    changed: Mutex<ResumeOptions>,
}

impl RunHandle {
    pub(crate) fn new(run: RunId, store: Arc<dyn Store>, watch: Arc<Watch>) -> Self {
        let report = watch.subscribe();
        Self(Arc::new(Shared {
            run,
            store,
            watch,
            report,
            control: Mutex::new(None),
            changed: Mutex::default(),
        }))
    }

    pub(crate) fn set_control(&self, control: RunControl) {
        *self
            .0
            .control
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(control);
    }

    pub(crate) fn set_changed(&self, changed: ResumeOptions) {
        *self
            .0
            .changed
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = changed;
    }

    pub(crate) fn changed(&self) -> ResumeOptions {
        let changed = self.0.changed.lock();
        changed.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.0.watch
    }

    /// Waits until the run's first records are durable; says why, when they never will be.
    pub(crate) async fn refused(&self) -> Option<StoreError> {
        let mut report = self.0.report.clone();
        let accepted = |report: &Report| report.done || report.status != Status::Queued;
        let report = match report.wait_for(accepted).await {
            Ok(report) => report.clone(),
            Err(_) => self.0.report.borrow().clone(),
        };
        let given_up = report.done && report.status == Status::Interrupted;
        (report.journal_failed || given_up)
            .then(|| StoreError::Io(report.reason.unwrap_or_default()))
    }

    /// Whether this engine is done with the run.
    pub(crate) fn is_done(&self) -> bool {
        self.0.report.borrow().done
    }

    /// Whether both are one handle, cloned.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The run's id.
    #[must_use]
    pub fn id(&self) -> RunId {
        self.0.run
    }

    /// What state the run is in, as last made durable.
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.report.borrow().status
    }

    /// Why it is in that state, if that was said.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.0.report.borrow().reason.clone()
    }

    /// Whether the journal failed under the run: it is paused, and only a new engine goes on with it.
    #[must_use]
    pub fn journal_failed(&self) -> bool {
        self.0.report.borrow().journal_failed
    }

    /// Waits until this engine is done with the run (it has ended, or was stopped or killed, or the journal failed) and
    /// gives the status. A run that is paused by a person is still waited for.
    pub async fn wait(&self) -> Status {
        let mut report = self.0.report.clone();
        match report.wait_for(|report| report.done).await {
            Ok(report) => report.status,
            // The engine is gone, and the run with it.
            Err(_) => self.0.report.borrow().status,
        }
    }

    /// Waits until the run's status is another one than `known`, and gives it; `None` when this engine is done with the run.
    /// Statuses that passed meanwhile are not told.
    pub async fn next_status(&self, known: Status) -> Option<Status> {
        let mut report = self.0.report.clone();
        let is_news = |report: &Report| report.done || report.status != known;
        let report = report.wait_for(is_news).await.ok()?;
        (!report.done).then_some(report.status)
    }

    /// Waits like [`RunHandle::wait`] and gives the script's value.
    ///
    /// # Errors
    /// [`RunError`] when the run failed, is unfinished, or its value has another shape.
    pub async fn result<T: DeserializeOwned>(&self) -> Result<T, RunError> {
        let status = self.wait().await;
        let reason = self.0.report.borrow().reason.clone();
        if !status.is_final() {
            return Err(RunError::Unfinished { status, reason });
        }
        let shared = Arc::clone(&self.0);
        let ended =
            tokio::task::spawn_blocking(move || last_record(shared.store.as_ref(), shared.run))
                .await
                .map_err(|error| StoreError::Io(error.to_string()))??;
        match ended {
            (Some(value), _) => Ok(serde_json::from_str(&value)?),
            (None, Some(error)) => Err(RunError::Failed(Box::new(error))),
            (None, None) => Err(RunError::Unfinished { status, reason }),
        }
    }

    /// The run's events from now on; for the first who asks, from the beginning if the run was started or resumed
    /// `watched`.
    #[must_use]
    pub fn events(&self) -> Events {
        self.0.watch.events()
    }

    /// Starts no new agent; those that run finish. Returns when that is durable.
    ///
    /// # Errors
    /// [`ControlError::NotLive`].
    pub async fn pause(&self, by: impl Into<Caller>) -> Result<(), ControlError> {
        let (by, reason) = by.into().parts();
        self.control()?
            .pause(false, by, reason)
            .await
            .map_err(not_live)
    }

    /// As [`RunHandle::pause`], and ends the agents that are at work, in order: they begin anew when the run goes on.
    ///
    /// # Errors
    /// [`ControlError::NotLive`].
    pub async fn pause_now(&self, by: impl Into<Caller>) -> Result<(), ControlError> {
        let (by, reason) = by.into().parts();
        self.control()?
            .pause(true, by, reason)
            .await
            .map_err(not_live)
    }

    /// Goes on after a pause. Returns when that is durable.
    ///
    /// # Errors
    /// [`ControlError::NotLive`].
    pub async fn resume(&self, by: impl Into<Caller>) -> Result<(), ControlError> {
        let (by, _) = by.into().parts();
        self.control()?.resume(by).await.map_err(not_live)
    }

    /// Ends the run's agents in order within `grace`, keeps all results, and leaves the run resumable. Returns when that
    /// is durable and no process of the run is left.
    ///
    /// # Errors
    /// [`ControlError::NotLive`].
    pub async fn stop(&self, grace: Duration, by: impl Into<Caller>) -> Result<(), ControlError> {
        let (by, reason) = by.into().parts();
        self.control()?
            .stop(Some(grace), by, reason)
            .await
            .map_err(not_live)
    }

    /// Ends the run's agents at once; resumed as after a crash. Returns when that is durable and no process of the run
    /// is left.
    ///
    /// # Errors
    /// [`ControlError::NotLive`].
    pub async fn kill(&self, by: impl Into<Caller>) -> Result<(), ControlError> {
        let (by, reason) = by.into().parts();
        self.control()?
            .stop(None, by, reason)
            .await
            .map_err(not_live)
    }

    /// Ends one agent in order; its call has no value then, and every rewind keeps it so until the agent is restarted. One that
    /// has not started never does. Returns when that is durable.
    ///
    /// # Errors
    /// [`ControlError`]; nothing has changed then.
    pub async fn stop_agent(&self, call: CallNumber, by: impl Into<Caller>) -> Obeyed {
        self.order(Order::StopAgent(call), by.into()).await
    }

    /// Lets an agent that has not started never start; its call has no value.
    ///
    /// # Errors
    /// [`ControlError`]; nothing has changed then.
    pub async fn skip_agent(&self, call: CallNumber, by: impl Into<Caller>) -> Obeyed {
        self.order(Order::SkipAgent(call), by.into()).await
    }

    /// Begins the work of an agent that is at it anew, with another attempt. One that has ended is run again by
    /// [`crate::Engine::rewind`].
    ///
    /// # Errors
    /// [`ControlError`]; nothing has changed then.
    pub async fn restart_agent(&self, call: CallNumber, by: impl Into<Caller>) -> Obeyed {
        self.order(Order::RestartAgent(call), by.into()).await
    }

    /// Changes the run's limits from here on: agents at once (0 is no limit), and agents in all.
    ///
    /// # Errors
    /// [`ControlError`]; nothing has changed then.
    pub async fn set_limits(
        &self,
        concurrency: Option<u32>,
        agents: Option<u64>,
        by: impl Into<Caller>,
    ) -> Obeyed {
        let limits = RunLimits {
            concurrency,
            agents,
        };
        self.order(Order::SetLimits(limits), by.into()).await
    }

    /// The questions that wait for a person, in their order.
    ///
    /// # Errors
    /// [`StoreError`]: they cannot be read.
    pub async fn questions(&self) -> Result<Vec<Question>, StoreError> {
        crate::approve::open(self.store(), self.0.run).await
    }

    /// Answers a question of the run. The same answer twice is one. Returns when that is durable.
    ///
    /// # Errors
    /// [`ControlError`]; nothing has changed then. [`ControlError::Answer`] says what may be answered.
    pub async fn answer(&self, call: CallNumber, answer: &Value, by: impl Into<Caller>) -> Obeyed {
        self.control()?;
        crate::approve::check(self, call, answer).await?;
        let answer = Text::Inline(answer.to_string().into());
        self.order(Order::Answer(call, answer), by.into()).await
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.0.store)
    }

    async fn order(&self, order: Order, by: Caller) -> Obeyed {
        let (by, reason) = by.parts();
        let ordered = Ordered { order, by, reason };
        let ordered = self.control()?.order(ordered).await;
        Ok(ordered.map_err(not_live)??)
    }

    /// The run's status as decided, which the journal may not have yet: what a verb changed shows here at once.
    ///
    /// # Errors
    /// [`ControlError::NotLive`].
    pub async fn decided_status(&self) -> Result<Status, ControlError> {
        self.control()?.status().await.map_err(not_live)
    }

    /// Lets the run stand still; `None` when it cannot.
    pub(crate) async fn stand_still(&self) -> Option<Standstill> {
        self.control().ok()?.stand_still().await.ok().flatten()
    }

    fn control(&self) -> Result<RunControl, ControlError> {
        let control = self
            .0
            .control
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        control.clone().ok_or(ControlError::NotLive)
    }
}

/// Who wants something of a run, and why, for the record.
///
/// ```
/// use bellwether::Caller;
///
/// let by = Caller::new("the night shift").because("the disk is full");
/// assert_eq!(by, Caller::from("the night shift").because("the disk is full"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    by: String,
    reason: Option<String>,
}

impl Caller {
    /// A person or program, by name.
    pub fn new(by: impl Into<String>) -> Self {
        Self {
            by: by.into(),
            reason: None,
        }
    }

    /// With a reason.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    fn parts(self) -> (Actor, Option<String>) {
        (Actor::Caller(self.by), self.reason)
    }
}

impl From<&str> for Caller {
    fn from(by: &str) -> Self {
        Self::new(by)
    }
}

impl From<&String> for Caller {
    fn from(by: &String) -> Self {
        Self::new(by)
    }
}

/// What an order comes to.
type Obeyed = Result<(), ControlError>;

/// A run whose actors are gone has ended or been given up: for its caller that is one thing.
fn not_live(_gone: Gone) -> ControlError {
    ControlError::NotLive
}

impl fmt::Debug for RunHandle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0.report.borrow();
        formatter
            .debug_struct("RunHandle")
            .field("run", &self.0.run)
            .field("status", &report.status)
            .finish_non_exhaustive()
    }
}

type Ended = (
    Option<Arc<str>>,
    Option<bellwether_journal::record::ScriptError>,
);

/// The value and error of a run that has ended: its last record says.
fn last_record(store: &dyn Store, run: RunId) -> Result<Ended, StoreError> {
    let damage = || StoreError::Damage(Damage::new(format!("run {run} has no end")));
    let summary = read::summary(store, run)?.ok_or_else(damage)?;
    let last = Position(summary.next.0.saturating_sub(1));
    let rows = store.records(run, last, 1)?;
    let row = rows.first().ok_or_else(damage)?;
    let entry = codec::decode(run, row.position, &row.bytes)?;
    let Record::RunEnded(ended) = entry.record else {
        return Err(damage());
    };
    let value = match &ended.result {
        Some(value) => Some(read::resolve(store, run, last, value)?),
        None => None,
    };
    Ok((value, ended.error))
}
