//! `bellwether journal dump`

use bellwether::view::{DumpLine, RunRow};

use super::Place;
use super::source::{Question, Source};
use crate::args::OneRun;
use crate::error::Result;
use crate::exit_code::ExitCode;
use crate::host::client::parse;
use crate::output::paint::plain;
use crate::output::{Lines, Screen, human};

pub(super) async fn dump(flags: OneRun, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &flags.common.journal, None, None)?;
    let (journal, _) = place.config.journal();
    let source = Source::require(&journal, "journal dump").await?;
    let run = flags.run.as_deref().unwrap_or("last");
    if flags.run.is_none() {
        let row: RunRow = source.read(Question::Row(run)).await?;
        screen.note(&human::latest(row.run_id, &row.name));
    }
    let mut lines = Lines::new();
    if flags.common.json {
        // One JSON document, a record a line.
        let mut first = true;
        source
            .dump(run, &mut |record| {
                let before = if std::mem::take(&mut first) {
                    "[\n"
                } else {
                    ",\n"
                };
                lines.text(before) && lines.text(record)
            })
            .await?;
        lines.line(if first { "[]" } else { "\n]" });
    } else {
        source
            .dump(run, &mut |record| match parse::<DumpLine>(record) {
                Ok(record) => lines.line(&plain(&record.text)),
                // Another version's record: as it came.
                Err(_) => lines.line(&plain(record)),
            })
            .await?;
    }
    lines.finish();
    Ok(ExitCode::Success)
}
