//! What is wanted of runs that are live, and of the host that carries them out.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::{Common, parse_timeout};

/// `answer`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bellwether answer last yes
  bellwether answer r-7k2m --question a-3 '{\"count\": 2}'

`bellwether show` lists what a run asks, and what may be answered. An answer is
in the journal before this command ends; the same answer twice is one.")]
pub(crate) struct Answer {
    /// The run: its id, a unique beginning of it, or `last`
    pub(crate) run: String,
    /// The question, by id or label [default: the only one that is open]
    #[arg(long, value_name = "QUESTION")]
    pub(crate) question: Option<String>,
    /// The answer: JSON, or else a text as it is
    #[arg(allow_hyphen_values = true)]
    pub(crate) value: String,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `attach`
#[derive(Debug, Args)]
#[command(
    after_help = "On a terminal Ctrl-C asks whether to leave the run to its host or to stop it; a second
one leaves. Without a terminal SIGINT and SIGTERM stop the run, SIGHUP leaves it."
)]
pub(crate) struct Attach {
    /// The run: its id, a unique beginning of it, or `last` [default: last]
    pub(crate) run: Option<String>,
    /// Print each event as one line of JSON; the last line is the run's final object
    #[arg(long)]
    pub(crate) events: bool,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `wait`
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code: as of `run`; 3 when the time is over, or nobody works on the run."
)]
pub(crate) struct Wait {
    /// The run: its id, a unique beginning of it, or `last` [default: last]
    pub(crate) run: Option<String>,
    /// How long to wait [default: until it has ended]
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout)]
    pub(crate) timeout: Option<Duration>,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `pause`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bellwether pause last            agents that are at work finish
  bellwether pause last --now      they are ended, and begin anew when it goes on
  bellwether resume last")]
pub(crate) struct Pause {
    /// End the agents that are at work, too
    #[arg(long)]
    pub(crate) now: bool,
    /// Which run, why, and form.
    #[command(flatten)]
    pub(crate) live: OneLive,
}

/// A live run, and why something is wanted of it.
#[derive(Clone, Debug, Args)]
pub(crate) struct OneLive {
    /// The run: its id, a unique beginning of it, or `last`
    pub(crate) run: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `skip`
#[derive(Debug, Args)]
#[command(after_help = "Example:
  bellwether skip last --agent 'fix b.ts'

The script gets null for it, as for an agent that was stopped; resume and rewind
keep that. `bellwether restart` runs it all the same.")]
pub(crate) struct Skip {
    /// An agent, by id or label; may be given several times
    #[arg(long = "agent", value_name = "AGENT", required = true)]
    pub(crate) agents: Vec<String>,
    /// Which run, why, and form.
    #[command(flatten)]
    pub(crate) live: OneLive,
}

/// `set`
#[derive(Debug, Args)]
#[command(after_help = "Example:
  bellwether set last --concurrency 4

The limits hold from here on, also when the run is resumed.")]
pub(crate) struct Set {
    /// Agents at once; 0 is no limit
    #[arg(long, value_name = "N", required_unless_present = "max_agents")]
    pub(crate) concurrency: Option<u32>,
    /// Agents in all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
    pub(crate) max_agents: Option<u64>,
    /// Which run, why, and form.
    #[command(flatten)]
    pub(crate) live: OneLive,
}

/// `host …`
#[derive(Debug, Subcommand)]
pub(crate) enum Host {
    /// Say which process holds the journal, and what it carries out
    Status(Common),
    /// Stop the runs of the host and let it leave; they can be resumed
    Stop(Common),
    /// Stop the runs of the host, begin a new one of this version, and resume them there
    Restart(Common),
    /// Be the host, until nothing is left to do: commands begin it by themselves
    Serve(Common),
}

/// `stop`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bellwether stop last
  bellwether stop last --agent a-17      that agent only; the run goes on

Waits until the run's agents are gone and all that they had done is in the journal.")]
pub(crate) struct Stop {
    /// The run: its id, a unique beginning of it, or `last`
    pub(crate) run: String,
    /// An agent to stop, by id or label, and not the run; may be given several times
    #[arg(long = "agent", value_name = "AGENT")]
    pub(crate) agents: Vec<String>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
}
