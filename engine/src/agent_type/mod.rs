//! Agent types (Y01): what an agent is told and allowed besides its prompt, under a name that scripts use.
//!
//! An embedder makes them with [`AgentType::new`] and gives them to a run by [`crate::StartOptions::agent_types`], which
//! journals them: a recovery takes what the run began with, whatever became of the files. With the feature `agent-files`
//! `discover` reads them from where projects and people keep them.

mod built_in;
#[cfg(feature = "agent-files")]
mod discover;
#[cfg(feature = "agent-files")]
mod file;
#[cfg(feature = "agent-files")]
mod frontmatter;
#[cfg(feature = "agent-files")]
mod plugins;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bellwether_actors::restart::Retries;
use bellwether_journal::key::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::options::AgentInput;
pub use crate::resolve::Stall;
use crate::resolve::Time;

pub(crate) use built_in::{built_in, may_write, unnamed};
#[cfg(feature = "agent-files")]
pub use discover::{Discovered, Home, Problem, discover, folders};
#[cfg(feature = "agent-files")]
pub(crate) use discover::{personal_folders, project_folders, projects};
#[cfg(feature = "agent-files")]
pub(crate) use plugins::plugins;

/// A kind of agent, as a script names it by `agentType`.
///
/// What a call says itself (`model`, `effort`, `isolation`, `tools`, `backend`, `maxTurns`) goes before what its type says.
///
/// ```
/// use bellwether::agent_type::AgentType;
///
/// let mut reviewer = AgentType::new("reviewer");
/// reviewer.tools = Some(vec!["Read".to_owned(), "Grep".to_owned()]);
/// reviewer.system_prompt = Some("Look for what is wrong, and prove it.".into());
/// let options = bellwether::StartOptions::new().agent_types([reviewer]);
/// # drop(options);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct AgentType {
    /// The name, in which spaces, capitals and colons have no meaning of their own.
    pub name: String,
    /// What it is good for, for people. Not journaled: nothing of a run depends on it.
    #[serde(skip)]
    pub description: String,
    /// The backend that carries it out; the run's own without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// A program that carries it out, in place of a backend: its words (feature `command`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// How that program is given its task; as the run's own program without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_input: Option<AgentInput>,
    /// The tools that it may use; `None` is all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// Of those the ones that it may not use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disallowed_tools: Vec<String>,
    /// Alias or id of the model; `inherit` is the run's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `low` … `max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// How many turns of its own it may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    /// How long one attempt of it may take (X01).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// How long it may give no sign of life, by what it is at (X01).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall_timeout: Option<Stall>,
    /// How many more attempts it gets when it fails (X01).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<Retries>,
    /// What it may do unasked, in words of its program. Kept, and not passed on yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission_mode: Option<String>,
    /// `worktree`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<String>,
    /// Servers with more tools. Kept, and not passed on yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_servers: Option<Value>,
    /// What it is told besides the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<Arc<str>>,
    /// The file that it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<PathBuf>,
    /// Fields of the file that have no effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
    /// Hash of the file's text, as hex: part of the content of every call of this type (R02).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

impl AgentType {
    /// A type of this name that changes nothing yet.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// What stands for the definition in the content of calls: the file's hash, else one over the definition.
    pub(crate) fn content_hash(&self) -> String {
        self.content.clone().unwrap_or_else(|| {
            let definition = serde_json::to_string(self).unwrap_or_default();
            Digest::of("agent type", &[definition.as_bytes()]).to_hex()
        })
    }

    /// How much time its attempts have.
    pub(crate) fn time(&self) -> Time {
        Time {
            most: self.timeout,
            stall: self.stall_timeout,
        }
    }

    /// How messages name it: with its file, if it has one.
    pub(crate) fn shown(&self) -> String {
        match &self.source {
            Some(file) => format!("agent type `{}` ({})", self.name, file.display()),
            None => format!("agent type `{}`", self.name),
        }
    }
}

#[cfg(all(test, feature = "agent-files"))]
mod tests;
