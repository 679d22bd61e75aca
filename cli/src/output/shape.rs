//! What a value is made of, without its contents.

use serde_json::Value;

/// A shape that is shorter, in characters, stands on one line.
const LINE: usize = 76;
/// What is nested deeper is only named.
const DEPTH_MAX: usize = 5;
/// So many different shapes of a list's items are shown, and so many fields of an object.
const DIFFERENT_MAX: usize = 3;
const FIELDS_MAX: usize = 30;

/// The shape of a value: `{ done: boolean, found: [string × 3] }`, over several lines when it is long.
pub(crate) fn shape(value: &Value) -> String {
    written(value, 0, 0)
}

fn written(value: &Value, indent: usize, depth: usize) -> String {
    let parts = match value {
        Value::Null => return "null".to_owned(),
        Value::Bool(_) => return "boolean".to_owned(),
        Value::Number(_) => return "number".to_owned(),
        Value::String(_) => return "string".to_owned(),
        Value::Array(items) => return list(items, indent, depth),
        Value::Object(_) if depth >= DEPTH_MAX => return "{ … }".to_owned(),
        Value::Object(fields) => {
            let parts = fields.iter().take(FIELDS_MAX).map(|(name, field)| {
                let name = super::paint::one_line(name, 40);
                format!("{name}: {}", written(field, indent + 2, depth + 1))
            });
            let more = fields.len().saturating_sub(FIELDS_MAX);
            let more = (more > 0).then(|| format!("… {more} fields more"));
            parts.chain(more).collect::<Vec<_>>()
        }
    };
    if parts.is_empty() {
        return "{}".to_owned();
    }
    let line = format!("{{ {} }}", parts.join(", "));
    if line.chars().count() + indent <= LINE && !line.contains('\n') {
        return line;
    }
    let inner = " ".repeat(indent + 2);
    let lines: Vec<String> = parts.iter().map(|part| format!("{inner}{part}")).collect();
    format!("{{\n{}\n{}}}", lines.join(",\n"), " ".repeat(indent))
}

fn list(items: &[Value], indent: usize, depth: usize) -> String {
    if items.is_empty() {
        return "[]".to_owned();
    }
    if depth >= DEPTH_MAX {
        return format!("[… × {}]", items.len());
    }
    let mut different: Vec<String> = Vec::new();
    for item in items {
        let shape = written(item, indent, depth + 1);
        if !different.contains(&shape) {
            if different.len() == DIFFERENT_MAX {
                different.push("…".to_owned());
                break;
            }
            different.push(shape);
        }
    }
    format!("[{} × {}]", different.join(" | "), items.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shapes_say_what_there_is_and_how_many() {
        let table = [
            (json!(null), "null"),
            (json!("text"), "string"),
            (json!([]), "[]"),
            (json!({}), "{}"),
            (json!([1, 2, null]), "[number | null × 3]"),
            (
                json!({ "found": [{ "title": "a" }, { "title": "b" }], "done": true }),
                "{ found: [{ title: string } × 2], done: boolean }",
            ),
            (
                json!([1, "a", true, null]),
                "[number | string | boolean | … × 4]",
            ),
        ];
        for (value, wanted) in table {
            assert_eq!(shape(&value), wanted);
        }
        let long = json!({ "a_rather_long_name": "x", "another_rather_long_name": { "within": [[1]] }, "and_more_of_them": 1 });
        assert_eq!(
            shape(&long),
            "{\n  a_rather_long_name: string,\n  another_rather_long_name: { within: [[number × 1] × 1] },\n  and_more_of_them: number\n}"
        );
    }
}
