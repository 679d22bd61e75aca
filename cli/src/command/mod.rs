//! The commands, a file each, and what they share.

mod answer;
mod attach;
mod carry;
mod check;
mod config;
mod confirm;
mod cost;
mod diff;
mod explain;
mod host;
mod init;
mod journal;
mod land;
mod list;
mod logs;
mod named;
mod plan;
mod ps;
mod result;
mod resume;
mod retention;
mod rewind;
mod run;
mod script;
mod show;
mod source;
mod verbs;
mod write;

use std::path::PathBuf;

use bellwether::{Environment, StartOptions};

use crate::args::{self, AgentFlags, Arguments, Command, JournalFlag, LimitFlags};
use crate::config::{Agents, Config, MANAGED_FILE, Sources};
use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;
use crate::output::Screen;

/// Carries out what the command line asks for.
///
/// # Errors
/// Why it could not be done.
pub(crate) async fn execute(arguments: Arguments, screen: Screen) -> Result<ExitCode> {
    match arguments.command {
        Command::Named(words) => {
            let named = match words.split_first() {
                // What stands behind it is no flag of `run`: it may be one of the script.
                Some((first, rest)) if first == "run" => named::run(rest, screen)?,
                _ => named::named(&words, screen)?,
            };
            // What was said behind the name counts for it as well.
            let screen = Screen::detect(named.global.color, named.global.quiet);
            Box::pin(execute(named, screen)).await
        }
        Command::Run(flags) => run::execute(flags, screen).await,
        Command::Write(flags) => Box::pin(write::execute(*flags, screen)).await,
        Command::Init(flags) => init::execute(&flags, screen),
        Command::Check(flags) => check::execute(&flags, screen),
        Command::Plan(flags) => plan::execute(&flags, screen).await,
        Command::Resume(flags) => resume::execute(flags, screen).await,
        Command::Restart(flags) => rewind::restart(flags, screen).await,
        Command::Fork(flags) => rewind::fork(flags, screen).await,
        Command::Explain(flags) => explain::execute(flags, screen).await,
        Command::List(flags) => list::execute(&flags, screen),
        Command::Ps(flags) => ps::execute(flags, screen).await,
        Command::Show(flags) => show::execute(flags, screen).await,
        Command::Cost(flags) => cost::execute(flags, screen).await,
        Command::Diff(flags) => diff::execute(flags, screen).await,
        Command::Land(flags) => land::execute(flags, screen).await,
        Command::Result(flags) => result::execute(flags, screen).await,
        Command::Logs(flags) => logs::execute(flags, screen).await,
        Command::Answer(flags) => answer::execute(flags, screen).await,
        Command::Attach(flags) => host::attach(flags, screen).await,
        Command::Wait(flags) => host::wait(flags, screen).await,
        Command::Host { command } => host::execute(command, screen).await,
        Command::Pause(flags) => verbs::pause(flags, screen).await,
        Command::Stop(flags) => verbs::stop(flags, screen).await,
        Command::Kill(flags) => verbs::kill(flags, screen).await,
        Command::Skip(flags) => verbs::skip(flags, screen).await,
        Command::Set(flags) => verbs::set(flags, screen).await,
        Command::Trail(flags) => journal::trail(flags, screen).await,
        Command::Gc(flags) => retention::gc(flags, screen).await,
        Command::Export(flags) => retention::export(flags, screen).await,
        Command::Import(flags) => retention::import(flags, screen).await,
        Command::Journal {
            command: args::Journal::Verify(flags),
        } => journal::verify(flags, screen).await,
        Command::Journal {
            command: args::Journal::Dump(flags),
        } => journal::dump(flags, screen).await,
        Command::Config {
            command: args::Config::Show(flags),
        } => config::show(&flags, screen),
        Command::Config {
            command: args::Config::Schema(_),
        } => Ok(config::schema()),
    }
}

/// Where a command was called and what it is to do there.
pub(crate) struct Place {
    /// The working directory.
    pub(crate) directory: PathBuf,
    /// The settings.
    pub(crate) config: Config,
}

impl Place {
    /// Reads the settings.
    ///
    /// # Errors
    /// A usage error that names the place of what is wrong.
    pub(crate) fn load(
        screen: Screen,
        journal: &JournalFlag,
        agents: Option<&AgentFlags>,
        limits: Option<&LimitFlags>,
    ) -> Result<Self> {
        let directory = std::env::current_dir().map_err(|error| {
            CommandError::usage(format!("the working directory cannot be used: {error}"))
        })?;
        let config = Config::load(Sources {
            managed: MANAGED_FILE.as_ref(),
            flags: args::layer(&directory, journal, agents, limits)?,
            environment: std::env::vars_os().collect(),
            directory: &directory,
            cpus: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
        })?;
        for line in config.overruled() {
            screen.note(&format!("{} {line}", screen.err.yellow("warning:")));
        }
        Ok(Self { directory, config })
    }

    /// What a script is started with as the settings say, here; what the files around it and the command line say comes
    /// besides.
    pub(crate) fn start_options(&self) -> StartOptions {
        let config = &self.config;
        let mut options = StartOptions::default();
        match config.agents() {
            Some(Agents::Backend(name)) => options.backend = Some(name),
            Some(Agents::Command(words)) => options.agent_command = Some(words),
            None => {}
        }
        options.isolate = config.isolate();
        options.concurrency = config.concurrency();
        options.max_agents = config.max_agents();
        options.max_items = config.max_items();
        options.budget = config.budget();
        options.budget_cost = config.budget_cost();
        options.model = config.model();
        options.effort = config.effort();
        options.without_gateway = config.without_gateway();
        options.nesting = config.nesting();
        options.args_as_text = config.args_as_text();
        options.script_limits = config.script_limits();
        options.permissions = config.permissions();
        options.working_directory = Some(self.directory.clone());
        options
    }
}

/// The environment of this command, which is that of the agents whose run it begins. A variable that is no text is left out.
pub(crate) fn environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Who asks, for the record: `user@host`.
pub(crate) fn caller() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "someone".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let host = host.unwrap_or_else(|_| "localhost".to_owned());
    format!("{user}@{}", host.trim())
}

/// How this program names itself in a journal.
pub(crate) fn program() -> String {
    concat!("bellwether ", env!("CARGO_PKG_VERSION")).to_owned()
}

/// Adds `--journal` to a command that is proposed, when this one was called with it.
pub(crate) fn proposal(command: &str, journal: &JournalFlag) -> String {
    match &journal.journal {
        Some(path) => {
            let path = shlex::try_quote(path).unwrap_or_else(|_| path.as_str().into());
            format!("bellwether {command} --journal {path}")
        }
        None => format!("bellwether {command}"),
    }
}
