//! `edit`: one exact piece of a file for another.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Definition};
use super::content::{self, Content};
use super::memory::Version;
use super::names::Name;
use super::put::{Expected, put};
use super::refusal::Refusal;
use super::replace::{self, Replacement};
use super::tool::Tool;
use super::workplace::Kind;
use super::writing::Writing;

/// The tool.
pub(super) struct Edit(pub(super) Arc<Writing>);

#[derive(Deserialize)]
struct Arguments {
    path: String,
    old_string: String,
    new_string: String,
    #[serde(default)]
    replace_all: bool,
}

impl Tool for Edit {
    fn definition(&self) -> Definition {
        Definition {
            name: Name::Edit.as_str().into(),
            description:
                "Replaces a piece of a text file. `old_string` must be there exactly, with its white space and without the line numbers \
                 of read, and only once: give enough of the lines around it. With `replace_all` every occurrence is replaced. The file \
                 must have been read before. Kind of line ends, byte order mark and mode stay as they are."
                    .into(),
            parameters: json!({
                "type": "object",
                "properties": {
                    "path": {"type": "string", "description": "The file, from the working directory"},
                    "old_string": {"type": "string", "minLength": 1, "description": "What is to be replaced"},
                    "new_string": {"type": "string", "description": "What takes its place; empty to remove it"},
                    "replace_all": {"type": "boolean", "description": "Replace every occurrence (default: false)"}
                },
                "required": ["path", "old_string", "new_string"],
                "additionalProperties": false
            }),
        }
    }

    fn call(&self, arguments: Value, cancelled: CancellationToken) -> BoxFuture<'_, Answer> {
        Box::pin(self.0.clone().change(arguments, cancelled, edit))
    }
}

fn edit(
    writing: &Writing,
    wanted: &Arguments,
    stop: &CancellationToken,
) -> Result<Answer, Refusal> {
    let place = writing.workplace.place_to_write(&wanted.path)?;
    if place.kind()? == Kind::Nothing {
        return Err(writing.memory.missing(&place));
    }
    let bytes = content::bytes_at(&place, "cut it into smaller files")?;
    let path = place.shown();
    let before = match Content::of(&bytes) {
        Content::Text {
            text,
            foreign: None,
        } => text,
        Content::Text {
            foreign: Some(encoding),
            ..
        } => {
            return Ok(Answer::error(format!(
                "{path} is {encoding}, and an edit would lose what cannot be decoded: it is left as it is"
            )));
        }
        Content::Other(kind) => {
            return Ok(Answer::error(format!(
                "{path} is {kind}: only text is edited"
            )));
        }
    };
    let version = Version::of(&bytes);
    writing.memory.check(&place, version)?;
    let replacement = Replacement {
        old: &wanted.old_string,
        new: &wanted.new_string,
        all: wanted.replace_all,
    };
    let replaced = match replace::apply(&before, replacement) {
        Ok(replaced) => replaced,
        Err(failure) => {
            return Ok(Answer::error(format!(
                "{path}: {failure}; nothing was changed"
            )));
        }
    };
    let content = replaced.text.as_bytes();
    put(
        &writing.workplace,
        &place,
        content,
        Expected::File(version),
        stop,
    )?;
    writing.memory.keep(&place, Version::of(content));
    let times = match replaced.lines.as_slice() {
        [first, _, ..] => format!("{} times, first at line {first}", replaced.lines.len()),
        [line] => format!("at line {line}"),
        [] => String::new(),
    };
    let around = replace::around(&replaced, &wanted.new_string);
    Ok(Answer::done(format!(
        "replaced in {path} {times}; it now says\n{around}"
    )))
}
