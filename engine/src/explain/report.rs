//! What an explanation says.

use bellwether_journal::id::RunId;
use bellwether_journal::record::{ScriptError, Status};
use serde::{Deserialize, Serialize};

/// What a rewind would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Explanation {
    /// The run whose newest generation is the base.
    #[serde(with = "crate::view::as_text")]
    pub run_id: RunId,
    /// How it stands.
    pub status: Status,
    /// The generation that would be the base.
    pub generation: u32,
    /// The calls of the new generation, in the order in which the script makes them.
    pub calls: Vec<Explained>,
    /// The base's agents that the script does not ask for any more.
    pub dropped: Vec<Dropped>,
    /// The sums.
    pub totals: Totals,
    /// How the script ended when it was gone through; `None` when it returned.
    pub error: Option<ScriptError>,
    /// What was done to the repository and would be done again: refused, unless that is allowed.
    pub repeats: Vec<String>,
    /// What else there is to know.
    pub notes: Vec<String>,
}

/// A call of the new generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Explained {
    /// Its number in the new generation.
    pub agent_id: String,
    /// What it asks for: `agent`, `merge`.
    pub kind: String,
    /// The name to show.
    pub label: Option<String>,
    /// Its phase.
    pub phase: Option<String>,
    /// Line in the script, from 1; 0 when it is not known.
    pub line: u32,
    /// What would become of it.
    pub fate: Fate,
    /// The base's call that answers it, or that it runs instead of.
    pub from: Option<String>,
    /// Why it would run.
    pub reason: Option<String>,
    /// Output tokens that it takes: of a reused one what it took then, else what is to be expected.
    pub output_tokens: u64,
}

/// What would become of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Fate {
    /// The base answers it.
    Reused,
    /// An agent is at work on it, and goes on.
    Adopted,
    /// It runs, as it did in the base or instead of what did.
    Again,
    /// It runs, and the base has nothing like it.
    New,
}

impl Fate {
    /// The fate as people read it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reused => "reused",
            Self::Adopted => "adopted",
            Self::Again => "again",
            Self::New => "new",
        }
    }
}

/// An agent of the base that is not asked for any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Dropped {
    /// Its number in the base.
    pub agent_id: String,
    /// The name to show.
    pub label: Option<String>,
    /// Line in the script that the base has.
    pub line: u32,
}

/// The sums of an explanation, over agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Totals {
    /// Agents whose answer is reused.
    pub reused: u64,
    /// Agents that are at work and go on.
    #[serde(default)]
    pub adopted: u64,
    /// Agents that run again.
    pub again: u64,
    /// Agents that are new.
    pub new: u64,
    /// Agents of the base that are not asked for any more.
    pub dropped: u64,
    /// Output tokens that are not spent again.
    pub output_tokens_saved: u64,
    /// Output tokens that are to be expected of those that run again or are new.
    pub output_tokens_expected: u64,
}
