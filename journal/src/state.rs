//! The fold: what a run's records make of it. Pure: no clock, no store, the same records always give the same state.

mod apply;
mod call;
mod summary;
#[cfg(test)]
mod tests;
mod used;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

pub use self::apply::IllegalRecord;
pub use self::call::{CallState, CallStatus, PastAttempt, PastEnd};
pub use self::summary::{Counts, Summary};

use crate::codec;
use crate::id::{CallNumber, Epoch, Generation, Position, RunId};
use crate::key::Digest;
use crate::record::{
    Actor, Base, ChangesKept, Millis, Policy, RunLimits, RunStarted, ScriptError, Status, Usage,
};
use crate::text::Text;
use crate::usage::Counted;

/// All that is known of a run from its records, without the texts that lie outside them.
#[derive(Clone, Debug, PartialEq)]
pub struct RunState {
    /// The run.
    pub id: RunId,
    /// What it was started with; `None` before its first record.
    pub started: Option<Arc<RunStarted>>,
    /// Its newest generation; `None` before the first has begun.
    pub generation: Option<GenerationState>,
    /// What state it is in.
    pub status: Status,
    /// Why it is in that state, when the change of status said so.
    pub status_reason: Option<String>,
    /// The journal's epoch at the last takeover; 0 when there was none.
    pub epoch: Epoch,
    /// Where the next record will stand.
    pub next: Position,
    /// The hash over all records so far.
    pub head: Digest,
    /// The calls of this generation, by number.
    pub calls: Vec<CallState>,
    /// The phases of this generation, in the order in which they were first entered or named by a call.
    pub phases: Vec<PhaseState>,
    /// How many settlements there are in this generation: calls settled, refused or reused, timers fired.
    pub turns: u64,
    /// The time of this generation's newest turn, as `now()` shows it: never below the one before.
    pub turn_time: Millis,
    /// The furthest turn and ordinal of a line or phase that was recorded in this generation; what a replay shows up to
    /// here was shown before (F02).
    pub last_shown: Option<(u64, u32)>,
    /// What all attempts of all generations used, those at work included as far as it was counted.
    pub usage: Usage,
    /// The same as far as the engine counted it, with the money.
    pub counted: Counted,
    /// What attempts that are at work have used so far: in the sums above already.
    pub at_work: BTreeMap<CallNumber, Counted>,
    /// The model that each call asked last, as `provider/id`; calls that no model was seen to work on are not in it.
    pub models: BTreeMap<CallNumber, Arc<str>>,
    /// The same of attempts of the generation before, for those that are adopted.
    pub(crate) left_at_work: BTreeMap<CallNumber, Counted>,
    /// The models that these asked.
    pub(crate) left_models: BTreeMap<CallNumber, Arc<str>>,
    /// Output tokens of the settled calls of this generation, all their attempts counted: `budget.spent()` after the
    /// last settlement.
    pub settled_output_tokens: u64,
    /// The agents of this generation, by how they stand.
    pub counts: Counts,
    /// When the run was accepted.
    pub started_at: Option<Millis>,
    /// When it ended or was stopped; `None` while it goes on.
    pub ended_at: Option<Millis>,
    /// The script's value and the position of the record that holds it.
    pub result: Option<(Position, Text)>,
    /// What the script threw, or why the run was ended.
    pub error: Option<ScriptError>,
    /// Who ended or last stopped it.
    pub ended_by: Option<Actor>,
    /// Where the VM or its actor died, and what is known of it.
    pub orchestrator_losses: Vec<(Position, String)>,
    /// Every takeover.
    pub recoveries: Vec<Recovery>,
    /// What attempts changed in isolated working trees, by call and in the order of the records, each with its place.
    pub changes: BTreeMap<CallNumber, Vec<(Position, Arc<ChangesKept>)>>,
    /// What steps that have no answer yet noted, each with its place, oldest first.
    pub notes: BTreeMap<CallNumber, Vec<(Position, Text)>>,
    /// Calls that a person has stopped and that have no answer yet.
    pub to_stop: BTreeSet<CallNumber>,
    /// Calls whose attempt came from the generation before, while they have no answer: by what backends know their work.
    pub adopted: BTreeMap<CallNumber, Digest>,
    /// The answers that people gave to questions of this generation, as JSON, each with the place of its order. One whose
    /// call has no answer yet is still to be given to the script.
    pub answers: BTreeMap<CallNumber, (Position, Text)>,
    /// The limits that were last set while the run went on.
    pub limits: RunLimits,
    /// What the engine noticed so far, in all generations.
    pub noticed: BTreeSet<String>,
    /// When the newest record was written.
    pub last_at: Millis,
    phase_index: HashMap<Arc<str>, usize>,
}

