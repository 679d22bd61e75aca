//! The check of a rewriting by any rule, in any language: from git's lines, not from a syntax tree.
//!
//! The codemod says which places it replaced. Here git says which lines differ. Each line that is gone must be one of a
//! claimed place, where something that looks like the pattern stood; each line that is new must stand beside one that is
//! gone, or be a claimed import. And the new text must parse, as far as there is a parser for it on this machine.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::repository::Repository;
use crate::source::{EXTENSIONS, parse};
use crate::verify::Refutation;

/// What the codemod says that it did to a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The file.
    pub file: String,
    /// The pattern.
    pub pattern: String,
    /// The places.
    pub edits: Vec<Place>,
    /// Places that are not listed, because there are so many.
    #[serde(default)]
    pub more_edits: usize,
    /// The imports that were added, as they would stand alone.
    pub imports: Vec<String>,
}

/// A place that was replaced.
#[derive(Clone, Debug, Deserialize)]
pub struct Place {
    /// Its line in the old text, from 1.
    pub line: usize,
    /// What stood there; cut when it is long.
    pub before: String,
}

/// What a review found.
#[derive(Clone, Debug, Default)]
pub struct Review {
    /// What is wrong; nothing, if the file stands.
    pub refutations: Vec<Refutation>,
    /// What was looked at.
    pub checked: Vec<String>,
}

/// Reviews the difference between two commits in one file.
///
/// # Errors
/// git fails, or one of the texts is not UTF-8.
pub fn review(repository: &Repository, base: &str, commit: &str, claim: &Claim) -> Result<Review> {
    let old = repository.original(base, &claim.file)?;
    let new = repository.original(commit, &claim.file)?;
    let mut review = Review::default();
    let hunks = repository.hunks(base, commit, &claim.file)?;
    if claim.more_edits > 0 {
        let reason = format!(
            "{} places are not listed, so nobody can look at them",
            claim.more_edits
        );
        review.refute(claim, 1, reason);
    }
    for place in &claim.edits {
        let first = place.before.lines().next().unwrap_or_default();
        let line = old.lines().nth(place.line.saturating_sub(1));
        if !fits(&claim.pattern, &place.before) {
            let reason = format!("what was replaced does not look like {}", claim.pattern);
            review.refute(claim, place.line, reason);
        } else if !line.is_some_and(|line| line.contains(first)) {
            let reason = "what is said to be replaced does not stand there".to_owned();
            review.refute(claim, place.line, reason);
        }
    }
    for hunk in &hunks {
        review.hunk(claim, hunk, &old, &new);
    }
    review.checked.push(format!(
        "{} hunks of git's difference against {} claimed places",
        hunks.len(),
        claim.edits.len()
    ));
    review.parse(claim, &new)?;
    Ok(review)
}

/// One stretch of a difference without context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// The first line that is gone, from 1, and how many are.
    pub gone: (usize, usize),
    /// The first line that is new, from 1, and how many are.
    pub new: (usize, usize),
}

impl Hunk {
    /// The hunk of a line `@@ -1,2 +1 @@`, if it is one.
    #[must_use]
    pub fn of_line(line: &str) -> Option<Self> {
        let mut parts = line.strip_prefix("@@ -")?.split(' ');
        let range = |text: &str| {
            let (start, count) = text.split_once(',').unwrap_or((text, "1"));
            Some((start.parse().ok()?, count.parse().ok()?))
        };
        Some(Self {
            gone: range(parts.next()?)?,
            new: range(parts.next()?.strip_prefix('+')?)?,
        })
    }
}

impl Review {
    fn refute(&mut self, claim: &Claim, line: usize, reason: String) {
        self.refutations.push(Refutation {
            file: claim.file.clone(),
            line,
            reason,
        });
    }

    fn hunk(&mut self, claim: &Claim, hunk: &Hunk, old: &str, new: &str) {
        let is_import = |line: &str| {
            let line = line.trim();
            line.is_empty()
                || claim
                    .imports
                    .iter()
                    .any(|import| shares_words(import, line))
        };
        let lines = |text: &str, (start, count): (usize, usize)| -> Vec<(usize, String)> {
            let numbered = text.lines().enumerate().skip(start.saturating_sub(1));
            numbered
                .take(count)
                .map(|(index, line)| (index + 1, line.to_owned()))
                .collect()
        };
        let is_claimed = |line: usize| {
            claim.edits.iter().any(|place| {
                let height = place.before.lines().count().max(1);
                (place.line..place.line + height).contains(&line)
            })
        };
        let gone = lines(old, hunk.gone);
        for (number, line) in &gone {
            if !is_claimed(*number) && !is_import(line) {
                self.refute(
                    claim,
                    *number,
                    "a line changed in which the rule replaced nothing".to_owned(),
                );
            }
        }
        // What stands in the place of other lines was judged with them.
        if gone
            .iter()
            .any(|(number, line)| is_claimed(*number) || !is_import(line))
        {
            return;
        }
        for (number, line) in lines(new, hunk.new) {
            if !is_import(&line) {
                self.refute(
                    claim,
                    number,
                    "a line is new that is no import of the rule".to_owned(),
                );
            }
        }
    }

