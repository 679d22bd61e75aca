//! Which arguments of `fetch` the client takes: an address and options, not a `Request`, and no
//! body that can be sent only once.

use oxc_ast::AstKind;
use oxc_ast::ast::{Argument, CallExpression, Expression, IdentifierReference, ObjectPropertyKind};
use oxc_span::GetSpan;

use crate::sites::{bare, has_word};
use crate::source::Parsed;

/// Why a call of `fetch` cannot become one of the client's, if so.
pub fn unsuitable_arguments(parsed: &Parsed<'_, '_>, call: &CallExpression<'_>) -> Option<String> {
    if call.optional {
        return Some("is guarded by ?., so the code provides for a missing fetch".to_owned());
    }
    if let Some(method) = sends_code(parsed, call) {
        return Some(format!(
            "runs in another process: {method}() sends this function there as text"
        ));
    }
    if call.type_arguments.is_some() {
        return Some("has type arguments, so fetch has a type of its own here".to_owned());
    }
    if call.arguments.iter().any(Argument::is_spread) {
        return Some("has its arguments spread, so a Request may be among them".to_owned());
    }
    let Some(address) = call.arguments.first().and_then(Argument::as_expression) else {
        return Some("is called without an address".to_owned());
    };
    if let Some(what) = request_object(parsed, bare(address)) {
        return Some(format!("gets {what}, which carries its own options"));
    }
    let options = call
        .arguments
        .get(1)
        .and_then(Argument::as_expression)
        .map(bare);
    options.and_then(unsuitable_options)
}

/// Methods of browser drivers that take a function and run its text in the page.
pub const CODE_SENDERS: [&str; 6] = [
    "evaluate",
    "evaluateHandle",
    "$eval",
    "$$eval",
    "waitForFunction",
    "addInitScript",
];

/// The method that sends the function around a call to another process, where an import of this
/// file does not exist.
fn sends_code(parsed: &Parsed<'_, '_>, call: &CallExpression<'_>) -> Option<&'static str> {
    parsed
        .semantic
        .nodes()
        .ancestor_kinds(call.node_id.get())
        .find_map(|kind| match kind {
            AstKind::CallExpression(outer) => match &outer.callee {
                Expression::StaticMemberExpression(member) => CODE_SENDERS
                    .into_iter()
                    .find(|method| member.property.name == *method),
                _ => None,
            },
            _ => None,
        })
}

/// How an expression is seen to be a `Request`, if it is.
fn request_object(parsed: &Parsed<'_, '_>, address: &Expression<'_>) -> Option<&'static str> {
    match address {
        Expression::NewExpression(new) if new.callee.is_specific_id("Request") => {
            Some("a new Request")
        }
        Expression::Identifier(name) => named_request(parsed, name),
        Expression::StaticMemberExpression(member) if member.property.name == "request" => {
            Some("a Request of an event")
        }
        Expression::CallExpression(call) => match &call.callee {
            Expression::StaticMemberExpression(member)
                if member.property.name == "clone" && call.arguments.is_empty() =>
            {
                Some("a cloned Request")
            }
            _ => None,
        },
        _ => None,
    }
}

/// A variable or a parameter that is declared to hold a `Request`.
fn named_request(parsed: &Parsed<'_, '_>, name: &IdentifierReference<'_>) -> Option<&'static str> {
    let scoping = parsed.semantic.scoping();
    let nodes = parsed.semantic.nodes();
    let symbol = scoping
        .get_reference(name.reference_id.get()?)
        .symbol_id()?;
    let declaration = scoping.symbol_declaration(symbol);
    let mut ancestors =
        std::iter::once(nodes.kind(declaration)).chain(nodes.ancestor_kinds(declaration));
    let (annotation, init) = ancestors.find_map(|kind| match kind {
        AstKind::VariableDeclarator(declarator) => Some((
            declarator.type_annotation.as_ref(),
            declarator.init.as_ref(),
        )),
        AstKind::FormalParameter(parameter) => Some((parameter.type_annotation.as_ref(), None)),
        AstKind::Function(_) | AstKind::Program(_) => Some((None, None)),
        _ => None,
    })?;
    if let Some(annotation) = annotation {
        let text = annotation.span().source_text(parsed.text);
        if has_word(text, "Request") || has_word(text, "RequestInfo") {
            return Some("a variable that may hold a Request");
        }
    }
    match init.map(bare) {
        Some(Expression::NewExpression(new)) if new.callee.is_specific_id("Request") => {
            Some("a variable that holds a Request")
        }
        _ => None,
    }
}

/// Options that ask for what the client, which may send again, cannot keep.
fn unsuitable_options(options: &Expression<'_>) -> Option<String> {
    let Expression::ObjectExpression(object) = options else {
        return None;
    };
    object.properties.iter().find_map(|property| {
        let ObjectPropertyKind::ObjectProperty(property) = property else {
            return None;
        };
        match property.key.static_name()?.as_ref() {
            "duplex" => Some("streams its request body, which can be sent only once".to_owned()),
            "keepalive" => {
                Some("must outlive the page (keepalive), which retries cannot".to_owned())
            }
            _ => None,
        }
    })
}
