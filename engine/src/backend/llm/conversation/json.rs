//! The answer in a text: the last JSON that stands in it, fenced or not (S03), as the very bytes that the model wrote (A08).

use serde::de::IgnoredAny;
use serde_json::Value;

/// Reading a text costs at most so many times its length: a text of opening brackets alone would cost its square.
const READ_TIMES_MAX: usize = 64;

/// What a schema's root lets an answer be, as far as that can be told by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Root {
    object: bool,
    array: bool,
    scalar: bool,
}

impl Root {
    /// Anything.
    pub(super) const ANY: Self = Self {
        object: true,
        array: true,
        scalar: true,
    };

    /// What `schema` lets an answer be.
    pub(super) fn of(schema: &Value) -> Self {
        let types: Vec<&str> = match schema.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(some)) => some.iter().filter_map(Value::as_str).collect(),
            _ if schema.get("properties").is_some() => vec!["object"],
            _ => return Self::ANY,
        };
        Self {
            object: types.contains(&"object"),
            array: types.contains(&"array"),
            scalar: types
                .iter()
                .any(|name| !matches!(*name, "object" | "array")),
        }
    }

    /// Whether it can only be an object.
    pub(super) const fn is_object(self) -> bool {
        self.object && !self.array && !self.scalar
    }

    fn lets(self, json: &str) -> bool {
        match json.as_bytes().first() {
            Some(b'{') => self.object,
            Some(b'[') => self.array,
            _ => self.scalar,
        }
    }
}

/// The last JSON of a text that `root` lets be; if there is none of that kind, the last of any kind.
///
/// Objects and arrays count wherever they stand, the outermost ones; other values only as the whole text, as all there is
/// in a fence, or as the whole last line, since a word like `true` or `42` in a sentence is no answer.
pub(super) fn last_json(text: &str, root: Root) -> Option<&str> {
    let whole = text.trim();
    if root.lets(whole) && is_json(whole) {
        return Some(whole);
    }
    let mut found = objects_and_arrays(text);
    found.extend(scalars(text));
    found.sort_by_key(|json| json.as_ptr() as usize + json.len());
    found
        .iter()
        .rev()
        .find(|json| root.lets(json))
        .or(found.last())
        .copied()
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn objects_and_arrays(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut left = text.len().saturating_mul(READ_TIMES_MAX);
    let mut from = 0;
    while let Some(start) = text[from..].find(['{', '[']).map(|at| from + at) {
        let rest = &text[start..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        let read = match values.next() {
            Some(Ok(_)) => {
                let length = values.byte_offset();
                found.push(&rest[..length]);
                from = start + length;
                length
            }
            Some(Err(error)) => {
                from = start + 1;
                offset(rest, error.line(), error.column())
            }
            None => break,
        };
        left = match left.checked_sub(read) {
            Some(left) => left,
            None => break,
        };
    }
    found
}

/// How many bytes stand before a line and column, both from 1, as an error names them.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let lines = text.split_inclusive('\n').take(line.saturating_sub(1));
    (lines.map(str::len).sum::<usize>() + column).min(text.len())
}

/// Values that are no object and no array, where nothing else stands beside them.
fn scalars(text: &str) -> Vec<&str> {
    let mut found: Vec<&str> = fences(text);
    found.extend(text.trim_end().lines().next_back());
    found.retain_mut(|candidate| {
        *candidate = candidate.trim();
        !candidate.starts_with(['{', '[']) && is_json(candidate)
    });
    found
}

/// What stands in the fences of a text. A fence that is never closed goes to the end.
fn fences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut opened: Option<usize> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let end = at + line.len();
        if line.trim_start().starts_with("```") {
            opened = match opened {
                Some(start) => {
                    found.push(&text[start..at]);
                    None
                }
                None => Some(end),
            };
        }
        at = end;
    }
    found.extend(opened.map(|start| &text[start..]));
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn last(text: &str) -> Option<&str> {
        last_json(text, Root::ANY)
    }

    #[test]
    fn the_last_one_fenced_or_not() {
        for (text, json) in [
            (r#"{"a": 1}"#, Some(r#"{"a": 1}"#)),
            ("  [1, 2]\n", Some("[1, 2]")),
            ("First {\"a\":1}, then {\"b\":2}. Done.", Some("{\"b\":2}")),
            (
                "```json\n{\"a\":\n 1}\n```\nThat is all.",
                Some("{\"a\":\n 1}"),
            ),
            (
                "{\"draft\":1}\n```\n{\"final\":2}\n```",
                Some("{\"final\":2}"),
            ),
            ("```json\n42\n```", Some("42")),
            ("The answer is\n\"yes\"", Some("\"yes\"")),
            ("true", Some("true")),
            ("it is true", None),
            ("fn main() { let x = [a, b]; }", None),
            ("[see {\"a\":1}", Some("{\"a\":1}")),
            ("{\"a\": {\"b\": 1}}", Some("{\"a\": {\"b\": 1}}")),
            ("{\"cut\": [1, 2, {\"x\": 3}", Some("{\"x\": 3}")),
            ("", None),
            ("```json\n{\"open\":true}", Some("{\"open\":true}")),
        ] {
            assert_eq!(last(text), json, "{text}");
        }
    }

    #[test]
    fn bytes_stay_as_they_were() {
        let text = "ok: {\"z\": 1e400, \"a\": 12345678901234567890.10,\"z\":\"\\u00e4ä\"} !";
        assert_eq!(
            last(text),
            Some("{\"z\": 1e400, \"a\": 12345678901234567890.10,\"z\":\"\\u00e4ä\"}")
        );
    }

    #[test]
    fn the_schemas_root_decides_between_several() {
        let text = "{\"ok\": true}\n\nSources: [1] and [2]";
        assert_eq!(last(text), Some("[2]"));
        assert_eq!(
            last_json(text, Root::of(&json!({"type": "object"}))),
            Some("{\"ok\": true}")
        );
        assert_eq!(
            last_json(text, Root::of(&json!({"properties": {}}))),
            Some("{\"ok\": true}")
        );
        assert_eq!(
            last_json(text, Root::of(&json!({"type": ["array", "null"]}))),
            Some("[2]")
        );
        // None of the wanted kind: the caller says what is wrong with the one that there is.
        assert_eq!(
            last_json(text, Root::of(&json!({"type": "string"}))),
            Some("[2]")
        );
        assert_eq!(
            last_json("Is it [1]?\n7", Root::of(&json!({"type": "integer"}))),
            Some("7")
        );
    }

    #[test]
    fn a_hostile_text_costs_no_square() {
        // Without its bound this takes hours.
        assert_eq!(last(&"[".repeat(1 << 20)), None);
    }

    proptest! {
        #[test]
        fn never_panics_and_is_json(text in r#"[{}\[\]",:0-9a`\n é]{0,60}"#) {
            if let Some(json) = last(&text) {
                prop_assert!(is_json(json));
                prop_assert!(text.contains(json));
            }
        }

        #[test]
        fn finds_what_was_written(before in "[a-zé .]{0,20}", number in any::<f64>().prop_filter("finite", |n| n.is_finite()), after in "[a-z .]{0,20}") {
            let json = format!("{{\"n\": {number:e}}}");
            let text = format!("{before}{json}{after}");
            prop_assert_eq!(last(&text), Some(json.as_str()));
        }
    }
}
