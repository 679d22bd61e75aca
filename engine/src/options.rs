//! What a run is started with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bellwether_journal::id::RunId;
use serde::{Deserialize, Serialize};

use crate::agent_type::AgentType;

/// A workflow script, as text with the file that it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// The whole text.
    pub source: String,
    /// The file, for messages and for `workflow()` paths relative to it; `None` when it has none.
    pub path: Option<PathBuf>,
}

impl Script {
    /// A script that has no file.
    pub fn text(source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            path: None,
        }
    }

    /// A script from a file that the caller has read.
    pub fn file(path: impl Into<PathBuf>, source: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            path: Some(path.into()),
        }
    }
}

/// How a run is to be carried out. All of it is journaled, so that resuming needs nothing else.
///
/// ```
/// use bellwether::{RunId, StartOptions};
/// use std::time::Duration;
///
/// let options = StartOptions::new()
///     .backend("dry")
///     .run_id("r-7k2m9q4d".parse::<RunId>()?)
///     .args(&serde_json::json!({ "files": ["a.ts", "b.ts"] }))?
///     .concurrency(8)
///     .timeout(Duration::from_secs(3600));
/// assert_eq!(options.args.as_deref(), Some(r#"{"files":["a.ts","b.ts"]}"#));
/// assert_eq!(options.timeout_ms, Some(3_600_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub struct StartOptions {
    /// The caller's own id for the run: starting the same id again gives the same run.
    #[serde(skip)]
    pub run_id: Option<RunId>,
    /// The run's name; `meta.name` without one.
    pub name: Option<String>,
    /// The script's `args` as JSON text.
    pub args: Option<String>,
    /// The backend's name, as the builder was told it.
    pub backend: Option<String>,
    /// A program that is the agent: its words. Needs no backend of that name (feature `command`).
    pub agent_command: Option<Vec<String>>,
    /// How that program is given its task.
    pub agent_input: AgentInput,
    /// Agents of this run at once; 0 is no limit; `None` is the default of C01.
    pub concurrency: Option<u32>,
    /// Agents of this run in all; `None` is 1,000.
    pub max_agents: Option<u64>,
    /// Items of one fan-out; `None` is 4,096.
    pub max_items: Option<u32>,
    /// How deep workflows may call workflows (W03), to 5; `None` is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nesting: Option<u32>,
    /// Whether `args` that are a text are given as they are, also where that text is JSON of an object or an array (G01).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub args_as_text: bool,
    /// Output tokens that the run's agents may write, as their backends report them (U01); `None` is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<u64>,
    /// The model of agents whose call and type name none: an alias or an id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Whether agents' programs find models as they do elsewhere, and not by the engine's gateway: logins of subscriptions
    /// break behind another address.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub without_gateway: bool,
    /// The effort of agents that name none, as the option `effort` has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// What models are called; set when the run is started.
    #[cfg(feature = "gateway")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) names: Option<crate::models::Names>,
    /// What the run's agents may cost, in millionths of a dollar, where prices are known (U02); `None` is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_cost: Option<u64>,
    /// What the script itself may use; what is not said is the default of B07.
    #[serde(default)]
    pub script_limits: ScriptLimits,
    /// How long the run may take, in milliseconds; it then stops.
    pub timeout_ms: Option<u64>,
    /// Where agents work; the process's working directory without one.
    pub working_directory: Option<PathBuf>,
    /// The commit checked out there, as the caller knows it.
    pub base_commit: Option<String>,
    /// Why there is no commit that isolated agents could begin at; set when the run is started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) isolation_refused: Option<String>,
    /// How the working trees of isolated agents are made (feature `worktree`).
    #[serde(skip_serializing_if = "WorktreeOptions::is_default")]
    pub worktree: WorktreeOptions,
    /// What the script may do beside starting agents.
    #[serde(skip_serializing_if = "Permissions::is_default")]
    pub permissions: Permissions,
    /// The agent types that the script may name, besides those that are built in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agent_types: Vec<AgentType>,
    /// Files of the workflows that the script may call by name (K01).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub workflows: BTreeMap<String, PathBuf>,
    /// Which agents work in a worktree of their own.
    #[serde(skip_serializing_if = "Isolate::is_asked")]
    pub isolate: Isolate,
    /// The environment of the agents' programs, where it is another than this process's: all variables. Never journaled; a
    /// run that is taken up has the environment of whoever resumes it.
    #[serde(skip)]
    pub environment: Option<Environment>,
    /// Whether a merge that the generation before did may be done again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) repeat_merges: bool,
    /// Who starts it, for the record.
    pub started_by: Option<String>,
    /// Whether the first who asks the handle for events gets them from the run's first record on.
    #[serde(skip)]
    pub watched: bool,
}

