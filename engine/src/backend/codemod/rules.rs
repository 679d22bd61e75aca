//! Rules as they are written, checked as far as no language is needed, and put into ast-grep's form.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use globset::GlobSet;
use serde_json::{Map, Value, json};

use super::globs;
use super::language::Language;
use super::place::{Place, TaskError};
use super::variables::variables;
use super::vocabulary::{RULE_KEYS, Reach, Shape, Walk, Word, check_names};

/// Keys of a rule besides those that say what matches.
const KEYS: &[&str] = &[
    "id",
    "language",
    "rewrite",
    "fix",
    "rule",
    "notInside",
    "constraints",
    "utils",
    "transform",
    "import",
    "files",
    "ignores",
];
/// What rules of ast-grep say to people. It is read over.
const REMARKS: &[&str] = &["message", "note", "severity", "url", "metadata", "labels"];

/// Rewriting rules, in the order in which they are applied.
///
/// The text is a JSON array; `docs/codemod.md` describes a rule.
///
/// ```
/// use bellwether::backend::codemod::{Language, Rewriter, Rules};
///
/// let rules = Rules::parse(r#"[{"pattern": "axios.get($URL)", "rewrite": "http.get($URL)"}]"#)?;
/// let javascript = Language::named("javascript").ok_or("a language")?;
/// let rewriter = Rewriter::new(&rules, javascript)?;
/// let rewritten = rewriter.rewrite("a.js", "axios.get('/a')")?;
/// assert_eq!(rewritten.source, "http.get('/a')");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Rules(Vec<Rule>);

/// One rule, before it is made for a language.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) place: Place,
    pub(super) id: String,
    languages: Option<Vec<Language>>,
    pub(super) scope: Scope,
    /// In ast-grep's form, without the language.
    pub(super) config: Map<String, Value>,
    /// What has to be tried out in each language.
    pub(super) words: Vec<(Place, Word)>,
    /// The key under which the replacement stands: `rewrite` or `fix`.
    pub(super) replacement: &'static str,
    /// Each import to add, with its place.
    pub(super) imports: Vec<(Place, Value)>,
}

/// The files that a rule is for, by its own `files` and `ignores`.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    files: Option<GlobSet>,
    ignores: Option<GlobSet>,
}

impl Scope {
    pub(super) fn covers(&self, path: &Path) -> bool {
        let matches = |globs: &GlobSet| globs.is_match(path);
        self.files.as_ref().is_none_or(matches) && !self.ignores.as_ref().is_some_and(matches)
    }
}

impl Rules {
    /// Reads rules from JSON.
    ///
    /// # Errors
    /// [`TaskError`] for what is no JSON or no rule. Patterns are tried out when a [`super::Rewriter`] is made.
    pub fn parse(text: &str) -> Result<Self, TaskError> {
        let value = serde_json::from_str(text)
            .map_err(|error| Place::default().wrong(format!("the rules are no JSON: {error}")))?;
        Self::read(&value, &Place::default().field("rules"))
    }

    pub(super) fn read(value: &Value, place: &Place) -> Result<Self, TaskError> {
        let items = place.array(value)?;
        if items.is_empty() {
            return Err(place.wrong("there are no rules: give at least one {pattern, rewrite}"));
        }
        let rules = items
            .iter()
            .enumerate()
            .map(|(index, item)| Rule::read(item, &place.item(index)));
        Ok(Self(rules.collect::<Result<_, _>>()?))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter()
    }

    /// The languages that rules name.
    pub(super) fn languages(&self) -> impl Iterator<Item = Language> {
        let named = self.0.iter().filter_map(|rule| rule.languages.as_ref());
        named.flatten().copied()
    }
}

