//! Every rule of the script contract has a test that is named after it, or stands on the list of those to come.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::rust_tokens::{Scope, Token, flat, tokens};
use super::{assert_none, files_ending, text};

const TO_COME: &str = "tests/it/house/ids_to_come.txt";

/// The ids of the contract: what its list items begin with.
pub(super) fn ids() -> BTreeSet<String> {
    text(Path::new("docs/contract.md"))
        .lines()
        .filter_map(|line| line.strip_prefix("- **")?.split_once("**"))
        .map(|(id, _)| id.to_owned())
        .collect()
}

/// `A07`: a capital and two digits.
pub(super) fn is_id(word: &str) -> bool {
    let bytes = word.as_bytes();
    matches!(bytes, [letter, tens, ones]
        if letter.is_ascii_uppercase() && tens.is_ascii_digit() && ones.is_ascii_digit())
}

/// The names of all tests, with the id that they begin with.
fn tests_by_id() -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in files_ending(&["rs"]) {
        for name in test_names(&tokens(&path, Scope::Everything)) {
            if let Some((id, _)) = name.split_once('_')
                && is_id(&id.to_uppercase())
            {
                found
                    .entry(id.to_uppercase())
                    .or_default()
                    .push(format!("{}: {name}", path.display()));
            }
        }
    }
    found
}

/// The functions behind a test attribute (`#[test]`, `#[tokio::test(…)]`).
fn test_names(code: &[Token]) -> Vec<&str> {
    let mut names = Vec::new();
    let mut is_test = false;
    for (place, token) in code.iter().enumerate() {
        let after = |text: &str| place > 0 && code[place - 1].text == text;
        match token.text.as_str() {
            "test" if after("[") || after("::") => is_test = true,
            "fn" => {
                if is_test && let Some(name) = code.get(place + 1) {
                    names.push(name.text.as_str());
                }
                is_test = false;
            }
            _ => {}
        }
    }
    names
}

/// What of a rule is still to come.
enum Coming {
    All,
    Rest,
}

/// Each id with its tests, for whoever asks (`just contract`).
fn table(
    ids: &BTreeSet<String>,
    tests: &BTreeMap<String, Vec<String>>,
    to_come: &BTreeMap<&str, Coming>,
) -> Vec<String> {
    ids.iter()
        .flat_map(|id| {
            let coming = match to_come.get(id.as_str()) {
                None => "",
                Some(Coming::Rest) => "in part",
                Some(Coming::All) => "to come",
            };
            let tests = tests.get(id).map(Vec::as_slice).unwrap_or_default();
            let head = format!("{id}  {:3} tests  {coming}", tests.len());
            std::iter::once(head.trim_end().to_owned())
                .chain(tests.iter().map(|test| format!("       {test}")))
        })
        .collect()
}

#[test]
#[expect(clippy::print_stdout, reason = "`just contract` shows the table")]
fn every_id_has_a_test_or_is_to_come() {
    let ids = ids();
    assert!(ids.len() > 50, "the contract is read wrongly: {ids:?}");
    let tests = tests_by_id();
    let list = text(Path::new(TO_COME));
    let to_come: BTreeMap<&str, Coming> = list
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| match line.strip_suffix(" in part") {
            Some(id) => (id, Coming::Rest),
            None => (line, Coming::All),
        })
        .collect();
    for line in table(&ids, &tests, &to_come) {
        println!("{line}");
    }
    let mut offences = Vec::new();
    for id in &ids {
        match (tests.get(id), to_come.get(id.as_str())) {
            (None, None) => offences.push(format!("{id} has no test")),
            (None, Some(Coming::Rest)) => offences.push(format!("{id} is there in part: no test")),
            (Some(tests), Some(Coming::All)) => {
                offences.push(format!(
                    "{id} is on the list of ids to come and has a test: {}",
                    tests[0]
                ));
            }
            _ => {}
        }
    }
    for id in to_come.keys().filter(|id| !ids.contains(**id)) {
        offences.push(format!(
            "{id} is on the list of ids to come and is none of the contract"
        ));
    }
    for (id, tests) in tests.iter().filter(|(id, _)| !ids.contains(*id)) {
        offences.push(format!("{id} is none of the contract: {}", tests[0]));
    }
    assert_none("contract and tests do not agree", offences);
}

#[test]
fn only_functions_behind_a_test_attribute_count() {
    let source =
        "#[test] fn one() {} fn helper() {} #[tokio::test(start_paused = true)] async fn two() {}";
    let stream = source.parse().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(test_names(&flat(stream, Scope::Everything)), ["one", "two"]);
}
