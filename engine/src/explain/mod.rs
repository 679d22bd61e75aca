//! What a rewind would do, call by call, before it does anything (R04).
//!
//! The rewind is gone through with the run's own rules and the answers of its base; a call that would run gets the answer
//! that it had, or a made-up one. Nothing is journaled and no agent starts.

mod drive;
mod reason;
mod report;

use bellwether_journal::id::{CallNumber, RunId};

pub use self::report::{Dropped, Explained, Explanation, Fate, Totals};

use crate::engine::Engine;
use crate::error::RewindError;
use crate::rewind::{self, Prepared, RewindOptions};
use crate::run;

/// Explains a rewind.
pub(crate) async fn explain(
    engine: &Engine,
    run: RunId,
    before: Option<CallNumber>,
    change: &RewindOptions,
) -> Result<Explanation, RewindError> {
    let from = rewind::From {
        run,
        before,
        to: run,
    };
    let prepared = rewind::prepare(engine, from, change).await?;
    of(engine, &prepared, change).await
}

/// Explains a rewind that is prepared.
pub(crate) async fn of(
    engine: &Engine,
    prepared: &Prepared,
    change: &RewindOptions,
) -> Result<Explanation, RewindError> {
    let run = prepared.base.run;
    let rules = run::rules(engine, &prepared.options, run, &prepared.working_directory);
    let rules = rules.map_err(RewindError::Backend)?;
    let drive = drive::Drive::prepare(engine, prepared, change, rules)?;
    let explained = tokio::task::spawn_blocking(move || drive.go());
    explained
        .await
        .map_err(|error| RewindError::Refused(format!("the explanation failed: {error}")))?
}
