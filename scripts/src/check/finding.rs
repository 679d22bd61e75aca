//! What a check tells: a finding, its place, and how both come from what the rules found.

use std::ops::Range;

use oxc_span::Span;
use serde::Serialize;

use crate::refusal::{Lines, Place, excerpt, shorten};

/// So many findings of one script are told; whoever has more begins with these.
const FINDINGS_MAX: usize = 500;

/// Whether something is wrong, or only may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// A run is refused for it, or throws where it comes there.
    Error,
    /// It may be meant.
    Warning,
    /// Nothing is wrong; it is good to know before a run.
    Info,
}

/// Something that a check found, with its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Finding {
    /// The author's line, from 1; 0 when the finding is about the whole file.
    pub line: u32,
    /// The author's column in characters, from 1; 0 when the finding is about the whole file.
    pub column: u32,
    /// The line of the first character behind it.
    pub end_line: u32,
    /// The column of the first character behind it.
    pub end_column: u32,
    /// Which rule, in words with hyphens. A name stays with its rule.
    pub code: &'static str,
    /// Whether it is wrong, or may be.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What helps; empty where the message says it.
    pub remedy: String,
    /// Other places that belong to it.
    pub related: Vec<Related>,
    /// The line's text, cut around the column when it is long; without tabs and control characters.
    #[serde(skip)]
    pub source_line: String,
    /// How many characters of `source_line` stand before the place.
    #[serde(skip)]
    pub caret: usize,
}

/// Another place that belongs to a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Related {
    /// The author's line, from 1.
    pub line: u32,
    /// The author's column in characters, from 1.
    pub column: u32,
    /// What is there.
    pub message: String,
}

impl Related {
    /// Something at this place, with line and column from 1.
    pub fn new(line: u32, column: u32, message: impl Into<String>) -> Self {
        Self {
            line,
            column,
            message: shorten(message.into()),
        }
    }
}

impl Finding {
    /// The line with its number, and the caret under the place; `None` when the finding is about the whole file.
    pub fn excerpt(&self) -> Option<String> {
        (self.line > 0).then(|| excerpt(self.line, &self.source_line, self.caret))
    }

    /// A finding at a line of `source`, from 1, of which the column is not known: it is told at the first of
    /// `words` that stands in the line by itself, else at the line's first character. On line 0, or behind the end, it is about the whole file.
    #[must_use]
    pub fn at_line(
        source: &str,
        line: u32,
        words: &[&str],
        code: &'static str,
        severity: Severity,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let lines = Lines::of(source);
        let Some(span) = lines.span(source, line) else {
            return Self {
                severity,
                ..Self::of_file(code, message.into(), &remedy.into())
            };
        };
        let text = source.get(span.start as usize..span.end as usize);
        let at = place_of(text.unwrap_or_default(), words);
        let at = Span::new(span.start + at.start as u32, span.start + at.end as u32);
        let told = Found {
            severity,
            ..Found::error(code, at, message, remedy)
        };
        finding(source, &lines, told)
    }

    /// A finding about the whole file.
    pub(super) fn of_file(code: &'static str, message: String, remedy: &str) -> Self {
        Self {
            line: 0,
            column: 0,
            end_line: 0,
            end_column: 0,
            code,
            severity: Severity::Error,
            message: shorten(message),
            remedy: remedy.to_owned(),
            related: Vec::new(),
            source_line: String::new(),
            caret: 0,
        }
    }
}

/// Where in a line the first of these words stands, else the line's first character that is no space.
fn place_of(line: &str, words: &[&str]) -> Range<usize> {
    let is_part = |letter: Option<char>| {
        letter.is_some_and(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '$' | '.'))
    };
    let own = |word: &&str| {
        let mut found = line.match_indices(*word).map(|(at, _)| at..at + word.len());
        found.find(|at| {
            let before = line[..at.start].chars().next_back();
            let after = line[at.end..].chars().next();
            !is_part(before) && after != Some('_') && !after.is_some_and(char::is_alphanumeric)
        })
    };
    words.iter().find_map(own).unwrap_or_else(|| {
        let start = line.len() - line.trim_start().len();
        let first = line[start..].chars().next();
        start..start + first.map_or(0, char::len_utf8)
    })
}

/// What a rule found, by offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) span: Span,
    pub(super) code: &'static str,
    pub(super) severity: Severity,
    pub(super) message: String,
    pub(super) remedy: String,
    pub(super) related: Vec<(Span, String)>,
}

impl Found {
    pub(super) fn error(
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            span,
            code,
            severity: Severity::Error,
            message: message.into(),
            remedy: remedy.into(),
            related: Vec::new(),
        }
    }

    pub(super) fn warning(
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, span, message, remedy)
        }
    }

    pub(super) fn related(mut self, span: Span, message: impl Into<String>) -> Self {
        self.related.push((span, message.into()));
        self
    }
}

/// The findings by their places, each once.
pub(super) fn placed(source: &str, mut found: Vec<Found>) -> Vec<Finding> {
    found.sort_by(|one, other| {
        let key = |it: &Found| (it.span.start, it.severity, it.code);
        key(one).cmp(&key(other))
    });
    found.dedup_by(|next, kept| {
        (next.span, next.code, &next.message) == (kept.span, kept.code, &kept.message)
    });
    let more = found.len().saturating_sub(FINDINGS_MAX);
    // None of what makes the whole an error may be lost.
    if more > 0 {
        found.sort_by_key(|it| it.severity);
        found.truncate(FINDINGS_MAX);
        found.sort_by_key(|it| it.span.start);
    }
    let lines = Lines::of(source);
    let mut findings: Vec<Finding> = found
        .into_iter()
        .map(|it| finding(source, &lines, it))
        .collect();
    if more > 0 {
        let message = format!("{more} findings more are not listed");
        let mut rest = Finding::of_file("more", message, "begin with these");
        rest.severity = Severity::Warning;
        findings.push(rest);
    }
    findings
}

fn finding(source: &str, lines: &Lines, found: Found) -> Finding {
    let start = source.floor_char_boundary(found.span.start as usize);
    let (line, _) = lines.place(source, start as u32);
    let place = Place::in_line(source, start, line);
    let end = source.floor_char_boundary((found.span.end as usize).max(start));
    let (end_line, end_column) = lines.place(source, end as u32);
    let related = found.related.into_iter().map(|(span, message)| {
        let (line, column) = lines.place(source, span.start);
        Related::new(line, column, message)
    });
    Finding {
        line,
        column: place.column,
        end_line,
        end_column,
        code: found.code,
        severity: found.severity,
        message: shorten(found.message),
        remedy: shorten(found.remedy),
        related: related.collect(),
        source_line: place.shown,
        caret: place.caret,
    }
}
