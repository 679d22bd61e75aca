//! The options that a call gives, read by their types (A03).

use bellwether_actors::restart::Retries;
use bellwether_actors::run::keys::Refusal;
use serde_json::{Map, Value};

use super::bounds;
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
    pub(super) max_tokens: Option<u64>,
    /// In millionths of a dollar.
    pub(super) max_cost: Option<u64>,
    pub(super) time: Time,
    pub(super) retries: Option<Retries>,
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
            max_turns: read(all, "maxTurns", |value| bounds::count(value, 1))?,
            max_tokens: read(all, "maxTokens", bounds::tokens)?,
            max_cost: read(all, "maxCost", bounds::dollars)?,
            time: Time {
                most: read(all, "timeout", bounds::duration)?,
                stall: read(all, "stallTimeout", |value| {
                    bounds::stall(value, bounds::duration)
                })?,
            },
            retries: read(all, "retries", bounds::retries)?,
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

/// What `read` makes of an option that is given.
fn read<T>(
    all: &Map<String, Value>,
    name: &str,
    read: impl FnOnce(&Value) -> Result<T, String>,
) -> Result<Option<T>, Refusal> {
    let value = value(all, name).map(read).transpose();
    value.map_err(|error| Refusal::new("OPTIONS", format!("agent(): the option `{name}` {error}")))
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
    let kind = bounds::kind(value);
    let message = format!("agent(): the option `{name}` is {kind}; {remedy}");
    Refusal::new("OPTIONS", message)
}
