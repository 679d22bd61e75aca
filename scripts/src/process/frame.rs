//! Frames: `[length u32 little-endian][body]`, the body in bincode's standard configuration.

use std::io::{self, Read};
use std::sync::Arc;

use bellwether_journal::key::Digest;
use bellwether_journal::record::Millis;
use bincode::{Decode, Encode, config};

use crate::command::Turn;
use crate::limits::Limits;

/// Changes with every change of a frame's form.
pub(super) const VERSION: u32 = 1;
/// No frame is longer. A script's heap is smaller by far, so that a longer one is a mistake or worse.
pub(super) const BYTES_MAX: usize = 1 << 30;
pub(super) const HEADER_BYTES: usize = size_of::<u32>();
/// So much is read at once: a length that is a lie costs no more memory than this.
const READ_BYTES: usize = 1 << 20;

/// A VM within its process, counted from 0.
pub(super) type Number = u32;

/// What the engine asks. It sends settlements that it borrows, `S` being a slice; they come as a vector.
#[derive(Debug, PartialEq, Encode, Decode)]
pub(super) enum Request<S> {
    /// Make a VM and begin its script.
    Start(Number, Box<Beginning>),
    /// Give the script these settlements.
    Deliver(Number, S),
    /// On which thread is it at work, and in which turn?
    Where(Number),
    /// Nobody wants the rest of the turn under way.
    Abandon(Number),
    /// It is not needed any more.
    Drop(Number),
}

/// What a VM starts from: [`Start`](crate::Start) with all that it borrows.
#[derive(Debug, PartialEq, Encode, Decode)]
pub(super) struct Beginning {
    pub(super) source: Arc<str>,
    pub(super) file_name: Arc<str>,
    pub(super) args: Option<Arc<str>>,
    pub(super) limits: Limits,
    pub(super) seed: [u8; 32],
    pub(super) time: Millis,
    pub(super) budget_total: Option<u64>,
}

/// What the child answers.
#[derive(Debug, PartialEq, Encode, Decode)]
pub(super) enum Reply {
    /// The first frame: the form of the others, and [`Vm::identity`](crate::Vm::identity).
    Hello(u32, Digest),
    /// Turns, in their order; with `true` those that end a request.
    Turns(Number, Vec<Turn>, bool),
    /// The VM is at work on this thread, and on the turn of this number; no thread when it rests.
    At(Number, Option<u32>, u64),
    /// The VM is gone: the interpreter's own code panicked, or what it was to start is no script.
    Failed(Number, String),
}

/// A frame in bytes.
///
/// # Errors
/// When it would be longer than [`BYTES_MAX`].
pub(super) fn encode<T: Encode>(frame: &T) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; HEADER_BYTES];
    let body = bincode::encode_into_std_write(frame, &mut bytes, config::standard())
        .map_err(io::Error::other)?;
    if body > BYTES_MAX {
        return Err(io::Error::other(format!(
            "a message of {body} bytes; between engine and VM at most {BYTES_MAX} go at once"
        )));
    }
    for (place, byte) in bytes.iter_mut().zip((body as u32).to_le_bytes()) {
        *place = byte;
    }
    Ok(bytes)
}

/// A frame from its body.
///
/// # Errors
/// When the bytes are no such frame, or more than it.
pub(super) fn decode<T: Decode<()>>(body: &[u8]) -> io::Result<T> {
    // The limit bounds what a length within the body makes the decoder allocate.
    let limited = config::standard().with_limit::<BYTES_MAX>();
    let (frame, used) = bincode::decode_from_slice(body, limited)
        .map_err(|error| io::Error::other(format!("a message that is none: {error}")))?;
    if used == body.len() {
        Ok(frame)
    } else {
        Err(io::Error::other("a message with more behind it"))
    }
}

/// Takes frames out of bytes as they come.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    bytes: Vec<u8>,
    /// Of `bytes`, those that were taken.
    taken: usize,
}

impl Decoder {
    /// The next frame's body, if it is whole.
    ///
    /// # Errors
    /// When it says that it is longer than [`BYTES_MAX`].
    pub(super) fn next<T: Decode<()>>(&mut self) -> io::Result<Option<T>> {
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        let Some((header, rest)) = rest.split_first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*header) as usize;
        if length > BYTES_MAX {
            return Err(io::Error::other(format!(
                "a message that says it has {length} bytes"
            )));
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let frame = decode(body)?;
        self.taken += HEADER_BYTES + length;
        if self.taken == self.bytes.len() {
            // What was long once need not stay long.
            self.bytes.clear();
            self.bytes.shrink_to(READ_BYTES);
            self.taken = 0;
        }
        Ok(Some(frame))
    }

    /// Reads once, what is there; `false` at the end.
    pub(super) fn read(&mut self, mut from: impl Read) -> io::Result<bool> {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        let length = self.bytes.len();
        let wanted = self.bytes.split_first_chunk().map_or(0, |(header, rest)| {
            (u32::from_le_bytes(*header) as usize).saturating_sub(rest.len())
        });
        self.bytes
            .resize(length + wanted.clamp(64 << 10, READ_BYTES), 0);
        let read = loop {
            match from.read(self.bytes.get_mut(length..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.bytes
            .truncate(length + read.as_ref().copied().unwrap_or(0));
        read.map(|bytes| bytes > 0)
    }
}
