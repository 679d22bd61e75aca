//! Rules made for one language: every pattern is tried out, and an error names its place.

use std::error::Error;
use std::path::Path;

use ast_grep_config::{
    GlobalRules, Rule as MatchRule, RuleConfig, RuleConfigError, RuleCoreError,
    SerializableRuleConfig, parse_selector,
};
use ast_grep_core::matcher::{Pattern, PatternNode, RegexMatcher, kind_utils};
use ast_grep_core::{Language as _, MatchStrictness};
use ast_grep_language::SupportLang;
use serde::Deserialize as _;
use serde_json::Value;

use super::imports::Import;
use super::language::Language;
use super::place::{Place, TaskError};
use super::replacement::Template;
use super::rules::{Rule, Rules, Scope, captured};
use super::syntax::{parse, survey};
use super::vocabulary::Word;

/// Patterns are read by recursion. Those that people write are nested some ten deep.
const PATTERN_DEPTH_MAX: usize = 200;

/// Rewrites files of one language by rules.
pub struct Rewriter {
    pub(super) language: Language,
    pub(super) rules: Vec<Compiled>,
}

/// A rule, ready for a language.
pub(super) struct Compiled {
    pub(super) id: String,
    pub(super) scope: Scope,
    pub(super) config: RuleConfig<SupportLang>,
    pub(super) template: Template,
    pub(super) imports: Vec<Import>,
    /// A word without which nothing matches.
    word: Option<String>,
}

impl Compiled {
    /// Whether it is worth looking for matches in `code`.
    pub(super) fn may_match(&self, code: &str) -> bool {
        self.word.as_ref().is_none_or(|word| code.contains(word))
    }
}

impl Rewriter {
    /// Makes those of `rules` that are for `language` ready.
    ///
    /// # Errors
    /// [`TaskError`] when the language is not built in, or for the first pattern, kind, constraint, transformation,
    /// replacement or import that does not fit it.
    pub fn new(rules: &Rules, language: Language) -> Result<Self, TaskError> {
        if !language.is_built() {
            return Err(Place::default().field("rules").wrong(language.missing()));
        }
        let rules = rules.iter().filter(|rule| rule.is_for(language));
        let rules = rules.map(|rule| compile(rule, language));
        Ok(Self {
            language,
            rules: rules.collect::<Result<_, _>>()?,
        })
    }

    /// Whether any rule is for this file, by its language and by the rule's own `files` and `ignores`.
    #[must_use]
    pub fn covers(&self, path: &Path) -> bool {
        self.rules.iter().any(|rule| rule.scope.covers(path))
    }
}

impl std::fmt::Debug for Rewriter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rules: Vec<&str> = self.rules.iter().map(|rule| rule.id.as_str()).collect();
        formatter
            .debug_struct("Rewriter")
            .field("language", &self.language)
            .field("rules", &rules)
            .finish()
    }
}

fn compile(rule: &Rule, language: Language) -> Result<Compiled, TaskError> {
    for (place, word) in &rule.words {
        try_out(word, language).map_err(|problem| {
            let hint = if rule.is_for_all() {
                format!(". If the rule is not for {language}, name its `language`")
            } else {
                String::new()
            };
            place.wrong(problem + &hint)
        })?;
    }
    let mut config = rule.config.clone();
    config.insert("language".to_owned(), language.name().into());
    let config = SerializableRuleConfig::<SupportLang>::deserialize(Value::Object(config))
        .map_err(|error| rule.place.wrong(error.to_string()))?;
    let config = RuleConfig::try_from(config, &GlobalRules::default())
        .map_err(|error| refused(rule, &error))?;
    let template = Template::of(&rule.config);
    if let Some((name, list)) = template.mistaken(&captured(&rule.words)) {
        let (used, known) = if list { ("$$$", "$") } else { ("$", "$$$") };
        return Err(rule.place.field(rule.replacement).wrong(format!(
            "`{used}{name}` is captured as `{known}{name}`: write it the same way in both"
        )));
    }
    let imports = rule.imports.iter();
    let imports = imports.map(|(place, value)| Import::read(value, place, language));
    let imports: Vec<Vec<Import>> = imports.collect::<Result<_, _>>()?;
    Ok(Compiled {
        word: needed_word(&config.matcher),
        id: rule.id.clone(),
        scope: rule.scope.clone(),
        config,
        template,
        imports: imports.into_iter().flatten().collect(),
    })
}

