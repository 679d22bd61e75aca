//! A backend whose attempts have only so much time (X01): in all, and between two signs of life.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bellwether_actors::backend::{
    AgentBackend, AgentOutcome, AttemptContext, Ended, Progress, ProgressEvent, Task,
};
use bellwether_journal::record::{Failure, FailureKind};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// After a kill a backend has so long to say that it has ended; then it is dropped, which ends what it started.
const LAST_WORD: Duration = Duration::from_secs(5);
/// Signs of life that may wait to be passed on. A full channel sheds, which is a sign of life as well.
const PROGRESS_KEPT: usize = 64;

/// How much time attempts have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Time {
    /// In all.
    pub(crate) most: Option<Duration>,
    /// Without progress.
    pub(crate) stall: Option<Stall>,
}

/// How long an attempt may say nothing before it counts as one that hangs, by what it said last that it is at; `None` is without end.
///
/// An agent is at a tool, or waits for a person, from an event with `"state": "tool"` or `"state": "person"` up to its next
/// event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Stall {
    /// At neither of the others: it thinks, or waits for a model.
    pub silent: Option<Duration>,
    /// At a tool.
    pub tool: Option<Duration>,
    /// At waiting for a person.
    pub person: Option<Duration>,
}

/// What an agent is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Silent,
    Tool,
    Person,
}

impl Stall {
    /// So long, whatever it is at.
    #[must_use]
    pub const fn all(time: Duration) -> Self {
        Self {
            silent: Some(time),
            tool: Some(time),
            person: Some(time),
        }
    }

    const fn at(self, state: State) -> Option<Duration> {
        match state {
            State::Silent => self.silent,
            State::Tool => self.tool,
            State::Person => self.person,
        }
    }
}

impl Time {
    /// This, and where it says nothing the other.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            most: self.most.or(other.most),
            stall: self.stall.or(other.stall),
        }
    }
}

impl State {
    /// What an event says.
    fn of(event: &str) -> Self {
        #[derive(Deserialize)]
        struct Said<'a> {
            #[serde(borrow)]
            state: Option<Cow<'a, str>>,
        }
        #[derive(Deserialize)]
        struct Line<'a> {
            #[serde(borrow)]
            event: Option<Said<'a>>,
            #[serde(borrow)]
            state: Option<Cow<'a, str>>,
        }
        let said = serde_json::from_str::<Line<'_>>(event).ok();
        let state = said.and_then(|line| line.event.and_then(|said| said.state).or(line.state));
        match state.as_deref() {
            Some("tool") => Self::Tool,
            Some("person") => Self::Person,
            _ => Self::Silent,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Silent => "gave no sign of life",
            Self::Tool => "waited for a tool without a sign of life",
            Self::Person => "waited for a person",
        }
    }
}

/// Ends attempts of `inner` that take longer: first asked within the context's grace, then killed. What an attempt still
/// answers when it is asked to end counts.
pub(crate) struct Limited {
    inner: Arc<dyn AgentBackend>,
    time: Time,
}

impl Limited {
    pub(crate) const fn new(inner: Arc<dyn AgentBackend>, time: Time) -> Self {
        Self { inner, time }
    }
}

impl AgentBackend for Limited {
    fn run(&self, task: Arc<Task>, context: AttemptContext) -> BoxFuture<'static, Ended> {
        run(Arc::clone(&self.inner), self.time, task, context).boxed()
    }

    fn fingerprint(&self) -> String {
        self.inner.fingerprint()
    }
}

