//! `bellwether journal dump`, `journal verify`, `trail`

use bellwether::view::{DumpLine, RunRow};

use super::Place;
use super::source::{Question, Source};
use crate::args::OneRun;
use crate::error::Result;
use crate::exit_code::ExitCode;
use crate::host::client::parse;
use crate::output::paint::plain;
use crate::output::{self, Lines, Screen, human};
use crate::read::{Verified, json};
use crate::time::date_and_clock;

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

/// Who did what: the records that say so.
const TRAIL: [&str; 6] = [
    "RunStarted",
    "GenerationRewound",
    "StatusChanged",
    "Ordered",
    "Recovered",
    "RunEnded",
];

pub(super) async fn trail(flags: OneRun, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &flags.common.journal, None, None)?;
    let (journal, _) = place.config.journal();
    let source = Source::require(&journal, "trail").await?;
    let run = flags.run.as_deref().unwrap_or("last");
    if flags.run.is_none() {
        let row: RunRow = source.read(Question::Row(run)).await?;
        screen.note(&human::latest(row.run_id, &row.name));
    }
    let mut found: Vec<DumpLine> = Vec::new();
    source
        .dump(run, &mut |record| {
            if let Ok(line) = parse::<DumpLine>(record)
                && TRAIL.contains(&line.kind.as_str())
            {
                found.push(line);
            }
            true
        })
        .await?;
    if flags.common.json {
        output::line(&json(&found)?);
        return Ok(ExitCode::Success);
    }
    let mut lines = Lines::new();
    for line in found {
        let at = date_and_clock(&line.at.to_string());
        let by = line.record["by"].as_str();
        let by = by
            .or_else(|| line.record["startedBy"].as_str())
            .unwrap_or("engine");
        let (at, by) = (screen.out.dim(&at), screen.out.cyan(&plain(by)));
        if !lines.line(&format!("{at}  {by}  {}", plain(&deed(&line)))) {
            break;
        }
    }
    lines.finish();
    Ok(ExitCode::Success)
}

/// What was done, and why.
fn deed(line: &DumpLine) -> String {
    let record = &line.record;
    let text = |name: &str| record[name].as_str().unwrap_or_default();
    let what = match line.kind.as_str() {
        "RunStarted" => format!("started {}", text("name")),
        "GenerationRewound" => format!("rewound it: generation {}", record["number"]),
        "StatusChanged" => text("status").to_owned(),
        "Ordered" => {
            let words = ["verb", "agentId"].map(|name| record["order"][name].as_str());
            let limits = ["concurrency", "maxAgents"].into_iter().filter_map(|name| {
                let limit = record["order"][name].as_u64()?;
                Some(format!("{name} {limit}"))
            });
            let words = words.into_iter().flatten().map(str::to_owned);
            words.chain(limits).collect::<Vec<_>>().join(" ")
        }
        "Recovered" => "went on from the journal".to_owned(),
        _ => format!("ended {}", text("status")),
    };
    match record["reason"].as_str() {
        Some(reason) => format!("{what}: {reason}"),
        None => what,
    }
}

pub(super) async fn verify(flags: OneRun, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &flags.common.journal, None, None)?;
    let (journal, _) = place.config.journal();
    let source = Source::require(&journal, "journal verify").await?;
    let verified = source.ask(Question::Verify(flags.run.as_deref())).await?;
    let runs: Vec<Verified> = parse(&verified)?;
    if flags.common.json {
        output::line(&verified);
    } else {
        for run in &runs {
            output::line(&match (&run.damage, run.records, &run.head) {
                (Some(damage), ..) => {
                    format!("{}  {}", run.run_id, screen.out.red(&plain(damage)))
                }
                (None, records, head) => format!(
                    "{}  {}  {} records  {}",
                    run.run_id,
                    screen.out.green("whole"),
                    records.unwrap_or_default(),
                    head.as_deref().unwrap_or_default()
                ),
            });
        }
    }
    let damaged = runs.iter().filter(|run| run.damage.is_some()).count();
    screen.note(&format!(
        "{} of {} runs are whole",
        runs.len() - damaged,
        runs.len()
    ));
    Ok(if damaged == 0 {
        ExitCode::Success
    } else {
        ExitCode::Failed
    })
}