/// The newest generation of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationState {
    /// Its number.
    pub number: Generation,
    /// What it is rewound from.
    pub base: Option<Base>,
    /// Where its record stands: payloads of script and arguments are found by it.
    pub opened: Position,
    /// When it began.
    pub opened_at: Millis,
    /// The script's text.
    pub script: Text,
    /// The script's hash.
    pub script_hash: Digest,
    /// The arguments.
    pub args: Option<Text>,
    /// Which VM runs it.
    pub vm_identity: Digest,
    /// Where its random numbers come from.
    pub seed: [u8; 32],
    /// The time of its first turn.
    pub time: Millis,
    /// Which completed calls of the base are reused.
    pub policy: Policy,
    /// Calls of the base that run again.
    pub dirty: Arc<[CallNumber]>,
    /// Output tokens that it may spend, if that is limited.
    pub budget_total: Option<u64>,
    /// Whether calls of the base that failed are reused, too.
    pub keep_failed: bool,
    /// The run's options from here on; `None` for those of its start.
    pub options: Option<Text>,
}

/// A phase of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseState {
    /// Its title.
    pub title: Arc<str>,
    /// When the script first entered it; `None` when only calls name it.
    pub entered_at: Option<Millis>,
}

/// A takeover of a run by another engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Where its record stands.
    pub position: Position,
    /// When.
    pub at: Millis,
    /// The journal's epoch from there on.
    pub epoch: Epoch,
    /// Agents whose value came from the journal.
    pub reused: u64,
    /// Attempts that were running and are fenced off.
    pub interrupted: u64,
}

impl RunState {
    /// A run without records.
    #[must_use]
    pub fn new(id: RunId) -> Self {
        Self {
            id,
            started: None,
            generation: None,
            status: Status::Queued,
            status_reason: None,
            epoch: Epoch(0),
            next: Position(0),
            head: codec::origin(id),
            calls: Vec::new(),
            phases: Vec::new(),
            turns: 0,
            turn_time: 0,
            last_shown: None,
            usage: Usage::default(),
            counted: Counted::default(),
            at_work: BTreeMap::new(),
            models: BTreeMap::new(),
            left_at_work: BTreeMap::new(),
            left_models: BTreeMap::new(),
            settled_output_tokens: 0,
            counts: Counts::default(),
            started_at: None,
            ended_at: None,
            result: None,
            error: None,
            ended_by: None,
            orchestrator_losses: Vec::new(),
            recoveries: Vec::new(),
            changes: BTreeMap::new(),
            notes: BTreeMap::new(),
            to_stop: BTreeSet::new(),
            adopted: BTreeMap::new(),
            answers: BTreeMap::new(),
            limits: RunLimits::default(),
            noticed: BTreeSet::new(),
            last_at: 0,
            phase_index: HashMap::new(),
        }
    }

    /// One call of this generation.
    pub fn call(&self, number: CallNumber) -> Option<&CallState> {
        self.calls.get(number.0 as usize)
    }

    /// The number of the next call.
    pub fn next_call(&self) -> CallNumber {
        CallNumber(u32::try_from(self.calls.len()).unwrap_or(u32::MAX))
    }

    /// Calls that have no answer yet, by number.
    pub fn unsettled(&self) -> impl Iterator<Item = (CallNumber, &CallState)> {
        (0..)
            .map(CallNumber)
            .zip(&self.calls)
            .filter(|(_, call)| !call.status.is_settled())
    }

    /// The branch that a call's changes are kept on: of its newest attempt that left one.
    pub fn kept_branch(&self, call: CallNumber) -> Option<&ChangesKept> {
        let changes = self.changes.get(&call)?;
        let mut kept = changes.iter().rev();
        kept.find(|(_, kept)| kept.branch.is_some())
            .map(|(_, kept)| kept.as_ref())
    }

    /// Whether a line or phase with this turn and ordinal is in the journal already.
    pub fn was_shown(&self, turn: u64, ordinal: u32) -> bool {
        self.last_shown.is_some_and(|last| (turn, ordinal) <= last)
    }

    /// Whether the run can go on: it has begun and has no final end.
    pub fn is_unfinished(&self) -> bool {
        self.started.is_some() && !self.status.is_final()
    }

    /// Whether the run can be taken up as it is: it has no final end, or a limit ended it (B07).
    pub fn is_resumable(&self) -> bool {
        let limited =
            self.status == Status::Failed && self.error.as_ref().is_some_and(ScriptError::is_limit);
        self.started.is_some() && (limited || !self.status.is_final())
    }

    /// What a list of runs shows.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let started = self.started.as_deref();
        let generation = self.generation.as_ref();
        Summary {
            name: started.map_or_else(String::new, |started| started.name.clone()),
            status: self.status,
            resumable: self.is_resumable(),
            started_at: self.started_at.unwrap_or_default(),
            ended_at: self.ended_at,
            updated_at: self.last_at,
            counts: self.counts,
            usage: self.usage,
            generation: generation.map_or(Generation(0), |generation| generation.number),
            epoch: self.epoch,
            next: self.next,
            head: self.head,
            script_hash: generation.map_or(Digest::default(), |generation| generation.script_hash),
            script_path: started.and_then(|started| started.script_path.clone()),
        }
    }
}
