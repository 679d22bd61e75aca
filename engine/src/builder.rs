//! Gathering what an engine needs.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use bellwether_actors::backend::AgentBackend;
use bellwether_journal::memory::MemoryStore;
use bellwether_journal::redb::{Options, RedbStore};
use bellwether_journal::store::Store;

use crate::approve::Approver;
use crate::clock::{Clock, SystemClock};
use crate::engine::Engine;
use crate::error::BuildError;
use crate::options::Limits;

/// Gathers what an engine needs.
///
/// ```
/// # async fn build() -> Result<(), bellwether::BuildError> {
/// let engine = bellwether::Engine::builder().memory().build().await?;
/// # engine.shutdown(std::time::Duration::from_secs(1)).await;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct Builder {
    journal: Journal,
    pub(crate) backends: HashMap<String, Arc<dyn AgentBackend>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) helper: Option<PathBuf>,
    pub(crate) vm_in_process: bool,
    pub(crate) approver: Option<Arc<dyn Approver>>,
    #[cfg(feature = "gateway")]
    pub(crate) models: Option<crate::models::Options>,
    #[cfg(feature = "worktree")]
    pub(crate) worktrees: Option<PathBuf>,
    #[cfg(feature = "command")]
    pub(crate) commands: Vec<(String, crate::backend::command::Options)>,
}

enum Journal {
    Unset,
    Path(PathBuf),
    Store(Arc<dyn Store>),
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            journal: Journal::Unset,
            backends: HashMap::new(),
            clock: Arc::new(SystemClock),
            limits: Limits::default(),
            helper: None,
            vm_in_process: false,
            approver: None,
            #[cfg(feature = "gateway")]
            models: None,
            #[cfg(feature = "worktree")]
            worktrees: None,
            #[cfg(feature = "command")]
            commands: Vec::new(),
        }
    }

    /// Keeps the journal in the file `path` (created when missing; its folder must be there). Building waits a moment
    /// ([`RedbOptions::patience`](crate::store::RedbOptions)) for a process before this one that is still closing it.
    pub fn journal(mut self, path: impl Into<PathBuf>) -> Self {
        self.journal = Journal::Path(path.into());
        self
    }

    /// Keeps the journal in memory: for tests and for runs that need not survive.
    pub fn memory(self) -> Self {
        self.store(Arc::new(MemoryStore::default()))
    }

    /// Keeps the journal in the caller's own store. [`crate::store::check`] tells whether it keeps its promises.
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.journal = Journal::Store(store);
        self
    }

    /// Adds a kind of agent under a name.
    pub fn backend(mut self, name: impl Into<String>, backend: Arc<dyn AgentBackend>) -> Self {
        self.backends.insert(name.into(), backend);
        self
    }

    /// Adds a kind of agent that is a program (feature `command`).
    ///
    /// ```
    /// use bellwether::backend::command::{InputMode, Options};
    ///
    /// let mut codex = Options::new(["codex", "exec", "-"].map(str::to_owned).into());
    /// codex.input = InputMode::Prompt;
    /// let builder = bellwether::Engine::builder().memory().command("codex", codex);
    /// # drop(builder);
    /// ```
    #[cfg(feature = "command")]
    pub fn command(
        mut self,
        name: impl Into<String>,
        options: crate::backend::command::Options,
    ) -> Self {
        self.commands.push((name.into(), options));
        self
    }

    /// Says which models there are. Agents then reach them by the engine's gateway, which counts what they use, holds them to
    /// their budgets and keeps the providers' keys (feature `gateway`).
    #[cfg(feature = "gateway")]
    pub fn models(mut self, models: crate::models::Options) -> Self {
        self.models = Some(models);
        self
    }

    /// Names somebody whom scripts may ask (X03). Without one, questions wait for [`crate::RunHandle::answer`].
    pub fn approver(mut self, approver: Arc<dyn Approver>) -> Self {
        self.approver = Some(approver);
        self
    }

    /// Takes the time of day from `clock`. Delays are the runtime's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the engine's limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Names the program that starts agents' processes and holds scripts, for embedders that do not call
    /// `bellwether::child_main`: `bellwether-helper`, or one of their own that calls it.
    pub fn helper(mut self, program: impl Into<PathBuf>) -> Self {
        self.helper = Some(program.into());
        self
    }

    /// Runs scripts within this process even where they could have one of their own (feature `vm-process`): a turn is
    /// some 50 µs faster, and a script that hangs in a single call of its interpreter (a huge `JSON.stringify`) cannot be
    /// ended.
    pub const fn vm_in_process(mut self) -> Self {
        self.vm_in_process = true;
        self
    }

    /// Says in which folder the working trees of isolated agents are made (feature `worktree`). Without one, isolated agents
    /// fail. The folder is made when it is needed.
    #[cfg(feature = "worktree")]
    pub fn worktrees(mut self, folder: impl Into<PathBuf>) -> Self {
        self.worktrees = Some(folder.into());
        self
    }

    /// Opens the journal and starts the engine's actors. No run starts by itself.
    ///
    /// # Errors
    /// [`BuildError`] when the journal cannot be used or the settings do not go together.
    pub async fn build(mut self) -> Result<Engine, BuildError> {
        let store = match std::mem::replace(&mut self.journal, Journal::Unset) {
            Journal::Unset => {
                return Err(BuildError::Setting(
                    "the engine has no journal: call `journal(path)`, `memory()` or `store(…)`"
                        .to_owned(),
                ));
            }
            Journal::Store(store) => store,
            Journal::Path(path) => {
                let opened =
                    tokio::task::spawn_blocking(move || RedbStore::open(&path, Options::default()));
                match opened.await {
                    Ok(store) => Arc::new(store?) as Arc<dyn Store>,
                    Err(error) => return Err(BuildError::Setting(error.to_string())),
                }
            }
        };
        Engine::assemble(store, self).await
    }
}
