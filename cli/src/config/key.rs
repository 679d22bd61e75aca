//! The settings that there are: their names, what they hold, and how each is read.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::{budget, duration, effort};

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// The journal's file.
    Journal,
    /// The backend's name.
    Backend,
    /// A program that is the agent.
    AgentCommand,
    /// How that program is given its task.
    AgentInput,
    /// Which agents work in a worktree of their own.
    Isolate,
    /// Agents of a run at once.
    Concurrency,
    /// Agents of a run in all.
    MaxAgents,
    /// Output tokens that agents may write.
    Budget,
    /// How deep workflows may call workflows.
    Nesting,
    /// Whether `args` that are a text are parsed.
    ParseArgs,
    /// Items of one fan-out.
    MaxItems,
    /// How long a run may take.
    Timeout,
    /// What to do when a run has ended or waits.
    Notify,
    /// Whether runs are carried out by the command itself.
    Foreground,
    /// How long agents may take to end when a run is stopped.
    StopGrace,
    /// Length of a script's source.
    ScriptSourceBytes,
    /// What a script keeps.
    ScriptHeapBytes,
    /// A script's stack.
    ScriptStackBytes,
    /// CPU time of one turn of a script.
    ScriptTurnCpu,
    /// Where isolated agents begin instead of `HEAD`.
    WorktreeBase,
    /// What becomes of uncommitted changes when agents are isolated.
    WorktreeUncommitted,
    /// What worktrees share with the checkout by a link.
    WorktreeLink,
    /// What is copied into worktrees.
    WorktreeCopy,
    /// What makes a worktree ready.
    WorktreeSetup,
    /// Files on whose content the setup depends.
    WorktreeSetupInputs,
    /// How long a setup may take.
    WorktreeSetupTimeout,
    /// How much all worktrees may take on the disk.
    WorktreeDiskLimit,
    /// Whether scripts may merge.
    PermissionsMerge,
    /// Whether built-in agents may run commands.
    PermissionsShell,
    /// Whether built-in agents may fetch pages of the web.
    PermissionsWebFetch,
    /// The model of agents that name none.
    Model,
    /// How much a run may do.
    Effort,
    /// Whether large runs are confirmed.
    Confirm,
    /// Whether agents' programs find models by the gateway.
    Gateway,
}

/// What a setting holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Path,
    Words,
    /// A command that a shell reads.
    Line,
    /// Paths below the project's root.
    Paths,
    Flag,
    Count {
        min: u64,
        max: u64,
    },
    Duration {
        min: Duration,
    },
    /// Output tokens or money.
    Budget,
    Choice(&'static [&'static str]),
}

/// A setting's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A name, or one of some words.
    Text(String),
    /// A file, absolute.
    Path(PathBuf),
    /// A command.
    Words(Vec<String>),
    /// A number.
    Count(u64),
    /// Money, in millionths of a dollar.
    Dollars(u64),
    /// A time span.
    Duration(Duration),
    /// Paths, as they were written.
    Paths(Vec<String>),
    /// Yes or no.
    Flag(bool),
}

/// How agent programs are given their task.
pub(crate) const AGENT_INPUTS: &[&str] = &["task", "prompt", "lines"];

/// What becomes of uncommitted changes when agents are isolated.
const UNCOMMITTED: &[&str] = &["refuse", "include"];

/// Which agents work in a worktree of their own.
pub(crate) const ISOLATES: &[&str] = &["asked", "always"];

impl Key {
    /// All settings, in the order in which they are shown.
    pub(crate) const ALL: &[Self] = &[
        Self::Journal,
        Self::Backend,
        Self::AgentCommand,
        Self::AgentInput,
        Self::Isolate,
        Self::Concurrency,
        Self::MaxAgents,
        Self::Budget,
        Self::Nesting,
        Self::ParseArgs,
        Self::MaxItems,
        Self::Timeout,
        Self::Notify,
        Self::Foreground,
        Self::StopGrace,
        Self::ScriptSourceBytes,
        Self::ScriptHeapBytes,
        Self::ScriptStackBytes,
        Self::ScriptTurnCpu,
        Self::WorktreeBase,
        Self::WorktreeUncommitted,
        Self::WorktreeLink,
        Self::WorktreeCopy,
        Self::WorktreeSetup,
        Self::WorktreeSetupInputs,
        Self::WorktreeSetupTimeout,
        Self::WorktreeDiskLimit,
        Self::PermissionsMerge,
        Self::PermissionsShell,
        Self::PermissionsWebFetch,
        Self::Model,
        Self::Effort,
        Self::Confirm,
        Self::Gateway,
    ];

