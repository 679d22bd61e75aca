//! What a tool says to the model.

use serde_json::Value;

/// A tool, as the model is told of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Definition {
    /// What the model calls it by.
    pub(crate) name: String,
    /// What it does, and its limits.
    pub(crate) description: String,
    /// The JSON schema of its arguments: an object.
    pub(crate) parameters: Value,
}

/// What the model gets for a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// For the model to read.
    pub(crate) text: String,
    /// The call did not do what was asked; the text says what to do instead.
    pub(crate) is_error: bool,
}

impl Answer {
    /// It was done.
    pub(crate) fn done(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            is_error: false,
        }
    }

    /// It was not done.
    pub(crate) fn error(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            is_error: true,
        }
    }

    /// The attempt is stopped; nobody will read this.
    pub(crate) fn cancelled() -> Self {
        Self::error("cancelled")
    }
}
