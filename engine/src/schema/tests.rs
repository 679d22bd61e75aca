//! What is a schema, and what does not fit one.

use serde_json::json;

use super::*;

fn violations(schema: &Value, value: &Value) -> Vec<(String, String)> {
    let schema = Schema::compile(schema).unwrap_or_else(|error| panic!("{schema}: {error}"));
    schema
        .violations(value)
        .into_iter()
        .map(|violation| (violation.path, violation.message))
        .collect()
}

#[test]
fn s01_a_malformed_schema_names_its_place() {
    let table = [
        (json!("object"), "", "is not of types"),
        (json!([]), "", "is not of types"),
        (json!(3), "", "is not of types"),
        (
            json!({"properties": {"a": {"type": "strin"}}}),
            "/properties/a/type",
            "\"strin\" is not one of",
        ),
        (
            json!({"properties": {"a": {"pattern": "("}}}),
            "/properties/a/pattern",
            "regex",
        ),
        (json!({"required": "a"}), "/required", "array"),
        (
            json!({"properties": {"a/b": {"minimum": "x"}}}),
            "/properties/a~1b/minimum",
            "number",
        ),
        (json!({"$schema": 5}), "/$schema", "string"),
        (
            json!({"$schema": "http://example.org/mine"}),
            "",
            "http://example.org/mine",
        ),
        (
            json!({"properties": {"a": {"$ref": "https://example.org/x.json"}}}),
            "/properties/a/$ref",
            "only lead to a place in it",
        ),
        (
            json!({"items": {"$ref": "other.json#/a"}}),
            "/items/$ref",
            "`other.json#/a`",
        ),
        (
            json!({"items": {"$ref": "file:///etc/passwd"}}),
            "/items/$ref",
            "only lead to a place in it",
        ),
        (
            json!({"properties": {"a": {"$ref": "#/$defs/a"}, "b": {"$ref": "#/$defs/b"}}, "$defs": {"a": {}}}),
            "/properties/b/$ref",
            "`#/$defs/b` leads nowhere",
        ),
    ];
    for (schema, path, message) in table {
        let error = Schema::compile(&schema).err();
        let error = error.unwrap_or_else(|| panic!("{schema} is no schema"));
        assert_eq!(error.path, path, "{schema}: {error}");
        assert!(error.message.contains(message), "{schema}: {error}");
    }
}

#[test]
fn s01_both_drafts_roots_of_any_type_and_references_within() {
    let list = json!({"$ref": "#/$defs/list", "$defs": {"list": {"type": "array", "items": {"$ref": "#/$defs/word"}}, "word": {"type": "string"}}});
    let tree =
        json!({"type": "object", "properties": {"of": {"type": "array", "items": {"$ref": "#"}}}});
    let seven = "http://json-schema.org/draft-07/schema#";
    for (schema, good, bad) in [
        (json!(true), json!(null), None),
        (json!({}), json!([1]), None),
        (json!({"type": "string"}), json!("x"), Some(json!(1))),
        (
            json!({"type": ["integer", "null"]}),
            json!(null),
            Some(json!("x")),
        ),
        (json!({"enum": [1, "a"]}), json!("a"), Some(json!("b"))),
        (list, json!(["a"]), Some(json!([1]))),
        (
            tree,
            json!({"of": [{"of": []}]}),
            Some(json!({"of": [{"of": 1}]})),
        ),
        // By the newer draft, and by the older one, said or not.
        (
            json!({"prefixItems": [{"type": "string"}], "items": false}),
            json!(["a"]),
            Some(json!(["a", 1])),
        ),
        (
            json!({"$schema": seven, "items": [{"type": "string"}], "additionalItems": false}),
            json!(["a"]),
            Some(json!(["a", 1])),
        ),
        (
            json!({"items": [{"type": "string"}], "additionalItems": false}),
            json!(["a"]),
            Some(json!(["a", 1])),
        ),
        // What goes round and round asks for nothing.
        (json!({"$ref": "#"}), json!(1), None),
        (
            json!({"allOf": [{"$ref": "#"}], "type": "integer"}),
            json!(1),
            Some(json!("x")),
        ),
    ] {
        assert_eq!(violations(&schema, &good), [], "{schema} {good}");
        if let Some(bad) = bad {
            assert_ne!(violations(&schema, &bad), [], "{schema} {bad}");
        }
    }
}

#[test]
fn s01_formats_are_checked_and_unknown_ones_are_not() {
    for (format, good, bad) in [
        ("date", "2024-02-29", "2023-02-29"),
        ("date-time", "2024-02-29T10:00:00Z", "yesterday"),
        ("email", "a@example.org", "a at example.org"),
        ("uri", "https://example.org/a?b", "no uri"),
        ("uuid", "00000000-0000-0000-0000-000000000000", "0"),
        ("ipv4", "127.0.0.1", "127.0.0.256"),
    ] {
        let schema = json!({"type": "string", "format": format});
        assert_eq!(violations(&schema, &json!(good)), [], "{format}");
        assert_ne!(violations(&schema, &json!(bad)), [], "{format}");
    }
    assert_eq!(violations(&json!({"format": "shoe-size"}), &json!("x")), []);
}

#[test]
fn s02_every_violation_has_its_path_and_none_is_endless() {
    let schema = json!({
        "type": "object", "required": ["name", "list"], "additionalProperties": false,
        "properties": {"list": {"type": "array", "items": {"type": "integer", "maximum": 9}}},
    });
    let found = violations(&schema, &json!({"list": [1, "x", 10], "more": 1}));
    let paths: Vec<&str> = found.iter().map(|(path, _)| &**path).collect();
    let mut sorted = paths.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["", "", "/list/1", "/list/2"], "{found:?}");
    assert!(
        found
            .iter()
            .any(|(_, message)| message.contains("\"name\" is a required property"))
    );

    let many: Vec<Value> = (0..200).map(|_| json!("x".repeat(10_000))).collect();
    let found = violations(&schema, &json!({"name": 1, "list": many}));
    assert_eq!(found.len(), VIOLATIONS_MAX + 1);
    assert!(
        found
            .iter()
            .all(|(path, message)| path.len() + message.len() < 2 * MESSAGE_BYTES_MAX)
    );
    assert_eq!(
        found[VIOLATIONS_MAX].1,
        "171 violations more are not listed"
    );
    // What is cut is cut between letters.
    let found = violations(&json!({"type": "integer"}), &json!("é".repeat(1_000)));
    assert!(found[0].1.ends_with('…') && found[0].1.len() <= MESSAGE_BYTES_MAX + 3);
}
