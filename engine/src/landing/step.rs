//! `merge(…)` of a script: a step that the engine does, journaled branch by branch (X06, T03).

use std::sync::Arc;
use std::time::Duration;

use bellwether_actors::backend::{AgentBackend, AttemptContext, Ended, Task};
use bellwether_journal::record::FailureKind;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Deserialize;

use super::{Branch, Landing, Verify, land};
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
        let landing = Landing {
            branches: branches.into_iter().map(Branch::named).collect(),
            into: into.unwrap_or_else(|| landed_branch(&task)),
            base,
            verify: verify.map(|command| {
                let mut verify = Verify::new(command);
                if let Some(milliseconds) = timeout {
                    verify.timeout = Duration::from_millis(milliseconds);
                }
                verify
            }),
            token: task.token,
        };
        async move {
            let AttemptContext {
                cancelled,
                killed,
                notes,
                ..
            } = context;
            tokio::select! {
                biased;
                () = killed.cancelled() => Ended::cancelled(),
                () = cancelled.cancelled() => Ended::cancelled(),
                landed = land(&pool, &landing, &task.notes, Some(&notes)) => match landed {
                    Ok(landed) => match serde_json::to_string(&landed) {
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

/// Whether a name is one that the engine gives to an agent's work: `bellwether/<run>/a-…`, `bellwether/<run>/g2/a-…`.
fn is_kept(name: &str) -> bool {
    let mut parts = name.split('/');
    parts.next() == Some("bellwether")
        && parts.next().is_some_and(|run| run.starts_with("r-"))
        && parts.any(|part| part.starts_with("a-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_branches_are_known_by_their_names() {
        for (name, kept) in [
            ("bellwether/r-7k2m9q4d/a-3", true),
            ("bellwether/r-7k2m9q4d/g2/a-3-2", true),
            ("bellwether/r-7k2m9q4d/landed", false),
            ("bellwether/notes/a-3", false),
            ("main", false),
            ("feature/a-3", false),
        ] {
            assert_eq!(is_kept(name), kept, "{name}");
        }
    }
}
