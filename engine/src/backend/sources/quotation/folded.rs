//! A text as quotations are compared, and the way back to where it stands.
//!
//! Folding leaves words and their order as they are. White space of any kind and length is one space; typographic quotation
//! marks, dashes and ellipses are the plain ones; white space around a dash, soft hyphens, letters of no width, marks of
//! Markdown emphasis and of block quotes are left out; letters with accents are composed (NFC).

use std::ops::Range;

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};
use unicode_segmentation::UnicodeSegmentation as _;

/// How far around a place its word is looked at, in characters.
const WORD_CHARACTERS_MAX: usize = 64;

/// The marks of Markdown emphasis, and of code.
const EMPHASIS: [char; 3] = ['*', '_', '`'];

/// A folded text.
#[derive(Debug)]
pub(crate) struct Folded<'t> {
    source: &'t str,
    text: String,
    /// In order, and without gaps in the folded text.
    pieces: Vec<Piece>,
    /// Where lines begin, but for the first.
    line_starts: Vec<usize>,
}

/// A stretch of folded text and where it comes from.
#[derive(Debug)]
struct Piece {
    /// Where it begins in the folded text.
    at: usize,
    from: Range<usize>,
    /// It is the same there, byte for byte.
    is_copy: bool,
}

impl<'t> Folded<'t> {
    pub(crate) fn new(source: &'t str) -> Self {
        let mut folding = Folding {
            source,
            text: String::with_capacity(source.len()),
            pieces: Vec::new(),
            space: None,
            emphasis: 0..0,
            line_begins: true,
        };
        if is_nfc_quick(source.chars()) == IsNormalized::Yes {
            for (at, letter) in source.char_indices() {
                folding.push(at..at + letter.len_utf8(), letter);
            }
        } else {
            // What composes to one letter is one cluster.
            for (at, cluster) in source.grapheme_indices(true) {
                for letter in cluster.nfc() {
                    folding.push(at..at + cluster.len(), letter);
                }
            }
        }
        Self {
            source,
            text: folding.text,
            pieces: folding.pieces,
            line_starts: source.match_indices('\n').map(|(at, _)| at + 1).collect(),
        }
    }

    /// The folded text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The text as it was.
    pub(super) fn source(&self) -> &'t str {
        self.source
    }

    /// Where a stretch of the folded text stands in the source, without white space around it, but with the marks of
    /// emphasis that its first and last word have.
    pub(super) fn origin(&self, folded: Range<usize>) -> Range<usize> {
        if folded.is_empty() {
            return 0..0;
        }
        let index = self.piece_index(folded.start);
        let first = &self.pieces[index];
        let start = if first.is_copy {
            first.from.start + (folded.start - first.at)
        } else {
            first.from.start
        };
        // Behind the piece before, there is nothing but what was left out.
        let before = match index.checked_sub(1) {
            _ if folded.start > first.at => start,
            Some(before) => self.pieces[before].from.end.min(start),
            None => 0,
        };
        let start = before + self.source[before..start].trim_end_matches(EMPHASIS).len();

        let index = self.piece_index(folded.end - 1);
        let last = &self.pieces[index];
        let end = if last.is_copy {
            last.from.start + (folded.end - last.at)
        } else {
            last.from.end
        };
        let after = match self.pieces.get(index + 1) {
            _ if end < last.from.end => end,
            Some(after) => after.from.start.max(end),
            None => self.source.len(),
        };
        let left_out = &self.source[end..after];
        let end = after - left_out.trim_start_matches(EMPHASIS).len();

        let stretch = &self.source[start..end];
        let start = end - stretch.trim_start().len();
        start..start + self.source[start..end].trim_end().len()
    }

    /// The lines of the source, from 1, in which a stretch of it begins and ends.
    pub(super) fn lines(&self, origin: &Range<usize>) -> (usize, usize) {
        let line = |at: usize| 1 + self.line_starts.partition_point(|start| *start <= at);
        let last = origin.end.saturating_sub(1).max(origin.start);
        (line(origin.start), line(last))
    }

    /// The whole lines of the source around a stretch of it.
    pub(super) fn whole_lines(&self, origin: &Range<usize>) -> Range<usize> {
        let start = self.source[..origin.start]
            .rfind('\n')
            .map_or(0, |at| at + 1);
        let rest = &self.source[origin.end..];
        start..origin.end + rest.find('\n').unwrap_or(rest.len())
    }

    /// Whether a word goes over this place of the folded text: who begins or ends there has cut it.
    ///
    /// A word is what Unicode calls so, and what hyphens join: `can't`, `1,000`, `non-durable`, `-5`.
    pub(super) fn is_in_word(&self, at: usize) -> bool {
        let (before, after) = self.text.split_at(at);
        let around = before.chars().rev().zip(before.char_indices().rev());
        let start = around
            .take(WORD_CHARACTERS_MAX)
            .take_while(|(letter, _)| !letter.is_whitespace())
            .last()
            .map_or(at, |(_, (start, _))| start);
        let length: usize = after
            .chars()
            .take(WORD_CHARACTERS_MAX)
            .take_while(|letter| !letter.is_whitespace())
            .map(char::len_utf8)
            .sum();
        let mut words = self.text[start..at + length].unicode_word_indices();
        if words.any(|(word, letters)| start + word < at && at < start + word + letters.len()) {
            return true;
        }
        let joins = |mark: usize| {
            let before = self.text[..mark].chars().next_back();
            let after = self.text[mark + 1..].chars().next();
            let is_word = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
            let is_number = after.is_some_and(|letter| letter.is_ascii_digit());
            if self.text.as_bytes()[mark] == b'.' {
                return is_number;
            }
            let as_is = &self.source[self.piece(mark).from.clone()];
            // A dash with white space behind it, or a longer one, stands between words.
            match as_is.trim_start() {
                "-" | "\u{2010}" | "\u{2011}" => {
                    let is_close = !as_is.starts_with(char::is_whitespace);
                    is_number || (is_close && is_word(before) && is_word(after))
                }
                "\u{2013}" | "\u{2212}" => is_number,
                _ => false,
            }
        };
        (before.ends_with(['-', '.']) && joins(at - 1)) || (after.starts_with('-') && joins(at))
    }

    fn piece(&self, at: usize) -> &Piece {
        &self.pieces[self.piece_index(at)]
    }

    /// The piece in which a place of the folded text lies; the first where there is none.
    fn piece_index(&self, at: usize) -> usize {
        let behind = self.pieces.partition_point(|piece| piece.at <= at);
        behind.saturating_sub(1)
    }
}

