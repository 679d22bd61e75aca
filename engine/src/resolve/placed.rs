//! A backend whose agents work somewhere below, or beside, their run's folder (X01).

use std::path::{Path, PathBuf};
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
        let failed = |problem: &str| {
            let folder = placed.working_directory.display();
            let message = format!("agent(): the option `cwd`: `{folder}` {problem}");
            futures_util::future::ready(Ended::failed(FailureKind::Other, message)).boxed()
        };
        if !placed.working_directory.is_dir() {
            return failed("is no folder");
        }
        // A link in the repository may lead anywhere, the caller's checkout included.
        let real = |folder: &Path| folder.canonicalize().ok();
        let is_within = real(&task.working_directory)
            .zip(real(&placed.working_directory))
            .is_some_and(|(from, to)| to.starts_with(from));
        if task.options.isolation.is_some() && !is_within {
            return failed("is a link that leads out of the worktree");
        }
        self.inner.run(Arc::new(placed), context)
    }

    fn fingerprint(&self) -> String {
        self.inner.fingerprint()
    }
}
