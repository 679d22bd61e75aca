//! `merge(…)` of a script: a step that the engine does, journaled branch by branch (X06, T03).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bellwether_actors::backend::{AgentBackend, AttemptContext, Ended, Task};
use bellwether_journal::record::FailureKind;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::target::is_kept;
use super::{Lander, LandingOrder, VERIFY_TIMEOUT};
use crate::worktree::{Base, Pool};

/// The options of `merge`, as the VM writes them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct MergeOptions {
    /// The target; `bellwether/<run>/landed` without one.
    into: Option<String>,
    /// A command for the shell.
    verify: Option<String>,
    /// How long it may take, in milliseconds.
    timeout: Option<u64>,
}

/// Lands the branches that a call of `merge` names.
pub(crate) struct MergeStep {
    pub(crate) options: MergeOptions,
    /// Where worktrees to verify in come from.
    pub(crate) pool: Pool,
    /// Where the run began.
    pub(crate) base: Base,
    /// The run's working directory.
    pub(crate) folder: PathBuf,
}

impl AgentBackend for MergeStep {
    fn run(&self, task: Arc<Task>, context: AttemptContext) -> BoxFuture<'static, Ended> {
        let failed = |message: String| {
            futures_util::future::ready(Ended::failed(FailureKind::Other, message)).boxed()
        };
        let (pool, base) = (self.pool.clone(), self.base.clone());
        let branches: Vec<String> = match serde_json::from_str(&task.prompt) {
            Ok(branches) => branches,
            Err(error) => return failed(format!("merge(): no list of branches: {error}")),
        };
        // A script may land what agents made, and nothing else that happens to be in the repository.
        if let Some(branch) = branches.iter().find(|branch| !is_kept(branch)) {
            return failed(format!(
                "merge(): `{branch}` is no branch that an agent's work is kept on (`bellwether/<run>/a-…`)"
            ));
        }
        let MergeOptions {
            into,
            verify,
            timeout,
        } = self.options.clone();
        let order = LandingOrder {
            branches,
            into: into.unwrap_or_else(|| landed_branch(&task)),
            verify,
            verify_timeout: timeout.map_or(VERIFY_TIMEOUT, Duration::from_millis),
        };
        let folder = self.folder.clone();
        async move {
            let AttemptContext {
                cancelled,
                killed,
                notes,
                ..
            } = context;
            let lander = Lander {
                pool: &pool,
                base: &base,
                folder: &folder,
                token: task.token,
                notes: Some(&notes),
            };
            tokio::select! {
                biased;
                () = killed.cancelled() => Ended::cancelled(),
                () = cancelled.cancelled() => Ended::cancelled(),
                landed = lander.land(&order, &task.notes) => match landed {
                    Ok(landing) => match serde_json::to_string(&landing) {
                        Ok(value) => Ended::completed(value),
                        Err(error) => Ended::failed(FailureKind::Other, error.to_string()),
                    },
                    Err(error) => Ended::failed(FailureKind::Other, format!("merge(): {error}")),
                },
            }
        }
        .boxed()
    }
}

fn landed_branch(task: &Task) -> String {
    format!("bellwether/{}/landed", task.token.run)
}
