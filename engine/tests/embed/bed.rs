//! A backend and stores that do as they are told.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use bellwether::store::{Batch, MemoryStore, Position, Row, StoreError};
use bellwether::{
    AgentBackend, AttemptContext, BuildError, Builder, Digest, Ended, Engine, Epoch, FailureKind,
    RunId, Script, StartOptions, Store, Task,
};
use futures_util::future::BoxFuture;
use tokio::sync::watch;

/// A script of this body.
pub(crate) fn script(body: &str) -> Script {
    Script::text(format!(
        "export const meta = {{ name: 'test', description: 'A test' }}\n{body}"
    ))
}

/// Options for the scripted backend.
pub(crate) fn options() -> StartOptions {
    StartOptions::new().backend("scripted")
}

pub(crate) fn run_id(number: u64) -> RunId {
    RunId::from_u64(number).unwrap()
}

/// Agents answer with their prompt. One whose prompt begins with `hold` waits for [`Scripted::release`] first, `fail` fails.
#[derive(Default)]
pub(crate) struct Scripted {
    begun: watch::Sender<Vec<String>>,
    released: watch::Sender<Released>,
    alive: Arc<watch::Sender<usize>>,
    /// What changes its answers besides the task.
    pub(crate) fingerprint: String,
}

#[derive(Debug, Default)]
struct Released {
    all: bool,
    prompts: HashSet<String>,
}

/// Counts an agent as alive until its future is gone.
struct Alive(Arc<watch::Sender<usize>>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.send_modify(|alive| *alive -= 1);
    }
}

impl Scripted {
    /// All agents answer from here on.
    pub(crate) fn release(&self) {
        self.released.send_modify(|released| released.all = true);
    }

    /// The agents with this prompt answer from here on.
    pub(crate) fn release_prompt(&self, prompt: &str) {
        self.released
            .send_modify(|released| _ = released.prompts.insert(prompt.to_owned()));
    }

    /// Waits until so many attempts have begun; gives the prompts of all.
    pub(crate) async fn begun(&self, count: usize) -> Vec<String> {
        let mut begun = self.begun.subscribe();
        begun
            .wait_for(|begun| begun.len() >= count)
            .await
            .unwrap()
            .clone()
    }

    pub(crate) fn prompts(&self) -> Vec<String> {
        self.begun.borrow().clone()
    }

    /// Waits until no agent is at work.
    pub(crate) async fn idle(&self) {
        self.alive_are(0).await;
    }

    /// Waits until so many agents are at work.
    pub(crate) async fn alive_are(&self, count: usize) {
        let mut alive = self.alive.subscribe();
        alive.wait_for(|alive| *alive == count).await.unwrap();
    }

    pub(crate) fn alive(&self) -> usize {
        *self.alive.borrow()
    }
}

impl AgentBackend for Scripted {
    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    fn run(&self, task: Arc<Task>, context: AttemptContext) -> BoxFuture<'static, Ended> {
        let prompt = task.prompt.to_string();
        self.alive.send_modify(|alive| *alive += 1);
        let alive = Alive(Arc::clone(&self.alive));
        self.begun.send_modify(|begun| begun.push(prompt.clone()));
        let mut released = self.released.subscribe();
        Box::pin(async move {
            let _alive = alive;
            if prompt.starts_with("fail") {
                return Ended::failed(FailureKind::Refused, "it was told to fail");
            }
            if prompt.starts_with("hold") {
                let may_answer = released
                    .wait_for(|released| released.all || released.prompts.contains(&prompt));
                tokio::select! {
                    _ = may_answer => {}
                    () = context.cancelled.cancelled() => return Ended::cancelled(),
                    () = context.killed.cancelled() => return Ended::cancelled(),
                }
            }
            Ended::completed(serde_json::to_string(&prompt).unwrap())
        })
    }
}

/// An engine in memory and its backend.
pub(crate) async fn engine() -> (Engine, Arc<Scripted>) {
    engine_on(Arc::new(MemoryStore::new())).await
}

pub(crate) async fn engine_on(store: Arc<dyn Store>) -> (Engine, Arc<Scripted>) {
    let backend = Arc::new(Scripted::default());
    let engine = builder(&backend).store(store).build().await.unwrap();
    (engine, backend)
}

pub(crate) fn builder(backend: &Arc<Scripted>) -> Builder {
    Engine::builder().backend("scripted", Arc::clone(backend) as Arc<_>)
}

/// Opens a journal that an engine before this one, dropped just now, may still be closing.
pub(crate) async fn reopen(path: &Path) -> (Engine, Arc<Scripted>) {
    loop {
        let backend = Arc::new(Scripted::default());
        match builder(&backend).journal(path).build().await {
            Ok(engine) => return (engine, backend),
            Err(BuildError::Journal(StoreError::InUse { .. })) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// What a [`Told`] store does at its next commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Commits {
    #[default]
    Through,
    /// They wait.
    Held,
    /// The disk is full.
    Fail,
}

/// A store of an embedder's own: in memory, and its commits do as they are told.
#[derive(Clone)]
pub(crate) struct Told {
    inner: MemoryStore,
    commits: Arc<(Mutex<Commits>, Condvar)>,
    waiting: Arc<watch::Sender<usize>>,
}

impl Told {
    pub(crate) fn new() -> Self {
        Self {
            inner: MemoryStore::new(),
            commits: Arc::default(),
            waiting: Arc::default(),
        }
    }

    pub(crate) fn tell(&self, commits: Commits) {
        *self.commits.0.lock().unwrap() = commits;
        self.commits.1.notify_all();
    }

    /// Waits until a commit is held.
    pub(crate) async fn is_holding(&self) {
        self.waiting
            .subscribe()
            .wait_for(|waiting| *waiting > 0)
            .await
            .unwrap();
    }

    /// The same contents, for the next engine.
    pub(crate) fn memory(&self) -> Arc<MemoryStore> {
        Arc::new(self.inner.clone())
    }
}

impl Store for Told {
    fn raise_epoch(&self) -> Result<Epoch, StoreError> {
        self.inner.raise_epoch()
    }

    fn identity(&self) -> Result<Digest, StoreError> {
        self.inner.identity()
    }

    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut commits = self.commits.0.lock().unwrap();
        if *commits == Commits::Held {
            self.waiting.send_modify(|waiting| *waiting += 1);
            while *commits == Commits::Held {
                commits = self.commits.1.wait(commits).unwrap();
            }
            self.waiting.send_modify(|waiting| *waiting -= 1);
        }
        if *commits == Commits::Fail {
            return Err(StoreError::Io("no space left".to_owned()));
        }
        drop(commits);
        self.inner.commit(batch)
    }

    fn summaries(
        &self,
        after: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<(RunId, Vec<u8>)>, StoreError> {
        self.inner.summaries(after, limit)
    }

    fn summary(&self, run: RunId) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.summary(run)
    }

    fn records(&self, run: RunId, from: Position, limit: usize) -> Result<Vec<Row>, StoreError> {
        self.inner.records(run, from, limit)
    }

    fn payloads(
        &self,
        run: RunId,
        from: Position,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.inner.payloads(run, from, limit, bytes_max)
    }

    fn payload(&self, run: RunId, position: Position) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.payload(run, position)
    }

    fn blob(&self, hash: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.blob(hash)
    }
}
