//! What all agents of an engine share: the client, the waits, and what was found of models.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use genai::Client;
use tokio_util::sync::CancellationToken;

use super::calls::Tools;
use super::endpoint::{Endpoint, Wire};
use super::gate::Gate;
use super::job::{Effort, Finished, Job, Stopped};
use super::pace::Pace;
use super::request::Thinking;
use super::turns::Turns;
use super::watch::Watch;

/// Makes agents work. One for all agents of an engine: what they share is here.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(super) client: Client,
    pub(super) pace: Pace,
    pub(super) gate: Gate,
    /// What models were found not to take, so that only the first request of each is refused.
    refused: Arc<Mutex<HashMap<(Wire, String), Refused>>>,
}

/// What a model does not take.
#[derive(Clone, Copy, Debug)]
struct Refused {
    /// The most effort that was not refused.
    effort: Option<Effort>,
    keeps_thoughts: bool,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Worker")
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker that talks by `client`, see [`super::client`].
    #[must_use]
    pub(crate) fn new(client: Client, pace: Pace) -> Self {
        Self {
            client,
            pace,
            gate: Gate::default(),
            refused: Arc::default(),
        }
    }

    /// Does `job` with the model at `endpoint`.
    ///
    /// The future may be dropped at any moment; connection and tool calls end with it. `cancelled` is the orderly way: the
    /// connection is dropped at once, and running tools are told and given [`Pace::grace`].
    ///
    /// # Errors
    /// [`Stopped`]: there is no answer, and its kind says what to do about that.
    pub(crate) async fn work(
        &self,
        endpoint: &Endpoint,
        job: &Job,
        tools: &dyn Tools,
        watch: &dyn Watch,
        cancelled: &CancellationToken,
    ) -> Result<Finished, Stopped> {
        Turns::new(self, endpoint, job, tools, watch, cancelled)
            .run()
            .await
    }

    /// How `endpoint` is asked to think, after all that was found of it.
    pub(super) fn thinking(&self, endpoint: &Endpoint, effort: Option<Effort>) -> Thinking {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match refused.get(&(endpoint.wire, endpoint.model.clone())) {
            Some(found) => Thinking {
                effort: effort.and_then(|wish| found.effort.map(|most| wish.min(most))),
                is_kept: found.keeps_thoughts,
            },
            None => Thinking {
                effort,
                is_kept: true,
            },
        }
    }

    pub(super) fn found(&self, endpoint: &Endpoint, thinking: Thinking) {
        let found = Refused {
            effort: thinking.effort,
            keeps_thoughts: thinking.is_kept,
        };
        self.refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((endpoint.wire, endpoint.model.clone()), found);
    }
}