async fn run(
    inner: Arc<dyn AgentBackend>,
    time: Time,
    task: Arc<Task>,
    context: AttemptContext,
) -> Ended {
    let (progress, mut signs) = mpsc::channel::<ProgressEvent>(PROGRESS_KEPT);
    let (cancelled, killed) = (
        context.cancelled.child_token(),
        context.killed.child_token(),
    );
    let (outer, grace) = (context.progress.clone(), context.grace);
    let asked = context.cancelled.clone();
    let within = AttemptContext {
        cancelled: cancelled.clone(),
        killed: killed.clone(),
        progress: Progress::new(progress),
        ..context
    };
    let mut running = inner.run(task, within);
    let mut most = Box::pin(passed(time.most));
    let stall = time.stall.unwrap_or_default();
    let mut state = State::Silent;
    let mut silent = Box::pin(passed(stall.at(state)));
    let why = loop {
        tokio::select! {
            // An agent that is never silent must not keep its time from coming.
            biased;
            () = &mut most => {
                break format!("took longer than {}", spoken(time.most));
            }
            ended = &mut running => {
                pass_on(&mut signs, &outer);
                return ended;
            }
            Some(sign) = signs.recv() => {
                state = State::of(&sign.event);
                outer.report(sign);
                silent.set(passed(stall.at(state)));
            }
            () = &mut silent => {
                break format!("{} for {}", state.words(), spoken(stall.at(state)));
            }
        }
    };
    cancelled.cancel();
    let ended = tokio::select! {
        biased;
        ended = &mut running => Some(ended),
        () = sleep(grace) => None,
    };
    let ended = if ended.is_some() {
        ended
    } else {
        killed.cancel();
        timeout(LAST_WORD, &mut running).await.ok()
    };
    pass_on(&mut signs, &outer);
    let mut ended = ended.unwrap_or_else(Ended::cancelled);
    let was_asked = asked.is_cancelled();
    if !was_asked && !matches!(ended.outcome, AgentOutcome::Completed(_)) {
        let evidence = match ended.outcome {
            AgentOutcome::Failed(failure) => failure.evidence.or(Some(failure.message)),
            _ => ended.written.take(),
        };
        ended.outcome = AgentOutcome::Failed(Failure {
            kind: FailureKind::Timeout,
            message: format!("the agent {why} and was ended"),
            evidence,
            retry_after: None,
        });
    }
    ended
}

/// Waits for so long; for ever without a time.
async fn passed(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => std::future::pending().await,
    }
}

fn pass_on(signs: &mut mpsc::Receiver<ProgressEvent>, outer: &Progress) {
    while let Ok(sign) = signs.try_recv() {
        outer.report(sign);
    }
}

