//! The head of a Markdown file: YAML between two lines of `---`, as people write it.
//!
//! One file in twenty is no strict YAML: a `: ` in an unquoted description, a tab, a quotation mark too many. Such a head is
//! read line by line into one that is.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Fields that an agent's file may have, whoever reads them. In a head that is no strict YAML only these end a text that
/// goes on over several lines, since in such texts other words stand before a colon too.
const FIELDS: [&str; 20] = [
    "name",
    "description",
    "backend",
    "command",
    "agentInput",
    "tools",
    "disallowedTools",
    "model",
    "effort",
    "maxTurns",
    "permissionMode",
    "isolation",
    "mcpServers",
    "skills",
    "hooks",
    "memory",
    "background",
    "color",
    "initialPrompt",
    "version",
];

/// A file in its two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    /// What stands between the lines of `---`.
    pub(super) head: &'a str,
    /// What comes behind them.
    pub(super) body: &'a str,
    /// The line, from 1, on which the head begins.
    pub(super) first_line: usize,
}

/// Takes a file apart; `None` when it has no head. Lines end in `\n`.
pub(super) fn split(text: &str) -> Option<Parts<'_>> {
    let is_fence = |line: &str| line.trim_end() == "---";
    let start = text.len() - text.trim_start().len();
    let (fence, rest) = text.get(start..)?.split_once('\n')?;
    if !is_fence(fence) {
        return None;
    }
    let mut end = 0;
    for line in rest.split_inclusive('\n') {
        if is_fence(line) {
            return Some(Parts {
                head: rest.get(..end)?,
                body: rest.get(end + line.len()..)?,
                first_line: text.get(..start)?.matches('\n').count() + 2,
            });
        }
        end += line.len();
    }
    None
}

/// The fields of a head.
///
/// # Errors
/// What is wrong with it, and on which line of the file.
pub(super) fn fields(parts: Parts<'_>) -> Result<Map<String, Value>, String> {
    let strict = match yaml(parts.head) {
        Ok(value) => return object(value),
        Err(error) => error,
    };
    match yaml(&repaired(parts.head)) {
        Ok(value) => object(value),
        // The line numbers of the repaired text are nobody's: the first error is the one to tell.
        Err(_) => Err(message(&strict, parts.first_line)),
    }
}

fn object(value: Value) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(fields) => Ok(fields),
        Value::Null => Ok(Map::new()),
        _ => Err("its frontmatter holds no `field: value` lines".to_owned()),
    }
}

fn yaml(text: &str) -> Result<Value, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins,
        // A name may be `on`, and one may be `007`.
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options)
}

fn message(error: &serde_saphyr::Error, first_line: usize) -> String {
    let line = error
        .location()
        .map_or(0, |location| location.line() as usize);
    let error = error.to_string();
    let error = error.lines().next().unwrap_or_default();
    // Its own lines are those of the head.
    let error = error.split(" at line ").next().unwrap_or_default();
    format!(
        "line {}: its frontmatter is no YAML: {error}",
        (first_line + line).saturating_sub(1)
    )
}

/// The head as strict YAML: every value at its left margin that is plain text becomes a quoted one.
fn repaired(head: &str) -> String {
    let mut out = String::with_capacity(head.len() + 64);
    let mut open: Option<Field<'_>> = None;
    for line in head.lines() {
        if let Some((name, value)) = field(line, open.is_some()) {
            close(open.take(), &mut out);
            if is_plain(value) {
                open = Some(Field {
                    name,
                    text: without_comment(value).to_owned(),
                });
                continue;
            }
        } else if let Some(field) = &mut open {
            field.go_on(line.trim());
            continue;
        }
        let indented = line.trim_start_matches('\t');
        out.push_str(&"  ".repeat(line.len() - indented.len()));
        out.push_str(indented);
        out.push('\n');
    }
    close(open, &mut out);
    out
}

/// A field whose text may go on over the next lines.
struct Field<'a> {
    name: &'a str,
    text: String,
}

impl Field<'_> {
    /// As YAML folds lines: an end of line is a space, an empty line is one.
    fn go_on(&mut self, line: &str) {
        if line.is_empty() {
            self.text.push('\n');
        } else {
            if !self.text.ends_with('\n') {
                self.text.push(' ');
            }
            self.text.push_str(line);
        }
    }
}

fn close(field: Option<Field<'_>>, out: &mut String) {
    if let Some(Field { name, text }) = field {
        // A JSON string is a quoted text of YAML.
        let quoted = Value::from(text.trim());
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name}: {quoted}");
    }
}

/// Name and value of a line that begins a field. Within a text only the name of a known one does.
fn field(line: &str, within_text: bool) -> Option<(&str, &str)> {
    let (name, rest) = line.split_once(':')?;
    let is_name = name.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'));
    let is_field = is_name
        && (rest.is_empty() || rest.starts_with([' ', '\t']))
        && (!within_text || FIELDS.contains(&name));
    is_field.then_some((name, rest.trim()))
}

