//! One regular expression, looked for in one file after another.

use std::fmt::Write as _;
use std::io::{self, Read};

use grep_matcher::{LineTerminator, Matcher as _};
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder, Sink, SinkContext, SinkMatch};
use tokio_util::sync::CancellationToken;

/// How much of a line is shown, in characters, and how much of that before the match.
const LINE_CHARACTERS: usize = 400;
const BEFORE_MATCH: usize = 100;
/// The longest line that is looked into, in bytes, and the largest compiled expression.
const LINE_BYTES_MAX: usize = 16 << 20;
const EXPRESSION_BYTES_MAX: usize = 4 << 20;
/// How much text of one file is kept, in bytes. Whoever shows it has less room.
const TEXT_BYTES_MAX: usize = 256 << 10;

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'w> {
    pub(super) pattern: &'w str,
    pub(super) ignore_case: bool,
    /// Lines around each match.
    pub(super) context: usize,
}

/// A search that is ready to run.
pub(super) struct Search {
    matcher: RegexMatcher,
    searcher: Searcher,
}

/// What was found in a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Matching lines.
    pub(super) count: u64,
    /// The lines, if they were wanted, in their order.
    pub(super) pieces: Vec<Piece>,
}

/// A line, as it is shown, with its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) text: String,
    /// Else it stands around a match, or between two groups.
    pub(super) is_match: bool,
}

impl Search {
    /// # Errors
    /// The expression cannot be used: what is wrong, and with which part of it.
    pub(super) fn new(wanted: Wanted<'_>) -> Result<Self, String> {
        let matcher = RegexMatcherBuilder::new()
            .case_insensitive(wanted.ignore_case)
            // `^` and `$` are those of a line, and `$` is before `\r\n`, too.
            .multi_line(true)
            .crlf(true)
            .size_limit(EXPRESSION_BYTES_MAX)
            .dfa_size_limit(EXPRESSION_BYTES_MAX)
            .build(wanted.pattern)
            .map_err(|error| {
                format!(
                    "the pattern cannot be used: {error}\nIt is Rust's syntax, without look-around and back-references, for one line; \
                     put `\\` before `( ) [ ] {{ }} . * + ? | ^ $ \\` to find these themselves"
                )
            })?;
        let searcher = SearcherBuilder::new()
            .line_terminator(LineTerminator::crlf())
            .line_number(true)
            .before_context(wanted.context)
            .after_context(wanted.context)
            .binary_detection(BinaryDetection::quit(0))
            .heap_limit(Some(LINE_BYTES_MAX))
            .build();
        Ok(Self { matcher, searcher })
    }

    /// Looks for at most `lines` matching lines. `None` when it could not be read to there, or `stop` is cancelled. A
    /// binary file has no lines.
    pub(super) fn run(
        &mut self,
        file: impl Read,
        path: &str,
        lines: u64,
        with_text: bool,
        stop: &CancellationToken,
    ) -> Option<Found> {
        let reader = Stoppable { inner: file, stop };
        let mut sink = Lines {
            matcher: &self.matcher,
            path,
            limit: lines,
            with_text,
            text_bytes: 0,
            is_binary: false,
            found: Found::default(),
        };
        let searched = self
            .searcher
            .search_reader(&self.matcher, reader, &mut sink);
        searched.ok()?;
        if sink.is_binary {
            return Some(Found::default());
        }
        Some(sink.found)
    }
}

/// A reader that fails as soon as nobody waits for what is read.
struct Stoppable<'s, R> {
    inner: R,
    stop: &'s CancellationToken,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // `Interrupted` would be tried again.
        if self.stop.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        self.inner.read(buffer)
    }
}

struct Lines<'l> {
    matcher: &'l RegexMatcher,
    path: &'l str,
    /// After how many it is enough.
    limit: u64,
    with_text: bool,
    text_bytes: usize,
    is_binary: bool,
    found: Found,
}

impl Lines<'_> {
    fn push(&mut self, number: Option<u64>, line: &[u8], is_match: bool) {
        if !self.with_text || self.text_bytes > TEXT_BYTES_MAX {
            return;
        }
        let mark = if is_match { ':' } else { '-' };
        let mut text = format!("{}{mark}", self.path);
        if let Some(number) = number {
            // Writing to a text cannot fail.
            let _ = write!(text, "{number}{mark}");
        }
        let start = match self.matcher.find(line) {
            Ok(Some(found)) if is_match => found.start(),
            _ => 0,
        };
        push_around(&mut text, line, start);
        text.push('\n');
        self.text_bytes += text.len();
        self.found.pieces.push(Piece { text, is_match });
    }
}

impl Sink for Lines<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        self.found.count += 1;
        self.push(found.line_number(), found.bytes(), true);
        Ok(self.found.count < self.limit)
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> io::Result<bool> {
        self.push(context.line_number(), context.bytes(), false);
        Ok(true)
    }

    fn context_break(&mut self, _: &Searcher) -> io::Result<bool> {
        if self.with_text {
            let text = "--\n".to_owned();
            self.found.pieces.push(Piece {
                text,
                is_match: false,
            });
        }
        Ok(true)
    }

    fn binary_data(&mut self, _: &Searcher, _: u64) -> io::Result<bool> {
        self.is_binary = true;
        Ok(false)
    }
}

/// Adds a line, or the part of it around the byte at `start`.
fn push_around(out: &mut String, line: &[u8], start: usize) {
    let line = String::from_utf8_lossy(line);
    let line = line.trim_end_matches(['\r', '\n']);
    let characters = line.chars().count();
    if characters <= LINE_CHARACTERS {
        return out.push_str(line);
    }
    // Bytes that are not UTF-8 shift it a little, which only moves the part that is shown.
    let before = line
        .char_indices()
        .take_while(|(at, _)| *at < start)
        .count();
    let first = before
        .saturating_sub(BEFORE_MATCH)
        .min(characters - LINE_CHARACTERS);
    if first > 0 {
        out.push('…');
    }
    out.extend(line.chars().skip(first).take(LINE_CHARACTERS));
    if first + LINE_CHARACTERS < characters {
        let _ = write!(out, "… [line of {characters} characters]");
    }
}
