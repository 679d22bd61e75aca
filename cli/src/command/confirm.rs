//! What a run is expected to use, and that somebody wants it when it is much.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bellwether::models::{Basis, Forecast, forecast};
use bellwether::plan::{Plan, plan};
use bellwether::view::{Money, RunCosts};
use bellwether::{Script, StartOptions};

use super::Place;
use super::plan::{BACKENDS, options};
use super::source::{Question, Source};
use crate::error::{CommandError, Result};
use crate::host::client::parse;
use crate::output::human::number;
use crate::output::paint::one_line;
use crate::output::{self, Screen};

/// More than this is confirmed: agents that ask models, …
const AGENTS: u64 = 25;
/// … tokens that they write, …
const OUTPUT_TOKENS: u64 = 1_500_000;
/// … and money.
const COST: Money = Money(5_000_000);
/// So many of the newest runs of a workflow say what its next one will use.
const RUNS: usize = 10;
/// A plan that takes longer says nothing.
const PLAN_TIME: Duration = Duration::from_secs(10);

/// What a run is expected to use.
pub(super) struct Expected {
    /// It.
    pub(super) forecast: Forecast,
    /// Earlier runs that it was made from.
    runs: usize,
    /// The workflow's name.
    name: String,
}

/// What `plan` shows of a plan's forecast.
///
pub(super) async fn expected(plan: &Plan, start: &StartOptions, place: &Place) -> Option<Expected> {
    let models = place.config.models();
    let basis = Basis {
        names: &models.names,
        prices: &models.prices,
        model: start.model.as_deref(),
        backend: start.backend.as_deref(),
        without_models: &BACKENDS,
        history: &[],
    };
    let without_history = forecast(plan, &basis);
    if without_history.agents == 0 {
        return None;
    }
    let name = start.name.clone().unwrap_or_else(|| plan.name.clone());
    // Runs that cannot be read say nothing; they are no reason to begin none.
    let history = history(&name, place).await.unwrap_or_default();
    let forecast = if history.is_empty() {
        without_history
    } else {
        let history = &history;
        forecast(plan, &Basis { history, ..basis })
    };
    Some(Expected {
        forecast,
        runs: history.len(),
        name,
    })
}

/// What the newest runs of a workflow used.
async fn history(name: &str, place: &Place) -> Result<Vec<RunCosts>> {
    let (journal, _) = place.config.journal();
    let Some(source) = Source::find(&journal, "plan").await? else {
        return Ok(Vec::new());
    };
    let filter = bellwether::view::CostFilter {
        name: Some(name.to_owned()),
        limit: Some(RUNS),
        ..Default::default()
    };
    let mut runs: Vec<RunCosts> = parse(&source.ask(Question::Costs(None, &filter)).await?)?;
    runs.retain(|run| run.parts.iter().any(|part| part.agents > 0));
    Ok(runs)
}

/// Goes on when the run is a small one, or somebody confirms it.
///
/// # Errors
/// Nobody does.
pub(super) async fn confirm(
    script: &Script,
    start: &StartOptions,
    place: &Place,
    yes: bool,
    screen: Screen,
) -> Result<()> {
    if yes || !place.config.confirms() || asks_no_model(script, start) {
        return Ok(());
    }
    let Some(plan) = planned(script, start, place) else {
        let lines = vec![format!(
            "what this run would use is not known: its plan does not end within {} seconds",
            PLAN_TIME.as_secs()
        )];
        return ask(&lines, screen).await;
    };
    let Some(expected) = expected(&plan, start, place).await else {
        return Ok(());
    };
    if !expected.is_large() {
        return Ok(());
    }
    ask(&expected.lines(), screen).await
}

/// Whether no agent of the run asks a model, as far as a look at the script shows: then it need not be planned.
fn asks_no_model(script: &Script, start: &StartOptions) -> bool {
    let own = start.backend.as_deref();
    let may_name_another = ["backend", "workflow"]
        .iter()
        .any(|word| script.source.contains(word));
    own.is_some_and(|name| BACKENDS.contains(&name)) && !may_name_another
}

/// The plan; `None` when it does not end in time. A native call of the interpreter that never looks up goes on in its thread.
fn planned(script: &Script, start: &StartOptions, place: &Place) -> Option<Plan> {
    let options = options(&place.directory, place);
    let stop = Arc::clone(&options.stop);
    let (sender, receiver) = mpsc::channel();
    let (script, start) = (script.clone(), start.clone());
    thread::spawn(move || {
        // Nobody may be waiting any more.
        let _ = sender.send(plan(&script, &start, &options));
    });
    let planned = receiver.recv_timeout(PLAN_TIME).ok();
    stop.store(true, Ordering::Relaxed);
    planned
}

/// Asks whoever is at the terminal.
async fn ask(lines: &[String], screen: Screen) -> Result<()> {
    let help = "`--yes` begins it as it is; `--budget` limits what it may use, `bellwether plan` shows where it goes, and \
                `confirm = false` in the settings asks no more";
    let text = lines.join("\n");
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(CommandError::usage(format!(
            "this is a large run, and nobody is there who could confirm it\n{text}"
        ))
        .help(help));
    }
    // A question is asked, however quiet it is to be.
    for line in lines {
        output::error_line(line);
    }
    output::error_line(&screen.err.bold("Begin? [y/N]"));
    let key = tokio::task::spawn_blocking(|| console::Term::stderr().read_key());
    match key.await {
        Ok(Ok(console::Key::Char('y' | 'Y'))) => Ok(()),
        _ => Err(CommandError::usage("not begun").help(help)),
    }
}

impl Expected {
    fn is_large(&self) -> bool {
        let Forecast {
            agents,
            output_tokens,
            cost,
            ..
        } = self.forecast;
        agents > AGENTS || output_tokens > OUTPUT_TOKENS || cost > Some(COST)
    }

    /// In words.
    pub(super) fn lines(&self) -> Vec<String> {
        let Forecast {
            agents,
            input_tokens,
            output_tokens,
            cost,
            unpriced_agents,
            from_history,
            history_agents,
            is_least,
            ..
        } = self.forecast;
        let agents_text = match agents {
            1 => "1 agent on models".to_owned(),
            agents => format!("{} agents on models", number(agents)),
        };
        let least = if is_least { "at least " } else { "" };
        let cost = match cost {
            Some(cost) if unpriced_agents > 0 => {
                format!(
                    ", about {cost} without {} of them whose model has no known price",
                    number(unpriced_agents)
                )
            }
            Some(cost) => format!(", about {cost}"),
            None => ", at a price that is not known".to_owned(),
        };
        let mut lines = vec![format!(
            "expected: {least}{agents_text} that read {} and write {} tokens{cost}",
            number(input_tokens),
            number(output_tokens)
        )];
        let runs = match self.runs {
            1 => "1 earlier run".to_owned(),
            runs => format!("{runs} earlier runs"),
        };
        let name = one_line(&self.name, 40);
        lines.push(if from_history > 0 {
            format!(
                "  by {} agents of {runs} of `{name}`",
                number(history_agents)
            )
        } else {
            format!("  no earlier run of `{name}` says more: 20,000 tokens read and 2,000 written are taken for each")
        });
        if is_least {
            lines.push("  with made-up answers the script does not come to its end: `bellwether plan` says where".to_owned());
        }
        lines
    }
}
