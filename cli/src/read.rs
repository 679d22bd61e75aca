//! The one place where the program reads a journal: over `bellwether::view`.

use std::path::Path;
use std::sync::Arc;

use bellwether::{RunId, Store};

use crate::error::{CommandError, Result};
use crate::model::Row;

/// Reads a journal. Every method may wait for the disk.
#[derive(Clone)]
pub(crate) struct Reader {
    store: Arc<dyn Store>,
    live: Arc<dyn Fn(RunId) -> bool + Send + Sync>,
}

/// What a run was started with, as the journal has it.
pub(crate) struct Started {
    /// The script's file as the caller gave it.
    pub(crate) path: Option<String>,
    /// Where the run was started.
    pub(crate) directory: String,
    /// The script's text.
    pub(crate) script: Arc<str>,
}

/// Opens the journal in a file.
pub(crate) fn open(_path: &Path) -> Result<Arc<dyn Store>> {
    Err(CommandError::host("journals are not read yet"))
}

impl Reader {
    /// Reads `store`; `live` says which runs an engine of this process has.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        live: impl Fn(RunId) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            store,
            live: Arc::new(live),
        }
    }

    /// The run that a text names: its id, a unique beginning of it, or `last`.
    pub(crate) fn find(&self, _text: &str) -> Result<RunId> {
        let _ = (&self.store, &self.live);
        Err(CommandError::host("journals are not read yet"))
    }

    /// Runs as a JSON array, newest first: the unfinished and the latest, or all.
    pub(crate) fn runs(&self, _all: bool) -> Result<String> {
        Err(CommandError::host("journals are not read yet"))
    }

    /// One run in a line.
    pub(crate) fn row(&self, _run: RunId) -> Result<Row> {
        Err(CommandError::host("journals are not read yet"))
    }

    /// A run's name; empty when it cannot be read.
    pub(crate) fn name(&self, run: RunId) -> String {
        self.row(run).map(|row| row.name).unwrap_or_default()
    }

    /// A run with its phases and agents, as JSON.
    pub(crate) fn view(&self, _run: RunId) -> Result<String> {
        Err(CommandError::host("journals are not read yet"))
    }

    /// A run's final object, as JSON.
    pub(crate) fn outcome(&self, _run: RunId) -> Result<String> {
        Err(CommandError::host("journals are not read yet"))
    }

    /// A run's log as a JSON array.
    pub(crate) fn logs(&self, _run: RunId) -> Result<String> {
        Err(CommandError::host("journals are not read yet"))
    }

    /// Every record of a run, a JSON object each, until `line` says `false`.
    pub(crate) fn dump(&self, _run: RunId, _line: &mut dyn FnMut(String) -> bool) -> Result<()> {
        Err(CommandError::host("journals are not read yet"))
    }

    /// What a run was started with.
    pub(crate) fn started(&self, _run: RunId) -> Result<Started> {
        Err(CommandError::host("journals are not read yet"))
    }
}
