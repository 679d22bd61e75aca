//! A value that fits a JSON schema, always the same one for the same schema.
//!
//! It goes by what schemas of answers are made of: types, enumerations, properties, items, bounds, formats, patterns, references within the
//! schema and the first of several alternatives. It does not solve what contradicts itself or needs a search.

use std::cell::Cell;

use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::{Map, Number, Value, json};

/// How deep optional parts are filled in. Beyond it only what is required, so that a schema which refers to itself ends.
const DEPTH_OPTIONAL: usize = 6;
/// How deep anything is filled in.
const DEPTH_MAX: usize = 40;
/// Values of an answer, those within others included.
const VALUES_MAX: usize = 100_000;
/// Items of a list and length of a text that a schema may ask for at most.
const LENGTH_MAX: u64 = 10_000;

/// A value that fits the schema.
pub(super) fn fit(schema: &Value) -> Value {
    fit_named(schema, "text")
}

/// A value that fits the schema, for a place of this name. Free text says the name.
pub(super) fn fit_named(schema: &Value, name: &str) -> Value {
    let left = Cell::new(VALUES_MAX);
    Fit { root: schema, left }.value(schema, name, 0, 0)
}

struct Fit<'a> {
    root: &'a Value,
    /// Values that may still be made, so that a schema which branches into itself ends.
    left: Cell<usize>,
}

impl Fit<'_> {
    /// The `nth` value that fits a schema, for a place called `name`.
    fn value(&self, schema: &Value, name: &str, nth: u64, depth: usize) -> Value {
        let left = self.left.get();
        if depth > DEPTH_MAX || left == 0 {
            return Value::Null;
        }
        self.left.set(left - 1);
        if let Some(target) = schema["$ref"].as_str().and_then(|path| self.target(path)) {
            return self.value(target, name, nth, depth + 1);
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema["enum"]
            .as_array()
            .filter(|values| !values.is_empty())
        {
            return values[nth as usize % values.len()].clone();
        }
        for several in ["anyOf", "oneOf"] {
            if let Some(first) = schema[several].as_array().and_then(|all| simplest(all)) {
                return self.value(&merged(schema, first, several), name, nth, depth + 1);
            }
        }
        if let Some(all) = schema["allOf"].as_array() {
            let whole = all.iter().fold(schema.clone(), |whole, part| {
                let part = part["$ref"]
                    .as_str()
                    .and_then(|path| self.target(path))
                    .unwrap_or(part);
                merged(&whole, part, "allOf")
            });
            return self.value(&whole, name, nth, depth + 1);
        }
        match kind(schema).as_str() {
            "object" => Value::Object(self.object(schema, depth)),
            "array" => Value::Array(self.array(schema, name, depth)),
            "integer" => integer(schema, nth),
            "number" => number(schema, nth),
            "boolean" => json!(true),
            "null" => Value::Null,
            _ => json!(string(schema, name, nth)),
        }
    }

    /// Where a reference within the schema points to.
    fn target(&self, path: &str) -> Option<&Value> {
        self.root.pointer(path.strip_prefix('#')?)
    }

    fn object(&self, schema: &Value, depth: usize) -> Map<String, Value> {
        let required: Vec<&str> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut object = Map::new();
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            if depth < DEPTH_OPTIONAL || required.contains(&name.as_str()) {
                object.insert(name.clone(), self.value(schema, name, 0, depth + 1));
            }
        }
        let others = &schema["additionalProperties"];
        for name in required {
            if !object.contains_key(name) {
                object.insert(name.to_owned(), self.value(others, name, 0, depth + 1));
            }
        }
        let least = schema["minProperties"]
            .as_u64()
            .unwrap_or(0)
            .min(LENGTH_MAX);
        for nth in 0..least {
            if object.len() as u64 >= least {
                break;
            }
            object.insert(
                format!("key{nth}"),
                self.value(others, "value", nth, depth + 1),
            );
        }
        object
    }

    fn array(&self, schema: &Value, name: &str, depth: usize) -> Vec<Value> {
        let first = schema["prefixItems"].as_array();
        let least = schema["minItems"].as_u64().unwrap_or(0);
        let wanted = u64::from(depth < DEPTH_OPTIONAL);
        let most = schema["maxItems"].as_u64().unwrap_or(LENGTH_MAX);
        let count = least
            .max(wanted)
            .max(first.map_or(0, |first| first.len() as u64))
            .min(most)
            .min(LENGTH_MAX);
        (0..count)
            .map(|nth| {
                let item = first
                    .and_then(|first| first.get(nth as usize))
                    .unwrap_or(&schema["items"]);
                self.value(item, name.trim_end_matches('s'), nth, depth + 1)
            })
            .collect()
    }
}

