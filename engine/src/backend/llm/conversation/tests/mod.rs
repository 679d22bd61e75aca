//! The loop against a model server on loopback.

mod faults;
mod length;
mod server;
mod shape;
mod tools;
mod work;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Endpoint, Event, Finished, Job, Pace, Stopped, Tools, Watch, Wire, Worker, client};

/// The wires that the server of these tests speaks.
const WIRES: [Wire; 2] = [Wire::Anthropic, Wire::OpenAiChat];

/// A worker that takes note of how long it should have slept, and sleeps not at all.
struct Bed {
    worker: Worker,
    slept: Arc<Mutex<Vec<Duration>>>,
}

impl Bed {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Pace)) -> Self {
        let slept = Arc::new(Mutex::new(Vec::new()));
        let sleeps = Arc::clone(&slept);
        let mut pace = Pace::new(Arc::new(|| 1.0)).with_sleep(Arc::new(move |time| {
            sleeps
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(time);
            std::future::ready(()).boxed()
        }));
        change(&mut pace);
        let client = client().unwrap_or_else(|error| panic!("{error}"));
        Self {
            worker: Worker::new(client, pace),
            slept,
        }
    }

    fn slept(&self) -> Vec<Duration> {
        self.slept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn work(
        &self,
        endpoint: &Endpoint,
        job: &Job,
        tools: &dyn Tools,
    ) -> (Result<Finished, Stopped>, Vec<String>) {
        self.work_until(endpoint, job, tools, &CancellationToken::new())
            .await
    }

    async fn work_until(
        &self,
        endpoint: &Endpoint,
        job: &Job,
        tools: &dyn Tools,
        cancelled: &CancellationToken,
    ) -> (Result<Finished, Stopped>, Vec<String>) {
        let log = Log::default();
        let end = self
            .worker
            .work(endpoint, job, tools, &log, cancelled)
            .await;
        (
            end,
            log.0.into_inner().unwrap_or_else(PoisonError::into_inner),
        )
    }
}

/// Events in short. Pieces of text are put together.
#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Watch for Log {
    fn see(&self, event: Event<'_>) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = match event {
            Event::TurnBegan { turn } => format!("turn {turn}"),
            Event::Text(text) => {
                if let Some(last) = log.last_mut().filter(|line| line.starts_with('"')) {
                    last.push_str(text);
                    return;
                }
                format!("\"{text}")
            }
            Event::TurnEnded { .. } | Event::Thought(_) => return,
            Event::ToolBegan { name, .. } => format!("{name}("),
            Event::ToolEnded { name, is_error, .. } => {
                format!("){name}{}", if is_error { "!" } else { "" })
            }
            Event::Retrying { kind, after, .. } => format!("again {kind:?} {after:?}"),
            Event::Compacted { .. } => "compacted".into(),
        };
        log.push(line);
    }
}

fn job(prompt: &str) -> Job {
    Job {
        prompt: prompt.into(),
        context_window: 100_000,
        ..Job::default()
    }
}

fn finished(end: (Result<Finished, Stopped>, Vec<String>)) -> Finished {
    end.0
        .unwrap_or_else(|stopped| panic!("{stopped:?} {:?}", end.1))
}

fn stopped(end: (Result<Finished, Stopped>, Vec<String>)) -> Stopped {
    match end.0 {
        Err(stopped) => stopped,
        Ok(finished) => panic!("{finished:?}"),
    }
}

/// The texts of a request's messages, of whichever wire: role, kind and text.
fn told(body: &Value) -> Vec<String> {
    let mut told = Vec::new();
    for message in body["messages"].as_array().into_iter().flatten() {
        let role = message["role"].as_str().unwrap_or("?");
        match &message["content"] {
            Value::Array(parts) => {
                for part in parts {
                    let kind = part["type"].as_str().unwrap_or("?");
                    let text = ["text", "content", "name"]
                        .iter()
                        .find_map(|key| part[*key].as_str())
                        .unwrap_or_default();
                    told.push(format!("{role} {kind} {text}"));
                }
            }
            text => told.push(format!("{role} text {}", text.as_str().unwrap_or_default())),
        }
    }
    told
}
