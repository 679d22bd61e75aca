//! Why a call runs, and what it runs instead of.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bellwether_actors::run::rewind::{Base, BaseCall, BaseEnd, Rules};
use bellwether_journal::id::CallNumber;
use bellwether_journal::key::Digest;
use bellwether_journal::record::{CallKind, Policy};
use serde_json::{Map, Value};

use crate::view::agent_id;

/// Characters of a prompt that a reason shows, from where it differs.
const EXCERPT: usize = 40;

/// A call that would run.
pub(super) struct Issued {
    pub(super) kind: CallKind,
    pub(super) content: Digest,
    pub(super) context: Digest,
    pub(super) key: Digest,
    pub(super) label: Option<Arc<str>>,
    pub(super) line: u32,
    pub(super) prompt: Arc<str>,
    pub(super) options: Arc<str>,
    /// What the turn that issued it waited for and that runs again, in words.
    pub(super) waited_for: Option<String>,
}

/// Finds for each call that would run what it runs instead of, among those of the base that answer no other.
pub(super) struct Counterparts<'a> {
    base: &'a Base,
    free: HashSet<CallNumber>,
    by_content: HashMap<Digest, Vec<CallNumber>>,
    by_context: HashMap<Digest, Vec<CallNumber>>,
    by_place: HashMap<(Option<Arc<str>>, u32), Vec<CallNumber>>,
}

impl<'a> Counterparts<'a> {
    pub(super) fn new(base: &'a Base, reused: &HashSet<CallNumber>) -> Self {
        let mut found = Self {
            base,
            free: HashSet::new(),
            by_content: HashMap::new(),
            by_context: HashMap::new(),
            by_place: HashMap::new(),
        };
        for (number, call) in (0..).map(CallNumber).zip(&base.calls) {
            if reused.contains(&number) {
                continue;
            }
            found.free.insert(number);
            found
                .by_content
                .entry(call.content)
                .or_default()
                .push(number);
            found
                .by_context
                .entry(call.context)
                .or_default()
                .push(number);
            let place = (call.label.clone(), call.line);
            found.by_place.entry(place).or_default().push(number);
        }
        found
    }

    /// The base's call that this one runs instead of; no other gets it after this.
    pub(super) fn take(&mut self, issued: &Issued) -> Option<CallNumber> {
        let place = (issued.label.clone(), issued.line);
        let same = self
            .base
            .by_key(issued.key)
            .filter(|number| self.free.contains(number));
        let found = same
            .or_else(|| self.first(self.by_content.get(&issued.content), issued))
            .or_else(|| self.first(self.by_place.get(&place), issued))
            .or_else(|| self.first(self.by_context.get(&issued.context), issued))?;
        self.free.remove(&found);
        Some(found)
    }

    fn first(&self, numbers: Option<&Vec<CallNumber>>, issued: &Issued) -> Option<CallNumber> {
        numbers?.iter().copied().find(|number| {
            self.free.contains(number)
                && self
                    .base
                    .call(*number)
                    .is_some_and(|call| call.kind == issued.kind)
        })
    }

    /// Those of the base that nothing runs instead of.
    pub(super) fn left(&self) -> impl Iterator<Item = (CallNumber, &BaseCall)> {
        let numbered = (0..).map(CallNumber).zip(&self.base.calls);
        numbered.filter(|(number, _)| self.free.contains(number))
    }
}

/// Why a call runs. `texts` are prompt and options of the one that it runs instead of.
pub(super) fn of(
    issued: &Issued,
    instead: Option<(CallNumber, &BaseCall)>,
    texts: Option<(Arc<str>, Arc<str>)>,
    rules: &Rules,
) -> String {
    let waits = || match &issued.waited_for {
        Some(what) => format!("it waits for {what}"),
        None => "it waits for something that runs again".to_owned(),
    };
    let Some((number, call)) = instead else {
        return "the base has no call like this".to_owned();
    };
    let id = agent_id(number);
    if rules.dirty.contains(&number) {
        return format!("{id} is to run again");
    }
    if call.content == issued.content {
        let same = call.key == issued.key || rules.policy == Policy::ReuseAll;
        return match call.end {
            BaseEnd::Failed if same => format!("{id} failed"),
            BaseEnd::Cancelled if same => format!("{id} was cancelled"),
            BaseEnd::Refused if same => format!("{id} was refused"),
            BaseEnd::Unfinished if same => format!("{id} had no answer yet"),
            _ if rules.policy == Policy::Prefix => {
                "it comes after a call that has changed".to_owned()
            }
            _ => waits(),
        };
    }
    let mut reasons = Vec::new();
    if let Some((prompt, options)) = texts {
        if prompt != issued.prompt {
            reasons.push(prompt_change(&prompt, &issued.prompt));
        }
        let changed = options_changed(&options, &issued.options);
        if !changed.is_empty() {
            reasons.push(format!("other options: {}", changed.join(", ")));
        }
    }
    if reasons.is_empty() {
        reasons.push("its agent type or backend is another now".to_owned());
    }
    if call.context != issued.context && issued.waited_for.is_some() {
        reasons.push(waits());
    }
    reasons.join("; ")
}

/// The first place where two prompts differ.
fn prompt_change(before: &str, after: &str) -> String {
    let same = before
        .chars()
        .zip(after.chars())
        .take_while(|(left, right)| left == right)
        .count();
    let excerpt = |text: &str| {
        let rest = text.chars().count().saturating_sub(same);
        let shown: String = text.chars().skip(same).take(EXCERPT).collect();
        let more = if rest > EXCERPT { "…" } else { "" };
        let from = if same > 0 { "…" } else { "" };
        format!("{:?}", format!("{from}{shown}{more}"))
    };
    format!("other prompt: {} was {}", excerpt(after), excerpt(before))
}

/// The options that differ.
fn options_changed(before: &str, after: &str) -> Vec<String> {
    let parse = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default();
    let (before, after) = (parse(before), parse(after));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| format!("`{name}`"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r04_a_prompt_change_shows_where_it_begins() {
        assert_eq!(
            prompt_change("fix a", "fix b and c"),
            r#"other prompt: "…b and c" was "…a""#
        );
        assert_eq!(prompt_change("é", "ü"), r#"other prompt: "ü" was "é""#);
        assert!(prompt_change("", &"x".repeat(90)).contains("x…\""));
    }

    #[test]
    fn r04_changed_options_are_named() {
        let changed = options_changed(
            r#"{"model":"a","effort":"low"}"#,
            r#"{"effort":"low","cwd":"x"}"#,
        );
        assert_eq!(changed, ["`cwd`", "`model`"]);
        assert!(options_changed("{}", "not json").is_empty());
    }
}
