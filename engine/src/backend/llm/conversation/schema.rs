//! A schema as a provider can keep to it while it writes.
//!
//! A provider constrains the model's output by a subset of JSON Schema. The answer is checked against the whole schema
//! afterwards, so what the provider does not know may be left out as long as that allows more; what would allow less may
//! not, since then a right answer could not be given. A schema that cannot be had without allowing less is asked for in
//! words only.

use serde_json::{Map, Value};

use super::endpoint::Wire;

/// The most levels of a schema, `OpenAI`'s own limit; also bounds the recursion here.
const DEPTH_MAX: usize = 10;
/// The most properties in all, far under the providers' own limits.
const PROPERTIES_MAX: usize = 1_000;
/// So much of a schema is gone through to see whether it leads back to itself: definitions that use each other twice
/// double with each level.
const STEPS_MAX: usize = 20_000;

/// A schema that a provider can keep to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Constraint {
    pub(super) schema: Value,
    /// Whether all that the schema says is in it; otherwise the model has to be told in words too.
    pub(super) is_whole: bool,
}

/// Whose subset of JSON Schema it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Anthropic,
    OpenAi,
    Gemini,
}

impl Dialect {
    const fn of(wire: Wire) -> Option<Self> {
        match wire {
            Wire::Anthropic => Some(Self::Anthropic),
            Wire::OpenAiChat | Wire::OpenAiResponses => Some(Self::OpenAi),
            Wire::Gemini => Some(Self::Gemini),
            // It is asked for JSON of any shape.
            Wire::Ollama => None,
        }
    }

    /// Whether each property must be required.
    fn requires_all(self) -> bool {
        self == Self::OpenAi
    }

    /// Whether bounds of numbers and lists, and patterns, are known.
    fn has_bounds(self) -> bool {
        self != Self::Anthropic
    }

    /// Whether a definition may refer to itself.
    fn may_recur(self) -> bool {
        self != Self::Anthropic
    }

    /// Whether objects may be open, and lists without a schema for their items.
    fn may_be_open(self) -> bool {
        self == Self::Gemini
    }
}

/// `schema` as providers of `wire` can keep to it, if they can.
pub(super) fn constraint(schema: &Value, wire: Wire) -> Option<Constraint> {
    let mut reader = Reader {
        dialect: Dialect::of(wire)?,
        root: schema,
        properties: 0,
        is_whole: true,
    };
    let object = schema.as_object()?;
    // The roots that all of them take: an object, and nothing that has to be looked up first.
    if object.get("type").and_then(Value::as_str) != Some("object") {
        return None;
    }
    if !reader.dialect.may_recur() && recurs(schema, schema, &mut Vec::new(), &mut { STEPS_MAX }) {
        return None;
    }
    let schema = reader.object(object, 0)?;
    Some(Constraint {
        schema: Value::Object(schema),
        is_whole: reader.is_whole,
    })
}

struct Reader<'a> {
    dialect: Dialect,
    root: &'a Value,
    properties: usize,
    is_whole: bool,
}

