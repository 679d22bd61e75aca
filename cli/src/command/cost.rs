//! `bellwether cost`

use std::collections::HashMap;

use bellwether::view::{CostFilter, Money, RunCosts, Timestamp};
use bellwether::{Clock as _, Counted, SystemClock};
use serde::Serialize;

use super::Place;
use super::source::{Question, Source};
use crate::args::cost::{By, Cost, Since};
use crate::error::Result;
use crate::exit_code::ExitCode;
use crate::host::client::parse;
use crate::output::human::number;
use crate::output::paint::{Paint, one_line};
use crate::output::table::{self, Cell, WIDTH};
use crate::output::{self, Screen};
use crate::read::json;

/// A sum of some of what was used.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Sum {
    /// What it is the sum of: a run's id, a workflow, a phase, a model, a day; `null` where that is not known.
    key: Option<String>,
    /// The workflow, where the sum is one run's.
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow: Option<String>,
    /// Runs that are in it.
    runs: u64,
    /// Agents that got their answer.
    agents: u64,
    #[serde(flatten)]
    used: Used,
    /// Output tokens of it whose price is not known.
    unpriced_tokens: u64,
    #[serde(skip)]
    newest_run: Option<String>,
}

/// What was used, as it is printed.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Used {
    input_tokens: u64,
    cached_tokens: u64,
    output_tokens: u64,
    reasoning_tokens: u64,
    /// Calls of a model.
    requests: u64,
    /// In dollars; `null` where no price is known.
    cost: Option<Money>,
}

/// All that is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    by: &'static str,
    rows: Vec<Sum>,
    total: Sum,
}

pub(super) async fn execute(flags: Cost, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &flags.common.journal, None, None)?;
    let (journal, _) = place.config.journal();
    let filter = CostFilter {
        since: flags.since.map(|since| match since {
            Since::Day(day) => day,
            Since::Ago(ago) => {
                let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
                Timestamp(SystemClock.now().saturating_sub(ago)).to_string()
            }
        }),
        ..CostFilter::default()
    };
    let by = flags.by.unwrap_or(match flags.run {
        None => By::Run,
        Some(_) => By::Phase,
    });
    let runs: Vec<RunCosts> = match Source::find(&journal, "cost").await? {
        Some(source) => parse(
            &source
                .ask(Question::Costs(flags.run.as_deref(), &filter))
                .await?,
        )?,
        // A run that is named must be somewhere.
        None if flags.run.is_some() => {
            return Err(super::source::none_there(&journal));
        }
        None => Vec::new(),
    };
    for run in &runs {
        if let Some(damage) = &run.damage {
            let line = format!("{} is left out: {}", run.run_id, one_line(damage, 300));
            screen.note(&format!("{} {line}", screen.err.yellow("warning:")));
        }
    }
    let report = report(&runs, by);
    if flags.common.json {
        output::line(&json(&report)?);
        return Ok(ExitCode::Success);
    }
    if report.rows.is_empty() {
        screen.note("no run has used a model");
        return Ok(ExitCode::Success);
    }
    let mut lines = output::Lines::new();
    for line in table(&report, by, screen.out) {
        if !lines.line(&line) {
            break;
        }
    }
    lines.finish();
    if report.total.unpriced_tokens > 0 {
        screen.note(&screen.err.dim(&format!(
            "{} of the tokens written are of models whose price is not known: see [prices] in docs/models.md",
            number(report.total.unpriced_tokens)
        )));
    }
    Ok(ExitCode::Success)
}

impl Sum {
    fn add(&mut self, run: &str, agents: u64, used: &Counted, unpriced: u64) {
        if self.newest_run.as_deref() != Some(run) {
            self.newest_run = Some(run.to_owned());
            self.runs += 1;
        }
        self.agents += agents;
        self.unpriced_tokens = self.unpriced_tokens.saturating_add(unpriced);
        let sum = &mut self.used;
        for (sum, more) in [
            (&mut sum.input_tokens, used.input_tokens),
            (&mut sum.cached_tokens, used.cached_tokens),
            (&mut sum.output_tokens, used.output_tokens),
            (&mut sum.reasoning_tokens, used.reasoning_tokens),
            (&mut sum.requests, used.requests),
        ] {
            *sum = sum.saturating_add(more);
        }
        sum.cost = Money::sum(sum.cost, Money::of(used));
    }
}

