//! Rules about source files: time and chance, length, `unsafe`, silenced lints, paths of somebody's machine.

use std::collections::BTreeSet;
use std::path::Path;

use super::rust_tokens::{Scope, Token, lines_of, tokens};
use super::{assert_none, files, files_ending, is_shipped, text};

/// No file is longer, tests included: past 600 lines look for the seam.
const LINES_MAX: usize = 1_000;

/// What reads a clock or draws at random.
const IMPURE: &[&[&str]] = &[
    &["SystemTime", "::", "now"],
    &["Instant", "::", "now"],
    &["Timestamp", "::", "now"],
    &["Zoned", "::", "now"],
    &["clock_gettime"],
    &["getrandom", "::"],
    &["rand", "::"],
    &["RandomState", "::", "new"],
];

/// The files that may, each for what it says. Everywhere else time, ids and randomness come in as arguments.
const IMPURE_FILES: &[(&str, &str)] = &[
    (
        "engine/src/clock.rs",
        "the engine's one clock; tests put another in its place",
    ),
    (
        "engine/src/entropy.rs",
        "new runs' ids and seeds, which are journaled",
    ),
    (
        "engine/src/backend/llm/conversation/pace.rs",
        "how long a model is silent; nothing of it is journaled",
    ),
    (
        "engine/src/gateway/key.rs",
        "keys of attempts, which are good for one engine's life",
    ),
    (
        "engine/src/gateway/stopwatch.rs",
        "how long calls of models take, for those who watch",
    ),
    (
        "engine/src/models/breaker.rs",
        "when a provider takes calls again, on the runtime's clock",
    ),
    (
        "scripts/src/cpu.rs",
        "CPU time of the turn's thread (B07): ends a script, and is never seen by one",
    ),
];

#[test]
fn time_and_chance_stay_in_their_files() {
    let mut offences = Vec::new();
    let mut used = BTreeSet::new();
    for path in files_ending(&["rs"]) {
        if !is_shipped(&path) {
            continue;
        }
        let code = tokens(&path, Scope::Shipped);
        for impure in IMPURE {
            for line in lines_of(&code, impure) {
                if let Some((file, _)) = IMPURE_FILES
                    .iter()
                    .find(|(file, _)| Path::new(file) == path)
                {
                    used.insert(*file);
                } else {
                    offences.push(format!("{}:{line}: {}", path.display(), impure.concat()));
                }
            }
        }
    }
    for (file, reason) in IMPURE_FILES {
        if !used.contains(file) {
            offences.push(format!(
                "{file} is excepted ({reason}) and needs it no longer"
            ));
        }
    }
    assert_none("a clock or randomness outside its file", offences);
}

#[test]
fn no_file_is_too_long() {
    let mut offences = Vec::new();
    for path in files_ending(&["rs", "js", "mjs", "ts", "tsx", "md", "toml", "sh"]) {
        let lines = text(&path).lines().count();
        if lines > LINES_MAX {
            offences.push(format!("{}: {lines} lines", path.display()));
        }
    }
    assert_none("a file has more than 1,000 lines: find its seam", offences);
}

#[test]
fn unsafe_stays_in_the_launcher() {
    let mut offences = Vec::new();
    for path in files_ending(&["rs"]) {
        for line in lines_of(&tokens(&path, Scope::Everything), &["unsafe"]) {
            if !path.starts_with("launcher/src") {
                offences.push(format!("{}:{line}", path.display()));
            }
        }
    }
    assert_none("`unsafe` outside the launcher", offences);
}

#[test]
fn lints_are_expected_with_a_reason_never_allowed() {
    let mut offences = Vec::new();
    for path in files_ending(&["rs"]) {
        let code = tokens(&path, Scope::Everything);
        for attribute in attributes(&code) {
            let place = format!("{}:{}", path.display(), attribute[0].line);
            let names = |name: &str| attribute.iter().any(|token| token.text == name);
            if names("allow") {
                offences.push(format!("{place}: `allow`"));
            }
            if names("expect") && !names("reason") {
                offences.push(format!("{place}: `expect` without a reason"));
            }
        }
    }
    assert_none(
        "a lint is silenced otherwise than by `#[expect(…, reason = \"…\")]`",
        offences,
    );
}

/// The attributes of a file, each from its bracket to the closing one. Documentation is none.
fn attributes(code: &[Token]) -> Vec<&[Token]> {
    let mut found = Vec::new();
    for (start, token) in code.iter().enumerate() {
        let inner = usize::from(code.get(start + 1).is_some_and(|next| next.text == "!"));
        let open = start + 1 + inner;
        if token.text != "#" || code.get(open).is_none_or(|next| next.text != "[") {
            continue;
        }
        let mut depth = 0_usize;
        let length = code[open..].iter().position(|token| {
            match token.text.as_str() {
                "[" => depth += 1,
                "]" => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        let attribute = &code[open..=open + length.unwrap_or(0)];
        if attribute.get(1).is_none_or(|name| name.text != "doc") {
            found.push(attribute);
        }
    }
    found
}

#[test]
fn no_path_of_somebodys_machine() {
    // Put together here, so that this file does not offend.
    let places = [
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
        concat!("/Us", "ers/"),
        concat!("/wo", "rk/"),
    ];
    let mut offences = Vec::new();
    for path in files() {
        // What is no text has no lines to show.
        let Ok(text) = std::fs::read_to_string(super::root().join(&path)) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            let absolute = |place: &&&str| {
                line.match_indices(**place).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    before.is_none_or(|letter| " \t\"'`=(:,".contains(letter))
                })
            };
            if let Some(place) = places.iter().find(absolute) {
                offences.push(format!("{}:{}: {place}…", path.display(), number + 1));
            }
        }
    }
    assert_none("an absolute path of one machine", offences);
}

#[test]
fn the_database_and_the_codec_are_each_in_one_file() {
    for name in ["redb", "bincode"] {
        let mut named_in = BTreeSet::new();
        for path in files_ending(&["rs"]) {
            if path.starts_with("journal/src") && is_shipped(&path) {
                let code = tokens(&path, Scope::Shipped);
                if uses_of(&code, name) > derives_of(&code, name) {
                    named_in.insert(path);
                }
            }
        }
        assert!(
            named_in.len() <= 1,
            "{name} is named in more than its one file: {named_in:?}"
        );
    }
}

/// How often a path begins with the crate's name; `crate::redb` is a module of ours.
fn uses_of(code: &[Token], name: &str) -> usize {
    let begins = |at: usize| at == 0 || code[at - 1].text != "::";
    let is_path = |at: usize| code.get(at + 1).is_some_and(|next| next.text == "::");
    (0..code.len())
        .filter(|&at| code[at].text == name && begins(at) && is_path(at))
        .count()
}

/// How often a file names bincode only to derive its two traits: a derive says which types are written, and the bytes
/// are still the codec's alone.
fn derives_of(code: &[Token], name: &str) -> usize {
    let imports: [&[&str]; 4] = [
        &["use", name, "::", "{", "Decode", ",", "Encode", "}"],
        &["use", name, "::", "{", "Encode", ",", "Decode", "}"],
        &["use", name, "::", "Encode", ";"],
        &["use", name, "::", "Decode", ";"],
    ];
    imports
        .iter()
        .map(|import| lines_of(code, import).len())
        .sum::<usize>()
        + lines_of(code, &["derive", "(", name, "::"]).len()
}
