//! Schemas, and the values that they get.

use serde_json::json;

use super::*;
use crate::backend::fixtures::{context, task};

#[test]
fn every_rule_has_its_value() {
    for (schema, value) in [
        (json!({"type": "string"}), json!("value")),
        (json!(true), json!("value")),
        (json!({"const": null}), json!(null)),
        (
            json!({"enum": ["low", "high"], "type": "string"}),
            json!("low"),
        ),
        (json!({"type": "boolean"}), json!(true)),
        (json!({"type": ["null", "integer"]}), json!(5)),
        (json!({"type": "null"}), json!(null)),
        (json!({"type": "number", "maximum": 1}), json!(1)),
        (json!({"type": "number", "minimum": 7.5}), json!(7.5)),
        (json!({"type": "integer", "minimum": 7.5}), json!(8)),
        (json!({"type": "integer", "exclusiveMaximum": 5}), json!(4)),
        (json!({"type": "integer", "exclusiveMinimum": 5}), json!(6)),
        (
            json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
            json!(0.5),
        ),
        (
            json!({"type": "number", "minimum": 0, "maximum": 1}),
            json!(1),
        ),
        (json!({"type": "integer", "multipleOf": 4}), json!(8)),
        (
            json!({"type": "integer", "multipleOf": 4, "maximum": 7}),
            json!(4),
        ),
        (json!({"type": "string", "maxLength": 2}), json!("va")),
        (json!({"type": "string", "minLength": 7}), json!("value..")),
        (
            json!({"type": "string", "format": "date"}),
            json!("2000-01-01"),
        ),
        (json!({"type": "array", "maxItems": 1}), json!(["[0]"])),
        (
            json!({"items": {"const": 1}, "minItems": 4}),
            json!([1, 1, 1, 1]),
        ),
        (
            json!({"prefixItems": [{"const": 1}, {"type": "boolean"}], "items": false}),
            json!([1, true]),
        ),
        (
            json!({"anyOf": [{"type": "null"}, {"type": "boolean"}]}),
            json!(true),
        ),
        (json!({"required": ["a"]}), json!({"a": "a"})),
    ] {
        assert_eq!(value_for(&schema), value, "{schema}");
    }
}

#[test]
fn a_value_says_where_it_stands_and_keeps_the_order_of_its_schema() {
    let schema = json!({
        "type": "object",
        "allOf": [{"$ref": "#/$defs/a~1b"}, {"properties": {"zeal": {"maxLength": 3}}}],
        "properties": {"findings": {"type": "array", "items": {
            "type": "object", "properties": {"title": {"type": "string"}}
        }}},
        "$defs": {"a/b": {"properties": {"zeal": {"type": "string"}, "also": {"$ref": "#/$defs/n"}}},
                  "n": {"type": "integer"}},
    });
    let text = r#"{"zeal":"zea","also":5,"findings":[{"title":"findings[0].title"},{"title":"findings[1].title"},{"title":"findings[2].title"}]}"#;
    assert_eq!(value_for(&schema).to_string(), text);
}

#[test]
fn s01_its_values_fit_their_schemas() {
    let severity = json!({"type": "string", "enum": ["low", "high", "none"]});
    for schema in [
        json!({"type": "object", "required": ["verdict", "files"], "additionalProperties": false, "properties": {
            "verdict": severity, "score": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
            "files": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["path", "line"], "properties": {
                "path": {"type": "string", "pattern": "^[a-z]+/[a-z]+\\.ts$"}, "line": {"type": "integer", "minimum": 1},
            }}},
        }}),
        json!({"type": "array", "uniqueItems": true, "items": severity}),
        json!({"type": "array", "uniqueItems": true, "minItems": 3, "items": severity}),
        json!({"type": "array", "uniqueItems": true, "minItems": 4, "items": {"type": "integer"}}),
        json!({"type": "array", "uniqueItems": true, "items": {"type": "string"}}),
        json!({"type": "array", "contains": {"const": 7}}),
        json!({"type": "string", "pattern": "^\\d{4}$", "minLength": 4}),
        json!({"type": "string", "pattern": "-", "minLength": 1}),
        json!({"type": "array", "items": [{"type": "string"}, {"type": "integer"}], "additionalItems": false}),
        json!({"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string", "minLength": 30}, "of": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
        }}}}),
        json!({"oneOf": [{"type": "null"}, {"type": "object", "required": ["a"], "properties": {"a": {"const": "b"}}}]}),
        json!({"type": "object", "minProperties": 2, "additionalProperties": {"type": "boolean"}}),
        json!(true),
    ] {
        let value = value_for(&schema);
        let compiled = crate::schema::Schema::compile(&schema)
            .unwrap_or_else(|error| panic!("{schema}: {error}"));
        assert_eq!(compiled.violations(&value), [], "{schema}: {value}");
    }
    for format in [
        "date",
        "time",
        "date-time",
        "duration",
        "email",
        "idn-email",
        "hostname",
        "idn-hostname",
        "ipv4",
        "ipv6",
        "uri",
        "iri",
        "uri-reference",
        "iri-reference",
        "uri-template",
        "uuid",
        "json-pointer",
        "relative-json-pointer",
        "regex",
    ] {
        let schema = json!({"type": "string", "format": format});
        let compiled = crate::schema::Schema::compile(&schema)
            .unwrap_or_else(|error| panic!("{schema}: {error}"));
        assert_eq!(compiled.violations(&value_for(&schema)), [], "{format}");
    }
}

#[test]
fn what_never_ends_is_cut() {
    let tree = json!({"properties": {"children": {"items": {"$ref": "#"}}}});
    let text = value_for(&tree).to_string();
    // Arrays stand at every second level; the one at level 9 is the first that is too deep.
    assert_eq!(text.matches("[{").count(), 1 + 3 + 9 + 27);
    for schema in [
        json!({"$ref": "#"}),
        json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]}),
        json!({"properties": {"next": {"$ref": "#"}}, "required": ["next"]}),
        json!({"items": {"$ref": "#"}, "minItems": 10}),
        json!({"minItems": u64::MAX}),
        json!({"type": "string", "minLength": u64::MAX}),
        json!({"type": "number", "multipleOf": 1e-320, "minimum": 1e308}),
        json!({"$ref": "#/%zz%2"}),
        json!(7),
    ] {
        let _ = value_for(&schema);
    }
}

#[tokio::test]
async fn without_a_schema_the_text_names_the_call() {
    let ended = Dry.run(task(11, None), context()).await;
    assert_eq!(ended, Ended::completed("\"agent text output 12\""));
    let ended = Dry
        .run(task(0, Some(r#"{"type": "boolean"}"#)), context())
        .await;
    assert_eq!(ended, Ended::completed("true"));
    let ended = Dry
        .run(task(0, Some(r#"{"maximum": 1e400}"#)), context())
        .await;
    assert!(matches!(
        ended.outcome,
        bellwether_actors::backend::AgentOutcome::Failed(_)
    ));
}
