//! Content, context, key, version: the four hashes by which a call is known again (`docs/replay.md`).
//!
//! Every hash is the first 16 bytes of BLAKE3 over length-prefixed parts behind a domain name, so that no two kinds of
//! hash can ever be taken for one another.

use std::fmt;

use bincode::{Decode, Encode};

use crate::id::{Attempt, Generation, RunId};

/// A 16-byte hash.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// The hash of `parts` in the domain `domain`.
    #[must_use]
    pub fn of(domain: &str, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in std::iter::once(domain.as_bytes()).chain(parts.iter().copied()) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut digest = [0; 16];
        hasher.finalize_xof().fill(&mut digest);
        Self(digest)
    }

    /// 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        use fmt::Write as _;
        self.0
            .iter()
            .fold(String::with_capacity(32), |mut text, byte| {
                // Writing to a String cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            })
    }

    /// The digest that [`Digest::to_hex`] wrote; `None` for any other text.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 32 || !bytes.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let mut digest = [0; 16];
        for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(digest))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_hex())
    }
}

/// What the code that runs now has waited for.
pub type Context = Digest;

/// The context of a script's first line.
#[must_use]
pub fn root() -> Context {
    Digest::of("root", &[])
}

/// The context behind an `await`: what was known before, mixed with what came.
#[must_use]
pub fn mix(before: Context, came: Context) -> Context {
    Digest::of("mix", &[&before.0, &came.0])
}

/// The context behind a barrier: those of its lanes, in input order.
#[must_use]
pub fn join(lanes: &[Context]) -> Context {
    let parts: Vec<&[u8]> = lanes.iter().map(|lane| lane.0.as_slice()).collect();
    Digest::of("join", &parts)
}

/// The context behind a race: only the winner counts, at `index` in the input.
#[must_use]
pub fn race(before: Context, index: u32, winner: Context) -> Context {
    Digest::of("race", &[&before.0, &index.to_le_bytes(), &winner.0])
}

/// The context in which the `occurrence`-th call of the workflow `name` starts.
#[must_use]
pub fn nested(caller: Context, name: &str, occurrence: u32) -> Context {
    Digest::of(
        "workflow",
        &[&caller.0, name.as_bytes(), &occurrence.to_le_bytes()],
    )
}

/// What a call asks for: its kind, its prompt (or its own `key`) and the options that change the result (R02), the
/// latter as canonical JSON text.
#[must_use]
pub fn content(kind: &str, prompt_or_key: &str, options: &str) -> Digest {
    Digest::of(
        "content",
        &[
            kind.as_bytes(),
            prompt_or_key.as_bytes(),
            options.as_bytes(),
        ],
    )
}

/// What a call is known by in a rewind; `occurrence` counts the earlier calls of the generation with the same content
/// and context.
#[must_use]
pub fn key(content: Digest, context: Context, occurrence: u32) -> Digest {
    Digest::of("key", &[&content.0, &context.0, &occurrence.to_le_bytes()])
}

/// The version of a completed call that ran in this generation: whatever waited for it depends on this very attempt.
#[must_use]
pub fn version(key: Digest, run: RunId, generation: Generation, attempt: Attempt) -> Digest {
    Digest::of(
        "version",
        &[
            &key.0,
            &run.to_u64().to_le_bytes(),
            &generation.0.to_le_bytes(),
            &attempt.0.to_le_bytes(),
        ],
    )
}

/// The version of a call that failed: failing twice is the same answer.
#[must_use]
pub fn failed_version(key: Digest) -> Digest {
    Digest::of("version", &[&key.0, b"failed"])
}

/// The idempotency key of a call's task (R01): the same for all attempts of a call in a generation.
#[must_use]
pub fn idempotency(run: RunId, generation: Generation, key: Digest) -> Digest {
    Digest::of(
        "idempotency",
        &[
            &run.to_u64().to_le_bytes(),
            &generation.0.to_le_bytes(),
            &key.0,
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cannot_run_into_one_another() {
        assert_ne!(
            Digest::of("x", &[b"ab", b"c"]),
            Digest::of("x", &[b"a", b"bc"])
        );
        assert_ne!(Digest::of("x", &[]), Digest::of("x", &[b""]));
        assert_ne!(mix(root(), root()), join(&[root(), root()]));
    }

    #[test]
    fn hex_survives() {
        let digest = content("agent", "fix a", "{}");
        assert_eq!(Digest::from_hex(&digest.to_hex()), Some(digest));
        assert_eq!(Digest::from_hex("é"), None);
        assert_eq!(Digest::from_hex(&"+1".repeat(16)), None);
    }
}
