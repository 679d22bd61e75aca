//! Settings: five layers, and which of them decides.
//!
//! managed > flag > environment > project > person > default. `config show` prints each setting
//! with the layer that it comes from.

mod budget;
pub(crate) mod duration;
pub(crate) mod effort;
pub(crate) mod file;
pub(crate) mod key;
mod models;
pub(crate) mod project;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bellwether::agent_type::Home;
use bellwether::models::Options;
use bellwether::{
    AgentInput, Isolate, Permissions, ScriptLimits, WorktreeOptions, default_concurrency,
};

use crate::error::{CommandError, Result};
use file::Layer;
use key::{Key, VARIABLE_PREFIX, Value, nearest};

/// The administrator's settings: nothing overrides them. No flag and no variable names another file.
pub(crate) const MANAGED_FILE: &str = "/etc/bellwether/managed.toml";

/// What settings are gathered from.
pub(crate) struct Sources<'a> {
    /// The administrator's file.
    pub(crate) managed: &'a Path,
    /// What stands on the command line.
    pub(crate) flags: Layer,
    /// The process's environment.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Where the command was called.
    pub(crate) directory: &'a Path,
    /// CPUs of this host.
    pub(crate) cpus: usize,
}

/// Where a setting comes from; the one with the highest rank decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Nobody set it.
    Default,
    /// The personal file.
    Person(PathBuf),
    /// The project's file.
    Project(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag.
    Flag(String),
    /// The administrator's file.
    Managed(PathBuf),
}

impl Source {
    const fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::Person(_) => 1,
            Self::Project(_) => 2,
            Self::Environment(_) => 3,
            Self::Flag(_) => 4,
            Self::Managed(_) => 5,
        }
    }

    /// The layer's name.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Person(_) => "person",
            Self::Project(_) => "project",
            Self::Environment(_) => "environment",
            Self::Flag(_) => "flag",
            Self::Managed(_) => "managed",
        }
    }

    /// The file, variable or flag.
    pub(crate) fn place(&self) -> Option<String> {
        match self {
            Self::Default => None,
            Self::Person(path) | Self::Project(path) | Self::Managed(path) => {
                Some(path.display().to_string())
            }
            Self::Environment(name) | Self::Flag(name) => Some(name.clone()),
        }
    }
}

/// One setting as it holds.
#[derive(Clone, Debug)]
pub(crate) struct Effective {
    /// Which.
    pub(crate) key: Key,
    /// Its value; `None` when it has none and needs none.
    pub(crate) value: Option<Value>,
    /// Who set it.
    pub(crate) source: Source,
}

/// What carries out the agents of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Agents {
    /// A backend, by name.
    Backend(String),
    /// A program.
    Command(Vec<String>),
}

/// All settings as they hold.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The project's root.
    pub(crate) root: PathBuf,
    /// The person's folders.
    pub(crate) home: Home,
    effective: Vec<Effective>,
    overruled: Vec<String>,
    models: Options,
}

impl Config {
    /// Reads all layers.
    ///
    /// # Errors
    /// A usage error that names the place of what is wrong.
    pub(crate) fn load(sources: Sources<'_>) -> Result<Self> {
        let Sources {
            managed,
            flags,
            environment,
            directory,
            cpus,
        } = sources;
        let root = project::root(directory);
        let mut effective = defaults(&root, cpus);
        let mut tables = models::Tables::default();
        let home = home(&environment);
        if let Some(base) = home.bellwether.clone() {
            let path = base.join("config.toml");
            let (layer, own) = file::read_all(&path, &base)?;
            apply(&mut effective, layer, |_| Source::Person(path.clone()));
            tables = tables.under(own);
        }
        let path = project::settings_file(&root);
        let (layer, own) = file::read_all(&path, &root)?;
        apply(&mut effective, layer, |_| Source::Project(path.clone()));
        tables = tables.under(own);
        let layer = read_environment(&environment, directory)?;
        apply(&mut effective, layer, |key| {
            Source::Environment(key.variable())
        });
        let overriding: Vec<Key> = flags.iter().map(|(key, _)| *key).collect();
        apply(&mut effective, flags, |key| {
            Source::Flag(key.flag().unwrap_or_default())
        });
        let base = managed.parent().unwrap_or(directory);
        let (layer, own) = file::read_all(managed, base)?;
        let models = tables.under(own).options(&environment)?;
        let overruled = layer
            .iter()
            .filter(|(key, _)| overriding.contains(key))
            .filter_map(|(key, value)| {
                let flag = key.flag()?;
                let file = managed.display();
                Some(format!(
                    "{flag} has no effect: {file} sets {} = {}",
                    key.name(),
                    value.show()
                ))
            })
            .collect();
        apply(&mut effective, layer, |_| {
            Source::Managed(managed.to_path_buf())
        });
        apply_effort(&mut effective);
        Ok(Self {
            root,
            home,
            effective,
            overruled,
            models,
        })
    }

