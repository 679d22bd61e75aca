//! The migration of one file: pure text to text, by the spans of resolved references.

use std::path::Path;

use oxc_span::Span;
use serde::{Deserialize, Serialize};

use crate::imports::{self, ModuleStyle};
use crate::sites::{self, Replacement, Site, Verdict};
use crate::source::{Parsed, SyntaxProblem, parse};

/// What becomes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The new text; the old one when there is nothing to change.
    pub text: String,
    /// Calls that go through the client now and did not before.
    pub calls: usize,
    /// The changed lines.
    pub changes: Vec<Change>,
    /// Uses that were left alone, with the reason.
    pub refused: Vec<Refusal>,
    /// Tests whether `fetch` exists, which call nothing.
    pub guards: usize,
}

/// A changed line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Its number in the old text, from 1.
    pub line: usize,
    /// Before.
    pub before: String,
    /// After.
    pub after: String,
}

/// A use of `fetch` that stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Its line in the old text, from 1.
    pub line: usize,
    /// That line.
    pub text: String,
    /// Why it stays.
    pub reason: String,
}

/// Migrates `text`, the content of `file`, to the client in the module `client`; both paths are
/// relative to the same root. `package_is_module`: the nearest `package.json` says that `.js` files
/// are modules.
///
/// # Errors
/// A file that does not parse.
pub fn migrate(
    file: &Path,
    text: &str,
    client: &Path,
    package_is_module: bool,
) -> Result<Migration, SyntaxProblem> {
    parse(file, text, |parsed| {
        let style = imports::module_style(parsed, file, package_is_module);
        let mut sites = sites::find(parsed);
        if style == ModuleStyle::Script {
            refuse_script(&mut sites);
        }
        apply(parsed, file, client, style, &sites)
    })
}

/// A classic script can import nothing: what it calls stays.
fn refuse_script(sites: &mut [Site]) {
    for site in sites {
        if matches!(site.verdict, Verdict::Migrate { .. }) {
            let reason = "is in a classic script, which cannot import the client";
            site.verdict = Verdict::Refuse(reason.to_owned());
        }
    }
}

fn apply(
    parsed: &Parsed<'_, '_>,
    file: &Path,
    client: &Path,
    style: ModuleStyle,
    sites: &[Site],
) -> Migration {
    let mut edits: Vec<(Span, Replacement)> = Vec::new();
    let mut migration = Migration {
        text: parsed.text.to_owned(),
        calls: 0,
        changes: Vec::new(),
        refused: Vec::new(),
        guards: 0,
    };
    for site in sites {
        match &site.verdict {
            Verdict::Migrate {
                edits: pieces,
                calls,
            } => {
                migration.calls += calls;
                edits.extend(pieces);
            }
            Verdict::Guard => migration.guards += 1,
            Verdict::Refuse(reason) => migration.refused.push(Refusal {
                line: site.line,
                text: site.text.clone(),
                reason: format!("fetch {reason}"),
            }),
        }
    }
    if edits.is_empty() {
        return migration;
    }
    let import = imports::plan(parsed, file, client, style);
    let mut pieces: Vec<(usize, usize, String)> = edits
        .iter()
        .map(|(span, what)| {
            (
                span.start as usize,
                span.end as usize,
                replacement(*what, &import.name),
            )
        })
        .collect();
    pieces.sort_by_key(|(start, ..)| *start);
    migration.changes = changed_lines(parsed.text, &pieces);
    if let Some((offset, line)) = import.insertion {
        pieces.push((offset, offset, line));
        pieces.sort_by_key(|(start, end, _)| (*start, *end));
    }
    migration.text = splice(parsed.text, 0, parsed.text.len(), &pieces);
    migration
}

fn replacement(what: Replacement, client: &str) -> String {
    match what {
        Replacement::Request => format!("{client}.request"),
        Replacement::Client => client.to_owned(),
        Replacement::Key => "request".to_owned(),
        Replacement::Shorthand => "request: fetch".to_owned(),
    }
}

/// The text between two offsets with the pieces in it replaced; pieces are in order and apart.
fn splice(text: &str, from: usize, to: usize, pieces: &[(usize, usize, String)]) -> String {
    let mut result = String::with_capacity(to - from + 64);
    let mut position = from;
    for (start, end, new) in pieces
        .iter()
        .filter(|(start, end, _)| *start >= from && *end <= to)
    {
        result.push_str(&text[position..*start]);
        result.push_str(new);
        position = *end;
    }
    result.push_str(&text[position..to]);
    result
}

/// Each line that a piece begins on, before and after.
fn changed_lines(text: &str, pieces: &[(usize, usize, String)]) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    let mut start = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let end = start + line.len();
        if pieces
            .iter()
            .any(|(piece, ..)| (start..end).contains(piece))
        {
            // A piece may run over the line's end: `globalThis` and `.fetch` on the next.
            let reach = pieces
                .iter()
                .filter(|(piece, ..)| (start..end).contains(piece));
            let reach = reach
                .map(|(_, stop, _)| *stop)
                .max()
                .unwrap_or(end)
                .max(end);
            let after = splice(text, start, reach, pieces);
            let (before, after) = (
                text[start..reach].trim().to_owned(),
                after.trim().to_owned(),
            );
            changes.push(Change {
                line: index + 1,
                before,
                after,
            });
        }
        start = end;
    }
    changes
}
