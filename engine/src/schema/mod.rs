//! Schemas of answers (S01): compiled once, and what does not fit told place by place.

mod checked;

use std::fmt::{self, Write as _};

use bellwether_actors::backend::Violation;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, ValidationError, Validator};
use serde_json::Value;

pub(crate) use checked::{Checked, outcome_of};

/// So many violations of one value are told; the rest are only counted.
const VIOLATIONS_MAX: usize = 30;
/// Nobody counts further than this: a long list may be wrong in every item.
const COUNTED_MAX: usize = 10_000;
/// A message, and a path, of a violation is cut after so many bytes: it repeats what the agent wrote.
const MESSAGE_BYTES_MAX: usize = 400;

/// A JSON Schema, ready to check values: draft 2020-12, draft-07 where it says so or is one, `$ref` within itself only,
/// `format` checked.
#[derive(Debug)]
pub(crate) struct Schema {
    validator: Validator,
    /// Whether it holds a regular expression, which may take its time.
    has_patterns: bool,
}

/// Why something is no schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at {}: {message}", shown(path))]
pub(crate) struct Malformed {
    /// Where in the schema, as a JSON pointer.
    pub(crate) path: String,
    /// What is wrong there.
    pub(crate) message: String,
}

impl Schema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// [`Malformed`]: where it is none.
    pub(crate) fn compile(schema: &Value) -> Result<Self, Malformed> {
        let built = build(schema, None).or_else(|error| {
            // Most schemas do not say which draft they are. What is none of today's may be one of draft-07, such as a
            // list in `items`.
            let says = schema.get("$schema").is_some();
            let older = (!says).then(|| build(schema, Some(Draft::Draft7)).ok());
            older.flatten().ok_or(error)
        });
        let validator = built.map_err(|error| malformed(schema, &error))?;
        Ok(Self {
            validator,
            has_patterns: holds_key(schema, &["pattern", "patternProperties"]),
        })
    }

    /// What of `value` does not fit, in a bounded number of bounded texts; empty when all does.
    pub(crate) fn violations(&self, value: &Value) -> Vec<Violation> {
        let mut errors = self.validator.iter_errors(value);
        let mut violations: Vec<Violation> = errors
            .by_ref()
            .take(VIOLATIONS_MAX)
            .map(|error| Violation {
                path: cut(&error.instance_path()),
                message: cut(&error),
            })
            .collect();
        let more = errors.take(COUNTED_MAX).count();
        if more > 0 {
            violations.push(Violation {
                path: String::new(),
                message: format!("{more} violations more are not listed"),
            });
        }
        violations
    }
}

fn build(schema: &Value, draft: Option<Draft>) -> Result<Validator, ValidationError<'static>> {
    let options = jsonschema::options()
        .offline()
        .should_validate_formats(true);
    match draft {
        Some(draft) => options.with_draft(draft).build(schema),
        None => options.build(schema),
    }
}

/// The place that an error of the compiler speaks of, and its text.
fn malformed(schema: &Value, error: &ValidationError<'_>) -> Malformed {
    let mut told = error;
    // `type` may be a name or a list of names: that neither fits says less than why the first does not.
    if let ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } =
        error.kind()
        && let Some(first) = context.first().and_then(|branch| branch.first())
    {
        told = first;
    }
    if !matches!(error.kind(), ValidationErrorKind::Referencing(_)) {
        return Malformed {
            path: cut(&told.instance_path()),
            message: cut(told),
        };
    }
    // The compiler does not say where a reference stands that it cannot follow, only what it is.
    let text = error.to_string();
    let mut path = String::new();
    let is_at_fault = |reference: &str| {
        let pointer = reference.strip_prefix('#');
        text.contains(
            pointer
                .filter(|pointer| !pointer.is_empty())
                .unwrap_or(reference),
        )
    };
    let message = match find_reference(schema, &mut path, &is_at_fault) {
        Some(reference) if reference.starts_with('#') => {
            format!("`{reference}` leads nowhere in this schema")
        }
        Some(reference) => format!(
            "`{reference}` is not in this schema: a `$ref` may only lead to a place in it, as `#/$defs/name` does"
        ),
        None => text,
    };
    Malformed {
        path: cut(&path),
        message: cut(&message),
    }
}

/// The first `$ref` for which `wanted` holds; `path` is where.
fn find_reference<'a>(
    schema: &'a Value,
    path: &mut String,
    wanted: &dyn Fn(&str) -> bool,
) -> Option<&'a str> {
    let length = path.len();
    let children: Vec<(String, &Value)> = match schema {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, field)| (name.replace('~', "~0").replace('/', "~1"), field))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| (index.to_string(), item))
            .collect(),
        _ => return None,
    };
    for (name, child) in children {
        path.push('/');
        path.push_str(&name);
        let found = match child {
            Value::String(reference) if name == "$ref" && wanted(reference) => Some(&**reference),
            child => find_reference(child, path, wanted),
        };
        if found.is_some() {
            return found;
        }
        path.truncate(length);
    }
    None
}

/// Whether an object within `schema` has one of these names. Values that only look like a schema count too.
fn holds_key(schema: &Value, names: &[&str]) -> bool {
    match schema {
        Value::Object(fields) => fields
            .iter()
            .any(|(name, field)| names.contains(&name.as_str()) || holds_key(field, names)),
        Value::Array(items) => items.iter().any(|item| holds_key(item, names)),
        _ => false,
    }
}

fn shown(path: &str) -> &str {
    if path.is_empty() { "its root" } else { path }
}

/// The text of something, as far as it may go; what is beyond is not even written.
fn cut(text: &dyn fmt::Display) -> String {
    struct Cut(String);
    impl fmt::Write for Cut {
        fn write_str(&mut self, more: &str) -> fmt::Result {
            let room = MESSAGE_BYTES_MAX - self.0.len();
            if more.len() <= room {
                self.0.push_str(more);
                return Ok(());
            }
            self.0.push_str(&more[..more.floor_char_boundary(room)]);
            self.0.push('…');
            Err(fmt::Error)
        }
    }
    let mut cut = Cut(String::new());
    // An error only says that it was cut.
    let _ = write!(cut, "{text}");
    cut.0
}

#[cfg(test)]
mod tests;