impl Reader<'_> {
    fn value(&mut self, schema: &Value, depth: usize) -> Option<Value> {
        self.object(schema.as_object()?, depth).map(Value::Object)
    }

    fn object(&mut self, schema: &Map<String, Value>, depth: usize) -> Option<Map<String, Value>> {
        // Without a word about its kind a value may be anything, which none of them can write to a grammar.
        let kinds = ["type", "enum", "const", "anyOf", "oneOf", "$ref"];
        if depth > DEPTH_MAX || !kinds.iter().any(|key| schema.contains_key(*key)) {
            return None;
        }
        let mut kept = Map::new();
        for (key, value) in schema {
            match key.as_str() {
                "type" | "enum" | "const" | "title" | "description" | "required" => {
                    kept.insert(key.clone(), value.clone());
                }
                "properties" => {
                    let mut properties = Map::new();
                    for (name, property) in value.as_object()? {
                        self.properties += 1;
                        properties.insert(name.clone(), self.value(property, depth + 1)?);
                    }
                    kept.insert(key.clone(), Value::Object(properties));
                }
                "items" => {
                    kept.insert(key.clone(), self.value(value, depth + 1)?);
                }
                // One of several is at least any of them.
                "anyOf" | "oneOf" => {
                    self.is_whole &= key == "anyOf";
                    let mut any = Vec::new();
                    for option in value.as_array()? {
                        any.push(self.value(option, depth + 1)?);
                    }
                    if kept.insert("anyOf".into(), Value::Array(any)).is_some() {
                        return None;
                    }
                }
                "$defs" | "definitions" => {
                    let mut definitions = Map::new();
                    for (name, definition) in value.as_object()? {
                        definitions.insert(name.clone(), self.value(definition, depth + 1)?);
                    }
                    kept.insert(key.clone(), Value::Object(definitions));
                }
                "$ref" => {
                    let pointer = value.as_str()?.strip_prefix('#')?;
                    self.root.pointer(pointer)?;
                    kept.insert(key.clone(), value.clone());
                }
                "additionalProperties" => match value {
                    Value::Bool(false) => {
                        kept.insert(key.clone(), value.clone());
                    }
                    _ if self.dialect.may_be_open() => {
                        kept.insert(key.clone(), value.clone());
                    }
                    _ => return None,
                },
                "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf"
                | "minItems" | "maxItems" | "pattern"
                    if self.dialect.has_bounds() =>
                {
                    kept.insert(key.clone(), value.clone());
                }
                "$schema" | "$id" | "$comment" | "default" | "examples" => {}
                // Leaving these out allows less or means something else: patterns name properties that a closed object
                // would then not have.
                "patternProperties" | "allOf" | "prefixItems" | "additionalItems"
                | "$dynamicRef" | "$anchor" => return None,
                _ => self.is_whole = false,
            }
        }
        if self.properties > PROPERTIES_MAX {
            return None;
        }
        self.is_closed(schema).then_some(kept)
    }

    /// Whether nothing is lost where the provider closes each object, and lets lists have only what is described.
    fn is_closed(&self, schema: &Map<String, Value>) -> bool {
        let is = |name: &str| match schema.get("type") {
            Some(Value::String(one)) => one == name,
            Some(Value::Array(some)) => some.iter().any(|one| one == name),
            _ => false,
        };
        if self.dialect.may_be_open() {
            return true;
        }
        if is("array") && !schema.contains_key("items") {
            return false;
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        if is("object") && properties.is_none_or(Map::is_empty) {
            return false;
        }
        if !self.dialect.requires_all() {
            return true;
        }
        let required = schema.get("required").and_then(Value::as_array);
        properties.is_none_or(|properties| {
            properties
                .keys()
                .all(|name| required.is_some_and(|list| list.iter().any(|one| one == name)))
        })
    }
}

