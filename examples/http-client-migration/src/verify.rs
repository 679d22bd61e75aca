//! An independent check of a migration: both texts as token streams, walked side by side.
//!
//! Nothing here shares its method with the migration, which edits at nodes of a tree. The walk
//! knows the few differences that a migration may make and refutes every other one.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::arguments::CODE_SENDERS;
use crate::discover::Refusal;
use crate::source::line_of;
use crate::tokens::{Role, Tokens};

/// Why a migration is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refutation {
    /// The file.
    pub file: String,
    /// The line in the new text, from 1.
    pub line: usize,
    /// What is wrong there.
    pub reason: String,
}

/// What the check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What is wrong; nothing, if the migration is good.
    pub refutations: Vec<Refutation>,
    /// Tokens that were compared.
    pub tokens: usize,
    /// Uses that were seen to have moved to the client.
    pub migrated: usize,
}

/// Checks that `new` is `old` with its global `fetch` calls moved to the client, and nothing else.
/// `refused` are the uses in `old` that stay, each for a reason that was given before anything was changed.
///
/// # Errors
/// An `old` that does not parse: there is nothing to compare with then.
pub fn verify(
    file: &Path,
    old: &str,
    new: &str,
    client: &Path,
    refused: &[Refusal],
) -> Result<Findings, String> {
    let before = Tokens::read(file, old, client)
        .map_err(|problem| format!("the old text does not parse: {}", problem.message))?;
    let name = file.to_string_lossy().into_owned();
    let after = match Tokens::read(file, new, client) {
        Ok(after) => after,
        Err(problem) => {
            let reason = format!("the file no longer parses: {}", problem.message);
            let refutation = Refutation {
                file: name,
                line: problem.line,
                reason,
            };
            return Ok(Findings {
                refutations: vec![refutation],
                ..Findings::default()
            });
        }
    };
    let mut walk = Walk {
        file: name,
        before: &before,
        after: &after,
        refused,
        replaces_fetch: replaces_fetch(&before),
        findings: Findings::default(),
    };
    walk.imports();
    walk.tokens();
    walk.findings.tokens = after.words.len();
    Ok(walk.findings)
}

struct Walk<'t> {
    file: String,
    before: &'t Tokens,
    after: &'t Tokens,
    refused: &'t [Refusal],
    replaces_fetch: bool,
    findings: Findings,
}

