//! `bellwether run`

use std::path::Path;
use std::sync::Arc;

use bellwether::agent_type::{AgentType, discover};
use bellwether::backend::codemod::Codemod;
use bellwether::backend::dry::Dry;
use bellwether::backend::script_check::{Project, ScriptCheck};
use bellwether::backend::sources::Sources;
use bellwether::workflow;
use bellwether::{Engine, Limits, Script, StartOptions};

use super::attach::{Session, starting};
use super::carry::{Carrier, Way};
use super::confirm::confirm;
use super::{Place, caller, environment, list, program, script, source};
use crate::args::Run;
use crate::config::key::Value;
use crate::config::{Agents, Config, project};
use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;
use crate::host::Host;
use crate::host::daemon::Presence;
use crate::host::lock::{Claim, Lock};
use crate::host::notify::Notifier;
use crate::host::order::Order;
use crate::output::Screen;
use crate::output::paint::one_line;
use crate::read::{self, Reader};
use crate::signals::Signals;

/// Events that are kept while the terminal or a pipe is slow: a wide fan-out begins with thousands at once.
const EVENTS: usize = 16_384;
/// What a script has in it that calls others.
const WORKFLOW: &str = "workflow";
/// As much of what is wrong with a file is shown.
const PROBLEM_CHARACTERS: usize = 300;

pub(super) async fn execute(flags: Run, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(
        screen,
        &flags.common.journal,
        Some(&flags.agents),
        Some(&flags.limits),
    )?;
    let config = &place.config;
    let file = list::script_file(&flags.script, &place.directory, &config.home)?;
    let source = script::read(&file)?;
    // Only a script that says so can call others by their names.
    let calls_others = source.contains(WORKFLOW);
    let script = Script::file(&file, source);
    let args = script::arguments(&flags.given)?;
    let mut options = options(&flags, &place, args)?;
    options.agent_types = agent_types(&place, &place.directory, screen);
    if calls_others {
        options.workflows = workflow::discover(&place.directory, &config.home).files();
    }
    confirm(&script, &options, &place, flags.attach.yes, screen).await?;
    let journal = prepare(config)?;

    let mut signals = listen()?;
    let way = Way::of(&journal, &place, "run", flags.attach, &flags.notify);
    let carrier = Carrier::reach(way, &mut signals).await?;
    let run = bellwether::new_run_id().map_err(|error| CommandError::host(error.to_string()))?;
    let order = Order::Start {
        run: run.to_string(),
        script,
        options: Box::new(options),
        environment: environment(),
    };
    let carried = carrier.carry_out(order, &mut signals).await?;
    let agents = match config.agents() {
        Some(Agents::Backend(name)) => name,
        Some(Agents::Command(words)) => Value::Words(words).show(),
        None => String::new(),
    };
    screen.note(&format!(
        "{} {}",
        screen.err.bold(&format!("run {run}")),
        one_line(&carried.name(), 60)
    ));
    let caps = format!("  {}; agents: {agents}", config.caps());
    screen.note(&screen.err.dim(&caps));
    carried
        .follow(&journal, signals, screen, flags.attach, &flags.common)
        .await
}

/// What the run is started with.
fn options(flags: &Run, place: &Place, args: Option<String>) -> Result<StartOptions> {
    let config = &place.config;
    if config.agents().is_none() {
        return Err(no_agents());
    }
    let mut options = place.start_options();
    options.name.clone_from(&flags.name);
    options.args = args;
    options.agent_input = config.agent_input();
    options.timeout_ms = config
        .timeout()
        .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    options.base_commit = script::base_commit(&place.directory);
    options.worktree = config.worktree();
    options.started_by = Some(format!("{} ({})", caller(), program()));
    Ok(options)
}

/// The agent types of who works in `directory`. A file that cannot be read is told of and left out.
pub(super) fn agent_types(place: &Place, directory: &Path, screen: Screen) -> Vec<AgentType> {
    let found = discover(directory, &place.config.home);
    for problem in &found.problems {
        let file = problem.file.strip_prefix(&place.directory);
        let file = file.unwrap_or(&problem.file).display();
        let line = one_line(&format!("{file}: {}", problem.message), PROBLEM_CHARACTERS);
        screen.note(&format!("{} {line}", screen.err.yellow("warning:")));
    }
    found.types
}

pub(super) fn no_agents() -> CommandError {
    CommandError::usage("nothing is set to carry out the agents: neither --backend nor --agent-command")
        .help(
            "to try a script without any agent:   --backend dry\n\
             to use a program as the agent:       --agent-command 'claude -p' --agent-input prompt\n\
             for all runs of a project: `backend` or `agent_command` in .bellwether/config.toml",
        )
}

/// Makes the journal's folder, and says where the journal is.
pub(super) fn prepare(config: &Config) -> Result<std::path::PathBuf> {
    let (journal, own) = config.journal();
    if journal.is_dir() {
        return Err(source::is_a_folder(&journal));
    }
    let made = if own {
        project::prepare_local(&config.root)
    } else {
        journal.parent().map_or(Ok(()), std::fs::create_dir_all)
    };
    made.map_err(|error| {
        CommandError::host(format!(
            "the folder of the journal {} cannot be made: {error}",
            journal.display()
        ))
        .help("name another place with `--journal FILE`")
    })?;
    Ok(journal)
}

/// Begins to hear signals.
pub(super) fn listen() -> Result<Signals> {
    Signals::listen()
        .map_err(|error| CommandError::host(format!("signals cannot be received: {error}")))
}

/// For whom scripts are checked, as far as the settings say; what is in the project the task says.
fn checked_for(config: &Config) -> Project {
    let mut start = StartOptions::new();
    start.script_limits = config.script_limits();
    Project::new(start, ["codemod", "dry"])
}

/// Makes the held journal known, opens it, and answers on its socket.
pub(super) async fn open(
    lock: Lock,
    journal: &Path,
    config: &Config,
    purpose: &str,
    signals: &mut Signals,
) -> Result<Session> {
    let host = Host::announce(lock, Claim::of_this_process(purpose))?;
    let create = matches!(purpose, "run" | "host");
    let file = journal.to_path_buf();
    let opened = tokio::task::spawn_blocking(move || read::open(&file, create));
    let store = starting(signals, async {
        opened
            .await
            .unwrap_or_else(|_| Err(CommandError::host("opening the journal met a bug")))
    })
    .await?;
    let mut limits = Limits::default();
    limits.stop_grace = config.stop_grace();
    limits.events = EVENTS;
    let engine = Engine::builder()
        .store(Arc::clone(&store))
        .backend("dry", Arc::new(Dry))
        .backend("codemod", Arc::new(Codemod))
        .backend("sources", Arc::new(Sources))
        .backend(
            "script-check",
            Arc::new(ScriptCheck::new(checked_for(config))),
        )
        .models(config.models())
        .worktrees(config.worktrees())
        .limits(limits);
    let engine = starting(signals, engine.build()).await?;
    let live = engine.clone();
    let reader = Reader::new(store, move |run| live.run(run).is_some());
    let presence = Arc::<Presence>::default();
    let notifier = Notifier::new(journal, reader.clone(), Arc::clone(&presence));
    notifier.catch_up().await;
    let serving = host.serve(
        engine.clone(),
        reader.clone(),
        config.stop_grace(),
        Arc::clone(&presence),
        notifier.clone(),
    );
    Ok(Session {
        presence,
        notifier,
        engine,
        reader,
        serving,
        grace: config.stop_grace(),
    })
}
