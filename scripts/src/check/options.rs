//! Prompts and options of `agent`, `attempt`, `merge` and `ask` (A03, A05, S01, X03, Y01).

use std::collections::HashMap;

use oxc_ast::ast::Expression;
use oxc_span::{GetSpan, Span};
use serde_json::Value;

use super::body::{Body, Call, Called, Field};
use super::finding::Found;
use super::nearest;
use super::surroundings::{Problem, Surroundings};

/// The options of `agent()` and `attempt()` that reach the engine; the prelude's `KNOWN` has the same.
pub(super) const AGENT: [&str; 18] = [
    "schema",
    "model",
    "effort",
    "isolation",
    "agentType",
    "timeout",
    "stallTimeout",
    "retries",
    "tools",
    "disallowedTools",
    "backend",
    "cwd",
    "maxTurns",
    "maxTokens",
    "maxCost",
    "env",
    "key",
    "pure",
];
/// What every call may be called and where it belongs.
pub(super) const SHOWN: [&str; 2] = ["label", "phase"];
pub(super) const MERGE: [&str; 5] = ["into", "verify", "timeout", "label", "phase"];
/// The options of `ask()` that reach the engine; the prelude's `ASK_OPTIONS` has the same.
pub(super) const ASK: [&str; 5] = ["choices", "schema", "timeout", "default", "key"];

/// The findings that tell of unknown options, by what they say: a run tells each once (A05), and so does a check.
pub(super) type Told = HashMap<String, usize>;

pub(super) fn check(body: &Body<'_, '_>, surroundings: &dyn Surroundings, found: &mut Vec<Found>) {
    let mut told = Told::new();
    for call in &body.calls {
        match call.called {
            Called::Agent | Called::Attempt => {
                found.extend(prompt(body, call));
                check_options(body, call, &AGENT, surroundings, &mut told, found);
            }
            Called::Merge => check_options(body, call, &MERGE, surroundings, &mut told, found),
            Called::Ask => {
                found.extend(prompt(body, call));
                check_options(body, call, &ASK, surroundings, &mut told, found);
            }
            _ => {}
        }
    }
}

/// What kind of value a literal is, if it is none that is wanted.
fn kind(literal: &Expression<'_>) -> Option<&'static str> {
    Some(match literal {
        Expression::ObjectExpression(_) => "an object",
        Expression::ArrayExpression(_) => "an array",
        Expression::NumericLiteral(_) => "a number",
        Expression::BooleanLiteral(_) => "a boolean",
        Expression::NullLiteral(_) => "null",
        Expression::StringLiteral(_) | Expression::TemplateLiteral(_) => "a string",
        Expression::ArrowFunctionExpression(_) | Expression::FunctionExpression(_) => "a function",
        _ => return None,
    })
}

fn prompt<'a>(body: &Body<'_, 'a>, call: &Call<'a>) -> Option<Found> {
    let name = call.called.name();
    let (code, what, wanted) = match call.called {
        Called::Ask => ("question", "question", "what a person shall answer"),
        _ => ("prompt", "prompt", "what the agent shall do"),
    };
    if call.written.arguments.is_empty() {
        let message = format!("{name}() is called without a {what}");
        let remedy = format!("say {wanted}, as the first argument");
        return Some(thrown(body, call, code, call.written.span, message, remedy));
    }
    let given = call.argument(0)?;
    let is_blank = body.string(given).map(|text| text.trim().is_empty());
    let message = match (is_blank, kind(body.literal(given))) {
        (Some(true), _) => format!("{name}({what}, options): the {what} is empty"),
        (None, Some(kind)) if kind != "a string" => {
            format!("{name}({what}, options): the {what} is {kind}")
        }
        _ => return None,
    };
    let remedy = format!("give a string that says {wanted}");
    Some(thrown(body, call, code, given.span(), message, remedy))
}

/// What the call throws. Where the script catches it, that may be meant.
pub(super) fn thrown(
    body: &Body<'_, '_>,
    call: &Call<'_>,
    code: &'static str,
    span: Span,
    message: impl Into<String>,
    remedy: impl Into<String>,
) -> Found {
    if body.is_caught(call.id) {
        Found::warning(code, span, message, remedy)
    } else {
        Found::error(code, span, message, remedy)
    }
}

