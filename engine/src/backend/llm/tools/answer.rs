//! What a tool says to the model.

use serde_json::Value;

/// A tool, as the model is told of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// What the model calls it by.
    pub name: String,
    /// What it does, and its limits.
    pub description: String,
    /// The JSON schema of its arguments: an object.
    pub parameters: Value,
}

/// What the model gets for a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// For the model to read.
    pub text: String,
    /// The call did not do what was asked; the text says what to do instead.
    pub is_error: bool,
}

impl Answer {
    /// It was done.
    pub fn done(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            is_error: false,
        }
    }

    /// It was not done.
    pub fn error(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            is_error: true,
        }
    }

    /// The attempt is stopped; nobody will read this.
    pub(super) fn cancelled() -> Self {
        Self::error("cancelled")
    }
}
