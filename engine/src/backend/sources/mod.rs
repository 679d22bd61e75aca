//! The backend `sources`: says which texts a folder holds, and whether quotations stand in them. No model, no process.
//!
//! The prompt is a task in JSON. `{"list": {"files": ["**/*.md"]}}` lists files with their size and title;
//! `{"check": [{"source": "a.md", "quotation": "…"}]}` looks for each quotation word for word and answers with its lines, or with
//! why it is not there and the passage that comes nearest. `docs/deep-research.md` describes both.
//!
//! Nothing is changed, and nothing outside of the task's working directory is opened. Files are read afresh for each
//! task: what a replay sees is the journaled answer.
//!
//! [`find`] compares a quotation with a text, without files and without an engine.

mod check;
mod folder;
mod list;
mod quotation;
mod task;
mod title;

use std::path::Path;
use std::sync::Arc;

use bellwether_actors::backend::{AgentBackend, AttemptContext, Ended, Task as AgentTask};
use bellwether_journal::record::FailureKind;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either, select};
use tokio_util::sync::CancellationToken;

pub use self::quotation::{Found, NotFound, Passage, TooShort, find};

use self::folder::Folder;
use self::task::{Job, TaskError};

/// What the answers are made by: with another, the same task may give another answer. A test holds it against `Cargo.lock`.
/// The first number is that of our own part, which goes up with what it changes in answers.
const VERSION: &str = "sources 1, ignore 0.4.34, globset 0.4.21, unicode-normalization 0.1.26, unicode-segmentation 1.13.3";

/// Lists the texts of a folder, and checks quotations from them.
///
/// Needs a tokio runtime: the work is done on one of its threads for blocking work, one for each attempt.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sources;

impl AgentBackend for Sources {
    fn run(&self, task: Arc<AgentTask>, context: AttemptContext) -> BoxFuture<'static, Ended> {
        run(task, context).boxed()
    }

    fn fingerprint(&self) -> String {
        VERSION.to_owned()
    }
}

async fn run(task: Arc<AgentTask>, context: AttemptContext) -> Ended {
    if context.cancelled.is_cancelled() || context.killed.is_cancelled() {
        return Ended::cancelled();
    }
    // The thread hears of it when this future ends, by being dropped too.
    let stop = CancellationToken::new();
    let _stops = stop.clone().drop_guard();
    let work = tokio::task::spawn_blocking(move || {
        carry_out(&task.prompt, &task.working_directory, &stop)
    });
    let stopped = select(
        Box::pin(context.cancelled.cancelled()),
        Box::pin(context.killed.cancelled()),
    );
    // It only reads: nobody has to wait until the thread has noticed.
    match select(work, stopped).await {
        Either::Right(_) | Either::Left((Ok(Err(TaskError::Stopped)), _)) => Ended::cancelled(),
        Either::Left((Ok(Ok(answer)), _)) => Ended::completed(answer),
        Either::Left((Ok(Err(error)), _)) => Ended::failed(FailureKind::Refused, error.to_string()),
        Either::Left((Err(error), _)) => {
            let message = format!("the backend `sources` met a bug: {error}");
            Ended::failed(FailureKind::Other, message)
        }
    }
}

/// The answer to the task `prompt` about `directory`, as JSON.
fn carry_out(
    prompt: &str,
    directory: &Path,
    stop: &CancellationToken,
) -> Result<String, TaskError> {
    let job = Job::parse(prompt)?;
    let folder = Folder::open(directory)?;
    let answer = match &job {
        Job::List(list) => serde_json::to_string(&list::carry_out(list, &folder, stop)?),
        Job::Check(items) => serde_json::to_string(&check::carry_out(items, &folder, stop)?),
    };
    answer.map_err(|error| TaskError::Task(error.to_string()))
}

#[cfg(test)]
mod tests;
