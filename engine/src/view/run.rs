//! One run: its phases, its agents, and why those failed that did.

use std::collections::BTreeMap;
use std::sync::Arc;

use bellwether_journal::id::{CallNumber, Position, RunId};
use bellwether_journal::record::{CallKind, FailureKind, Millis, ScriptError, Status, Usage};
use bellwether_journal::state::{CallState, CallStatus, Counts, PastEnd, RunState};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::archive::ArchiveError;
use super::changes::ChangesView;
use super::money::Money;
use super::questions::Question;
use super::rows::{duration, shown_status};
use super::time::Timestamp;

/// A run with everything in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RunView {
    /// The run.
    #[serde(with = "super::as_text")]
    pub run_id: RunId,
    /// Its name.
    pub name: String,
    /// How it stands.
    pub status: Status,
    /// Why it stands so, when that was said.
    pub status_reason: Option<String>,
    /// When it was accepted.
    pub started_at: Timestamp,
    /// When it ended or was stopped.
    pub ended_at: Option<Timestamp>,
    /// From start to end, or to now, or to its last record (as in a list).
    pub duration_ms: Millis,
    /// Its newest generation; 0 before the first.
    pub generation: u32,
    /// How often an engine took it over.
    pub recoveries: u64,
    /// The script's file.
    pub script_path: Option<String>,
    /// The newest script's hash.
    pub script_hash: Option<String>,
    /// Where it works.
    pub working_directory: String,
    /// The commit that was checked out there.
    pub base_commit: Option<String>,
    /// Its agents, by how they stand.
    pub agents: Counts,
    /// What all attempts of all generations used.
    pub usage: Usage,
    /// What that cost, as far as prices are known; `None` where none is.
    #[serde(default)]
    pub cost: Option<Money>,
    /// Output tokens that the script may spend.
    pub budget_total: Option<u64>,
    /// Its phases, in their order; calls without one are in the last, which has no title.
    pub phases: Vec<PhaseView>,
    /// Its calls, by number.
    pub calls: Vec<CallView>,
    /// Questions that wait for a person, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<Question>,
    /// Failed and refused agents by kind, most frequent first.
    pub failures: Vec<FailureGroup>,
    /// Whether it can be taken up as it is: it has no final end, or a limit ended its script.
    #[serde(default)]
    pub resumable: bool,
    /// The script's value.
    pub result: Option<Box<RawValue>>,
    /// What the script threw, or why the run was ended.
    pub error: Option<ScriptError>,
}

/// A phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PhaseView {
    /// Its title.
    pub title: Option<Arc<str>>,
    /// Its agents, by how they stand.
    pub agents: Counts,
    /// What they used.
    pub usage: Usage,
    /// What that cost, as far as prices are known.
    #[serde(default)]
    pub cost: Option<Money>,
    /// When the first of its attempts started.
    pub started_at: Option<Timestamp>,
    /// When the last of its agents ended; `None` while one has no answer.
    pub ended_at: Option<Timestamp>,
    /// Between the two; to now while agents are at work.
    pub duration_ms: Option<Millis>,
}

/// A call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CallView {
    /// `a-` and its number.
    pub agent_id: String,
    /// `agent`, `workflow`, `merge` or `ask`.
    pub kind: String,
    /// Its label.
    pub label: Option<Arc<str>>,
    /// Its phase.
    pub phase: Option<Arc<str>>,
    /// How it stands: `waiting running backoff completed failed cancelled skipped refused`, and `interrupted` for one that was
    /// at work when the run's engine went away or the run was stopped.
    pub status: String,
    /// Whether its value came from the journal when the run was last taken over.
    pub reused: bool,
    /// The call of the generation before whose answer it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused_from: Option<String>,
    /// How many attempts were started.
    pub attempts: u32,
    /// When the first attempt started.
    pub started_at: Option<Timestamp>,
    /// When it got its answer.
    pub ended_at: Option<Timestamp>,
    /// Between the two; to now while an attempt is at work.
    pub duration_ms: Option<Millis>,
    /// What all its attempts used.
    pub usage: Usage,
    /// What that cost, as far as prices are known.
    #[serde(default)]
    pub cost: Option<Money>,
    /// The model that it asked last, as `provider/id`, where the engine saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Arc<str>>,
    /// The author's line, from 1; 0 when it is not known.
    pub line: u32,
    /// Why it failed or was refused.
    pub failure: Option<FailureView>,
    /// Attempts that ended without settling it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past_attempts: Vec<PastView>,
    /// What its attempts changed in isolated working trees, without the patches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ChangesView>,
}

/// Why an agent failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FailureView {
    /// What sort of failure.
    pub kind: FailureKind,
    /// What a person reads first.
    pub message: String,
    /// What was left to look at.
    pub evidence: Option<String>,
}

