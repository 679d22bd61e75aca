//! What a tool is, and what all of them need to run.

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::answer::{Answer, Definition};
use super::refusal::Refusal;

/// One tool, for one agent.
pub(crate) trait Tool: Send + Sync {
    /// How the model is told of it. Always the same.
    fn definition(&self) -> Definition;

    /// Carries a call out. The arguments fit the definition's schema, and have no `null` in place of what was left out.
    ///
    /// When `cancelled` is, it ends soon, and what it started has ended before; what it answers then is not used.
    fn call(&self, arguments: Value, cancelled: CancellationToken) -> BoxFuture<'_, Answer>;
}

/// The arguments as the tool knows them. That they fit its schema has been checked; where the schema says less than
/// the type (a number that is too large), the model is told.
pub(crate) fn parsed<A: DeserializeOwned>(arguments: Value) -> Result<A, Answer> {
    serde_json::from_value(arguments).map_err(|error| {
        Answer::error(format!(
            "these arguments cannot be used: {error}; nothing was done"
        ))
    })
}

/// Looks with these arguments, as [`abandoned_when_cancelled`].
pub(super) async fn look<A: DeserializeOwned + Send + 'static>(
    arguments: Value,
    cancelled: CancellationToken,
    look: impl FnOnce(&A, &CancellationToken) -> Result<Answer, Refusal> + Send + 'static,
) -> Answer {
    match parsed(arguments) {
        Ok(arguments) => {
            let work =
                move |stop: &CancellationToken| look(&arguments, stop).unwrap_or_else(Answer::from);
            abandoned_when_cancelled(&cancelled, work).await
        }
        Err(answer) => answer,
    }
}

/// Does `work`, which changes nothing, on a thread that may wait for the disk. It is given a token that says when
/// nobody waits for it any more, because the call is cancelled or its future was dropped: then it should stop.
pub(super) async fn abandoned_when_cancelled(
    cancelled: &CancellationToken,
    work: impl FnOnce(&CancellationToken) -> Answer + Send + 'static,
) -> Answer {
    let (_stop_when_dropped, running) = begun(cancelled, work);
    tokio::select! {
        biased;
        () = cancelled.cancelled() => Answer::cancelled(),
        done = running => done.unwrap_or_else(|error| broken(&error)),
    }
}

/// Does `work`, which changes files, on a thread that may wait for the disk, and waits for its end even when the call
/// is cancelled: nothing is changed behind the back of whoever cancelled. `work` looks at its token right before it
/// changes something.
pub(super) async fn finished_when_cancelled(
    cancelled: &CancellationToken,
    work: impl FnOnce(&CancellationToken) -> Answer + Send + 'static,
) -> Answer {
    let (_stop_when_dropped, running) = begun(cancelled, work);
    running.await.unwrap_or_else(|error| broken(&error))
}

fn begun(
    cancelled: &CancellationToken,
    work: impl FnOnce(&CancellationToken) -> Answer + Send + 'static,
) -> (DropGuard, JoinHandle<Answer>) {
    let stop = cancelled.child_token();
    let guard = stop.clone().drop_guard();
    (guard, tokio::task::spawn_blocking(move || work(&stop)))
}

fn broken(error: &tokio::task::JoinError) -> Answer {
    // The runtime is shutting down, or there is a fault in a tool; either is no reason to end an agent.
    Answer::error(format!("the tool itself failed: {error}; try another way"))
}