    /// The models that there are.
    pub(crate) fn models(&self) -> Options {
        self.models.clone()
    }

    /// Whether agents' programs find models as they do elsewhere.
    pub(crate) fn without_gateway(&self) -> bool {
        matches!(self.set(Key::Gateway), Some(Value::Flag(false)))
    }

    /// The model of agents that name none, if that was set.
    pub(crate) fn model(&self) -> Option<String> {
        match self.set(Key::Model) {
            Some(Value::Text(name)) => Some(name.clone()),
            _ => None,
        }
    }

    /// The effort of agents that name none, if that was set.
    pub(crate) fn effort(&self) -> Option<String> {
        match self.set(Key::Effort) {
            Some(Value::Text(name)) => Some(name.clone()),
            _ => None,
        }
    }

    /// Whether a person confirms large runs before they begin.
    pub(crate) fn confirms(&self) -> bool {
        !matches!(self.set(Key::Confirm), Some(Value::Flag(false)))
    }

    /// Every setting as it holds.
    pub(crate) fn effective(&self) -> &[Effective] {
        &self.effective
    }

    /// Flags that the administrator's settings make void, a sentence each.
    pub(crate) fn overruled(&self) -> &[String] {
        &self.overruled
    }

    fn get(&self, key: Key) -> Option<&Effective> {
        self.effective.iter().find(|setting| setting.key == key)
    }

    /// The value, if somebody set it.
    fn set(&self, key: Key) -> Option<&Value> {
        self.get(key)
            .filter(|setting| setting.source != Source::Default)?
            .value
            .as_ref()
    }

    fn count(&self, key: Key) -> Option<u64> {
        match self.set(key) {
            Some(Value::Count(number)) => Some(*number),
            _ => None,
        }
    }

    /// The journal's file, and whether it is the project's own.
    pub(crate) fn journal(&self) -> (PathBuf, bool) {
        match self.set(Key::Journal) {
            Some(Value::Path(path)) => (path.clone(), false),
            _ => (project::journal(&self.root), true),
        }
    }

    /// Where the working trees of isolated agents are made.
    pub(crate) fn worktrees(&self) -> PathBuf {
        let (journal, is_own) = self.journal();
        project::worktrees(&self.root, &journal, is_own)
    }

    /// What carries out agents: of backend and agent command the one that was set by the higher
    /// layer; in the same layer the backend, which then may be `command`.
    pub(crate) fn agents(&self) -> Option<Agents> {
        let rank = |key| self.get(key).map_or(0, |setting| setting.source.rank());
        let command = match self.set(Key::AgentCommand) {
            Some(Value::Words(words)) => Some(Agents::Command(words.clone())),
            _ => None,
        };
        let backend = match self.set(Key::Backend) {
            Some(Value::Text(name)) => Some(name.clone()),
            _ => None,
        };
        match (backend, command) {
            (Some(name), Some(command)) => {
                let by_name = rank(Key::Backend) >= rank(Key::AgentCommand) && name != "command";
                Some(if by_name {
                    Agents::Backend(name)
                } else {
                    command
                })
            }
            // The backend that runs a program is nothing without one.
            (Some(name), None) if name == "command" => None,
            (Some(name), None) => Some(Agents::Backend(name)),
            (None, command) => command,
        }
    }

