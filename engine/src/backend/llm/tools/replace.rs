//! Replacing a piece of a text, exactly; and what to say when it is not there. Pure.

use std::fmt;

use super::content;

/// How many lines around a change are shown.
const AROUND: usize = 3;
/// How much of a change is shown, in lines and bytes.
const SHOWN_LINES: usize = 40;
const SHOWN_BYTES: usize = 8_000;
/// How many places are named when there are several.
const PLACES_SHOWN: usize = 8;
/// How many lines are compared with one that is not there, and how much of each, in characters.
const COMPARED_LINES: usize = 4_000;
const COMPARED_CHARACTERS: usize = 120;
/// How alike a line must be to be named, from 0 to 1.
const LIKENESS: f64 = 0.6;

/// What is to be replaced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replacement<'r> {
    pub(super) old: &'r str,
    pub(super) new: &'r str,
    pub(super) all: bool,
}

/// A text in which it is done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Replaced {
    pub(super) text: String,
    /// In which lines of the old text the pieces began; never empty.
    pub(super) lines: Vec<usize>,
}

/// Why it was not done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Empty,
    Same,
    /// It is not there; what may have been meant.
    Missing(Hint),
    /// It is there several times, beginning in these lines.
    Several(Vec<usize>),
}

/// What may have been meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hint {
    None,
    /// It has the numbers in front that `read` puts there.
    Numbers,
    /// It is there but for its white space: the exact lines, numbered.
    WhiteSpace(String),
    /// Its first line is like these lines, numbered.
    Like(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => out.write_str("`old_string` is empty; to make a file use write"),
            Self::Same => out.write_str("`old_string` and `new_string` are the same"),
            Self::Missing(hint) => {
                out.write_str("`old_string` is not in the file")?;
                match hint {
                    Hint::None => out.write_str("; read it again, and copy the lines exactly"),
                    Hint::Numbers => {
                        out.write_str("; leave out the line numbers that read puts in front")
                    }
                    Hint::WhiteSpace(lines) => {
                        write!(
                            out,
                            "; with other white space it is, and exactly this is there:\n{lines}"
                        )
                    }
                    Hint::Like(lines) => write!(out, "; nearest to its first line are\n{lines}"),
                }
            }
            Self::Several(lines) => {
                let shown = lines.iter().take(PLACES_SHOWN).map(usize::to_string);
                let shown: Vec<_> = shown.collect();
                let more = if lines.len() > shown.len() {
                    ", …"
                } else {
                    ""
                };
                write!(
                    out,
                    "`old_string` is in the file {} times (lines {}{more}); give more of the lines around the one that is meant, or `replace_all`",
                    lines.len(),
                    shown.join(", ")
                )
            }
        }
    }
}

/// `text` with the replacement made. Everything outside of the replaced pieces is byte for byte as it was.
///
/// A model writes line ends as `\n`. In a text whose lines all end with CRLF that is what is meant; in a mixed one
/// both are tried.
pub(super) fn apply(text: &str, wanted: Replacement<'_>) -> Result<Replaced, Failure> {
    if wanted.old.is_empty() {
        return Err(Failure::Empty);
    }
    if wanted.old == wanted.new {
        return Err(Failure::Same);
    }
    let (old, new) = (with_crlf(wanted.old), with_crlf(wanted.new));
    let as_crlf = Replacement {
        old: &old,
        new: &new,
        all: wanted.all,
    };
    let done = if has_only_crlf(text) {
        exactly(text, as_crlf)
    } else {
        // Without a line end the two are the same, and the second finds nothing either.
        exactly(text, wanted).or_else(|| exactly(text, as_crlf))
    };
    done.unwrap_or_else(|| Err(Failure::Missing(hint(text, wanted.old))))
}

/// `None` when the piece is not there.
fn exactly(text: &str, wanted: Replacement<'_>) -> Option<Result<Replaced, Failure>> {
    let starts = if wanted.all {
        text.match_indices(wanted.old).map(|(at, _)| at).collect()
    } else {
        overlapping(text, wanted.old)
    };
    if starts.is_empty() {
        return None;
    }
    let lines = lines_of(text, &starts);
    if starts.len() > 1 && !wanted.all {
        return Some(Err(Failure::Several(lines)));
    }
    let text = if wanted.all {
        text.replace(wanted.old, wanted.new)
    } else {
        text.replacen(wanted.old, wanted.new, 1)
    };
    Some(Ok(Replaced { text, lines }))
}

