//! `bellwether host`, `attach`, `wait`: the process that carries out runs, and coming back to one.

use std::path::Path;
use std::time::Duration;

use bellwether::view::RunView;
use serde_json::json;

use super::attach::show;
use super::carry::{Carrier, Way, follow, outcome_of};
use super::run::{listen, open};
use super::source::{Question, Source};
use super::{Place, caller, environment, proposal};
use crate::args::{Attach, AttachFlags, Common, Host, Wait};
use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;
use crate::host::client::Client;
use crate::host::daemon;
use crate::host::lock::{self, Lock};
use crate::host::order::Order;
use crate::host::reach::{Reached, reach};
use crate::model::Outcome;
use crate::output::paint::one_line;
use crate::output::{self, Screen, human};
use crate::read::json as to_json;

/// How long a host may take to leave.
const LEAVE_PATIENCE: Duration = Duration::from_mins(1);
/// How long runs may take to stop.
const SHUTDOWN: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(20);

pub(super) async fn execute(command: Host, screen: Screen) -> Result<ExitCode> {
    match command {
        Host::Serve(flags) => serve(&flags, screen).await,
        Host::Status(flags) => status(&flags, screen).await,
        Host::Stop(flags) => stop(&flags, screen).await,
        Host::Restart(flags) => restart(&flags, screen).await,
    }
}

/// Is the host until nothing is left to do.
async fn serve(flags: &Common, screen: Screen) -> Result<ExitCode> {
    daemon::detach();
    let place = Place::load(screen, &flags.journal, None, None)?;
    let (journal, _) = place.config.journal();
    let mut signals = listen()?;
    let path = lock::path_for(&journal)
        .map_err(|error| CommandError::host(format!("the journal cannot be used: {error}")))?;
    let taken = Lock::try_take(&path).map_err(|error| {
        CommandError::host(format!(
            "the lock {} cannot be used: {error}",
            path.display()
        ))
    })?;
    // Somebody else was first, and answers.
    let Some(lock) = taken else {
        return Ok(ExitCode::Success);
    };
    let session = open(lock, &journal, &place.config, "host", &mut signals).await?;
    let engine = session.engine.clone();
    let presence = std::sync::Arc::clone(&session.presence);
    tokio::select! {
        () = presence.until_idle(daemon::LOOKS_IDLE, || engine.live().is_empty()) => {}
        signal = signals.next() => tracing::info!("{}: leaving", signal.name()),
    }
    // Runs first: whoever watches one hears its end, and then nobody is waited for.
    presence.close();
    engine.shutdown(SHUTDOWN).await;
    drop(engine);
    session.leave().await;
    Ok(ExitCode::Success)
}

/// Who holds the journal.
async fn holder(
    flags: &Common,
    screen: Screen,
) -> Result<(Place, std::path::PathBuf, Option<Client>)> {
    let place = Place::load(screen, &flags.journal, None, None)?;
    let (journal, _) = place.config.journal();
    let there = journal.is_file() || lock::path_for(&journal).is_ok_and(|lock| lock.exists());
    let client = if there {
        match reach(&journal, "host").await? {
            Reached::Held(client) => Some(client),
            Reached::Free(_) => None,
        }
    } else {
        None
    };
    Ok((place, journal, client))
}

async fn status(flags: &Common, screen: Screen) -> Result<ExitCode> {
    let (_, journal, client) = holder(flags, screen).await?;
    if flags.json {
        let host = client.as_ref().map(|client| &client.host);
        output::line(&json!({ "journal": journal, "host": host }).to_string());
        return Ok(ExitCode::Success);
    }
    let shown = journal.display();
    let Some(client) = client else {
        output::line(&format!("no process holds {shown}"));
        return Ok(ExitCode::Success);
    };
    let claim = &client.host.claim;
    output::line(&format!(
        "process {} (`bellwether {}`, {}) holds {shown} since {} UTC",
        claim.pid,
        claim.purpose,
        claim.version,
        crate::time::date_and_clock(&claim.since)
    ));
    for run in &client.host.runs {
        let status = screen.out.status(run.status, run.status.name());
        output::line(&format!(
            "  {}  {status}  {}",
            run.run_id,
            one_line(&run.name, 50)
        ));
    }
    Ok(ExitCode::Success)
}

async fn stop(flags: &Common, screen: Screen) -> Result<ExitCode> {
    let (_, journal, client) = holder(flags, screen).await?;
    let Some(client) = client else {
        screen.note(&format!("no process holds {}", journal.display()));
        return Ok(ExitCode::Success);
    };
    let runs = client.host.runs.len();
    leave(&client, &journal).await?;
    let pid = client.host.claim.pid;
    if flags.json {
        let runs: Vec<&str> = client
            .host
            .runs
            .iter()
            .map(|run| run.run_id.as_str())
            .collect();
        output::line(&json!({ "pid": pid, "stopped": runs }).to_string());
    }
    screen.note(&format!(
        "process {pid} has left; {} stopped and can be resumed",
        match runs {
            1 => "1 run was".to_owned(),
            runs => format!("{runs} runs were"),
        }
    ));
    Ok(ExitCode::Success)
}