/// Whether a value is to be taken as text, word for word: it is neither quoted nor a list or the like, or it only begins so.
fn is_plain(value: &str) -> bool {
    let mut letters = value.chars();
    let first = letters.next();
    let rest = letters.as_str();
    match first {
        None | Some('#') => false,
        // What is not closed on its line may go on over the next ones.
        Some('"') => rest.contains('"') && serde_json::from_str::<String>(value).is_err(),
        Some('\'') => rest.contains('\'') && !is_closed_once(rest),
        Some('[') => rest.contains(']') && !rest.ends_with(']'),
        Some('{') => rest.contains('}') && !rest.ends_with('}'),
        Some('|' | '>') => !rest
            .chars()
            .all(|letter| matches!(letter, '+' | '-' | '0'..='9')),
        Some(_) => true,
    }
}

/// Whether what follows a single quote has the next one at its end; a doubled one stands for itself.
fn is_closed_once(rest: &str) -> bool {
    rest.strip_suffix('\'')
        .is_some_and(|inner| !inner.replace("''", "").contains('\''))
}

fn without_comment(value: &str) -> &str {
    value
        .find(" #")
        .and_then(|comment| value.get(..comment))
        .unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str) -> Result<Value, String> {
        let text = format!("---\n{head}\n---\nbody");
        let parts = split(&text).unwrap_or_else(|| panic!("no head: {text}"));
        fields(parts).map(Value::Object)
    }

    #[test]
    fn y01_a_head_stands_between_two_fences() {
        let parts = |text| split(text).map(|parts| (parts.head, parts.body, parts.first_line));
        assert_eq!(parts("---\na: 1\n---\nb\n"), Some(("a: 1\n", "b\n", 2)));
        assert_eq!(parts("\n\n--- \n---"), Some(("", "", 4)));
        assert_eq!(
            parts("---\na: |\n  x\n----\n---\nb"),
            Some(("a: |\n  x\n----\n", "b", 2))
        );
        for text in ["", "---", "a\n---\nb\n---\n", "---\na: 1\n", "--- a\n---\n"] {
            assert_eq!(parts(text), None, "{text:?}");
        }
    }

    #[test]
    fn y01_strict_yaml_is_read_as_such() {
        let fields = read(
            "name: on\ncode: 007\ndescription: >-\n  two\n  lines\ntools: [a, 'b: c']\nname: last\n# no\nhooks:\n  - x: {y: 1}",
        );
        let expected = serde_json::json!({
            "name": "last", "code": "007", "description": "two lines", "tools": ["a", "b: c"], "hooks": [{"x": {"y": 1}}],
        });
        assert_eq!(fields, Ok(expected));
        assert_eq!(read(""), Ok(serde_json::json!({})));
    }

    #[test]
    fn y01_a_head_that_is_no_strict_yaml_is_read_all_the_same() {
        let long = "description: Use it when: something breaks. Examples: <example>user: \"hi\"</example>\\n\ntools: Read, Grep\n";
        for (head, name, value) in [
            (
                long,
                "description",
                "Use it when: something breaks. Examples: <example>user: \"hi\"</example>\\n",
            ),
            (long, "tools", "Read, Grep"),
            (
                "description: a: b\n\n<example>\nuser: \"x\"\n</example>\nmodel: opus # fast",
                "model",
                "opus",
            ),
            (
                "description: a: b\n\n<example>\nuser: \"x\"\n</example>\nmodel: opus",
                "description",
                "a: b\n<example> user: \"x\" </example>",
            ),
            (
                "description: 'it's: so'\nname: x",
                "description",
                "'it's: so'",
            ),
            (
                "description: \"a\" and: \"b\"\nname: x",
                "description",
                "\"a\" and: \"b\"",
            ),
            ("tools: *\nname: x", "tools", "*"),
            ("name: @scope/x\nmodel: m", "name", "@scope/x"),
            (
                "description: [beta] a: b\nname: x",
                "description",
                "[beta] a: b",
            ),
            (
                "description: a: b\ninitialPrompt: |\n  c: d: e\nname: x",
                "initialPrompt",
                "c: d: e\n",
            ),
            (
                "description: a: b\nquoted: \"c: d\"\nsingle: 'e''s'",
                "description",
                "a: b quoted: \"c: d\" single: 'e''s'",
            ),
        ] {
            let fields = read(head).unwrap_or_else(|error| panic!("{head:?}: {error}"));
            assert_eq!(fields[name], value, "{head:?}");
        }
        let fields = read("name: x\ntools:\n\t- Read\n\t- Grep");
        assert_eq!(
            fields.map(|fields| fields["tools"].to_string()),
            Ok("[\"Read\",\"Grep\"]".to_owned())
        );
    }

    #[test]
    fn y01_what_cannot_be_read_names_its_line() {
        for (head, line) in [
            ("name: x\ntools: [a", "line 3"),
            ("a: b\nname: \"x\nmodel: y", "line 4"),
        ] {
            let error = read(head).err().unwrap_or_default();
            assert!(
                error.contains("no YAML") && error.starts_with(line),
                "{head:?}: {error}"
            );
        }
        assert!(read("- a\n- b").is_err_and(|error| error.contains("`field: value`")));
    }
}
