//! The backend `command`: any program is an agent.
//!
//! # What the agent gets
//!
//! With [`InputMode::Task`] one JSON object on stdin, on one line, and then the end of stdin:
//!
//! ```json
//! {"runId": "r-7k2m9q4d", "agentId": "a-12", "idempotencyKey": "…", "attempt": 1, "previousAttempts": [],
//!  "prompt": "…", "schema": null, "model": null, "effort": null, "agentType": null, "label": null, "phase": null,
//!  "cwd": "/…", "systemPrompt": null, "tools": null, "disallowedTools": [], "maxTurns": null, "violations": [],
//!  "previousAnswer": null}
//! ```
//!
//! All keys are always there. `previousAttempts` holds `{attempt, ended, message}`, `violations` `{path, message}`: the same
//! attempt is given its task again when its answer, `previousAnswer`, did not fit the schema. It works in `cwd`, inherits
//! the environment of the engine with `BELLWETHER_AGENT` added (of which the option `env` keeps what every program needs and
//! the variables that it names), and has a session of its own without a terminal.
//!
//! With [`InputMode::Prompt`] stdin is the prompt as text, and `{prompt}`, `{systemPrompt}`, `{model}` (both empty without
//! one) and `{cwd}` in the command's arguments are filled in; an argument stays one argument, and any other brace stays what
//! it is. The system prompt stands before the prompt, unless the command has its placeholder; the schema, and what was wrong
//! with the last answer, behind it. Without any of these the text is the prompt and not a byte more.
//!
//! With [`InputMode::Lines`] a process serves one task after the other: a task on one line of stdin, an answer on one
//! line of stdout. See there.
//!
//! # What it answers, on stdout
//!
//! 1. `{"value": …, "usage": {"inputTokens": n, "outputTokens": n}}`: done. The value is kept byte for byte.
//! 2. `{"error": {"kind": "rate_limit|quota|transport|timeout|refused|crash|other", "message", "retryAfter",
//!    "resetsAt"}}`: failed. `retryAfter` is a number of seconds, or a text as `500ms 90s 10m 2h 1d`; `resetsAt` an
//!    RFC 3339 time or seconds since 1970.
//! 3. Anything else is text: the value is the text, without the last newline. No output is an empty text.
//!
//! An object may be all of stdout (over as many lines as it likes), or stand on one line; of several such lines the
//! last counts. Lines `{"event": …}` (from the line's first column on) are progress wherever they stand, are passed on
//! at once and are no part of the answer.
//!
//! The attempt ends when the process has ended, with all that it started: not when it closes stdout. A non-zero exit or
//! a signal without an error object is `crash` and keeps the end of stderr. What it starts in the background is killed
//! when it ends.

mod answer;
mod lines;
mod once;
pub(crate) mod process;
pub(crate) mod shell;
mod task;
mod time;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bellwether_actors::backend::{AgentBackend, AttemptContext, Ended, Task};
use bellwether_journal::record::{FailureKind, Millis};
use bellwether_launcher::{Launcher, Marker, Start};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use self::lines::Pool;

use crate::options::Environment;

const OUTPUT_BYTES_MAX: usize = 16 << 20;
const STDERR_BYTES: u32 = 4096;
const IDLE_MAX: usize = 16;

/// How tasks come to the agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InputMode {
    /// The task as JSON on stdin; one process for each.
    #[default]
    Task,
    /// The prompt as text on stdin, and placeholders in the command; one process for each.
    Prompt,
    /// One process for many tasks, one JSON a line both ways.
    ///
    /// A process serves one task at a time. One that has answered is kept for the next task of the same working
    /// directory and opening of the journal; one that ends fails only its own task, as a crash; one whose task is
    /// cancelled is ended; one that speaks without being asked is ended and never used again.
    ///
    /// A line that is no answer and no event is ignored. An answer may repeat `runId`, `agentId`, `attempt` and
    /// `idempotencyKey` of its task, and should: an answer that names another one is refused, so that a late answer to
    /// an old task is never taken for one to the new.
    Lines,
}

impl InputMode {
    const fn name(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Prompt => "prompt",
            Self::Lines => "lines",
        }
    }
}

