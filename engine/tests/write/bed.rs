//! An engine whose one agent answers as it was told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bellwether::backend::script_check::{Project, ScriptCheck};
use bellwether::store::{MemoryStore, Position};
use bellwether::{
    AgentBackend, AttemptContext, Ended, Engine, FailureKind, ResumeOptions, RunHandle, RunId,
    Script, StartOptions, Store, Task,
};
use futures_util::future::{BoxFuture, ready};
use serde_json::{Value, json};

pub(crate) const WRITE: &str = include_str!("../../../scripts/library/write.js");

/// What the agent answers: the decision, then the scripts. When none is left it fails.
pub(crate) struct Answers {
    left: Mutex<VecDeque<Value>>,
    /// Labels and prompts, in order.
    asked: Mutex<Vec<(String, String)>>,
}

impl Answers {
    pub(crate) fn new(decision: Value) -> Self {
        Self {
            left: Mutex::new([decision].into()),
            asked: Mutex::default(),
        }
    }

    pub(crate) fn then(self, scripts: impl IntoIterator<Item = Value>) -> Self {
        self.left.lock().unwrap().extend(scripts);
        self
    }

    pub(crate) fn prompts(&self) -> Vec<(String, String)> {
        self.asked.lock().unwrap().clone()
    }
}

impl AgentBackend for Answers {
    fn run(&self, task: Arc<Task>, _: AttemptContext) -> BoxFuture<'static, Ended> {
        let label = task.label.as_deref().unwrap_or_default().to_owned();
        self.asked
            .lock()
            .unwrap()
            .push((label, task.prompt.to_string()));
        let ended = match self.left.lock().unwrap().pop_front() {
            None | Some(Value::Null) => Ended::failed(FailureKind::Refused, "it was told to fail"),
            Some(answer) => Ended::completed(answer.to_string()),
        };
        Box::pin(ready(ended))
    }
}

/// What the agent decides.
pub(crate) fn decision(kind: &str) -> Value {
    json!({
        "kind": kind, "why": "because", "name": "fix-all", "over": "files", "steps": ["Fix"], "verify": "npm test",
        "candidates": ["make check", "npm test"], "reason": "package.json",
    })
}

/// A script that the agent gives.
pub(crate) fn written(script: &str) -> Value {
    json!({ "script": script, "args": null, "notes": ["a note"] })
}

pub(crate) fn script(body: &str) -> String {
    format!("export const meta = {{ name: 'fix-all', description: 'Fixes' }}\n{body}")
}

pub(crate) fn options(args: &Value) -> StartOptions {
    StartOptions::new().backend("writer").args(args).unwrap()
}

/// An engine that carries out `write.js`.
pub(crate) struct Bed(Engine);

pub(crate) async fn bed(answers: Answers) -> (Bed, Arc<Answers>) {
    bed_on(Arc::new(MemoryStore::new()), answers).await
}

/// The same over a journal that an engine before this one may have left.
pub(crate) async fn bed_on(store: Arc<dyn Store>, answers: Answers) -> (Bed, Arc<Answers>) {
    let answers = Arc::new(answers);
    let check = ScriptCheck::new(Project::new(StartOptions::new(), ["writer"]));
    let engine = Engine::builder()
        .store(store)
        .backend("writer", Arc::clone(&answers) as Arc<_>)
        .backend("script-check", Arc::new(check));
    (Bed(engine.build().await.unwrap()), answers)
}

impl Bed {
    /// Starts it.
    ///
    /// # Errors
    /// Why it is refused.
    pub(crate) async fn try_start(&self, options: StartOptions) -> Result<RunHandle, String> {
        let script = Script::file("write.js", WRITE);
        let started = self.0.start(script, options).await;
        started.map_err(|error| error.to_string())
    }

    pub(crate) async fn start(&self, options: StartOptions) -> RunHandle {
        self.try_start(options).await.unwrap()
    }

    /// Its result.
    ///
    /// # Errors
    /// Why it failed.
    pub(crate) async fn result(&self, options: StartOptions) -> Result<Value, String> {
        let run = self.start(options).await;
        run.result().await.map_err(|error| error.to_string())
    }

    /// Goes on with what another engine has left.
    pub(crate) async fn resume(&self, run: RunId) -> RunHandle {
        self.0.resume(run, ResumeOptions::new()).await.unwrap()
    }

    pub(crate) async fn shutdown(self) {
        self.0.shutdown(Duration::from_secs(10)).await;
    }

    pub(crate) fn logs(&self, run: &RunHandle) -> Vec<String> {
        let archive = self.0.archive();
        let logs = archive.logs(run.id(), Position(0));
        logs.map(|line| line.unwrap().text).collect()
    }
}
