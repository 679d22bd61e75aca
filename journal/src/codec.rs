//! Records and summaries in bytes: the only file that knows how `bincode` is called.
//!
//! A record is `[format u8][kind u16][at u64][chain 16 bytes][body]`, numbers little-endian, `body` the record's payload in
//! bincode's standard configuration. `chain` is a hash over the chain of the record before, the kind, the time and the
//! body, so that a changed, lost or moved record is found by whoever walks the run.

use bincode::{Decode, Encode, config};

use crate::error::{Damage, StoreError};
use crate::id::{Position, RunId};
use crate::key::Digest;
use crate::record::{Kind, Millis, Record, for_each_record};
use crate::state::Summary;
use crate::store::Row;

/// The newest format of records that this program reads, and the one it writes.
pub const FORMAT: u8 = 1;

/// The newest format of summaries that this program reads, and the one it writes.
pub const SUMMARY_FORMAT: u8 = 1;

/// A record's body is at most this long; long values and prompts are payloads, so a longer one is a mistake.
pub const BODY_BYTES_MAX: usize = 64 << 20;

const KIND_OFFSET: usize = 1;
const AT_OFFSET: usize = KIND_OFFSET + size_of::<u16>();
const CHAIN_OFFSET: usize = AT_OFFSET + size_of::<u64>();
const BODY_OFFSET: usize = CHAIN_OFFSET + size_of::<Digest>();

/// A record in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place in its run.
    pub position: Position,
    /// When it was written.
    pub at: Millis,
    /// The hash over it and all before it.
    pub chain: Digest,
    /// What happened.
    pub record: Record,
}

/// A record that is too long to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record {} of {bytes} bytes; a journal takes at most {BODY_BYTES_MAX}", kind.name())]
pub struct RecordTooLong {
    /// The record's kind.
    pub kind: Kind,
    /// The length of its body.
    pub bytes: usize,
}

/// Turns a run's records into bytes, each at the next position and chained to the one before.
#[derive(Clone, Debug)]
pub struct Sealer {
    run: RunId,
    next: Position,
    head: Digest,
    /// Kept between records, so that a row costs one allocation of its exact length.
    scratch: Vec<u8>,
}

impl Sealer {
    /// For a new run, from its first record on.
    #[must_use]
    pub fn new(run: RunId) -> Self {
        Self::resume(run, Position(0), origin(run))
    }

    /// For a run that has records: `next` and `head` as its fold says
    /// ([`RunState::next`](crate::state::RunState::next), [`RunState::head`](crate::state::RunState::head)).
    #[must_use]
    pub fn resume(run: RunId, next: Position, head: Digest) -> Self {
        Self {
            run,
            next,
            head,
            scratch: Vec::with_capacity(512),
        }
    }

    /// The run.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Where the next record will stand.
    pub fn next(&self) -> Position {
        self.next
    }

    /// The hash over all records so far.
    pub fn head(&self) -> Digest {
        self.head
    }

    /// The record's row; afterwards [`Sealer::head`] is its chain.
    ///
    /// # Errors
    /// [`RecordTooLong`]; nothing has changed then.
    pub fn seal(&mut self, at: Millis, record: &Record) -> Result<Row, RecordTooLong> {
        let kind = record.kind();
        let bytes = &mut self.scratch;
        bytes.clear();
        bytes.push(FORMAT);
        bytes.extend_from_slice(&(kind as u16).to_le_bytes());
        bytes.extend_from_slice(&at.to_le_bytes());
        bytes.extend_from_slice(&[0; size_of::<Digest>()]);
        for_each_record!(encode record, encode_into, bytes);
        let body = bytes.get(BODY_OFFSET..).unwrap_or_default();
        if body.len() > BODY_BYTES_MAX {
            let bytes = body.len();
            self.scratch = Vec::new();
            return Err(RecordTooLong { kind, bytes });
        }
        let chain = chain(self.head, kind as u16, at, body);
        bytes[CHAIN_OFFSET..BODY_OFFSET].copy_from_slice(&chain.0);
        let row = Row {
            position: self.next,
            bytes: bytes.clone(),
        };
        self.next = self.next.next();
        self.head = chain;
        Ok(row)
    }

    /// As [`Sealer::seal`], and the record in its place for the fold.
    ///
    /// # Errors
    /// [`RecordTooLong`]; nothing has changed then.
    pub fn append(&mut self, at: Millis, record: Record) -> Result<(Row, Entry), RecordTooLong> {
        let row = self.seal(at, &record)?;
        let entry = Entry {
            position: row.position,
            at,
            chain: self.head,
            record,
        };
        Ok((row, entry))
    }
}

/// The hash before a run's first record.
#[must_use]
pub fn origin(run: RunId) -> Digest {
    Digest::of("run", &[&run.to_u64().to_le_bytes()])
}

fn chain(previous: Digest, kind: u16, at: Millis, body: &[u8]) -> Digest {
    Digest::of(
        "chain",
        &[&previous.0, &kind.to_le_bytes(), &at.to_le_bytes(), body],
    )
}

