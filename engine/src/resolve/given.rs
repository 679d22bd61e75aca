//! The options that a call gives, read by their types (A03).

use std::time::Duration;

use bellwether_actors::run::keys::Refusal;
use serde_json::{Map, Value};

use super::limited::Time;

/// What a call says. An option that is null counts as not given.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Given {
    pub(super) schema: Option<Value>,
    pub(super) model: Option<String>,
    pub(super) effort: Option<String>,
    pub(super) isolation: Option<String>,
    pub(super) agent_type: Option<String>,
    pub(super) backend: Option<String>,
    pub(super) tools: Option<Vec<String>>,
    pub(super) disallowed_tools: Vec<String>,
    pub(super) max_turns: Option<u32>,
    pub(super) time: Time,
    pub(super) retries: Option<u32>,
    pub(super) cwd: Option<String>,
    pub(super) env: Option<Vec<String>>,
}

impl Given {
    /// Reads the options of `agent()`.
    ///
    /// # Errors
    /// An option that is not what it must be.
    pub(super) fn read(all: &Map<String, Value>) -> Result<Self, Refusal> {
        text(all, "key")?;
        Ok(Self {
            schema: value(all, "schema").cloned(),
            model: text(all, "model")?,
            effort: text(all, "effort")?,
            isolation: text(all, "isolation")?,
            agent_type: text(all, "agentType")?,
            backend: text(all, "backend")?,
            tools: texts(all, "tools")?,
            disallowed_tools: texts(all, "disallowedTools")?.unwrap_or_default(),
            max_turns: count(all, "maxTurns", 1)?,
            time: Time {
                most: duration(all, "timeout")?,
                silent: duration(all, "stallTimeout")?,
            },
            retries: count(all, "retries", 0)?,
            cwd: text(all, "cwd")?,
            env: variables(all, "env")?,
        })
    }
}

fn value<'a>(all: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    all.get(name).filter(|value| !value.is_null())
}

fn text(all: &Map<String, Value>, name: &str) -> Result<Option<String>, Refusal> {
    match value(all, name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(other) => Err(wrong(name, other, "give a text that is not empty")),
    }
}

fn texts(all: &Map<String, Value>, name: &str) -> Result<Option<Vec<String>>, Refusal> {
    let remedy = "give an array of texts";
    match value(all, name) {
        None => Ok(None),
        Some(list @ Value::Array(items)) => {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            let texts: Option<Vec<String>> = texts.collect();
            texts.map(Some).ok_or_else(|| wrong(name, list, remedy))
        }
        Some(other) => Err(wrong(name, other, remedy)),
    }
}

fn count(all: &Map<String, Value>, name: &str, least: u32) -> Result<Option<u32>, Refusal> {
    let Some(value) = value(all, name) else {
        return Ok(None);
    };
    let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
    match count {
        Some(count) if count >= least => Ok(Some(count)),
        _ => {
            let remedy = format!("give a whole number from {least}");
            Err(wrong(name, value, &remedy))
        }
    }
}

/// Milliseconds, or an ISO 8601 duration.
fn duration(all: &Map<String, Value>, name: &str) -> Result<Option<Duration>, Refusal> {
    let Some(value) = value(all, name) else {
        return Ok(None);
    };
    let milliseconds = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => bellwether_scripts::duration_milliseconds(text),
        _ => None,
    };
    let duration = milliseconds
        .filter(|milliseconds| *milliseconds >= 1.0)
        .and_then(|milliseconds| Duration::try_from_secs_f64(milliseconds / 1_000.0).ok());
    duration.map(Some).ok_or_else(|| {
        let remedy = "give milliseconds, or an ISO 8601 duration such as 'PT10M'";
        wrong(name, value, remedy)
    })
}

/// Names of environment variables, which is all of them that a script may know.
fn variables(all: &Map<String, Value>, name: &str) -> Result<Option<Vec<String>>, Refusal> {
    let names = texts(all, name)?;
    let is_name = |name: &String| !name.is_empty() && !name.contains(['=', '\0']);
    match names.iter().flatten().find(|name| !is_name(name)) {
        None => Ok(names),
        Some(wrong) => {
            let message = format!(
                "agent(): the option `{name}` has {wrong:?}; give the names of environment variables: their values come from \
                 where the engine runs, and no script sees them"
            );
            Err(Refusal::new("OPTIONS", message))
        }
    }
}

fn wrong(name: &str, value: &Value, remedy: &str) -> Refusal {
    let kind = match value {
        Value::Null => "null".to_owned(),
        Value::Bool(is) => is.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.is_empty() => "an empty string".to_owned(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "such an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    let message = format!("agent(): the option `{name}` is {kind}; {remedy}");
    Refusal::new("OPTIONS", message)
}