/// Environment variables by name.
pub type Environment = BTreeMap<String, String>;

/// What a script may use (B07). A run that broke one can be resumed with another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ScriptLimits {
    /// Length of the source, in bytes; 512 KiB where nothing is said.
    pub source_bytes: Option<usize>,
    /// What the script keeps, in bytes; 256 MiB where nothing is said.
    pub heap_bytes: Option<usize>,
    /// Its stack, in bytes: 1 MiB where nothing is said, and no more than that, since it lies on a thread of the runtime.
    pub stack_bytes: Option<usize>,
    /// CPU time of one turn, in milliseconds; 30,000 where nothing is said.
    pub turn_cpu_ms: Option<u64>,
}

impl ScriptLimits {
    /// These, and where they say nothing, `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            source_bytes: self.source_bytes.or(other.source_bytes),
            heap_bytes: self.heap_bytes.or(other.heap_bytes),
            stack_bytes: self.stack_bytes.or(other.stack_bytes),
            turn_cpu_ms: self.turn_cpu_ms.or(other.turn_cpu_ms),
        }
    }
}

/// How the working trees of isolated agents are made (T01).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct WorktreeOptions {
    /// The branch, tag or commit that they begin from; what is checked out without one.
    pub base: Option<String>,
    /// Whether uncommitted changes to tracked files are part of what they begin from; else isolated agents are refused
    /// while there are any.
    pub include_uncommitted: bool,
    /// What each shares with the checkout by a link, from the repository's top.
    pub link: Vec<String>,
    /// What is copied from the checkout into each.
    pub copy: Vec<String>,
    /// A command for the shell that makes one ready.
    pub setup: Option<String>,
    /// Files on whose content the setup depends.
    pub setup_inputs: Vec<String>,
    /// How long a setup may take, in milliseconds; 15 minutes where nothing is said.
    pub setup_timeout_ms: Option<u64>,
    /// How much all of them may take on the disk, in bytes.
    pub disk_limit: Option<u64>,
}