/// The record that stands at `position` of `run`. It is not checked against its chain: [`verify`] does that.
///
/// # Errors
/// [`StoreError::Format`] and [`StoreError::UnknownKind`] for what a newer program wrote, else [`StoreError::Damage`].
pub fn decode(run: RunId, position: Position, bytes: &[u8]) -> Result<Entry, StoreError> {
    let damage = |what: &str| Damage::new(format!("record {position} of {run}: {what}"));
    let envelope = Envelope::split(bytes).ok_or_else(|| damage("cut off"))?;
    if envelope.format != FORMAT {
        return Err(wrong_format(envelope.format, FORMAT, || {
            damage("no format 0")
        }));
    }
    let kind = Kind::from_number(envelope.kind).ok_or(StoreError::UnknownKind {
        run,
        position,
        kind: envelope.kind,
    })?;
    let record = for_each_record!(decode kind, decode_whole, envelope.body)
        .map_err(|what| damage(&format!("{}: {what}", kind.name())))?;
    Ok(Entry {
        position,
        at: envelope.at,
        chain: envelope.chain,
        record,
    })
}

/// The kind of a record, without decoding it; `None` when the bytes are none of ours.
#[must_use]
pub fn peek_kind(bytes: &[u8]) -> Option<Kind> {
    let envelope = Envelope::split(bytes)?;
    if envelope.format == FORMAT {
        Kind::from_number(envelope.kind)
    } else {
        None
    }
}

/// Checks a record against the hash of the one before it ([`origin`] for the first) and gives its own.
///
/// # Errors
/// [`Damage`] when the record, its place or anything before it was changed.
pub fn verify(previous: Digest, bytes: &[u8]) -> Result<Digest, Damage> {
    let envelope = Envelope::split(bytes).ok_or_else(|| Damage::new("a record is cut off"))?;
    let expected = chain(previous, envelope.kind, envelope.at, envelope.body);
    if envelope.format == FORMAT && expected == envelope.chain {
        Ok(expected)
    } else {
        Err(Damage::new("a record is not the one that was written"))
    }
}

/// A summary in bytes.
#[must_use]
pub fn encode_summary(summary: &Summary) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(192);
    bytes.push(SUMMARY_FORMAT);
    encode_into(summary, &mut bytes);
    bytes
}

/// The summary of `run` from its bytes.
///
/// # Errors
/// [`StoreError::Format`] for what a newer program wrote, else [`StoreError::Damage`].
pub fn decode_summary(run: RunId, bytes: &[u8]) -> Result<Summary, StoreError> {
    let damage = |what: &str| Damage::new(format!("summary of {run}: {what}"));
    let (&format, body) = bytes.split_first().ok_or_else(|| damage("empty"))?;
    if format != SUMMARY_FORMAT {
        return Err(wrong_format(format, SUMMARY_FORMAT, || {
            damage("no format 0")
        }));
    }
    decode_whole(body).map_err(|what| damage(&what).into())
}

fn wrong_format(found: u8, known: u8, zero: impl FnOnce() -> Damage) -> StoreError {
    if found == 0 {
        return zero().into();
    }
    StoreError::Format {
        found: found.into(),
        known: known.into(),
    }
}

struct Envelope<'bytes> {
    format: u8,
    kind: u16,
    at: Millis,
    chain: Digest,
    body: &'bytes [u8],
}

impl<'bytes> Envelope<'bytes> {
    fn split(bytes: &'bytes [u8]) -> Option<Self> {
        let (&[format], rest) = bytes.split_first_chunk()?;
        let (&kind, rest) = rest.split_first_chunk()?;
        let (&at, rest) = rest.split_first_chunk()?;
        let (&chain, body) = rest.split_first_chunk()?;
        Some(Self {
            format,
            kind: u16::from_le_bytes(kind),
            at: u64::from_le_bytes(at),
            chain: Digest(chain),
            body,
        })
    }
}

fn encode_into<T: Encode>(value: &T, out: &mut Vec<u8>) {
    // Our types have no failing `Encode` (no locks, no paths, no system time), and a Vec takes every write.
    let written = bincode::encode_into_std_write(value, out, config::standard());
    debug_assert!(written.is_ok(), "{written:?}");
}

/// Decodes all of `body`. What a length inside it may claim is bounded by the length of the body: a value in memory
/// is at most some ten times its bytes, so sixteen times refuses nothing of ours, and garbage cannot make us allocate
/// without end.
fn decode_whole<T: Decode<()>>(body: &[u8]) -> Result<T, String> {
    const KIB: usize = 1 << 10;
    const MIB: usize = 1 << 20;
    let decoded = if body.len() <= KIB {
        decode_within::<T, { 16 * KIB }>(body)
    } else if body.len() <= MIB {
        decode_within::<T, { 16 * MIB }>(body)
    } else if body.len() <= BODY_BYTES_MAX {
        decode_within::<T, { 16 * BODY_BYTES_MAX }>(body)
    } else {
        return Err(format!("{} bytes long", body.len()));
    };
    let (value, read) = decoded.map_err(|error| error.to_string())?;
    match body.len() - read {
        0 => Ok(value),
        more => Err(format!("{more} bytes too long")),
    }
}

fn decode_within<T: Decode<()>, const LIMIT: usize>(
    body: &[u8],
) -> Result<(T, usize), bincode::error::DecodeError> {
    bincode::decode_from_slice(body, config::standard().with_limit::<LIMIT>())
}