    /// The name in a settings file; `table.key` for one that stands in a table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Backend => "backend",
            Self::AgentCommand => "agent_command",
            Self::AgentInput => "agent_input",
            Self::Isolate => "isolate",
            Self::Concurrency => "concurrency",
            Self::MaxAgents => "max_agents",
            Self::Budget => "budget",
            Self::Nesting => "nesting",
            Self::ParseArgs => "parse_args",
            Self::MaxItems => "max_items",
            Self::Timeout => "timeout",
            Self::Notify => "notify",
            Self::Foreground => "foreground",
            Self::StopGrace => "stop_grace",
            Self::ScriptSourceBytes => "script_source_bytes",
            Self::ScriptHeapBytes => "script_heap_bytes",
            Self::ScriptStackBytes => "script_stack_bytes",
            Self::ScriptTurnCpu => "script_turn_cpu",
            Self::WorktreeBase => "worktree.base",
            Self::WorktreeUncommitted => "worktree.uncommitted",
            Self::WorktreeLink => "worktree.link",
            Self::WorktreeCopy => "worktree.copy",
            Self::WorktreeSetup => "worktree.setup",
            Self::WorktreeSetupInputs => "worktree.setup_inputs",
            Self::WorktreeSetupTimeout => "worktree.setup_timeout",
            Self::WorktreeDiskLimit => "worktree.disk_limit",
            Self::PermissionsMerge => "permissions.merge",
            Self::PermissionsShell => "permissions.shell",
            Self::PermissionsWebFetch => "permissions.web_fetch",
            Self::Model => "model",
            Self::Effort => "effort",
            Self::Confirm => "confirm",
            Self::Gateway => "gateway",
        }
    }

    /// The setting of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.name() == name)
    }

    /// Whether settings stand in a table of this name.
    pub(crate) fn is_table(name: &str) -> bool {
        let mut tables = Self::ALL
            .iter()
            .filter_map(|key| key.name().split_once('.'));
        tables.any(|(table, _)| table == name)
    }

    /// The environment variable.
    pub(crate) fn variable(self) -> String {
        let name = self.name().replace('.', "_").to_ascii_uppercase();
        format!("{VARIABLE_PREFIX}{name}")
    }

    /// The flag, if there is one.
    pub(crate) fn flag(self) -> Option<String> {
        match self {
            Self::StopGrace
            | Self::ScriptSourceBytes
            | Self::ScriptHeapBytes
            | Self::ScriptStackBytes
            | Self::ScriptTurnCpu
            | Self::WorktreeBase
            | Self::WorktreeUncommitted
            | Self::WorktreeLink
            | Self::WorktreeCopy
            | Self::WorktreeSetup
            | Self::WorktreeSetupInputs
            | Self::WorktreeSetupTimeout
            | Self::WorktreeDiskLimit
            | Self::Gateway
            | Self::Confirm => None,
            Self::PermissionsMerge => Some("--allow merge".to_owned()),
            Self::PermissionsShell => Some("--allow shell".to_owned()),
            Self::PermissionsWebFetch => Some("--allow web-fetch".to_owned()),
            _ => Some(format!("--{}", self.name().replace('_', "-"))),
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Journal => Kind::Path,
            Self::Backend | Self::WorktreeBase | Self::Model => Kind::Text,
            Self::Budget => Kind::Budget,
            Self::WorktreeUncommitted => Kind::Choice(UNCOMMITTED),
            Self::WorktreeLink | Self::WorktreeCopy | Self::WorktreeSetupInputs => Kind::Paths,
            Self::WorktreeSetup | Self::Notify => Kind::Line,
            Self::PermissionsMerge
            | Self::PermissionsShell
            | Self::PermissionsWebFetch
            | Self::ParseArgs
            | Self::Foreground
            | Self::Gateway
            | Self::Confirm => Kind::Flag,
            Self::Effort => Kind::Choice(effort::NAMES),
            Self::Nesting => Kind::Count { min: 1, max: 5 },
            Self::WorktreeDiskLimit => Kind::Count {
                min: 1 << 20,
                max: i64::MAX as u64,
            },
            Self::AgentCommand => Kind::Words,
            Self::AgentInput => Kind::Choice(AGENT_INPUTS),
            Self::Isolate => Kind::Choice(ISOLATES),
            Self::Concurrency => Kind::Count {
                min: 0,
                max: u32::MAX as u64,
            },
            Self::MaxItems => Kind::Count {
                min: 1,
                max: u32::MAX as u64,
            },
            Self::MaxAgents => Kind::Count {
                min: 1,
                max: i64::MAX as u64,
            },
            Self::ScriptSourceBytes | Self::ScriptHeapBytes => Kind::Count {
                min: 1,
                max: 1 << 40,
            },
            // The stack lies on a thread of the runtime.
            Self::ScriptStackBytes => Kind::Count {
                min: 64 << 10,
                max: 1 << 20,
            },
            Self::ScriptTurnCpu | Self::Timeout | Self::WorktreeSetupTimeout => Kind::Duration {
                min: Duration::from_millis(1),
            },
            Self::StopGrace => Kind::Duration {
                min: Duration::ZERO,
            },
        }
    }

    /// The value in a text, as an environment variable holds it; paths are taken from `base`.
    ///
    /// # Errors
    /// What is expected.
    pub(crate) fn read_text(self, text: &str, base: &Path) -> Result<Value, String> {
        match self.kind() {
            Kind::Count { .. } => {
                let number = text.trim().parse().map_err(|_| self.expected())?;
                self.checked(Value::Count(number))
            }
            Kind::Flag => match text.trim() {
                "true" | "1" => Ok(Value::Flag(true)),
                "false" | "0" => Ok(Value::Flag(false)),
                _ => Err(self.expected()),
            },
            Kind::Paths => {
                let paths = text.split(':').filter(|path| !path.is_empty());
                self.checked(Value::Paths(paths.map(str::to_owned).collect()))
            }
            _ => self.read(Raw::Text(text), base),
        }
    }

    /// The value in a settings file; paths are taken from `base`.
    ///
    /// # Errors
    /// What is expected.
    pub(crate) fn read(self, raw: Raw<'_>, base: &Path) -> Result<Value, String> {
        let value = match (self.kind(), raw) {
            (Kind::Text | Kind::Line | Kind::Choice(_), Raw::Text(text)) => {
                Value::Text(text.trim().to_owned())
            }
            (Kind::Path, Raw::Text(text)) if !text.is_empty() => Value::Path(base.join(text)),
            (Kind::Words, Raw::Text(text)) => Value::Words(
                shlex::split(text).ok_or("a quotation mark of the command is not closed")?,
            ),
            (Kind::Words, Raw::Texts(words)) => Value::Words(words),
            (Kind::Count { .. }, Raw::Number(number)) => {
                Value::Count(u64::try_from(number).map_err(|_| self.expected())?)
            }
            (Kind::Budget, Raw::Text(text)) => {
                budget::parse(text).ok_or_else(|| self.expected())?
            }
            (Kind::Budget, Raw::Number(number)) => {
                Value::Count(u64::try_from(number).map_err(|_| self.expected())?)
            }
            (Kind::Duration { .. }, Raw::Text(text)) => Value::Duration(duration::parse(text)?),
            (Kind::Paths, Raw::Texts(paths)) => Value::Paths(paths),
            (Kind::Flag, Raw::Flag(flag)) => Value::Flag(flag),
            _ => return Err(self.expected()),
        };
        self.checked(value)
    }

    /// The value, if it is one that this setting can have.
    ///
    /// # Errors
    /// What is expected.
    pub(crate) fn checked(self, value: Value) -> Result<Value, String> {
        let fits = match (self.kind(), &value) {
            (Kind::Text | Kind::Line, Value::Text(text)) => !text.is_empty(),
            (Kind::Paths, Value::Paths(paths)) => paths.iter().all(|path| is_below(path)),
            (Kind::Choice(words), Value::Text(text)) => words.contains(&text.as_str()),
            (Kind::Path, Value::Path(_)) | (Kind::Flag, Value::Flag(_)) => true,
            (Kind::Budget, Value::Count(amount) | Value::Dollars(amount)) => *amount > 0,
            (Kind::Words, Value::Words(words)) => {
                words.first().is_some_and(|program| !program.is_empty())
            }
            (Kind::Count { min, max }, Value::Count(number)) => (min..=max).contains(number),
            (Kind::Duration { min }, Value::Duration(duration)) => *duration >= min,
            _ => false,
        };
        if fits {
            Ok(value)
        } else {
            Err(self.expected())
        }
    }

    /// What the setting holds, for an error.
    fn expected(self) -> String {
        match self.kind() {
            Kind::Text => "expected a name in quotation marks".to_owned(),
            Kind::Path => "expected a path in quotation marks".to_owned(),
            Kind::Line => "expected a command for a shell, such as \"npm ci\"".to_owned(),
            Kind::Flag => "expected true or false".to_owned(),
            Kind::Paths => {
                "expected a list of paths below the project's root, such as [\"node_modules\"]"
                    .to_owned()
            }
            Kind::Words => {
                "expected a command: a text such as \"claude -p\", or a list of words".to_owned()
            }
            Kind::Count { min, max } if max <= 1 << 20 => {
                format!("expected a whole number from {min} to {max}")
            }
            Kind::Count { min, .. } => format!("expected a whole number from {min}"),
            Kind::Duration { min } if min.is_zero() => {
                "expected a duration such as \"90s\" or \"2h\"".to_owned()
            }
            Kind::Duration { .. } => {
                "expected a duration above zero, such as \"90s\" or \"2h\"".to_owned()
            }
            Kind::Budget => {
                "expected output tokens such as 2000000, 2M or 500k, or money such as $5".to_owned()
            }
            Kind::Choice(words) => format!("expected one of {}", words.join(", ")),
        }
    }
}

