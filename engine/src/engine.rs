//! The engine: what a program holds to start, find and resume runs.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bellwether_actors::backend::AgentBackend;
use bellwether_actors::root;
use bellwether_actors::run::supervisor::{Arguments, Surroundings};
use bellwether_actors::scheduler::Scheduler;
use bellwether_actors::tree::Tree;
use bellwether_journal::error::StoreError;
use bellwether_journal::id::{CallNumber, Epoch, RunId};
use bellwether_journal::read;
use bellwether_journal::record::Status;
use bellwether_journal::store::Store;

use crate::approve::Asking;
use crate::builder::Builder;
use crate::error::{BuildError, ResumeError, RewindError, StartError};
use crate::explain::Explanation;
use crate::handle::RunHandle;
use crate::observe::Watch;
use crate::options::{Limits, ResumeOptions, Script, StartOptions};
use crate::resume::Crash;
use crate::rewind::RewindOptions;
use crate::view::Archive;
use crate::vm::Vms;

/// An engine: one journal and the runs in it. Cheap to clone; the last clone dropped ends its actors and their agents at
/// once, and loses nothing that was acknowledged ([`Engine::shutdown`] ends them in order).
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) tree: Tree,
    pub(crate) epoch: Epoch,
    pub(crate) backends: HashMap<String, Arc<dyn AgentBackend>>,
    pub(crate) limits: Limits,
    pub(crate) vms: Arc<Vms>,
    pub(crate) asking: Asking,
    #[cfg(feature = "gateway")]
    pub(crate) models: Option<Arc<crate::models::Hub>>,
    #[cfg(feature = "llm")]
    pub(crate) llm: Option<Arc<crate::backend::llm::Shared>>,
    #[cfg(feature = "command")]
    pub(crate) launcher: Arc<bellwether_launcher::Launcher>,
    #[cfg(feature = "worktree")]
    pub(crate) ground: Arc<crate::isolation::Ground>,
    live: Mutex<HashMap<RunId, RunHandle>>,
    /// Held while a run is being started or taken up, so that the same id is never taken twice.
    pub(crate) entering: tokio::sync::Mutex<()>,
    closing: AtomicBool,
}

impl Inner {
    /// Whoever still waits for a run is told that nothing more will come.
    fn give_up_runs(&self, reason: &str) {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, handle) in live.drain() {
            handle.watch().abandoned(reason.to_owned());
        }
    }

    pub(crate) const fn surroundings(&self) -> &Surroundings {
        self.tree.surroundings()
    }
}

