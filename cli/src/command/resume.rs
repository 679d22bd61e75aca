//! `bellwether resume`

use std::path::Path;

use bellwether::ResumeOptions;
use bellwether::view::{RunView, script_hash};

use super::attach::{attach, show, starting};
use super::run::{listen, open};
use super::source::{is_a_folder, none_there};
use super::{Place, program, proposal};
use crate::args::Resume;
use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;
use crate::host::client::{Client, parse, segment};
use crate::host::reach::{self, Reached, reach};
use crate::model::Outcome;
use crate::output::paint::one_line;
use crate::output::{Screen, human};
use crate::read::Reader;

pub(super) async fn execute(flags: Resume, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &flags.common.journal, None, Some(&flags.limits))?;
    let (journal, _) = place.config.journal();
    if journal.is_dir() {
        return Err(is_a_folder(&journal));
    }
    if !journal.is_file() {
        return Err(none_there(&journal));
    }
    let selector = flags.run.as_deref().unwrap_or("last");

    let mut signals = listen()?;
    let lock = match starting(&mut signals, reach(&journal, "resume")).await? {
        Reached::Free(lock) => lock,
        Reached::Held(client) => return held(&flags, &journal, &client, selector, screen).await,
    };
    let session = open(lock, &journal, &place.config, "resume", &mut signals).await?;
    let view = match look(&session.reader, selector.to_owned()).await {
        Ok(view) => view,
        Err(error) => return session.give_up(error).await,
    };
    let run = view.run_id;
    if flags.run.is_none() {
        screen.note(&human::latest(run, &view.name));
    }
    if view.status.is_final() && !view.resumable {
        session.leave().await;
        return finished(&Outcome::of(view), &flags, screen);
    }
    for line in changes(&view, &place.directory) {
        screen.note(&format!("{} {line}", screen.err.yellow("note:")));
    }
    let mut options = ResumeOptions::default();
    options.concurrency = place
        .config
        .concurrency()
        .filter(|_| flags.limits.concurrency.is_some());
    options.max_agents = place
        .config
        .max_agents()
        .filter(|_| flags.limits.max_agents.is_some());
    options.max_items = place
        .config
        .max_items()
        .filter(|_| flags.limits.max_items.is_some());
    options.script_limits = place.config.script_limits();
    options.by = Some(program());
    options.watched = true;
    let resumed = starting(&mut signals, Box::pin(session.engine.resume(run, options))).await;
    let handle = match resumed {
        Ok(handle) => handle,
        Err(error) => return session.give_up(error).await,
    };
    let (agents, name) = (view.agents, &view.name);
    screen.note(&format!(
        "{} {}",
        screen.err.bold(&format!("resuming run {run}")),
        one_line(name, 60)
    ));
    screen.note(&screen.err.dim(&format!(
        "  it was {}: {} of {} agents known so far are completed",
        view.status.name(),
        agents.completed,
        agents.total
    )));
    if agents.failed > 0 {
        screen.note(&format!(
            "  {} failed before; the script has seen that, and they are not run again",
            agents.failed
        ));
    }
    attach(
        session,
        handle,
        signals,
        screen,
        flags.attach,
        &flags.common,
    )
    .await
}

/// The run as the journal has it.
async fn look(reader: &Reader, selector: String) -> Result<RunView> {
    let reader = reader.clone();
    let read = tokio::task::spawn_blocking(move || reader.view(reader.find(&selector)?)).await;
    read.unwrap_or_else(|_| Err(CommandError::host("reading the journal met a bug")))
}

/// Another process holds the journal: a finished run can be told of all the same.
async fn held(
    flags: &Resume,
    journal: &Path,
    client: &Client,
    selector: &str,
    screen: Screen,
) -> Result<ExitCode> {
    let text = client
        .get(&format!("/v1/runs/{}/outcome", segment(selector)))
        .await?;
    let outcome: Outcome = parse(&text)?;
    if outcome.status.is_final() {
        return finished(&outcome, flags, screen);
    }
    let id = outcome.run_id.to_string();
    if client.host.runs.iter().any(|run| run.run_id == id) {
        let pid = client.host.claim.pid;
        return Err(CommandError::host(format!(
            "run {id} is {} already: process {pid} carries it out",
            outcome.status.name()
        ))
        .help(format!(
            "watch it with `{}`, end it with `{}`",
            proposal(&format!("logs -f {id}"), &flags.common.journal),
            proposal(&format!("stop {id}"), &flags.common.journal)
        )));
    }
    Err(reach::held(journal, client))
}

/// A run that has ended: its result, and that nothing is left.
fn finished(outcome: &Outcome, flags: &Resume, screen: Screen) -> Result<ExitCode> {
    let status = outcome.status.name();
    screen.note(&format!(
        "run {} is {status}: nothing is left to do",
        outcome.run_id
    ));
    show(outcome, screen, flags.attach, &flags.common)?;
    Ok(ExitCode::of(outcome.status))
}

/// How the place and the script's file differ from what they were.
fn changes(view: &RunView, directory: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let was = Path::new(&view.working_directory);
    if was != directory {
        lines.push(format!(
            "the run works in {}, where it was started",
            was.display()
        ));
    }
    let Some(path) = &view.script_path else {
        return lines;
    };
    if let Some(text) = bellwether::workflow::bundled(Path::new(path)) {
        if !is_journaled(text.as_bytes(), view) {
            lines.push(format!(
                "{path} is another in this version; the run goes on with the script as it was then"
            ));
        }
        return lines;
    }
    let file = was.join(path);
    let shown = file.display();
    match std::fs::read(&file) {
        Ok(bytes) if is_journaled(&bytes, view) => {}
        Ok(_) => lines.push(format!(
            "{shown} has changed since the run was started; it goes on with the script as it was then"
        )),
        Err(error) => lines.push(format!(
            "{shown} cannot be read ({error}); the run goes on with the script as it was then"
        )),
    }
    lines
}

/// Whether a file's bytes are the script that the journal has, by its hash.
fn is_journaled(bytes: &[u8], view: &RunView) -> bool {
    std::str::from_utf8(bytes)
        .is_ok_and(|script| view.script_hash.as_deref() == Some(script_hash(script).as_str()))
}