/// An attempt that ended without settling its call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PastView {
    /// Which.
    pub attempt: u32,
    /// The kind of failure, or `interrupted`.
    pub kind: String,
    /// What a person reads first.
    pub message: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended, or when its end was noticed.
    pub ended_at: Timestamp,
}

/// Agents that failed in the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct FailureGroup {
    /// What sort of failure.
    pub kind: FailureKind,
    /// How many.
    pub count: u64,
    /// What the first of them said.
    pub first_message: String,
    /// All of them.
    pub agents: Vec<String>,
}

impl RunView {
    /// The view of a run; `live` says whether an engine has it, `now` what the time is, `result` is the script's value as
    /// JSON text if there is one.
    #[must_use]
    pub(crate) fn new(state: &RunState, live: bool, now: Millis, result: Option<&str>) -> Self {
        let started = state.started.as_deref();
        let generation = state.generation.as_ref();
        let started_at = state.started_at.unwrap_or_default();
        let now = if live { now } else { state.last_at };
        let taken_over = state.recoveries.last().map(|recovery| recovery.position);
        let calls: Vec<CallView> = (0..)
            .map(CallNumber)
            .zip(&state.calls)
            .map(|(number, call)| {
                let changes = ChangesView::of_call(state, number);
                let model = state.models.get(&number).cloned();
                CallView::new(number, call, changes, model, taken_over, live, now)
            })
            .collect();
        Self {
            run_id: state.id,
            name: started.map_or_else(String::new, |started| started.name.clone()),
            status: shown_status(state.status, live),
            status_reason: state.status_reason.clone(),
            started_at: Timestamp(started_at),
            ended_at: state.ended_at.map(Timestamp),
            duration_ms: duration(started_at, state.ended_at, state.last_at, live, now),
            generation: generation.map_or(0, |generation| generation.number.0),
            recoveries: state.recoveries.len() as u64,
            script_path: started.and_then(|started| started.script_path.clone()),
            script_hash: generation.map(|generation| generation.script_hash.to_hex()),
            working_directory: started
                .map_or_else(String::new, |started| started.working_directory.clone()),
            base_commit: started.and_then(|started| started.base_commit.clone()),
            agents: state.counts,
            usage: state.usage,
            cost: Money::of(&state.counted),
            budget_total: generation.and_then(|generation| generation.budget_total),
            phases: phases(state, taken_over, now),
            calls,
            questions: Vec::new(),
            failures: FailureGroup::census(state),
            // The journal holds what was valid JSON when it was written; a damaged value is shown as none.
            resumable: state.is_resumable(),
            result: result.and_then(|text| RawValue::from_string(text.to_owned()).ok()),
            error: state.error.clone(),
        }
    }

    /// Puts the phases in the order in which the script's header names them, those that nothing has entered yet too.
    pub fn declare_phases<'title>(&mut self, titles: impl IntoIterator<Item = &'title str>) {
        let mut rest = std::mem::take(&mut self.phases);
        for title in titles {
            let index = rest
                .iter()
                .position(|phase| phase.title.as_deref() == Some(title));
            let known = self
                .phases
                .iter()
                .any(|phase| phase.title.as_deref() == Some(title));
            match index {
                Some(index) => self.phases.push(rest.remove(index)),
                None if known => {}
                None => self.phases.push(PhaseView::new(Some(title.into()))),
            }
        }
        self.phases.append(&mut rest);
    }
}

fn was_reused(call: &CallState, taken_over: Option<Position>) -> bool {
    call.status == CallStatus::Completed
        && (call.reused_from.is_some() || call.settled < taken_over)
}

fn phases(state: &RunState, taken_over: Option<Position>, now: Millis) -> Vec<PhaseView> {
    let titles = state.phases.iter().map(|phase| Arc::clone(&phase.title));
    let mut phases: Vec<PhaseView> = titles.map(Some).map(PhaseView::new).collect();
    let index: BTreeMap<Arc<str>, usize> = state
        .phases
        .iter()
        .map(|phase| Arc::clone(&phase.title))
        .zip(0..)
        .collect();
    let mut without = PhaseView::new(None);
    for call in state
        .calls
        .iter()
        .filter(|call| call.kind == CallKind::Agent)
    {
        let index = call.phase.as_ref().and_then(|title| index.get(title));
        let phase = index
            .and_then(|index| phases.get_mut(*index))
            .unwrap_or(&mut without);
        phase.add(call, taken_over);
    }
    if without.agents.total > 0 {
        phases.push(without);
    }
    for phase in &mut phases {
        if phase.agents.pending > 0 {
            phase.ended_at = None;
        }
        phase.duration_ms = phase.started_at.map(|start| {
            phase
                .ended_at
                .map_or(now, |end| end.0)
                .saturating_sub(start.0)
        });
    }
    phases
}

