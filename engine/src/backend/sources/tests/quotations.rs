//! Which quotations stand in a text, and which do not.

use super::super::{Found, NotFound, TooShort, find};

const TEXT: &str = "\
# The journal

The engine **journals** every message, so that a killed
run goes on where it was. “Nothing is lost” — not even
after a power cut… as long as the disk keeps its word.

Writers wait for at least 1,000 milliseconds. You can't turn this off.
It is non-durable by design; a caf\u{e9} is not.

> Reviewers read what
> others wrote.

The engine counts tokens.
";

fn lines(quotation: &str) -> Option<(usize, usize)> {
    match find(quotation, TEXT) {
        Ok(Found { passage, bytes }) => {
            assert_eq!(TEXT[bytes], passage.text);
            Some((passage.first, passage.last))
        }
        Err(_) => None,
    }
}

#[test]
fn a_quotation_stands_there_word_for_word_or_not_at_all() {
    for (quotation, expected) in [
        // What does not count.
        ("The engine journals every message", Some((3, 3))),
        (
            "the engine _journals_ every   message,\nso that",
            Some((3, 3)),
        ),
        ("so that a killed run goes on", Some((3, 4))),
        (
            "\"Nothing is lost\" - not even after a power cut",
            Some((4, 5)),
        ),
        (
            "\u{201e}a killed run goes on where it was\u{201d}",
            Some((3, 4)),
        ),
        ("a cafe\u{301} is not.", Some((8, 8))),
        ("every mes\u{ad}sage, so that", Some((3, 3))),
        ("Reviewers read what others wrote.", Some((10, 11))),
        ("after a power cut... as long as the disk", Some((5, 5))),
        // What was left out.
        ("The engine journals […] goes on where it was", Some((3, 4))),
        ("… a killed run (...) where it was. …", Some((3, 4))),
        ("every message . . . not even after", Some((3, 5))),
        // The nearest of two places counts, and the order.
        ("The engine … counts tokens", Some((13, 13))),
        ("The engine … tokens.", None),
        ("goes on where it was … The engine journals", None),
        ("Nothing is lost … its word … at least 1,000", Some((4, 7))),
        // Other words.
        ("The engine journals each message", None),
        ("the Engine journals every message", None),
        ("The engine journals message every", None),
        ("The engine journals every", Some((3, 3))),
        // Words that are cut.
        ("gine journals every message", None),
        ("wait for at least 1", None),
        ("for at least 1,000 milliseconds", Some((7, 7))),
        ("milliseconds. You can", None),
        ("milliseconds. You can't", Some((7, 7))),
        ("durable by design; a", None),
        ("non-durable by design; a", Some((8, 8))),
    ] {
        assert_eq!(lines(quotation), expected, "{quotation:?}");
    }
}

#[test]
fn an_ellipsis_does_not_bridge_a_whole_text() {
    let between = |words: usize| format!("it is certain {}that it fails", "word ".repeat(words));
    let quotation = "it is certain … that it fails";
    assert!(find(quotation, &between(190)).is_ok());
    assert!(find(quotation, &between(210)).is_err());
    // The second beginning is near enough.
    let text = format!("it is certain {0} {0}", between(100));
    let found = find(quotation, &text).map(|found| found.bytes.start);
    assert_eq!(found, Ok("it is certain ".len()));
}

#[test]
fn a_place_that_cuts_a_word_does_not_hide_the_next() {
    let found = find("no no no no no", "piano no no no no no end");
    assert_eq!(found.map(|found| found.bytes), Ok(6..20));
}

#[test]
fn what_proves_nothing_is_refused() {
    for (quotation, short) in [
        ("", TooShort::Empty),
        (" … \n", TooShort::Empty),
        ("“”", TooShort::Empty),
        ("the engine", TooShort::Whole),
        ("a b c", TooShort::Whole),
        ("journals", TooShort::Whole),
        ("The engine journals … message", TooShort::Part),
    ] {
        assert_eq!(
            find(quotation, TEXT),
            Err(NotFound::TooShort(short)),
            "{quotation:?}"
        );
    }
    let many = "The engine … ".repeat(13);
    assert_eq!(find(&many, TEXT), Err(NotFound::TooShort(TooShort::Part)));
    // Words need no spaces between them.
    assert!(
        find(
            "吾輩は猫である。名前はまだ無い",
            "吾輩は猫である。名前はまだ無い。"
        )
        .is_ok()
    );
}

#[test]
fn the_nearest_passage_has_most_of_the_rare_words() {
    let nearest = |quotation: &str| match find(quotation, TEXT) {
        Err(NotFound::Absent { nearest }) => nearest.map(|near| (near.first, near.last, near.text)),
        other => panic!("{other:?}"),
    };
    let passage = |first: usize, last: usize| {
        let lines: Vec<_> = TEXT
            .lines()
            .skip(first - 1)
            .take(last + 1 - first)
            .collect();
        Some((first, last, lines.join("\n")))
    };
    assert_eq!(
        nearest("Writers wait at most 1,000 milliseconds"),
        passage(7, 7)
    );
    assert_eq!(nearest("the engine counts all the tokens"), passage(13, 13));
    assert_eq!(
        nearest("A killed run never goes on where it was"),
        passage(3, 4)
    );
    assert_eq!(nearest("Bananas are yellow and grow upwards"), None);
    // A line of a whole book is not shown whole.
    let book = format!(
        "{}the quick brown fox jumps{}",
        "word ".repeat(900),
        " word".repeat(900)
    );
    let Err(NotFound::Absent {
        nearest: Some(near),
    }) = find("a quick brown fox jumped", &book)
    else {
        panic!("it has no passage");
    };
    assert_eq!(near.text, "quick brown fox");
}
