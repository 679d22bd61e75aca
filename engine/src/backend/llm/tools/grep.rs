//! `grep`: lines by a regular expression, with ripgrep's own searcher.

use std::fmt::Write as _;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use ignore::overrides::{Override, OverrideBuilder};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Definition};
use super::glob::here;
use super::names::Name;
use super::refusal::Refusal;
use super::search::{Found, Search, Wanted};
use super::tool::{Tool, look};
use super::walk;
use super::workplace::{Kind, Place, Workplace};

/// How many matching lines, or files, are shown when nothing else is asked for, and at most.
const LIMIT_DEFAULT: usize = 200;
const LIMIT_MAX: usize = 2_000;
/// How much is shown at once, in bytes.
const BYTES_MAX: usize = 60_000;
/// How many lines around a match can be asked for.
const CONTEXT_MAX: usize = 20;

/// The tool.
pub(super) struct Grep(pub(super) Arc<Workplace>);

#[derive(Deserialize)]
struct Arguments {
    pattern: String,
    #[serde(default = "here")]
    path: String,
    glob: Option<String>,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    context: usize,
    #[serde(default)]
    ignore_case: bool,
    #[serde(default = "default_limit")]
    limit: usize,
}

const fn default_limit() -> usize {
    LIMIT_DEFAULT
}

/// What is said of the matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    #[default]
    Content,
    Files,
    Count,
}

impl Tool for Grep {
    fn definition(&self) -> Definition {
        Definition {
            name: Name::Grep.as_str().into(),
            description: format!(
                "Finds lines by a regular expression (Rust's syntax: no look-around, no back-references, within one line). Shows \
                 `path:line:text`, lines of context as `path-line-text`. What .gitignore names is left out, `.git` and binary files too. \
                 Shows {LIMIT_DEFAULT} lines or files, at most {LIMIT_MAX}, and at most {BYTES_MAX} bytes."
            ),
            parameters: json!({
                "type": "object",
                "properties": {
                    "pattern": {"type": "string", "minLength": 1, "description": "The regular expression"},
                    "path": {"type": "string", "description": "The file or folder to look in (default: the working directory)"},
                    "glob": {"type": "string", "description": "Only in files like this, in any folder: `*.rs`, `!*.lock`"},
                    "mode": {
                        "type": "string",
                        "enum": ["content", "files", "count"],
                        "description": "The lines (default), only the files' names, or how many lines match in each file"
                    },
                    "context": {"type": "integer", "minimum": 0, "maximum": CONTEXT_MAX, "description": "Lines around each match (default: 0)"},
                    "ignore_case": {"type": "boolean", "description": "Upper and lower case are the same (default: false)"},
                    "limit": {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "description": "How many lines or files to show"}
                },
                "required": ["pattern"],
                "additionalProperties": false
            }),
        }
    }

    fn call(&self, arguments: Value, cancelled: CancellationToken) -> BoxFuture<'_, Answer> {
        let workplace = self.0.clone();
        Box::pin(look(
            arguments,
            cancelled,
            move |arguments: &Arguments, stop| grep(&workplace, arguments, stop),
        ))
    }
}

fn grep(
    workplace: &Workplace,
    wanted: &Arguments,
    stop: &CancellationToken,
) -> Result<Answer, Refusal> {
    let place = workplace.place(&wanted.path)?;
    let kind = place.kind()?;
    if kind == Kind::Nothing {
        return Err(place.not_found());
    }
    let search = Search::new(Wanted {
        pattern: &wanted.pattern,
        ignore_case: wanted.ignore_case,
        context: wanted.context,
    });
    let files = file_filter(&place, wanted.glob.as_deref());
    let (mut search, files) = match (search, files) {
        (Ok(search), Ok(files)) => (search, files),
        (Err(reason), _) | (_, Err(reason)) => return Ok(Answer::error(reason)),
    };
    let mut report = Report::new(wanted.mode, wanted.limit);
    if kind == Kind::Folder {
        for entry in walk::below(&place.real(), stop) {
            let entry = entry.map_err(|_| Refusal::Cancelled)?;
            let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
            if !is_file || files.matched(entry.path(), false).is_ignore() {
                continue;
            }
            // What cannot be opened is not what was asked about.
            let Some(below) = place.below(entry.path()) else {
                continue;
            };
            if let Some(found) = report.search(&mut search, &below, stop)? {
                report.add(&below.shown(), found);
            }
            if report.is_full() {
                break;
            }
        }
    } else {
        // This one was named, so why it cannot be searched is told.
        place.open()?;
        if let Some(found) = report.search(&mut search, &place, stop)? {
            report.add(&place.shown(), found);
        }
    }
    Ok(Answer::done(report.finish(&wanted.pattern, &place.shown())))
}

