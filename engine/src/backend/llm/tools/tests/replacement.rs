//! Replacing, apart from files.

use proptest::prelude::*;

use super::super::replace::{Failure, Hint, Replacement, apply};

fn replaced(text: &str, old: &str, new: &str, all: bool) -> Result<String, Failure> {
    apply(text, Replacement { old, new, all }).map(|replaced| replaced.text)
}

#[test]
fn a_piece_that_is_there_more_than_once_is_nobodys_guess() {
    assert_eq!(
        replaced("a\nb\na", "a", "x", false),
        Err(Failure::Several(vec![1, 3]))
    );
    assert_eq!(
        replaced("aaa", "aa", "x", false),
        Err(Failure::Several(vec![1, 1]))
    );
    assert_eq!(
        replaced("ééé", "éé", "x", false),
        Err(Failure::Several(vec![1, 1]))
    );
    assert_eq!(replaced("aaa", "aa", "x", true), Ok("xa".into()));
    assert_eq!(replaced("a", "", "x", false), Err(Failure::Empty));
    assert_eq!(replaced("a", "a", "a", false), Err(Failure::Same));
}

#[test]
fn line_ends_are_those_of_the_file() {
    assert_eq!(
        replaced("a\r\nb\r\n", "a\nb", "x\ny", false),
        Ok("x\r\ny\r\n".into())
    );
    assert_eq!(
        replaced("a\r\nb\r\n", "a\r\nb", "x\r\ny", false),
        Ok("x\r\ny\r\n".into())
    );
    assert_eq!(
        replaced("a\nb\n", "a", "x\ny", false),
        Ok("x\ny\nb\n".into())
    );
    // Mixed: what is there decides.
    assert_eq!(
        replaced("a\nb\r\nc", "b\nc", "x\ny", false),
        Ok("a\nx\r\ny".into())
    );
    assert_eq!(
        replaced("a\nb\r\nc", "a\nb", "x\ny", false),
        Ok("x\ny\r\nc".into())
    );
}

#[test]
fn what_is_not_there_is_answered_with_what_may_be_meant() {
    let text = "fn main() {\n\tlet value = 1;\n}\n";
    let hint = |old: &str| match replaced(text, old, "x", false) {
        Err(Failure::Missing(hint)) => hint,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        hint("fn main() {\n    let value = 1;"),
        Hint::WhiteSpace("     1\tfn main() {\n     2\t\tlet value = 1;\n".into())
    );
    assert_eq!(
        hint("     1\tfn main() {\n     2\t\tlet value = 1;"),
        Hint::Numbers
    );
    assert_eq!(
        hint("let values = 2;"),
        Hint::Like("     2\t\tlet value = 1;\n".into())
    );
    assert_eq!(hint("something else entirely"), Hint::None);
    assert_eq!(hint(" \n \n"), Hint::None);
}

/// Texts of few letters, so that pieces come again; with line ends of one kind, or of both.
fn texts() -> impl Strategy<Value = String> {
    let letters = |ends: &'static [&'static str]| {
        let piece = prop_oneof![
            4 => prop::sample::select(vec!["a", "b", "é", " ", "\t", "\u{feff}", "𝄞"]),
            1 => prop::sample::select(ends),
        ];
        prop::collection::vec(piece, 1..40).prop_map(|pieces| pieces.concat())
    };
    prop_oneof![
        letters(&["\n"]),
        letters(&["\r\n"]),
        letters(&["\n", "\r\n"])
    ]
}

fn has_only_crlf(text: &str) -> bool {
    text.contains('\n') && !text.replace("\r\n", "").contains('\n')
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_edit_changes_its_piece_and_nothing_else(
        text in texts(),
        from: prop::sample::Index,
        length in 1..12_usize,
        new in texts(),
    ) {
        let mut places: Vec<_> = text.char_indices().map(|(at, _)| at).collect();
        // Nobody begins in the middle of a line end.
        places.retain(|at| !text[..*at].ends_with('\r'));
        let first = from.index(places.len());
        let start = places[first];
        let end = places.get(first + length).copied().unwrap_or(text.len());
        let piece = &text[start..end];
        let crlf = has_only_crlf(&text);
        // As a model has read it, in a file of one kind of line ends.
        let (old, in_file) = if crlf {
            let new = new.replace("\r\n", "\n").replace('\n', "\r\n");
            (piece.replace("\r\n", "\n"), new)
        } else {
            (piece.to_owned(), new.clone())
        };
        let places = (0..text.len())
            .filter(|at| text.is_char_boundary(*at) && text[*at..].starts_with(piece))
            .count();
        match replaced(&text, &old, &new, false) {
            Ok(after) => {
                prop_assert_eq!(places, 1);
                let expected = format!("{}{in_file}{}", &text[..start], &text[end..]);
                prop_assert_eq!(&after, &expected);
                // And back, where that is not ambiguous.
                let (old_again, new_again) = if crlf { (&new, &old) } else { (&in_file, &old) };
                if has_only_crlf(&after) == crlf
                    && let Ok(back) = replaced(&after, old_again, new_again, false)
                {
                    prop_assert_eq!(back, text);
                }
            }
            Err(Failure::Several(lines)) => {
                prop_assert!(places > 1);
                prop_assert_eq!(lines.len(), places);
            }
            Err(Failure::Same) => prop_assert_eq!(old, new),
            Err(failure) => prop_assert!(false, "{}", failure),
        }
    }

    #[test]
    fn no_text_and_no_piece_is_too_odd(text in any::<String>(), old in any::<String>(), new in any::<String>(), all: bool) {
        match replaced(&text, &old, &new, all) {
            Ok(_) | Err(Failure::Several(_)) => prop_assert!(!old.is_empty()),
            Err(failure) => prop_assert!(!failure.to_string().is_empty()),
        }
    }
}
