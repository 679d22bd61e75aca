//! What people and programs see of runs: plain data and pure functions over states, summaries and records. Nothing here
//! knows an actor or a clock; what the time is and which runs are live, the caller says.
//!
//! | file | what it shows |
//! |---|---|
//! | `rows` | a list of runs (`ps`) |
//! | `run` | one run with its phases, agents and failures (`show`) |
//! | `questions` | what it asks people (`show`) |
//! | `changes` | what its isolated agents changed (`diff`) |
//! | `costs` | what agents used, by model, phase and day (`cost`) |
//! | `logs` | its log, a line a thing that people care about (`logs`) |
//! | `dump` | every record (`journal dump`) |
//! | `archive` | all of these over a store, and runs by prefix or `last` |
//!
//! In JSON, names are camelCase, points in time RFC 3339 in UTC, lengths of time milliseconds.

mod archive;
mod changes;
mod costs;
mod dump;
mod logs;
mod money;
mod questions;
mod rows;
mod run;
#[cfg(test)]
mod tests;
mod time;

pub use self::archive::{Archive, ArchiveError, RunResult};
pub use self::changes::ChangesView;
pub use self::costs::{CostFilter, CostPart, RunCosts};
pub use self::dump::DumpLine;
pub use self::logs::LogLine;
pub use self::money::Money;
pub use self::questions::Question;
pub use self::rows::RunRow;
pub(crate) use self::run::agent_id;
pub use self::run::{CallView, FailureGroup, FailureView, PastView, PhaseView, RunView};
pub use self::time::{Timestamp, duration_text};
pub use bellwether_journal::state::{CallStatus, Counts};

/// The hash of a script's text, as [`RunView::script_hash`] has it.
#[must_use]
pub fn script_hash(script: &str) -> String {
    bellwether_journal::text::hash(script).to_hex()
}

/// Names that are written as text: run ids.
pub(crate) mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(crate) fn serialize<T: Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}
