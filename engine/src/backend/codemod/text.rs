//! What a file's text has around its code: a byte order mark, line ends; and lines and columns in it.

use std::borrow::Cow;
use std::ops::Range;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// How a file is laid out, apart from its code: taken off before a rewriting and put back behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    mark: bool,
    carriage_returns: bool,
}

impl Layout {
    /// The layout of `source`, and its code with plain line ends. A file that mixes line ends is left as it is.
    pub(super) fn unpack(source: &str) -> (Self, Cow<'_, str>) {
        let code = source.strip_prefix(BYTE_ORDER_MARK);
        let layout = Self {
            mark: code.is_some(),
            carriage_returns: has_only_carriage_returns(source),
        };
        let code = code.unwrap_or(source);
        let code = if layout.carriage_returns {
            Cow::Owned(code.replace("\r\n", "\n"))
        } else {
            Cow::Borrowed(code)
        };
        (layout, code)
    }

    /// The code as the file has it.
    pub(super) fn pack(self, code: &str) -> String {
        let mut source = String::with_capacity(code.len() + 3);
        if self.mark {
            source.push(BYTE_ORDER_MARK);
        }
        if self.carriage_returns {
            source.push_str(&code.replace('\n', "\r\n"));
        } else {
            source.push_str(code);
        }
        source
    }
}

fn has_only_carriage_returns(source: &str) -> bool {
    let bytes = source.as_bytes();
    let mut ends = source.match_indices('\n').map(|(at, _)| at).peekable();
    ends.peek().is_some() && ends.all(|at| at > 0 && bytes[at - 1] == b'\r')
}

/// Where the lines of a text begin.
pub(super) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(ends).collect(),
        }
    }

    /// Line and column of a byte, both from 1; the column in characters.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|&start| start <= offset);
        let start = self.starts[line.saturating_sub(1)];
        let column = self
            .text
            .get(start..offset)
            .map_or(0, |before| before.chars().count());
        (line, column + 1)
    }
}

/// A text that takes the place of a range of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Splice {
    pub(super) range: Range<usize>,
    pub(super) text: String,
}

impl Splice {
    pub(super) fn insertion(offset: usize, text: impl Into<String>) -> Self {
        Self {
            range: offset..offset,
            text: text.into(),
        }
    }
}

/// `text` with its `splices`, which are in order and do not overlap.
pub(super) fn spliced(text: &str, splices: &[Splice]) -> String {
    let grown: usize = splices.iter().map(|splice| splice.text.len()).sum();
    let mut result = String::with_capacity(text.len() + grown);
    let mut done = 0;
    for Splice { range, text: new } in splices {
        result.push_str(&text[done..range.start]);
        result.push_str(new);
        done = range.end;
    }
    result.push_str(&text[done..]);
    result
}

/// The way back from places in a text to those in the text before its splices.
pub(super) struct Trail(Vec<(Range<usize>, usize)>);

impl Trail {
    pub(super) fn of(splices: &[Splice]) -> Self {
        let spans = splices
            .iter()
            .map(|splice| (splice.range.clone(), splice.text.len()));
        Self(spans.collect())
    }

    /// Where `offset` was; what was not there yet stands where the text that it replaced began.
    pub(super) fn back(&self, offset: usize) -> usize {
        let (mut old, mut new) = (0, 0);
        for (range, length) in &self.0 {
            let start = new + (range.start - old);
            if offset < start {
                break;
            }
            if offset < start + length {
                return range.start;
            }
            (old, new) = (range.end, start + length);
        }
        old + (offset - new)
    }
}

/// The text without any whitespace: the same for the same code on other lines and at another depth.
pub(super) fn without_whitespace(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Where `wanted` stands in `text`, if whitespace does not count in either.
pub(super) fn find_ignoring_whitespace(text: &str, wanted: &str) -> Option<Range<usize>> {
    let wanted = without_whitespace(wanted);
    let solid = |letter: &(usize, char)| !letter.1.is_whitespace();
    let letters: Vec<(usize, char)> = text.char_indices().filter(solid).collect();
    let joined: String = letters.iter().map(|(_, letter)| letter).collect();
    let at = joined.find(&wanted).filter(|_| !wanted.is_empty())?;
    let first = joined[..at].chars().count();
    let last = first + wanted.chars().count() - 1;
    let (&(start, _), &(end, letter)) = (letters.get(first)?, letters.get(last)?);
    Some(start..end + letter.len_utf8())
}

/// The text, or as much of it as `bytes` hold and how much is left out.
pub(super) fn cut(text: &str, bytes: usize) -> Cow<'_, str> {
    if text.len() <= bytes {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(bytes);
    Cow::Owned(format!(
        "{} … ({} more bytes)",
        &text[..end],
        text.len() - end
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_is_put_back_as_it_was() {
        for (source, code) in [
            ("a\nb\n", "a\nb\n"),
            ("a\r\nb", "a\nb"),
            ("\u{feff}a\r\n", "a\n"),
            ("\u{feff}a", "a"),
            ("a\r\nb\n", "a\r\nb\n"),
            ("a\r\r\n", "a\r\n"),
            ("\n", "\n"),
            ("\r\n", "\n"),
            ("", ""),
        ] {
            let (layout, unpacked) = Layout::unpack(source);
            assert_eq!(unpacked, code, "{source:?}");
            assert_eq!(layout.pack(&unpacked), source);
        }
    }

    #[test]
    fn lines_and_columns_count_from_one_and_in_characters() {
        let lines = Lines::of("a\nµb\n");
        let at = |offset| lines.position(offset);
        assert_eq!(
            [at(0), at(2), at(4), at(6)],
            [(1, 1), (2, 1), (2, 2), (3, 1)]
        );
    }

    #[test]
    fn places_lead_back_through_splices() {
        let splices = [
            Splice {
                range: 2..4,
                text: "xyz".to_owned(),
            },
            Splice::insertion(5, "!"),
            Splice {
                range: 6..8,
                text: String::new(),
            },
        ];
        assert_eq!(spliced("0123456789", &splices), "01xyz4!589");
        let trail = Trail::of(&splices);
        let back: Vec<usize> = (0..11).map(|offset| trail.back(offset)).collect();
        assert_eq!(back, [0, 1, 2, 2, 2, 4, 5, 5, 8, 9, 10]);
    }

    #[test]
    fn a_text_is_found_however_it_is_laid_out() {
        let find = |text, wanted| find_ignoring_whitespace(text, wanted);
        assert_eq!(find("aµ (\n b )c", "( b)"), Some(4..10));
        assert_eq!(find("a b", "ab"), Some(0..3));
        assert_eq!((find("a", " "), find("a", "b")), (None, None));
    }

    #[test]
    fn a_cut_says_how_much_is_left_out() {
        assert_eq!(cut("aµb", 4), "aµb");
        assert_eq!(cut("aµbc", 2), "a … (4 more bytes)");
    }
}