fn check_options<'a>(
    body: &Body<'_, 'a>,
    call: &Call<'a>,
    known: &[&str],
    surroundings: &dyn Surroundings,
    told: &mut Told,
    found: &mut Vec<Found>,
) {
    let Some(options) = call.argument(1) else {
        return;
    };
    let name = call.called.name();
    let literal = body.literal(options);
    if let Some(kind) = kind(literal)
        && !matches!(kind, "an object" | "null" | "an array")
    {
        let message = format!("{name}: the options are {kind}");
        let remedy = "give an object, such as { label: '…' }";
        found.push(thrown(
            body,
            call,
            "options",
            options.span(),
            message,
            remedy,
        ));
    }
    let Some(object) = body.object(options) else {
        return;
    };
    let (fields, _) = body.fields(object);
    for field in &fields {
        if matches!(call.called, Called::Merge) {
            found.extend(unknown(body, call, field, known));
        } else if is_known(body, &name, field, known, told, found) {
            value(body, call, field, surroundings, found);
        }
    }
}

/// What a call throws that has options of its own alone: the patterns and `merge`.
pub(super) fn unknown<'a>(
    body: &Body<'_, 'a>,
    call: &Call<'a>,
    field: &Field<'a>,
    known: &[&str],
) -> Option<Found> {
    let name = field.name.as_str();
    if known.contains(&name) || body.global(field.value) == Some("undefined") {
        return None;
    }
    let message = format!("{}: there is no option `{name}`", call.called.name());
    let remedy = remedy(name, known);
    Some(thrown(
        body,
        call,
        "unknown-option",
        field.key,
        message,
        remedy,
    ))
}

fn remedy(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", known.join(", ")),
    }
}

/// Whether an option of an agent is one of these; a finding if not.
fn is_known<'a>(
    body: &Body<'_, 'a>,
    call: &str,
    field: &Field<'a>,
    known: &[&str],
    told: &mut Told,
    found: &mut Vec<Found>,
) -> bool {
    let name = field.name.as_str();
    // One that is undefined counts as not given.
    if body.global(field.value) == Some("undefined") || SHOWN.contains(&name) {
        return false;
    }
    if known.contains(&name) {
        return true;
    }
    let all: Vec<&str> = SHOWN.iter().chain(known).copied().collect();
    let remedy = remedy(name, &all);
    let message = format!("{call}: the option `{name}` is not known and will be ignored");
    if let Some(first) = told.get(&message).and_then(|&index| found.get_mut(index)) {
        if first.related.is_empty() {
            first.related.push((field.key, "and here".to_owned()));
        }
        return false;
    }
    told.insert(message.clone(), found.len());
    found.push(Found::warning("unknown-option", field.key, message, remedy));
    false
}

/// What a run would say to the value of an option.
pub(super) fn value<'a>(
    body: &Body<'_, 'a>,
    call: &Call<'a>,
    field: &Field<'a>,
    surroundings: &dyn Surroundings,
    found: &mut Vec<Found>,
) {
    let given = body.json(field.value).filter(|value| *value != Value::Null);
    let problem = given.and_then(|given| surroundings.option(&field.name, &given));
    let Some(Problem {
        code,
        message,
        remedy,
        pointer,
    }) = problem
    else {
        return;
    };
    let used = field.value.span();
    let place = body.place(field.value, pointer.as_deref().unwrap_or_default());
    let wrong = thrown(body, call, code, place, message, remedy);
    found.push(if place.start < used.start || place.end > used.end {
        wrong.related(used, "used here")
    } else {
        wrong
    });
}

/// Checks options of agents that stand elsewhere, such as in those of a pattern.
pub(super) fn of_agent<'a>(
    body: &Body<'_, 'a>,
    call: &Call<'a>,
    fields: &[Field<'a>],
    surroundings: &dyn Surroundings,
    told: &mut Told,
    found: &mut Vec<Found>,
) {
    let name = call.called.name();
    for field in fields {
        if is_known(body, &name, field, &AGENT, told, found) {
            value(body, call, field, surroundings, found);
        }
    }
}
