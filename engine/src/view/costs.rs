//! What a run's agents used and cost, by model, phase and day: a fold over its records, so that the sums are those of the run,
//! all its generations included.

use std::collections::BTreeMap;
use std::sync::Arc;

use bellwether_journal::codec::Entry;
use bellwether_journal::id::{CallNumber, RunId};
use bellwether_journal::record::{CallKind, Record, Usage};
use bellwether_journal::state::{IllegalRecord, RunState};
use bellwether_journal::usage::Counted;
use serde::{Deserialize, Serialize};

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

type Key = (String, Option<Arc<str>>, Option<Arc<str>>);

/// The fold.
pub(super) struct Costs {
    state: RunState,
    parts: BTreeMap<Key, (u64, Counted, u64)>,
}

impl Costs {
    pub(super) fn new(run: RunId) -> Self {
        Self {
            state: RunState::new(run),
            parts: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, entry: &Entry) -> Result<(), IllegalRecord> {
        let (usage, counted) = (self.state.usage, self.state.counted);
        let settles = matches!(entry.record, Record::CallSettled(_));
        self.state.apply(entry)?;
        let Some(call) = who_uses(&entry.record) else {
            return Ok(());
        };
        let is_new = (self.state.usage, self.state.counted) != (usage, counted);
        // What the engine did not count itself is in the run's sum alone, when the attempt ends and says it.
        let counted = self.state.counted.since(counted);
        let reported = self.state.usage.since(usage).since(counted.usage());
        let Some(state) = self.state.call(call) else {
            return Ok(());
        };
        let ended = settles
            && state.kind == CallKind::Agent
            && (state.usage != Usage::default() || state.counted.is_some());
        if !is_new && !ended {
            return Ok(());
        }
        let used = counted.plus(Counted {
            input_tokens: reported.input_tokens,
            output_tokens: reported.output_tokens,
            ..Counted::default()
        });
        let unpriced = match counted.cost {
            Some(_) => reported.output_tokens,
            None => used.output_tokens,
        };
        let time = Timestamp(entry.at).to_string();
        let day = time.split('T').next().unwrap_or_default().to_owned();
        let model = self.state.models.get(&call).cloned();
        let part = (day, model, state.phase.clone());
        let (agents, sum, unknown) = self.parts.entry(part).or_default();
        *agents += u64::from(ended);
        *sum = sum.plus(used);
        *unknown = unknown.saturating_add(unpriced);
        Ok(())
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
        })
    }
}

/// The call whose use a record tells.
fn who_uses(record: &Record) -> Option<CallNumber> {
    match record {
        Record::UsageCounted(used) => Some(used.call),
        Record::AttemptFailed(failed) => Some(failed.call),
        Record::CallSettled(settled) => Some(settled.call),
        _ => None,
    }
}