impl PhaseView {
    fn new(title: Option<Arc<str>>) -> Self {
        Self {
            title,
            agents: Counts::default(),
            usage: Usage::default(),
            cost: None,
            started_at: None,
            ended_at: None,
            duration_ms: None,
        }
    }

    fn add(&mut self, call: &CallState, taken_over: Option<Position>) {
        self.agents.add(call.status);
        self.agents.reused += u64::from(was_reused(call, taken_over));
        self.usage = self.usage.plus(call.usage);
        let cost = call.counted.as_deref().and_then(Money::of);
        self.cost = Money::sum(self.cost, cost);
        if let Some(start) = call.first_started_at().map(Timestamp) {
            self.started_at = Some(self.started_at.map_or(start, |first| first.min(start)));
        }
        self.ended_at = self.ended_at.max(call.ended_at.map(Timestamp));
    }
}

impl CallView {
    fn new(
        number: CallNumber,
        call: &CallState,
        changes: Vec<ChangesView>,
        model: Option<Arc<str>>,
        taken_over: Option<Position>,
        live: bool,
        now: Millis,
    ) -> Self {
        let status = match call.status {
            CallStatus::Running if !live => "interrupted",
            status => status.name(),
        };
        let started_at = call.first_started_at();
        let end = call
            .ended_at
            .or((call.status == CallStatus::Running).then_some(now));
        let past = call.past().iter().map(|past| PastView {
            attempt: past.attempt.0,
            kind: PastEnd::name(past.end).to_owned(),
            message: past.message.clone(),
            started_at: Timestamp(past.started_at),
            ended_at: Timestamp(past.ended_at),
        });
        Self {
            agent_id: agent_id(number),
            kind: call.kind.name().to_owned(),
            label: call.label.clone(),
            phase: call.phase.clone(),
            status: status.to_owned(),
            reused: was_reused(call, taken_over),
            reused_from: call.reused_from.map(agent_id),
            attempts: call.attempts,
            started_at: started_at.map(Timestamp),
            ended_at: call.ended_at.map(Timestamp),
            duration_ms: started_at
                .zip(end)
                .map(|(start, end)| end.saturating_sub(start)),
            usage: call.usage,
            cost: call.counted.as_deref().and_then(Money::of),
            model,
            line: call.line,
            failure: call.failure.as_deref().map(|failure| FailureView {
                kind: failure.kind,
                message: failure.message.clone(),
                evidence: failure.evidence.clone(),
            }),
            past_attempts: past.collect(),
            changes,
        }
    }
}

impl FailureGroup {
    /// The failed and refused agents of a run by kind, most frequent first.
    #[must_use]
    pub(crate) fn census(state: &RunState) -> Vec<Self> {
        let mut groups: BTreeMap<FailureKind, Self> = BTreeMap::new();
        for (number, call) in (0..).map(CallNumber).zip(&state.calls) {
            let Some(failure) = call.failure.as_deref() else {
                continue;
            };
            if call.kind != CallKind::Agent {
                continue;
            }
            let group = groups.entry(failure.kind).or_insert_with(|| Self {
                kind: failure.kind,
                count: 0,
                first_message: failure.message.clone(),
                agents: Vec::new(),
            });
            group.count += 1;
            group.agents.push(agent_id(number));
        }
        let mut groups: Vec<Self> = groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        groups
    }
}

/// A call as people name it.
pub(crate) fn agent_id(number: CallNumber) -> String {
    format!("a-{number}")
}

/// The call that `text` names: `a-<number>`, or the label of exactly one call.
///
/// # Errors
/// [`ArchiveError::UnknownAgent`], or [`ArchiveError::AmbiguousAgent`] with the calls that have the label.
pub(crate) fn find_call(state: &RunState, text: &str) -> Result<CallNumber, ArchiveError> {
    let number = text
        .strip_prefix("a-")
        .and_then(|digits| digits.parse().ok())
        .map(CallNumber);
    if let Some(number) = number.filter(|number| state.call(*number).is_some()) {
        return Ok(number);
    }
    let labelled: Vec<CallNumber> = (0..)
        .map(CallNumber)
        .zip(&state.calls)
        .filter(|(_, call)| call.label.as_deref() == Some(text))
        .map(|(number, _)| number)
        .collect();
    match labelled.as_slice() {
        [] => Err(ArchiveError::UnknownAgent {
            run: state.id,
            text: text.to_owned(),
        }),
        [number] => Ok(*number),
        several => Err(ArchiveError::AmbiguousAgent {
            text: text.to_owned(),
            candidates: several.iter().copied().map(agent_id).collect(),
        }),
    }
}
