//! Why a script is not started: one place in the author's text, what is wrong there, what is allowed (H04).

use std::fmt;

use oxc_span::Span;

/// How many characters of a source line are shown around the place; bundled scripts have lines of thousands.
const SHOWN_BEFORE: usize = 60;
const SHOWN_AFTER: usize = 40;
/// A message may quote the author's text; this bounds what reaches a terminal or a journal.
const MESSAGE_CHARS_MAX: usize = 400;

/// A script that is refused before anything starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The file as the caller named it.
    pub file: String,
    /// The author's line, from 1; 0 when the refusal is about the whole file.
    pub line: u32,
    /// The author's column in characters, from 1; 0 when the refusal is about the whole file.
    pub column: u32,
    /// The line's text, cut around the column when it is long; without tabs and control characters.
    pub source_line: String,
    /// How many characters of `source_line` stand before the place.
    pub caret: usize,
    /// What is wrong.
    pub message: String,
    /// What is allowed instead.
    pub help: String,
}

impl Refusal {
    /// A refusal about the whole file.
    pub(crate) fn of_file(file: &str, message: String, help: &str) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            column: 0,
            source_line: String::new(),
            caret: 0,
            message: shorten(message),
            help: help.to_owned(),
        }
    }

    /// A refusal at a byte offset of `source`.
    pub(crate) fn at(
        file: &str,
        source: &str,
        offset: usize,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let place = Place::of(source, offset);
        Self {
            file: file.to_owned(),
            line: place.line,
            column: place.column,
            source_line: place.shown,
            caret: place.caret,
            message: shorten(message.into()),
            help: shorten(help.into()),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(formatter, "{}: {}", self.file, self.message)?;
        } else {
            let Self {
                file,
                line,
                column,
                message,
                ..
            } = self;
            let excerpt = excerpt(*line, &self.source_line, self.caret);
            write!(formatter, "{file}:{line}:{column}: {message}\n{excerpt}")?;
        }
        if self.help.is_empty() {
            Ok(())
        } else {
            write!(formatter, "\n  = {}", self.help)
        }
    }
}

impl std::error::Error for Refusal {}

/// The line with its number, and the caret under the place.
pub(crate) fn excerpt(line: u32, source_line: &str, caret: usize) -> String {
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    format!(" {number} | {source_line}\n {margin} | {:caret$}^", "")
}

/// Keeps a text that quotes the author within bounds and on one line.
pub(crate) fn shorten(text: String) -> String {
    if text.chars().count() <= MESSAGE_CHARS_MAX && !text.contains(char::is_control) {
        return text;
    }
    let mut short: String = text
        .chars()
        .take(MESSAGE_CHARS_MAX)
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    if text.chars().nth(MESSAGE_CHARS_MAX).is_some() {
        short.push('…');
    }
    short
}

/// A place in a text as a person names it.
pub(crate) struct Place {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) shown: String,
    pub(crate) caret: usize,
}

impl Place {
    pub(crate) fn of(source: &str, offset: usize) -> Self {
        let offset = source.floor_char_boundary(offset);
        let before = source[..offset].bytes();
        let line = before.filter(|&byte| byte == b'\n').count() as u32 + 1;
        Self::in_line(source, offset, line)
    }

    /// The place of an offset on a character's boundary, of which the line is known.
    pub(crate) fn in_line(source: &str, offset: usize, line: u32) -> Self {
        let (before, after) = source.split_at(offset);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before[start..].chars().count();
        let end = after
            .find('\n')
            .map_or(source.len(), |newline| offset + newline);
        let text = source[start..end].trim_end_matches('\r');
        let length = text.chars().count();
        let caret_char = column.min(length);
        let from = caret_char.saturating_sub(SHOWN_BEFORE);
        let to = (caret_char + SHOWN_AFTER).min(length);
        let mut shown = String::new();
        let mut caret = 0;
        if from > 0 {
            shown.push('…');
            caret += 1;
        }
        for (index, letter) in text.chars().enumerate().skip(from).take(to - from) {
            // A tab's width is the terminal's affair: two spaces keep the caret in its column.
            let width = if letter == '\t' { 2 } else { 1 };
            if letter == '\t' {
                shown.push_str("  ");
            } else if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{feff}')
            {
                shown.push(' ');
            } else {
                shown.push(letter);
            }
            if index < caret_char {
                caret += width;
            }
        }
        if to < length {
            shown.push('…');
        }
        Self {
            line,
            column: column as u32 + 1,
            shown,
            caret,
        }
    }
}

/// The lines of a text, to find the place of a byte offset and back.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    starts: Vec<u32>,
}

impl Lines {
    pub(crate) fn of(text: &str) -> Self {
        let newlines = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
        let starts = std::iter::once(0)
            .chain(newlines.map(|(at, _)| at as u32 + 1))
            .collect();
        Self { starts }
    }

    /// Line and column of `offset`, both from 1, the column in characters.
    pub(crate) fn place(&self, text: &str, offset: u32) -> (u32, u32) {
        let line = self.starts.partition_point(|&start| start <= offset);
        let start = self.starts[line.saturating_sub(1)] as usize;
        let end = (offset as usize).min(text.len());
        let column = text
            .get(start..end)
            .map_or(end - start, |before| before.chars().count());
        (line as u32, column as u32 + 1)
    }

    /// The bytes of a line from 1, without its end; `None` when there is no such line.
    pub(crate) fn span(&self, text: &str, line: u32) -> Option<Span> {
        let index = (line as usize).checked_sub(1)?;
        let start = *self.starts.get(index)?;
        let end = self
            .starts
            .get(index + 1)
            .map_or(text.len(), |&next| next as usize - 1);
        Some(Span::new(start, (end as u32).max(start)))
    }

    /// The offset of a line from 1 and a column in bytes as `QuickJS` counts it: from 1, but on the first line from 0.
    pub(crate) fn offset(&self, line: u32, column: u32) -> Option<u32> {
        let start = *self.starts.get((line as usize).checked_sub(1)?)?;
        Some(
            start
                + if line == 1 {
                    column
                } else {
                    column.saturating_sub(1)
                },
        )
    }
}
