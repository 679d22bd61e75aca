//! Rewriting a text: rule by rule, outermost first, and what it may not do to the text.
//!
//! A rule's matches are replaced from the outside in. What a match has captured may hold further matches of the same
//! rule; they are replaced in the next pass, so that `f(f(x))` is rewritten at both places. Only what stood in the text
//! before counts there: what a replacement brings in itself is not matched again by its own rule. So `f($A)` may
//! become `f($A, 1)`, and each pass works on shorter matches than the one before.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use super::compile::{Compiled, Rewriter};
use super::imports::Import;
use super::language::Language;
use super::replacement::{Match, replacement};
use super::syntax::{DEPTH_MAX, Error, Survey, Tree, new_error, parse, survey};
use super::text::{Layout, Lines, Splice, Trail, cut, spliced, without_whitespace};

/// How often one rule goes over a text: as deep as its matches may stand in each other.
const PASSES_MAX: usize = DEPTH_MAX;
/// How much larger a text may become, in bytes and times. A rule that doubles what it captures grows fast where matches
/// nest.
const GROWTH_BYTES_MAX: usize = 64 << 10;
const GROWTH_MAX: usize = 4;
/// How much of a line an error shows, in bytes.
const SHOWN_BYTES: usize = 120;

/// What became of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rewritten {
    /// The new text, with the byte order mark and the line ends of the old one.
    pub source: String,
    /// What was replaced, in the order in which it was.
    pub edits: Vec<Edit>,
    /// The imports that were added, as they would stand alone.
    pub imports: Vec<String>,
}

/// One replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Edit {
    /// The rule's `id`, or its place in the task.
    pub rule: String,
    /// The line in the old text, from 1.
    pub line: usize,
    /// The column in the old text, in characters, from 1.
    pub column: usize,
    /// What was there, after the rules before this one.
    pub before: String,
    /// What took its place.
    pub after: String,
    /// Comments that were in it and are in the new text no more.
    pub dropped_comments: Vec<String>,
}

/// Why a text was not rewritten.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RewriteError {
    /// The parser gave up.
    #[error("the parser gave up on the text")]
    NotParsed,
    /// The code is nested too deep to be matched.
    #[error("the code is nested more than {DEPTH_MAX} deep")]
    TooDeep,
    /// The result would be too large.
    #[error("rewritten, it would be more than {GROWTH_MAX} times as large")]
    TooLarge,
    /// What came out is not valid any more.
    #[error(
        "rewritten, line {line} has a syntax error that was not there before{expected}: `{text}`{before}"
    )]
    Syntax {
        /// The line in the new text, from 1.
        line: usize,
        /// What is missing there, if that is known: `, ")" is missing`; else empty.
        expected: String,
        /// The line.
        text: String,
        /// Where the old text was not understood either, as a clause behind the line; else empty.
        before: String,
    },
    /// An import that a rule needs cannot be added.
    #[error("{0}")]
    Import(String),
    /// It was stopped on the way.
    #[error("stopped")]
    Stopped,
}

impl Rewriter {
    /// Rewrites `source`, the text of the file `path` (from the working directory).
    ///
    /// Nothing but the arguments matters, and the same arguments give the same result.
    ///
    /// # Errors
    /// [`RewriteError`] when the result would be no valid code, or a needed import cannot be added.
    pub fn rewrite(&self, path: impl AsRef<Path>, source: &str) -> Result<Rewritten, RewriteError> {
        self.rewrite_until(path.as_ref(), source, &|| false)
    }

