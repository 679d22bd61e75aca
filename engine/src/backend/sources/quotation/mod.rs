//! Whether a quotation stands in a text.
//!
//! It has to stand there word for word, from the beginning of a word to the end of one. What [`folded`] leaves out does not
//! count, nor whether its first letter is a capital, nor quotation marks around the whole. An ellipsis stands for what was
//! left out: the parts on its sides follow each other in order, and not far apart.

mod folded;
mod nearest;

use std::ops::Range;

use serde::Serialize;
use unicode_segmentation::UnicodeSegmentation as _;

pub(super) use self::folded::Folded;

/// The fewest words that prove anything.
const WORDS_MIN: usize = 3;
/// And the fewest characters.
const CHARACTERS_MIN: usize = 12;
/// The fewest words on each side of an ellipsis: with single words, any text would say anything.
const PART_WORDS_MIN: usize = 2;
/// How many parts ellipses may make of a quotation. Each is looked for in the whole text.
const PARTS_MAX: usize = 12;
/// How much an ellipsis may leave out, in bytes of folded text: about a long paragraph.
const GAP_BYTES_MAX: usize = 1_000;
/// How many places are looked at for one part. Only texts without any sense have more.
const PLACES_MAX: usize = 10_000;

/// A stretch of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Passage {
    /// The line in which it begins, from 1.
    pub first: usize,
    /// The line in which it ends.
    pub last: usize,
    /// It, as it stands there.
    pub text: String,
}

/// Where a quotation stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The passage, with what an ellipsis left out.
    pub passage: Passage,
    /// Its place in the text, in bytes.
    pub bytes: Range<usize>,
}

/// Why a quotation is not found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotFound {
    /// It proves nothing wherever it stands.
    #[error(transparent)]
    TooShort(#[from] TooShort),
    /// It does not stand in the text.
    #[error("the text does not have it word for word")]
    Absent {
        /// What comes nearest to it, in whole lines; `None` where nothing comes near.
        nearest: Option<Passage>,
    },
}

/// In which way a quotation is too short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TooShort {
    /// It has no words.
    #[error("the quotation is empty")]
    Empty,
    /// It has too few.
    #[error(
        "the quotation proves nothing: it needs {WORDS_MIN} words and {CHARACTERS_MIN} characters"
    )]
    Whole,
    /// It has too few beside an ellipsis, or too many ellipses.
    #[error(
        "the quotation proves nothing: it needs {PART_WORDS_MIN} words on each side of an ellipsis, and {PARTS_MAX} parts at most"
    )]
    Part,
}

/// Looks for `quotation` in `text`.
///
/// # Errors
/// [`NotFound`], with the nearest passage where there is one.
pub fn find(quotation: &str, text: &str) -> Result<Found, NotFound> {
    find_in(quotation, &Folded::new(text))
}

/// Looks for a quotation in a text that is folded already.
pub(super) fn find_in(quotation: &str, text: &Folded<'_>) -> Result<Found, NotFound> {
    let folded = Folded::new(quotation);
    let wanted = unquoted(folded.text());
    let parts = parts(wanted);
    let word_count = parts.iter().map(|part| words(part)).sum::<usize>();
    let character_count = parts.iter().map(|part| part.chars().count()).sum::<usize>();
    if word_count == 0 {
        return Err(TooShort::Empty.into());
    }
    if word_count < WORDS_MIN || character_count < CHARACTERS_MIN {
        return Err(TooShort::Whole.into());
    }
    // As it is first: the source may have dots of its own.
    let mut place = in_order(&[wanted], text);
    if place.is_none() && parts != [wanted] {
        if parts.len() > PARTS_MAX || parts.iter().any(|part| words(part) < PART_WORDS_MIN) {
            return Err(TooShort::Part.into());
        }
        place = in_order(&parts, text);
    }
    match place {
        Some(place) => {
            let bytes = text.origin(place);
            let passage = passage(text, &bytes);
            Ok(Found { passage, bytes })
        }
        None => Err(NotFound::Absent {
            nearest: nearest::nearest(&parts.join(" "), text).map(|place| passage(text, &place)),
        }),
    }
}

