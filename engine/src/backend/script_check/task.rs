//! What is asked: a script, example arguments, and for whom.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Project;
use crate::agent_type::AgentType;
use crate::options::StartOptions;

/// A script that is to be checked.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Asked {
    /// Its text.
    pub(super) script: String,
    /// What it is given in the plan; null is nothing.
    #[serde(default)]
    args: Option<Box<RawValue>>,
    #[serde(default)]
    project: Given,
}

/// What is known of those for whom the script is, in place of what the backend was told. It stands in the task, and so in the
/// journal: a check that is repeated elsewhere, or later, says the same.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Given {
    /// Names of agent types, besides those that are built in.
    agent_types: Option<Vec<String>>,
    /// Names and files of workflows.
    workflows: Option<BTreeMap<String, PathBuf>>,
    /// Names of backends.
    backends: Option<Vec<String>>,
    /// Whether the script may merge.
    merge: Option<bool>,
}

/// Why a task is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "the task is no script to check: {0}; give the prompt as JSON, `{{\"script\": \"…\", \"args\": …}}`, as \
     `JSON.stringify({{ script, args }})` writes it"
)]
pub(super) struct NoTask(#[from] serde_json::Error);

impl Asked {
    /// Reads a prompt.
    ///
    /// # Errors
    /// [`NoTask`]: it is no JSON, or not of that form.
    pub(super) fn parse(prompt: &str) -> Result<Self, NoTask> {
        Ok(serde_json::from_str(prompt)?)
    }

    /// What a run of the script would be started with.
    pub(super) fn start(&self, project: &Project, working_directory: &Path) -> StartOptions {
        let mut start = project.start.clone();
        let given = &self.project;
        start.args = self.args.as_ref().map(|args| args.get().to_owned());
        start.working_directory = Some(working_directory.to_path_buf());
        if let Some(names) = &given.agent_types {
            let known = std::mem::take(&mut start.agent_types);
            let named = |name: &String| {
                let known = known.iter().find(|known| known.name == *name);
                known.cloned().unwrap_or_else(|| AgentType::new(name))
            };
            start.agent_types = names.iter().map(named).collect();
        }
        if let Some(workflows) = &given.workflows {
            start.workflows.clone_from(workflows);
        }
        start.permissions.merge = given.merge.unwrap_or(start.permissions.merge);
        start
    }

    /// The backends that its calls may name.
    pub(super) fn backends(&self, project: &Project) -> Vec<String> {
        let given = self.project.backends.as_ref();
        given.unwrap_or(&project.backends).clone()
    }
}