    /// The same, given up when `stopped`.
    pub(super) fn rewrite_until(
        &self,
        path: &Path,
        source: &str,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Rewritten, RewriteError> {
        let (layout, code) = Layout::unpack(source);
        let rules = self.rules.iter().filter(|rule| rule.scope.covers(path));
        let rules: Vec<&Compiled> = rules.collect();
        let untouched = || Rewritten {
            source: source.to_owned(),
            edits: Vec::new(),
            imports: Vec::new(),
        };
        // Most files of a project have not even the words that a rule is about: then there is nothing to parse.
        if !rules.iter().any(|rule| rule.may_match(&code)) {
            return Ok(untouched());
        }
        let tree = parse(&code, self.language).ok_or(RewriteError::NotParsed)?;
        let before = survey(&tree);
        if before.depth > DEPTH_MAX {
            return Err(RewriteError::TooDeep);
        }
        let mut work = Work {
            language: self.language,
            lines: Lines::of(&code),
            tree,
            errors: before.errors.clone(),
            bytes_max: code.len() * GROWTH_MAX + GROWTH_BYTES_MAX,
            trails: Vec::new(),
            edits: Vec::new(),
        };
        let mut needed: Vec<&Import> = Vec::new();
        for rule in rules {
            let edits = work.edits.len();
            work.apply(rule, stopped)?;
            if work.edits.len() > edits {
                needed.extend(&rule.imports);
            }
        }
        if work.edits.is_empty() {
            return Ok(untouched());
        }
        let imports = work.import(path, &needed)?;
        let code = work.tree.source();
        if let Some(error) = new_error(&before.errors, &work.errors) {
            let (line, _) = Lines::of(code).position(error.offset);
            let text = code.lines().nth(line - 1).unwrap_or_default().trim();
            let missing = error.missing.as_ref();
            let first = before
                .errors
                .first()
                .map(|error| work.lines.position(error.offset).0);
            return Err(RewriteError::Syntax {
                line,
                expected: missing.map_or_else(String::new, |kind| format!(", `{kind}` is missing")),
                text: cut(text, SHOWN_BYTES).into_owned(),
                before: first.map_or_else(String::new, |line| {
                    format!(" (the grammar does not understand line {line} of the file as it is, either)")
                }),
            });
        }
        Ok(Rewritten {
            source: layout.pack(code),
            edits: work.edits,
            imports,
        })
    }
}

struct Work<'s> {
    language: Language,
    /// Those of the text as it was.
    lines: Lines<'s>,
    /// The text as it is by now.
    tree: Tree,
    /// Those of `tree`.
    errors: Vec<Error>,
    /// How large the text may become.
    bytes_max: usize,
    /// The way back from the text as it is to the text as it was, pass by pass.
    trails: Vec<Trail>,
    edits: Vec<Edit>,
}

/// Matches inside another match, by their text without whitespace (which a replacement may lay out anew), with the
/// place in the text as it was.
type Inner = HashMap<String, usize>;

/// Where the next pass looks, and for what.
struct Area {
    range: Range<usize>,
    inner: Inner,
}

/// A match that is replaced.
struct Found {
    splice: Splice,
    /// The whole node's range: an expansion reaches further.
    node: Range<usize>,
    /// Its text without whitespace.
    key: String,
    origin: usize,
    dropped_comments: Vec<String>,
    inner: Inner,
}