/// A text that is being folded.
struct Folding<'t> {
    source: &'t str,
    text: String,
    pieces: Vec<Piece>,
    /// White space that was read and not written yet.
    space: Option<Range<usize>>,
    /// The run of emphasis that is being left out.
    emphasis: Range<usize>,
    /// Nothing but white space and marks of block quotes was read since the last line end.
    line_begins: bool,
}

impl Folding<'_> {
    fn push(&mut self, from: Range<usize>, letter: char) {
        if letter.is_whitespace() {
            self.line_begins |= letter == '\n';
            let space = self.space.get_or_insert(from.clone());
            space.end = from.end;
            return;
        }
        if has_no_width(letter) || (letter == '>' && self.line_begins) {
            return;
        }
        if EMPHASIS.contains(&letter) && self.is_emphasis(&from, letter) {
            return;
        }
        self.line_begins = false;
        if is_dash(letter) {
            return self.dash(from);
        }
        if let Some(space) = self.space.take() {
            match self.pieces.last_mut() {
                Some(piece) if self.text.ends_with('-') => piece.from.end = space.end,
                Some(_) => self.write(space, " "),
                None => {}
            }
        }
        match plain(letter) {
            Some(plain) => self.write(from, plain),
            None => self.write(from, letter.encode_utf8(&mut [0; 4])),
        }
    }

    /// Dashes in a row are one, with the white space around it.
    fn dash(&mut self, mut from: Range<usize>) {
        if let Some(space) = self.space.take() {
            from.start = space.start;
        }
        match self.pieces.last_mut() {
            Some(piece) if self.text.ends_with('-') => piece.from.end = from.end,
            _ => {
                let at = self.text.len();
                self.text.push('-');
                self.pieces.push(Piece {
                    at,
                    from,
                    is_copy: false,
                });
            }
        }
    }

    /// Whether a mark belongs to a run that emphasises: one with a letter on one side and none on the other. `a*b`,
    /// `a * b` and `snake_case` are none.
    fn is_emphasis(&mut self, from: &Range<usize>, mark: char) -> bool {
        if self.emphasis.contains(&from.start) {
            return true;
        }
        let (before, rest) = self.source.split_at(from.start);
        let before = before.chars().next_back().unwrap_or(' ');
        // Of a run that stays, each mark stays.
        if before == mark {
            return false;
        }
        let end = self.source.len() - rest.trim_start_matches(mark).len();
        let after = self.source[end..].chars().next().unwrap_or(' ');
        let is_inside = before.is_alphanumeric() && after.is_alphanumeric();
        let is_alone = before.is_whitespace() && after.is_whitespace();
        if is_inside || is_alone {
            return false;
        }
        self.emphasis = from.start..end;
        true
    }

    fn write(&mut self, from: Range<usize>, folded: &str) {
        let at = self.text.len();
        self.text.push_str(folded);
        let is_copy = &self.source[from.clone()] == folded;
        match self.pieces.last_mut() {
            Some(piece) if is_copy && piece.is_copy && piece.from.end == from.start => {
                piece.from.end = from.end;
            }
            _ => self.pieces.push(Piece { at, from, is_copy }),
        }
    }
}

