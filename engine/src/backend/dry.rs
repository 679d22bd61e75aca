//! The backend `dry`: answers at once, with a value made from the schema. For trying out a script without an agent.
//!
//! | schema | value |
//! |---|---|
//! | none | `agent text output N`, N being the call's number counted from 1 |
//! | `const`, `enum` | it, the first of it |
//! | object | all properties, and those that are only `required` |
//! | array | 3 items (or as many as [`value_of`] is told) within `minItems` and `maxItems`; none 8 levels deep or deeper, unless `minItems` asks for them; `uniqueItems` are |
//! | boolean | `true` |
//! | number, integer | 5 within `minimum` and `maximum` (exclusive ones too), on a multiple of `multipleOf` |
//! | string | where it stands (`findings[0].title`), within `minLength` and `maxLength`; a valid one for a known `format` or `pattern` |
//! | null | `null` |
//!
//! Of several types the first that is not null is taken, of `oneOf` and `anyOf` the first; `allOf` is merged, a local
//! `$ref` is followed. `not`, `if`, `dependentRequired` and other rules about several parts at once are not looked at: where
//! they matter the value does not fit, and the call fails as that of any agent does whose answers never fit. The same schema
//! gives the same value, always.

mod pattern;

use std::fmt::Write as _;
use std::sync::Arc;

use bellwether_actors::backend::{AgentBackend, AttemptContext, Ended, Task};
use bellwether_journal::record::FailureKind;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Map, Number, Value};

/// Items of an array where its schema does not say how many.
pub(crate) const ARRAY_ITEMS: u64 = 3;
/// An array at this depth or below has no items.
const ARRAY_DEPTH_MAX: usize = 8;
/// Below this depth a schema that refers to itself gives null, whatever it requires.
const DEPTH_MAX: usize = 24;
/// However many items or characters a schema demands.
const REPEAT_MAX: u64 = 10_000;
/// How many schemas are read as one: references may go round, and each `allOf` doubles them.
const FLATTENED_MAX: usize = 256;
/// However large the value becomes: nested arrays multiply.
const NODES_MAX: usize = 100_000;
const NUMBER: f64 = 5.0;

/// Answers at once with a value made from the schema.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dry;

impl AgentBackend for Dry {
    fn run(&self, task: Arc<Task>, context: AttemptContext) -> BoxFuture<'static, Ended> {
        async move {
            if context.cancelled.is_cancelled() || context.killed.is_cancelled() {
                return Ended::cancelled();
            }
            answer(&task)
        }
        .boxed()
    }
}

fn answer(task: &Task) -> Ended {
    let value = match &task.options.schema {
        None => {
            let number = u64::from(task.token.call.0) + 1;
            Value::String(format!("agent text output {number}"))
        }
        Some(schema) => match serde_json::from_str(schema.get()) {
            Ok(schema) => value_for(&schema),
            Err(error) => {
                let message = format!("the schema cannot be read: {error}");
                return Ended::failed(FailureKind::Other, message);
            }
        },
    };
    Ended::completed(value.to_string())
}

/// A value for `schema`, which fits it wherever the rules of this module can see to that.
#[must_use]
pub fn value_for(schema: &Value) -> Value {
    value_of(schema, ARRAY_ITEMS)
}

/// As [`value_for`], with arrays of so many items where their schema allows it.
#[must_use]
pub fn value_of(schema: &Value, items: u64) -> Value {
    let mut maker = Maker {
        root: schema,
        items,
        nodes: 0,
    };
    maker.value(schema, &mut String::new(), 0)
}

struct Maker<'a> {
    root: &'a Value,
    /// Items of an array where its schema does not say how many.
    items: u64,
    nodes: usize,
}

