//! Backends whose attempts work in worktrees of their own, as a run sees them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bellwether::worktree::Isolated;
use bellwether::{
    AgentBackend, AgentOptions, AgentOutcome, Allowance, AttemptContext, Digest, Ended,
    FailureKind, Notes, Pressure, Progress, Task,
};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::bed::{Bed, acquire, sh, token};

/// An agent that runs its prompt as a shell script, and ends as it is told to.
#[derive(Default)]
struct Script {
    end: Mutex<Option<Ended>>,
    places: Mutex<Vec<(PathBuf, Option<String>)>>,
}

impl Script {
    fn ending(ended: Ended) -> Arc<Self> {
        let script = Self::default();
        *script.end.lock().unwrap() = Some(ended);
        Arc::new(script)
    }

    fn places(&self) -> Vec<(PathBuf, Option<String>)> {
        self.places.lock().unwrap().clone()
    }
}

impl AgentBackend for Script {
    fn run(&self, task: Arc<Task>, context: AttemptContext) -> BoxFuture<'static, Ended> {
        sh(&task.working_directory, &task.prompt);
        let place = (
            task.working_directory.clone(),
            task.options.isolation.clone(),
        );
        self.places.lock().unwrap().push(place);
        let end = self.end.lock().unwrap().clone();
        async move {
            if let Some(end) = end {
                return end;
            }
            context.cancelled.cancelled().await;
            Ended::cancelled()
        }
        .boxed()
    }

    fn fingerprint(&self) -> String {
        "script".to_owned()
    }
}

fn task(bed: &Bed, call: u32, attempt: u32, script: &str) -> Arc<Task> {
    Arc::new(Task {
        token: token(call, attempt),
        idempotency_key: Digest::of("test", &[]),
        previous_attempts: crate::bed::interrupted(attempt - 1),
        prompt: script.into(),
        options: AgentOptions::default(),
        label: Some(format!("the label of {call}\nis long").into()),
        phase: None,
        working_directory: bed.repository.join("src"),
        journal: Digest::of("test", &[]),
        notes: Vec::new(),
        allowance: Allowance::default(),
        models: None,
        violations: Vec::new(),
        previous_answer: None,
    })
}

fn context() -> AttemptContext {
    AttemptContext {
        cancelled: CancellationToken::new(),
        killed: CancellationToken::new(),
        grace: Duration::from_mins(1),
        progress: Progress::none(),
        notes: Notes::none(),
        pressure: Pressure::none(),
    }
}

