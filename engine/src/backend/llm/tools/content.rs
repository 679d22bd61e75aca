//! What a file's bytes are, and its text with line numbers.

use std::fmt::Write as _;
use std::io::Read as _;

use encoding_rs::Encoding;

use super::refusal::Refusal;
use super::workplace::Place;

/// The largest file that is opened as a whole, in bytes: to be read, edited or written over. Two hundred agents may
/// do so at once.
pub(super) const FILE_BYTES_MAX: u64 = 16 << 20;
/// How far into a file is looked for what no text has.
const SNIFFED_BYTES: usize = 8 << 10;
/// The longest line that is shown whole, in characters.
pub(super) const LINE_CHARACTERS_MAX: usize = 2_000;

/// All bytes of the file there.
pub(super) fn bytes_at(place: &Place<'_>, remedy: &'static str) -> Result<Vec<u8>, Refusal> {
    let file = place.open()?;
    let failed = |error| place.failed(error);
    let size = file.metadata().map_err(failed)?.len();
    let too_large = |size| Refusal::TooLarge {
        path: place.shown(),
        size,
        max: FILE_BYTES_MAX,
        remedy,
    };
    if size > FILE_BYTES_MAX {
        return Err(too_large(size));
    }
    // It may be growing.
    let mut bytes = Vec::new();
    let mut bounded = file.take(FILE_BYTES_MAX + 1);
    bounded.read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 {
        size if size > FILE_BYTES_MAX => Err(too_large(size)),
        _ => Ok(bytes),
    }
}

/// What bytes are, as far as it can be told from them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Text; with the name of its encoding where that is not UTF-8, and then it cannot be edited without loss.
    Text {
        text: String,
        foreign: Option<&'static str>,
    },
    /// Not text: what it is instead.
    Other(&'static str),
}

impl Content {
    pub(super) fn of(bytes: &[u8]) -> Self {
        if let Some(kind) = magic(bytes) {
            return Self::Other(kind);
        }
        if let Some((encoding, mark)) = Encoding::for_bom(bytes)
            && encoding != encoding_rs::UTF_8
        {
            let (text, _) = encoding.decode_without_bom_handling(&bytes[mark..]);
            return Self::Text {
                text: text.into_owned(),
                foreign: Some(encoding.name()),
            };
        }
        if bytes.iter().take(SNIFFED_BYTES).any(|byte| *byte == 0) {
            return Self::Other("a binary file");
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text {
                text: text.to_owned(),
                foreign: None,
            },
            Err(_) => Self::Text {
                text: String::from_utf8_lossy(bytes).into_owned(),
                foreign: Some("an encoding that is not UTF-8"),
            },
        }
    }
}

/// What begins with these bytes.
fn magic(bytes: &[u8]) -> Option<&'static str> {
    let kind = match bytes {
        [0x89, b'P', b'N', b'G', ..] => "a PNG image",
        [0xff, 0xd8, 0xff, ..] => "a JPEG image",
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => "a GIF image",
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => "a WebP image",
        [b'%', b'P', b'D', b'F', b'-', ..] => "a PDF document",
        [0x7f, b'E', b'L', b'F', ..] => "a program",
        [b'P', b'K', 3, 4, ..] => "a ZIP archive",
        [0x1f, 0x8b, ..] => "compressed by gzip",
        _ => return None,
    };
    Some(kind)
}

/// The byte order mark of UTF-8, as text.
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

/// A part of a text, its lines numbered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// `     7\tthe line`, for each.
    pub(super) numbered: String,
    /// The last line in it; lines count from 1.
    pub(super) last: usize,
    /// All lines of the text.
    pub(super) total: usize,
}

/// The lines of `text` from `first` on, at most `lines`, and at most `bytes` of what comes out.
pub(super) fn excerpt(text: &str, first: usize, lines: usize, bytes: usize) -> Excerpt {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut excerpt = Excerpt {
        numbered: String::new(),
        last: first.saturating_sub(1),
        total: 0,
    };
    let mut is_full = false;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        excerpt.total = number;
        if number < first || number - first >= lines || is_full {
            continue;
        }
        let before = excerpt.numbered.len();
        push_numbered(&mut excerpt.numbered, number, line);
        if excerpt.numbered.len() > bytes && before > 0 {
            excerpt.numbered.truncate(before);
            is_full = true;
            continue;
        }
        excerpt.last = number;
    }
    excerpt
}

fn push_numbered(out: &mut String, number: usize, line: &str) {
    // Writing to a text cannot fail.
    let _ = write!(out, "{number:>6}\t");
    push_shortened(out, line, LINE_CHARACTERS_MAX);
    out.push('\n');
}

/// Adds `line`, or its beginning and how much is left out.
pub(super) fn push_shortened(out: &mut String, line: &str, characters: usize) {
    match line.char_indices().nth(characters) {
        None => out.push_str(line),
        Some((end, _)) => {
            let left_out = line[end..].chars().count();
            let _ = write!(out, "{} [… {left_out} more characters]", &line[..end]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_apart() {
        let text = |text: &str, foreign| Content::Text {
            text: text.to_owned(),
            foreign,
        };
        assert_eq!(Content::of(b"plain\n"), text("plain\n", None));
        assert_eq!(Content::of(b""), text("", None));
        assert_eq!(
            Content::of(b"\xef\xbb\xbfmarked"),
            text("\u{feff}marked", None)
        );
        assert_eq!(Content::of(b"\xff\xfeh\0i\0"), text("hi", Some("UTF-16LE")));
        let latin = Some("an encoding that is not UTF-8");
        assert_eq!(Content::of(b"caf\xe9"), text("caf\u{fffd}", latin));
        assert_eq!(Content::of(b"a\0b"), Content::Other("a binary file"));
        assert_eq!(
            Content::of(b"\x89PNG\r\n\x1a\n"),
            Content::Other("a PNG image")
        );
    }

    #[test]
    fn an_excerpt_ends_at_its_lines_or_bytes_and_counts_all() {
        let text = "one\r\ntwo\nthree\nfour";
        let two = excerpt(text, 2, 2, 1_000);
        assert_eq!(two.numbered, "     2\ttwo\n     3\tthree\n");
        assert_eq!((two.last, two.total), (3, 4));
        let short = excerpt(text, 1, 100, 25);
        assert_eq!(short.numbered, "     1\tone\n     2\ttwo\n");
        assert_eq!((short.last, short.total), (2, 4));
        // The first line is shown whatever it takes.
        assert_eq!(excerpt(text, 1, 100, 1).last, 1);
        assert_eq!(excerpt(text, 9, 1, 100).numbered, "");
        let long = "x".repeat(LINE_CHARACTERS_MAX + 7);
        let cut = excerpt(&long, 1, 1, 10_000).numbered;
        assert!(cut.ends_with("x [… 7 more characters]\n"), "{cut}");
    }
}