fn passage(text: &Folded<'_>, bytes: &Range<usize>) -> Passage {
    let (first, last) = text.lines(bytes);
    let text = text.source()[bytes.clone()].to_owned();
    Passage { first, last, text }
}

fn words(text: &str) -> usize {
    text.unicode_words()
        .flat_map(|word| word.split('_'))
        .count()
}

/// Without the quotation marks around the whole.
fn unquoted(folded: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|mark| folded.strip_prefix(mark)?.strip_suffix(mark))
        .unwrap_or(folded)
        .trim()
}

/// What stands between ellipses, `...`, `. . .` or either in brackets; none of it empty.
fn parts(folded: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut begin, mut from) = (0, 0);
    while let Some(at) = folded[from..].find('.').map(|at| from + at) {
        let (dots, end) = dots(folded, at);
        from = end;
        if dots < 3 {
            continue;
        }
        let (before, after) = (folded[begin..at].trim_end(), folded[end..].trim_start());
        let bracketed = ["[]", "()"].into_iter().find_map(|pair| {
            let (open, close) = pair.split_at(1);
            Some((before.strip_suffix(open)?, after.strip_prefix(close)?))
        });
        let (before, after) = bracketed.unwrap_or((before, after));
        parts.push(before.trim());
        begin = folded.len() - after.len();
        from = begin;
    }
    parts.push(folded[begin..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

/// How many dots follow each other from `at` on, a space between two of them at most, and where they end.
fn dots(folded: &str, at: usize) -> (usize, usize) {
    let (mut dots, mut end) = (0, at);
    let mut rest = &folded[at..];
    while let Some(behind) = rest.strip_prefix('.') {
        dots += 1;
        end = folded.len() - behind.len();
        rest = behind.strip_prefix(' ').unwrap_or(behind);
    }
    (dots, end)
}

/// Where in the folded text the parts stand one behind the other: the first such place.
fn in_order(parts: &[&str], text: &Folded<'_>) -> Option<Range<usize>> {
    let (first, rest) = parts.split_first()?;
    let mut reached = places(first, true, text);
    for part in rest {
        let next = places(part, false, text);
        reached = next
            .into_iter()
            .filter_map(|place| {
                // Of what ends before it, the last comes nearest.
                let before = reached.partition_point(|reached| reached.end <= place.start);
                let from = reached[..before].last()?;
                (place.start - from.end <= GAP_BYTES_MAX).then_some(from.start..place.end)
            })
            .collect();
    }
    reached.into_iter().next()
}

/// Where a part stands in the folded text without cutting a word, in order.
fn places(part: &str, any_first_letter: bool, text: &Folded<'_>) -> Vec<Range<usize>> {
    let mut places = places_of(part, text);
    if any_first_letter && let Some(other) = with_other_first_letter(part) {
        places.extend(places_of(&other, text));
        places.sort_by_key(|place| (place.end, place.start));
    }
    places
}

fn places_of(part: &str, text: &Folded<'_>) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    let step = part.chars().next().map_or(1, char::len_utf8);
    let mut from = 0;
    for _ in 0..PLACES_MAX {
        let Some(at) = text.text()[from..].find(part).map(|at| from + at) else {
            break;
        };
        let place = at..at + part.len();
        if !text.is_in_word(place.start) && !text.is_in_word(place.end) {
            places.push(place);
        }
        // Two places may overlap, and the first may cut a word where the second does not.
        from = at + step;
    }
    places
}

/// The part with its first letter as a capital, or as none; `None` where it has no such letter, or another before it.
fn with_other_first_letter(part: &str) -> Option<String> {
    let (at, letter) = part
        .char_indices()
        .find(|(_, letter)| letter.is_alphanumeric())?;
    let mut other = part[..at].to_owned();
    if letter.is_lowercase() {
        other.extend(letter.to_uppercase());
    } else if letter.is_uppercase() {
        other.extend(letter.to_lowercase());
    } else {
        return None;
    }
    other.push_str(&part[at + letter.len_utf8()..]);
    Some(other)
}