impl Walk<'_> {
    /// At most one import is new, and its name was not in use.
    fn imports(&mut self) {
        let (old, new) = (self.before.imports.len(), self.after.imports.len());
        if new > old + 1 || new < old {
            let line = self
                .after
                .imports
                .last()
                .map_or(1, |one| line_of(&self.after.text, one.start));
            self.refute_line(
                line,
                format!("the client is imported {new} times, before {old} times"),
            );
        }
        for import in &self.after.imports {
            if self.before.unbound.contains(&import.name) {
                let line = line_of(&self.after.text, import.start);
                let reason = format!(
                    "the import takes the name {}, which meant a global",
                    import.name
                );
                self.refute_line(line, reason);
            }
        }
    }

    fn tokens(&mut self) {
        let (mut old, mut new) = (0, 0);
        while old < self.before.words.len() || new < self.after.words.len() {
            self.gap(old, new);
            let Some((old_step, new_step)) = self.step(old, new) else {
                let reason = self.describe(old, new);
                self.refute(new, reason);
                // Behind a difference the streams no longer run side by side; what stays of
                // the global fetch is worth knowing all the same.
                self.remaining_from(new);
                return;
            };
            old += old_step;
            new += new_step;
        }
        self.gap(old, new);
    }

    /// How many tokens of each side belong together here; none when they differ.
    fn step(&mut self, old: usize, new: usize) -> Option<(usize, usize)> {
        if let Some(length) = global_fetch(self.before, old) {
            if self.is_request(new) {
                self.call(old + length, new, old);
                self.findings.migrated += 1;
                return Some((length, 3));
            }
            if self.before.at(old) == self.after.at(new) {
                self.stays(old, old + length, new);
            }
        }
        let same = !self.before.at(old).is_empty() && self.before.at(old) == self.after.at(new);
        let same_role = self.before.role(old) == self.after.role(new);
        if same && !same_role {
            self.refute(
                new,
                format!("{} no longer means what it meant", self.after.at(new)),
            );
        }
        same.then_some((1, 1))
    }

    /// Whether `client.request` stands at `index` of the new text.
    fn is_request(&self, index: usize) -> bool {
        self.after.role(index) == Role::Client
            && self.after.at(index + 1) == "."
            && self.after.at(index + 2) == "request"
    }

    /// Why the use at `old` should stay, if that was said.
    fn reason(&self, old: usize) -> Option<&str> {
        let line = self.before.line(old);
        let said = self.refused.iter().find(|refusal| refusal.line == line);
        said.map(|refusal| refusal.reason.as_str())
    }

    /// A use that moved: it must be called with what the client takes.
    fn call(&mut self, behind: usize, new: usize, old: usize) {
        let tokens = self.before;
        if self.replaces_fetch {
            self.refute(
                new,
                "migrated in a file that replaces the global fetch".to_owned(),
            );
        }
        if let Some(reason) = self.reason(old) {
            self.refute(new, format!("moved to the client, though it {reason}"));
            return;
        }
        let opens = old.checked_sub(1).map_or("", |index| tokens.at(index)) == "(";
        let in_brackets = opens && tokens.at(behind) == ")" && tokens.at(behind + 1) == "(";
        let open = if in_brackets { behind + 1 } else { behind };
        if tokens.at(open) != "(" {
            self.refute(
                new,
                "a use that is no call was moved to the client".to_owned(),
            );
            return;
        }
        if let Some(reason) = unfit(tokens, open) {
            self.refute(new, format!("a call was moved to the client that {reason}"));
        }
    }

    /// A use that is as it was: a test for existence, or refused, and for a reason.
    fn stays(&mut self, old: usize, behind: usize, new: usize) {
        let tokens = self.before;
        if is_test(tokens, old, behind) {
            return;
        }
        if self.reason(old).is_none() {
            self.refute(new, "a global fetch remains and nobody says why".to_owned());
            return;
        }
        let first = tokens.at(behind + 1);
        let is_plain = tokens.at(behind) == "(" && first.starts_with(['"', '\'', '`']);
        let is_module = ["import", "export", "require", "module"]
            .iter()
            .any(|word| (0..tokens.words.len()).any(|index| tokens.at(index) == *word));
        let sends_code = (0..old)
            .any(|index| CODE_SENDERS.contains(&tokens.at(index)) && tokens.at(index + 1) == "(");
        if is_plain
            && is_module
            && !sends_code
            && !self.replaces_fetch
            && unfit(tokens, behind).is_none()
        {
            self.refute(
                new,
                "a plain call of the global fetch was refused without need".to_owned(),
            );
        }
    }

    /// White space and comments are the same, but for the line of the import.
    fn gap(&mut self, old: usize, new: usize) {
        let (start, end) = self.before.gap_before(old);
        let expected = &self.before.text[start..end];
        let expected = without_imports(expected, start, self.before);
        let (start, end) = self.after.gap_before(new);
        let found = without_imports(&self.after.text[start..end], start, self.after);
        if expected.pieces.concat() == found.pieces.concat() {
            return;
        }
        let added = found.pieces.len() == expected.pieces.len() + 1;
        if added && without_line_breaks(&expected.pieces.concat(), &found.pieces) {
            return;
        }
        let texts = (expected.pieces.concat(), found.pieces.concat());
        let has_comment = |text: &str| text.contains("//") || text.contains("/*");
        let reason = if has_comment(&texts.0) || has_comment(&texts.1) {
            "a comment changed"
        } else {
            "white space changed"
        };
        let common = texts
            .0
            .bytes()
            .zip(texts.1.bytes())
            .take_while(|(a, b)| a == b)
            .count();
        let line = line_of(&self.after.text, start + common);
        self.refute_line(line, reason.to_owned());
    }

    /// Says what kind of difference stands here.
    fn describe(&self, old: usize, new: usize) -> String {
        let (was, is) = (self.before.at(old), self.after.at(new));
        let quoted = |text: &str| text.starts_with(['"', '\'', '`']) || text.starts_with('}');
        if was == "await" && (is == self.before.at(old + 1) || self.is_request(new)) {
            "an await was lost".to_owned()
        } else if was == "fetch" && self.before.role(old) != Role::GlobalFetch {
            format!("a fetch that is not the global one became {}", short(is))
        } else if quoted(was) && quoted(is) {
            format!("a string changed: {} became {}", short(was), short(is))
        } else if was.is_empty() {
            format!("{} was added at the end", short(is))
        } else if is.is_empty() {
            format!("{} and what follows is missing", short(was))
        } else {
            format!("{} became {}", short(was), short(is))
        }
    }

    /// Global uses of `fetch` behind a difference.
    fn remaining_from(&mut self, new: usize) {
        for index in new..self.after.words.len() {
            let Some(length) = global_fetch(self.after, index) else {
                continue;
            };
            let text = self
                .after
                .text
                .lines()
                .nth(self.after.line(index) - 1)
                .unwrap_or_default();
            let stood = |line: &usize| self.before.text.lines().nth(line - 1) == Some(text);
            if !is_test(self.after, index, index + length)
                && !self.refused.iter().any(|refusal| stood(&refusal.line))
            {
                self.refute(
                    index,
                    "a global fetch remains and nobody says why".to_owned(),
                );
            }
        }
    }

    fn refute(&mut self, new: usize, reason: String) {
        self.refute_line(self.after.line(new), reason);
    }

    fn refute_line(&mut self, line: usize, reason: String) {
        let refutation = Refutation {
            file: self.file.clone(),
            line,
            reason,
        };
        if !self.findings.refutations.contains(&refutation) {
            self.findings.refutations.push(refutation);
        }
    }
}

