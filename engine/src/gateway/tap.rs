//! Reads an answer as it passes, and takes out of it what only the gateway has asked for. Pure.

use bytes::{Bytes, BytesMut};

use super::count::{Count, EventKind};
use super::events::{self, EVENT_BYTES_MAX, Piece, Splitter};
use super::meter::{CallFailure, CallFailureKind, CallOutcome, Tokens};
use super::wire::Wire;

/// Reads one answer.
#[derive(Debug)]
pub(super) struct Tap {
    wire: Wire,
    count: Count,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// Server-sent events.
    Events {
        splitter: Splitter,
        /// The event that is nothing but usage is for the gateway alone.
        hides_usage: bool,
    },
    /// One JSON text. Its chunks are shared with whoever they are passed on to, not copied.
    Document { chunks: Vec<Bytes>, bytes: usize },
    /// Compressed, or too large.
    Unreadable,
}

/// What is known of an answer's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Events,
    Document,
    Compressed,
}

impl Tap {
    /// A tap for an answer that may have `limit` tokens of output.
    pub(super) fn new(wire: Wire, content: Content, limit: Option<u64>, hides_usage: bool) -> Self {
        let form = match content {
            Content::Events => Form::Events {
                splitter: Splitter::new(),
                hides_usage,
            },
            Content::Document => Form::Document {
                chunks: Vec::new(),
                bytes: 0,
            },
            Content::Compressed => Form::Unreadable,
        };
        Self {
            wire,
            count: Count::new(wire, limit),
            form,
        }
    }

    /// Takes a chunk and gives what of it, and of those held back before it, is to be passed on.
    pub(super) fn pass(&mut self, chunk: Bytes) -> Bytes {
        let count = &mut self.count;
        match &mut self.form {
            Form::Events {
                splitter,
                hides_usage: false,
            } => {
                splitter.push(&chunk, |piece| {
                    read(count, &piece);
                });
                chunk
            }
            Form::Events {
                splitter,
                hides_usage: true,
            } => {
                let mut kept = Kept::default();
                splitter.push(&chunk, |piece| {
                    if read(count, &piece) == EventKind::Other {
                        kept.add(piece);
                    }
                });
                kept.into_bytes()
            }
            Form::Document { chunks, bytes } => {
                *bytes += chunk.len();
                if *bytes > EVENT_BYTES_MAX {
                    count.unread(*bytes);
                    self.form = Form::Unreadable;
                } else {
                    chunks.push(chunk.clone());
                }
                chunk
            }
            Form::Unreadable => {
                count.unread(chunk.len());
                chunk
            }
        }
    }

    /// Takes the end of the answer and gives what had been held back.
    pub(super) fn end(&mut self) -> Bytes {
        match &mut self.form {
            Form::Events {
                splitter,
                hides_usage,
            } => {
                let rest = splitter.rest();
                // An event without an empty line after it is none, but servers have ended with one.
                if let Some(data) = events::data(&rest) {
                    self.count.event(&data);
                }
                if *hides_usage { rest } else { Bytes::new() }
            }
            Form::Document { chunks, .. } => {
                match chunks.as_slice() {
                    [whole] => self.count.document(whole),
                    _ => self.count.document(&chunks.concat()),
                }
                chunks.clear();
                Bytes::new()
            }
            Form::Unreadable => Bytes::new(),
        }
    }

    /// Whether an event has said that nothing follows that counts.
    pub(super) fn is_over(&self) -> bool {
        self.count.is_over()
    }

    /// What is counted of an answer that has not come to its end.
    pub(super) fn counted(&mut self) -> (Tokens, bool) {
        if let Form::Document { chunks, bytes } = &mut self.form {
            if *bytes > 0 {
                self.count.unread(*bytes);
            }
            chunks.clear();
            *bytes = 0;
        }
        self.count.tokens()
    }

    /// What became of an answer that has come to its end, or has said that it is over.
    pub(super) fn outcome(&self) -> CallOutcome {
        if let Some(failure) = self.count.failure() {
            return CallOutcome::Failed(failure.clone());
        }
        let is_stream = matches!(self.form, Form::Events { .. });
        let says_its_end = matches!(self.wire, Wire::Messages | Wire::Responses);
        let has_ended = self.count.is_over() || self.count.has_unread();
        if is_stream && says_its_end && !has_ended {
            return CallOutcome::Failed(CallFailure {
                status: Some(200),
                kind: CallFailureKind::Transport,
                message: "the stream ended without its last event".to_owned(),
                retry_after: None,
            });
        }
        CallOutcome::Answered
    }

    /// What became of an answer that was let go of: none where it was under way.
    pub(super) fn outcome_if_cut(&self) -> Option<CallOutcome> {
        // Agents close the connection as soon as they have what they want.
        let is_whole = self.count.failure().is_some() || self.count.tokens().1;
        is_whole.then(|| match self.count.failure() {
            Some(failure) => CallOutcome::Failed(failure.clone()),
            None => CallOutcome::Answered,
        })
    }
}

fn read(count: &mut Count, piece: &Piece) -> EventKind {
    match piece {
        Piece::Event(event) => match events::data(event) {
            Some(data) => count.event(&data),
            None => EventKind::Other,
        },
        Piece::Unread(bytes) => {
            count.unread(bytes.len());
            EventKind::Other
        }
    }
}

/// The pieces of a chunk that are passed on. One piece is passed on as it is.
#[derive(Default)]
struct Kept {
    first: Bytes,
    all: BytesMut,
}

impl Kept {
    fn add(&mut self, piece: Piece) {
        let (Piece::Event(bytes) | Piece::Unread(bytes)) = piece;
        if self.first.is_empty() && self.all.is_empty() {
            self.first = bytes;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.all.extend_from_slice(&bytes);
    }

    fn into_bytes(self) -> Bytes {
        if self.all.is_empty() {
            self.first
        } else {
            self.all.freeze()
        }
    }
}
