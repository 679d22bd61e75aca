//! A backend that leaves a trace, and runs on it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use bellwether::store::MemoryStore;
use bellwether::{
    AgentBackend, AttemptContext, Ended, Engine, FailureKind, RewindOptions, RunHandle, RunId,
    Script, StartOptions, Status, Task,
};
use futures_util::future::BoxFuture;

/// A script of this body.
pub(crate) fn script(body: &str) -> Script {
    Script::text(format!(
        "export const meta = {{ name: 'test', description: 'A test' }}\n{body}"
    ))
}

/// Agents answer with their prompt and how often it has run; those that are told to fail, fail.
#[derive(Default)]
pub(crate) struct Traced {
    ran: Mutex<Vec<String>>,
    failing: Mutex<HashSet<String>>,
    times: Mutex<HashMap<String, u32>>,
}

impl Traced {
    /// The prompts that ran since this was last asked, sorted.
    pub(crate) fn ran(&self) -> Vec<String> {
        let mut ran = std::mem::take(&mut *self.ran.lock().unwrap());
        ran.sort();
        ran
    }

    /// From here on just these fail.
    pub(crate) fn fail(&self, prompts: &[&str]) {
        *self.failing.lock().unwrap() = prompts.iter().map(|&prompt| prompt.to_owned()).collect();
    }
}

impl AgentBackend for Traced {
    fn run(&self, task: Arc<Task>, _context: AttemptContext) -> BoxFuture<'static, Ended> {
        let prompt = task.prompt.to_string();
        self.ran.lock().unwrap().push(prompt.clone());
        let mut times = self.times.lock().unwrap();
        let times = times.entry(prompt.clone()).or_default();
        *times += 1;
        let ended = if self.failing.lock().unwrap().contains(&prompt) {
            Ended::failed(FailureKind::Refused, "it was told to fail")
        } else if let Some((_, value)) = prompt.split_once(" => ") {
            Ended::completed(serde_json::json!(value).to_string())
        } else {
            Ended::completed(serde_json::json!(format!("{prompt} #{times}")).to_string())
        };
        Box::pin(async move {
            // Others may end before.
            let some: usize = prompt.bytes().map(usize::from).sum();
            for _ in 0..some * 31 % 89 {
                tokio::task::yield_now().await;
            }
            ended
        })
    }
}

/// An engine, its backend, and one run at a time.
pub(crate) struct Bed {
    pub(crate) engine: Engine,
    pub(crate) backend: Arc<Traced>,
}

impl Bed {
    pub(crate) async fn new() -> Self {
        Self::on(Arc::new(MemoryStore::new())).await
    }

    pub(crate) async fn on(store: Arc<MemoryStore>) -> Self {
        let backend = Arc::new(Traced::default());
        let engine = Engine::builder()
            .backend("traced", Arc::clone(&backend) as Arc<_>)
            .vm_in_process()
            .store(store)
            .build()
            .await
            .unwrap();
        Self { engine, backend }
    }

    /// Runs a script to its end; what ran is forgotten.
    pub(crate) async fn run(&self, body: &str) -> RunId {
        let options = StartOptions::new()
            .backend("traced")
            .concurrency(16)
            .max_agents(10_000);
        let run = self.engine.start(script(body), options).await.unwrap();
        run.wait().await;
        self.backend.ran();
        run.id()
    }

    /// A run's value as JSON text.
    pub(crate) fn result(&self, run: RunId) -> String {
        let result = self.engine.archive().result(run).unwrap();
        result.result.unwrap().to_string()
    }

    /// Rewinds a run to its end: what ran.
    pub(crate) async fn rewind(&self, run: RunId, options: RewindOptions) -> Vec<String> {
        self.rewound(run, options).await;
        self.backend.ran()
    }

    pub(crate) async fn rewound(&self, run: RunId, options: RewindOptions) -> (RunHandle, Status) {
        let handle = self.engine.rewind(run, options).await.unwrap();
        let status = handle.wait().await;
        (handle, status)
    }
}
