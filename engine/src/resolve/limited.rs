//! A backend whose attempts have only so much time (X01): in all, and between two signs of life.

use std::sync::Arc;
use std::time::Duration;

use bellwether_actors::backend::{
    AgentBackend, AgentOutcome, AttemptContext, Ended, Progress, ProgressEvent, Task,
};
use bellwether_journal::record::{Failure, FailureKind};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
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
    /// Without progress: an attempt that says nothing for so long counts as one that hangs.
    pub(crate) silent: Option<Duration>,
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
    let mut silent = Box::pin(passed(time.silent));
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
                outer.report(sign);
                silent.set(passed(time.silent));
            }
            () = &mut silent => {
                break format!("gave no sign of life for {}", spoken(time.silent));
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
            _ => None,
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
        let only = |most, silent| Time { most, silent };
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
            silent: None,
        };
        tokio::spawn(async move {
            sleep(MINUTE + Duration::from_secs(3)).await;
            stop.cancel();
        });
        let (ended, _) = ended(worker, time, cancelled).await;
        assert_eq!(ended.outcome, AgentOutcome::Cancelled);
    }
}
