//! What takes the place of a match: ast-grep's template, and what lists of captured nodes need besides.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use ast_grep_config::Rule;
use ast_grep_core::matcher::Matcher;
use ast_grep_core::meta_var::{MetaVarEnv, MetaVariable};
use ast_grep_core::replacer::{Replacer as _, TemplateFix};
use ast_grep_core::tree_sitter::StrDoc;
use ast_grep_core::{Doc, Node as AnyNode, NodeMatch};
use ast_grep_language::SupportLang;
use serde_json::Value;

use super::compile::Compiled;
use super::layout::{with_line_breaks, with_string, without_blank_ends};
use super::syntax::Node;
use super::text::Splice;
use super::variables::variables;

/// A match of a rule, with what it has captured.
pub(super) type Match<'t> = NodeMatch<'t, StrDoc<SupportLang>>;
type Captured<'t> = MetaVarEnv<'t, StrDoc<SupportLang>>;
/// The name of a list and its nodes.
type List<'t> = (String, Vec<Node<'t>>);

/// How comments begin that end with their line.
const LINE_COMMENTS: &[&str] = &["//", "#", "--"];

/// A rule's replacement as text, with the names that its transformations make.
#[derive(Debug)]
pub(super) struct Template {
    text: String,
    made: Vec<String>,
}

impl Template {
    /// The name of a variable that is a list here and a single node in the patterns, or the other way round: ast-grep
    /// would put nothing in its place.
    pub(super) fn mistaken(&self, captured: &BTreeSet<(&str, bool)>) -> Option<(String, bool)> {
        let used = variables(&self.text).into_iter();
        let mut mistaken = used.filter(|&(name, list)| {
            !self.made.iter().any(|made| made == name)
                && captured.contains(&(name, !list))
                && !captured.contains(&(name, list))
        });
        mistaken.next().map(|(name, list)| (name.to_owned(), list))
    }

    /// That of a rule in ast-grep's form.
    pub(super) fn of(config: &serde_json::Map<String, Value>) -> Self {
        let fix = config.get("fix");
        let template = fix.map(|fix| fix.get("template").unwrap_or(fix));
        let made = config.get("transform").and_then(Value::as_object);
        Self {
            text: template
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            made: made.map_or_else(Vec::new, |made| made.keys().cloned().collect()),
        }
    }
}

/// What takes the place of `found` in `code`.
pub(super) fn replacement(rule: &Compiled, found: &Match<'_>, code: &str) -> Splice {
    let whole = found.range();
    let range = rule.config.fixer.first().map_or_else(
        || whole.clone(),
        |fixer| fixer.get_replaced_range(found, Extent(&rule.config.matcher)),
    );
    let range = range.start..range.end.min(code.len());
    let (lists, trimmed) = lists(found.get_env(), &rule.template);
    let behind = code.get(range.end..).unwrap_or_default();
    let mut template = Cow::Borrowed(rule.template.text.as_str());
    for (name, nodes) in &lists {
        match nodes.last() {
            None => template = without_empty(template, name),
            Some(last) if is_line_comment(last) => {
                template = with_ended_comment(template, name, behind);
            }
            Some(_) => {}
        }
    }
    let fix = TemplateFix::with_transform(&template, found.lang(), &rule.template.made);
    let text = if trimmed {
        let captured = with_lists(found.get_env(), &lists, &rule.template.made);
        fix.generate_replacement(&Match::new(found.get_node().clone(), captured))
    } else {
        fix.generate_replacement(found)
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    if text.is_empty() && range.start == whole.start {
        return deletion(found, range, code);
    }
    let old = code.get(range.clone()).unwrap_or_default();
    let text = if rule.template.text.contains('\n') {
        without_blank_ends(&text)
    } else {
        with_line_breaks(old, &text)
    };
    Splice {
        text: with_strings(found, text),
        range,
    }
}

/// Takes a match away: a whole statement goes with its semicolon, and with its line if it has one to itself.
fn deletion(found: &Match<'_>, range: Range<usize>, code: &str) -> Splice {
    // Elsewhere an empty statement is a statement all the same: the body of an `if`, for one.
    let holds_statements = |node: &Node<'_>| {
        let kind = node.kind();
        let is_body = ["block", "body", "declaration_list"];
        is_body.iter().any(|end| kind.ends_with(end)) || node.parent().is_none()
    };
    let mut statement = found.get_node().clone();
    let mut parent = statement.parent();
    while let Some(outer) = parent.take_if(|outer| !holds_statements(outer)) {
        let rest = code.get(range.end..outer.range().end).unwrap_or("…");
        if outer.range().start != range.start || !matches!(rest.trim(), "" | ";") {
            return Splice {
                range,
                text: String::new(),
            };
        }
        parent = outer.parent();
        statement = outer;
    }
    let range = range.start..statement.range().end.max(range.end);
    if parent.is_some_and(|parent| needs_statement(&parent)) {
        return Splice {
            range,
            text: "pass".to_owned(),
        };
    }
    let before = indent(code, range.start);
    let line = range.start - before.len();
    let starts_line = line == 0 || code[..line].ends_with('\n');
    let behind = code.get(range.end..).unwrap_or_default();
    let range = match behind.split_once('\n') {
        Some((rest, _)) if starts_line && rest.trim().is_empty() => {
            line..range.end + rest.len() + 1
        }
        _ => range,
    };
    Splice {
        range,
        text: String::new(),
    }
}