/// Where `piece` begins in `text`: in `aaa`, `aa` is there twice, and nobody knows which is meant.
fn overlapping(text: &str, piece: &str) -> Vec<usize> {
    let step = piece.chars().next().map_or(1, char::len_utf8);
    let mut starts = Vec::new();
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find(piece)) {
        starts.push(from + at);
        from += at + step;
    }
    starts
}

/// The lines, from 1, in which these positions lie; they ascend.
fn lines_of(text: &str, positions: &[usize]) -> Vec<usize> {
    let (mut line, mut from) = (1, 0);
    let count = |part: &str| part.bytes().filter(|byte| *byte == b'\n').count();
    let mut lines = Vec::with_capacity(positions.len());
    for at in positions {
        line += count(&text[from..*at]);
        from = *at;
        lines.push(line);
    }
    lines
}

fn with_crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

fn has_only_crlf(text: &str) -> bool {
    let mut ends = text.match_indices('\n').map(|(at, _)| at).peekable();
    ends.peek().is_some() && ends.all(|at| text[..at].ends_with('\r'))
}

/// The first changed piece with the lines around it, numbered.
pub(super) fn around(replaced: &Replaced, new: &str) -> String {
    let first = replaced.lines.first().copied().unwrap_or(1);
    let lines = (new.lines().count().max(1) + 2 * AROUND).min(SHOWN_LINES);
    let from = first.saturating_sub(AROUND).max(1);
    content::excerpt(&replaced.text, from, lines, SHOWN_BYTES).numbered
}

fn hint(text: &str, old: &str) -> Hint {
    let stripped = without_numbers(old);
    if stripped.is_some_and(|stripped| text.contains(&stripped)) {
        return Hint::Numbers;
    }
    let wanted: Vec<_> = old
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let Some(first) = wanted.first() else {
        return Hint::None;
    };
    if let Some((from, to)) = but_for_white_space(text, &wanted) {
        let lines = (to - from + 1).min(SHOWN_LINES);
        return Hint::WhiteSpace(content::excerpt(text, from, lines, SHOWN_BYTES).numbered);
    }
    let cut = |line: &str| line.chars().take(COMPARED_CHARACTERS).collect::<String>();
    let first = cut(first);
    let mut like: Vec<_> = text
        .lines()
        .take(COMPARED_LINES)
        .enumerate()
        .map(|(index, line)| {
            (
                strsim::normalized_levenshtein(&cut(line.trim()), &first),
                index + 1,
            )
        })
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .collect();
    like.sort_by(|(a, first), (b, second)| b.total_cmp(a).then(first.cmp(second)));
    like.truncate(3);
    if like.is_empty() {
        return Hint::None;
    }
    let shown = |line: usize| content::excerpt(text, line, 1, SHOWN_BYTES).numbered;
    Hint::Like(like.iter().map(|(_, line)| shown(*line)).collect())
}

/// The first and last line of where these lines are, leaving empty lines and white space at both ends of a line aside.
fn but_for_white_space(text: &str, wanted: &[&str]) -> Option<(usize, usize)> {
    let lines: Vec<_> = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty())
        .collect();
    let found = lines.windows(wanted.len()).find(|window| {
        window
            .iter()
            .zip(wanted)
            .all(|((_, line), wanted)| line == wanted)
    })?;
    Some((found.first()?.0, found.last()?.0))
}

/// `old` without what `read` puts in front of each line, if it is in front of each.
fn without_numbers(old: &str) -> Option<String> {
    let lines: Option<Vec<_>> = old
        .lines()
        .map(|line| {
            let (number, line) = line.split_once('\t')?;
            number.trim().parse::<usize>().ok().map(|_| line)
        })
        .collect();
    lines
        .map(|lines| lines.join("\n"))
        .filter(|text| !text.is_empty())
}
