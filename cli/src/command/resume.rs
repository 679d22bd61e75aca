//! `bellwether resume`

use std::path::Path;

use bellwether::Status;
use bellwether::view::{RunView, script_hash};

use super::attach::show;
use super::carry::{Carrier, Way, follow, verb};
use super::rewind::{announce, options, resume_options};
use super::run::listen;
use super::source::is_a_folder;
use super::{Place, caller, proposal};
use crate::args::Resume;
use crate::error::Result;
use crate::exit_code::ExitCode;
use crate::host::order::{Order, Verb, Wanted};
use crate::model::Outcome;
use crate::output::paint::one_line;
use crate::output::{Screen, human};

pub(super) async fn execute(flags: Resume, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &flags.common.journal, None, Some(&flags.limits))?;
    let (journal, _) = place.config.journal();
    if journal.is_dir() {
        return Err(is_a_folder(&journal));
    }
    let selector = flags.run.as_deref().unwrap_or("last");
    let mut signals = listen()?;
    let way = Way::of(&journal, &place, "resume", flags.attach, &flags.notify);
    let carrier = Carrier::reach(way, &mut signals).await?;
    let view = match carrier.view(selector).await {
        Ok(view) => view,
        Err(error) => return carrier.give_up(error).await,
    };
    let run = view.run_id;
    if flags.run.is_none() {
        screen.note(&human::latest(run, &view.name));
    }
    let has_ended = view.status.is_final() && !view.resumable;
    let asks = flags.rewind.asks() || flags.retry_failed;
    if let Carrier::There(client, _) = &carrier
        && !asks
        && client
            .host
            .runs
            .iter()
            .any(|live| live.run_id == run.to_string())
    {
        let run = run.to_string();
        if matches!(view.status, Status::Paused | Status::Pausing) {
            let wanted = Wanted {
                verb: Verb::Resume,
                by: caller(),
                reason: flags.rewind.reason.clone(),
            };
            verb(client, &run, &wanted).await?;
            screen.note(&format!("run {run} goes on"));
        } else {
            let pid = client.host.claim.pid;
            let status = view.status.name();
            screen.note(&format!(
                "run {run} is {status} already: process {pid} carries it out"
            ));
        }
        if flags.attach.detach {
            return Ok(ExitCode::Success);
        }
        return follow(
            client,
            &journal,
            &run,
            signals,
            screen,
            flags.attach,
            &flags.common,
        )
        .await;
    }
    if asks || (has_ended && view.agents.failed > 0) {
        let options = match options(&flags.rewind, &flags.limits, &place, &view, screen) {
            Ok(options) => options,
            Err(error) => return carrier.give_up(error).await,
        };
        let order = Order::Rewind {
            run: run.to_string(),
            options: Box::new(options),
        };
        let carried = carrier.carry_out(order, &mut signals).await?;
        announce(&carried, &view, "rewinding", screen)?;
        return carried
            .follow(&journal, signals, screen, flags.attach, &flags.common)
            .await;
    }
    if has_ended {
        carrier.leave().await;
        return finished(&Outcome::of(view), &flags, screen);
    }
    for line in changes(&view, &place.directory) {
        screen.note(&format!("{} {line}", screen.err.yellow("note:")));
    }
    let order = Order::Resume {
        run: run.to_string(),
        options: resume_options(&flags.limits, &place),
    };
    let carried = carrier.carry_out(order, &mut signals).await?;
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
        let retry = proposal(
            &format!("resume {run} --retry-failed"),
            &flags.common.journal,
        );
        screen.note(&format!(
            "  {} failed before; the script has seen that, and they are not run again: `{retry}` does that",
            agents.failed
        ));
    }
    carried
        .follow(&journal, signals, screen, flags.attach, &flags.common)
        .await
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
