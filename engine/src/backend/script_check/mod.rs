//! The backend `script-check`: says what is wrong with a workflow script. No model, no process; the same script gives the same
//! answer.
//!
//! The prompt is a task in JSON, `{"script": "…", "args": …}`; the answer is that of [`crate::check`] and of a plan
//! ([`crate::plan`]) with these `args` as an example:
//!
//! ```json
//! {"holds": false, "name": "fix-all", "errors": 1, "warnings": 0, "left": 0,
//!  "findings": [{"severity": "error", "code": "clock", "message": "…", "remedy": "…", "line": 4, "column": 9, "excerpt": "…"}],
//!  "plan": {"status": "completed", "agents": 5, "peakAtOnce": 5, "phases": [{"title": "Fix", "agents": 5}], …}}
//! ```
//!
//! A script holds when no finding is an error and its plan completed. It is planned twice more with agents that fail, since
//! what a script does with `null` shows in no other way.
//!
//! Whatever a script does, the answer comes: a plan that computes for too long is stopped, and what cannot be stopped (a single
//! call of the interpreter that never looks up) is left to its thread, of which there are few.
//!
//! `task.rs` is what is asked, `plans.rs` the planning, `answer.rs` what is told of it, `bounded.rs` the bounds.

mod answer;
mod bounded;
mod plans;
mod task;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bellwether_actors::backend::{AgentBackend, AttemptContext, Ended, Task};
use bellwether_journal::key::Digest;
use bellwether_journal::record::FailureKind;
use bellwether_scripts::Vm;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either, select};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::answer::Answer;
use self::bounded::Bounded;
use self::task::Asked;
use crate::options::StartOptions;

/// Goes up when the same script gets another answer.
const VERSION: &str = "script-check 1";
/// A script is given so much time, over all of its plans.
const TIME: Duration = Duration::from_secs(20);
/// And when it does not hear that this is over within so much more, it is left to its thread.
const GRACE: Duration = Duration::from_secs(5);
/// So many scripts are planned at once, those included that were left to their threads: each may have a heap of its own.
const AT_ONCE: usize = 4;
/// So long an attempt waits for the scripts before it.
const PATIENCE: Duration = Duration::from_mins(2);

/// For whom scripts are checked: what a run there would know.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Project {
    /// What a run of the script would be started with. Its agent types, workflows, permissions, caps and limits count.
    pub start: StartOptions,
    /// The backends that calls may name, beside the run's own.
    pub backends: Vec<String>,
}

impl Project {
    /// Runs that would be started with `start`, in an engine that has these backends.
    #[must_use]
    pub fn new<N: Into<String>>(
        start: StartOptions,
        backends: impl IntoIterator<Item = N>,
    ) -> Self {
        Self {
            start,
            backends: backends.into_iter().map(Into::into).collect(),
        }
    }
}

/// Checks the script of its task.
///
/// Needs a tokio runtime: the work is done on threads for blocking work.
///
/// ```
/// use std::sync::Arc;
/// use bellwether::backend::script_check::{Project, ScriptCheck};
/// use bellwether::{Engine, Script, StartOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let project = Project::new(StartOptions::new(), ["dry"]);
/// let engine = Engine::builder().memory().backend("script-check", Arc::new(ScriptCheck::new(project))).build().await?;
/// let script = Script::text(
///     r#"export const meta = { name: 'n', description: 'd' }
///        const script = "export const meta = { name: 'm', description: 'd' }\nreturn Date.now()"
///        return (await agent(JSON.stringify({ script }))).findings[0].code"#,
/// );
/// let run = engine.start(script, StartOptions::new().backend("script-check")).await?;
/// assert_eq!(run.result::<String>().await?, "clock");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ScriptCheck {
    project: Arc<Project>,
    at_once: Arc<Semaphore>,
    time: Duration,
    grace: Duration,
}

impl ScriptCheck {
    /// Checks scripts for `project`, where their task does not say otherwise.
    #[must_use]
    pub fn new(project: Project) -> Self {
        Self {
            project: Arc::new(project),
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
            time: TIME,
            grace: GRACE,
        }
    }

    /// Sets how long a script may compute, over all of its plans; 20 seconds where nothing is said.
    #[must_use]
    pub const fn within(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }
}

impl AgentBackend for ScriptCheck {
    fn run(&self, task: Arc<Task>, context: AttemptContext) -> BoxFuture<'static, Ended> {
        self.clone().check(task, context).boxed()
    }

    fn fingerprint(&self) -> String {
        let Project { start, backends } = &*self.project;
        // As it would be journaled. What is not written there changes no answer.
        let start = serde_json::to_string(start).unwrap_or_default();
        let backends = backends.join("\n");
        let parts = [start.as_bytes(), backends.as_bytes()];
        let project = Digest::of("script-check: project", &parts);
        format!("{VERSION}; {}; {project}", Vm::identity())
    }
}

/// Stops a script's plans when the attempt's future ends, by being dropped too.
struct Stopping(Arc<AtomicBool>);

impl Drop for Stopping {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl ScriptCheck {
    async fn check(self, task: Arc<Task>, context: AttemptContext) -> Ended {
        let asked = match Asked::parse(&task.prompt) {
            Ok(asked) => asked,
            Err(error) => return Ended::failed(FailureKind::Refused, error.to_string()),
        };
        let stopped = || {
            let cancelled = Box::pin(context.cancelled.cancelled());
            select(cancelled, Box::pin(context.killed.cancelled()))
        };
        let turn = Box::pin(timeout(PATIENCE, Arc::clone(&self.at_once).acquire_owned()));
        let permit = match select(stopped(), turn).await {
            Either::Left(_) => return Ended::cancelled(),
            Either::Right((Ok(Ok(permit)), _)) => permit,
            Either::Right(_) => {
                let message = "other scripts are being checked and come to no end; try again, or start the program anew";
                return Ended::failed(FailureKind::Other, message);
            }
        };
        let stop = Arc::<AtomicBool>::default();
        let stopping = Stopping(Arc::clone(&stop));
        let start = asked.start(&self.project, &task.working_directory);
        let backends = asked.backends(&self.project);
        let bounded = Bounded {
            time: self.time,
            grace: self.grace,
            stop: Arc::clone(&stop),
        };
        let work = tokio::task::spawn_blocking(move || {
            let (script, without_args) = (asked.script, start.args.is_none());
            let source = script.clone();
            let planned =
                bounded.carry_out(permit, move || plans::of(&script, &start, &backends, &stop))?;
            Ok(planned.map_or_else(
                || Answer::never_ends(&source),
                |plans| Answer::of(&source, without_args, &plans),
            ))
        });
        let done: Result<Result<Answer, std::io::Error>, _> = match select(work, stopped()).await {
            Either::Left((done, _)) => done,
            Either::Right((_, work)) => {
                drop(stopping);
                // It hears that within a moment, and has no effect that could outlive it.
                let _ = context.killed.run_until_cancelled(work).await;
                return Ended::cancelled();
            }
        };
        let failed = |why: &dyn std::fmt::Display| {
            Ended::failed(
                FailureKind::Other,
                format!("the script was not checked: {why}"),
            )
        };
        match done {
            Ok(Ok(answer)) => match serde_json::to_string(&answer) {
                Ok(answer) => Ended::completed(answer),
                Err(error) => failed(&error),
            },
            Ok(Err(error)) => failed(&error),
            Err(error) => failed(&error),
        }
    }
}