fn message(ended: &Ended) -> &str {
    match &ended.outcome {
        AgentOutcome::Failed(failure) => &failure.message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn t02_a_success_is_kept_on_a_branch_a_failure_as_a_patch_and_a_cancelled_attempt_not_at_all()
{
    let bed = Bed::new();
    let (pool, base) = (bed.pool().await, bed.base().await);
    let isolated =
        |inner: &Arc<Script>| Isolated::new(Arc::clone(inner) as _, pool.clone(), base.clone());
    let done = Script::ending(Ended::completed("1"));
    assert_eq!(isolated(&done).fingerprint(), "script");
    let ended = isolated(&done)
        .run(task(&bed, 0, 1, "echo x > new.rs"), context())
        .await;
    assert!(matches!(&ended.outcome, AgentOutcome::Completed(value) if &**value == "1"));
    let [changes] = ended.changes.as_slice() else {
        panic!("{ended:?}");
    };
    assert_eq!(changes.files[0].path, "src/new.rs");
    let branch = changes.branch.as_ref().unwrap();
    let body = bed.git(&["log", "-1", "--format=%B", branch]);
    assert_eq!(
        body,
        format!(
            "the label of 0\n\nRun: {}\nAgent: a-0, attempt 1\n",
            token(0, 1).run
        )
        .trim_end()
    );
    let places = done.places();
    assert!(places[0].0.ends_with("src") && !places[0].0.starts_with(bed.repository.join("src")));
    assert_eq!(places[0].1.as_deref(), Some("worktree"));
    assert!(!bed.repository.join("src/new.rs").exists());

    let ended = isolated(&done)
        .run(task(&bed, 1, 1, "true"), context())
        .await;
    assert_eq!(ended.changes, []);
    let failing = Script::ending(Ended::failed(FailureKind::Crash, "no"));
    let ended = isolated(&failing)
        .run(task(&bed, 2, 1, "echo y > new.rs"), context())
        .await;
    assert_eq!(message(&ended), "no");
    assert!(ended.changes[0].branch.is_none() && ended.changes[0].diff.contains("+y"));
    let waiting = Arc::new(Script::default());
    let cancelled = context();
    cancelled.cancelled.cancel();
    let running = context();
    let attempt = isolated(&waiting).run(task(&bed, 3, 1, "echo z > new.rs"), running.clone());
    let cancel = async {
        while waiting.places().is_empty() {
            tokio::task::yield_now().await;
        }
        running.cancelled.cancel();
    };
    let (ended, ()) = tokio::join!(attempt, cancel);
    assert_eq!(ended, Ended::cancelled());
    let ended = isolated(&waiting)
        .run(task(&bed, 4, 1, "true"), cancelled)
        .await;
    assert_eq!(
        (ended, waiting.places().len()),
        (Ended::cancelled(), 1),
        "nothing was started"
    );
    assert_eq!(bed.branches(), [branch.as_str()]);
    assert!(
        places
            .iter()
            .chain(&waiting.places())
            .all(|place| place.0 == places[0].0)
    );
}

#[tokio::test]
async fn t01_an_agent_without_a_worktree_fails_with_the_reason_and_never_runs() {
    let mut bed = Bed::new();
    let inner = Script::ending(Ended::completed("1"));
    let impossible = Isolated::impossible(Arc::clone(&inner) as _, "there is no `git`");
    let ended = impossible
        .run(task(&bed, 0, 1, "touch ran"), context())
        .await;
    assert_eq!(message(&ended), "there is no `git`");
    bed.options.settings.setup = Some("echo first; echo last; exit 1".to_owned());
    let isolated = Isolated::new(Arc::clone(&inner) as _, bed.pool().await, bed.base().await);
    let ended = isolated.run(task(&bed, 1, 1, "touch ran"), context()).await;
    assert!(
        message(&ended).ends_with("ended with exit code 1: last"),
        "{ended:?}"
    );
    let AgentOutcome::Failed(failure) = &ended.outcome else {
        panic!("{ended:?}");
    };
    assert_eq!(failure.evidence.as_deref(), Some("first\nlast"));
    assert_eq!(inner.places(), []);
}

#[tokio::test]
async fn t02_work_that_cannot_be_kept_is_not_done() {
    let bed = Bed::new();
    bed.git(&["branch", "bellwether"]);
    let inner = Script::ending(Ended::completed("1"));
    let isolated = Isolated::new(inner, bed.pool().await, bed.base().await);
    let ended = isolated
        .run(task(&bed, 0, 1, "echo x > new.rs"), context())
        .await;
    assert!(
        message(&ended).contains("a branch named `bellwether` is in the way"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn t02_an_attempt_that_is_dropped_leaves_a_patch_for_the_next() {
    let bed = Bed::new();
    let (pool, base) = (bed.pool().await, bed.base().await);
    let waiting = Arc::new(Script::default());
    let isolated = Isolated::new(Arc::clone(&waiting) as _, pool.clone(), base.clone());
    let attempt = isolated.run(task(&bed, 0, 1, "echo half > half.rs"), context());
    let started = async {
        while waiting.places().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = attempt => panic!("it waits for ever"),
        () = started => {}
    }
    acquire(&pool, &base, 9).await.release().await.unwrap();
    let done = Script::ending(Ended::completed("1"));
    let isolated = Isolated::new(Arc::clone(&done) as _, pool, base);
    let ended = isolated
        .run(task(&bed, 0, 2, "echo whole > whole.rs"), context())
        .await;
    let found: Vec<_> = ended
        .changes
        .iter()
        .map(|changes| {
            (
                changes.attempt.0,
                changes.branch.is_some(),
                changes.files[0].path.as_str(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [(1, false, "src/half.rs"), (2, true, "src/whole.rs")]
    );
}