/// Whether this is a block of Python with one statement left.
fn needs_statement(block: &Node<'_>) -> bool {
    let mut statements = block.children().filter(|node| !node.is_extra());
    *block.lang() == SupportLang::Python
        && block.kind() == "block"
        && statements.next().is_some()
        && statements.next().is_none()
}

/// What `$$$NAME` has captured, for each of them; and whether that is less than ast-grep says.
///
/// Where the template goes on with a comma, the list's own last comma would be one too many, and a comment behind it
/// would swallow the other.
fn lists<'t>(captured: &Captured<'t>, template: &Template) -> (Vec<List<'t>>, bool) {
    let mut trimmed = false;
    let mut lists = Vec::new();
    for variable in captured.get_matched_variables() {
        let MetaVariable::MultiCapture(name) = variable else {
            continue;
        };
        let mut nodes = captured.get_multiple_matches(&name);
        let goes_on = around(&template.text, &name)
            .is_some_and(|(_, after)| after.trim_start().starts_with(','));
        let is_last =
            |node: &mut Node<'t>| node.is_extra() || !node.is_named() && node.text() == ",";
        while goes_on && nodes.pop_if(is_last).is_some() {
            trimmed = true;
        }
        lists.push((name, nodes));
    }
    (lists, trimmed)
}

/// What was captured, with other lists.
fn with_lists<'t>(captured: &Captured<'t>, lists: &[List<'t>], made: &[String]) -> Captured<'t> {
    let mut copy = Captured::new();
    for variable in captured.get_matched_variables() {
        if let MetaVariable::Capture(name, _) = variable
            && let Some(node) = captured.get_match(&name)
        {
            copy.insert(&name, node.clone());
        }
    }
    for (name, nodes) in lists {
        copy.insert_multi(name, nodes.clone());
    }
    for name in made {
        if let Some(text) = captured.get_transformed(name) {
            copy.insert_transformation(&MetaVariable::Multiple, name, text.clone());
        }
    }
    copy
}

/// What a template has before and behind `$$$name`.
fn around<'x>(template: &'x str, name: &str) -> Option<(&'x str, &'x str)> {
    let (before, after) = template.split_once(&format!("$$${name}"))?;
    let longer = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    (!after.starts_with(longer)).then_some((before, after))
}

/// The template without `$$$name`, which has captured nothing, and without the comma or the space that would be one too
/// many.
fn without_empty<'x>(template: Cow<'x, str>, name: &str) -> Cow<'x, str> {
    let Some((before, after)) = around(&template, name) else {
        return template;
    };
    let comma_behind = after.trim_start().strip_prefix(',');
    let comma_before = before.trim_end().strip_suffix(',');
    let space_before = before.strip_suffix(' ');
    Cow::Owned(match (comma_behind, comma_before, space_before) {
        (Some(after), _, _) => format!("{before}{}", after.trim_start()),
        (None, Some(before), _) => format!("{before}{after}"),
        (None, None, Some(before)) if after.starts_with([' ', '>', ')', ']']) => {
            format!("{before}{after}")
        }
        (None, None, _) => format!("{before}{after}"),
    })
}

/// The replacement with strings of several lines as they were.
fn with_strings(found: &Match<'_>, mut text: String) -> String {
    let mut done = 0;
    for node in found.dfs() {
        // What stands in a string's own code is part of it.
        if node.range().start >= done && node.kind().contains("string") {
            done = node.range().end;
            let string = node.text();
            if string.contains('\n') {
                text = with_string(text, &string);
            }
        }
    }
    text
}

/// The template with a new line behind `$$$name`, whose last node is a comment to the end of its line.
fn with_ended_comment<'x>(template: Cow<'x, str>, name: &str, behind: &str) -> Cow<'x, str> {
    let Some((before, after)) = around(&template, name) else {
        return template;
    };
    let follows = if after.is_empty() { behind } else { after };
    let same_line = follows.split('\n').next().unwrap_or_default();
    if same_line.trim().is_empty() {
        return template;
    }
    Cow::Owned(format!("{before}$$${name}\n{after}"))
}

fn is_line_comment(node: &Node<'_>) -> bool {
    let text = node.text();
    node.is_extra() && LINE_COMMENTS.iter().any(|start| text.starts_with(start))
}

/// The space before the first code of the line in which `offset` is.
fn indent(code: &str, offset: usize) -> &str {
    let before = code.get(..offset).unwrap_or_default();
    let line = &before[before.rfind('\n').map_or(0, |end| end + 1)..];
    &line[..line.len() - line.trim_start().len()]
}

/// How far a match reaches: a pattern without a semicolon does not take the one behind the statement with it.
///
/// ast-grep's program does this for patterns given to it, but not for rules.
struct Extent<'r>(&'r Rule);

impl Matcher for Extent<'_> {
    fn match_node_with_env<'t, D: Doc>(
        &self,
        node: AnyNode<'t, D>,
        captured: &mut Cow<MetaVarEnv<'t, D>>,
    ) -> Option<AnyNode<'t, D>> {
        self.0.match_node_with_env(node, captured)
    }

    fn get_match_len<D: Doc>(&self, node: AnyNode<'_, D>) -> Option<usize> {
        fn length<D: Doc>(rule: &Rule, node: &AnyNode<'_, D>) -> Option<usize> {
            match rule {
                Rule::Pattern(pattern) => pattern.get_match_len(node.clone()),
                Rule::All(all) => all.inner().iter().find_map(|rule| length(rule, node)),
                Rule::Any(any) => any.inner().iter().find_map(|rule| length(rule, node)),
                _ => None,
            }
        }
        length(self.0, &node)
    }
}