    /// How agent programs are given their task.
    pub(crate) fn agent_input(&self) -> AgentInput {
        match self.set(Key::AgentInput) {
            Some(Value::Text(word)) if word == "prompt" => AgentInput::Prompt,
            Some(Value::Text(word)) if word == "lines" => AgentInput::Lines,
            _ => AgentInput::Task,
        }
    }

    /// Which agents work in a worktree of their own.
    pub(crate) fn isolate(&self) -> Isolate {
        match self.set(Key::Isolate) {
            Some(Value::Text(word)) if word == "always" => Isolate::Always,
            _ => Isolate::Asked,
        }
    }

    /// Agents at once, if that was set; 0 is no limit.
    pub(crate) fn concurrency(&self) -> Option<u32> {
        self.count(Key::Concurrency)
            .and_then(|number| u32::try_from(number).ok())
    }

    /// Agents in all, if that was set.
    pub(crate) fn max_agents(&self) -> Option<u64> {
        self.count(Key::MaxAgents)
    }

    /// How deep workflows may call workflows, if that was set.
    pub(crate) fn nesting(&self) -> Option<u32> {
        self.count(Key::Nesting)
            .and_then(|levels| u32::try_from(levels).ok())
    }

    /// Whether `args` that are a text stay one.
    pub(crate) fn args_as_text(&self) -> bool {
        matches!(self.set(Key::ParseArgs), Some(Value::Flag(false)))
    }

    /// What a shell is to do when a run has ended or waits: as the flag says, if there is one and the administrator lets it.
    pub(crate) fn notify<'a>(&'a self, flag: Option<&'a str>) -> Option<&'a str> {
        let setting = self.get(Key::Notify);
        let is_managed =
            setting.is_some_and(|setting| matches!(setting.source, Source::Managed(_)));
        match setting.and_then(|setting| setting.value.as_ref()) {
            Some(Value::Text(command)) if is_managed || flag.is_none() => Some(command),
            _ => flag,
        }
    }

    /// Whether the command carries out its run itself.
    pub(crate) fn foreground(&self) -> bool {
        matches!(self.set(Key::Foreground), Some(Value::Flag(true)))
    }

    /// Output tokens of a run's agents, if they are limited.
    pub(crate) fn budget(&self) -> Option<u64> {
        self.count(Key::Budget)
    }

    /// What a run's agents may cost, in millionths of a dollar, if that is limited.
    pub(crate) fn budget_cost(&self) -> Option<u64> {
        match self.set(Key::Budget) {
            Some(Value::Dollars(amount)) => Some(*amount),
            _ => None,
        }
    }

    /// Items of one fan-out, if that was set.
    pub(crate) fn max_items(&self) -> Option<u32> {
        self.count(Key::MaxItems)
            .and_then(|number| u32::try_from(number).ok())
    }

