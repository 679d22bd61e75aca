//! Changes fields of a JSON text and leaves every other byte of it as it is.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// An object within a text: where it can be added to, and where the values of the wanted fields stand.
#[derive(Debug)]
pub(super) struct Object {
    /// Just after the opening brace.
    open: usize,
    is_empty: bool,
    fields: Vec<(&'static str, Range<usize>)>,
}

/// A change to a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    at: Range<usize>,
    text: String,
}

impl Object {
    /// Reads the object that `text[within]` is. A wanted field that stands there twice is an error, since the
    /// provider might go by the one that is not looked at.
    pub(super) fn read(
        text: &str,
        within: Range<usize>,
        wanted: &'static [&'static str],
    ) -> Result<Self, serde_json::Error> {
        let start = within.start;
        let inner = &text[within];
        let mut deserializer = serde_json::Deserializer::from_str(inner);
        let mut object = deserializer.deserialize_map(Reader { text, wanted })?;
        deserializer.end()?;
        object.open = start + inner.find('{').map_or(0, |brace| brace + 1);
        Ok(object)
    }

    /// Where a wanted field's value stands.
    pub(super) fn field(&self, name: &str) -> Option<Range<usize>> {
        self.fields
            .iter()
            .find(|(field, _)| *field == name)
            .map(|(_, at)| at.clone())
    }

    /// Sets a field, in place or as the object's first.
    pub(super) fn set(&self, name: &str, value: &str) -> Edit {
        if let Some(at) = self.field(name) {
            return Edit {
                at,
                text: value.to_owned(),
            };
        }
        let comma = if self.is_empty { "" } else { "," };
        Edit {
            at: self.open..self.open,
            text: format!("\"{name}\":{value}{comma}"),
        }
    }
}

/// Carries edits out that do not overlap.
pub(super) fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| edit.at.start);
    let added: usize = edits.iter().map(|edit| edit.text.len()).sum();
    let mut changed = String::with_capacity(text.len() + added);
    let mut done = 0;
    for edit in edits {
        changed.push_str(&text[done..edit.at.start]);
        changed.push_str(&edit.text);
        done = edit.at.end;
    }
    changed.push_str(&text[done..]);
    changed
}

struct Reader<'a> {
    text: &'a str,
    wanted: &'static [&'static str],
}

impl<'a> Visitor<'a> for Reader<'a> {
    type Value = Object;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut object = Object {
            open: 0,
            is_empty: true,
            fields: Vec::new(),
        };
        while let Some(key) = map.next_key_seed(Key(self.wanted))? {
            object.is_empty = false;
            let Some(name) = key else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if object.field(name).is_some() {
                let message = format!("{name:?} stands there twice");
                return Err(serde::de::Error::custom(message));
            }
            let value: &'a RawValue = map.next_value()?;
            // The value is a part of the text, so the distance of their beginnings is its place.
            let start = value.get().as_ptr().addr() - self.text.as_ptr().addr();
            object.fields.push((name, start..start + value.get().len()));
        }
        Ok(object)
    }
}

/// A key as one of the wanted names; however it is escaped, it is compared as what it means.
struct Key(&'static [&'static str]);

impl<'a> serde::de::DeserializeSeed<'a> for Key {
    type Value = Option<&'static str>;

    fn deserialize<D: serde::Deserializer<'a>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<&'static str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().copied().find(|wanted| *wanted == key))
    }
}
