//! Agents for benches: futures, so that only the engine is measured.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bellwether::{AgentBackend, AttemptContext, Ended, Task};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, Semaphore, watch};

/// Answers `null` at once.
#[derive(Debug)]
pub struct Noop;

impl AgentBackend for Noop {
    fn run(&self, _: Arc<Task>, _: AttemptContext) -> BoxFuture<'static, Ended> {
        async { Ended::completed("null") }.boxed()
    }
}

/// Answers after a while.
#[derive(Debug)]
pub struct Slow(pub Duration);

impl AgentBackend for Slow {
    fn run(&self, _: Arc<Task>, _: AttemptContext) -> BoxFuture<'static, Ended> {
        let duration = self.0;
        async move {
            tokio::time::sleep(duration).await;
            Ended::completed("null")
        }
        .boxed()
    }
}

/// Counts starts, and holds every agent until the gate is opened.
#[derive(Debug)]
pub struct Held {
    started: watch::Sender<usize>,
    gate: Arc<Semaphore>,
}

impl Held {
    /// With a closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self {
            started: watch::Sender::new(0),
            gate: Arc::new(Semaphore::new(0)),
        }
    }

    /// Waits until so many have started.
    pub async fn started(&self, count: usize) {
        // The sender is this value's own, so it is there as long as somebody waits.
        let _ = self
            .started
            .subscribe()
            .wait_for(|started| *started >= count)
            .await;
    }

    /// Lets all go, now and later.
    pub fn open(&self) {
        self.gate.close();
    }
}

impl Default for Held {
    fn default() -> Self {
        Self::new()
    }
}

impl AgentBackend for Held {
    fn run(&self, _: Arc<Task>, _: AttemptContext) -> BoxFuture<'static, Ended> {
        self.started.send_modify(|started| *started += 1);
        let gate = Arc::clone(&self.gate);
        async move {
            // A closed semaphore is an open gate.
            let _ = gate.acquire().await;
            Ended::completed("null")
        }
        .boxed()
    }
}

/// Counts starts, and works until it is told to end, which it does at once.
#[derive(Debug, Default)]
pub struct Obedient(watch::Sender<usize>);

impl Obedient {
    /// Waits until so many have started.
    pub async fn started(&self, count: usize) {
        // The sender is this value's own, so it is there as long as somebody waits.
        let _ = self
            .0
            .subscribe()
            .wait_for(|started| *started >= count)
            .await;
    }
}

impl AgentBackend for Obedient {
    fn run(&self, _: Arc<Task>, context: AttemptContext) -> BoxFuture<'static, Ended> {
        self.0.send_modify(|started| *started += 1);
        async move {
            context.cancelled.cancelled().await;
            Ended::cancelled()
        }
        .boxed()
    }
}

/// Answers with prose; the agent with the prompt `last` says that it has begun, and does not end until it is let go.
#[derive(Debug)]
pub struct Prose {
    bytes: usize,
    last_started: Arc<Notify>,
    last_may_end: Arc<Notify>,
}

impl Prose {
    /// Answers of about so many bytes, each another.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self {
            bytes,
            last_started: Arc::default(),
            last_may_end: Arc::default(),
        }
    }

    /// Waits until the last agent has begun.
    pub async fn last_started(&self) {
        self.last_started.notified().await;
    }

    /// Lets the last agent end.
    pub fn let_last_end(&self) {
        self.last_may_end.notify_one();
    }
}

impl AgentBackend for Prose {
    fn run(&self, task: Arc<Task>, _: AttemptContext) -> BoxFuture<'static, Ended> {
        if &*task.prompt == "last" {
            let (started, may_end) = (
                Arc::clone(&self.last_started),
                Arc::clone(&self.last_may_end),
            );
            return async move {
                started.notify_one();
                may_end.notified().await;
                Ended::completed("null")
            }
            .boxed();
        }
        let bytes = self.bytes;
        async move {
            let number = task
                .prompt
                .rsplit(' ')
                .next()
                .and_then(|word| word.parse().ok());
            Ended::completed(format!("\"{}\"", prose(number.unwrap_or(0), bytes)))
        }
        .boxed()
    }
}

const WORDS: &[&str] = &[
    "the", "reviewer", "reads", "a", "module", "and", "finds", "that", "its", "error", "paths",
    "were", "never", "tested", "before", "request", "bodies", "are", "parsed", "twice", "when",
    "caching", "headers", "come", "in", "another", "order", "than", "expected", "so", "we",
    "moved", "that", "check", "into", "one", "place", "with", "tests", "for", "both", "timeout",
    "handling",
];

/// Some text of at least one word, much like prose to a compressor: the same for the same number.
#[must_use]
pub fn prose(number: u64, bytes: usize) -> String {
    let mut random = crate::random::Random::new(number);
    let mut text = String::with_capacity(bytes + 16);
    while text.len() < bytes.max(1) {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(WORDS[random.below(WORDS.len() as u64) as usize]);
        if random.below(12) == 0 {
            text.push(' ');
            text.push_str(&random.below(100_000).to_string());
            text.push('.');
        }
    }
    text
}

/// Answers at once, and keeps when each agent started.
#[derive(Default)]
pub struct Timed(Mutex<Vec<Instant>>);

impl Timed {
    /// Median and 99th percentile of the time from one start to the next, in milliseconds.
    #[must_use]
    pub fn percentiles(&self) -> (f64, f64) {
        let starts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut steps: Vec<f64> = starts
            .windows(2)
            .filter_map(|pair| {
                Some(pair.get(1)?.duration_since(*pair.first()?).as_secs_f64() * 1e3)
            })
            .collect();
        steps.sort_by(f64::total_cmp);
        let at = |share: usize| {
            steps
                .get(steps.len() * share / 100)
                .copied()
                .unwrap_or_default()
        };
        (at(50), at(99))
    }
}

impl AgentBackend for Timed {
    fn run(&self, _: Arc<Task>, _: AttemptContext) -> BoxFuture<'static, Ended> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Instant::now());
        std::future::ready(Ended::completed("null")).boxed()
    }
}