impl Rule {
    fn read(value: &Value, place: &Place) -> Result<Self, TaskError> {
        let map = place.map(value)?;
        if map.contains_key("rewriters") {
            let problem = "`rewriters` are not supported here: give several rules, which are applied in their order";
            return Err(place.field("rewriters").wrong(problem));
        }
        let keys = [&["pattern", "rewrite"], KEYS, RULE_KEYS, REMARKS].concat();
        place.object(value, &keys)?;
        if map
            .get("severity")
            .is_some_and(|severity| severity == "off")
        {
            let problem = "a rule that is off changes nothing: leave it out";
            return Err(place.field("severity").wrong(problem));
        }
        let text = |key| {
            let value: Option<&Value> = map.get(key);
            value.map(|value| place.field(key).text(value)).transpose()
        };
        let id = text("id")?.unwrap_or(place.as_str()).to_owned();

        let mut config = Map::new();
        config.insert("id".to_owned(), id.clone().into());
        let mut words = matching(map, place, &mut config)?;
        let (replacement, fix) = replacement(map, place, &mut words)?;
        config.insert("fix".to_owned(), fix);
        if let Some(transform) = map.get("transform") {
            let transform = transforms(transform, &place.field("transform"))?;
            config.insert("transform".to_owned(), transform);
        }
        let globs = |key| {
            let value: Option<&Value> = map.get(key);
            value
                .map(|value| globs::set(value, &place.field(key)))
                .transpose()
        };
        Ok(Self {
            place: place.clone(),
            id,
            languages: languages(map.get("language"), &place.field("language"))?,
            scope: Scope {
                files: globs("files")?,
                ignores: globs("ignores")?,
            },
            config,
            words,
            replacement,
            imports: imports(map.get("import"), &place.field("import")),
        })
    }

    /// Whether it is for files of this language.
    pub(super) fn is_for(&self, language: Language) -> bool {
        let languages = self.languages.as_deref();
        languages.is_none_or(|languages| languages.contains(&language))
    }

    /// Whether it is for every language that its patterns fit.
    pub(super) const fn is_for_all(&self) -> bool {
        self.languages.is_none()
    }
}

fn languages(value: Option<&Value>, place: &Place) -> Result<Option<Vec<Language>>, TaskError> {
    let Some(value) = value else { return Ok(None) };
    let names = match value {
        Value::String(name) => vec![(place.clone(), name.as_str())],
        _ => place.texts(value)?,
    };
    let mut languages = Vec::new();
    for (place, name) in names {
        let Some(language) = Language::named(name) else {
            let known: Vec<&str> = Language::built().map(Language::name).collect();
            let known = known.join(", ");
            return Err(place.wrong(format!(
                "there is no language `{name}` (built in are {known})"
            )));
        };
        if !language.is_built() {
            return Err(place.wrong(language.missing()));
        }
        languages.push(language);
    }
    if languages.is_empty() {
        return Err(place.wrong("no language is named: leave `language` out for all"));
    }
    Ok(Some(languages))
}

/// The replacement, in ast-grep's form, and the key under which it stands.
fn replacement(
    map: &Map<String, Value>,
    place: &Place,
    words: &mut Vec<(Place, Word)>,
) -> Result<(&'static str, Value), TaskError> {
    let (key, value) = match (map.get("rewrite"), map.get("fix")) {
        (Some(_), Some(_)) => {
            let problem = "`rewrite` and `fix` are the same: give one of them";
            return Err(place.field("fix").wrong(problem));
        }
        (Some(value), None) => ("rewrite", value),
        (None, Some(value)) => ("fix", value),
        (None, None) => {
            let problem = "`rewrite` is missing: the code that takes the place of what matches; \"\" deletes it";
            return Err(place.wrong(problem));
        }
    };
    let place = place.field(key);
    if let Value::String(text) = value {
        return Ok((key, plain_ends(text).into()));
    }
    if !value.is_object() {
        return Err(place.expected("a text, or {template, expandStart, expandEnd},", value));
    }
    let fix = place.object(value, &["template", "expandStart", "expandEnd", "title"])?;
    let mut fix = fix.clone();
    let Some(template) = fix.get("template") else {
        return Err(
            place.wrong("`template` is missing: the code that takes the place of what matches")
        );
    };
    let template = plain_ends(place.field("template").text(template)?);
    fix.insert("template".to_owned(), template.into());
    for (key, value) in &mut fix {
        if key.starts_with("expand") {
            // Expansions go to the neighbour unless they say otherwise, as in ast-grep: by default all the way would
            // swallow whatever follows.
            let place = place.field(key);
            let mut walk = Walk::new(Reach::Neighbour);
            if walk.relation(value, &place)?.names_utils() {
                return Err(place.wrong("`matches` is not supported in an expansion"));
            }
            words.append(&mut walk.words);
        }
    }
    Ok((key, fix.into()))
}

