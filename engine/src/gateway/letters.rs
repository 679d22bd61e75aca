//! Counts a text's letters while it is read, without keeping it.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// As many letters stand in a value's texts. Keys do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Letters(pub(super) u64);

impl<'de> Deserialize<'de> for Letters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Counter)
    }
}

struct Counter;

impl<'de> Visitor<'de> for Counter {
    type Value = Letters;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Letters, E> {
        Ok(Letters(text.chars().count() as u64))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Letters, E> {
        Ok(Letters(1))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Letters, E> {
        Ok(Letters(1))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Letters, E> {
        Ok(Letters(1))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Letters, E> {
        Ok(Letters(1))
    }

    fn visit_unit<E>(self) -> Result<Letters, E> {
        Ok(Letters(0))
    }

    fn visit_none<E>(self) -> Result<Letters, E> {
        Ok(Letters(0))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Letters, A::Error> {
        let mut all = 0_u64;
        while let Some(Letters(letters)) = items.next_element()? {
            all = all.saturating_add(letters);
        }
        Ok(Letters(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Letters, A::Error> {
        let mut all = 0_u64;
        while let Some((IgnoredAny, Letters(letters))) = fields.next_entry()? {
            all = all.saturating_add(letters);
        }
        Ok(Letters(all))
    }
}