/// What a backend made by [`crate::Builder::command`] runs, and within which limits.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The program and its arguments. A name without a slash is looked up in `PATH`; a relative path starts at
    /// [`Options::program_directory`].
    pub command: Vec<String>,
    /// Where a relative path of the program starts: the same place for all agents, in whatever worktree they work. `None`:
    /// at each task's working directory.
    pub program_directory: Option<PathBuf>,
    /// How tasks come to it.
    pub input: InputMode,
    /// How long an attempt may take, the start of its process included. Beyond, it is ended and fails as `timeout`.
    pub timeout: Option<Duration>,
    /// How much an attempt may write to stdout, progress not counted, in bytes. Beyond, it is killed and fails.
    pub output_bytes_max: usize,
    /// How much of the end of stderr is kept, in bytes.
    pub stderr_bytes: u32,
    /// Variables that are set, or removed, in what the agent inherits of the engine's environment.
    pub environment: Vec<(OsString, Option<OsString>)>,
    /// What the agent inherits in place of the engine's environment.
    pub(crate) inherited: Option<Environment>,
    /// With [`InputMode::Lines`]: how many processes may wait for tasks.
    pub idle_max: usize,
    /// Whether it is to find the models by the engine's own road, where the engine keeps one. Logins of subscriptions break
    /// behind another address.
    pub gateway: bool,
}

impl Options {
    /// Runs `command` (program, arguments) with the task on stdin, without a timeout, with 16 MiB of output.
    #[must_use]
    pub fn new(command: Vec<String>) -> Self {
        Self {
            command,
            program_directory: None,
            input: InputMode::default(),
            timeout: None,
            output_bytes_max: OUTPUT_BYTES_MAX,
            stderr_bytes: STDERR_BYTES,
            environment: Vec::new(),
            inherited: None,
            idle_max: IDLE_MAX,
            gateway: true,
        }
    }
}

/// Where the time comes from; asked only when an agent says when its quota resets.
pub(crate) type Now = Arc<dyn Fn() -> Millis + Send + Sync>;

/// Runs a program for each task, or keeps programs that take one task after the other.
///
/// Needs a tokio runtime with I/O and time enabled. Dropping it ends the processes that wait for tasks.
pub(crate) struct CommandBackend(Arc<Shared>);

struct Shared {
    options: Options,
    launcher: Arc<Launcher>,
    now: Now,
    pool: Pool,
}

impl CommandBackend {
    /// Runs what `options` say, behind launchers of `launcher`.
    #[must_use]
    pub(crate) fn new(options: Options, launcher: Arc<Launcher>, now: Now) -> Self {
        let pool = Pool::new(options.idle_max);
        Self(Arc::new(Shared {
            options,
            launcher,
            now,
            pool,
        }))
    }
}

impl AgentBackend for CommandBackend {
    fn run(&self, task: Arc<Task>, context: AttemptContext) -> BoxFuture<'static, Ended> {
        let shared = Arc::clone(&self.0);
        async move {
            if context.killed.is_cancelled() || context.cancelled.is_cancelled() {
                return Ended::cancelled();
            }
            match shared.options.input {
                InputMode::Task | InputMode::Prompt => once::run(&shared, &task, &context).await,
                InputMode::Lines => lines::run(&shared, &task, &context).await,
            }
        }
        .boxed()
    }

    fn asks_models(&self) -> bool {
        self.0.options.gateway
    }

    fn fingerprint(&self) -> String {
        let Options { command, input, .. } = &self.0.options;
        let parts: Vec<&str> = std::iter::once(input.name())
            .chain(command.iter().map(String::as_str))
            .collect();
        serde_json::to_string(&parts).unwrap_or_default()
    }
}

impl Shared {
    /// What is set or removed in what the agent inherits.
    fn environment(&self, task: &Task) -> Vec<(OsString, Option<OsString>)> {
        let Options {
            environment,
            inherited,
            ..
        } = &self.options;
        let mut environment = environment_for(task, environment, inherited.as_ref());
        // A process that is kept for many tasks finds them in its task: the key is another one each time.
        let is_kept = self.options.input == InputMode::Lines;
        for (name, value) in task.models.iter().flat_map(|models| &models.environment) {
            let value = value.as_ref().filter(|_| !is_kept);
            environment.push((name.into(), value.map(Into::into)));
        }
        environment
    }

