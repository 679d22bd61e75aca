//! The engine: what a program holds to start, find and resume runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bellwether_actors::backend::AgentBackend;
use bellwether_journal::id::RunId;
use bellwether_journal::store::Store;

use crate::clock::Clock;
use crate::error::{BuildError, ResumeError, StartError};
use crate::handle::RunHandle;
use crate::options::{Limits, ResumeOptions, Script, StartOptions};

/// Gathers what an engine needs.
pub struct Builder {}

impl Builder {
    /// Keeps the journal in the file `path` (created when missing).
    #[must_use]
    pub fn journal(self, path: impl Into<PathBuf>) -> Self {
        let _ = path.into();
        self
    }

    /// Keeps the journal in memory: for tests and for runs that need not survive.
    #[must_use]
    pub fn memory(self) -> Self {
        self
    }

    /// Keeps the journal in the caller's own store.
    #[must_use]
    pub fn store(self, store: Arc<dyn Store>) -> Self {
        let _ = store;
        self
    }

    /// Adds a kind of agent under a name.
    #[must_use]
    pub fn backend(self, name: impl Into<String>, backend: Arc<dyn AgentBackend>) -> Self {
        let _ = (name.into(), backend);
        self
    }

    /// Takes the time from `clock`.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        let _ = clock;
        self
    }

    /// Sets the engine's limits.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        let _ = limits;
        self
    }

    /// Names the program that starts agents' processes, for embedders that do not call `child_main`.
    #[must_use]
    pub fn helper(self, program: impl Into<PathBuf>) -> Self {
        let _ = program.into();
        self
    }

    /// Opens the journal and starts the engine's actors. No run starts by itself.
    ///
    /// # Errors
    /// [`BuildError`] when the journal cannot be used or the settings do not go together.
    pub async fn build(self) -> Result<Engine, BuildError> {
        todo!()
    }
}

/// An engine; cheap to clone.
#[derive(Clone)]
pub struct Engine {}

impl Engine {
    /// Begins to build an engine.
    #[must_use]
    pub fn builder() -> Builder {
        Builder {}
    }

    /// Starts a run.
    ///
    /// # Errors
    /// [`StartError`]; nothing is journaled then.
    pub async fn start(
        &self,
        script: Script,
        options: StartOptions,
    ) -> Result<RunHandle, StartError> {
        let _ = (script, options);
        todo!()
    }

    /// Runs that are unfinished and that this engine has not taken up.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn unfinished(
        &self,
    ) -> Result<Vec<crate::RunId>, bellwether_journal::error::StoreError> {
        todo!()
    }

    /// Takes up an unfinished run where the journal ends.
    ///
    /// # Errors
    /// [`ResumeError`].
    pub async fn resume(
        &self,
        run: RunId,
        options: ResumeOptions,
    ) -> Result<RunHandle, ResumeError> {
        let _ = (run, options);
        todo!()
    }

    /// The handle of a run that is live in this engine.
    #[must_use]
    pub fn run(&self, run: RunId) -> Option<RunHandle> {
        let _ = run;
        todo!()
    }

    /// All runs that are live in this engine.
    #[must_use]
    pub fn live(&self) -> Vec<RunHandle> {
        todo!()
    }

    /// Stops all runs (resumable), drains the journal and ends the actors, within `deadline`.
    pub async fn shutdown(&self, deadline: Duration) {
        let _ = deadline;
        todo!()
    }
}
