//! Who may watch a run: told after the fact, never asked.

use bellwether_journal::codec::Entry;
use bellwether_journal::record::Status;
use bellwether_journal::state::RunState;

use crate::backend::ProgressEvent;

/// Watches one run. Called from the run's own supervisor: it must return at once.
pub trait Observer: Send + Sync + 'static {
    /// Whether anybody looks at entries now; without, they are not kept.
    fn is_watching(&self) -> bool;

    /// These records are durable. `state` may be ahead of them.
    fn durable(&self, state: &RunState, entries: &[Entry]);

    /// An agent says something of its work.
    fn progress(&self, event: ProgressEvent);

    /// The run's status, as last made durable, or as forced by a journal that fails.
    fn report(&self, report: Report);
}

/// What a run is, for those who wait for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its status.
    pub status: Status,
    /// Why, if that was said.
    pub reason: Option<String>,
    /// This engine is done with it: nothing more will come, and no process of it is left.
    pub done: bool,
    /// The journal failed: what is said here may not be in it.
    pub journal_failed: bool,
}
