//! The agents of the migration and its demonstration, as one program.
#![expect(
    clippy::print_stderr,
    reason = "the demonstration speaks to a terminal"
)]

mod demo;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use http_client_migration::agent::{self, Manner};
use http_client_migration::check::{Checked, check};
use http_client_migration::repository::Repository;

/// Moves a repository from `fetch()` to one HTTP client by a fan-out of agents.
#[derive(Debug, Parser)]
#[command(name = "http-client-migration")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Works as an agent: a task on standard input, the answer on standard output.
    Agent(AgentArguments),
    /// Checks a tree: every source parses, and whoever uses the client imports it.
    Check(CheckArguments),
    /// Migrates a copy of the service, kills the engine in the middle and goes on.
    Demo(demo::DemoArguments),
}

#[derive(Debug, Args)]
struct AgentArguments {
    /// Many tasks in one process: one JSON a line both ways.
    #[arg(long)]
    lines: bool,
    /// Where to write down when a task begins and ends.
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// The least time that a task takes.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    pace: u64,
}

#[derive(Debug, Args)]
struct CheckArguments {
    /// The client's module, from the folder.
    #[arg(long, value_name = "FILE")]
    client: String,
    /// The tree, which is under git.
    #[arg(default_value = ".")]
    folder: PathBuf,
}

fn main() -> ExitCode {
    match Arguments::parse().what {
        What::Agent(arguments) => work(arguments),
        What::Check(arguments) => verify_tree(&arguments),
        What::Demo(arguments) => demo::run(&arguments),
    }
}

fn work(arguments: AgentArguments) -> ExitCode {
    let AgentArguments {
        lines,
        ledger,
        pace,
    } = arguments;
    let manner = Manner {
        ledger,
        pace: Duration::from_millis(pace),
    };
    let (input, output) = (io::stdin().lock(), io::stdout().lock());
    let end = if lines {
        agent::lines(input, output, &manner)
    } else {
        agent::once(input, output, &manner)
    };
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("http-client-migration: {error}");
            ExitCode::FAILURE
        }
    }
}

fn verify_tree(arguments: &CheckArguments) -> ExitCode {
    let repository = Repository::open(&arguments.folder);
    match repository.and_then(|repository| check(&repository, &arguments.client)) {
        Ok(checked) => {
            let Checked { files, uses } = checked;
            eprintln!("{files} files parse; the client is used {uses} times");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
