//! `bellwether gc`, `export`, `import`: which runs a journal keeps, and where else they go.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bellwether::store::{RedbOptions, RedbStore};
use bellwether::view::RunRow;
use bellwether::{Clock as _, RunId, SystemClock, store};
use serde_json::json;

use super::Place;
use super::host::leave;
use super::run::prepare;
use super::source::{Question, Source, none_there};
use crate::args::{Common, Export, Gc, Import};
use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;
use crate::host::client::{parse, segment};
use crate::host::lock::Lock;
use crate::host::reach::{Reached, reach};
use crate::output::{self, Screen};
use crate::read::{self, Exported, Reader, json as to_json};

/// Runs that have ended are kept for so long where nothing else is said.
const KEEP: Duration = Duration::from_hours(30 * 24);

/// Takes the journal for this process alone. A host without runs leaves for that.
async fn take(common: &Common, purpose: &str, screen: Screen) -> Result<(PathBuf, Lock)> {
    let place = Place::load(screen, &common.journal, None, None)?;
    let (journal, _) = place.config.journal();
    if purpose == "import" {
        prepare(&place.config)?;
    } else if !journal.is_file() {
        return Err(none_there(&journal));
    }
    loop {
        match reach(&journal, purpose).await? {
            Reached::Free(lock) => return Ok((journal, lock)),
            Reached::Held(client) if client.host.runs.is_empty() => {
                leave(&client, &journal).await?;
            }
            Reached::Held(client) => {
                let runs = client.host.runs.iter().map(|run| run.run_id.as_str());
                return Err(CommandError::host(format!(
                    "process {} works on {}: the journal cannot be written anew",
                    client.host.claim.pid,
                    runs.collect::<Vec<_>>().join(", ")
                ))
                .help("wait until they have ended, or `bellwether host stop` them: they can be resumed"));
            }
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(CommandError::bug(error)))
}

pub(super) async fn gc(flags: Gc, screen: Screen) -> Result<ExitCode> {
    let (journal, lock) = take(&flags.common, "gc", screen).await?;
    let keep = flags.keep.unwrap_or(KEEP);
    let (keep_last, dry_run) = (flags.keep_last, flags.dry_run);
    let done = blocking(move || collect(&journal, keep, keep_last, dry_run)).await;
    drop(lock);
    let (removed, size) = done?;
    if flags.common.json {
        let removed: Vec<String> = removed.iter().map(|row| row.run_id.to_string()).collect();
        let text = json!({
            "removed": removed,
            "dryRun": dry_run,
            "bytesBefore": size.map(|(before, _)| before),
            "bytesAfter": size.map(|(_, after)| after),
        });
        output::line(&text.to_string());
    } else {
        for row in &removed {
            output::line(&format!(
                "{}  {}  {}",
                row.run_id,
                row.status.name(),
                row.name
            ));
        }
    }
    let runs = match removed.len() {
        1 => "1 run".to_owned(),
        runs => format!("{runs} runs"),
    };
    screen.note(&match size {
        Some((before, after)) => {
            format!("removed {runs}: {} to {}", bytes(before), bytes(after))
        }
        None if dry_run => format!("{runs} would be removed"),
        None => "nothing is old enough to be removed".to_owned(),
    });
    Ok(ExitCode::Success)
}

/// A number of bytes for a person.
pub(super) fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}

type Collected = (Vec<RunRow>, Option<(u64, u64)>);

fn collect(journal: &Path, keep: Duration, keep_last: usize, dry_run: bool) -> Result<Collected> {
    let opened = read::open(journal, false)?;
    let now = SystemClock.now();
    let since = now.saturating_sub(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX));
    let rows = Reader::new(std::sync::Arc::clone(&opened), |_| false).rows()?;
    let mut kept: BTreeSet<RunId> = BTreeSet::new();
    for (place, row) in rows.iter().enumerate() {
        let is_old = row.started_at.0.saturating_add(row.duration_ms) < since;
        if place < keep_last || !row.status.is_final() || !is_old {
            kept.extend(store::with_bases(&*opened, row.run_id)?);
        }
    }
    let removed: Vec<RunRow> = rows
        .into_iter()
        .filter(|row| !kept.contains(&row.run_id))
        .collect();
    drop(opened);
    if dry_run || removed.is_empty() {
        return Ok((removed, None));
    }
    let kept: Vec<RunId> = kept.into_iter().collect();
    let written = RedbStore::rewrite(journal, RedbOptions::default(), &kept)?;
    Ok((removed, Some((written.bytes_before, written.bytes_after))))
}

pub(super) async fn export(flags: Export, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &flags.common.journal, None, None)?;
    let (journal, _) = place.config.journal();
    let source = Source::require(&journal, "export").await?;
    let selector = flags.run.as_deref().unwrap_or("last");
    let row: RunRow = source
        .read(Question::Row(&resolved(&source, selector).await?))
        .await?;
    let name = format!("{}.journal", row.run_id);
    let file = place
        .directory
        .join(flags.output.unwrap_or_else(|| name.into()));
    let exported: Exported = match source {
        Source::Held(client) => {
            let path = format!("/v1/runs/{}/export", segment(&row.run_id.to_string()));
            parse(&client.post(&path, &json!({ "file": file })).await?)?
        }
        Source::Open { ref reader, .. } => {
            let (run, reader) = (row.run_id, reader.clone());
            blocking(move || reader.export(run, &file)).await?
        }
    };
    if flags.common.json {
        output::line(&to_json(&exported)?);
    } else {
        output::line(&exported.file.display().to_string());
    }
    screen.note(&format!(
        "run {} is in {} ({})",
        exported.runs.join(" and "),
        exported.file.display(),
        bytes(exported.bytes)
    ));
    Ok(ExitCode::Success)
}

/// The id that a selector means.
async fn resolved(source: &Source, selector: &str) -> Result<String> {
    let outcome: crate::model::Outcome = source.read(Question::Outcome(selector)).await?;
    Ok(outcome.run_id.to_string())
}

pub(super) async fn import(flags: Import, screen: Screen) -> Result<ExitCode> {
    let file = flags.file.clone();
    if !file.is_file() {
        return Err(CommandError::usage(format!(
            "there is no file {}",
            file.display()
        )));
    }
    let (journal, lock) = take(&flags.common, "import", screen).await?;
    let done = blocking(move || take_over(&file, &journal)).await;
    drop(lock);
    let (imported, known) = done?;
    if flags.common.json {
        output::line(&json!({ "imported": imported, "known": known }).to_string());
    }
    for run in &imported {
        screen.note(&format!("run {run} is in the journal now"));
    }
    for run in &known {
        screen.note(&format!(
            "run {run} is there already, and was left as it is"
        ));
    }
    Ok(ExitCode::Success)
}

/// The runs that were taken over, and those that were there already.
fn take_over(file: &Path, journal: &Path) -> Result<(Vec<String>, Vec<String>)> {
    let from = RedbStore::open(file, RedbOptions::default().existing())?;
    let to = read::open(journal, true)?;
    let runs = Reader::new(std::sync::Arc::new(from), |_| false);
    let (mut imported, mut known) = (Vec::new(), Vec::new());
    for row in runs.rows()? {
        let run = row.run_id;
        if to.summary(run)?.is_some() {
            known.push(run.to_string());
            continue;
        }
        runs.copy_to(run, &*to)?;
        imported.push(run.to_string());
    }
    Ok((imported, known))
}
