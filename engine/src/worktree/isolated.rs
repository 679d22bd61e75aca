//! A backend whose attempts each work in a worktree of their own.

use std::sync::Arc;

use bellwether_actors::backend::{AgentBackend, AgentOutcome, AttemptContext, Ended, Task};
use bellwether_journal::record::{Failure, FailureKind};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::WorktreeError;
use super::base::Base;
use super::lease::{Kept, Worktree};
use super::pool::Pool;

/// The value of the option `isolation`.
const WORKTREE: &str = "worktree";
/// How much of a prompt stands for a name, in characters.
const SUBJECT_CHARS: usize = 72;

/// Gives each attempt of another backend a worktree at the run's base (T01), and keeps what it changed (T02): a success on
/// the attempt's branch, a failure as a patch, and of what was cancelled nothing.
pub struct Isolated {
    inner: Arc<dyn AgentBackend>,
    place: Result<(Pool, Base), String>,
}

impl Isolated {
    /// Attempts of `inner` in worktrees of `pool` at `base`.
    #[must_use]
    pub fn new(inner: Arc<dyn AgentBackend>, pool: Pool, base: Base) -> Self {
        let place = Ok((pool, base));
        Self { inner, place }
    }

    /// There can be no worktrees, for this reason: every attempt fails with it.
    #[must_use]
    pub fn impossible(inner: Arc<dyn AgentBackend>, reason: impl Into<String>) -> Self {
        let place = Err(reason.into());
        Self { inner, place }
    }
}

impl AgentBackend for Isolated {
    fn run(&self, task: Arc<Task>, context: AttemptContext) -> BoxFuture<'static, Ended> {
        let inner = Arc::clone(&self.inner);
        let place = self.place.clone();
        async move {
            let (pool, base) = match place {
                Ok(place) => place,
                Err(reason) => return Ended::failed(FailureKind::Other, reason),
            };
            let worktree = tokio::select! {
                biased;
                () = context.killed.cancelled() => return Ended::cancelled(),
                () = context.cancelled.cancelled() => return Ended::cancelled(),
                worktree = pool.acquire(&base, task.token, &task.previous_attempts) => worktree,
            };
            match worktree {
                Ok(worktree) => run_in(worktree, inner.as_ref(), &task, context).await,
                Err(error) => failed(&error),
            }
        }
        .boxed()
    }

    fn fingerprint(&self) -> String {
        self.inner.fingerprint()
    }
}

async fn run_in(
    worktree: Worktree,
    inner: &dyn AgentBackend,
    task: &Task,
    context: AttemptContext,
) -> Ended {
    let mut isolated = task.clone();
    isolated.working_directory = worktree.folder(&task.working_directory);
    // Whatever made it so: backends keep such an agent from what belongs to the caller's checkout.
    isolated.options.isolation = Some(WORKTREE.to_owned());
    let leftovers = worktree.leftovers().to_vec();
    let mut ended = inner.run(Arc::new(isolated), context).await;
    let kept = match &ended.outcome {
        AgentOutcome::Completed(_) => worktree.keep(message(task)).await,
        AgentOutcome::Failed(_) => worktree.discard().await,
        _ => worktree.release().await.map(|()| Kept::default()),
    };
    ended.changes.extend(leftovers);
    match kept {
        Ok(kept) => {
            if !kept.left_out.is_empty() {
                let left_out = kept.left_out.join(", ");
                tracing::warn!(%left_out, "repositories that an agent made in its worktree are not kept");
            }
            ended.changes.extend(kept.changes);
        }
        // Work that is not kept is not done.
        Err(error) if matches!(ended.outcome, AgentOutcome::Completed(_)) => {
            ended.outcome = failed(&error).outcome;
        }
        Err(error) => tracing::warn!(%error, "what a failed attempt changed is not kept"),
    }
    ended
}

fn failed(error: &WorktreeError) -> Ended {
    let mut ended = Ended::failed(FailureKind::Other, error.to_string());
    if let AgentOutcome::Failed(Failure { evidence, .. }) = &mut ended.outcome {
        *evidence = error.evidence().map(str::to_owned);
    }
    ended
}

/// The message of the commit that holds an attempt's work: what it was called, and where to find its story.
fn message(task: &Task) -> String {
    let name = task.label.as_ref().unwrap_or(&task.prompt);
    let first = name.lines().map(str::trim).find(|line| !line.is_empty());
    let mut subject: String = first
        .unwrap_or("An agent's work")
        .chars()
        .take(SUBJECT_CHARS)
        .collect();
    if first.is_some_and(|first| first.chars().count() > SUBJECT_CHARS) {
        subject.push('…');
    }
    let token = task.token;
    format!(
        "{subject}\n\nRun: {}\nAgent: a-{}, attempt {}\n",
        token.run, token.call, token.attempt
    )
}
