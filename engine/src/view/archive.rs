//! Runs as a store has them, whether an engine is there or not. Every method reads the store, so it may block on a disk.

use std::fmt;
use std::sync::Arc;

use bellwether_journal::error::{Damage, StoreError};
use bellwether_journal::id::{CallNumber, Position, RunId};
use bellwether_journal::key::Digest;
use bellwether_journal::read;
use bellwether_journal::record::{Millis, ScriptError, Status};
use bellwether_journal::state::RunState;
use bellwether_journal::store::Store;

use super::changes::ChangesView;
use super::costs::{CostFilter, Costs, RunCosts};
use super::dump::DumpLine;
use super::logs::{self, LogLine, LogLines};
use super::questions::Question;
use super::rows::{RunRow, shown_status};
use super::run::{RunView, find_call};

/// Candidates that an error names at most.
const CANDIDATES_MAX: usize = 10;

/// Why a run could not be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The journal is empty.
    #[error("the journal has no runs")]
    NoRuns,
    /// No run is meant by the text.
    #[error("no run `{text}` in this journal; `ps --all` lists all there are")]
    UnknownRun {
        /// What was asked for.
        text: String,
    },
    /// Several runs are meant by the text.
    #[error("`{text}` may be any of {}; give more of the id", list(candidates, *total))]
    AmbiguousRun {
        /// What was asked for.
        text: String,
        /// The newest of the runs whose ids begin so.
        candidates: Vec<String>,
        /// How many there are.
        total: usize,
    },
    /// No agent is meant by the text.
    #[error("no agent `{text}` in {run}; `show {run}` lists all there are")]
    UnknownAgent {
        /// The run.
        run: RunId,
        /// What was asked for.
        text: String,
    },
    /// Several agents have the label.
    #[error("`{text}` may be any of {}; give the agent's id", list(candidates, candidates.len()))]
    AmbiguousAgent {
        /// What was asked for.
        text: String,
        /// The agents with this label.
        candidates: Vec<String>,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn list(candidates: &[String], total: usize) -> String {
    let shown = &candidates[..candidates.len().min(CANDIDATES_MAX)];
    let more = if total > shown.len() { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// What a run gave.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RunResult {
    /// How the run stands.
    pub status: Status,
    /// The script's value as JSON text, as it came.
    pub result: Option<Arc<str>>,
    /// What the script threw, or why the run was ended.
    pub error: Option<ScriptError>,
}

/// The runs of a store.
#[derive(Clone)]
pub struct Archive {
    store: Arc<dyn Store>,
    live: Arc<dyn Fn(RunId) -> bool + Send + Sync>,
}

impl fmt::Debug for Archive {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Archive").finish_non_exhaustive()
    }
}

impl Archive {
    /// The runs of a store that no engine has.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            live: Arc::new(|_| false),
        }
    }

    /// The store behind it.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// With an engine, which says of each run whether it has it.
    #[must_use]
    pub fn with_live(self, live: impl Fn(RunId) -> bool + Send + Sync + 'static) -> Self {
        Self {
            live: Arc::new(live),
            ..self
        }
    }

    /// The newest runs, at most `limit`, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub fn runs(&self, limit: usize, now: Millis) -> Result<Vec<RunRow>, StoreError> {
        let mut rows = Vec::new();
        for summary in read::summaries(&*self.store) {
            let (run, mut summary) = summary?;
            let live = (self.live)(run);
            if !live && summary.status.needs_engine() {
                // It may have ended between the look at the journal and the one at the engine.
                summary = read::summary(&*self.store, run)?.unwrap_or(summary);
            }
            rows.push(RunRow::new(run, &summary, live, now));
        }
        rows.sort_by_key(|row| std::cmp::Reverse((row.started_at, row.run_id)));
        rows.truncate(limit);
        Ok(rows)
    }

    /// The runs that go on when somebody resumes them, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub fn unfinished(&self, now: Millis) -> Result<Vec<RunRow>, StoreError> {
        let mut rows = self.runs(usize::MAX, now)?;
        rows.retain(|row| !row.status.is_final());
        Ok(rows)
    }

    /// The run that `text` means: its id, the beginning of its id (with or without `r-`) if no other begins so, or `last`
    /// for the newest.
    ///
    /// # Errors
    /// [`ArchiveError`] names the candidates when there are several.
    pub fn find(&self, text: &str) -> Result<RunId, ArchiveError> {
        if text == "last" {
            let newest = self.runs(1, 0)?.pop().ok_or(ArchiveError::NoRuns)?;
            return Ok(newest.run_id);
        }
        let unknown = || ArchiveError::UnknownRun {
            text: text.to_owned(),
        };
        if let Ok(run) = text.parse() {
            return if self.store.summary(run)?.is_some() {
                Ok(run)
            } else {
                Err(unknown())
            };
        }
        let digits = text.strip_prefix("r-").unwrap_or(text);
        let prefix = format!("r-{digits}");
        let candidates: Vec<RunId> = self
            .runs(usize::MAX, 0)?
            .into_iter()
            .map(|row| row.run_id)
            .filter(|run| !digits.is_empty() && run.to_string().starts_with(&prefix))
            .collect();
        match candidates.as_slice() {
            [] => Err(unknown()),
            [run] => Ok(*run),
            several => Err(ArchiveError::AmbiguousRun {
                text: text.to_owned(),
                candidates: several
                    .iter()
                    .take(CANDIDATES_MAX)
                    .map(RunId::to_string)
                    .collect(),
                total: several.len(),
            }),
        }
    }

    /// A run's state.
    ///
    /// # Errors
    /// [`ArchiveError::UnknownRun`], or [`StoreError`] when it cannot be read.
    pub(crate) fn state(&self, run: RunId) -> Result<RunState, ArchiveError> {
        let state = read::load_state(&*self.store, run)?;
        if state.started.is_none() {
            return Err(ArchiveError::UnknownRun {
                text: run.to_string(),
            });
        }
        Ok(state)
    }

    /// The call of a run that `text` means: `a-<number>`, or the label of exactly one call.
    ///
    /// # Errors
    /// [`ArchiveError`] names the candidates when there are several.
    pub fn find_call(&self, run: RunId, text: &str) -> Result<CallNumber, ArchiveError> {
        find_call(&self.state(run)?, text)
    }

    /// A run with everything in it.
    ///
    /// # Errors
    /// [`ArchiveError::UnknownRun`], or [`StoreError`] when it cannot be read.
    pub fn view(&self, run: RunId, now: Millis) -> Result<RunView, ArchiveError> {
        // A run that ends meanwhile was live, so it is not taken for interrupted.
        let was_live = (self.live)(run);
        let state = self.state(run)?;
        let result = self.value(&state)?;
        let live = was_live || (self.live)(run);
        let mut view = RunView::new(&state, live, now, result.as_deref());
        view.questions = Question::open(&*self.store, &state)?;
        Ok(view)
    }

    /// What a run gave; both are `None` when it has not ended.
    ///
    /// # Errors
    /// [`ArchiveError::UnknownRun`], or [`StoreError`] when it cannot be read.
    pub fn result(&self, run: RunId) -> Result<RunResult, ArchiveError> {
        let was_live = (self.live)(run);
        let state = self.state(run)?;
        Ok(RunResult {
            status: shown_status(state.status, was_live || (self.live)(run)),
            result: self.value(&state)?,
            error: state.error,
        })
    }

    /// What a run's isolated agents changed, in call order, with the patches.
    ///
    /// # Errors
    /// [`ArchiveError::UnknownRun`], or [`StoreError`] when it cannot be read.
    pub fn changes(&self, run: RunId) -> Result<Vec<ChangesView>, ArchiveError> {
        let state = self.state(run)?;
        Ok(ChangesView::of_run(&*self.store, &state)?)
    }

    /// What a run's agents used and cost.
    ///
    /// # Errors
    /// [`ArchiveError::UnknownRun`], or [`StoreError`] when it cannot be read.
    pub fn costs(&self, run: RunId) -> Result<RunCosts, ArchiveError> {
        let mut costs = Costs::new(run);
        for entry in read::entries(&*self.store, run, Position(0)) {
            let told = costs.add(&entry?);
            told.map_err(|illegal| StoreError::from(Damage::new(format!("{run}: {illegal}"))))?;
        }
        costs.end().ok_or_else(|| ArchiveError::UnknownRun {
            text: run.to_string(),
        })
    }

    /// The same of many runs, newest first. A damaged one is told as such and keeps nobody from the others.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub fn costs_of(&self, filter: &CostFilter) -> Result<Vec<RunCosts>, ArchiveError> {
        let is_meant = |row: &RunRow| {
            let name = filter.name.as_ref().is_none_or(|name| *name == row.name);
            let day = row.started_at.to_string();
            name && filter
                .since
                .as_ref()
                .is_none_or(|since| day.as_str() >= since.as_str())
        };
        let rows = self.runs(usize::MAX, 0)?.into_iter().filter(is_meant);
        rows.take(filter.limit.unwrap_or(usize::MAX))
            .map(|row| match self.costs(row.run_id) {
                Err(ArchiveError::Store(StoreError::Damage(damage))) => {
                    Ok(RunCosts::damaged(&row, damage.to_string()))
                }
                costs => costs,
            })
            .collect()
    }

    fn value(&self, state: &RunState) -> Result<Option<Arc<str>>, StoreError> {
        let Some((position, text)) = &state.result else {
            return Ok(None);
        };
        read::resolve(&*self.store, state.id, *position, text).map(Some)
    }

    /// Checks that no record of a run was changed, lost or moved, and that none is missing at its end: how many there are,
    /// and the hash over all of them.
    ///
    /// # Errors
    /// [`StoreError`] names what is not as it was written.
    pub fn verify(&self, run: RunId) -> Result<(u64, Digest), StoreError> {
        let missing = || Damage::new(format!("there is no run {run}"));
        let summary = read::summary(&*self.store, run)?.ok_or_else(missing)?;
        let (next, head) = read::verify(&*self.store, run)?;
        if next < summary.next {
            let what = format!(
                "run {run} has {} records and {} are there: its end is cut off",
                summary.next, next
            );
            return Err(Damage::new(what).into());
        }
        if next == summary.next && head != summary.head {
            let what = format!("run {run}: its records are not those that were written");
            return Err(Damage::new(what).into());
        }
        // What is behind the summary was written by whoever is at work on the run just now.
        Ok((next.0, head))
    }

    /// A run's log from the record at `from` on; ends behind the first error.
    pub fn logs(
        &self,
        run: RunId,
        from: Position,
    ) -> impl Iterator<Item = Result<LogLine, StoreError>> {
        let mut lines = LogLines::new(run);
        // Who an agent is was said before `from`, so the run is read from its beginning.
        read::entries(&*self.store, run, Position(0)).filter_map(move |entry| {
            let line = entry.and_then(|entry| Ok(lines.line(&entry)?));
            line.transpose()
                .filter(|line| line.as_ref().map_or(true, |line| logs::is_from(line, from)))
        })
    }

    /// A run's records from `from` on, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub fn dump(
        &self,
        run: RunId,
        from: Position,
        limit: usize,
    ) -> Result<Vec<DumpLine>, StoreError> {
        read::entries(&*self.store, run, from)
            .take(limit)
            .map(|entry| entry.map(|entry| DumpLine::new(&entry)))
            .collect()
    }
}
