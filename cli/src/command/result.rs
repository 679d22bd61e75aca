//! `bellwether result`

use super::source::{Question, Source};
use super::{Place, proposal};
use crate::args::OneRun;
use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;
use crate::host::client::parse;
use crate::model::Outcome;
use crate::output::{self, Screen, human};

pub(super) async fn execute(flags: OneRun, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &flags.common.journal, None, None)?;
    let (journal, _) = place.config.journal();
    let source = Source::require(&journal, "result").await?;
    let run = flags.run.as_deref().unwrap_or("last");
    let text = source.ask(Question::Outcome(run)).await?;
    drop(source);
    let outcome: Outcome = parse(&text)?;
    if flags.run.is_none() {
        screen.note(&human::latest(outcome.run_id, &outcome.name));
    }
    if flags.common.json {
        output::line(&text);
    }
    let id = &outcome.run_id;
    if !outcome.status.is_final() {
        let status = outcome.status.name();
        let again = if outcome.status.needs_engine() {
            proposal(&format!("show {id}"), &flags.common.journal)
        } else {
            proposal(&format!("resume {id}"), &flags.common.journal)
        };
        return Err(CommandError::exit(
            ExitCode::Unfinished,
            format!("run {id} is {status}: it has no result yet"),
        )
        .help(format!("`{again}`")));
    }
    if let Some(error) = &outcome.error {
        let text = human::script_error(error);
        return Err(CommandError::exit(
            ExitCode::Failed,
            format!("run {id} failed: {text}"),
        ));
    }
    if !flags.common.json {
        output::line(&human::value(outcome.result.as_deref()));
    }
    Ok(ExitCode::Success)
}
