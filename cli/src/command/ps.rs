//! `bellwether ps`

use super::Place;
use super::retention::bytes;
use super::source::{Question, Source};
use bellwether::view::RunRow;

use crate::args::Ps;
use crate::error::Result;
use crate::exit_code::ExitCode;
use crate::host::client::parse;
use crate::output::{self, Screen, human};

pub(super) async fn execute(flags: Ps, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &flags.common.journal, None, None)?;
    let (journal, _) = place.config.journal();
    let text = match Source::find(&journal, "ps").await? {
        Some(source) => source.ask(Question::Runs { all: flags.all }).await?,
        None => "[]".to_owned(),
    };
    if flags.common.json {
        output::line(&text);
        return Ok(ExitCode::Success);
    }
    let rows: Vec<RunRow> = parse(&text)?;
    if rows.is_empty() {
        screen.note("no runs: start one with `bellwether run SCRIPT`");
        return Ok(ExitCode::Success);
    }
    let mut lines = output::Lines::new();
    for line in human::runs(&rows, screen.out) {
        if !lines.line(&line) {
            break;
        }
    }
    lines.finish();
    if let Ok(metadata) = std::fs::metadata(&journal) {
        let size = bytes(metadata.len());
        let shown = journal.display();
        screen.note(&screen.err.dim(&format!("{shown}: {size}")));
    }
    Ok(ExitCode::Success)
}