/// The first alternative that is not null.
fn simplest(all: &[Value]) -> Option<&Value> {
    all.iter()
        .find(|schema| kind(schema) != "null")
        .or_else(|| all.first())
}

/// The type that a value of this schema has. Gemini writes them in capitals.
fn kind(schema: &Value) -> String {
    let named = match &schema["type"] {
        Value::Array(kinds) => kinds
            .iter()
            .filter_map(Value::as_str)
            .find(|kind| *kind != "null")
            .or(Some("null")),
        one => one.as_str(),
    };
    match named {
        Some(kind) => kind.to_lowercase(),
        None if schema.get("properties").is_some() => "object".to_owned(),
        None if schema.get("items").is_some() || schema.get("prefixItems").is_some() => {
            "array".to_owned()
        }
        None if schema.get("minimum").is_some() || schema.get("maximum").is_some() => {
            "number".to_owned()
        }
        None => "string".to_owned(),
    }
}

/// A schema with what another one adds to it, without the word that joined them.
fn merged(schema: &Value, part: &Value, without: &str) -> Value {
    let mut whole = schema.as_object().cloned().unwrap_or_default();
    whole.remove(without);
    for (name, value) in part.as_object().into_iter().flatten() {
        match (whole.get_mut(name), value) {
            (Some(Value::Object(mine)), Value::Object(other)) => mine.extend(other.clone()),
            (Some(Value::Array(mine)), Value::Array(other)) if name == "required" => {
                mine.extend(other.clone());
            }
            _ => {
                whole.insert(name.clone(), value.clone());
            }
        }
    }
    Value::Object(whole)
}

fn integer(schema: &Value, nth: u64) -> Value {
    let step = schema["multipleOf"]
        .as_i64()
        .filter(|step| *step > 0)
        .unwrap_or(1);
    let least = schema["minimum"].as_f64().map(f64::ceil).or_else(|| {
        schema["exclusiveMinimum"]
            .as_f64()
            .map(|least| least.floor() + 1.0)
    });
    let most = schema["maximum"].as_f64().map(f64::floor).or_else(|| {
        schema["exclusiveMaximum"]
            .as_f64()
            .map(|most| most.ceil() - 1.0)
    });
    let from = match (least, most) {
        (Some(least), _) => least as i64,
        (None, Some(most)) if most < 1.0 => (most as i64).saturating_sub(step - 1),
        _ => 1,
    };
    // The first multiple from there on.
    let first = from.saturating_add((step - from.rem_euclid(step)) % step);
    let value = first.saturating_add(step.saturating_mul(nth.cast_signed()));
    let fits = most.is_none_or(|most| value as f64 <= most);
    json!(if fits { value } else { first })
}

fn number(schema: &Value, nth: u64) -> Value {
    let least = schema["minimum"].as_f64();
    let most = schema["maximum"].as_f64();
    let above = schema["exclusiveMinimum"].as_f64();
    let below = schema["exclusiveMaximum"].as_f64();
    if schema
        .get("multipleOf")
        .is_some_and(|step| step.as_i64().is_some())
    {
        return integer(schema, nth);
    }
    let low = least.or(above);
    let high = most.or(below);
    let value = match (low, high) {
        (Some(low), Some(high)) => f64::midpoint(low, high),
        (Some(low), None) => low + 0.5 + nth as f64,
        (None, Some(high)) => high - 0.5 - nth as f64,
        (None, None) => 0.5 + nth as f64,
    };
    Number::from_f64(value).map_or_else(|| json!(0), Value::Number)
}

