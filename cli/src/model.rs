//! How a run ended: the object that `--json` and `--events` end with.

use bellwether::view::{Counts, FailureGroup, Money, Question, RunView};
use bellwether::{RunId, ScriptError, Status, Usage};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// How a run ended, or where it stands.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outcome {
    /// The run.
    #[serde(with = "run_id")]
    pub(crate) run_id: RunId,
    /// Its name.
    pub(crate) name: String,
    /// How it ended.
    pub(crate) status: Status,
    /// Why it has this status, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The script's value.
    pub(crate) result: Option<Box<RawValue>>,
    /// What the script threw, or which limit ended it.
    pub(crate) error: Option<ScriptError>,
    /// Its agents.
    pub(crate) agents: Counts,
    /// What it asks people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) questions: Vec<Question>,
    /// Why agents failed, the most frequent first.
    pub(crate) failures: Vec<FailureGroup>,
    /// What agents used.
    pub(crate) usage: Usage,
    /// What that cost in dollars, as far as prices are known.
    #[serde(default)]
    pub(crate) cost: Option<Money>,
    /// How long it took, in milliseconds.
    pub(crate) duration_ms: u64,
}

impl Outcome {
    /// The outcome in a run's view.
    pub(crate) fn of(view: RunView) -> Self {
        let RunView {
            run_id,
            name,
            status,
            status_reason,
            result,
            error,
            agents,
            questions,
            failures,
            usage,
            cost,
            duration_ms,
            ..
        } = view;
        let reason = status_reason;
        Self {
            run_id,
            name,
            status,
            reason,
            result,
            error,
            agents,
            questions,
            failures,
            usage,
            cost,
            duration_ms,
        }
    }
}

/// A run's id as text.
mod run_id {
    use bellwether::RunId;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "what serde calls it with"
    )]
    pub(super) fn serialize<S: Serializer>(run: &RunId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(run)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<RunId, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}
