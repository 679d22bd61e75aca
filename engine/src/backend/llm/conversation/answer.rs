//! What an agent's answer is to be, and how it is asked for (S03).

use serde_json::Value;

use super::endpoint::{Endpoint, NativeSchema, Wire};
use super::json::{Root, last_json};
use super::request::Shape;
use super::schema::{Constraint, constraint};

/// The answer's shape through a job: what the provider sees to, and what the model is told in words.
#[derive(Clone, Debug)]
pub(super) struct Wanted<'a> {
    schema: Option<&'a Value>,
    constraint: Option<Constraint>,
    native: NativeSchema,
    is_json_known: bool,
    root: Root,
}

impl<'a> Wanted<'a> {
    /// An answer that fits `schema`, or any text.
    pub(super) fn new(schema: Option<&'a Value>, endpoint: &Endpoint) -> Self {
        let native = endpoint.native_schema;
        let is_asked = native != NativeSchema::Never;
        Self {
            schema,
            constraint: schema
                .filter(|_| is_asked)
                .and_then(|schema| constraint(schema, endpoint.wire)),
            native,
            is_json_known: is_asked && endpoint.wire == Wire::Ollama,
            root: schema.map_or(Root::ANY, Root::of),
        }
    }

    pub(super) const fn schema(&self) -> Option<&'a Value> {
        self.schema
    }

    /// What the provider is asked to see to in a turn.
    pub(super) fn shape(&self, may_call: bool) -> Shape<'_> {
        if self.schema.is_none() || (may_call && self.native != NativeSchema::Always) {
            return Shape::Free;
        }
        match &self.constraint {
            Some(constraint) => Shape::Schema(&constraint.schema),
            // What is asked for as JSON is always an object.
            None if self.is_json_known && self.root.is_object() => Shape::Json,
            None => Shape::Free,
        }
    }

    /// The schema, where the model has to be told of it in words: a provider that sees to all of it from the first turn on
    /// has told it already.
    pub(super) fn in_words(&self, may_call: bool) -> Option<&'a Value> {
        let sees_to_all = matches!(self.shape(may_call), Shape::Schema(_))
            && self
                .constraint
                .as_ref()
                .is_some_and(|constraint| constraint.is_whole);
        self.schema.filter(|_| !sees_to_all)
    }

    /// The provider has refused: from now on the model is told in words only.
    pub(super) fn give_up(&mut self) {
        self.constraint = None;
        self.is_json_known = false;
    }

    /// The answer in the model's last message, byte for byte.
    pub(super) fn value(&self, text: &str) -> Option<String> {
        self.schema?;
        last_json(text, self.root).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_wire_sees_to_what_it_can() {
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer", "minLength": 1}}, "required": ["n"]});
        let wanted = |wire| Wanted::new(Some(&schema), &Endpoint::new("", "", wire, "m"));
        for (wire, with_tools, without) in [
            (Wire::Anthropic, "schema", "schema"),
            (Wire::OpenAiResponses, "schema", "schema"),
            (Wire::OpenAiChat, "free", "schema"),
            (Wire::Gemini, "free", "schema"),
            (Wire::Ollama, "free", "json"),
        ] {
            let name = |shape| match shape {
                Shape::Free => "free",
                Shape::Json => "json",
                Shape::Schema(_) => "schema",
            };
            let wanted = wanted(wire);
            assert_eq!(name(wanted.shape(true)), with_tools, "{wire:?}");
            assert_eq!(name(wanted.shape(false)), without, "{wire:?}");
            assert!(
                wanted.in_words(false).is_some(),
                "`minLength` is no provider's"
            );
        }
        let plain =
            json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
        let mut wanted = Wanted::new(Some(&plain), &Endpoint::new("", "", Wire::OpenAiChat, "m"));
        assert!(wanted.in_words(true).is_some() && wanted.in_words(false).is_none());
        wanted.give_up();
        assert!(wanted.in_words(false).is_some() && wanted.shape(false) == Shape::Free);
        let text = Wanted::new(None, &Endpoint::new("", "", Wire::Anthropic, "m"));
        assert_eq!((text.shape(false), text.value("{}")), (Shape::Free, None));
    }
}
