//! `bellwether logs`

use serde_json::value::RawValue;

use super::Place;
use super::source::{Question, Source};
use crate::args::OneRun;
use crate::error::Result;
use crate::exit_code::ExitCode;
use crate::host::client::parse;
use crate::model::{LogLine, Row};
use crate::output::{self, Screen, human};

pub(super) async fn execute(flags: OneRun, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &flags.common.journal, None, None)?;
    let (journal, _) = place.config.journal();
    let source = Source::require(&journal, "logs").await?;
    let run = flags.run.as_deref().unwrap_or("last");
    let text = source.ask(Question::Logs(run)).await?;
    if flags.run.is_none() {
        let row: Row = source.read(Question::Outcome(run)).await?;
        screen.note(&human::latest(&row));
    }
    drop(source);
    let mut lines = output::Lines::new();
    if flags.common.json {
        let all: Vec<Box<RawValue>> = parse(&text)?;
        output::array(&mut lines, all.iter().map(|line| line.get()));
    } else {
        let all: Vec<LogLine> = parse(&text)?;
        for line in &all {
            if !lines.line(&human::log_line(line, screen.out)) {
                break;
            }
        }
    }
    lines.finish();
    Ok(ExitCode::Success)
}