impl Maker<'_> {
    fn value(&mut self, schema: &Value, path: &mut String, depth: usize) -> Value {
        self.nodes += 1;
        if depth > DEPTH_MAX || self.nodes > NODES_MAX {
            return Value::Null;
        }
        let Value::Object(schema) = schema else {
            return text(&Map::new(), path);
        };
        let schema = self.flattened(schema, &mut { FLATTENED_MAX });
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(value) = schema.get("enum").and_then(|values| values.get(0)) {
            return value.clone();
        }
        match type_of(&schema) {
            "object" => self.object(&schema, path, depth),
            "array" => self.array(&schema, path, depth),
            "boolean" => Value::Bool(true),
            "integer" => number(&schema, true),
            "number" => number(&schema, false),
            "null" => Value::Null,
            _ => text(&schema, path),
        }
    }

    /// The schema with what it refers to, its `allOf`, and the first of its `oneOf` and `anyOf`, as one; as
    /// many of them as there is `fuel` for.
    fn flattened(&self, schema: &Map<String, Value>, fuel: &mut usize) -> Map<String, Value> {
        let mut flat = Map::new();
        let mut parts: Vec<&Value> = Vec::new();
        let refer = schema.get("$ref").and_then(Value::as_str);
        parts.extend(refer.and_then(|pointer| self.referred(pointer)));
        parts.extend(
            schema
                .get("allOf")
                .and_then(Value::as_array)
                .into_iter()
                .flatten(),
        );
        for choice in ["oneOf", "anyOf"] {
            let choices = schema.get(choice).and_then(Value::as_array);
            // An alternative that is only null says that there may be nothing: the first that says more is meant.
            let not_null = |part: &&Value| part.get("type").is_none_or(|kind| kind != "null");
            parts.extend(
                choices.and_then(|list| list.iter().find(not_null).or_else(|| list.first())),
            );
        }
        for part in parts {
            if let Value::Object(part) = part
                && let Some(rest) = fuel.checked_sub(1)
            {
                *fuel = rest;
                merge(&mut flat, self.flattened(part, fuel));
            }
        }
        let own = schema
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "$ref" | "allOf" | "oneOf" | "anyOf"))
            .map(|(name, value)| (name.clone(), value.clone()));
        merge(&mut flat, own.collect());
        flat
    }

    /// What `#/…` points to; `#name` finds the subschema of that `$anchor` among the definitions.
    fn referred(&self, pointer: &str) -> Option<&Value> {
        let pointer = pointer.strip_prefix('#')?;
        if pointer.is_empty() || pointer.starts_with('/') {
            return self.root.pointer(&percent_decoded(pointer));
        }
        ["$defs", "definitions"]
            .iter()
            .filter_map(|name| self.root.get(name)?.as_object())
            .flat_map(Map::values)
            .find(|schema| schema.get("$anchor").and_then(Value::as_str) == Some(pointer))
    }

    fn object(&mut self, schema: &Map<String, Value>, path: &mut String, depth: usize) -> Value {
        let mut object = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            // `false` allows no value at all.
            if *property != Value::Bool(false) {
                let value = self.at(property, path, depth, |path| push_name(path, name));
                object.insert(name.clone(), value);
            }
        }
        let additional = schema
            .get("additionalProperties")
            .unwrap_or(&Value::Bool(true));
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            if !object.contains_key(name) {
                let value = self.at(additional, path, depth, |path| push_name(path, name));
                object.insert(name.to_owned(), value);
            }
        }
        let wanted = schema
            .get("minProperties")
            .and_then(Value::as_u64)
            .unwrap_or(0);
        for number in 1..=wanted.min(REPEAT_MAX) {
            if object.len() as u64 >= wanted {
                break;
            }
            let name = format!("property{number}");
            let value = self.at(additional, path, depth, |path| push_name(path, &name));
            object.entry(name).or_insert(value);
        }
        Value::Object(object)
    }

    fn array(&mut self, schema: &Map<String, Value>, path: &mut String, depth: usize) -> Value {
        let limit = |name| schema.get(name).and_then(Value::as_u64);
        // Draft 2020-12 has `prefixItems` and `items`, draft-07 an array in `items` and `additionalItems`.
        let (prefix, rest) = match (schema.get("prefixItems"), schema.get("items")) {
            (Some(Value::Array(prefix)), rest) => (prefix.as_slice(), rest),
            (_, Some(Value::Array(prefix))) => (prefix.as_slice(), schema.get("additionalItems")),
            (_, rest) => ([].as_slice(), rest),
        };
        // Where nothing else is said of the items, what one of them must be does for all.
        let rest = rest.or(schema.get("contains"));
        let usual = if rest == Some(&Value::Bool(false)) {
            prefix.len() as u64
        } else {
            self.items.max(prefix.len() as u64)
        };
        let usual = if depth >= ARRAY_DEPTH_MAX { 0 } else { usual };
        let count = usual
            .min(limit("maxItems").unwrap_or(u64::MAX))
            .max(limit("minItems").unwrap_or(0))
            .min(REPEAT_MAX);
        let mut items = Vec::new();
        for index in 0..count {
            let anything = Value::Bool(true);
            let item = prefix.get(index as usize).or(rest).unwrap_or(&anything);
            items.push(self.at(item, path, depth, |path| {
                {
                    // Writing to a String cannot fail.
                    let _ = write!(path, "[{index}]");
                }
            }));
            if self.nodes > NODES_MAX {
                break;
            }
        }
        if schema.get("uniqueItems") == Some(&Value::Bool(true)) {
            let wanted = limit("minItems").unwrap_or(0);
            items = self.unlike(items, rest, wanted as usize);
        }
        Value::Array(items)
    }

    /// The items without those that are like one before. Where too few are left, other members of an `enum` and higher
    /// numbers come in their place.
    fn unlike(&self, items: Vec<Value>, schema: Option<&Value>, wanted: usize) -> Vec<Value> {
        let mut kept: Vec<Value> = Vec::with_capacity(items.len());
        for item in items {
            if !kept.contains(&item) {
                kept.push(item);
            }
        }
        let empty = Map::new();
        let schema = schema.and_then(Value::as_object).unwrap_or(&empty);
        let schema = self.flattened(schema, &mut { FLATTENED_MAX });
        let members = schema.get("enum").and_then(Value::as_array);
        let first = kept.first().and_then(Value::as_i64).unwrap_or(0);
        let numbers = (1..).map(|more| Value::from(first.saturating_add(more)));
        let is_number = kept.first().is_some_and(Value::is_i64);
        let others = members
            .into_iter()
            .flatten()
            .cloned()
            .chain(numbers.take_while(|_| is_number).take(wanted));
        for other in others {
            if kept.len() >= wanted {
                break;
            }
            if !kept.contains(&other) {
                kept.push(other);
            }
        }
        kept
    }

    /// The value for a part, one level down and with its step in the path.
    fn at(
        &mut self,
        schema: &Value,
        path: &mut String,
        depth: usize,
        step: impl FnOnce(&mut String),
    ) -> Value {
        let length = path.len();
        step(path);
        let value = self.value(schema, path, depth + 1);
        path.truncate(length);
        value
    }
}

