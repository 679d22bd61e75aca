//! A caller's hold on a run.

use std::time::Duration;

use bellwether_journal::id::RunId;
use bellwether_journal::record::Status;
use serde::de::DeserializeOwned;

use crate::error::{ControlError, RunError};
use crate::event::Events;

/// A run in this engine. Cheap to clone; dropping it changes nothing for the run.
#[derive(Clone, Debug)]
pub struct RunHandle {
    run: RunId,
}

impl RunHandle {
    /// The run's id.
    #[must_use]
    pub const fn id(&self) -> RunId {
        self.run
    }

    /// What state the run is in, as last made durable.
    #[must_use]
    pub fn status(&self) -> Status {
        todo!()
    }

    /// Waits until this engine is done with the run (it ended, or was stopped, paused by the journal, killed) and gives the status.
    pub async fn wait(&self) -> Status {
        todo!()
    }

    /// Waits like [`RunHandle::wait`] and gives the script's value.
    ///
    /// # Errors
    /// [`RunError`] when the run failed, is unfinished, or its value has another shape.
    pub async fn result<T: DeserializeOwned>(&self) -> Result<T, RunError> {
        todo!()
    }

    /// The run's events from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        todo!()
    }

    /// Starts no new agent; those that run finish. Returns when that is durable.
    ///
    /// # Errors
    /// [`ControlError::NotLive`].
    pub async fn pause(&self) -> Result<(), ControlError> {
        todo!()
    }

    /// Goes on after a pause.
    ///
    /// # Errors
    /// [`ControlError::NotLive`].
    pub async fn resume(&self) -> Result<(), ControlError> {
        todo!()
    }

    /// Ends the run's agents in order within `grace`, keeps all results, and leaves the run resumable. Returns when that is durable and no process of the run is left.
    ///
    /// # Errors
    /// [`ControlError::NotLive`].
    pub async fn stop(&self, grace: Duration, by: &str) -> Result<(), ControlError> {
        let _ = (grace, by);
        todo!()
    }

    /// Ends the run's agents at once; resumed as after a crash.
    ///
    /// # Errors
    /// [`ControlError::NotLive`].
    pub async fn kill(&self, by: &str) -> Result<(), ControlError> {
        let _ = by;
        todo!()
    }
}
