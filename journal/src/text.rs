//! Values as the JSON text that came, and prompts as they were written: never a decoded tree (A08).

use std::cell::RefCell;
use std::sync::Arc;

use bincode::{Decode, Encode};
use zstd::bulk::{Compressor, Decompressor};

use crate::error::Damage;
use crate::key::Digest;

/// A text longer than this, in bytes, leaves its record for the store's payloads. Below it a look-up of its own would
/// cost more than the bytes in the record do.
pub const INLINE_BYTES_MAX: usize = 2048;

/// zstd's fastest ordinary level: the disk is saved, not the last per cent.
const COMPRESSION_LEVEL: i32 = 1;

thread_local! {
    // Making these takes several times as long as using them for a text of 10 KB.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> =
        RefCell::new(Compressor::new(COMPRESSION_LEVEL).ok());
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> =
        RefCell::new(Decompressor::new().ok());
}

/// A text in a record: itself when short, else where it is.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Text {
    /// The text itself.
    Inline(Arc<str>),
    /// In the store's payloads, under the position of the record that holds this reference.
    Payload(Reference),
    /// In the store's blobs, under its hash: shared by all that say the same (scripts, arguments, schemas).
    Shared(Reference),
}

/// Which text lies elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Reference {
    /// [`hash`] of the text.
    pub hash: Digest,
    /// Its length in bytes, uncompressed.
    pub bytes: u64,
}

impl Text {
    /// Length of the text in bytes, wherever it lies.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Inline(text) => text.len() as u64,
            Self::Payload(reference) | Self::Shared(reference) => reference.bytes,
        }
    }
}

/// The hash by which a text is referred to.
#[must_use]
pub fn hash(text: &str) -> Digest {
    Digest::of("text", &[text.as_bytes()])
}

/// A text made ready for the journal, away from the writer: hashed and compressed when it is long.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The whole text.
    pub text: Arc<str>,
    /// What the record holds.
    pub stored: Text,
    /// zstd bytes for the store, when `stored` is a reference.
    pub compressed: Option<Arc<[u8]>>,
}

/// Makes a value or prompt ready: up to [`INLINE_BYTES_MAX`] inline, else compressed as the record's payload.
#[must_use]
pub fn pack(text: Arc<str>) -> Packed {
    pack_as(text, Text::Payload)
}

/// Makes a text ready that many records or runs share; it lies in the store once.
#[must_use]
pub fn pack_shared(text: Arc<str>) -> Packed {
    pack_as(text, Text::Shared)
}

fn pack_as(text: Arc<str>, place: fn(Reference) -> Text) -> Packed {
    if text.len() <= INLINE_BYTES_MAX {
        return Packed {
            stored: Text::Inline(Arc::clone(&text)),
            text,
            compressed: None,
        };
    }
    let reference = Reference {
        hash: hash(&text),
        bytes: text.len() as u64,
    };
    // Compressing into memory at a valid level cannot fail; if it ever does, the text stays in its record.
    let compressed =
        COMPRESSOR.with_borrow_mut(|zstd| zstd.as_mut()?.compress(text.as_bytes()).ok());
    match compressed {
        Some(bytes) => Packed {
            stored: place(reference),
            text,
            compressed: Some(Arc::from(bytes)),
        },
        None => Packed {
            stored: Text::Inline(Arc::clone(&text)),
            text,
            compressed: None,
        },
    }
}

/// The text behind `reference`, from the bytes that the store holds for it.
///
/// # Errors
/// [`Damage`] when the bytes are no zstd, are no UTF-8, or are another text than the one referred to.
pub fn unpack(reference: &Reference, compressed: &[u8]) -> Result<Arc<str>, Damage> {
    let damage = |what: &str| Damage::new(format!("payload {}: {what}", reference.hash));
    let capacity = usize::try_from(reference.bytes).map_err(|_| damage("impossible length"))?;
    // A damaged length must not make us allocate what it says.
    let claimed = zstd::zstd_safe::get_frame_content_size(compressed);
    if !matches!(claimed, Ok(Some(bytes)) if bytes == reference.bytes) {
        return Err(damage("another length than the record says"));
    }
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(capacity)
        .map_err(|_| damage("impossible length"))?;
    DECOMPRESSOR
        .with_borrow_mut(|zstd| {
            zstd.as_mut()?
                .decompress_to_buffer(compressed, &mut bytes)
                .ok()
        })
        .ok_or_else(|| damage("no zstd"))?;
    let text = String::from_utf8(bytes).map_err(|_| damage("no UTF-8"))?;
    if hash(&text) != reference.hash {
        return Err(damage("another text than the record names"));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_survive_and_short_ones_stay() {
        let short: Arc<str> = "x".repeat(INLINE_BYTES_MAX).into();
        assert_eq!(pack(Arc::clone(&short)).stored, Text::Inline(short));
        let long: Arc<str> = "prose ".repeat(2000).into();
        let packed = pack(Arc::clone(&long));
        let (Text::Payload(reference), Some(bytes)) = (packed.stored, packed.compressed) else {
            panic!("a long text is a payload");
        };
        assert_eq!(unpack(&reference, &bytes), Ok(long));
        assert!(unpack(&reference, b"garbage").is_err());
        let other = Reference {
            hash: Digest::default(),
            ..reference
        };
        assert!(unpack(&other, &bytes).is_err());
        for length in [0, 1 << 40, u64::MAX] {
            let other = Reference {
                bytes: length,
                ..reference
            };
            assert!(unpack(&other, &bytes).is_err(), "{length}");
        }
    }
}
