//! `bellwether logs`

use std::path::Path;
use std::time::Duration;

use bellwether::view::{LogLine, RunRow};
use serde_json::value::RawValue;

use super::Place;
use super::source::{Question, Source};
use crate::args::Logs;
use crate::error::Result;
use crate::exit_code::ExitCode;
use crate::host::client::parse;
use crate::output::{self, Lines, Screen, human};

/// How often a log that is followed is asked for.
const PAUSE: Duration = Duration::from_millis(400);

pub(super) async fn execute(flags: Logs, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &flags.common.journal, None, None)?;
    let (journal, _) = place.config.journal();
    let source = Source::require(&journal, "logs").await?;
    let selector = flags.run.as_deref().unwrap_or("last");
    // `last` may be another run the next time that it is asked for.
    let row: RunRow = source.read(Question::Row(selector)).await?;
    if flags.run.is_none() {
        screen.note(&human::latest(row.run_id, &row.name));
    }
    if flags.follow {
        drop(source);
        return follow(&flags, &journal, &row.run_id.to_string(), screen).await;
    }
    let text = source.ask(Question::Logs(&row.run_id.to_string())).await?;
    drop(source);
    let all: Vec<Box<RawValue>> = parse(&text)?;
    let mut lines = Lines::new();
    if flags.common.json {
        output::array(&mut lines, all.iter().map(|line| line.get()));
    } else {
        show(&mut lines, &all, &flags, screen)?;
    }
    lines.finish();
    Ok(ExitCode::Success)
}

/// Shows what is new until nobody works on the run. The journal is let go of between two questions.
async fn follow(flags: &Logs, journal: &Path, run: &str, screen: Screen) -> Result<ExitCode> {
    let mut shown = 0;
    loop {
        let source = Source::require(journal, "logs").await?;
        // The status first: what is logged afterwards is in the log that is read next.
        let row: RunRow = source.read(Question::Row(run)).await?;
        let text = source.ask(Question::Logs(run)).await?;
        drop(source);
        let all: Vec<Box<RawValue>> = parse(&text)?;
        let mut lines = Lines::new();
        let open = show(
            &mut lines,
            all.get(shown..).unwrap_or_default(),
            flags,
            screen,
        )?;
        lines.finish();
        shown = all.len();
        if !open || !row.status.needs_engine() {
            return Ok(ExitCode::Success);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Shows lines; `false` when nobody reads them any more.
fn show(lines: &mut Lines, all: &[Box<RawValue>], flags: &Logs, screen: Screen) -> Result<bool> {
    for line in all {
        let open = if flags.common.json {
            lines.line(line.get())
        } else {
            let line: LogLine = parse(line.get())?;
            lines.line(&human::log_line(&line, screen.out))
        };
        if !open {
            return Ok(false);
        }
    }
    Ok(true)
}
