//! Agents that are programs: the launcher they are started by, the backend a run's own command makes, and the sweep of
//! what a dead engine left.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bellwether_actors::backend::AgentBackend;
use bellwether_journal::id::Epoch;
use bellwether_journal::key::Digest;
use bellwether_launcher::{Launcher, Program};

use crate::backend::command::{CommandBackend, InputMode, Options};
use crate::clock::Clock;
use crate::options::{AgentInput, StartOptions};

/// What starts agents' processes: the helper that the embedder named, else the program itself.
pub(crate) fn launcher(helper: Option<PathBuf>) -> Arc<Launcher> {
    Arc::new(Launcher::new(
        helper.map_or(Program::CurrentExe, Program::Path),
    ))
}

/// Ends what older openings of the journal left running, before anything new starts. May take a moment; blocks.
pub(crate) fn sweep(journal: Digest, epoch: Epoch) {
    let report = bellwether_launcher::sweep(&journal.to_hex(), epoch.0);
    for leftover in &report.killed {
        tracing::warn!(
            ?leftover,
            "a process that an engine before this one left was ended"
        );
    }
    for leftover in &report.left {
        tracing::error!(
            ?leftover,
            "a process that an engine before this one left cannot be ended"
        );
    }
}

/// The backend that a run's own agent command makes, for a run that works in `folder`.
pub(crate) fn command_backend(
    launcher: &Arc<Launcher>,
    clock: &Arc<dyn Clock>,
    command: &[String],
    input: AgentInput,
    run: &StartOptions,
    folder: &Path,
) -> Result<Arc<dyn AgentBackend>, String> {
    if command.first().is_none_or(String::is_empty) {
        return Err("the agent command is empty: name a program".to_owned());
    }
    let mut options = Options::new(command.to_vec());
    options.program_directory = Some(folder.to_owned());
    options.inherited.clone_from(&run.environment);
    options.gateway = !run.without_gateway;
    options.input = match input {
        AgentInput::Task => InputMode::Task,
        AgentInput::Prompt => InputMode::Prompt,
        AgentInput::Lines => InputMode::Lines,
    };
    Ok(backend(launcher, clock, options))
}

/// A backend that runs what `options` say.
pub(crate) fn backend(
    launcher: &Arc<Launcher>,
    clock: &Arc<dyn Clock>,
    options: Options,
) -> Arc<dyn AgentBackend> {
    let clock = Arc::clone(clock);
    let now = Arc::new(move || clock.now());
    Arc::new(CommandBackend::new(options, Arc::clone(launcher), now))
}
