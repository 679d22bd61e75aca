//! What a run's agents used and cost, by model, phase and day: a fold over its records, so that the sums are those of the run,
//! all its generations included.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bellwether_journal::codec::Entry;
use bellwether_journal::id::{CallNumber, RunId};
use bellwether_journal::record::{CallKind, Record, Usage};
use bellwether_journal::state::{IllegalRecord, RunState};
use bellwether_journal::usage::Counted;
use serde::{Deserialize, Serialize};

use super::rows::RunRow;
use super::time::Timestamp;

/// Which runs' costs are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CostFilter {
    /// Of this workflow alone, by its name.
    pub name: Option<String>,
    /// Of runs that were started then or later: a day such as `2026-11-22`, or a time in RFC 3339, in UTC.
    pub since: Option<String>,
    /// The newest of these.
    pub limit: Option<usize>,
}

/// What a run used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RunCosts {
    /// The run.
    #[serde(with = "super::as_text")]
    pub run_id: RunId,
    /// Its name: the workflow's, or what the caller named it.
    pub name: String,
    /// When it was accepted.
    pub started_at: Timestamp,
    /// What it used, in the order of days, models and phases.
    pub parts: Vec<CostPart>,
    /// Why its records cannot be read: then what it used is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}

/// What agents of one phase used of one model on one day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CostPart {
    /// The day, in UTC: `2026-11-22`.
    pub day: String,
    /// `provider/id`; `None` where the engine did not see which model was asked.
    pub model: Option<Arc<str>>,
    /// The phase.
    pub phase: Option<Arc<str>>,
    /// Agents that got their answer on that day, having used something.
    pub agents: u64,
    /// What was used; the cost in millionths of a dollar.
    pub used: Counted,
    /// Output tokens of it whose price is not known.
    pub unpriced_tokens: u64,
}

impl RunCosts {
    /// Of a run whose records cannot be read.
    pub(super) fn damaged(row: &RunRow, damage: String) -> Self {
        Self {
            run_id: row.run_id,
            name: row.name.clone(),
            started_at: row.started_at,
            parts: Vec::new(),
            damage: Some(damage),
        }
    }
}

type Key = (String, Option<Arc<str>>, Option<Arc<str>>);

/// The fold.
pub(super) struct Costs {
    state: RunState,
    parts: BTreeMap<Key, (u64, Counted, u64)>,
    /// Calls that ask another model since something was counted for them.
    changed: HashSet<CallNumber>,
}

impl Costs {
    pub(super) fn new(run: RunId) -> Self {
        Self {
            state: RunState::new(run),
            parts: BTreeMap::new(),
            changed: HashSet::new(),
        }
    }

    pub(super) fn add(&mut self, entry: &Entry) -> Result<(), IllegalRecord> {
        let used = self.used(&entry.record);
        self.state.apply(entry)?;
        if let Record::ModelAsked(asked) = &entry.record {
            self.changed.insert(asked.call);
        }
        let Some((number, used, unpriced)) = used else {
            return Ok(());
        };
        let Some(call) = self.state.call(number) else {
            return Ok(());
        };
        let ended = matches!(entry.record, Record::CallSettled(_))
            && call.kind == CallKind::Agent
            && (call.usage != Usage::default() || call.counted.is_some());
        if used == Counted::default() && !ended {
            return Ok(());
        }
        let time = Timestamp(entry.at).to_string();
        let day = time.split('T').next().unwrap_or_default().to_owned();
        let model = self.state.models.get(&number).cloned();
        let part = (day, model, call.phase.clone());
        let (agents, sum, unknown) = self.parts.entry(part).or_default();
        *agents += u64::from(ended);
        *sum = sum.plus(used);
        *unknown = unknown.saturating_add(unpriced);
        Ok(())
    }

    /// What a record tells that a call has used more, before it is in the state, and how many output tokens of it have no known
    /// price.
    fn used(&mut self, record: &Record) -> Option<(CallNumber, Counted, u64)> {
        let before = |call| self.state.at_work.get(call).copied().unwrap_or_default();
        match record {
            // What a reused answer had cost, once.
            Record::UsageCounted(used) if used.attempt.0 == 0 => None,
            Record::UsageCounted(used) => {
                let before = before(&used.call);
                let more = used.counted.since(before);
                // A sum with a cost stays one with a cost, whatever is asked besides.
                let other = self.changed.remove(&used.call) && before.cost.is_some();
                let is_priced = more.cost.is_some_and(|cost| cost > 0 || !other);
                let unpriced = if is_priced { 0 } else { more.output_tokens };
                let cost = more.cost.filter(|_| is_priced);
                Some((used.call, Counted { cost, ..more }, unpriced))
            }
            // What the engine did not count itself is said by the agent, at its end.
            Record::AttemptFailed(failed) => {
                Some(reported(failed.call, failed.usage, before(&failed.call)))
            }
            Record::CallSettled(settled) => {
                Some(reported(settled.call, settled.usage, before(&settled.call)))
            }
            _ => None,
        }
    }

    /// All of it; `None` for what is no run.
    pub(super) fn end(self) -> Option<RunCosts> {
        let started = self.state.started?;
        let parts = self.parts.into_iter();
        let parts = parts.map(
            |((day, model, phase), (agents, used, unpriced_tokens))| CostPart {
                day,
                model,
                phase,
                agents,
                used,
                unpriced_tokens,
            },
        );
        Some(RunCosts {
            run_id: self.state.id,
            name: started.name.clone(),
            started_at: Timestamp(self.state.started_at.unwrap_or_default()),
            parts: parts.collect(),
            damage: None,
        })
    }
}

/// What an agent says it has used, beyond what was counted.
fn reported(call: CallNumber, usage: Usage, counted: Counted) -> (CallNumber, Counted, u64) {
    let more = usage.since(counted.usage());
    let used = Counted {
        input_tokens: more.input_tokens,
        output_tokens: more.output_tokens,
        ..Counted::default()
    };
    (call, used, more.output_tokens)
}
