//! A backend whose agents work somewhere below, or beside, their run's folder (X01).

use std::path::PathBuf;
use std::sync::Arc;

use bellwether_actors::backend::{AgentBackend, AttemptContext, Ended, Task};
use bellwether_journal::record::FailureKind;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

/// Gives `inner`'s agents the folder `folder`, taken from where they would work else.
pub(crate) struct Placed {
    inner: Arc<dyn AgentBackend>,
    folder: PathBuf,
}

impl Placed {
    pub(crate) const fn new(inner: Arc<dyn AgentBackend>, folder: PathBuf) -> Self {
        Self { inner, folder }
    }
}

impl AgentBackend for Placed {
    fn run(&self, task: Arc<Task>, context: AttemptContext) -> BoxFuture<'static, Ended> {
        let mut placed = Task::clone(&task);
        placed.working_directory = task.working_directory.join(&self.folder);
        if !placed.working_directory.is_dir() {
            let folder = placed.working_directory.display();
            let message = format!("agent(): the option `cwd`: `{folder}` is no folder");
            return futures_util::future::ready(Ended::failed(FailureKind::Other, message)).boxed();
        }
        self.inner.run(Arc::new(placed), context)
    }

    fn fingerprint(&self) -> String {
        self.inner.fingerprint()
    }
}
