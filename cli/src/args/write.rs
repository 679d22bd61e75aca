//! `write`: a script for a task in plain words.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{AgentFlags, AttachFlags, Common, LimitFlags, NotifyFlag};

/// `write`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bellwether write 'document every public function of the parser, and prove it builds'
  bellwether write 'find races in the scheduler' --size large --output races.js
  bellwether write 'move all tests to vitest' --verify 'npm test' --run

An agent looks at the repository, decides whether the task is worth a workflow,
and writes the script; what `check` and `plan` find in it goes back, up to five
times. The file's path goes to stdout: read it and change what you like. Without
--verify you are asked which command proves success; answer with `bellwether
answer`. A script that still has errors is written too, is not run, and the exit
code is 1.")]
pub(crate) struct Write {
    /// What is to be done, in plain words
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) task: String,
    /// How much it may take: some 10 agents, some 50, or some hundreds
    #[arg(long, value_enum, default_value_t, value_name = "SIZE")]
    pub(crate) size: Size,
    /// The command line that proves success
    #[arg(long, value_name = "COMMAND", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) verify: Option<String>,
    /// The file to write [default: the workflow's name in the project's .bellwether/workflows]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace the file when it is there; else another name is taken
    #[arg(long)]
    pub(crate) force: bool,
    /// Run the script at once when it holds
    #[arg(long)]
    pub(crate) run: bool,
    /// How it is shown.
    #[command(flatten)]
    pub(crate) attach: AttachFlags,
    /// Who is told.
    #[command(flatten)]
    pub(crate) notify: NotifyFlag,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
    /// Who works.
    #[command(flatten)]
    pub(crate) agents: AgentFlags,
    /// Limits.
    #[command(flatten)]
    pub(crate) limits: LimitFlags,
}

/// How much a task may take. What each means stands in `scripts/library/write.js`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Size {
    // No doc comments: each would be help of its own for one word.
    Small,
    #[default]
    Medium,
    Large,
}
