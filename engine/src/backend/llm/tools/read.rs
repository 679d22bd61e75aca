//! `read`: a file's text with line numbers.

use std::fmt::Write as _;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Definition};
use super::content::{self, BYTE_ORDER_MARK, Content};
use super::memory::{Memory, Version};
use super::names::Name;
use super::refusal::Refusal;
use super::tool::{Tool, look};
use super::workplace::Workplace;

/// How many lines are shown when nothing else is asked for.
const LINES_DEFAULT: usize = 2_000;
/// How much is shown at once, in bytes: about 25,000 tokens.
const BYTES_MAX: usize = 100_000;

/// The tool.
pub(super) struct Read {
    pub(super) workplace: Arc<Workplace>,
    pub(super) memory: Arc<Memory>,
}

#[derive(Deserialize)]
struct Arguments {
    path: String,
    #[serde(default = "first_line")]
    offset: usize,
    #[serde(default = "all_lines")]
    limit: usize,
}

const fn first_line() -> usize {
    1
}

const fn all_lines() -> usize {
    LINES_DEFAULT
}

impl Tool for Read {
    fn definition(&self) -> Definition {
        Definition {
            name: Name::Read.as_str().into(),
            description: format!(
                "Reads a text file. Each line comes with its number and a tab in front, which are not part of the file. Shows {LINES_DEFAULT} \
                 lines from the first, and at most {BYTES_MAX} bytes; `offset` and `limit` show another part. Lines of more than {} \
                 characters are cut. Of images and other binary files only kind and size are said.",
                content::LINE_CHARACTERS_MAX
            ),
            parameters: json!({
                "type": "object",
                "properties": {
                    "path": {"type": "string", "description": "The file, from the working directory"},
                    "offset": {"type": "integer", "minimum": 1, "description": "The first line to show, from 1"},
                    "limit": {"type": "integer", "minimum": 1, "description": "How many lines to show"}
                },
                "required": ["path"],
                "additionalProperties": false
            }),
        }
    }

    fn call(&self, arguments: Value, cancelled: CancellationToken) -> BoxFuture<'_, Answer> {
        let (workplace, memory) = (self.workplace.clone(), self.memory.clone());
        Box::pin(look(
            arguments,
            cancelled,
            move |arguments: &Arguments, _| read(&workplace, &memory, arguments),
        ))
    }
}

fn read(workplace: &Workplace, memory: &Memory, wanted: &Arguments) -> Result<Answer, Refusal> {
    let place = workplace.place(&wanted.path)?;
    let bytes = content::bytes_at(&place, "grep finds lines in it")?;
    memory.keep(&place, Version::of(&bytes));
    let path = place.shown();
    let (text, foreign) = match Content::of(&bytes) {
        Content::Text { text, foreign } => (text, foreign),
        Content::Other(kind) => {
            let size = bytes.len();
            return Ok(Answer::done(format!(
                "{path} is {kind} of {size} bytes, and is not shown"
            )));
        }
    };
    if text.trim_start_matches(BYTE_ORDER_MARK).is_empty() {
        return Ok(Answer::done(format!("{path} is empty")));
    }
    let excerpt = content::excerpt(&text, wanted.offset, wanted.limit, BYTES_MAX);
    let (last, total) = (excerpt.last, excerpt.total);
    if wanted.offset > total {
        return Ok(Answer::error(format!(
            "{path} has only {total} lines: give a smaller offset than {}",
            wanted.offset
        )));
    }
    let mut notes = Vec::new();
    if wanted.offset > 1 || last < total {
        let mut note = format!("lines {}-{last} of {total}", wanted.offset);
        if last < total {
            // Writing to a text cannot fail.
            let _ = write!(note, "; go on with offset {}", last + 1);
        }
        notes.push(note);
    }
    if text.contains("\r\n") {
        notes.push("lines end with CRLF; edit keeps that".to_owned());
    }
    if last == total && !text.ends_with('\n') {
        notes.push("no line end after the last line".to_owned());
    }
    if let Some(encoding) = foreign {
        notes.push(format!(
            "this is {encoding}: edit refuses it, and what could not be decoded is shown as \u{fffd}"
        ));
    }
    let mut answer = excerpt.numbered;
    if !notes.is_empty() {
        let _ = writeln!(answer, "({})", notes.join("; "));
    }
    Ok(Answer::done(answer))
}
