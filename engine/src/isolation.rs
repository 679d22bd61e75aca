//! A run's place for isolated agents: the pool that its worktrees come from, and the commit that they begin at. The pool is
//! opened when the first agent needs it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bellwether_actors::backend::{AgentBackend, AttemptContext, Ended, Task};
use bellwether_actors::run::keys::Refusal;
use bellwether_journal::id::{Epoch, RunId};
use bellwether_journal::key::Digest;
use bellwether_journal::record::FailureKind;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use tokio::sync::{Mutex, OnceCell};

use crate::landing::{MergeOptions, MergeStep};
use crate::options::{Isolate, StartOptions, WorktreeOptions};
use crate::worktree::{Base, Isolated, Pool, PoolOptions, Settings, Uncommitted};

/// What a script that isolates agents says somewhere, in its text or its arguments.
const WORKTREE: &str = "worktree";

/// What isolated agents share over all runs of an engine.
pub(crate) struct Ground {
    /// Where their working trees are made.
    pub(crate) worktrees: Option<PathBuf>,
    /// What starts processes where this program cannot.
    pub(crate) helper: Option<PathBuf>,
    /// The journal's own name.
    pub(crate) journal: Digest,
    /// Its opening.
    pub(crate) epoch: Epoch,
    /// The pools, by the checkout that they are for, with the settings that they were opened with.
    pub(crate) pools: Mutex<HashMap<PathBuf, (WorktreeOptions, Pool)>>,
}

/// A run's place for isolated agents.
pub(crate) struct Isolation {
    ground: Arc<Ground>,
    run: RunId,
    folder: PathBuf,
    options: WorktreeOptions,
    /// The commit that was journaled.
    commit: Option<String>,
    /// Why there is none.
    refused: Option<String>,
    place: OnceCell<Result<(Pool, Base), String>>,
}

/// Pins the commit that the isolated agents of a run begin at, before anything of it runs: agents that are not isolated
/// change the checkout. Only for a run that may isolate any: to look at a large checkout takes time.
pub(crate) async fn pin(
    ground: &Ground,
    mut options: StartOptions,
    folder: &Path,
    run: RunId,
    source: &str,
) -> StartOptions {
    let says = |text: &str| text.contains(WORKTREE);
    let wanted = says(source)
        || options.args.as_deref().is_some_and(says)
        || options.isolate == Isolate::Always
        || options
            .agent_types
            .iter()
            .any(|definition| definition.isolation.is_some());
    let Some(worktrees) = ground.worktrees.as_deref().filter(|_| wanted) else {
        return options;
    };
    let settings = Settings::from(&options.worktree);
    match Base::pin(folder, &settings, run, worktrees).await {
        Ok(base) => options.base_commit = Some(base.commit().to_owned()),
        Err(error) => options.isolation_refused = Some(error.to_string()),
    }
    options
}

impl From<&WorktreeOptions> for Settings {
    fn from(options: &WorktreeOptions) -> Self {
        let paths = |paths: &[String]| paths.iter().map(PathBuf::from).collect();
        let mut settings = Self::default();
        settings.base.clone_from(&options.base);
        if options.include_uncommitted {
            settings.uncommitted = Uncommitted::Include;
        }
        settings.link = paths(&options.link);
        settings.copy = paths(&options.copy);
        settings.setup.clone_from(&options.setup);
        settings.setup_inputs = paths(&options.setup_inputs);
        if let Some(milliseconds) = options.setup_timeout_ms {
            settings.setup_timeout = Duration::from_millis(milliseconds);
        }
        settings.disk_limit = options.disk_limit;
        settings
    }
}

impl Isolation {
    /// For a run that works in `folder`.
    pub(crate) fn new(
        ground: &Arc<Ground>,
        run: RunId,
        folder: &Path,
        options: &StartOptions,
    ) -> Arc<Self> {
        Arc::new(Self {
            ground: Arc::clone(ground),
            run,
            folder: folder.to_owned(),
            options: options.worktree.clone(),
            commit: options.base_commit.clone(),
            refused: options.isolation_refused.clone(),
            place: OnceCell::new(),
        })
    }