    /// How long a run may take, if that is limited.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        match self.set(Key::Timeout) {
            Some(Value::Duration(duration)) => Some(*duration),
            _ => None,
        }
    }

    /// What a script may use, as far as that was set (B07).
    pub(crate) fn script_limits(&self) -> ScriptLimits {
        let bytes = |key| {
            let number = self.count(key)?;
            usize::try_from(number).ok()
        };
        let mut limits = ScriptLimits::default();
        limits.source_bytes = bytes(Key::ScriptSourceBytes);
        limits.heap_bytes = bytes(Key::ScriptHeapBytes);
        limits.stack_bytes = bytes(Key::ScriptStackBytes);
        if let Some(Value::Duration(duration)) = self.set(Key::ScriptTurnCpu) {
            limits.turn_cpu_ms = u64::try_from(duration.as_millis()).ok();
        }
        limits
    }

    /// How isolated agents' working trees are made.
    pub(crate) fn worktree(&self) -> WorktreeOptions {
        let text = |key| match self.set(key) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let paths = |key| match self.set(key) {
            Some(Value::Paths(paths)) => paths.clone(),
            _ => Vec::new(),
        };
        let mut options = WorktreeOptions::default();
        options.base = text(Key::WorktreeBase);
        options.include_uncommitted =
            text(Key::WorktreeUncommitted).is_some_and(|word| word == "include");
        options.link = paths(Key::WorktreeLink);
        options.copy = paths(Key::WorktreeCopy);
        options.setup = text(Key::WorktreeSetup);
        options.setup_inputs = paths(Key::WorktreeSetupInputs);
        if let Some(Value::Duration(duration)) = self.set(Key::WorktreeSetupTimeout) {
            options.setup_timeout_ms = u64::try_from(duration.as_millis()).ok();
        }
        options.disk_limit = self.count(Key::WorktreeDiskLimit);
        options
    }

    /// What scripts may do beside starting agents.
    pub(crate) fn permissions(&self) -> Permissions {
        let mut permissions = Permissions::default();
        let is_on = |key| matches!(self.set(key), Some(Value::Flag(true)));
        permissions.merge = is_on(Key::PermissionsMerge);
        permissions.shell = is_on(Key::PermissionsShell);
        permissions.web_fetch = is_on(Key::PermissionsWebFetch);
        permissions
    }

    /// How long agents may take to end when a run is stopped.
    pub(crate) fn stop_grace(&self) -> Duration {
        match self
            .get(Key::StopGrace)
            .and_then(|setting| setting.value.as_ref())
        {
            Some(Value::Duration(duration)) => *duration,
            _ => Duration::from_secs(10),
        }
    }

    /// The caps in words, as they are told before a run (C01).
    pub(crate) fn caps(&self) -> String {
        let show = |key| {
            self.get(key)
                .and_then(|setting| setting.value.as_ref())
                .map(Value::show)
        };
        let at_once = match show(Key::Concurrency).as_deref() {
            Some("0") => "any number of agents at once".to_owned(),
            Some(number) => format!("up to {number} agents at once"),
            None => String::new(),
        };
        let in_all = show(Key::MaxAgents).unwrap_or_default();
        let items = show(Key::MaxItems).unwrap_or_default();
        let budget = match self.set(Key::Budget) {
            Some(Value::Count(tokens)) => format!(", a budget of {tokens} output tokens"),
            Some(money) => format!(", a budget of {}", money.show()),
            None => String::new(),
        };
        format!("{at_once}, {in_all} in all, {items} items a fan-out{budget}")
    }
}

fn defaults(root: &Path, cpus: usize) -> Vec<Effective> {
    Key::ALL
        .iter()
        .map(|&key| {
            let value = match key {
                Key::Journal => Some(Value::Path(project::journal(root))),
                Key::AgentInput => Some(Value::Text("task".to_owned())),
                Key::Isolate => Some(Value::Text("asked".to_owned())),
                Key::Concurrency => Some(Value::Count(default_concurrency(cpus) as u64)),
                Key::MaxAgents => Some(Value::Count(1_000)),
                Key::MaxItems => Some(Value::Count(4_096)),
                Key::StopGrace => Some(Value::Duration(Duration::from_secs(10))),
                Key::ScriptSourceBytes => Some(Value::Count(512 << 10)),
                Key::ScriptHeapBytes => Some(Value::Count(256 << 20)),
                Key::ScriptStackBytes => Some(Value::Count(1 << 20)),
                Key::ScriptTurnCpu => Some(Value::Duration(Duration::from_secs(30))),
                Key::WorktreeUncommitted => Some(Value::Text("refuse".to_owned())),
                Key::WorktreeSetupTimeout => Some(Value::Duration(Duration::from_mins(15))),
                Key::PermissionsMerge
                | Key::PermissionsShell
                | Key::PermissionsWebFetch
                | Key::Foreground => Some(Value::Flag(false)),
                Key::ParseArgs | Key::Gateway | Key::Confirm => Some(Value::Flag(true)),
                Key::Nesting => Some(Value::Count(1)),
                Key::Backend
                | Key::AgentCommand
                | Key::Model
                | Key::Effort
                | Key::Budget
                | Key::Timeout
                | Key::Notify
                | Key::WorktreeBase
                | Key::WorktreeLink
                | Key::WorktreeCopy
                | Key::WorktreeSetup
                | Key::WorktreeSetupInputs
                | Key::WorktreeDiskLimit => None,
            };
            Effective {
                key,
                value,
                source: Source::Default,
            }
        })
        .collect()
}