impl WorktreeOptions {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a script may do beside starting agents (X06). Nothing, where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Permissions {
    /// It may merge the branches that agents leave.
    pub merge: bool,
    /// Its built-in agents may run commands, with all that the engine's user may do.
    pub shell: bool,
    /// Its built-in agents may fetch pages of the web.
    pub web_fetch: bool,
}

impl Permissions {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks with a reference"
    )]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl StartOptions {
    /// A run of the caller's defaults: nothing is named yet, not even its agents.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the caller's own id: starting the same id again gives the same run.
    #[must_use]
    pub const fn run_id(mut self, run: RunId) -> Self {
        self.run_id = Some(run);
        self
    }

    /// Names the run otherwise than its script does.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the script's `args`.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    pub fn args<T: Serialize + ?Sized>(mut self, args: &T) -> Result<Self, serde_json::Error> {
        self.args = Some(serde_json::to_string(args)?);
        Ok(self)
    }

    /// Sets the script's `args` as JSON text, which [`crate::Engine::start`] checks.
    #[must_use]
    pub fn args_json(mut self, args: impl Into<String>) -> Self {
        self.args = Some(args.into());
        self
    }

    /// Says which backend, by the name that the builder was told, serves the run's agents.
    #[must_use]
    pub fn backend(mut self, name: impl Into<String>) -> Self {
        self.backend = Some(name.into());
        self
    }

    /// Makes a program the agent: its words, and how it is given its task (feature `command`).
    #[must_use]
    pub fn agent_command<W: Into<String>>(
        mut self,
        words: impl IntoIterator<Item = W>,
        input: AgentInput,
    ) -> Self {
        self.agent_command = Some(words.into_iter().map(Into::into).collect());
        self.agent_input = input;
        self
    }

    /// The workflows that the script may call by name: names and files. `workflow::discover` finds those of a project and
    /// a person (feature `agent-files`).
    #[must_use]
    pub fn workflows(mut self, files: BTreeMap<String, PathBuf>) -> Self {
        self.workflows = files;
        self
    }

    /// Limits the run's agents at once; 0 is no limit.
    #[must_use]
    pub const fn concurrency(mut self, limit: u32) -> Self {
        self.concurrency = Some(limit);
        self
    }

    /// Limits the run's agents in all.
    #[must_use]
    pub const fn max_agents(mut self, limit: u64) -> Self {
        self.max_agents = Some(limit);
        self
    }

    /// Limits the items of one fan-out.
    #[must_use]
    pub const fn max_items(mut self, limit: u32) -> Self {
        self.max_items = Some(limit);
        self
    }

    /// Lets workflows call workflows so deep, to 5.
    #[must_use]
    pub const fn nesting(mut self, levels: u32) -> Self {
        self.nesting = Some(levels);
        self
    }

    /// Gives the script `args` that are a text as they are.
    #[must_use]
    pub const fn args_as_text(mut self) -> Self {
        self.args_as_text = true;
        self
    }

    /// Limits the output tokens of the run's agents: `budget.total`.
    #[must_use]
    pub const fn budget(mut self, output_tokens: u64) -> Self {
        self.budget = Some(output_tokens);
        self
    }

    /// Names the model of agents whose call and type name none: an alias or an id.
    #[must_use]
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.model = Some(name.into());
        self
    }

    /// Names the effort of agents whose call and type name none: `low`, `medium`, `high`, `xhigh` or `max`.
    #[must_use]
    pub fn effort(mut self, name: impl Into<String>) -> Self {
        self.effort = Some(name.into());
        self
    }

    /// Lets agents' programs find models as they do elsewhere, and not by the engine's gateway.
    #[must_use]
    pub const fn without_gateway(mut self) -> Self {
        self.without_gateway = true;
        self
    }

    /// Limits what the run's agents may cost, in millionths of a dollar.
    #[must_use]
    pub const fn budget_cost(mut self, millionths: u64) -> Self {
        self.budget_cost = Some(millionths);
        self
    }

    /// Limits how long the run may take, to the millisecond; it then stops and can be resumed.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout_ms = Some(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Says where agents work.
    #[must_use]
    pub fn working_directory(mut self, folder: impl Into<PathBuf>) -> Self {
        self.working_directory = Some(folder.into());
        self
    }

    /// Says which commit is checked out there.
    #[must_use]
    pub fn base_commit(mut self, commit: impl Into<String>) -> Self {
        self.base_commit = Some(commit.into());
        self
    }

    /// Says how the working trees of isolated agents are made.
    #[must_use]
    pub fn worktree(mut self, options: WorktreeOptions) -> Self {
        self.worktree = options;
        self
    }

    /// Allows the run's built-in agents to run commands.
    #[must_use]
    pub const fn allow_shell(mut self) -> Self {
        self.permissions.shell = true;
        self
    }

    /// Allows the run's built-in agents to fetch pages of the web.
    #[must_use]
    pub const fn allow_web_fetch(mut self) -> Self {
        self.permissions.web_fetch = true;
        self
    }

    /// Allows the script to merge the branches that agents leave.
    #[must_use]
    pub const fn allow_merge(mut self) -> Self {
        self.permissions.merge = true;
        self
    }

    /// Says which agent types the script may name, besides those that are built in. Of two with one name the first counts.
    #[must_use]
    pub fn agent_types(mut self, types: impl IntoIterator<Item = AgentType>) -> Self {
        self.agent_types = types.into_iter().collect();
        self
    }

    /// Says which agents work in a worktree of their own.
    #[must_use]
    pub const fn isolate(mut self, isolate: Isolate) -> Self {
        self.isolate = isolate;
        self
    }

    /// Says who starts the run, for the record.
    #[must_use]
    pub fn started_by(mut self, who: impl Into<String>) -> Self {
        self.started_by = Some(who.into());
        self
    }

    /// Keeps the events from the run's first record on for the first who asks the handle for them.
    #[must_use]
    pub const fn watched(mut self) -> Self {
        self.watched = true;
        self
    }
}

/// Which agents work in a worktree of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Isolate {
    /// Those whose call or agent type asks for it.
    #[default]
    Asked,
    /// All whose tools are not limited to reading ones.
    Always,
}

impl Isolate {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a field by reference"
    )]
    const fn is_asked(&self) -> bool {
        matches!(self, Self::Asked)
    }
}

/// How an agent program is given its task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AgentInput {
    /// One JSON object on stdin, one process a task.
    #[default]
    Task,
    /// The prompt alone on stdin, and `{prompt}`, `{systemPrompt}`, `{model}`, `{cwd}` filled into the command.
    Prompt,
    /// One JSON object a line on stdin and one answer a line on stdout, a process for many tasks.
    Lines,
}