/// Puts what says which nodes match into ast-grep's form.
fn matching(
    map: &Map<String, Value>,
    place: &Place,
    config: &mut Map<String, Value>,
) -> Result<Vec<(Place, Word)>, TaskError> {
    let own = |key: &str| RULE_KEYS.contains(&key) || key == "notInside";
    let short: Map<String, Value> = map
        .iter()
        .filter(|(key, _)| own(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    // A rule that was written for ast-grep means what it means there; one in the short form looks all the way.
    let (mut walk, rule) = match (map.get("rule"), short.keys().next()) {
        (Some(_), Some(key)) => {
            let problem = format!(
                "it stands beside `rule`: put it into `rule`, or give no `rule`; here is `{key}`"
            );
            return Err(place.field(key).wrong(problem));
        }
        (Some(rule), None) => (Walk::new(Reach::Neighbour), rule.clone()),
        (None, Some(_)) => (Walk::new(Reach::End), short.into()),
        (None, None) => {
            return Err(place.wrong("nothing says what is to be rewritten: give a `pattern`"));
        }
    };
    let mut shapes = Vec::new();
    let rule_place = if map.contains_key("rule") {
        place.field("rule")
    } else {
        place.clone()
    };
    let rule = without_not_inside(rule, &rule_place, &mut walk, &mut shapes)?;
    config.insert("rule".to_owned(), rule);

    if let Some(value) = map.get("constraints") {
        let place = place.field("constraints");
        let mut constraints = Map::new();
        for (name, value) in place.map(value)? {
            let place = place.field(name);
            let mut value = value.clone();
            shapes.push(walk.whole(&mut value, &place)?);
            let name = name.trim_start_matches('$');
            if only_captures_lists(name, &walk.words) {
                return Err(place.wrong(format!(
                    "constraints are for single nodes, and `$$${name}` is a list of them: capture `${name}`, or ask by `has`"
                )));
            }
            constraints.insert(name.to_owned(), value);
        }
        config.insert("constraints".to_owned(), constraints.into());
    }
    let mut utils = BTreeMap::new();
    if let Some(value) = map.get("utils") {
        let place = place.field("utils");
        let mut written = place.map(value)?.clone();
        for (name, value) in &mut written {
            utils.insert(name.clone(), walk.whole(value, &place.field(name))?);
        }
        config.insert("utils".to_owned(), written.into());
    }
    check_names(&shapes, &utils)?;
    Ok(walk.words)
}

/// The rule with its `notInside` as `not: {inside}`.
fn without_not_inside(
    mut rule: Value,
    place: &Place,
    walk: &mut Walk,
    shapes: &mut Vec<Shape>,
) -> Result<Value, TaskError> {
    let not_inside = rule
        .as_object_mut()
        .and_then(|map| map.shift_remove("notInside"));
    shapes.push(walk.whole(&mut rule, place)?);
    let Some(mut outer) = not_inside else {
        return Ok(rule);
    };
    shapes.push(walk.relation(&mut outer, &place.field("notInside"))?);
    Ok(json!({ "all": [rule, { "not": { "inside": outer } }] }))
}

/// Whether `name` is captured, and only ever as `$$$NAME`.
fn only_captures_lists(name: &str, words: &[(Place, Word)]) -> bool {
    let captured = captured(words);
    captured.contains(&(name, true)) && !captured.contains(&(name, false))
}

/// What patterns capture, and whether as lists.
pub(super) fn captured(words: &[(Place, Word)]) -> BTreeSet<(&str, bool)> {
    let patterns = words.iter().filter_map(|(_, word)| match word {
        Word::Pattern { text, .. } => Some(text.as_str()),
        _ => None,
    });
    patterns.flat_map(variables).collect()
}

fn transforms(value: &Value, place: &Place) -> Result<Value, TaskError> {
    let mut transforms = Map::new();
    for (name, value) in place.map(value)? {
        let place = place.field(name);
        let rewrites = match value {
            Value::String(text) => text.trim_start().starts_with("rewrite"),
            Value::Object(map) => map.contains_key("rewrite"),
            _ => return Err(place.expected("a transformation", value)),
        };
        if rewrites {
            let problem = "the transformation `rewrite` is not supported here: give several rules, which are applied in their order";
            return Err(place.wrong(problem));
        }
        transforms.insert(name.trim_start_matches('$').to_owned(), value.clone());
    }
    Ok(transforms.into())
}

fn imports(value: Option<&Value>, place: &Place) -> Vec<(Place, Value)> {
    match value {
        None => Vec::new(),
        Some(Value::Array(items)) => {
            let items = items.iter().enumerate();
            items
                .map(|(index, item)| (place.item(index), item.clone()))
                .collect()
        }
        Some(value) => vec![(place.clone(), value.clone())],
    }
}

/// Files are rewritten with plain line ends, and get their own back afterwards.
fn plain_ends(text: &str) -> String {
    text.replace("\r\n", "\n")
}
