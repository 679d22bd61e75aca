//! Money as people and programs see it.

use std::fmt;

use bellwether_actors::run::budget::dollars;
use bellwether_journal::usage::Counted;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Money in millionths of a dollar. In JSON a number of dollars, for people dollars and cents, rounded up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(pub u64);

impl Money {
    /// What this cost, where a price is known.
    #[must_use]
    pub fn of(counted: &Counted) -> Option<Self> {
        counted.cost.map(Self)
    }

    /// Both; what is not known adds nothing to what is.
    #[must_use]
    pub fn sum(one: Option<Self>, two: Option<Self>) -> Option<Self> {
        let both = one.zip(two);
        both.map(|(one, two)| Self(one.0.saturating_add(two.0)))
            .or(one)
            .or(two)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&dollars(self.0))
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / 1e6)
    }
}

impl<'de> Deserialize<'de> for Money {
    #[expect(clippy::cast_sign_loss, reason = "negative is cut to 0")]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let dollars = f64::deserialize(deserializer)?;
        Ok(Self((dollars * 1e6).round().max(0.0) as u64))
    }
}