    /// Gives each attempt of `inner` a worktree.
    pub(crate) fn isolated(
        self: &Arc<Self>,
        inner: Arc<dyn AgentBackend>,
    ) -> Arc<dyn AgentBackend> {
        let isolation = Arc::clone(self);
        Arc::new(Lazily { isolation, inner })
    }

    /// What does a merge with these options.
    ///
    /// # Errors
    /// The options are none.
    pub(crate) fn merge(
        self: &Arc<Self>,
        options: Map<String, Value>,
    ) -> Result<Arc<dyn AgentBackend>, Refusal> {
        let options: MergeOptions = serde_json::from_value(Value::Object(options))
            .map_err(|error| Refusal::new("OPTIONS", format!("merge(): {error}")))?;
        let isolation = Arc::clone(self);
        Ok(Arc::new(Merges { isolation, options }))
    }

    async fn place(&self) -> Result<(Pool, Base), String> {
        let place = self.place.get_or_init(|| self.find());
        place.await.clone()
    }

    async fn find(&self) -> Result<(Pool, Base), String> {
        if let Some(reason) = &self.refused {
            return Err(reason.clone());
        }
        let ground = &self.ground;
        let Some(worktrees) = &ground.worktrees else {
            return Err(
                "the engine was not told where worktrees may be made: `Builder::worktrees`"
                    .to_owned(),
            );
        };
        let settings = Settings::from(&self.options);
        let base = match &self.commit {
            Some(commit) => Base::again(&self.folder, &settings.git, commit).await,
            // Nothing was pinned, and so there is nothing: this says why.
            None => Base::pin(&self.folder, &settings, self.run, worktrees).await,
        };
        let base = base.map_err(|error| error.to_string())?;
        let mut pools = ground.pools.lock().await;
        if let Some((options, pool)) = pools.get(base.top()) {
            if *options != self.options {
                return Err("another run of this engine works in worktrees of this repository with other `[worktree]` settings: wait for its end".to_owned());
            }
            return Ok((pool.clone(), base));
        }
        let (journal, epoch) = (ground.journal, ground.epoch);
        let mut options = PoolOptions::new(worktrees, base.top(), journal, epoch);
        options.settings = settings;
        options.helper.clone_from(&ground.helper);
        let pool = Pool::open(options)
            .await
            .map_err(|error| error.to_string())?;
        let opened = (self.options.clone(), pool.clone());
        pools.insert(base.top().to_owned(), opened);
        Ok((pool, base))
    }
}

/// A backend whose attempts are isolated, once there is a place for them.
struct Lazily {
    isolation: Arc<Isolation>,
    inner: Arc<dyn AgentBackend>,
}

impl AgentBackend for Lazily {
    fn run(&self, task: Arc<Task>, context: AttemptContext) -> BoxFuture<'static, Ended> {
        let (isolation, inner) = (Arc::clone(&self.isolation), Arc::clone(&self.inner));
        async move {
            let isolated = match isolation.place().await {
                Ok((pool, base)) => Isolated::new(inner, pool, base),
                Err(reason) => Isolated::impossible(inner, reason),
            };
            isolated.run(task, context).await
        }
        .boxed()
    }

    fn fingerprint(&self) -> String {
        self.inner.fingerprint()
    }
}

/// A merge, once there is a place for it.
struct Merges {
    isolation: Arc<Isolation>,
    options: MergeOptions,
}

impl AgentBackend for Merges {
    fn run(&self, task: Arc<Task>, context: AttemptContext) -> BoxFuture<'static, Ended> {
        let (isolation, options) = (Arc::clone(&self.isolation), self.options.clone());
        async move {
            let (pool, base) = match isolation.place().await {
                Ok(place) => place,
                Err(reason) => {
                    return Ended::failed(FailureKind::Other, format!("merge(): {reason}"));
                }
            };
            let step = MergeStep {
                options,
                pool,
                base,
            };
            step.run(task, context).await
        }
        .boxed()
    }
}