/// Agents of a run at once where nothing else is said (C01), on a machine with so many cores.
#[must_use]
pub fn default_concurrency(cores: usize) -> usize {
    cores.saturating_sub(2).clamp(2, 16)
}

/// What may be changed when a run is resumed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ResumeOptions {
    /// Agents at once from here on; 0 is no limit.
    pub concurrency: Option<u32>,
    /// Agents in all.
    pub max_agents: Option<u64>,
    /// Items of one fan-out.
    pub max_items: Option<u32>,
    /// Output tokens that the run's agents may write in all, what they have written included. The script goes on seeing the
    /// total that its generation began with.
    pub budget: Option<u64>,
    /// What the run's agents may cost in all, in millionths of a dollar, what they have cost included.
    pub budget_cost: Option<u64>,
    /// What the script itself may use, where it changes.
    pub script_limits: ScriptLimits,
    /// The environment of the agents' programs, where it is another than this process's: all variables.
    pub environment: Option<Environment>,
    /// Who resumes it, for the record.
    pub by: Option<String>,
    /// Whether the first who asks the handle for events gets them from the moment of resuming on.
    pub watched: bool,
}

impl ResumeOptions {
    /// Changes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the run's agents at once from here on; 0 is no limit.
    #[must_use]
    pub const fn concurrency(mut self, limit: u32) -> Self {
        self.concurrency = Some(limit);
        self
    }

    /// Limits the run's agents in all.
    #[must_use]
    pub const fn max_agents(mut self, limit: u64) -> Self {
        self.max_agents = Some(limit);
        self
    }

    /// Limits the items of one fan-out.
    #[must_use]
    pub const fn max_items(mut self, limit: u32) -> Self {
        self.max_items = Some(limit);
        self
    }

    /// Limits the output tokens of the run's agents in all, what they have used included.
    #[must_use]
    pub const fn budget(mut self, output_tokens: u64) -> Self {
        self.budget = Some(output_tokens);
        self
    }

    /// Limits what the run's agents may cost in all, in millionths of a dollar, what they have cost included.
    #[must_use]
    pub const fn budget_cost(mut self, millionths: u64) -> Self {
        self.budget_cost = Some(millionths);
        self
    }

    /// Puts the budget that is given in the place of the run's.
    pub(crate) fn rebudget(&self, options: &mut StartOptions) {
        options.budget = self.budget.or(options.budget);
        options.budget_cost = self.budget_cost.or(options.budget_cost);
    }

    /// Says who resumes the run, for the record.
    #[must_use]
    pub fn by(mut self, who: impl Into<String>) -> Self {
        self.by = Some(who.into());
        self
    }

    /// Keeps the events from the moment of resuming on for the first who asks the handle for them.
    #[must_use]
    pub const fn watched(mut self) -> Self {
        self.watched = true;
        self
    }
}

/// The engine's own limits.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Agents at once over all runs; `None` leaves it to the runs.
    pub concurrency: Option<u32>,
    /// Events kept for a slow reader before it is told `Lagged`.
    pub events: usize,
    /// How long agents may take to end when a run is stopped.
    pub stop_grace: Duration,
    /// After how long without an answer to its script a run lets go of its VM; the next answer makes it anew.
    pub vm_idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrency: None,
            events: 1024,
            stop_grace: Duration::from_secs(10),
            vm_idle: Duration::from_mins(1),
        }
    }
}

impl Limits {
    /// The defaults: runs limit their own agents, 1,024 events are kept, agents have 10 s to end.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the agents at once over all runs, who share them evenly.
    #[must_use]
    pub const fn concurrency(mut self, limit: u32) -> Self {
        self.concurrency = Some(limit);
        self
    }

    /// Keeps so many events for a slow reader.
    #[must_use]
    pub const fn events(mut self, kept: usize) -> Self {
        self.events = kept;
        self
    }

    /// Lets go of the VM of a script that has waited for so long. A run that waits then costs no interpreter, and its
    /// next answer a replay of its journal.
    #[must_use]
    pub const fn vm_idle(mut self, idle: Duration) -> Self {
        self.vm_idle = idle;
        self
    }

    /// Gives agents so long to end when a run's time is over.
    #[must_use]
    pub const fn stop_grace(mut self, grace: Duration) -> Self {
        self.stop_grace = grace;
        self
    }
}
