//! `write`: a whole file.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Definition};
use super::content;
use super::memory::Version;
use super::names::Name;
use super::put::{Expected, put};
use super::refusal::Refusal;
use super::tool::Tool;
use super::workplace::{Kind, Workplace};
use super::writing::Writing;

/// The tool.
pub(super) struct Write(pub(super) Arc<Writing>);

#[derive(Deserialize)]
struct Arguments {
    path: String,
    content: String,
}

impl Tool for Write {
    fn definition(&self) -> Definition {
        Definition {
            name: Name::Write.as_str().into(),
            description:
                "Writes a whole file, with exactly this content, and makes the folders it lies in. A file that exists must have been \
                 read before. To change a part of a file use edit."
                    .into(),
            parameters: json!({
                "type": "object",
                "properties": {
                    "path": {"type": "string", "description": "The file, from the working directory"},
                    "content": {"type": "string", "description": "All that the file shall say"}
                },
                "required": ["path", "content"],
                "additionalProperties": false
            }),
        }
    }

    fn call(&self, arguments: Value, cancelled: CancellationToken) -> BoxFuture<'_, Answer> {
        Box::pin(self.0.clone().change(arguments, cancelled, write))
    }
}

fn write(
    writing: &Writing,
    wanted: &Arguments,
    stop: &CancellationToken,
) -> Result<Answer, Refusal> {
    let workplace: &Workplace = &writing.workplace;
    let place = workplace.place_to_write(&wanted.path)?;
    let expected = if place.kind()? == Kind::Nothing {
        Expected::Nothing
    } else {
        // What is no file is refused by being opened.
        let now = content::bytes_at(&place, "it cannot be replaced")?;
        let now = Version::of(&now);
        writing.memory.check(&place, now)?;
        Expected::File(now)
    };
    let content = wanted.content.as_bytes();
    put(workplace, &place, content, expected, stop)?;
    writing.memory.keep(&place, Version::of(content));
    let (path, bytes) = (place.shown(), content.len());
    let lines = wanted.content.lines().count();
    let done = match expected {
        Expected::Nothing => "made",
        Expected::File(_) => "replaced",
    };
    Ok(Answer::done(format!(
        "{done} {path}: {lines} lines, {bytes} bytes"
    )))
}
