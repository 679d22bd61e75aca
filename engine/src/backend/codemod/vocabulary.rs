//! The words of ast-grep's rules: which keys a rule object has, and what stands under them.
//!
//! ast-grep checks its rules itself, but says only what is wrong, not where. So a rule is walked over here first, and
//! what depends on a language (patterns, kinds, fields) is gathered with its place, to be tried out one by one.

use std::collections::BTreeMap;

use serde_json::Value;

use super::place::{Place, TaskError};

/// What says itself whether a node matches.
pub(super) const RULE_KEYS: &[&str] = &[
    "pattern", "kind", "regex", "nthChild", "range", "inside", "has", "precedes", "follows", "all",
    "any", "not", "matches",
];
const RELATIONS: &[&str] = &["inside", "has", "precedes", "follows"];
/// Rules are matched by recursion, so their nesting is bounded, that of `utils` named in them included.
const NESTING_MAX: usize = 48;
/// How often utils may be entered in all: each of two that name the next one twice doubles the work.
const UTILS_ENTERED_MAX: usize = 500;

/// A part of a rule whose meaning depends on the language.
#[derive(Clone, Debug)]
pub(super) enum Word {
    Pattern {
        text: String,
        selector: Option<String>,
    },
    Kind(String),
    Regex(String),
    Field(String),
}

/// How far `inside`, `has`, `precedes` and `follows` look when they do not say it by `stopBy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// To the parent, the children, the next sibling: ast-grep's own default.
    Neighbour,
    /// All the way.
    End,
}

/// Walks over the rules of one codemod rule.
pub(super) struct Walk {
    pub(super) reach: Reach,
    /// Everything that is tried out in each language.
    pub(super) words: Vec<(Place, Word)>,
    shape: Shape,
}

/// How deep a rule is nested, and which utils it names, each at its depth.
#[derive(Debug, Default)]
pub(super) struct Shape {
    depth: usize,
    names: Vec<(Place, String, usize)>,
}

impl Shape {
    pub(super) fn names_utils(&self) -> bool {
        !self.names.is_empty()
    }
}

impl Walk {
    pub(super) fn new(reach: Reach) -> Self {
        Self {
            reach,
            words: Vec::new(),
            shape: Shape::default(),
        }
    }

    /// Checks a rule object and fills in the default of `stopBy`.
    pub(super) fn whole(&mut self, rule: &mut Value, place: &Place) -> Result<Shape, TaskError> {
        self.rule(rule, place, 1, &[])?;
        Ok(std::mem::take(&mut self.shape))
    }

