//! `cost`.

use clap::{Args, ValueEnum};

use super::Common;

/// `cost`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bellwether cost                   all runs, newest first
  bellwether cost last              one run, by phase
  bellwether cost --by workflow --since 30d
  bellwether cost --by day --json | jq .total.cost

Counted is what the engine saw on the road to the models, else what agents
reported. Money is as good as the prices: those that come with the program and
those under [prices] in the settings. Tokens of models without a price cost
nothing here, and are named.")]
pub(crate) struct Cost {
    /// The run: its id, a unique beginning of it, or `last` [default: all]
    pub(crate) run: Option<String>,
    /// What to sum by [default: run; of one run phase]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) by: Option<By>,
    /// Only runs that were started since: a day such as 2026-11-01 (UTC), or 7d, 24h
    #[arg(long, value_name = "WHEN", value_parser = parse_since, conflicts_with = "run")]
    pub(crate) since: Option<Since>,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What to sum by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    // No doc comments here: help would give each a paragraph.
    Run,
    Workflow,
    Phase,
    Model,
    Day,
}

/// Since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// A day, `2026-11-01`.
    Day(String),
    /// So long ago.
    Ago(std::time::Duration),
}

fn parse_since(text: &str) -> Result<Since, String> {
    if let Ok(day) = text.parse::<jiff::civil::Date>() {
        return Ok(Since::Day(day.to_string()));
    }
    let ago = crate::config::duration::parse(text);
    ago.map(Since::Ago)
        .map_err(|_| format!("`{text}` is no day such as 2026-11-01, and no duration such as 7d"))
}
