//! Server-sent events as they pass, in their own bytes.
//!
//! The parsers of the field give an event's fields and drop its bytes. Here an event that is not to be passed on is
//! taken out of bytes that otherwise pass unchanged, so its ends in them must be known.

use std::borrow::Cow;

use bytes::Bytes;
use memchr::{memchr2, memchr2_iter};

/// The largest event that is read, in bytes: `response.completed` repeats a whole answer. What is larger passes unread.
pub(super) const EVENT_BYTES_MAX: usize = 10 * 1024 * 1024;

/// Splits bytes into events, wherever the chunks end.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    /// The event that has not ended, while it is not too large.
    pending: Vec<u8>,
    /// The event that has not ended is too large: its bytes have been given away.
    is_too_large: bool,
    /// Nothing stands on the line so far.
    is_line_empty: bool,
    /// The last byte was a carriage return: a line feed now belongs to it.
    is_after_return: bool,
}

/// A piece of the stream. All pieces together are the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A whole event with the empty line at its end.
    Event(Bytes),
    /// A part of an event that is too large.
    Unread(Bytes),
}

impl Splitter {
    pub(super) fn new() -> Self {
        Self {
            is_line_empty: true,
            ..Self::default()
        }
    }

    /// Takes a chunk and gives the pieces that have become whole.
    pub(super) fn push(&mut self, chunk: &Bytes, mut piece: impl FnMut(Piece)) {
        let mut start = 0;
        let mut line = 0;
        for at in memchr2_iter(b'\n', b'\r', chunk) {
            let is_empty = line == at && self.is_line_empty;
            let is_second = chunk[at] == b'\n' && is_empty && self.is_after_return;
            self.is_after_return = chunk[at] == b'\r';
            line = at + 1;
            if is_second {
                // The line feed of a line end that has been seen already.
                continue;
            }
            self.is_line_empty = true;
            if is_empty {
                self.end(chunk.slice(start..line), &mut piece);
                start = line;
            }
        }
        if line < chunk.len() {
            self.is_line_empty = false;
            self.is_after_return = false;
        }
        let rest = chunk.slice(start..);
        if rest.is_empty() {
            return;
        }
        if self.is_too_large {
            piece(Piece::Unread(rest));
        } else if self.pending.len() + rest.len() > EVENT_BYTES_MAX {
            self.is_too_large = true;
            let pending = std::mem::take(&mut self.pending);
            piece(Piece::Unread(pending.into()));
            piece(Piece::Unread(rest));
        } else {
            self.pending.extend_from_slice(&rest);
        }
    }

    fn end(&mut self, last: Bytes, piece: &mut impl FnMut(Piece)) {
        if self.is_too_large {
            self.is_too_large = false;
            piece(Piece::Unread(last));
        } else if self.pending.is_empty() {
            // Most events come whole, and are never copied.
            piece(Piece::Event(last));
        } else {
            let mut event = std::mem::take(&mut self.pending);
            event.extend_from_slice(&last);
            piece(Piece::Event(event.into()));
        }
    }

    /// What is left where the stream has ended without an empty line.
    pub(super) fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.pending).into()
    }
}

/// The data of an event; none where it is a comment or has none.
pub(super) fn data(event: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut data: Option<Cow<'_, [u8]>> = None;
    let mut rest = event.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(event);
    while !rest.is_empty() {
        let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        let value = match line.strip_prefix(b"data") {
            Some([]) => &[][..],
            Some([b':', b' ', value @ ..] | [b':', value @ ..]) => value,
            _ => continue,
        };
        data = Some(match data {
            None => Cow::Borrowed(value),
            Some(lines) => {
                let mut lines = lines.into_owned();
                lines.push(b'\n');
                lines.extend_from_slice(value);
                Cow::Owned(lines)
            }
        });
    }
    data
}
