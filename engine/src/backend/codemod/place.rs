//! Errors in a task, with the place at which they stand.

use std::fmt;

use serde_json::{Map, Value};

/// Something is wrong with a task; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the codemod's task{place}: {problem}")]
pub struct TaskError {
    place: Place,
    problem: String,
}

impl TaskError {
    /// Where: `rules[0].constraints.URL`; empty for the task as a whole.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place.0
    }

    /// What, and what to do about it.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

/// The way to a value in a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place(String);

impl Place {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn field(&self, name: &str) -> Self {
        let plain = |letter: char| letter.is_alphanumeric() || letter == '_';
        let Self(place) = self;
        if !name.chars().all(plain) || name.is_empty() {
            Self(format!("{place}[{name:?}]"))
        } else if place.is_empty() {
            Self(name.to_owned())
        } else {
            Self(format!("{place}.{name}"))
        }
    }

    pub(super) fn item(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The error that something is wrong here.
    pub(super) fn wrong(&self, problem: impl Into<String>) -> TaskError {
        TaskError {
            place: self.clone(),
            problem: problem.into(),
        }
    }

    /// The value as an object with no other keys than these.
    pub(super) fn object<'v>(
        &self,
        value: &'v Value,
        keys: &[&str],
    ) -> Result<&'v Map<String, Value>, TaskError> {
        let map = self.map(value)?;
        match map.keys().find(|key| !keys.contains(&key.as_str())) {
            None => Ok(map),
            Some(key) => Err(self
                .field(key)
                .wrong(format!("no such field; known are {}", keys.join(", ")))),
        }
    }

    /// The value as an object with keys of the caller's own.
    pub(super) fn map<'v>(&self, value: &'v Value) -> Result<&'v Map<String, Value>, TaskError> {
        value
            .as_object()
            .ok_or_else(|| self.expected("an object", value))
    }

    pub(super) fn array<'v>(&self, value: &'v Value) -> Result<&'v [Value], TaskError> {
        let array = value.as_array().map(Vec::as_slice);
        array.ok_or_else(|| self.expected("an array", value))
    }

    pub(super) fn text<'v>(&self, value: &'v Value) -> Result<&'v str, TaskError> {
        let text = value.as_str();
        text.ok_or_else(|| self.expected("a text", value))
    }

    /// The value as an array of texts, each with its place.
    pub(super) fn texts<'v>(&self, value: &'v Value) -> Result<Vec<(Self, &'v str)>, TaskError> {
        let items = self.array(value)?.iter().enumerate();
        items
            .map(|(index, item)| {
                let place = self.item(index);
                place.text(item).map(|text| (place.clone(), text))
            })
            .collect()
    }

    pub(super) fn expected(&self, wanted: &str, value: &Value) -> TaskError {
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        };
        self.wrong(format!("{wanted} is expected here, not {found}"))
    }
}

/// As it stands in a message: with a space before it, or nothing at all.
impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(formatter, " at `{}`", self.0)
        }
    }
}