fn string(schema: &Value, name: &str, nth: u64) -> String {
    let formatted = match schema["format"].as_str() {
        Some("date-time") => Some(format!("2026-01-{:02}T00:00:00Z", nth % 28 + 1)),
        Some("date") => Some(format!("2026-01-{:02}", nth % 28 + 1)),
        Some("time") => Some(format!("00:00:{:02}Z", nth % 60)),
        Some("duration") => Some(format!("P{}D", nth + 1)),
        Some("email") => Some(format!("person{nth}@example.com")),
        Some("uri" | "url") => Some(format!("https://example.com/{nth}")),
        Some("hostname") => Some(format!("host{nth}.example.com")),
        Some("ipv4") => Some(format!("192.0.2.{}", nth % 256)),
        Some("uuid") => Some(format!("00000000-0000-4000-8000-{nth:012}")),
        _ => None,
    };
    if let Some(formatted) = formatted {
        return formatted;
    }
    if let Some(matching) = schema["pattern"].as_str().and_then(matching) {
        return matching;
    }
    let least = schema["minLength"].as_u64().unwrap_or(0).min(LENGTH_MAX) as usize;
    let most = schema["maxLength"].as_u64().unwrap_or(LENGTH_MAX) as usize;
    let word = if nth == 0 {
        name.to_owned()
    } else {
        format!("{}{name}", nth + 1)
    };
    let padded: String = word
        .chars()
        .chain(std::iter::repeat('x'))
        .take(least.max(word.chars().count()))
        .collect();
    padded.chars().take(most).collect()
}

/// The shortest plain text that a regular expression matches.
fn matching(pattern: &str) -> Option<String> {
    let mut text = String::new();
    write_match(&regex_syntax::parse(pattern).ok()?, &mut text);
    Some(text)
}

fn write_match(hir: &Hir, text: &mut String) {
    match hir.kind() {
        HirKind::Literal(literal) => text.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(class) => text.push(member(class)),
        HirKind::Repetition(repetition) => {
            let least = u64::from(repetition.min).min(LENGTH_MAX);
            // One of what may be missing reads better than nothing, where one is allowed.
            let times = least.max(u64::from(repetition.max.is_none_or(|most| most > 0)));
            for _ in 0..times {
                let before = text.len();
                write_match(&repetition.sub, text);
                if text.len() == before || text.len() as u64 > LENGTH_MAX {
                    break;
                }
            }
        }
        HirKind::Capture(capture) => write_match(&capture.sub, text),
        HirKind::Concat(parts) => parts.iter().for_each(|part| write_match(part, text)),
        HirKind::Alternation(parts) => {
            if let Some(first) = parts.first() {
                write_match(first, text);
            }
        }
        HirKind::Empty | HirKind::Look(_) => {}
    }
}

/// A character of a class, a letter or a digit where it has one.
fn member(class: &Class) -> char {
    let has = |wanted: char| match class {
        Class::Unicode(class) => class
            .ranges()
            .iter()
            .any(|range| (range.start()..=range.end()).contains(&wanted)),
        Class::Bytes(class) => class
            .ranges()
            .iter()
            .any(|range| (range.start()..=range.end()).contains(&(wanted as u8))),
    };
    let first = match class {
        Class::Unicode(class) => class
            .ranges()
            .first()
            .map(regex_syntax::hir::ClassUnicodeRange::start),
        Class::Bytes(class) => class
            .ranges()
            .first()
            .map(|range| char::from(range.start())),
    };
    ('a'..='z')
        .chain('A'..='Z')
        .chain('0'..='9')
        .find(|wanted| has(*wanted))
        .or(first)
        .unwrap_or('x')
}
