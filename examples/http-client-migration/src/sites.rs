//! Where a file uses the global `fetch`, and which uses can be migrated.
//!
//! The search starts from references that no scope of the file binds, so a parameter, an import
//! or a function that happens to be called `fetch` is never seen here.

use oxc_ast::AstKind;
use oxc_ast::ast::{BindingPattern, Expression, PropertyKey, VariableDeclarator};
use oxc_semantic::NodeId;
use oxc_span::{GetSpan, Span};

use crate::arguments::unsuitable_arguments;
use crate::source::{Parsed, line_of};

/// Names of the global object.
pub const GLOBAL_OBJECTS: [&str; 4] = ["globalThis", "window", "self", "global"];

/// One use of the global `fetch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Line, from 1.
    pub line: usize,
    /// What to do about it.
    pub verdict: Verdict,
}

/// What to do about a use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A call that the client takes.
    Move,
    /// A test whether `fetch` exists: nothing is called, nothing changes.
    Guard,
    /// Left alone, for this reason.
    Refuse(String),
}

/// All uses of the global `fetch` in a file, in source order.
pub fn find(parsed: &Parsed<'_, '_>) -> Vec<Site> {
    let mut found: Vec<(Span, Verdict)> = Vec::new();
    for node_id in unbound(parsed, "fetch") {
        let span = parsed.semantic.nodes().kind(node_id).span();
        found.push((span, judge(parsed, node_id)));
    }
    for name in GLOBAL_OBJECTS {
        for node_id in unbound(parsed, name) {
            found.extend(member_of_global(parsed, node_id));
        }
    }
    found.sort_by_key(|(span, _)| span.start);
    refuse_all_if_replaced(&mut found);
    let site = |(span, verdict): (Span, Verdict)| {
        let line = line_of(parsed.text, span.start as usize);
        Site { line, verdict }
    };
    found.into_iter().map(site).collect()
}

const REPLACES: &str = "replaces the global fetch";

/// A file that puts its own function in the place of `fetch` wraps it: a client which ends in
/// `fetch` would be called by the wrapper and call the wrapper, for ever.
fn refuse_all_if_replaced(found: &mut [(Span, Verdict)]) {
    let replaces = |(_, verdict): &(Span, Verdict)| match verdict {
        Verdict::Refuse(reason) => reason.starts_with(REPLACES),
        Verdict::Move | Verdict::Guard => false,
    };
    if !found.iter().any(replaces) {
        return;
    }
    for (_, verdict) in found {
        if *verdict == Verdict::Move {
            let reason =
                "is called in a file that replaces the global one, which the client itself calls";
            *verdict = Verdict::Refuse(reason.to_owned());
        }
    }
}

/// The nodes of references called `name` which no scope of the file binds.
fn unbound(parsed: &Parsed<'_, '_>, name: &str) -> Vec<NodeId> {
    let scoping = parsed.semantic.scoping();
    let Some(references) = scoping.root_unresolved_references().get(name) else {
        return Vec::new();
    };
    let used = references
        .iter()
        .map(|reference| scoping.get_reference(*reference));
    // `typeof fetch` in a type names the function's type and calls nothing.
    used.filter(|reference| reference.is_value() && !reference.flags().is_value_as_type())
        .map(oxc_semantic::Reference::node_id)
        .collect()
}

/// `globalThis.fetch`, `window["fetch"]` and `const { fetch } = self`, when `node_id` is such an
/// object's name.
fn member_of_global(parsed: &Parsed<'_, '_>, node_id: NodeId) -> Option<(Span, Verdict)> {
    let nodes = parsed.semantic.nodes();
    let (outer, cast) = without_wrapping(parsed, node_id);
    let inner = nodes.kind(outer).span();
    let parent_id = nodes.parent_id(outer);
    let (is_fetch, optional) = match nodes.kind(parent_id) {
        AstKind::StaticMemberExpression(member) => (
            member.object.span() == inner && member.property.name == "fetch",
            member.optional,
        ),
        AstKind::ComputedMemberExpression(member) => {
            let named = member.expression.is_specific_string_literal("fetch");
            (member.object.span() == inner && named, member.optional)
        }
        AstKind::VariableDeclarator(declarator) => {
            return destructured(declarator);
        }
        AstKind::AssignmentExpression(_)
        | AstKind::AssignmentPattern(_)
        | AstKind::FormalParameter(_) => {
            let span = nodes.kind(parent_id).span();
            let takes_fetch = has_word(span.source_text(parsed.text), "fetch");
            let reason = "is taken out of the global object in an assignment or a default";
            return takes_fetch.then(|| (span, refuse(reason)));
        }
        _ => return None,
    };
    if !is_fetch {
        return None;
    }
    let span = nodes.kind(parent_id).span();
    let verdict = if cast {
        refuse("the global object is cast to another type")
    } else if optional {
        refuse("is guarded by ?., so the code provides for a missing fetch")
    } else {
        judge(parsed, parent_id)
    };
    Some((span, verdict))
}

