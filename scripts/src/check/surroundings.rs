//! What a script alone does not say: whom it is checked for.

use serde_json::Value;

/// What is wrong with something that a script names or gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which rule, in words with hyphens.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What helps.
    pub remedy: String,
    /// Where in the value, as a JSON pointer; `None` is all of it.
    pub pointer: Option<String>,
}

/// How much a run may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Agents in all (C01).
    pub agents: u64,
    /// Items of one fan-out (P03).
    pub items: u64,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            agents: 1_000,
            items: 4_096,
        }
    }
}

/// Whom a script is checked for: what a run there would say to what stands in it. Nothing is known where nothing is said.
pub trait Surroundings: Sync {
    /// What is wrong with the value of an option of `agent()`.
    fn option(&self, name: &str, value: &Value) -> Option<Problem> {
        let _ = (name, value);
        None
    }

    /// What is wrong with a JSON Schema.
    fn schema(&self, schema: &Value) -> Option<Problem> {
        let _ = schema;
        None
    }

    /// What is wrong with the name of a workflow: that there is none.
    fn workflow(&self, name: &str) -> Option<Problem> {
        let _ = name;
        None
    }

    /// What is wrong with a `scriptPath`, which is relative to the script's folder: that there is none.
    fn script(&self, path: &str) -> Option<Problem> {
        let _ = path;
        None
    }

    /// How much a run may do there.
    fn caps(&self) -> Caps {
        Caps::default()
    }
}

/// Nowhere in particular: only what the script itself says is checked, against the default caps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anywhere;

impl Surroundings for Anywhere {}