fn push_name(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

/// Later rules win, but properties are united and required names gathered.
fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (name, value) in from {
        match (name.as_str(), into.get_mut(&name), value) {
            ("properties", Some(Value::Object(old)), Value::Object(new)) => {
                for (property, schema) in new {
                    match (old.get_mut(&property), schema) {
                        (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
                        (_, schema) => {
                            old.insert(property, schema);
                        }
                    }
                }
            }
            ("required", Some(Value::Array(old)), Value::Array(new)) => old.extend(new),
            (_, _, value) => {
                into.insert(name, value);
            }
        }
    }
}

/// The type that a schema names first, or the one that its rules speak of.
fn type_of(schema: &Map<String, Value>) -> &str {
    let named = match schema.get("type") {
        Some(Value::String(name)) => Some(name.as_str()),
        Some(Value::Array(names)) => {
            let mut names = names.iter().filter_map(Value::as_str);
            names
                .clone()
                .find(|name| *name != "null")
                .or_else(|| names.next())
        }
        _ => None,
    };
    let has = |names: &[&str]| names.iter().any(|name| schema.contains_key(*name));
    named.unwrap_or_else(|| {
        if has(&[
            "properties",
            "required",
            "additionalProperties",
            "minProperties",
        ]) {
            "object"
        } else if has(&["items", "prefixItems", "minItems", "maxItems"]) {
            "array"
        } else if has(&[
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "multipleOf",
        ]) {
            "number"
        } else {
            "string"
        }
    })
}

fn number(schema: &Map<String, Value>, integer: bool) -> Value {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    // Draft-04 wrote `exclusiveMinimum: true` beside `minimum`.
    let flagged = |name: &str| schema.get(name) == Some(&Value::Bool(true));
    let step = bound("multipleOf")
        .filter(|step| *step > 0.0 && (!integer || step.fract() == 0.0))
        .or(integer.then_some(1.0));
    let below = bound("exclusiveMinimum")
        .or_else(|| bound("minimum").filter(|_| flagged("exclusiveMinimum")));
    let above = bound("exclusiveMaximum")
        .or_else(|| bound("maximum").filter(|_| flagged("exclusiveMaximum")));
    // The smallest and the largest number allowed. Between two exclusive bounds without a step it is their middle.
    let gap = match (below, above) {
        (Some(below), Some(above)) => ((above - below) / 2.0).clamp(0.0, 1.0),
        _ => 1.0,
    };
    let lowest = bound("minimum")
        .into_iter()
        .chain(below.map(|limit| match step {
            Some(step) => ((limit / step).floor() + 1.0) * step,
            None => limit + gap,
        }));
    let highest = bound("maximum")
        .into_iter()
        .chain(above.map(|limit| match step {
            Some(step) => ((limit / step).ceil() - 1.0) * step,
            None => limit - gap,
        }));
    let (lowest, highest) = (
        lowest.fold(f64::NEG_INFINITY, f64::max),
        highest.fold(f64::INFINITY, f64::min),
    );
    let mut value = NUMBER.min(highest).max(lowest);
    if let Some(step) = step {
        let up = (value / step).ceil() * step;
        let down = (value / step).floor() * step;
        value = if up <= highest { up } else { down.max(lowest) };
    }
    // Whole numbers are written as such, also where the type is `number`.
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return Value::Number(Number::from(value as i64));
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

fn text(schema: &Map<String, Value>, path: &str) -> Value {
    if let Some(example) = schema
        .get("format")
        .and_then(Value::as_str)
        .and_then(formatted)
    {
        return Value::String(example.to_owned());
    }
    let limit = |name| schema.get(name).and_then(Value::as_u64);
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
        let least = limit("minLength").unwrap_or(0) as usize;
        let most = limit("maxLength").unwrap_or(u64::MAX) as usize;
        if let Some(text) = pattern::matching(pattern, &(least..=most)) {
            return Value::String(text);
        }
    }
    let place = if path.is_empty() { "value" } else { path };
    let mut text: String = place
        .chars()
        .take(limit("maxLength").unwrap_or(u64::MAX) as usize)
        .collect();
    let missing = limit("minLength").unwrap_or(0).min(REPEAT_MAX);
    let missing = missing.saturating_sub(text.chars().count() as u64);
    text.extend(std::iter::repeat_n('.', missing as usize));
    Value::String(text)
}

/// A valid text of a format of JSON Schema.
fn formatted(format: &str) -> Option<&'static str> {
    Some(match format {
        "date" => "2000-01-01",
        "time" => "00:00:00Z",
        "date-time" => "2000-01-01T00:00:00Z",
        "duration" => "PT5S",
        "email" | "idn-email" => "agent@example.com",
        "hostname" | "idn-hostname" => "example.com",
        "ipv4" => "192.0.2.5",
        "ipv6" => "2001:db8::5",
        "uri" | "iri" | "uri-reference" | "iri-reference" => "https://example.com/",
        "uri-template" => "https://example.com/{name}",
        "uuid" => "00000000-0000-4000-8000-000000000005",
        "json-pointer" => "/value",
        "relative-json-pointer" => "0/value",
        "regex" => "value",
        _ => return None,
    })
}

/// A pointer in a fragment is percent-encoded.
fn percent_decoded(pointer: &str) -> String {
    let mut bytes = Vec::with_capacity(pointer.len());
    let mut rest = pointer.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail
            .get(..2)
            .filter(|_| first == b'%')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() {
            tail.get(2..).unwrap_or_default()
        } else {
            tail
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