/// Lets the host leave and waits until it has.
pub(super) async fn leave(client: &Client, journal: &Path) -> Result<()> {
    let pid = client.host.claim.pid;
    if client.host.claim.purpose != "host" {
        return Err(CommandError::host(format!(
            "process {pid}, which holds the journal, is no host: it carries out `bellwether {}` in the foreground",
            client.host.claim.purpose
        ))
        .help("end it where it was begun, or stop its runs with `bellwether stop`"));
    }
    client
        .post("/v1/host/leave", &json!({ "by": caller() }))
        .await?;
    let path = lock::path_for(journal)
        .map_err(|error| CommandError::host(format!("the journal cannot be used: {error}")))?;
    let mut waited = Duration::ZERO;
    while waited < LEAVE_PATIENCE {
        let gone = match Lock::try_take(&path) {
            Ok(Some(_)) => true,
            // Another one may have taken it over already.
            Ok(None) => lock::read_claim(&path).is_some_and(|claim| claim.pid != pid),
            Err(_) => false,
        };
        if gone {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
        waited += LOOK;
    }
    Err(CommandError::host(format!(
        "process {pid} was told to leave and has not"
    )))
}

async fn restart(flags: &Common, screen: Screen) -> Result<ExitCode> {
    let (place, journal, client) = holder(flags, screen).await?;
    let runs = client.as_ref().map(|client| client.host.runs.clone());
    let runs = runs.unwrap_or_default();
    if let Some(client) = &client {
        leave(client, &journal).await?;
    }
    let mut signals = listen()?;
    let mut resumed = Vec::new();
    for run in &runs {
        let way = Way {
            journal: &journal,
            place: &place,
            purpose: "run",
            foreground: false,
            notify: None,
        };
        let carrier = Carrier::reach(way, &mut signals).await?;
        let view = carrier.view(&run.run_id).await?;
        // One that ended while it was stopped needs nothing.
        if view.status.is_final() && !view.resumable {
            continue;
        }
        let mut options = bellwether::ResumeOptions::default();
        options.by = Some(caller());
        options.environment = Some(environment());
        let order = Order::Resume {
            run: run.run_id.clone(),
            options,
        };
        carrier.carry_out(order, &mut signals).await?;
        resumed.push(run.run_id.clone());
    }
    if flags.json {
        output::line(&json!({ "resumed": resumed }).to_string());
    }
    screen.note(&match resumed.len() {
        0 => "no run was live: the next command begins a new host".to_owned(),
        1 => format!("a new host goes on with {}", resumed.join(", ")),
        runs => format!(
            "a new host goes on with {runs} runs: {}",
            resumed.join(", ")
        ),
    });
    Ok(ExitCode::Success)
}

pub(super) async fn attach(flags: Attach, screen: Screen) -> Result<ExitCode> {
    let selector = flags.run.as_deref().unwrap_or("last");
    let place = Place::load(screen, &flags.common.journal, None, None)?;
    let (journal, _) = place.config.journal();
    let source = Source::require(&journal, "attach").await?;
    let view: RunView = source.read(Question::View(selector)).await?;
    if flags.run.is_none() {
        screen.note(&human::latest(view.run_id, &view.name));
    }
    let shown = AttachFlags {
        events: flags.events,
        ..AttachFlags::default()
    };
    let Source::Held(client) = &source else {
        return over(&Outcome::of(view), shown, &flags.common, screen);
    };
    let run = view.run_id.to_string();
    if !client.host.runs.iter().any(|live| live.run_id == run) {
        return over(&Outcome::of(view), shown, &flags.common, screen);
    }
    let agents = human::counts(&view.agents);
    screen.note(&format!(
        "{} {}: {}, {agents}",
        screen.err.bold(&format!("run {run}")),
        one_line(&view.name, 60),
        view.status.name()
    ));
    follow(
        client,
        &journal,
        &run,
        listen()?,
        screen,
        shown,
        &flags.common,
    )
    .await
}

/// A run that nobody works on: its outcome, and how to go on.
fn over(
    outcome: &Outcome,
    shown: AttachFlags,
    common: &Common,
    screen: Screen,
) -> Result<ExitCode> {
    if !outcome.status.is_final() {
        let id = outcome.run_id;
        return Err(CommandError::exit(
            ExitCode::Unfinished,
            format!(
                "run {id} is {}: no process works on it",
                outcome.status.name()
            ),
        )
        .help(format!(
            "go on with `{}`",
            proposal(&format!("resume {id}"), &common.journal)
        )));
    }
    show(outcome, screen, shown, common)?;
    Ok(ExitCode::of(outcome.status))
}

pub(super) async fn wait(flags: Wait, screen: Screen) -> Result<ExitCode> {
    let selector = flags.run.as_deref().unwrap_or("last");
    let place = Place::load(screen, &flags.common.journal, None, None)?;
    let (journal, _) = place.config.journal();
    let source = Source::require(&journal, "wait").await?;
    let outcome: Outcome = source.read(Question::Outcome(selector)).await?;
    let run = outcome.run_id.to_string();
    let shown = AttachFlags::default();
    let Source::Held(client) = &source else {
        return over(&outcome, shown, &flags.common, screen);
    };
    if !client.host.runs.iter().any(|live| live.run_id == run) {
        return over(&outcome, shown, &flags.common, screen);
    }
    let ended = async {
        let path = format!("/v1/runs/{run}/events");
        let mut lines = client.stream(&path).await?;
        // A holder that goes has said all that it could: the journal has the rest.
        while let Ok(Some(_)) = lines.next().await {}
        Ok::<(), CommandError>(())
    };
    let limit = flags.timeout.unwrap_or(Duration::MAX);
    if let Ok(ended) = tokio::time::timeout(limit, ended).await {
        ended?;
        let outcome = outcome_of(client, &journal, &run).await?;
        show(&outcome, screen, shown, &flags.common)?;
        return Ok(ExitCode::of(outcome.status));
    }
    let outcome: Outcome = source.read(Question::Outcome(&run)).await?;
    if flags.common.json {
        output::line(&to_json(&outcome)?);
    }
    screen.note(&format!("run {run} is {} still", outcome.status.name()));
    Ok(ExitCode::Unfinished)
}