    fn rule(
        &mut self,
        rule: &mut Value,
        place: &Place,
        depth: usize,
        more_keys: &[&str],
    ) -> Result<(), TaskError> {
        self.shape.depth = self.shape.depth.max(depth);
        if depth > NESTING_MAX {
            return Err(place.wrong(format!("rules are nested at most {NESTING_MAX} deep")));
        }
        place.object(rule, &[RULE_KEYS, more_keys].concat())?;
        let Value::Object(map) = rule else {
            return Ok(());
        };
        if !map.keys().any(|key| RULE_KEYS.contains(&key.as_str())) {
            let keys = RULE_KEYS.join(", ");
            return Err(place.wrong(format!("nothing is asked of a node: give one of {keys}")));
        }
        for (key, value) in map {
            let place = place.field(key);
            match key.as_str() {
                "pattern" => self.pattern(value, &place)?,
                "kind" => self.word(value, &place, Word::Kind)?,
                "regex" => self.word(value, &place, Word::Regex)?,
                "field" => self.word(value, &place, Word::Field)?,
                "not" => self.rule(value, &place, depth + 1, &[])?,
                "all" | "any" => {
                    if place.array(value)?.is_empty() {
                        return Err(place.wrong("an empty list matches nothing: give rules"));
                    }
                    for (index, item) in value.as_array_mut().into_iter().flatten().enumerate() {
                        self.rule(item, &place.item(index), depth + 1, &[])?;
                    }
                }
                "matches" => {
                    let Some(name) = value.as_str() else {
                        return Err(place.expected("the name of one of the rule's `utils`", value));
                    };
                    let name = (place.clone(), name.to_owned(), depth);
                    self.shape.names.push(name);
                }
                "nthChild" => {
                    if let Value::Object(map) = value {
                        let of_rule = map.get_mut("ofRule");
                        if let Some(rule) = of_rule {
                            self.rule(rule, &place.field("ofRule"), depth + 1, &[])?;
                        }
                    }
                }
                "stopBy" => match value.as_str() {
                    None => self.rule(value, &place, depth + 1, &[])?,
                    Some("neighbor" | "end") => {}
                    Some(_) => {
                        return Err(place.wrong("`neighbor`, `end` or a rule is expected here"));
                    }
                },
                relation if RELATIONS.contains(&relation) => {
                    self.surroundings(value, &place, depth + 1)?;
                }
                // `range` is checked by ast-grep.
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks a rule about a node's surroundings, which stands by itself.
    pub(super) fn relation(&mut self, rule: &mut Value, place: &Place) -> Result<Shape, TaskError> {
        self.surroundings(rule, place, 2)?;
        Ok(std::mem::take(&mut self.shape))
    }

    fn surroundings(
        &mut self,
        value: &mut Value,
        place: &Place,
        depth: usize,
    ) -> Result<(), TaskError> {
        self.rule(value, place, depth, &["stopBy", "field"])?;
        if let (Reach::End, Value::Object(map)) = (self.reach, value) {
            map.entry("stopBy").or_insert_with(|| "end".into());
        }
        Ok(())
    }

    fn pattern(&mut self, value: &Value, place: &Place) -> Result<(), TaskError> {
        let (text, selector) = if let Value::String(text) = value {
            (text.as_str(), None)
        } else if value.is_object() {
            let map = place.object(value, &["context", "selector", "strictness"])?;
            let field = |name| {
                let value: Option<&Value> = map.get(name);
                value.map(|value| place.field(name).text(value)).transpose()
            };
            let Some(context) = field("context")? else {
                return Err(
                    place.wrong("`context` is missing: the code that the pattern stands in")
                );
            };
            (context, field("selector")?)
        } else {
            return Err(place.expected("a pattern, or {context, selector},", value));
        };
        let word = Word::Pattern {
            text: text.to_owned(),
            selector: selector.map(str::to_owned),
        };
        self.words.push((place.clone(), word));
        Ok(())
    }

    fn word(
        &mut self,
        value: &Value,
        place: &Place,
        make: impl FnOnce(String) -> Word,
    ) -> Result<(), TaskError> {
        let text = place.text(value)?;
        self.words.push((place.clone(), make(text.to_owned())));
        Ok(())
    }
}

/// Checks that the names of utils are known, go in no circle, and do not nest too deep.
///
/// A circle could run for ever, or end only with the nesting of the code: rules are matched by recursion.
pub(super) fn check_names(
    rules: &[Shape],
    utils: &BTreeMap<String, Shape>,
) -> Result<(), TaskError> {
    let mut visit = Visit {
        utils,
        open: Vec::new(),
        entered: 0,
    };
    for shape in rules {
        visit.shape(shape, 0)?;
    }
    for (name, shape) in utils {
        visit.open.push(name);
        visit.shape(shape, 0)?;
        visit.open.pop();
    }
    Ok(())
}

struct Visit<'u> {
    utils: &'u BTreeMap<String, Shape>,
    open: Vec<&'u str>,
    entered: usize,
}

impl Visit<'_> {
    fn shape(&mut self, shape: &Shape, above: usize) -> Result<(), TaskError> {
        for (place, name, depth) in &shape.names {
            let Some((name, util)) = self.utils.get_key_value(name) else {
                let known: Vec<&str> = self.utils.keys().map(String::as_str).collect();
                let known = known.join(", ");
                return Err(place.wrong(format!(
                    "the rule's `utils` have no `{name}` (they have: {known})"
                )));
            };
            if self.open.contains(&name.as_str()) {
                return Err(place.wrong(format!(
                    "`{name}` refers to itself: utils may not go in a circle"
                )));
            }
            self.entered += 1;
            if above + depth + util.depth > NESTING_MAX || self.entered > UTILS_ENTERED_MAX {
                return Err(place.wrong(format!(
                    "with this, rules are nested more than {NESTING_MAX} deep, or more than {UTILS_ENTERED_MAX} utils \
                     are entered"
                )));
            }
            self.open.push(name);
            self.shape(util, above + depth)?;
            self.open.pop();
        }
        Ok(())
    }
}
