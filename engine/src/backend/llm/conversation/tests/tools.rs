//! Tools for tests: a folder that can be read, edited and checked, and some that misbehave.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::super::{ToolAnswer, ToolDefinition, Tools};

pub(super) struct NoTools;

impl Tools for NoTools {
    fn definitions(&self) -> Vec<ToolDefinition> {
        Vec::new()
    }

    fn call(&self, name: &str, _: Value, _: CancellationToken) -> BoxFuture<'_, ToolAnswer> {
        panic!("{name}: there is no tool")
    }

    fn is_parallel(&self, _: &str) -> bool {
        false
    }
}

fn definition(name: &str) -> ToolDefinition {
    ToolDefinition {
        name: name.into(),
        description: format!("Does {name}."),
        parameters: json!({"type": "object", "properties": {"path": {"type": "string"}}}),
    }
}

fn answer(result: Result<String, String>) -> ToolAnswer {
    let is_error = result.is_err();
    ToolAnswer {
        text: result.unwrap_or_else(|text| text),
        is_error,
    }
}

/// Reads, edits and checks files: real ones, by real processes.
pub(super) struct Folder(pub(super) PathBuf);

impl Tools for Folder {
    fn definitions(&self) -> Vec<ToolDefinition> {
        ["run", "edit", "read"].map(definition).to_vec()
    }

    fn call(
        &self,
        name: &str,
        arguments: Value,
        _: CancellationToken,
    ) -> BoxFuture<'_, ToolAnswer> {
        let name = name.to_owned();
        async move { answer(call(&self.0, &name, &arguments).await) }.boxed()
    }

    fn is_parallel(&self, name: &str) -> bool {
        name == "read"
    }
}

async fn call(folder: &Path, name: &str, arguments: &Value) -> Result<String, String> {
    let text = |key: &str| arguments[key].as_str().ok_or(format!("`{key}` is missing"));
    let told = |error: std::io::Error| error.to_string();
    match name {
        "read" => tokio::fs::read_to_string(folder.join(text("path")?))
            .await
            .map_err(told),
        "edit" => {
            let path = folder.join(text("path")?);
            let before = tokio::fs::read_to_string(&path).await.map_err(told)?;
            let after = before.replacen(text("old")?, text("new")?, 1);
            tokio::fs::write(path, after).await.map_err(told)?;
            Ok("edited".into())
        }
        _ => {
            let output = tokio::process::Command::new("sh")
                .arg("check.sh")
                .current_dir(folder)
                .output()
                .await
                .map_err(told)?;
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() {
                Ok(said)
            } else {
                Err(said)
            }
        }
    }
}

/// `wait` ends only with the attempt; `meet` ends when two of them are under way; `long` answers at length; `alone` may not run
/// beside another.
pub(super) struct Odd {
    pub(super) waiting: watch::Sender<bool>,
    pub(super) ended_in_order: AtomicUsize,
    meeting: watch::Sender<usize>,
    working: AtomicUsize,
}

impl Odd {
    pub(super) fn new() -> Self {
        Self {
            waiting: watch::Sender::new(false),
            ended_in_order: AtomicUsize::new(0),
            meeting: watch::Sender::new(0),
            working: AtomicUsize::new(0),
        }
    }
}

impl Tools for Odd {
    fn definitions(&self) -> Vec<ToolDefinition> {
        ["wait", "meet", "long", "alone", "deaf"]
            .map(definition)
            .to_vec()
    }

    fn call(
        &self,
        name: &str,
        _: Value,
        cancelled: CancellationToken,
    ) -> BoxFuture<'_, ToolAnswer> {
        let name = name.to_owned();
        async move {
            match name.as_str() {
                "wait" => {
                    self.waiting.send_replace(true);
                    cancelled.cancelled().await;
                    self.ended_in_order.fetch_add(1, Ordering::SeqCst);
                    answer(Err("it was cancelled".into()))
                }
                "deaf" => {
                    self.waiting.send_replace(true);
                    std::future::pending().await
                }
                "meet" => {
                    self.meeting.send_modify(|number| *number += 1);
                    let _ = self
                        .meeting
                        .subscribe()
                        .wait_for(|number| *number >= 2)
                        .await;
                    answer(Ok("met".into()))
                }
                "long" => answer(Ok("x".repeat(20_000))),
                _ => {
                    let others = self.working.fetch_add(1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    self.working.fetch_sub(1, Ordering::SeqCst);
                    answer(Ok(format!("alone with {others}")))
                }
            }
        }
        .boxed()
    }

    fn is_parallel(&self, name: &str) -> bool {
        name == "meet"
    }
}