impl Work<'_> {
    /// Replaces all that `rule` matches.
    fn apply(&mut self, rule: &Compiled, stopped: &dyn Fn() -> bool) -> Result<(), RewriteError> {
        let mut areas = None;
        if !rule.may_match(self.tree.source()) {
            return Ok(());
        }
        for _ in 0..PASSES_MAX {
            if stopped() {
                return Err(RewriteError::Stopped);
            }
            let found = self.find(rule, areas.as_deref());
            if found.is_empty() {
                break;
            }
            areas = Some(self.replace(rule, found)?);
        }
        Ok(())
    }

    /// What is to be replaced in this pass, in order: everywhere, or only what was captured in the one before.
    fn find(&self, rule: &Compiled, areas: Option<&[Area]>) -> Vec<Found> {
        let mut all: Vec<Found> = Vec::new();
        if areas.is_some_and(<[Area]>::is_empty) {
            return all;
        }
        let (root, code) = (self.tree.root(), self.tree.source());
        for found in root.find_all(&rule.config.matcher) {
            let node = found.range();
            // Of a match, a pattern may cover the beginning alone: what comes behind that is not inside it.
            let last = all.last();
            let begins_before = last.is_some_and(|last| node.start < last.splice.range.end);
            let inside = begins_before
                && last.is_some_and(|last| {
                    node.start >= last.node.start && node.end <= last.splice.range.end
                });
            if begins_before && !inside {
                // Half of it is replaced, or it is swallowed by an expansion: gone, not captured.
                continue;
            }
            let key = without_whitespace(&found.text());
            let origin = match areas {
                None => self.origin(node.start),
                Some(areas) => {
                    // They are in order and do not overlap.
                    let begun = areas.partition_point(|area| area.range.start <= node.start);
                    let area = areas[..begun].last();
                    let area = area.filter(|area| node.end <= area.range.end);
                    let Some(&origin) = area.and_then(|area| area.inner.get(&key)) else {
                        continue;
                    };
                    origin
                }
            };
            if inside {
                if let Some(last) = all.last_mut().filter(|last| key.len() < last.key.len()) {
                    last.inner.entry(key).or_insert(origin);
                }
                continue;
            }
            let splice = replacement(rule, &found, code);
            let overlaps = all
                .last()
                .is_some_and(|last| splice.range.start < last.splice.range.end);
            if overlaps || code.get(splice.range.clone()) == Some(&splice.text) {
                continue;
            }
            let dropped_comments = dropped_comments(&found, &splice.text);
            all.push(Found {
                splice,
                node,
                key,
                origin,
                dropped_comments,
                inner: Inner::new(),
            });
        }
        all
    }

    /// Puts the replacements in and says where the next pass has to look.
    fn replace(&mut self, rule: &Compiled, found: Vec<Found>) -> Result<Vec<Area>, RewriteError> {
        let mut splices = Vec::with_capacity(found.len());
        let mut areas = Vec::new();
        let (mut old, mut new) = (0, 0);
        for found in found {
            let Splice { range, text } = &found.splice;
            let start = new + (range.start - old);
            if !found.inner.is_empty() {
                areas.push(Area {
                    range: start..start + text.len(),
                    inner: found.inner,
                });
            }
            (old, new) = (range.end, start + text.len());
            let (line, column) = self.lines.position(found.origin);
            self.edits.push(Edit {
                rule: rule.id.clone(),
                line,
                column,
                before: self.tree.source()[range.clone()].to_owned(),
                after: text.clone(),
                dropped_comments: found.dropped_comments,
            });
            splices.push(found.splice);
        }
        self.trails.push(Trail::of(&splices));
        self.splice(&splices)?;
        Ok(areas)
    }

    /// Adds the imports that are missing, and says which those are.
    fn import(&mut self, path: &Path, needed: &[&Import]) -> Result<Vec<String>, RewriteError> {
        let mut added = Vec::new();
        for import in needed {
            let addition = import.addition(&self.tree, path, self.language);
            if let Some(addition) = addition.map_err(RewriteError::Import)? {
                self.splice(&addition.splices)?;
                added.extend(addition.shown);
            }
        }
        Ok(added)
    }

    fn splice(&mut self, splices: &[Splice]) -> Result<(), RewriteError> {
        let code = spliced(self.tree.source(), splices);
        if code.len() > self.bytes_max {
            return Err(RewriteError::TooLarge);
        }
        self.tree = parse(&code, self.language).ok_or(RewriteError::NotParsed)?;
        let Survey { depth, errors } = survey(&self.tree);
        self.errors = errors;
        if depth > DEPTH_MAX {
            return Err(RewriteError::TooDeep);
        }
        Ok(())
    }

    /// Where a place in the code was in the text as it was.
    fn origin(&self, offset: usize) -> usize {
        let trails = self.trails.iter().rev();
        trails.fold(offset, |offset, trail| trail.back(offset))
    }
}

/// The comments in a match that its replacement has not.
fn dropped_comments(found: &Match<'_>, replacement: &str) -> Vec<String> {
    let mut dropped = Vec::new();
    let mut kept = None;
    for node in found.dfs() {
        if !node.is_extra() || !node.kind().contains("comment") {
            continue;
        }
        let text = node.text();
        let kept = kept.get_or_insert_with(|| without_whitespace(replacement));
        if !kept.contains(&without_whitespace(&text)) {
            dropped.push(text.trim_end().to_owned());
        }
    }
    dropped
}