/// The sums. Days are in their order, runs newest first, everything else by what it cost.
fn report(runs: &[RunCosts], by: By) -> Report {
    let mut rows: Vec<Sum> = Vec::new();
    let mut places: HashMap<Option<String>, usize> = HashMap::new();
    let mut total = Sum::default();
    for run in runs {
        let id = run.run_id.to_string();
        for part in &run.parts {
            let key = match by {
                By::Run => Some(id.clone()),
                By::Workflow => Some(run.name.clone()),
                By::Phase => part.phase.as_deref().map(str::to_owned),
                By::Model => part.model.as_deref().map(str::to_owned),
                By::Day => Some(part.day.clone()),
            };
            let place = *places.entry(key.clone()).or_insert_with(|| {
                rows.push(Sum {
                    key,
                    workflow: (by == By::Run).then(|| run.name.clone()),
                    ..Sum::default()
                });
                rows.len() - 1
            });
            for sum in [&mut rows[place], &mut total] {
                sum.add(&id, part.agents, &part.used, part.unpriced_tokens);
            }
        }
    }
    match by {
        By::Run => {}
        By::Day => rows.sort_by(|one, two| one.key.cmp(&two.key)),
        By::Workflow | By::Phase | By::Model => {
            rows.sort_by_key(|row| std::cmp::Reverse((row.used.cost, row.used.output_tokens)));
        }
    }
    Report {
        by: by.name(),
        rows,
        total,
    }
}

impl By {
    const fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Workflow => "workflow",
            Self::Phase => "phase",
            Self::Model => "model",
            Self::Day => "day",
        }
    }
}

fn table(report: &Report, by: By, paint: Paint) -> Vec<String> {
    let row = |sum: &Sum, name: String, is_total: bool| {
        let mut cells = vec![Cell::new(name).painted(move |text| {
            if is_total {
                paint.bold(text)
            } else {
                text.to_owned()
            }
        })];
        if by == By::Run {
            cells.push(Cell::new(one_line(
                sum.workflow.as_deref().unwrap_or_default(),
                24,
            )));
        }
        let Used {
            input_tokens,
            cached_tokens,
            output_tokens,
            cost,
            ..
        } = &sum.used;
        cells.extend([
            Cell::right(number(sum.agents)),
            Cell::right(number(*input_tokens)),
            Cell::right(number(*cached_tokens)),
            Cell::right(number(*output_tokens)),
            Cell::right(money(*cost, sum.unpriced_tokens)).painted(move |text| paint.bold(text)),
        ]);
        cells
    };
    let unknown = match by {
        By::Model => "(not seen)",
        _ => "(no phase)",
    };
    let name = |sum: &Sum| match &sum.key {
        Some(key) => one_line(key, 48),
        None => unknown.to_owned(),
    };
    let mut rows: Vec<Vec<Cell>> = report
        .rows
        .iter()
        .map(|sum| row(sum, name(sum), false))
        .collect();
    if report.rows.len() > 1 {
        rows.push(row(&report.total, "total".to_owned(), true));
    }
    let head = by.name().to_uppercase();
    let mut heads = vec![head.as_str()];
    if by == By::Run {
        heads.push("WORKFLOW");
    }
    heads.extend(["AGENTS", "READ", "CACHED", "WRITTEN", "COST"]);
    table::lines(&heads, rows, usize::from(by == By::Run), WIDTH)
}

/// Money of which some may not be known.
fn money(cost: Option<Money>, unpriced_tokens: u64) -> String {
    match cost {
        Some(cost) if unpriced_tokens > 0 => format!("≥ {cost}"),
        Some(cost) => cost.to_string(),
        None => "?".to_owned(),
    }
}
