//! A text that a regular expression matches.

use std::ops::RangeInclusive;

use regex_syntax::Parser;
use regex_syntax::hir::{Class, ClassUnicodeRange, Hir, HirKind};

/// No text is longer, in bytes, however often an expression repeats a part.
const BYTES_MAX: usize = 10_000;
/// So many lengths are tried.
const LENGTHS_TRIED: u32 = 64;

/// A text of so many characters that `pattern` matches from its first to its last, as far as that can be had by repeating
/// what may be repeated. `None` for what is more than a regular expression (look-around, references).
pub(super) fn matching(pattern: &str, characters: &RangeInclusive<usize>) -> Option<String> {
    let expression = Parser::new().parse(pattern).ok()?;
    let texts = (0..LENGTHS_TRIED).map_while(|more| {
        let mut text = String::new();
        write(&expression, more, &mut text).then_some(text)
    });
    let mut first = None;
    for text in texts {
        if characters.contains(&text.chars().count()) {
            return Some(text);
        }
        first.get_or_insert(text);
    }
    first
}

/// Writes what `expression` matches, with `more` repetitions than it must have; `false` when that is nothing or too much.
fn write(expression: &Hir, more: u32, text: &mut String) -> bool {
    if text.len() > BYTES_MAX {
        return false;
    }
    match expression.kind() {
        // Where a line or a word begins or ends shows itself when the text is checked.
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(literal) => {
                text.push_str(literal);
                true
            }
            Err(_) => false,
        },
        HirKind::Class(class) => member(class).is_some_and(|letter| {
            text.push(letter);
            true
        }),
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(u32::MAX);
            let times = repetition.min.saturating_add(more).min(most);
            (0..times).all(|_| write(&repetition.sub, more, text))
        }
        HirKind::Capture(capture) => write(&capture.sub, more, text),
        HirKind::Concat(parts) => parts.iter().all(|part| write(part, more, text)),
        HirKind::Alternation(choices) => choices
            .first()
            .is_some_and(|choice| write(choice, more, text)),
    }
}

/// A letter of a class: a plain one where there is one.
fn member(class: &Class) -> Option<char> {
    let holds = |letter: char| match class {
        Class::Unicode(class) => class
            .iter()
            .any(|range| (range.start()..=range.end()).contains(&letter)),
        Class::Bytes(class) => class.iter().any(|range| {
            u8::try_from(letter).is_ok_and(|byte| (range.start()..=range.end()).contains(&byte))
        }),
    };
    let plain = ('a'..='z')
        .chain('A'..='Z')
        .chain('0'..='9')
        .chain(' '..='~');
    plain
        .into_iter()
        .find(|letter| holds(*letter))
        .or_else(|| match class {
            Class::Unicode(class) => class.iter().next().map(ClassUnicodeRange::start),
            Class::Bytes(class) => class.iter().next().map(|range| char::from(range.start())),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_match_and_have_the_length_that_can_be_had() {
        let any = 0..=usize::MAX;
        for (pattern, characters, text) in [
            ("^[A-Z]{3}-\\d+$", any.clone(), Some("AAA-0")),
            ("^(src|lib)/.+\\.tsx?$", any.clone(), Some("src/a.ts")),
            ("^\\w*$", 4..=9, Some("aaaa")),
            ("^[^a-zA-Z0-9]$", any.clone(), Some(" ")),
            ("^(ab)+$", 5..=7, Some("ababab")),
            ("^x{2}$", 5..=7, Some("xx")),
            ("", any.clone(), Some("")),
            ("^(?=a)b$", any.clone(), None),
            ("(", any.clone(), None),
            ("(((a{999}){999}){999})", any.clone(), None),
        ] {
            assert_eq!(matching(pattern, &characters).as_deref(), text, "{pattern}");
        }
    }
}
