//! Rules about the documents: links lead somewhere, and ids are those of the contract.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::contract::{ids, is_id};
use super::{assert_none, files_ending, root, text};

/// Lines of a document outside fenced code, with their numbers from 1.
fn prose(document: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (number, line) in document.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push((number + 1, line));
        }
    }
    lines
}

/// The targets of `[text](target)`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target)
}

/// The anchor that a heading gets: lower case, spaces as hyphens, punctuation gone.
fn anchor(heading: &str) -> String {
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            letter if letter.is_alphanumeric() => Some(letter),
            _ => None,
        })
        .collect()
}

fn anchors(document: &str) -> BTreeSet<String> {
    prose(document)
        .into_iter()
        .filter(|(_, line)| line.starts_with('#'))
        .map(|(_, line)| anchor(line.trim_start_matches('#')))
        .collect()
}

#[test]
fn relative_links_lead_somewhere() {
    let mut offences = Vec::new();
    for path in files_ending(&["md"]) {
        let document = text(&path);
        let folder = path.parent().map_or_else(PathBuf::new, Path::to_owned);
        for (line, target) in prose(&document)
            .into_iter()
            .flat_map(|(line, text)| links(text).map(move |link| (line, link)))
        {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, wanted) = target.split_once('#').unwrap_or((target, ""));
            let place = format!("{}:{line}: {target}", path.display());
            let linked = if file.is_empty() {
                path.clone()
            } else {
                folder.join(file)
            };
            if !root().join(&linked).exists() {
                offences.push(place);
            } else if !wanted.is_empty() && !anchors(&text(&linked)).contains(wanted) {
                offences.push(format!("{place}: no such heading"));
            }
        }
    }
    assert_none("a link leads nowhere", offences);
}

#[test]
fn ids_in_documents_are_those_of_the_contract() {
    let ids = ids();
    let families: BTreeSet<char> = ids.iter().filter_map(|id| id.chars().next()).collect();
    let mut offences = Vec::new();
    for path in files_ending(&["md"]) {
        for (number, line) in text(&path).lines().enumerate() {
            for word in line.split(|letter: char| !letter.is_alphanumeric()) {
                let ours = is_id(word) && word.starts_with(|letter| families.contains(&letter));
                if ours && !ids.contains(word) {
                    offences.push(format!("{}:{}: {word}", path.display(), number + 1));
                }
            }
        }
    }
    assert_none(
        "a document names an id that the contract does not have",
        offences,
    );
}
