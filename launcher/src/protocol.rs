//! What engine and launcher say to each other on the control socket: a tag, a length, a body.
//!
//! Sans-IO, so that the engine reads it asynchronously and the launcher with nothing but `read`.

use std::time::Duration;

/// A message longer than this is no message of ours.
const BODY_BYTES_MAX: usize = 1 << 20;
const HEADER_BYTES: usize = 5;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It could not be killed or waited for.
    Unknown,
}

/// What a launcher tells its engine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// The launcher runs: what was started is one.
    Hello,
    /// The agent runs as this process.
    Started {
        /// The agent's process id.
        process: u32,
    },
    /// The agent could not be started. Nothing follows.
    StartFailed {
        /// The error's number in the operating system; 0 when there is none.
        errno: i32,
    },
    /// The agent has ended, and nothing that it started is left, but for `survivors`. Nothing follows.
    Ended {
        /// How the agent itself ended.
        exit: Exit,
        /// Descendants that may not be killed because they belong to another user.
        survivors: Vec<u32>,
        /// The end of what it wrote to stderr.
        stderr: Vec<u8>,
    },
}

/// What an engine tells a launcher. The end of the socket is an order too: kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// Ask the agent to end (`SIGTERM`), and kill what is left after the grace.
    Terminate {
        /// How long it may take.
        grace: Duration,
    },
    /// Kill at once.
    Kill,
}

/// Bytes that are no message: the other side is no launcher, or one of another version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what came from the launcher is no message (tag {tag}, {length} bytes)")]
pub struct ProtocolError {
    tag: u8,
    length: usize,
}

impl Message {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello => frame(b'H', &[]),
            Self::Started { process } => frame(b'S', &process.to_le_bytes()),
            Self::StartFailed { errno } => frame(b'F', &errno.to_le_bytes()),
            Self::Ended {
                exit,
                survivors,
                stderr,
            } => {
                let (kind, code) = match exit {
                    Exit::Code(code) => (0_u8, *code),
                    Exit::Signal(signal) => (1, *signal),
                    Exit::Unknown => (2, 0),
                };
                let mut body = vec![kind];
                body.extend(code.to_le_bytes());
                body.extend((survivors.len() as u32).to_le_bytes());
                for process in survivors {
                    body.extend(process.to_le_bytes());
                }
                body.extend(stderr);
                frame(b'E', &body)
            }
        }
    }

    fn decode(tag: u8, body: &[u8]) -> Option<Self> {
        let mut body = Body(body);
        let message = match tag {
            b'H' => Self::Hello,
            b'S' => Self::Started {
                process: u32::from_le_bytes(body.take()?),
            },
            b'F' => Self::StartFailed {
                errno: i32::from_le_bytes(body.take()?),
            },
            b'E' => {
                let [kind] = body.take()?;
                let code = i32::from_le_bytes(body.take()?);
                let exit = match kind {
                    0 => Exit::Code(code),
                    1 => Exit::Signal(code),
                    _ => Exit::Unknown,
                };
                let count = u32::from_le_bytes(body.take()?);
                let mut survivors = Vec::new();
                for _ in 0..count {
                    survivors.push(u32::from_le_bytes(body.take()?));
                }
                Self::Ended {
                    exit,
                    survivors,
                    stderr: std::mem::take(&mut body.0).to_vec(),
                }
            }
            _ => return None,
        };
        body.0.is_empty().then_some(message)
    }
}

impl Order {
    /// The bytes to write to the control socket.
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        match self {
            Self::Terminate { grace } => {
                let milliseconds = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
                frame(b'T', &milliseconds.to_le_bytes())
            }
            Self::Kill => frame(b'K', &[]),
        }
    }

    fn decode(tag: u8, body: &[u8]) -> Option<Self> {
        match tag {
            b'T' => {
                let milliseconds = u64::from_le_bytes(body.try_into().ok()?);
                Some(Self::Terminate {
                    grace: Duration::from_millis(milliseconds),
                })
            }
            b'K' if body.is_empty() => Some(Self::Kill),
            _ => None,
        }
    }
}

/// Makes messages of the bytes that come.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
}

impl Decoder {
    /// Takes what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message of the launcher, if it is there.
    ///
    /// # Errors
    /// [`ProtocolError`] when the bytes are none; what follows cannot be read then.
    pub fn next_message(&mut self) -> Result<Option<Message>, ProtocolError> {
        self.next(Message::decode)
    }

    /// The next whole order of the engine, if it is there.
    pub(crate) fn next_order(&mut self) -> Result<Option<Order>, ProtocolError> {
        self.next(Order::decode)
    }

    fn next<T>(
        &mut self,
        decode: impl FnOnce(u8, &[u8]) -> Option<T>,
    ) -> Result<Option<T>, ProtocolError> {
        let Some((&[tag, a, b, c, d], rest)) = self.bytes.split_first_chunk::<HEADER_BYTES>()
        else {
            return Ok(None);
        };
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let error = ProtocolError { tag, length };
        if length > BODY_BYTES_MAX {
            return Err(error);
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let message = decode(tag, body).ok_or(error)?;
        self.bytes.drain(..HEADER_BYTES + length);
        Ok(Some(message))
    }
}

fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend((body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// What is still to be read of a body.
struct Body<'a>(&'a [u8]);

impl Body<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_in_pieces_of_any_size() {
        let messages = [
            Message::Hello,
            Message::Started { process: 77 },
            Message::StartFailed { errno: 2 },
            Message::Ended {
                exit: Exit::Code(-1),
                survivors: vec![5, 6],
                stderr: b"oh".to_vec(),
            },
            Message::Ended {
                exit: Exit::Signal(9),
                survivors: vec![],
                stderr: vec![],
            },
        ];
        let bytes: Vec<u8> = messages.iter().flat_map(Message::encode).collect();
        for size in 1..bytes.len() {
            let mut decoder = Decoder::default();
            let mut seen = Vec::new();
            for piece in bytes.chunks(size) {
                decoder.push(piece);
                while let Ok(Some(message)) = decoder.next_message() {
                    seen.push(message);
                }
            }
            assert_eq!(seen, messages);
        }
    }

    #[test]
    fn orders_survive_and_other_bytes_are_errors() {
        for order in [
            Order::Kill,
            Order::Terminate {
                grace: Duration::from_millis(1500),
            },
        ] {
            let mut decoder = Decoder::default();
            decoder.push(&order.encode());
            assert_eq!(decoder.next_order(), Ok(Some(order)));
        }
        for bytes in [
            b"{\"value\": 1}".as_slice(),
            b"Z\0\0\0\0",
            b"S\x01\0\0\0x",
            b"E\x05\0\0\0\0\0\0\0\0",
        ] {
            let mut decoder = Decoder::default();
            decoder.push(bytes);
            assert!(decoder.next_message().is_err(), "{bytes:?}");
        }
    }
}