/// Which files are looked into.
fn file_filter(place: &Place<'_>, glob: Option<&str>) -> Result<Override, String> {
    let mut files = OverrideBuilder::new(place.real());
    let wrong = |error: ignore::Error| format!("the glob cannot be used: {error}");
    if let Some(glob) = glob {
        files.add(glob).map_err(wrong)?;
    }
    files.build().map_err(wrong)
}

/// What is said, as far as there is room.
struct Report {
    mode: Mode,
    limit: usize,
    text: String,
    /// Lines in `content`, else files; all that were found.
    found: usize,
    /// Those that are said.
    shown: usize,
    /// Lines, in all files.
    lines: u64,
    unreadable: usize,
    is_cut: bool,
}

impl Report {
    const fn new(mode: Mode, limit: usize) -> Self {
        Self {
            mode,
            limit,
            text: String::new(),
            found: 0,
            shown: 0,
            lines: 0,
            unreadable: 0,
            is_cut: false,
        }
    }

    /// Looks into one file; `None` when it cannot be read to its end.
    fn search(
        &mut self,
        search: &mut Search,
        place: &Place<'_>,
        stop: &CancellationToken,
    ) -> Result<Option<Found>, Refusal> {
        let lines = match self.mode {
            // One more than there is room for tells that there are more.
            Mode::Content => (self.limit - self.shown) as u64 + 1,
            Mode::Files => 1,
            Mode::Count => u64::MAX,
        };
        let Ok(file) = place.open() else {
            self.unreadable += 1;
            return Ok(None);
        };
        let with_text = self.mode == Mode::Content;
        let found = search.run(file, &place.shown(), lines, with_text, stop);
        if stop.is_cancelled() {
            return Err(Refusal::Cancelled);
        }
        if found.is_none() {
            self.unreadable += 1;
        }
        Ok(found)
    }

    fn add(&mut self, path: &str, found: Found) {
        if found.count == 0 {
            return;
        }
        self.lines += found.count;
        match self.mode {
            Mode::Content => {
                for piece in found.pieces {
                    self.found += usize::from(piece.is_match);
                    if self.push(&piece.text) {
                        self.shown += usize::from(piece.is_match);
                    }
                }
            }
            Mode::Files | Mode::Count => {
                self.found += 1;
                let line = match self.mode {
                    Mode::Count => format!("{path}:{}\n", found.count),
                    _ => format!("{path}\n"),
                };
                if self.push(&line) {
                    self.shown += 1;
                }
            }
        }
    }

    /// Adds `text` if there is room. Once there was none, nothing behind it is shown either.
    fn push(&mut self, text: &str) -> bool {
        self.is_cut |= self.shown == self.limit || self.text.len() + text.len() > BYTES_MAX;
        if !self.is_cut {
            self.text.push_str(text);
        }
        !self.is_cut
    }

    /// Nothing more would be shown, or counted.
    fn is_full(&self) -> bool {
        self.mode == Mode::Content && self.found > self.shown
    }

    fn finish(mut self, pattern: &str, place: &str) -> String {
        if self.found == 0 {
            self.text = format!("no line matches `{pattern}` in {place}\n");
        } else if self.mode == Mode::Content && self.found > self.shown {
            // Writing to a text cannot fail.
            let _ = writeln!(
                self.text,
                "(the first {} matching lines; there are more: narrow the pattern, `path` or `glob`, or ask for `files` or `count`)",
                self.shown
            );
        } else if self.found > self.shown {
            let left_out = self.found - self.shown;
            let _ = writeln!(
                self.text,
                "({left_out} more files match: narrow the pattern, `path` or `glob`)"
            );
        }
        if self.mode == Mode::Count && self.found > 0 {
            let (lines, files) = (self.lines, self.found);
            let _ = writeln!(self.text, "({lines} lines in {files} files)");
        }
        if self.unreadable > 0 {
            let files = self.unreadable;
            let _ = writeln!(self.text, "({files} files could not be read)");
        }
        self.text
    }
}
