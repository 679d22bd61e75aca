//! The demonstration: a migration whose engine is killed in the middle, with every number of its
//! report measured.

/// Prints a line; a reader that has gone away (`| head`) is no reason to end in the middle.
macro_rules! say {
    ($($arguments:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($arguments)*);
    }};
}

mod engine;
mod measure;
mod report;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use http_client_migration::discover::{Discovery, discover};
use http_client_migration::repository::Repository;
use http_client_migration::{clock, ledger};

use engine::{Engine, Final};
use measure::{Killed, Resumed};
use workspace::Workspace;

/// How the demonstration is run.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// The program `bellwether`; without it, the one beside this program.
    #[arg(long, value_name = "PROGRAM")]
    bellwether: Option<PathBuf>,
    /// The least time that an agent takes, so that there is a middle to be killed in.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 100)]
    pace: u64,
    /// Agents at once.
    #[arg(long, default_value_t = 4)]
    concurrency: u32,
    /// Where to work; a new folder under the build's target folder without it.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// How long the whole may take before it is given up.
const PATIENCE: Duration = Duration::from_mins(5);

/// Runs the demonstration and says whether everything held.
pub(crate) fn run(arguments: &DemoArguments) -> ExitCode {
    match demonstrate(arguments) {
        Ok(failures) if failures.is_empty() => ExitCode::SUCCESS,
        Ok(failures) => {
            say!("");
            for failure in failures {
                say!("DID NOT HOLD: {failure}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("http-client-migration: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The whole story; gives what did not hold.
fn demonstrate(arguments: &DemoArguments) -> Result<Vec<String>> {
    let started = clock::now();
    let workspace = Workspace::prepare(arguments.folder.as_deref())?;
    let repository = Repository::open(&workspace.service)?;
    let plan = discover(&repository, "", None)?;
    say!(
        "Copied a service of {} JavaScript and TypeScript files to {}",
        plan.scanned + 1,
        workspace::shown(&workspace.service)
    );
    say!(
        "{} of them call the global fetch(), {} in ways that no rule can move; {} get a branch each: a \
         codemod, and a reviewer with another method that is slowed down to {} ms; {} at once.",
        plan.files.len() + plan.refused.len(),
        plan.refused.len(),
        plan.files.len(),
        arguments.pace,
        arguments.concurrency,
    );
    let engine = Engine::find(arguments.bellwether.as_deref(), &workspace)?;
    let killed = kill_at_half(arguments, &engine, &workspace, &plan)?;
    let (resumed, end) = resume(&engine, &workspace, &killed)?;
    say!("{}", report::sentence(&killed, &resumed, &plan));

    let mut failures = measure::check(&killed, &resumed, &end, &plan);
    let took = started.elapsed();
    failures.extend(report::check_checkout(&repository, &plan)?);
    let after = end.report()["after"].as_str();
    let Some(after) = after else {
        failures.push("nothing was landed".to_owned());
        return Ok(failures);
    };
    let patch = workspace.write_patch(&repository, &plan.base, after)?;
    failures.extend(report::check_files(&repository, &plan, after, &end)?);
    report::print(&workspace, &repository, &plan, after, &end, &patch, took)?;
    failures.extend(report::next_commands(
        &engine,
        &workspace,
        &killed.run,
        &end,
    ));
    Ok(failures)
}

/// Starts the migration and kills its engine when half of the files are done.
fn kill_at_half(
    arguments: &DemoArguments,
    engine: &Engine,
    workspace: &Workspace,
    plan: &Discovery,
) -> Result<Killed> {
    let half = plan.files.len() / 2 + 1;
    let started = clock::now();
    let mut run = engine.start(workspace, arguments.pace, arguments.concurrency)?;
    let mut shown = 0;
    let done = loop {
        if started.elapsed() > PATIENCE {
            run.kill()?;
            bail!(
                "half of the files were not done in {} s",
                PATIENCE.as_secs()
            );
        }
        if let Some(status) = run.ended()? {
            bail!(
                "the engine ended before it was killed: {status}\n{}",
                run.last_words()
            );
        }
        let done = measure::files_done(&ledger::read(&workspace.ledger)?);
        if done >= shown + 10 {
            shown = done - done % 10;
            say!("  {done} of {} files done", plan.files.len());
        }
        if done >= half {
            break done;
        }
        clock::pause(Duration::from_millis(2));
    };
    say!(
        "  {done} of {} files done: kill -9 {}",
        plan.files.len(),
        run.process()
    );
    run.kill()?;
    let killed_at = clock::now();
    let left = measure::wait_for_agents(&workspace.ledger, Duration::from_secs(10))?;
    if left > 0 {
        bail!("{left} agent processes outlived their engine");
    }
    say!(
        "  no agent process is left {:.0} ms later",
        killed_at.elapsed().as_secs_f64() * 1e3
    );
    let id = run
        .id()
        .or_else(|| engine.latest())
        .context("the engine never said the run's id")?;
    let shown = engine.ask(&["show", &id])?;
    measure::killed(id, &shown, &ledger::read(&workspace.ledger)?)
}

/// Resumes the run and waits for its end.
fn resume(engine: &Engine, workspace: &Workspace, killed: &Killed) -> Result<(Resumed, Final)> {
    say!("  bellwether resume {}", killed.run);
    let resumed_at = clock::microseconds();
    let mut run = engine.resume(workspace, &killed.run)?;
    let started = clock::now();
    while run.ended()?.is_none() {
        if started.elapsed() > PATIENCE {
            run.kill()?;
            bail!("the resumed run did not end in {} s", PATIENCE.as_secs());
        }
        clock::pause(Duration::from_millis(5));
    }
    let end = run.final_object()?;
    let shown = engine.ask(&["show", &killed.run])?;
    let entries = ledger::read(&workspace.ledger)?;
    let resumed = measure::resumed(killed, resumed_at, &entries, &shown, &end)?;
    Ok((resumed, end))
}