fn apply(effective: &mut [Effective], layer: Layer, source: impl Fn(Key) -> Source) {
    for (key, value) in layer {
        if let Some(setting) = effective.iter_mut().find(|setting| setting.key == key) {
            setting.value = Some(value);
            setting.source = source(key);
        }
    }
}

/// What the effort stands for, where nobody says otherwise in its layer or above.
fn apply_effort(effective: &mut [Effective]) {
    let set = effective.iter().find(|setting| setting.key == Key::Effort);
    let Some((row, source)) = set.and_then(|setting| match &setting.value {
        Some(Value::Text(name)) => Some((effort::Row::named(name)?, setting.source.clone())),
        _ => None,
    }) else {
        return;
    };
    for (key, value) in row.settings() {
        let setting = effective.iter_mut().find(|setting| setting.key == key);
        // A limit in money is none of its columns: it stays.
        let setting = setting.filter(|one| !matches!(one.value, Some(Value::Dollars(_))));
        if let Some(setting) = setting.filter(|setting| setting.source.rank() < source.rank()) {
            setting.value = value;
            setting.source = source.clone();
        }
    }
}

/// The person's folders: `$XDG_CONFIG_HOME/bellwether`, or under `~/.config`; `$CLAUDE_CONFIG_DIR`, or `~/.claude`.
fn home(environment: &[(OsString, OsString)]) -> Home {
    let variable = |name: &str| {
        let (_, value) = environment.iter().find(|(key, _)| key == name)?;
        let path = PathBuf::from(value);
        // The XDG specification: a relative path is to be ignored.
        path.is_absolute().then_some(path)
    };
    let mut home = variable("HOME").map_or_else(Home::default, |home| Home::at(&home));
    if let Some(folder) = variable("XDG_CONFIG_HOME") {
        home.bellwether = Some(folder.join("bellwether"));
    }
    if let Some(folder) = variable("CLAUDE_CONFIG_DIR") {
        home.claude = Some(folder);
    }
    home
}

/// The environment's layer. A variable of ours that is no setting is an error only when its name is
/// near to one: others of the name belong to the engine (marks on agents' processes).
fn read_environment(environment: &[(OsString, OsString)], directory: &Path) -> Result<Layer> {
    let mut layer = Layer::new();
    for (name, value) in environment {
        let Some(name) = name.to_str() else { continue };
        let Some(rest) = name.strip_prefix(VARIABLE_PREFIX) else {
            continue;
        };
        let Some(key) = Key::ALL.iter().copied().find(|key| key.variable() == name) else {
            let near = nearest(rest, Key::ALL.iter().map(|key| key.name()));
            if let Some(key) = near.and_then(Key::named) {
                let error = CommandError::usage(format!("environment: unknown setting `{name}`"));
                return Err(error.help(format!("did you mean `{}`?", key.variable())));
            }
            continue;
        };
        let wrong = |what: String| CommandError::usage(format!("environment: `{name}`: {what}"));
        let value = value
            .to_str()
            .ok_or_else(|| wrong("the value is not UTF-8".to_owned()))?;
        if value.is_empty() {
            continue;
        }
        layer.push((key, key.read_text(value, directory).map_err(wrong)?));
    }
    Ok(layer)
}

#[cfg(test)]
mod tests;