/// Whether a path stays below where it begins.
fn is_below(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    !path.is_empty() && parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// What environment variables of ours begin with.
pub(crate) const VARIABLE_PREFIX: &str = "BELLWETHER_";

/// A value as a settings file has it.
pub(crate) enum Raw<'a> {
    /// A text.
    Text(&'a str),
    /// A list of texts.
    Texts(Vec<String>),
    /// A whole number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
    /// Anything else.
    Other,
}

/// The known name that is nearest to `name`, if one is near.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = name.to_ascii_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|candidate| {
            (
                strsim::jaro_winkler(&plain, &candidate.to_ascii_lowercase()),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

impl Value {
    /// The value as JSON, as a settings file would have it.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Path(path) => path.to_string_lossy().into(),
            Self::Words(words) => words.clone().into(),
            Self::Count(number) => (*number).into(),
            Self::Dollars(amount) => budget::format(*amount).into(),
            Self::Duration(duration) => duration::format(*duration).into(),
            Self::Paths(paths) => paths.clone().into(),
            Self::Flag(flag) => (*flag).into(),
        }
    }

    /// The value for a person.
    pub(crate) fn show(&self) -> String {
        match self {
            Self::Words(words) => shlex::try_join(words.iter().map(String::as_str))
                .unwrap_or_else(|_| words.join(" ")),
            Self::Count(number) => number.to_string(),
            Self::Dollars(amount) => budget::format(*amount),
            Self::Duration(duration) => duration::format(*duration),
            Self::Text(text) => text.clone(),
            Self::Path(path) => path.display().to_string(),
            Self::Paths(paths) => paths.join(" "),
            Self::Flag(flag) => flag.to_string(),
        }
    }
}
