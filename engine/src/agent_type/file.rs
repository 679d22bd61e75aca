//! One file of an agent type: its text, read.

use std::path::Path;

use bellwether_journal::key::Digest;
use serde_json::{Map, Value};

use super::AgentType;
use super::frontmatter;
use crate::options::AgentInput;
use crate::resolve::bounds;

/// A name longer than this, in bytes, is none.
const NAME_BYTES_MAX: usize = 256;

/// Fields that only say how a type is shown.
const FOR_SHOW: [&str; 2] = ["color", "version"];

/// Reads the text of an agent's file: Markdown with a head of YAML. `None` when it has no head, and so is no agent.
///
/// `source` is the file, for messages. Its name without the ending serves where the head has no `name`, if `may_be_nameless`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(
    text: &str,
    source: &Path,
    may_be_nameless: bool,
) -> Result<Option<AgentType>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // A checkout may have changed the ends of lines; that makes no other agent of it.
    let text = text.replace("\r\n", "\n");
    let Some(parts) = frontmatter::split(&text) else {
        return if begins_with_a_head(text.as_bytes()) && text.contains("\nname:") {
            Err("its frontmatter has no end: a line with `---` is missing".to_owned())
        } else {
            Ok(None)
        };
    };
    let mut fields = Fields(frontmatter::fields(parts)?);
    let stem = source.file_stem().map(|stem| stem.to_string_lossy());
    let name = match (fields.text("name")?, stem) {
        (Some(name), _) => name,
        (None, Some(stem)) if may_be_nameless => stem.into_owned(),
        (None, _) => return Err("it has no `name`".to_owned()),
    };
    if name.len() > NAME_BYTES_MAX || name.contains(char::is_control) {
        return Err(format!(
            "its `name` is no name: at most {NAME_BYTES_MAX} bytes on one line"
        ));
    }
    let backend = fields.text("backend")?;
    let command = fields.command()?;
    if let (Some(backend), Some(_)) = (&backend, &command)
        && backend != "command"
    {
        return Err(format!(
            "it names both the backend `{backend}` and a `command`: give one of them"
        ));
    }
    let system_prompt = parts.body.trim();
    let mut found = AgentType {
        name,
        description: fields.text("description")?.unwrap_or_default(),
        backend,
        command,
        agent_input: fields.agent_input()?,
        tools: fields
            .texts("tools")?
            .filter(|tools| !tools.iter().any(|tool| tool == "*")),
        disallowed_tools: fields.texts("disallowedTools")?.unwrap_or_default(),
        model: fields.text("model")?,
        effort: fields.text("effort")?,
        max_turns: fields.count("maxTurns")?,
        timeout: fields.read("timeout", bounds::spoken_duration)?,
        stall_timeout: fields.read("stallTimeout", |value| {
            bounds::stall(value, bounds::spoken_duration)
        })?,
        retries: fields.read("retries", bounds::retries)?,
        permission_mode: fields.text("permissionMode")?,
        isolation: fields.text("isolation")?,
        mcp_servers: fields.take("mcpServers"),
        system_prompt: (!system_prompt.is_empty()).then(|| system_prompt.into()),
        source: Some(source.to_path_buf()),
        unread: Vec::new(),
        content: Some(Digest::of("agent type file", &[text.as_bytes()]).to_hex()),
    };
    for name in FOR_SHOW {
        fields.take(name);
    }
    found.unread = fields.0.into_iter().map(|(name, _)| name).collect();
    Ok(Some(found))
}

/// Whether these bytes could be those of an agent's file: what else lies in the folder is nobody's fault.
pub(super) fn begins_with_a_head(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    bytes.trim_ascii_start().starts_with(b"---")
}

/// The fields that nobody has taken yet.
struct Fields(Map<String, Value>);

impl Fields {
    /// A field that says something.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.shift_remove(name).filter(|value| !value.is_null())
    }

    /// A field that is one text; an empty one says nothing.
    fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        let value = self.take(name).map(|value| {
            scalar(&value).ok_or_else(|| format!("its `{name}` is no text, but {}", kind(&value)))
        });
        Ok(value
            .transpose()?
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty()))
    }

    /// A field that is a list, or a text with commas.
    fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, String> {
        let wrong = |value: &Value| {
            let kind = kind(value);
            format!("its `{name}` is {kind}: give a list, or a text with commas between")
        };
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => {
                let mut texts = Vec::new();
                for item in &items {
                    let item = scalar(item).ok_or_else(|| wrong(item))?;
                    texts.extend(separated(&item));
                }
                Ok(Some(texts))
            }
            Some(value) => {
                let texts = separated(&scalar(&value).ok_or_else(|| wrong(&value))?);
                Ok((!texts.is_empty()).then_some(texts))
            }
        }
    }

    /// A field that is a number from 1.
    fn count(&mut self, name: &str) -> Result<Option<u32>, String> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(count @ 1..) => Ok(Some(count)),
            _ => Err(format!(
                "its `{name}` is `{text}`: give a whole number from 1"
            )),
        }
    }

    /// What `read` makes of a field that says something.
    fn read<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        let value = self.take(name).map(|value| read(&value)).transpose();
        value.map_err(|error| format!("its `{name}` {error}"))
    }

    /// The command: a list of words, or a line as for a shell.
    fn command(&mut self) -> Result<Option<Vec<String>>, String> {
        let words = match self.take("command") {
            None => return Ok(None),
            Some(Value::Array(words)) => words.iter().map(scalar).collect(),
            Some(value) => scalar(&value).and_then(|line| shlex::split(&line)),
        };
        words
            .filter(|words: &Vec<String>| words.first().is_some_and(|program| !program.is_empty()))
            .map(Some)
            .ok_or_else(|| {
                "its `command` is none: give a line as for a shell, or a list of words".to_owned()
            })
    }

    fn agent_input(&mut self) -> Result<Option<AgentInput>, String> {
        let word = self.text("agentInput")?;
        word.map(|word| {
            serde_json::from_value(Value::from(word.as_str())).map_err(|_| {
                format!("its `agentInput` is `{word}`: give `task`, `prompt` or `lines`")
            })
        })
        .transpose()
    }
}

/// The text of a value that stands on its own.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

/// The parts between commas; those within parentheses separate nothing, as in `Bash(git log:*, git diff:*)`.
fn separated(text: &str) -> Vec<String> {
    let mut depth = 0_usize;
    text.split(|letter| {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    })
    .map(|part| part.trim().to_owned())
    .filter(|part| !part.is_empty())
    .collect()
}
