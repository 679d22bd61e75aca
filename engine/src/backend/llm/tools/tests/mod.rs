//! The tools as a model uses them, on real files.

mod confinement;
mod files;
mod permitted;
mod replacement;
mod search;
mod shell;
mod toolbox;
mod web;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{Answer, Means, Permitted, Switches, Toolbox, Workplace};

/// An agent in a folder of its own.
struct Agent {
    /// Around the agent's own.
    around: TempDir,
    toolbox: Toolbox,
}

impl Agent {
    fn new() -> Self {
        Self::with(&Means::default())
    }

    fn with(means: &Means) -> Self {
        let around = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let root = around.path().join("own");
        fs::create_dir(&root).unwrap_or_else(|error| panic!("{error}"));
        let workplace = Workplace::new(&root, "a-1").unwrap_or_else(|error| panic!("{error}"));
        let switches = Switches {
            shell: true,
            web_fetch: true,
        };
        let (permitted, _) = Permitted::new(None, &[], switches);
        let toolbox = Toolbox::new(workplace, &permitted, means);
        Self { around, toolbox }
    }

    fn root(&self) -> PathBuf {
        self.around.path().join("own")
    }

    fn path(&self, inner: &str) -> PathBuf {
        self.root().join(inner)
    }

    /// Makes a file, as somebody else would.
    fn put(&self, inner: &str, content: impl AsRef<[u8]>) {
        put(&self.path(inner), content.as_ref());
    }

    fn bytes(&self, inner: &str) -> Vec<u8> {
        fs::read(self.path(inner)).unwrap_or_else(|error| panic!("{inner}: {error}"))
    }

    async fn call(&self, name: &str, arguments: Value) -> Answer {
        let cancelled = CancellationToken::new();
        self.toolbox.call(name, &arguments, &cancelled).await
    }

    /// The answer of a call that does what it is asked.
    async fn done(&self, name: &str, arguments: Value) -> String {
        let answer = self.call(name, arguments.clone()).await;
        assert!(!answer.is_error, "{name} {arguments}: {}", answer.text);
        answer.text
    }

    /// The answer of a call that does not.
    async fn refused(&self, name: &str, arguments: Value) -> String {
        let answer = self.call(name, arguments.clone()).await;
        assert!(answer.is_error, "{name} {arguments}: {}", answer.text);
        answer.text
    }
}

fn put(path: &Path, content: &[u8]) {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{error}"));
    }
    fs::write(path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
