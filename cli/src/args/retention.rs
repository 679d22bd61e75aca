//! `gc`, `export`, `import`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Common, parse_timeout};

/// `gc`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bellwether gc --dry-run
  bellwether gc --keep 30d --keep-last 20

Removed are runs that have ended for good, whole or not at all; those that can be
resumed stay, and so do those that a run which stays was forked from. The journal
is written anew and put in its place, so that the file shrinks.")]
pub(crate) struct Gc {
    /// Keep runs that ended within this time [default: 30d]
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout)]
    pub(crate) keep: Option<Duration>,
    /// Keep the newest so many runs, however old
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) keep_last: usize,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `export`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bellwether export last
  bellwether export r-7k2m --output migration.journal
  bellwether show --journal migration.journal

The file is a journal like any other, with this run and those that it was forked
from. Worktrees and branches are not in it; patches are.")]
pub(crate) struct Export {
    /// The run: its id, a unique beginning of it, or `last` [default: last]
    pub(crate) run: Option<String>,
    /// The file [default: the run's id and `.journal`]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `import`
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file that `export` wrote
    pub(crate) file: PathBuf,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
}