fn spoken(time: Option<Duration>) -> String {
    format!("{:?}", time.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::backend::fixtures::{context, task};

    const MINUTE: Duration = Duration::from_mins(1);

    /// Says something every so often for so long, then answers; when it is cancelled it does as it is told.
    #[derive(Clone, Copy)]
    struct Worker {
        works: Duration,
        speaks: Duration,
        when_cancelled: WhenCancelled,
    }

    #[derive(Clone, Copy)]
    enum WhenCancelled {
        Ends,
        Answers,
        IsDeaf,
    }

    impl AgentBackend for Worker {
        fn run(&self, task: Arc<Task>, context: AttemptContext) -> BoxFuture<'static, Ended> {
            let worker = *self;
            async move {
                let work = async {
                    let began = Instant::now();
                    while began.elapsed() < worker.works {
                        sleep(worker.speaks).await;
                        let event = "1".into();
                        let token = task.token;
                        context.progress.report(ProgressEvent { token, event });
                    }
                    Ended::completed("\"done\"")
                };
                tokio::select! {
                    ended = work => return ended,
                    () = context.cancelled.cancelled() => {}
                }
                match worker.when_cancelled {
                    WhenCancelled::Ends => Ended::cancelled(),
                    WhenCancelled::Answers => Ended::completed("\"nearly\""),
                    WhenCancelled::IsDeaf => std::future::pending().await,
                }
            }
            .boxed()
        }
    }

    async fn ended(worker: Worker, time: Time, cancelled: CancellationToken) -> (Ended, Duration) {
        let began = Instant::now();
        let context = AttemptContext {
            cancelled,
            grace: Duration::from_secs(10),
            ..context()
        };
        let limited = Limited::new(Arc::new(worker), time);
        let ended = limited.run(task(0, None), context).await;
        (ended, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn x01_an_attempt_has_its_time_and_no_more() {
        use WhenCancelled::{Answers, Ends, IsDeaf};
        let (most, silent) = (Some(5 * MINUTE), Some(2 * MINUTE));
        let only = |most, silent: Option<Duration>| Time {
            most,
            stall: silent.map(Stall::all),
        };
        // How long it works, how often it speaks, what it does when it is cancelled; its time; what comes, after how long.
        let done = Ok("\"done\"");
        let late = Err("the agent took longer than 300s and was ended");
        let hung = Err("the agent gave no sign of life for 120s and was ended");
        for (minutes, speaks, when_cancelled, time, expected, after) in [
            (4, 1, Ends, only(most, silent), done, 4 * 60),
            (60, 1, Ends, only(None, silent), done, 60 * 60),
            (60, 1, Ends, only(most, silent), late, 5 * 60),
            (60, 60, Ends, only(most, None), late, 5 * 60),
            (60, 3, Ends, only(most, silent), hung, 2 * 60),
            (60, 60, Answers, only(most, None), Ok("\"nearly\""), 5 * 60),
            (60, 60, IsDeaf, only(most, None), late, 5 * 60 + 10 + 5),
        ] {
            let worker = Worker {
                works: minutes * MINUTE,
                speaks: speaks * MINUTE,
                when_cancelled,
            };
            let (ended, took) = ended(worker, time, CancellationToken::new()).await;
            let came = match &ended.outcome {
                AgentOutcome::Completed(value) => Ok(value.as_ref()),
                AgentOutcome::Failed(failure) => {
                    assert_eq!(failure.kind, FailureKind::Timeout);
                    Err(failure.message.as_str())
                }
                other => panic!("{other:?}"),
            };
            assert_eq!((came, took.as_secs()), (expected, after));
        }
    }

    /// A stop that comes while an attempt is being ended is a stop: the call runs again when the run is resumed.
    #[tokio::test(start_paused = true)]
    async fn x01_a_stop_is_no_timeout() {
        let worker = Worker {
            works: 60 * MINUTE,
            speaks: MINUTE,
            when_cancelled: WhenCancelled::IsDeaf,
        };
        let cancelled = CancellationToken::new();
        let stop = cancelled.clone();
        let time = Time {
            most: Some(MINUTE),
            stall: None,
        };
        tokio::spawn(async move {
            sleep(MINUTE + Duration::from_secs(3)).await;
            stop.cancel();
        });
        let (ended, _) = ended(worker, time, cancelled).await;
        assert_eq!(ended.outcome, AgentOutcome::Cancelled);
    }

    /// What it said last, and how long it is let alone then, in minutes.
    #[tokio::test(start_paused = true)]
    async fn x01_how_long_an_agent_may_be_silent_depends_on_what_it_is_at() {
        let stall = Stall {
            silent: Some(2 * MINUTE),
            tool: Some(30 * MINUTE),
            person: None,
        };
        let time = Time {
            most: Some(600 * MINUTE),
            stall: Some(stall),
        };
        for (said, expected) in [
            (
                r#"{"event": {"state": "tool", "name": "cargo test"}}"#,
                "the agent waited for a tool without a sign of life for 1800s and was ended",
            ),
            (
                r#"{"event": "reading"}"#,
                "the agent gave no sign of life for 120s and was ended",
            ),
            (
                r#"{"event": {"state": "person"}}"#,
                "the agent took longer than 36000s and was ended",
            ),
        ] {
            let backend: Arc<dyn AgentBackend> = Arc::new(Says(said));
            let ended = run(backend, time, task(0, None), context()).await;
            let AgentOutcome::Failed(failure) = ended.outcome else {
                panic!("{said}")
            };
            assert_eq!(failure.message, expected);
            assert_eq!(failure.evidence.as_deref(), Some("half of it"));
        }
    }

    /// Says one thing and no more; has written something when it is ended.
    struct Says(&'static str);

    impl AgentBackend for Says {
        fn run(&self, task: Arc<Task>, context: AttemptContext) -> BoxFuture<'static, Ended> {
            let said = self.0;
            async move {
                let (token, event) = (task.token, said.into());
                context.progress.report(ProgressEvent { token, event });
                context.cancelled.cancelled().await;
                let mut ended = Ended::cancelled();
                ended.written = Some("half of it".to_owned());
                ended
            }
            .boxed()
        }
    }
}