/// Soft hyphens, joiners, marks of direction and of byte order.
fn has_no_width(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}'
    )
}

fn is_dash(letter: char) -> bool {
    matches!(
        letter,
        '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}'
    )
}

/// What a typographic character is typed as.
fn plain(letter: char) -> Option<&'static str> {
    match letter {
        '“' | '”' | '„' | '‟' | '«' | '»' | '″' | '＂' => Some("\""),
        '‘' | '’' | '‚' | '‛' | '‹' | '›' | '′' | 'ʼ' | '＇' => Some("'"),
        '…' => Some("..."),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_count_is_folded_away() {
        for (source, expected) in [
            ("  one\r\n\t two\u{a0}three \n", "one two three"),
            ("“a” ‘b’ «c» it’s", "\"a\" 'b' \"c\" it's"),
            ("a — b, a--b, a –\n b", "a-b, a-b, a-b"),
            ("wait… [...]", "wait... [...]"),
            ("un\u{ad}usual zero\u{200b}width", "unusual zerowidth"),
            (
                "**bold**, _slanted_ and ***both***",
                "bold, slanted and both",
            ),
            ("**_x_** (`code`) \"*a*\"", "x (code) \"a\""),
            (
                "a*b, 2 * 3, snake_case, un*usual*",
                "a*b, 2 * 3, snake_case, un*usual",
            ),
            (
                "> said\n> > once > twice\n  > more",
                "said once > twice more",
            ),
            ("cafe\u{301} \u{1112}\u{1161}\u{11ab}", "café 한"),
            ("\u{feff}# Head", "# Head"),
            ("", ""),
        ] {
            assert_eq!(Folded::new(source).text(), expected, "{source:?}");
        }
    }

    #[test]
    fn a_folded_stretch_leads_back_to_where_it_stands() {
        let source = "One\n  **two** —\nthe cafe\u{301}’s\r\n> end…\n";
        let folded = Folded::new(source);
        assert_eq!(folded.text(), "One two-the café's end...");
        for (stretch, expected, lines) in [
            ("One", "One", (1, 1)),
            ("One two", "One\n  **two**", (1, 2)),
            ("two-the", "**two** —\nthe", (2, 3)),
            ("café's", "cafe\u{301}’s", (3, 3)),
            ("'s end...", "’s\r\n> end…", (3, 4)),
        ] {
            let (before, _) = folded
                .text()
                .split_once(stretch)
                .unwrap_or_else(|| panic!("{stretch}"));
            let origin = folded.origin(before.len()..before.len() + stretch.len());
            assert_eq!(&source[origin.clone()], expected);
            assert_eq!(folded.lines(&origin), lines, "{stretch}");
        }
        assert_eq!(
            folded.whole_lines(&(6..9)),
            4..source.find("\nthe").unwrap_or_default()
        );
    }

    #[test]
    fn a_word_is_whole() {
        for (source, at, expected) in [
            ("unable to", "able", true),
            ("you can't", "'t", true),
            ("at least 1,000", ",000", true),
            ("a non-durable one", "durable", true),
            ("it is -5 degrees", "5", true),
            ("it is .5 percent", "5", true),
            ("pages 5–10", "10", true),
            ("this — durable", "durable", false),
            ("this—durable", "durable", false),
            ("one - durable", "durable", false),
            ("the end. After", "After", false),
            ("(whole) words", "whole", false),
            ("日本語の文章", "本語", false),
        ] {
            let folded = Folded::new(source);
            let at = folded.text().find(at).unwrap_or_else(|| panic!("{at}"));
            assert_eq!(folded.is_in_word(at), expected, "{source}");
        }
    }
}
