//! `bellwether restart`, `bellwether fork`, and what they share with a `resume` that rewinds.

use std::path::PathBuf;

use bellwether::view::RunView;
use bellwether::{CallNumber, ResumeOptions, Reuse, RewindOptions, Script, workflow};

use super::carry::{Carried, Carrier, Way, verb};
use super::run::{agent_types, listen};
use super::{Place, caller, environment, list, script};
use crate::args::{ArgsFlags, Fork, LimitFlags, Restart, RewindFlags};
use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;
use crate::host::order::{Order, Verb, Wanted};
use crate::output::Screen;
use crate::output::paint::one_line;

pub(super) async fn restart(flags: Restart, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &flags.common.journal, None, Some(&flags.limits))?;
    let (journal, _) = place.config.journal();
    let mut signals = listen()?;
    let way = Way::of(&journal, &place, "restart", flags.attach, &flags.notify);
    let carrier = Carrier::reach(way, &mut signals).await?;
    let prepared = async {
        let view = carrier.view(&flags.run).await?;
        let mut options = options(&flags.rewind, &flags.limits, &place, &view, screen)?;
        options.again = calls(&view, &flags.agents)?;
        Ok((view, options))
    };
    let (view, options) = match prepared.await {
        Ok(prepared) => prepared,
        Err(error) => return carrier.give_up(error).await,
    };
    let run = view.run_id.to_string();
    if let Carrier::There(client, _) = &carrier
        && client.host.runs.iter().any(|live| live.run_id == run)
        && !flags.rewind.asks()
        && are_at_work(&view, &options.again)
    {
        let wanted = Wanted {
            verb: Verb::RestartAgents(options.again),
            by: caller(),
            reason: flags.rewind.reason.clone(),
        };
        verb(client, &run, &wanted).await?;
        let agents = flags.agents.join(", ");
        screen.note(&format!("run {run} goes on, {agents} with another attempt"));
        return Ok(ExitCode::Success);
    }
    let order = Order::Rewind {
        run,
        options: Box::new(options),
    };
    let carried = carrier.carry_out(order, &mut signals).await?;
    announce(&carried, &view, "restarting", screen)?;
    carried
        .follow(&journal, signals, screen, flags.attach, &flags.common)
        .await
}

pub(super) async fn fork(flags: Fork, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &flags.common.journal, None, Some(&flags.limits))?;
    let (journal, _) = place.config.journal();
    let mut signals = listen()?;
    let way = Way::of(&journal, &place, "fork", flags.attach, &flags.notify);
    let carrier = Carrier::reach(way, &mut signals).await?;
    let prepared = async {
        let view = carrier.view(&flags.run).await?;
        let options = options(&flags.rewind, &flags.limits, &place, &view, screen)?;
        let before = flags.at.as_ref().map(|at| call(&view, at)).transpose()?;
        Ok((view, options, before))
    };
    let (view, options, before) = match prepared.await {
        Ok(prepared) => prepared,
        Err(error) => return carrier.give_up(error).await,
    };
    let order = Order::Fork {
        run: view.run_id.to_string(),
        before,
        options: Box::new(options),
    };
    let carried = carrier.carry_out(order, &mut signals).await?;
    announce(&carried, &view, "forking", screen)?;
    carried
        .follow(&journal, signals, screen, flags.attach, &flags.common)
        .await
}

/// Whether none of these calls has its answer.
fn are_at_work(view: &RunView, calls: &[CallNumber]) -> bool {
    calls.iter().all(|number| {
        let id = format!("a-{number}");
        let call = view.calls.iter().find(|call| call.agent_id == id);
        call.is_some_and(|call| call.ended_at.is_none())
    })
}

