//! A run's open questions to people (X03).

use std::sync::Arc;

use bellwether_actors::run::rewind::{Base, BaseEnd, recall};
use bellwether_journal::codec;
use bellwether_journal::error::{Damage, StoreError};
use bellwether_journal::id::{CallNumber, Position, RunId};
use bellwether_journal::read;
use bellwether_journal::record::{CallKind, Millis, Record};
use bellwether_journal::state::{CallState, RunState};
use bellwether_journal::store::Store;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::agent_id;
use super::time::Timestamp;

/// A question that waits for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Question {
    /// The run that asks.
    #[serde(with = "super::as_text")]
    pub run_id: RunId,
    /// `a-` and the call's number.
    pub id: String,
    /// What is asked.
    pub question: Arc<str>,
    /// What may be answered and nothing else; empty when anything may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Value>,
    /// The JSON Schema that an answer must fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// What the script proposes, and what counts at the deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// What a person answered to the same words in the generation before. It is never applied unseen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed: Option<Value>,
    /// The question's label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Arc<str>>,
    /// Its phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Arc<str>>,
    /// The author's line, from 1; 0 when it is not known.
    pub line: u32,
    /// When it was asked.
    pub since: Timestamp,
    /// When it is answered without a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
}

/// The options of `ask`, as the VM writes them.
#[derive(Default, Deserialize)]
struct Given {
    #[serde(default)]
    choices: Vec<Value>,
    #[serde(default)]
    schema: Option<Value>,
    #[serde(default)]
    default: Option<Value>,
    #[serde(default)]
    timeout: Option<Millis>,
}

impl Question {
    /// The call that asks.
    #[must_use]
    pub fn call(&self) -> Option<CallNumber> {
        self.id.strip_prefix("a-")?.parse().ok().map(CallNumber)
    }

    /// All that are open in a run, in their order.
    pub(crate) fn open(store: &dyn Store, state: &RunState) -> Result<Vec<Self>, StoreError> {
        let open: Vec<(CallNumber, &CallState)> = state
            .unsettled()
            .filter(|(number, call)| {
                call.kind == CallKind::Ask && !state.answers.contains_key(number)
            })
            .collect();
        if open.is_empty() {
            return Ok(Vec::new());
        }
        let earlier = Earlier::read(store, state)?;
        open.into_iter()
            .map(|(number, call)| Self::read(store, state.id, number, call, &earlier))
            .collect()
    }

    /// One question, answered or not; `None` when the call is none.
    pub(crate) fn of_call(
        store: &dyn Store,
        state: &RunState,
        number: CallNumber,
    ) -> Result<Option<Self>, StoreError> {
        let call = state.call(number).filter(|call| call.kind == CallKind::Ask);
        let Some(call) = call else {
            return Ok(None);
        };
        let earlier = Earlier::read(store, state)?;
        Self::read(store, state.id, number, call, &earlier).map(Some)
    }

    fn read(
        store: &dyn Store,
        run: RunId,
        number: CallNumber,
        call: &CallState,
        earlier: &Earlier,
    ) -> Result<Self, StoreError> {
        let (question, options) = texts(store, run, call.scheduled)?;
        let given: Given = serde_json::from_str(&options).unwrap_or_default();
        let since = call.scheduled_at;
        Ok(Self {
            run_id: run,
            id: agent_id(number),
            proposed: earlier.answer_to(store, &question)?,
            question,
            choices: given.choices,
            schema: given.schema,
            default: given.default,
            label: call.label.clone(),
            phase: call.phase.clone(),
            line: call.line,
            since: Timestamp(since),
            deadline: given
                .timeout
                .map(|timeout| Timestamp(since.saturating_add(timeout))),
        })
    }
}

/// The generation that a run's newest one is rewound from.
struct Earlier(Option<Base>);

impl Earlier {
    fn read(store: &dyn Store, state: &RunState) -> Result<Self, StoreError> {
        let base = state.generation.as_ref().and_then(|open| open.base);
        let base = base.map(|base| Base::read(store, base.run, base.generation, base.cut));
        base.transpose().map(Self)
    }

    /// What was answered last to these words.
    fn answer_to(&self, store: &dyn Store, question: &str) -> Result<Option<Value>, StoreError> {
        let Some(base) = &self.0 else {
            return Ok(None);
        };
        let answered = base.calls.iter().rev().filter_map(|call| {
            let is_answered = call.kind == CallKind::Ask && call.end == BaseEnd::Completed;
            Some((call.scheduled, call.answer.filter(|_| is_answered)?.at))
        });
        for (scheduled, answer) in answered {
            if *texts(store, base.run, scheduled)?.0 != *question {
                continue;
            }
            let recalled = recall(store, base.run, answer, None)?;
            let value = recalled.value.map(|value| value.text);
            let value = value.and_then(|text| serde_json::from_str(&text).ok());
            return Ok(value.filter(|value: &Value| !value.is_null()));
        }
        Ok(None)
    }
}

/// A call's prompt and options.
fn texts(
    store: &dyn Store,
    run: RunId,
    scheduled: Position,
) -> Result<(Arc<str>, Arc<str>), StoreError> {
    let damage = || Damage::new(format!("run {run}: there is no call at record {scheduled}"));
    let rows = store.records(run, scheduled, 1)?;
    let row = rows.first().ok_or_else(damage)?;
    let Record::CallScheduled(call) = codec::decode(run, row.position, &row.bytes)?.record else {
        return Err(damage().into());
    };
    let prompt = read::resolve(store, run, scheduled, &call.prompt)?;
    let options = read::resolve(store, run, scheduled, &call.options)?;
    Ok((prompt, options))
}