/// `const { fetch: get } = globalThis`.
fn destructured(declarator: &VariableDeclarator<'_>) -> Option<(Span, Verdict)> {
    let BindingPattern::ObjectPattern(pattern) = &declarator.id else {
        return None;
    };
    let is_fetch = |key: &PropertyKey<'_>| key.static_name().is_some_and(|name| name == "fetch");
    let mut properties = pattern.properties.iter();
    let property = properties.find(|property| is_fetch(&property.key))?;
    let reason = "is taken out of the global object under a name of the file's own";
    Some((property.span, refuse(reason)))
}

/// Climbs out of parentheses and casts around an expression; says whether there was a cast.
fn without_wrapping(parsed: &Parsed<'_, '_>, node_id: NodeId) -> (NodeId, bool) {
    let nodes = parsed.semantic.nodes();
    let mut current = node_id;
    let mut cast = false;
    loop {
        match nodes.parent_kind(current) {
            AstKind::ParenthesizedExpression(_) => {}
            AstKind::TSAsExpression(_)
            | AstKind::TSSatisfiesExpression(_)
            | AstKind::TSNonNullExpression(_)
            | AstKind::TSTypeAssertion(_) => cast = true,
            _ => return (current, cast),
        }
        current = nodes.parent_id(current);
    }
}

/// Judges an expression that is the global `fetch`, by what stands around it.
fn judge(parsed: &Parsed<'_, '_>, node_id: NodeId) -> Verdict {
    let nodes = parsed.semantic.nodes();
    let (outer, cast) = without_wrapping(parsed, node_id);
    if cast {
        return refuse("is cast to another type");
    }
    let span = nodes.kind(outer).span();
    let parent_id = nodes.parent_id(outer);
    match nodes.kind(parent_id) {
        AstKind::CallExpression(call) if call.callee.span() == span => {
            match unsuitable_arguments(parsed, call) {
                Some(reason) => Verdict::Refuse(reason),
                None => Verdict::Move,
            }
        }
        AstKind::CallExpression(call) => {
            let receiver = call.callee.span().source_text(parsed.text);
            Verdict::Refuse(format!("is passed as a value to {}", one_line(receiver)))
        }
        AstKind::VariableDeclarator(_) => {
            refuse("is given a second name, under which no pattern sees its calls")
        }
        AstKind::AssignmentExpression(assignment) if assignment.left.span() == span => {
            Verdict::Refuse(format!("{REPLACES}, perhaps with a mock or a wrapper"))
        }
        AstKind::AssignmentExpression(_) => {
            refuse("is assigned, so what is called is decided at run time")
        }
        AstKind::StaticMemberExpression(member) => match member.property.name.as_str() {
            "bind" | "call" | "apply" => {
                Verdict::Refuse(format!("is used through .{}()", member.property.name))
            }
            other => Verdict::Refuse(format!("has its property .{other} used")),
        },
        AstKind::UnaryExpression(unary)
            if unary.operator.is_typeof() || unary.operator.is_not() =>
        {
            Verdict::Guard
        }
        AstKind::UnaryExpression(_) => Verdict::Refuse(format!("{REPLACES}: it is deleted")),
        AstKind::BinaryExpression(_) | AstKind::IfStatement(_) => Verdict::Guard,
        AstKind::LogicalExpression(logical)
            if logical.operator.is_and() && logical.left.span() == span =>
        {
            Verdict::Guard
        }
        AstKind::ConditionalExpression(conditional) if conditional.test.span() == span => {
            Verdict::Guard
        }
        AstKind::LogicalExpression(_) | AstKind::ConditionalExpression(_) => {
            refuse("is chosen by a condition, so what is called is decided at run time")
        }
        AstKind::FormalParameter(_) | AstKind::AssignmentPattern(_) => {
            refuse("is the default of a parameter: callers may pass another function")
        }
        AstKind::ObjectProperty(_) => refuse("is handed over in an object (dependency injection)"),
        AstKind::NewExpression(_) => refuse("is passed as a value to a constructor"),
        AstKind::TaggedTemplateExpression(_) => refuse("is used as a template tag"),
        AstKind::ReturnStatement(_)
        | AstKind::ExpressionStatement(_)
        | AstKind::ArrowFunctionExpression(_) => refuse("is returned as a value"),
        AstKind::ExportSpecifier(_) | AstKind::ExportDefaultDeclaration(_) => {
            refuse("is exported: callers are in other files")
        }
        _ => refuse("is used as a value"),
    }
}

/// Whether `word` stands in `text` as a word of its own.
pub fn has_word(text: &str, word: &str) -> bool {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != '$')
        .any(|piece| piece == word)
}

/// An expression's text on one line, cut to a readable length.
fn one_line(text: &str) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = flat.chars().take(40).collect();
    if short.len() < flat.len() {
        short.push('…');
    }
    short
}

fn refuse(reason: &str) -> Verdict {
    Verdict::Refuse(reason.to_owned())
}

/// The expression inside parentheses and casts.
pub fn bare<'e, 'a>(expression: &'e Expression<'a>) -> &'e Expression<'a> {
    expression.get_inner_expression()
}