/// Says what has begun.
pub(super) fn announce(
    carried: &Carried,
    view: &RunView,
    doing: &str,
    screen: Screen,
) -> Result<()> {
    let (run, from) = (carried.run()?, view.run_id);
    let name = one_line(&view.name, 60);
    let what = if run == from {
        format!("{doing} run {run}")
    } else {
        format!("run {run}, forked from {from}")
    };
    screen.note(&format!("{} {name}", screen.err.bold(&what)));
    let agents = view.agents;
    screen.note(&screen.err.dim(&format!(
        "  generation {}, from the script's first line: {} agents had completed, {} had failed",
        if run == from { view.generation + 1 } else { 1 },
        agents.completed,
        agents.failed
    )));
    Ok(())
}

/// What changes, as the flags say; agent types and workflows are looked up anew where the run works.
///
/// # Errors
/// A script or arguments that cannot be read.
pub(super) fn options(
    flags: &RewindFlags,
    limits: &LimitFlags,
    place: &Place,
    view: &RunView,
    screen: Screen,
) -> Result<RewindOptions> {
    let mut options = RewindOptions::new();
    if let Some(named) = &flags.script {
        let file = list::script_file(named, &place.directory, &place.config.home)?;
        let source = script::read(&file)?;
        options.script = Some(Script::file(place.directory.join(file), source));
    }
    let given = ArgsFlags {
        text: None,
        args: flags.args.clone(),
        args_file: flags.args_file.clone(),
    };
    options.args = script::arguments(&given)?;
    options.reuse = match (flags.prefix, flags.reuse_all) {
        (true, _) => Reuse::Prefix,
        (_, true) => Reuse::All,
        _ => Reuse::Causal,
    };
    options.keep_failed = flags.keep_failed;
    options.repeat_merges = flags.repeat_merges;
    options.reason.clone_from(&flags.reason);
    let folder = PathBuf::from(&view.working_directory);
    options.agent_types = Some(agent_types(place, &folder, screen));
    options.workflows = Some(workflow::discover(&folder, &place.config.home).files());
    options.resume = resume_options(limits, place);
    Ok(options)
}

/// The limits that the command line changes, and who does it.
pub(super) fn resume_options(limits: &LimitFlags, place: &Place) -> ResumeOptions {
    let config = &place.config;
    let mut options = ResumeOptions::default();
    options.concurrency = config
        .concurrency()
        .filter(|_| limits.concurrency.is_some());
    options.max_agents = config.max_agents().filter(|_| limits.max_agents.is_some());
    options.max_items = config.max_items().filter(|_| limits.max_items.is_some());
    let is_given = limits.budget.is_some();
    options.budget = config.budget().filter(|_| is_given);
    options.budget_cost = config.budget_cost().filter(|_| is_given);
    options.script_limits = config.script_limits();
    options.by = Some(caller());
    options.environment = Some(environment());
    options
}

/// The calls that selectors name.
///
/// # Errors
/// Which one names none, or several.
pub(super) fn calls(view: &RunView, selectors: &[String]) -> Result<Vec<CallNumber>> {
    selectors.iter().map(|text| call(view, text)).collect()
}

/// The call that a selector names: its id, or the label that only it has.
///
/// # Errors
/// A usage error when there is none, or there are several.
pub(super) fn call(view: &RunView, selector: &str) -> Result<CallNumber> {
    let found: Vec<&str> = view
        .calls
        .iter()
        .filter(|call| call.agent_id == selector || call.label.as_deref() == Some(selector))
        .map(|call| call.agent_id.as_str())
        .collect();
    let run = view.run_id;
    match found.as_slice() {
        [one] => one
            .trim_start_matches("a-")
            .parse()
            .map(CallNumber)
            .map_err(CommandError::bug),
        [] => Err(
            CommandError::usage(format!("run {run} has no agent `{selector}`"))
                .help(format!("`bellwether show {run}` lists them")),
        ),
        several => Err(CommandError::usage(format!(
            "{} agents of run {run} are called `{selector}`: {}",
            several.len(),
            several.join(", ")
        ))
        .help("name one by its id")),
    }
}
