//! What the tools share that change files.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::answer::Answer;
use super::memory::Memory;
use super::refusal::Refusal;
use super::tool::{finished_when_cancelled, parsed};
use super::workplace::Workplace;

/// Where is written, by an agent that has seen what.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) workplace: Arc<Workplace>,
    pub(super) memory: Arc<Memory>,
    /// A model may ask for several changes at once, and two of one file would lose one of them.
    pub(super) turn: Arc<Mutex<()>>,
}

impl Writing {
    /// Carries a change out when it is its turn, and waits for its end even when the call is cancelled.
    pub(super) async fn change<A: DeserializeOwned + Send + 'static>(
        self: Arc<Self>,
        arguments: Value,
        cancelled: CancellationToken,
        change: fn(&Self, &A, &CancellationToken) -> Result<Answer, Refusal>,
    ) -> Answer {
        let arguments: A = match parsed(arguments) {
            Ok(arguments) => arguments,
            Err(answer) => return answer,
        };
        let _one_at_a_time = self.turn.clone().lock_owned().await;
        let work = move |stop: &CancellationToken| {
            change(&self, &arguments, stop).unwrap_or_else(Answer::from)
        };
        finished_when_cancelled(&cancelled, work).await
    }
}
