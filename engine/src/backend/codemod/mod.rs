//! The backend `codemod`: rewrites files by rules, the same way every time. No model, no process.
//!
//! The prompt is a task in JSON, `{"rules": [{"pattern": …, "rewrite": …}], "files": ["src/**/*.ts"]}`; the answer says
//! file by file what was changed. `docs/codemod.md` describes both. Patterns and rules are those of ast-grep.
//!
//! A task that is wrong fails before any file is touched. A file is written whole or not at all, and only when its new
//! text is as valid as the old one. An attempt that is cut off is simply made again: what it has changed is not matched
//! any more.
//!
//! [`Rules`] and [`Rewriter`] do the same to a text, without files and without an engine.

mod answer;
mod compile;
mod files;
mod globs;
mod imports;
mod language;
mod layout;
mod place;
mod replacement;
mod rewrite;
mod rules;
mod syntax;
mod task;
mod text;
mod variables;
mod vocabulary;
mod work;
mod write;

use std::sync::Arc;

use bellwether_actors::backend::{AgentBackend, AttemptContext, Ended, Task};
use bellwether_journal::record::FailureKind;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either, select};

pub use self::compile::Rewriter;
pub use self::language::Language;
pub use self::place::TaskError;
pub use self::rewrite::{Edit, RewriteError, Rewritten};
pub use self::rules::Rules;

use self::work::{Gate, carry_out};

/// What the rewriting is done by: with another, the same task may give another answer. A test holds it against
/// `Cargo.lock`. The first number is that of our own part, which goes up with what it changes in files.
const VERSION: &str =
    "codemod 1, ast-grep 0.51.1, javascript 0.25.0, typescript 0.23.2, python 0.25.0, rust 0.24.2";

/// Rewrites files by the rules of its task.
///
/// Needs a tokio runtime: the work is done on one of its threads for blocking work, one for each attempt.
#[derive(Clone, Copy, Debug, Default)]
pub struct Codemod;

impl AgentBackend for Codemod {
    fn run(&self, task: Arc<Task>, context: AttemptContext) -> BoxFuture<'static, Ended> {
        run(task, context).boxed()
    }

    fn fingerprint(&self) -> String {
        let built: Vec<&str> = Language::built().map(Language::name).collect();
        format!("{VERSION}; {}", built.join(" "))
    }
}

/// Closes its gate when the attempt's future ends, by being dropped too.
struct Closing(Arc<Gate>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

async fn run(task: Arc<Task>, context: AttemptContext) -> Ended {
    if context.cancelled.is_cancelled() || context.killed.is_cancelled() {
        return Ended::cancelled();
    }
    let closing = Closing(Arc::new(Gate::default()));
    let gate = Arc::clone(&closing.0);
    let work = tokio::task::spawn_blocking(move || carry_out(&task, &context.progress, &gate));
    let stop = select(
        Box::pin(context.cancelled.cancelled()),
        Box::pin(context.killed.cancelled()),
    );
    let done = match select(work, stop).await {
        Either::Left((done, _)) => Some(done),
        Either::Right((_, work)) => {
            closing.0.close();
            // With the gate closed, nothing is changed any more: a kill need not wait until a match is thought through.
            context.killed.run_until_cancelled(work).await
        }
    };
    match done {
        None | Some(Ok(Ok(None))) => Ended::cancelled(),
        Some(Ok(Ok(Some(answer)))) => match serde_json::to_string(&answer) {
            Ok(answer) => Ended::completed(answer),
            Err(error) => Ended::failed(FailureKind::Other, error.to_string()),
        },
        Some(Ok(Err(error))) => Ended::failed(FailureKind::Refused, error.to_string()),
        Some(Err(error)) => {
            let message = format!("the codemod met a bug: {error}");
            Ended::failed(FailureKind::Other, message)
        }
    }
}

#[cfg(test)]
mod tests;