    /// How the agent's process is started for `task`.
    fn start(&self, task: &Task) -> Result<Start, Box<Ended>> {
        let command = match self.options.input {
            InputMode::Prompt => task::fill(&self.options.command, task),
            InputMode::Task | InputMode::Lines => self.options.command.clone(),
        };
        let is_set = |name: &String| {
            let mut ours = self.options.environment.iter().rev();
            match ours.find(|(set, _)| set == name.as_str()) {
                Some((_, value)) => value.is_some(),
                None => {
                    inherited(self.options.inherited.as_ref()).any(|(set, _)| set == name.as_str())
                }
            }
        };
        if let Some(name) = task.options.env.iter().flatten().find(|name| !is_set(name)) {
            let message = format!(
                "agent(): the option `env`: the variable `{name}` is not set where the engine runs"
            );
            return Err(Ended::failed(FailureKind::Other, message).into());
        }
        let mut words = command.into_iter().map(OsString::from);
        let Some(program) = words.next() else {
            let message = "the agent's command is empty";
            return Err(Ended::failed(FailureKind::Other, message).into());
        };
        let program = match &self.options.program_directory {
            Some(folder) if program.as_bytes().contains(&b'/') => folder.join(program).into(),
            _ => program,
        };
        Ok(Start {
            program,
            arguments: words.collect(),
            working_directory: task.working_directory.clone(),
            marker: marker_of(task),
            environment: self.environment(task),
            stderr_bytes: self.options.stderr_bytes,
        })
    }
}

/// What processes of the attempt are found by when its engine has gone.
pub(crate) fn marker_of(task: &Task) -> Marker {
    let token = task.token;
    let attempt = format!(
        "{}.{}.{}.{}",
        token.run, token.generation, token.call, token.attempt
    );
    Marker::new(task.journal.to_hex(), token.epoch.0, attempt)
}

/// What an agent inherits.
fn inherited(instead: Option<&Environment>) -> Box<dyn Iterator<Item = (OsString, OsString)> + '_> {
    match instead {
        Some(inherited) => Box::new(
            inherited
                .iter()
                .map(|(name, value)| (name.into(), value.into())),
        ),
        None => Box::new(std::env::vars_os()),
    }
}

/// What is set or removed for a process of the attempt in what it inherits of the engine's environment: `own`, before which
/// goes what its isolation, its options and the run's environment ask for.
pub(crate) fn environment_for(
    task: &Task,
    own: &[(OsString, Option<OsString>)],
    instead: Option<&Environment>,
) -> Vec<(OsString, Option<OsString>)> {
    let mut environment = own.to_vec();
    // An engine that was started by a git hook inherits where that hook works. An agent in a worktree must not.
    #[cfg(feature = "worktree")]
    if task.options.isolation.is_some() {
        let local = crate::git::LOCAL_VARIABLES.map(|variable| (variable.into(), None));
        environment.splice(0..0, local);
    }
    if let Some(names) = &task.options.env {
        let is_other = |name: &OsString| {
            let name = name.to_string_lossy();
            !is_for_every_program(&name) && !names.iter().any(|given| *given == name)
        };
        let others = inherited(instead).map(|(name, _)| name).filter(is_other);
        environment.splice(0..0, others.map(|name| (name, None)));
    }
    if let Some(inherited) = instead {
        environment.splice(0..0, instead_of_ours(inherited));
    }
    environment
}

/// What must be set and removed in this process's environment to make it `environment`.
fn instead_of_ours(environment: &Environment) -> Vec<(OsString, Option<OsString>)> {
    let is_ours_alone = |name: &OsString| {
        let name = name.to_str();
        name.is_none_or(|name| !environment.contains_key(name))
    };
    let removed = std::env::vars_os()
        .map(|(name, _)| name)
        .filter(is_ours_alone)
        .map(|name| (name, None));
    let set = environment
        .iter()
        .map(|(name, value)| (name.into(), Some(value.into())));
    removed.chain(set).collect()
}

/// Whether a variable goes to an agent whose call names those that it gets (X01): what any program needs to find its files
/// and to speak its user's language.
fn is_for_every_program(name: &str) -> bool {
    const NAMES: [&str; 10] = [
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TERM", "TMPDIR", "TZ",
    ];
    NAMES.contains(&name) || name.starts_with("LC_")
}

#[cfg(test)]
mod tests;
