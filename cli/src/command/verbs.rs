//! `bellwether pause`, `stop`, `kill`, `skip`, `set`: what is wanted of a live run, from any process.

use bellwether::Status;
use bellwether::view::{RunRow, RunView};

use super::carry::verb;
use super::rewind::calls;
use super::source::{Question, Source};
use super::{Place, caller, proposal};
use crate::args::{OneLive, Pause, Set, Skip, Stop};
use crate::error::Result;
use crate::exit_code::ExitCode;
use crate::host::order::{Done, Verb, Wanted};
use crate::output::{self, Screen};
use crate::read::json;

pub(super) async fn pause(flags: Pause, screen: Screen) -> Result<ExitCode> {
    let Pause { now, live } = flags;
    let done = ask(&live, "pause", screen, |_| Ok(Verb::Pause { now })).await?;
    say(&live, &done, "is pausing", screen)
}

pub(super) async fn kill(flags: OneLive, screen: Screen) -> Result<ExitCode> {
    let done = ask(&flags, "kill", screen, |_| Ok(Verb::Kill)).await?;
    say(&flags, &done, "was killed", screen)
}

pub(super) async fn skip(flags: Skip, screen: Screen) -> Result<ExitCode> {
    let Skip { agents, live } = flags;
    let verb = |view: &RunView| Ok(Verb::SkipAgents(calls(view, &agents)?));
    let done = ask(&live, "skip", screen, verb).await?;
    let what = format!("goes on without {}", agents.join(", "));
    say(&live, &done, &what, screen)
}

pub(super) async fn set(flags: Set, screen: Screen) -> Result<ExitCode> {
    let Set {
        concurrency,
        max_agents,
        live,
    } = flags;
    let verb = |_: &RunView| {
        Ok(Verb::Set {
            concurrency,
            agents: max_agents,
        })
    };
    let done = ask(&live, "set", screen, verb).await?;
    say(&live, &done, "goes on with these limits", screen)
}

pub(super) async fn stop(flags: Stop, screen: Screen) -> Result<ExitCode> {
    let Stop {
        run,
        agents,
        reason,
        common,
    } = flags;
    let live = OneLive {
        run,
        reason,
        common,
    };
    if !agents.is_empty() {
        let verb = |view: &RunView| Ok(Verb::StopAgents(calls(view, &agents)?));
        let done = ask(&live, "stop", screen, verb).await?;
        let what = format!("goes on without {}", agents.join(", "));
        return say(&live, &done, &what, screen);
    }
    let done = ask(&live, "stop", screen, |_| Ok(Verb::Stop)).await?;
    say(&live, &done, "was stopped", screen)
}

/// Asks the holder of the journal; where nobody holds it, no run of it is live.
async fn ask(
    flags: &OneLive,
    purpose: &str,
    screen: Screen,
    make: impl FnOnce(&RunView) -> Result<Verb>,
) -> Result<Done> {
    let place = Place::load(screen, &flags.common.journal, None, None)?;
    let (journal, _) = place.config.journal();
    let source = Source::require(&journal, purpose).await?;
    let client = match &source {
        Source::Held(client) => client,
        Source::Open { .. } => {
            let row: RunRow = source.read(Question::Row(&flags.run)).await?;
            return Ok(Done {
                run_id: row.run_id.to_string(),
                status: row.status,
                was_live: false,
            });
        }
    };
    let view: RunView = source.read(Question::View(&flags.run)).await?;
    let wanted = Wanted {
        verb: make(&view)?,
        by: caller(),
        reason: flags.reason.clone(),
    };
    verb(client, &view.run_id.to_string(), &wanted).await
}

fn say(flags: &OneLive, done: &Done, what: &str, screen: Screen) -> Result<ExitCode> {
    let Done {
        run_id,
        status,
        was_live,
    } = done;
    if flags.common.json {
        output::line(&json(done)?);
    }
    let resume = proposal(&format!("resume {run_id}"), &flags.common.journal);
    let name = status.name();
    let is_over = matches!(status, Status::Stopped | Status::Killed | Status::Paused);
    screen.note(&match (was_live, status.is_final()) {
        (_, true) => format!("run {run_id} is {name}: nothing is left to be done"),
        (true, _) if is_over => format!("run {run_id} is {name}; go on with `{resume}`"),
        (true, _) => format!("run {run_id} {what}"),
        (false, _) => {
            format!("run {run_id} is {name}, no process works on it; go on with `{resume}`")
        }
    });
    Ok(ExitCode::Success)
}
