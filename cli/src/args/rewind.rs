//! `resume`, `restart`, `fork`, `explain`: going on with a run, and what changes then.

use std::path::PathBuf;

use clap::Args;

use super::{AttachFlags, Common, LimitFlags, NotifyFlag};

/// `resume`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bellwether resume                 the latest run
  bellwether resume r-7k2m          a unique beginning of its id is enough
  bellwether resume last --concurrency 4

  bellwether resume last --retry-failed
  bellwether resume last --script edited.js

What was completed is taken from the journal; agents that were at work when
the run was cut off are started again. The journal holds all that a run
needs, its script too.

With --retry-failed, another script or other arguments, and for a run that has
ended with failed agents, the script begins at its first line: calls that have
not changed, and that waited for nothing that has, are answered from the
journal; the others run. `bellwether explain` says before which those are.")]
pub(crate) struct Resume {
    /// The run: its id, a unique beginning of it, or `last` [default: last]
    pub(crate) run: Option<String>,
    /// Run agents again that failed, and what waited for them
    #[arg(long)]
    pub(crate) retry_failed: bool,
    /// What changes.
    #[command(flatten)]
    pub(crate) rewind: RewindFlags,
    /// How it is shown.
    #[command(flatten)]
    pub(crate) attach: AttachFlags,
    /// Who is told.
    #[command(flatten)]
    pub(crate) notify: NotifyFlag,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
    /// Limits.
    #[command(flatten)]
    pub(crate) limits: LimitFlags,
}

/// How a run is rewound.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Rewind")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct RewindFlags {
    /// Another script: its file, or the name of a workflow
    #[arg(long, value_name = "FILE")]
    pub(crate) script: Option<PathBuf>,
    /// Other `args` for the script, as JSON
    #[arg(
        long,
        value_name = "JSON",
        conflicts_with = "args_file",
        allow_hyphen_values = true
    )]
    pub(crate) args: Option<String>,
    /// A file with other `args` as JSON; `-` is stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) args_file: Option<PathBuf>,
    /// Reuse only the calls before the first that differs, in the order in which they were made
    #[arg(long, conflicts_with = "reuse_all")]
    pub(crate) prefix: bool,
    /// Reuse every call of the same content, whatever it waited for
    #[arg(long)]
    pub(crate) reuse_all: bool,
    /// Reuse failures, too
    #[arg(long)]
    pub(crate) keep_failed: bool,
    /// Let merges be done again that were done
    #[arg(long)]
    pub(crate) repeat_merges: bool,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

impl RewindFlags {
    /// Whether any of them asks for a rewind.
    pub(crate) const fn asks(&self) -> bool {
        self.script.is_some()
            || self.args.is_some()
            || self.args_file.is_some()
            || self.prefix
            || self.reuse_all
            || self.keep_failed
            || self.repeat_merges
    }
}

/// `restart`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bellwether restart last --agent a-17
  bellwether restart r-7k2m --agent 'fix b.ts' --agent a-3

An agent that is at work begins anew, with another attempt. One that has ended
runs again, and after it all that waited for it; everything else is answered
from the journal. `bellwether explain last --agent a-17` says before what that is.")]
pub(crate) struct Restart {
    /// The run: its id, a unique beginning of it, or `last`
    pub(crate) run: String,
    /// An agent to run again, by id or label; may be given several times
    #[arg(long = "agent", value_name = "AGENT", required = true)]
    pub(crate) agents: Vec<String>,
    /// What changes.
    #[command(flatten)]
    pub(crate) rewind: RewindFlags,
    /// How it is shown.
    #[command(flatten)]
    pub(crate) attach: AttachFlags,
    /// Who is told.
    #[command(flatten)]
    pub(crate) notify: NotifyFlag,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
    /// Limits.
    #[command(flatten)]
    pub(crate) limits: LimitFlags,
}

/// `fork`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bellwether fork last --script other.js
  bellwether fork r-7k2m --at a-40      as if a-40 and all after it had not been asked for

The run that is forked stays as it is, whatever the new one does.")]
pub(crate) struct Fork {
    /// The run: its id, a unique beginning of it, or `last`
    pub(crate) run: String,
    /// Take over only what had ended before this call was made, by id or label
    #[arg(long, value_name = "AGENT")]
    pub(crate) at: Option<String>,
    /// What changes.
    #[command(flatten)]
    pub(crate) rewind: RewindFlags,
    /// How it is shown.
    #[command(flatten)]
    pub(crate) attach: AttachFlags,
    /// Who is told.
    #[command(flatten)]
    pub(crate) notify: NotifyFlag,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
    /// Limits.
    #[command(flatten)]
    pub(crate) limits: LimitFlags,
}

/// `explain`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bellwether explain last                     what --retry-failed would run
  bellwether explain last --script edited.js
  bellwether explain last --agent a-17        what a restart would run
  bellwether explain r-7k2m --at a-40         what a fork would run

The script is gone through with the answers that the journal has; a call that
would run is taken to answer as it did before, or as its schema says. Shown are
each call that would run and why, and the output tokens that are to be expected.

Exit code: 0 it was explained, 2 it cannot be.")]
pub(crate) struct Explain {
    /// The run: its id, a unique beginning of it, or `last` [default: last]
    pub(crate) run: Option<String>,
    /// An agent that a restart is to run again, by id or label; may be given several times
    #[arg(long = "agent", value_name = "AGENT")]
    pub(crate) agents: Vec<String>,
    /// The call before which a fork is to begin, by id or label
    #[arg(long, value_name = "AGENT", conflicts_with = "agents")]
    pub(crate) at: Option<String>,
    /// Show calls that are reused, too
    #[arg(long, short)]
    pub(crate) all: bool,
    /// As for `resume`, where it changes nothing: what failed runs again in every rewind
    #[arg(long)]
    pub(crate) retry_failed: bool,
    /// What changes.
    #[command(flatten)]
    pub(crate) rewind: RewindFlags,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
    /// Limits.
    #[command(flatten)]
    pub(crate) limits: LimitFlags,
}
