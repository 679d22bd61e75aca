//! What isolated agents changed, and where that is kept.

use std::sync::Arc;

use bellwether_journal::error::StoreError;
use bellwether_journal::id::{CallNumber, Position};
use bellwether_journal::read;
use bellwether_journal::record::{ChangedFile, ChangesKept};
use bellwether_journal::state::{CallStatus, RunState};
use bellwether_journal::store::Store;
use serde::{Deserialize, Serialize};

use super::run::agent_id;

/// What one attempt changed in its isolated working tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ChangesView {
    /// `a-` and the call's number.
    pub agent_id: String,
    /// The call's label.
    pub label: Option<Arc<str>>,
    /// Which attempt's these are.
    pub attempt: u32,
    /// Whether the call gave its value: then the branch is what it made.
    pub completed: bool,
    /// The branch that holds them; `None` when only the patch is kept.
    pub branch: Option<String>,
    /// The commit that the work began from.
    pub base: String,
    /// The branch's tip.
    pub commit: Option<String>,
    /// The files, at most 1,000 of them.
    pub files: Vec<ChangedFile>,
    /// How many files there are in all.
    pub file_count: u64,
    /// The patch from `base` on, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<Arc<str>>,
}

impl ChangesView {
    fn new(state: &RunState, kept: &ChangesKept) -> Self {
        let call = state.call(kept.call);
        Self {
            agent_id: agent_id(kept.call),
            label: call.and_then(|call| call.label.clone()),
            attempt: kept.attempt.0,
            completed: call.is_some_and(|call| call.status == CallStatus::Completed),
            branch: kept.branch.clone(),
            base: kept.base.clone(),
            commit: kept.commit.clone(),
            files: kept.files.clone(),
            file_count: kept.file_count,
            diff: None,
        }
    }

    /// What the attempts of one call changed, without patches.
    pub(super) fn of_call(state: &RunState, call: CallNumber) -> Vec<Self> {
        let kept = state.changes.get(&call).map_or(&[][..], Vec::as_slice);
        kept.iter()
            .map(|(_, kept)| Self::new(state, kept))
            .collect()
    }

    /// What all agents of a run changed, in call order, with patches.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub(super) fn of_run(store: &dyn Store, state: &RunState) -> Result<Vec<Self>, StoreError> {
        let all = state.changes.values().flatten();
        let read = |(position, kept): &(Position, Arc<ChangesKept>)| {
            let diff = read::resolve(store, state.id, *position, &kept.diff)?;
            Ok(Self {
                diff: Some(diff),
                ..Self::new(state, kept)
            })
        };
        all.map(read).collect()
    }
}