impl Engine {
    /// Begins to build an engine.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) async fn assemble(
        store: Arc<dyn Store>,
        builder: Builder,
    ) -> Result<Self, BuildError> {
        let opened = Arc::clone(&store);
        let opening = tokio::task::spawn_blocking(move || {
            let identity = opened.identity()?;
            let epoch = opened.raise_epoch()?;
            #[cfg(feature = "command")]
            crate::processes::sweep(identity, epoch);
            Ok::<_, StoreError>((identity, epoch))
        });
        let (identity, epoch) = opening
            .await
            .map_err(|error| BuildError::Setting(error.to_string()))??;
        let vms = Arc::new(vms(&builder));
        #[cfg(feature = "worktree")]
        let ground = Arc::new(crate::isolation::Ground {
            worktrees: builder.worktrees,
            helper: builder.helper.clone(),
            journal: identity,
            epoch,
            pools: tokio::sync::Mutex::default(),
        });
        #[cfg(feature = "command")]
        let (backends, launcher) = {
            let launcher = crate::processes::launcher(builder.helper);
            let mut backends = builder.backends;
            for (name, options) in builder.commands {
                let backend = crate::processes::backend(&launcher, &builder.clock, options);
                backends.insert(name, backend);
            }
            (backends, launcher)
        };
        #[cfg(not(feature = "command"))]
        let backends = builder.backends;
        let (clock, limits) = (builder.clock, builder.limits);
        #[cfg(feature = "gateway")]
        let models = builder
            .models
            .map(|options| Arc::new(crate::models::Hub::new(options, Arc::clone(&clock))));
        #[cfg(feature = "llm")]
        let llm = models.as_ref().map(|hub| {
            let shared = crate::backend::llm::Shared::new(Arc::clone(hub), Arc::clone(&launcher));
            Arc::new(shared)
        });
        let scheduler = Scheduler::new(limits.concurrency.map(|limit| limit.max(1) as usize));
        let myself: Arc<Mutex<Weak<Inner>>> = Arc::default();
        let tree = Tree::start(
            store,
            identity,
            scheduler,
            clock,
            crashed(Arc::clone(&myself)),
        )
        .await
        .map_err(|error| BuildError::Setting(error.to_string()))?;
        let inner = Arc::new(Inner {
            tree,
            epoch,
            backends,
            limits,
            vms,
            asking: Asking::new(builder.approver),
            #[cfg(feature = "gateway")]
            models,
            #[cfg(feature = "llm")]
            llm,
            #[cfg(feature = "command")]
            launcher,
            #[cfg(feature = "worktree")]
            ground,
            live: Mutex::default(),
            entering: tokio::sync::Mutex::new(()),
            closing: AtomicBool::new(false),
        });
        *myself.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&inner);
        Ok(Self(inner))
    }

    /// Whether scripts run within this process: as [`Builder::vm_in_process`] asks, or since there is no other for them.
    #[must_use]
    pub fn runs_scripts_in_process(&self) -> bool {
        self.0.vms.are_within()
    }

    /// Starts a run. With an id of the caller's own that is in the journal already, gives that run's handle.
    ///
    /// Returns when the run's first records are durable.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use bellwether::{Engine, ResumeOptions, RunId, Script, StartOptions, backend::dry::Dry};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let engine = Engine::builder().memory().backend("dry", Arc::new(Dry)).build().await?;
    /// # let source = "export const meta = { name: 'one', description: 'One' }\nreturn agent('Do it.')";
    /// let request: RunId = "r-7k2m9q4d".parse()?;
    /// let options = || StartOptions::new().backend("dry").run_id(request);
    /// let run = engine.start(Script::text(source), options()).await?;
    /// let again = engine.start(Script::text(source), options()).await?;
    /// assert_eq!(again.id(), run.id());
    /// assert_eq!(again.result::<String>().await?, "agent text output 1");
    /// assert!(engine.start(Script::text(format!("{source} + '!'")), options()).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`StartError`]; nothing is journaled then.
    pub async fn start(
        &self,
        script: Script,
        options: StartOptions,
    ) -> Result<RunHandle, StartError> {
        // On a task of its own: a caller who stops waiting (a request that is cut off) must not leave half a run.
        let engine = self.clone();
        let starting =
            tokio::spawn(async move { crate::start::start(&engine, script, options).await });
        starting
            .await
            .unwrap_or_else(|gone| Err(StoreError::Io(gone.to_string()).into()))
    }

    /// Takes up an unfinished run where the journal ends. A run that is live here already is given as it is.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use bellwether::{Engine, ResumeOptions, RunId, Script, StartOptions, backend::dry::Dry};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let engine = Engine::builder().memory().backend("dry", Arc::new(Dry)).build().await?;
    /// # let source = "export const meta = { name: 'one', description: 'One' }\nreturn agent('Do it.')";
    /// # engine.start(Script::text(source), StartOptions::new().backend("dry")).await?.wait().await;
    /// for run in engine.unfinished().await? {
    ///     engine.resume(run, ResumeOptions::new().by("the night shift")).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ResumeError`]; the run is as it was then.
    pub async fn resume(
        &self,
        run: RunId,
        options: ResumeOptions,
    ) -> Result<RunHandle, ResumeError> {
        let engine = self.clone();
        let resuming = tokio::spawn(async move {
            let entering = engine.0.entering.lock().await;
            if engine.is_closing() {
                return Err(ResumeError::ShuttingDown);
            }
            let handle = match engine.run(run) {
                Some(handle) => handle,
                None => Box::pin(crate::resume::resume(&engine, run, options, None)).await?,
            };
            // A supervisor that crashes from here on is taken up again, which needs the lock.
            drop(entering);
            match handle.refused().await {
                Some(error) => Err(error.into()),
                None => Ok(handle),
            }
        });
        resuming
            .await
            .unwrap_or_else(|gone| Err(StoreError::Io(gone.to_string()).into()))
    }

    /// Opens a new generation of a run, from the script's first line: calls that have not changed and that waited for
    /// nothing that has are answered by the generation before, the others run (R03). Agents of a live run that are at work go on,
    /// where the new generation asks for the same; a live run that is pausing, stopping or merging is stopped first.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use bellwether::{Engine, RewindOptions, Script, StartOptions, backend::dry::Dry};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let engine = Engine::builder().memory().backend("dry", Arc::new(Dry)).build().await?;
    /// # let meta = "export const meta = { name: 'one', description: 'One' }\n";
    /// # let source = format!("{meta}return agent('Do it.')");
    /// let run = engine.start(Script::text(source), StartOptions::new().backend("dry")).await?;
    /// run.wait().await;
    /// let edited = Script::text(format!("{meta}return [await agent('Do it.'), await agent('Check it.')]"));
    /// let again = engine.rewind(run.id(), RewindOptions::new().script(edited)).await?;
    /// again.wait().await;
    /// let view = engine.archive().view(run.id(), 0)?;
    /// assert_eq!((view.agents.completed, view.agents.reused), (2, 1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RewindError`]; the run is as it was then, or stopped.
    pub async fn rewind(
        &self,
        run: RunId,
        options: RewindOptions,
    ) -> Result<RunHandle, RewindError> {
        let engine = self.clone();
        let rewinding = tokio::spawn(async move {
            let mut stopped = false;
            loop {
                let entering = engine.0.entering.lock().await;
                if engine.is_closing() {
                    return Err(RewindError::ShuttingDown);
                }
                let from = crate::rewind::From {
                    run,
                    before: None,
                    to: run,
                };
                if let Some(live) = engine.run(run) {
                    // What cannot be done is refused here, and does not stop it.
                    if crate::rewind::rewind_live(&engine, &live, &options).await? {
                        return Ok(live);
                    }
                    drop(entering);
                    let by = options.resume.by.clone().unwrap_or_default();
                    // It may have ended meanwhile, which is as well.
                    let _ = live.stop(engine.0.limits.stop_grace, &by).await;
                    stopped |= live.wait().await == Status::Stopped;
                    continue;
                }
                let changed = options.resume.clone();
                let handle = match crate::rewind::rewind(&engine, from, options).await {
                    Ok(handle) => handle,
                    Err(error) if stopped => {
                        // It was live, and what it was stopped for is not to be.
                        let resuming = crate::resume::resume(&engine, run, changed, None);
                        if let Err(other) = Box::pin(resuming).await {
                            tracing::error!(%run, error = %other, "a run that was stopped for a rewind is not resumed");
                        }
                        return Err(error);
                    }
                    Err(error) => return Err(error),
                };
                drop(entering);
                return accepted(handle).await;
            }
        });
        rewinding
            .await
            .unwrap_or_else(|gone| Err(StoreError::Io(gone.to_string()).into()))
    }

    /// Begins a new run with what another one has done, up to the call `before`, or with all of it. The other one is not
    /// touched, whatever it does.
    ///
    /// # Errors
    /// [`RewindError`]; nothing is journaled then.
    pub async fn fork(
        &self,
        run: RunId,
        before: Option<CallNumber>,
        options: RewindOptions,
    ) -> Result<RunHandle, RewindError> {
        let engine = self.clone();
        let forking = tokio::spawn(async move {
            let entering = engine.0.entering.lock().await;
            if engine.is_closing() {
                return Err(RewindError::ShuttingDown);
            }
            let to = crate::start::fresh_id(&engine).await?;
            let from = crate::rewind::From { run, before, to };
            let handle = crate::rewind::rewind(&engine, from, options).await?;
            drop(entering);
            accepted(handle).await
        });
        forking
            .await
            .unwrap_or_else(|gone| Err(StoreError::Io(gone.to_string()).into()))
    }

    /// What [`Engine::rewind`] with these options would do, or [`Engine::fork`] with `before`, call by call (R04). Nothing is
    /// journaled, and no agent starts.
    ///
    /// # Errors
    /// [`RewindError`].
    pub async fn explain(
        &self,
        run: RunId,
        before: Option<CallNumber>,
        options: &RewindOptions,
    ) -> Result<Explanation, RewindError> {
        let drained = self.0.tree.drain().await;
        drained.map_err(|gone| StoreError::Io(gone.to_string()))?;
        crate::explain::explain(self, run, before, options).await
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.0.closing.load(Ordering::Acquire)
    }

    /// Runs that are unfinished and that this engine has not taken up, in the order of their ids.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn unfinished(&self) -> Result<Vec<RunId>, StoreError> {
        let store = Arc::clone(&self.0.surroundings().store);
        let reading = tokio::task::spawn_blocking(move || {
            read::summaries(store.as_ref())
                .filter_map(|row| match row {
                    Ok((run, summary)) => (!summary.status.is_final()).then_some(Ok(run)),
                    Err(error) => Some(Err(error)),
                })
                .collect::<Result<Vec<RunId>, StoreError>>()
        });
        let runs = reading
            .await
            .map_err(|error| StoreError::Io(error.to_string()))??;
        Ok(runs
            .into_iter()
            .filter(|run| self.run(*run).is_none())
            .collect())
    }

    /// The handle of a run that is live in this engine.
    #[must_use]
    pub fn run(&self, run: RunId) -> Option<RunHandle> {
        self.with_live(|live| live.get(&run).filter(|handle| !handle.is_done()).cloned())
    }

    /// All runs that are live in this engine, in the order of their ids.
    #[must_use]
    pub fn live(&self) -> Vec<RunHandle> {
        let mut runs: Vec<RunHandle> = self.with_live(|live| {
            live.values()
                .filter(|handle| !handle.is_done())
                .cloned()
                .collect()
        });
        runs.sort_unstable_by_key(RunHandle::id);
        runs
    }

    /// What the journal says of runs, live ones too.
    #[must_use]
    pub fn archive(&self) -> Archive {
        let engine = Arc::downgrade(&self.0);
        Archive::new(Arc::clone(&self.0.surroundings().store)).with_live(move |run| {
            engine
                .upgrade()
                .is_some_and(|engine| Engine(engine).run(run).is_some())
        })
    }

    /// Stops all runs so that they can be resumed, drains the journal and ends the actors. Agents that have not ended when
    /// three quarters of `deadline` are over are killed.
    pub async fn shutdown(&self, deadline: Duration) {
        self.0.closing.store(true, Ordering::Release);
        let ending = async {
            self.stop_all(deadline * 3 / 4).await;
            // Behind whoever was starting a run meanwhile: it is stopped too.
            drop(self.0.entering.lock().await);
            self.stop_all(deadline * 3 / 4).await;
            self.0.tree.shutdown(deadline).await
        };
        if tokio::time::timeout(deadline, ending).await.is_err() {
            tracing::warn!("runs did not stop in time and are cut off; they can be resumed");
            if let Err(gone) = self.0.tree.shutdown(Duration::ZERO).await {
                tracing::debug!(%gone, "the engine's actors were ended");
            }
        }
        self.0.give_up_runs("the engine was shut down");
    }

    async fn stop_all(&self, grace: Duration) {
        let runs = self.live();
        let stops = runs.iter().map(|run| run.stop(grace, "shutdown"));
        futures_util::future::join_all(stops).await;
    }

    pub(crate) fn watch(&self, run: RunId) -> Arc<Watch> {
        let status = bellwether_journal::record::Status::Queued;
        Arc::new(Watch::new(run, status, false, self.0.limits.events))
    }

    /// Hands a run to the tree; it is live from here on.
    pub(crate) async fn supervise(
        &self,
        handle: &RunHandle,
        arguments: Box<Arguments>,
    ) -> Result<(), StoreError> {
        let run = handle.id();
        let control = self.0.tree.run(arguments).await;
        handle.set_control(control.map_err(|gone| StoreError::Io(gone.to_string()))?);
        self.with_live(|live| live.insert(run, handle.clone()));
        let (waiting, engine) = (handle.clone(), Arc::downgrade(&self.0));
        tokio::spawn(async move {
            waiting.wait().await;
            if let Some(engine) = engine.upgrade() {
                engine.asking.forget(run);
                Engine(engine).with_live(|live| {
                    // It may have been resumed since, under a handle of its own.
                    if live.get(&run).is_some_and(|handle| handle.is(&waiting)) {
                        live.remove(&run);
                    }
                });
            }
        });
        Ok(())
    }

    fn with_live<T>(&self, change: impl FnOnce(&mut HashMap<RunId, RunHandle>) -> T) -> T {
        change(&mut self.0.live.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The run, when its first records are durable.
async fn accepted(handle: RunHandle) -> Result<RunHandle, RewindError> {
    match handle.refused().await {
        Some(error) => Err(error.into()),
        None => Ok(handle),
    }
}

/// Takes a run up again whose supervisor crashed.
fn crashed(engine: Arc<Mutex<Weak<Inner>>>) -> root::Crashed {
    Arc::new(move |run, after, why| {
        let engine = Weak::clone(&engine.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::spawn(async move {
            tokio::time::sleep(after.unwrap_or_default()).await;
            let Some(engine) = engine.upgrade().map(Engine) else {
                return;
            };
            let _entering = engine.0.entering.lock().await;
            let Some(handle) = engine.run(run) else {
                return;
            };
            if engine.0.closing.load(Ordering::Acquire) {
                handle
                    .watch()
                    .abandoned("the engine was shut down".to_owned());
                return;
            }
            let crash = match after {
                Some(_) => Crash::Once,
                None => Crash::TooOften(why),
            };
            let resuming = crate::resume::resume(&engine, run, handle.changed(), Some(crash));
            match Box::pin(resuming).await {
                Ok(_) => {}
                // It had ended: only whoever was to say so had crashed.
                Err(ResumeError::Ended { status, .. }) => handle.watch().ended(status),
                Err(error) => {
                    tracing::error!(%run, %error, "a run whose supervisor crashed cannot be taken up");
                    handle.watch().abandoned(error.to_string());
                }
            }
        });
    })
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.give_up_runs("the engine was dropped");
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let live = self.with_live(|live| live.len());
        formatter
            .debug_struct("Engine")
            .field("live", &live)
            .finish_non_exhaustive()
    }
}

/// Where the VMs will be.
fn vms(builder: &Builder) -> Vms {
    if builder.vm_in_process {
        return Vms::within();
    }
    #[cfg(feature = "vm-process")]
    {
        use bellwether_launcher::Program;
        let helper = builder.helper.clone();
        let program = helper.map_or(Program::CurrentExe, Program::Path);
        Vms::beside(crate::vm::beside::Processes::new(program))
    }
    #[cfg(not(feature = "vm-process"))]
    Vms::default()
}
