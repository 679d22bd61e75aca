//! The program `bellwether`.

mod args;
mod command;
mod config;
mod error;
mod exit_code;
mod host;
mod model;
mod output;
mod read;
mod signals;
mod time;

use std::process::ExitCode;

use bellwether_telemetry::{Options, Verbosity};
use clap::Parser as _;

use args::Arguments;
use error::CommandError;
use output::{Screen, Stderr};

fn main() -> ExitCode {
    // First of all: this very program is what starts agents' processes.
    bellwether::child_main();
    error::install_panic_hook();
    let arguments = Arguments::try_parse()
        .unwrap_or_else(|error| flags_of_a_script(&error).unwrap_or_else(|| error.exit()));
    let screen = Screen::detect(arguments.global.color, arguments.global.quiet);
    match run(arguments, screen) {
        Ok(code) => code.into(),
        Err(error) => {
            output::error_line(&screen.err.error(&error.to_string()));
            error.exit_code().into()
        }
    }
}

/// A flag that `run` does not know may be one of its script's: that is seen when the script is read.
fn flags_of_a_script(error: &clap::Error) -> Option<Arguments> {
    let words: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    // Options of every command may stand before it.
    let (before, rest) = words.split_at(words.iter().position(|word| word == "run")?);
    let is_option = |word: &std::ffi::OsString| word.as_encoded_bytes().starts_with(b"-");
    let are_options = before.iter().enumerate().all(|(index, word)| {
        is_option(word)
            || index
                .checked_sub(1)
                .is_some_and(|index| before[index] == "--color")
    });
    let is_unknown = error.kind() == clap::error::ErrorKind::UnknownArgument;
    (are_options && is_unknown).then(|| Arguments {
        global: args::Global::default(),
        command: args::Command::Named(rest.iter().chain(before).cloned().collect()),
    })
}

fn run(arguments: Arguments, screen: Screen) -> error::Result<exit_code::ExitCode> {
    let filter = std::env::var(bellwether_telemetry::FILTER_VARIABLE).ok();
    let options = Options::new(Verbosity(arguments.global.verbose))
        .filter(filter)
        .color(screen.err.0);
    if let Err(error) = bellwether_telemetry::install(&options, || Stderr) {
        // Another program's filter in the environment is no reason not to work.
        screen.note(&format!("{} {error}", screen.err.yellow("warning:")));
    }
    // Scripts and commits run on threads for blocking work: half the cores are enough to direct them, and each step of a
    // script wakes fewer threads.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads((cores / 2).max(1))
        .enable_all()
        .build()
        .map_err(|error| CommandError::host(format!("threads cannot be started: {error}")))?;
    // A panic on this thread has told its story in the hook.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runtime.block_on(command::execute(arguments, screen))
    }));
    // What still blocks (a read of stdin) is not waited for.
    runtime.shutdown_background();
    outcome.unwrap_or(Ok(exit_code::ExitCode::Host))
}