/// Whether some definition leads back to itself, or that takes too long to tell.
fn recurs<'a>(
    schema: &'a Value,
    root: &'a Value,
    way: &mut Vec<&'a str>,
    steps: &mut usize,
) -> bool {
    *steps = steps.saturating_sub(1);
    if *steps == 0 {
        return true;
    }
    match schema {
        Value::Array(list) => list.iter().any(|item| recurs(item, root, way, steps)),
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str) {
                let target = name
                    .strip_prefix('#')
                    .and_then(|pointer| root.pointer(pointer));
                let Some(target) = target.filter(|_| !way.contains(&name)) else {
                    return true;
                };
                way.push(name);
                let found = recurs(target, root, way, steps);
                way.pop();
                return found;
            }
            map.iter()
                .filter(|(key, _)| !matches!(key.as_str(), "$defs" | "definitions"))
                .any(|(_, value)| recurs(value, root, way, steps))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kept(schema: &Value, wire: Wire) -> Option<(Value, bool)> {
        constraint(schema, wire).map(|constraint| (constraint.schema, constraint.is_whole))
    }

    #[test]
    fn a_plain_schema_goes_to_all() {
        let schema = json!({
            "type": "object",
            "properties": {"ok": {"type": "boolean", "description": "d"}, "at": {"type": "array", "items": {"type": "string"}}},
            "required": ["ok", "at"], "additionalProperties": false
        });
        for wire in [
            Wire::Anthropic,
            Wire::OpenAiChat,
            Wire::OpenAiResponses,
            Wire::Gemini,
        ] {
            assert_eq!(
                kept(&schema, wire),
                Some((schema.clone(), true)),
                "{wire:?}"
            );
        }
        assert_eq!(kept(&schema, Wire::Ollama), None);
    }

    #[test]
    fn what_would_allow_less_is_not_sent() {
        let object = |property: Value| json!({"type": "object", "properties": {"p": property}, "required": ["p"]});
        for schema in [
            object(json!({"type": "object"})),
            object(
                json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": {"type": "string"}}),
            ),
            object(json!({"type": "array"})),
            object(json!({})),
            object(json!(true)),
            object(
                json!({"type": "object", "patternProperties": {"^a": {}}, "properties": {"a": {"type": "null"}}, "required": ["a"]}),
            ),
            object(json!({"allOf": [{"type": "string"}], "type": "string"})),
            object(json!({"$ref": "#/$defs/none"})),
            object(json!({"$ref": "https://example.org/schema"})),
            json!({"type": "array", "items": {"type": "string"}}),
            json!({"anyOf": [{"type": "object"}]}),
        ] {
            assert_eq!(kept(&schema, Wire::Anthropic), None, "{schema}");
            assert_eq!(kept(&schema, Wire::OpenAiChat), None, "{schema}");
        }
        let open = object(json!({"type": "object"}));
        assert_eq!(kept(&open, Wire::Gemini), Some((open.clone(), true)));
    }

    #[test]
    fn an_optional_property_is_forced_by_openai_only() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        assert_eq!(kept(&schema, Wire::OpenAiResponses), None);
        assert_eq!(kept(&schema, Wire::Anthropic), Some((schema.clone(), true)));
    }

    #[test]
    fn what_would_allow_more_is_left_out_and_said() {
        let schema = json!({
            "type": "object", "required": ["n", "u"],
            "properties": {
                "n": {"type": "integer", "minimum": 1, "not": {"const": 3}},
                "u": {"oneOf": [{"type": "string"}, {"type": "null"}]}
            }
        });
        let (sent, is_whole) = kept(&schema, Wire::Anthropic).unwrap_or_else(|| panic!("it fits"));
        assert!(!is_whole);
        assert_eq!(sent["properties"]["n"], json!({"type": "integer"}));
        assert_eq!(
            sent["properties"]["u"],
            json!({"anyOf": [{"type": "string"}, {"type": "null"}]})
        );
        let (sent, _) = kept(&schema, Wire::OpenAiChat).unwrap_or_else(|| panic!("it fits"));
        assert_eq!(
            sent["properties"]["n"],
            json!({"type": "integer", "minimum": 1})
        );
    }

    #[test]
    fn recursion_is_not_for_anthropic() {
        let schema = json!({
            "type": "object", "required": ["tree"], "properties": {"tree": {"$ref": "#/$defs/node"}},
            "$defs": {"node": {"type": "object", "required": ["children"], "properties": {
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}
            }}}
        });
        assert_eq!(kept(&schema, Wire::Anthropic), None);
        assert!(kept(&schema, Wire::OpenAiChat).is_some());
        let mut twice = schema;
        twice["$defs"]["node"] = json!({"type": "string"});
        twice["properties"]["other"] = json!({"$ref": "#/$defs/node"});
        assert!(
            kept(&twice, Wire::Anthropic).is_some(),
            "used twice is no recursion"
        );
    }

    #[test]
    fn a_deep_schema_is_asked_for_in_words() {
        let mut schema = json!({"type": "string"});
        for _ in 0..40 {
            schema = json!({"type": "object", "required": ["p"], "properties": {"p": schema}});
        }
        assert_eq!(kept(&schema, Wire::OpenAiChat), None);
        assert_eq!(kept(&schema, Wire::Anthropic), None);
    }
}