    /// Parses the new text by what there is: our own parser, Python's, or that of rustfmt.
    fn parse(&mut self, claim: &Claim, text: &str) -> Result<()> {
        let path = Path::new(&claim.file);
        let ending = path.extension().and_then(|ending| ending.to_str());
        let python = "import ast, sys; ast.parse(sys.stdin.buffer.read())";
        match ending {
            Some(ending) if EXTENSIONS.contains(&ending) => {
                if let Err(problem) = parse(path, text, |_| ()) {
                    let reason = format!("the file no longer parses: {}", problem.message);
                    self.refute(claim, problem.line, reason);
                }
                self.checked
                    .push("parsed as JavaScript or TypeScript".to_owned());
            }
            Some("py" | "pyi") => self.parse_by(claim, text, &["python3", "-c", python])?,
            Some("rs") => self.parse_by(claim, text, &["rustfmt", "--edition", "2024"])?,
            _ => {}
        }
        Ok(())
    }

    fn parse_by(&mut self, claim: &Claim, text: &str, words: &[&str]) -> Result<()> {
        let [program, arguments @ ..] = words else {
            return Ok(());
        };
        let started = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut child) = started else {
            self.checked
                .push(format!("not parsed: there is no {program} here"));
            return Ok(());
        };
        if let Some(mut input) = child.stdin.take() {
            // One that ends before it has read all says why by its status.
            let _ = input.write_all(text.as_bytes());
        }
        let output = child
            .wait_with_output()
            .with_context(|| format!("cannot wait for {program}"))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            let last = words.trim().lines().last().unwrap_or_default().to_owned();
            self.refute(claim, 1, format!("{program} cannot parse the file: {last}"));
        }
        self.checked.push(format!("parsed by {program}"));
        Ok(())
    }
}

/// Whether a line is an import statement, or one to which a name was added: it has the words of the claimed one.
fn shares_words(import: &str, line: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let pieces = text.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        pieces
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let claimed = words(import);
    let starts = ["import", "from", "use", "const"];
    let line = words(line);
    line.first()
        .is_some_and(|first| starts.contains(&first.as_str()))
        && claimed.iter().filter(|word| line.contains(word)).count() * 2 >= claimed.len()
}

/// Whether `text`, which may be cut at its end, has the fixed pieces of `pattern` in their order.
fn fits(pattern: &str, text: &str) -> bool {
    let plain = |text: &str| -> String { text.split_whitespace().collect() };
    let text = plain(text);
    let mut rest = text.as_str();
    let pattern = plain(pattern);
    let mut is_first = true;
    for piece in fixed_pieces(&pattern) {
        let Some(at) = rest.find(piece) else {
            return text.contains('…');
        };
        if is_first && !pattern.starts_with('$') && at > 0 {
            return false;
        }
        rest = &rest[at + piece.len()..];
        is_first = false;
    }
    true
}

/// The pieces of a pattern between its variables.
fn fixed_pieces(pattern: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    for (index, piece) in pattern.split('$').enumerate() {
        let is_of_name =
            |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
        let piece = if index == 0 {
            piece
        } else {
            piece.trim_start_matches(is_of_name)
        };
        if !piece.is_empty() {
            pieces.push(piece);
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_text_looks_like_its_pattern() {
        for (pattern, text, holds) in [
            ("requests.get($URL)", "requests.get( url )", true),
            ("requests.get($URL)", "requests.post(url)", false),
            ("$A.unwrap()", "x.y()\n  .unwrap()", true),
            ("f($$$A, key=$V)", "f(1, 2)", false),
            ("f($A)", "g(f(1))", false),
        ] {
            assert_eq!(fits(pattern, text), holds, "{pattern} {text}");
        }
    }

    #[test]
    fn hunks_are_read_from_their_heads() {
        let hunk = Hunk::of_line("@@ -3,2 +4 @@ fn x()");
        assert_eq!(
            hunk,
            Some(Hunk {
                gone: (3, 2),
                new: (4, 1)
            })
        );
        assert_eq!(Hunk::of_line("+x"), None);
    }
}
