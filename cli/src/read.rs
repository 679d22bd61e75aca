//! The one place where the program reads a journal: over `bellwether::view`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bellwether::store::{self, Position, RedbOptions, RedbStore, StoreError};
use bellwether::view::{Archive, ArchiveError, CostFilter, RunRow, RunView};
use bellwether::{Clock as _, RunId, Store, SystemClock};
use serde::{Deserialize, Serialize};

use crate::error::{CommandError, Result};
use crate::model::Outcome;

/// Runs that `ps` lists beside the unfinished ones.
const LATEST: usize = 20;
/// Records that are read at once.
const PAGE: usize = 1_000;

/// Opens the journal in a file; `create` says whether to begin one when there is none.
///
/// # Errors
/// When it cannot be used.
pub(crate) fn open(path: &Path, create: bool) -> Result<Arc<dyn Store>> {
    let options = if create {
        RedbOptions::default()
    } else {
        RedbOptions::default().existing()
    };
    Ok(Arc::new(RedbStore::open(path, options)?))
}

/// A file that runs were written to.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Exported {
    /// The file.
    pub(crate) file: PathBuf,
    /// The runs.
    pub(crate) runs: Vec<String>,
    /// Its length.
    pub(crate) bytes: u64,
}

/// What a look at a run's records came to.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verified {
    /// The run.
    pub(crate) run_id: String,
    /// How many records it has.
    pub(crate) records: Option<u64>,
    /// The hash over all of them.
    pub(crate) head: Option<String>,
    /// What is not as it was written.
    pub(crate) damage: Option<String>,
}

/// Reads a journal. Every method may wait for the disk.
#[derive(Clone, Debug)]
pub(crate) struct Reader(Archive);

impl Reader {
    /// Reads `store`; `live` says which runs an engine of this process has.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        live: impl Fn(RunId) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self(Archive::new(store).with_live(live))
    }

    /// The run that a text names: its id, a unique beginning of it, or `last`.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub(crate) fn find(&self, text: &str) -> Result<RunId> {
        Ok(self.0.find(text)?)
    }

    /// Runs as a JSON array, newest first: the unfinished and the latest, or all.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn runs(&self, all: bool) -> Result<String> {
        let mut rows = self.rows()?;
        let mut place = 0;
        rows.retain(|row: &RunRow| {
            place += 1;
            all || place <= LATEST || !row.status.is_final()
        });
        json(&rows)
    }

    /// All runs as a list shows them, newest first. No record is read for that.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn rows(&self) -> Result<Vec<RunRow>> {
        Ok(self.0.runs(usize::MAX, SystemClock.now())?)
    }

    /// A run as a list shows it.
    ///
    /// # Errors
    /// When there is none of that id, or it cannot be read.
    pub(crate) fn row(&self, run: RunId) -> Result<RunRow> {
        let found = self.rows()?.into_iter().find(|row| row.run_id == run);
        found.ok_or_else(|| CommandError::usage(format!("no run `{run}` in this journal")))
    }

    /// A run with its phases and agents.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn view(&self, run: RunId) -> Result<RunView> {
        Ok(self.0.view(run, SystemClock.now())?)
    }

    /// A run with its phases and agents, as JSON.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn view_text(&self, run: RunId) -> Result<String> {
        json(&self.view(run)?)
    }

    /// Copies a run into another journal.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub(crate) fn copy_to(&self, run: RunId, to: &dyn Store) -> Result<()> {
        Ok(store::copy(self.0.store(), to, run)?)
    }

    /// Writes a run, and those that it was forked from, to a file of its own: a journal like any other.
    ///
    /// # Errors
    /// When the file is there already or cannot be written, or the run cannot be read.
    pub(crate) fn export(&self, run: RunId, file: &Path) -> Result<Exported> {
        let shown = file.display();
        if file.exists() {
            return Err(CommandError::usage(format!("{shown} is there already"))
                .help("name another file with `--output FILE`"));
        }
        let from = self.0.store();
        let runs = store::with_bases(from, run)?;
        let to = RedbStore::open(file, RedbOptions::default())?;
        let copied = runs.iter().try_for_each(|run| store::copy(from, &to, *run));
        drop(to);
        if let Err(error) = copied {
            // Half a file is none; the first error is the one to tell.
            let _ = std::fs::remove_file(file);
            return Err(error.into());
        }
        let bytes = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
        Ok(Exported {
            file: file.to_path_buf(),
            runs: runs.iter().map(ToString::to_string).collect(),
            bytes,
        })
    }

    /// Whether a run's records are as they were written: how many, and the hash over them, or what is wrong.
    ///
    /// # Errors
    /// When the runs cannot be listed.
    pub(crate) fn verify(&self, run: Option<RunId>) -> Result<String> {
        let runs = match run {
            Some(run) => vec![run],
            None => self.rows()?.into_iter().map(|row| row.run_id).collect(),
        };
        let verified: Vec<Verified> = runs
            .into_iter()
            .map(|run| match self.0.verify(run) {
                Ok((records, head)) => Verified {
                    run_id: run.to_string(),
                    records: Some(records),
                    head: Some(head.to_hex()),
                    damage: None,
                },
                Err(error) => Verified {
                    run_id: run.to_string(),
                    records: None,
                    head: None,
                    damage: Some(error.to_string()),
                },
            })
            .collect();
        json(&verified)
    }

    /// What one run cost, or those that the filter takes, newest first, as a JSON array.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn costs(&self, run: Option<RunId>, filter: &CostFilter) -> Result<String> {
        match run {
            Some(run) => json(&[self.0.costs(run)?]),
            None => json(&self.0.costs_of(filter)?),
        }
    }

    /// How a run ended, or where it stands.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn outcome(&self, run: RunId) -> Result<Outcome> {
        Ok(Outcome::of(self.view(run)?))
    }

    /// How a run ended, or where it stands, as JSON.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn outcome_text(&self, run: RunId) -> Result<String> {
        json(&self.outcome(run)?)
    }

    /// What a run's isolated agents changed, as a JSON array.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn changes(&self, run: RunId) -> Result<String> {
        json(&self.0.changes(run)?)
    }

    /// A run's log as a JSON array.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn logs(&self, run: RunId) -> Result<String> {
        let lines: std::result::Result<Vec<_>, StoreError> =
            self.0.logs(run, Position(0)).collect();
        json(&lines?)
    }

    /// Every record of a run, a JSON object each, until `line` says `false`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn dump(&self, run: RunId, line: &mut dyn FnMut(String) -> bool) -> Result<()> {
        let mut from = Position(0);
        loop {
            let page = self.0.dump(run, from, PAGE)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            from = Position(last.position + 1);
            for record in &page {
                if !line(json(record)?) {
                    return Ok(());
                }
            }
        }
    }
}

/// A value as JSON text.
///
/// # Errors
/// Never for what this module writes; a bug elsewhere is told as one.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| CommandError::host(format!("a bug in bellwether: no JSON: {error}")))
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::InUse { path } => Self::host(format!(
                "the journal {path} is in use by a program that does not serve it"
            ))
            .help(
                "a program that embeds Bellwether may have it: ask that one, or wait until it ends",
            ),
            StoreError::Missing { .. } => Self::usage(error.to_string()),
            _ => Self::host(error.to_string()),
        }
    }
}

impl From<ArchiveError> for CommandError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Store(error) => error.into(),
            ArchiveError::NoRuns => {
                Self::usage(error.to_string()).help("start a run with `bellwether run SCRIPT`")
            }
            _ => Self::usage(error.to_string()),
        }
    }
}
