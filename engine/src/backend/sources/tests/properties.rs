//! Any piece of any text is found, whatever its white space; with another word it is not.

use proptest::prelude::*;

use super::super::{NotFound, find};

/// Words that differ in more than what folding leaves out.
fn word() -> impl Strategy<Value = String> {
    "[a-z]{1,8}|[A-Z][a-z]{2,6}|[0-9]{1,3},[0-9]{3}|[a-z]{2,4}-[a-z]{2,4}|[a-z]{2,5}'s|é[a-z]{3}|[あ-う]{2,3}"
}

fn space() -> impl Strategy<Value = String> {
    "[ \t]{1,3}|\n|\r\n|\n\n|\u{a0}|\n> "
}

/// What stands around a word and does not count.
fn dressed(word: &str, dress: usize) -> String {
    match dress % 5 {
        0 => format!("**{word}**"),
        1 => format!("_{word}_"),
        2 => format!("`{word}`"),
        3 => word
            .chars()
            .rev()
            .collect::<String>()
            .chars()
            .rev()
            .collect(),
        4 => word.replace('\'', "’").replace('-', "\u{2011}"),
        _ => word.to_owned(),
    }
}

proptest! {
    #[test]
    fn a_slice_at_words_is_found_however_it_is_spaced(
        words in prop::collection::vec((word(), space(), space(), 0..12_usize), 12..60),
        from in 0..6_usize,
        length in 6..40_usize,
        at in any::<prop::sample::Index>(),
    ) {
        let text: String = words
            .iter()
            .flat_map(|(word, space, _, dress)| [dressed(word, *dress), space.clone()])
            .collect();
        let slice = &words[from..words.len().min(from + length)];
        let quotation = |other: Option<usize>| -> String {
            slice
                .iter()
                .enumerate()
                .flat_map(|(index, (word, _, space, _))| {
                    let word = if other == Some(index) { "unheardof" } else { word.as_str() };
                    // A mark of a block quote is none in the middle of a line.
                    [word.to_owned(), space.replace('>', " ")]
                })
                .collect()
        };
        let enough = slice.iter().map(|(word, ..)| word.chars().count() + 1).sum::<usize>() > 14;
        prop_assume!(enough);
        let found = find(&quotation(None), &text);
        prop_assert!(found.is_ok(), "{found:?}: {:?} in {text:?}", quotation(None));
        let found = found.map(|found| found.bytes).unwrap_or_default();
        // What stands there is the quotation.
        prop_assert!(find(&text[found], &quotation(None)).is_ok());

        let other = find(&quotation(Some(at.index(slice.len()))), &text);
        prop_assert!(matches!(other, Err(NotFound::Absent { .. })), "{other:?}");
    }

    #[test]
    fn no_text_and_no_quotation_is_a_panic(
        text in "[\\PC\\s*_>…“”.,'\u{ad}\u{301}-]{0,200}",
        quotation in "[\\PC\\s*_>….\u{301}-]{0,80}",
    ) {
        let _ = find(&quotation, &text);
        if let Ok(found) = find(&text, &format!("{quotation} {text} {quotation}")) {
            prop_assert!(found.passage.first <= found.passage.last);
        }
    }
}
