//! `bellwether journal dump`

use super::Place;
use super::source::{Question, Source};
use crate::args::OneRun;
use crate::error::Result;
use crate::exit_code::ExitCode;
use crate::model::Row;
use crate::output::{self, Screen, human};

pub(super) async fn dump(flags: OneRun, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &flags.common.journal, None, None)?;
    let (journal, _) = place.config.journal();
    let source = Source::require(&journal, "journal dump").await?;
    let run = flags.run.as_deref().unwrap_or("last");
    if flags.run.is_none() {
        let row: Row = source.read(Question::Outcome(run)).await?;
        screen.note(&human::latest(&row));
    }
    let mut lines = output::Lines::new();
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
            .dump(run, &mut |record| {
                lines.line(&human::record(record, screen.out))
            })
            .await?;
    }
    lines.finish();
    Ok(ExitCode::Success)
}