fn try_out(word: &Word, language: Language) -> Result<(), String> {
    match word {
        Word::Pattern { text, selector } => try_pattern(text, selector.as_deref(), language),
        Word::Kind(kind) => parse_selector(kind, language.grammar())
            .map(|_| ())
            .map_err(|error| format!("`{kind}` is no kind of node in {language}: {error}")),
        Word::Regex(regex) => RegexMatcher::try_new(regex)
            .map(|_| ())
            .map_err(|error| format!("no regular expression: {}", chain(&error))),
        Word::Field(field) => match language.grammar().field_to_id(field) {
            Some(_) => Ok(()),
            None => Err(format!("no node of {language} has a field `{field}`")),
        },
    }
}

fn try_pattern(text: &str, selector: Option<&str>, language: Language) -> Result<(), String> {
    let grammar = language.grammar();
    let code = grammar.pre_process_pattern(text);
    let tree = parse(&code, language).ok_or("the parser gave up")?;
    if survey(&tree).depth > PATTERN_DEPTH_MAX {
        return Err(format!(
            "the pattern is nested more than {PATTERN_DEPTH_MAX} deep"
        ));
    }
    let pattern = match selector {
        None => Pattern::try_new(text, grammar),
        Some(selector) => Pattern::contextual(text, selector, grammar),
    };
    let pattern =
        pattern.map_err(|error| format!("no pattern of {language}: {}", chain(&error)))?;
    if has_error(&pattern) {
        return Err(format!(
            "`{text}` is not {language} that stands by itself: give it as {{context, selector}}, the context being \
             whole code and the selector the kind of node in it that is meant"
        ));
    }
    Ok(())
}

/// The longest word of a rule's pattern, which is in all that it matches.
fn needed_word(rule: &MatchRule) -> Option<String> {
    match rule {
        MatchRule::Pattern(pattern) => {
            if matches!(pattern.strictness, MatchStrictness::Signature) {
                return None;
            }
            let mut longest = "";
            let mut left = vec![&pattern.node];
            while let Some(node) = left.pop() {
                match node {
                    PatternNode::Terminal { text, is_named, .. } => {
                        if *is_named && text.len() > longest.len() {
                            longest = text;
                        }
                    }
                    PatternNode::Internal { children, .. } => left.extend(children),
                    PatternNode::MetaVar { .. } => {}
                }
            }
            (!longest.is_empty()).then(|| longest.to_owned())
        }
        MatchRule::All(all) => all.inner().iter().find_map(needed_word),
        _ => None,
    }
}

/// Whether a pattern has something in it that is not understood, and would match only what is not understood either.
///
/// What a grammar does not expect in a place, such as a lone expression, is no error in the pattern if it is whole.
fn has_error(pattern: &Pattern) -> bool {
    let mut left = vec![&pattern.node];
    while let Some(node) = left.pop() {
        let kind = match node {
            PatternNode::MetaVar { .. } => continue,
            PatternNode::Terminal { kind_id, .. } => kind_id,
            PatternNode::Internal { kind_id, children } => {
                left.extend(children);
                kind_id
            }
        };
        if kind_utils::is_error_kind(*kind) {
            return true;
        }
    }
    false
}

/// What ast-grep has against a rule, at the place where it stands.
fn refused(rule: &Rule, error: &RuleConfigError) -> TaskError {
    match error {
        RuleConfigError::Core(RuleCoreError::UndefinedMetaVar(name, part)) => {
            let key = if *part == "fix" {
                rule.replacement
            } else {
                part
            };
            rule.place.field(key).wrong(format!(
                "`${name}` is captured by no pattern of the rule"
            ))
        }
        RuleConfigError::Core(RuleCoreError::Transform(error)) => {
            rule.place.field("transform").wrong(chain(error))
        }
        RuleConfigError::Core(error) => rule.place.wrong(chain(error)),
        RuleConfigError::MissingPotentialKinds => rule.place.wrong(
            "it would be asked of every node: give a `pattern` or a `kind` besides what else narrows it",
        ),
        _ => rule.place.wrong(chain(error)),
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.truncate(text.trim_end_matches('.').len());
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
