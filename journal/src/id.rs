//! The names of things in a journal. Each is a type of its own, so that a call's number is never taken for an attempt's.

use std::fmt;
use std::str::FromStr;

use bincode::{Decode, Encode};

/// Crockford's base 32 in lower case: no `i`, `l`, `o`, `u`, so that an id read aloud is typed right.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const RUN_PREFIX: &str = "r-";
const RUN_DIGITS: usize = 8;

/// The name of a run: 40 bits, written `r-` and eight characters of Crockford's base 32 in lower case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct RunId(u64);

impl RunId {
    /// A run's name from 40 random bits; where the bits come from is the caller's affair.
    #[must_use]
    pub const fn from_entropy(bytes: [u8; 5]) -> Self {
        let mut number = 0;
        let mut index = 0;
        while index < bytes.len() {
            number = number << 8 | bytes[index] as u64;
            index += 1;
        }
        Self(number)
    }

    /// The number as it stands in a store's keys, below 2^40.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// The run's name from a store's key; `None` when the number has more than 40 bits.
    #[must_use]
    pub const fn from_u64(number: u64) -> Option<Self> {
        if number >> 40 == 0 {
            Some(Self(number))
        } else {
            None
        }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits: String = (0..RUN_DIGITS)
            .rev()
            .map(|digit| char::from(ALPHABET[(self.0 >> (digit * 5)) as usize & 31]))
            .collect();
        write!(formatter, "{RUN_PREFIX}{digits}")
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A text that is no run id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no run id: it is `r-` and eight of 0-9 a-z without i, l, o, u (as in `r-7k2m9q4d`)"
)]
pub struct InvalidRunId(String);

impl FromStr for RunId {
    type Err = InvalidRunId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidRunId(text.to_owned());
        let digits = text.strip_prefix(RUN_PREFIX).ok_or_else(invalid)?;
        if digits.len() != RUN_DIGITS {
            return Err(invalid());
        }
        digits
            .bytes()
            .try_fold(0_u64, |number, byte| {
                let digit = ALPHABET.iter().position(|&letter| letter == byte)?;
                Some(number << 5 | digit as u64)
            })
            .map(Self)
            .ok_or_else(invalid)
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Clone,
            Copy,
            Debug,
            Default,
            PartialEq,
            Eq,
            PartialOrd,
            Ord,
            Hash,
            Encode,
            Decode,
            serde::Serialize,
            serde::Deserialize,
        )]
        pub struct $name(pub $inner);

        impl $name {
            /// The number after this one.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }
    };
}

number!(
    /// A call's number within its generation, in the order in which the script issued them, from 0.
    /// People see it as `a-<number>`.
    CallNumber(u32)
);
number!(
    /// Which attempt of a call: the first is 1.
    Attempt(u32)
);
number!(
    /// Which generation of a run (`docs/replay.md`): the first is 1.
    Generation(u32)
);
number!(
    /// A record's place in its run, dense from 0.
    Position(u64)
);
number!(
    /// How often the journal was opened for writing; the first opening is 1. Part of every fencing token.
    Epoch(u64)
);
number!(
    /// A timer's number within its generation, in the order in which the script armed them, from 0.
    TimerNumber(u32)
);

/// What tells one attempt from all others, for ever: what an old attempt still sends after it was replaced carries
/// another token and is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FencingToken {
    /// The opening of the journal in which the attempt was started.
    pub epoch: Epoch,
    /// The run.
    pub run: RunId,
    /// The run's generation.
    pub generation: Generation,
    /// The call.
    pub call: CallNumber,
    /// The attempt.
    pub attempt: Attempt,
}

impl fmt::Display for FencingToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            epoch,
            run,
            generation,
            call,
            attempt,
        } = self;
        write!(formatter, "{epoch}.{run}.{generation}.{call}.{attempt}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_id_survives_its_text() {
        for bytes in [[0; 5], [255; 5], [1, 2, 3, 4, 5]] {
            let id = RunId::from_entropy(bytes);
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(RunId::from_u64(id.to_u64()), Some(id));
        }
    }

    #[test]
    fn run_id_refuses_other_texts() {
        for text in [
            "",
            "r-",
            "r-1234567",
            "r-123456789",
            "r-1234567u",
            "x-12345678",
            "r-1234567é",
        ] {
            assert!(text.parse::<RunId>().is_err(), "{text}");
        }
        assert_eq!(RunId::from_u64(1 << 40), None);
    }
}