/// The number of tokens by which the global `fetch` is named at `index`, if it is.
fn global_fetch(tokens: &Tokens, index: usize) -> Option<usize> {
    let next = |distance: usize| tokens.at(index + distance);
    match tokens.role(index) {
        Role::GlobalFetch => Some(1),
        Role::GlobalObject if matches!(next(1), "." | "?.") && next(2) == "fetch" => Some(3),
        Role::GlobalObject
            if next(1) == "[" && matches!(next(2), "\"fetch\"" | "'fetch'") && next(3) == "]" =>
        {
            Some(4)
        }
        _ => None,
    }
}

/// Operators beside which a use is only compared.
const COMPARES: [&str; 5] = ["===", "!==", "==", "!=", "in"];

/// Whether the use at `start..behind` only asks whether there is a `fetch`.
fn is_test(tokens: &Tokens, start: usize, behind: usize) -> bool {
    let before = |distance: usize| {
        start
            .checked_sub(distance)
            .map_or("", |index| tokens.at(index))
    };
    matches!(before(1), "typeof" | "!")
        || COMPARES.contains(&before(1))
        || COMPARES.contains(&tokens.at(behind))
        || matches!(tokens.at(behind), "&&" | "?")
        || (before(1) == "(" && before(2) == "if" && tokens.at(behind) == ")")
}

/// Whether the file puts something in the place of the global `fetch`.
fn replaces_fetch(tokens: &Tokens) -> bool {
    (0..tokens.words.len()).any(|index| {
        let Some(length) = global_fetch(tokens, index) else {
            return false;
        };
        let assigned = matches!(tokens.at(index + length), "=" | "??=" | "||=");
        assigned || (index > 0 && tokens.at(index - 1) == "delete")
    })
}

/// Why the arguments that begin with the bracket at `open` do not fit the client, if so.
fn unfit(tokens: &Tokens, open: usize) -> Option<&'static str> {
    match (tokens.at(open + 1), tokens.at(open + 2)) {
        ("new", "Request") => return Some("gets a Request"),
        ("...", _) => return Some("has its arguments spread"),
        (")", _) => return Some("has no argument"),
        _ => {}
    }
    let mut depth = 0_usize;
    for index in open..tokens.words.len() {
        match tokens.at(index) {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            "duplex" | "keepalive" if depth == 2 && tokens.at(index + 1) == ":" => {
                return Some("sends a body that can be sent only once");
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    None
}

/// A gap cut at the client's imports in it.
struct Gap<'t> {
    pieces: Vec<&'t str>,
}

fn without_imports<'t>(gap: &'t str, offset: usize, tokens: &Tokens) -> Gap<'t> {
    let end = offset + gap.len();
    let mut pieces = Vec::new();
    let mut position = 0;
    for import in tokens
        .imports
        .iter()
        .filter(|one| one.start >= offset && one.end <= end)
    {
        pieces.push(&gap[position..import.start - offset]);
        position = import.end - offset;
    }
    pieces.push(&gap[position..]);
    Gap { pieces }
}

/// Whether `expected` is the pieces without one or two line breaks at a place where they meet.
fn without_line_breaks(expected: &str, pieces: &[&str]) -> bool {
    (1..pieces.len()).any(|cut| {
        let (left, right) = (pieces[..cut].concat(), pieces[cut..].concat());
        let lefts = std::iter::successors(Some(left.as_str()), |text| cut_end(text)).take(2);
        lefts.into_iter().any(|left| {
            let rights =
                std::iter::successors(Some(right.as_str()), |text| cut_start(text)).take(3);
            rights
                .into_iter()
                .any(|right| format!("{left}{right}") == expected)
        })
    })
}

fn cut_end(text: &str) -> Option<&str> {
    text.strip_suffix('\n')
        .map(|text| text.strip_suffix('\r').unwrap_or(text))
}

fn cut_start(text: &str) -> Option<&str> {
    text.strip_prefix("\r\n")
        .or_else(|| text.strip_prefix('\n'))
}

/// A token's text, cut to a readable length.
fn short(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
