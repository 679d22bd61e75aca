//! Fan-outs that are sure to exceed a cap (P03, C01), as far as their lengths stand in the text.

use oxc_ast::ast::{ArrayExpressionElement, CallExpression, Expression};
use oxc_span::GetSpan;

use super::body::{Body, Called};
use super::finding::Found;
use super::surroundings::Caps;

pub(super) fn check(body: &Body<'_, '_>, caps: Caps, found: &mut Vec<Found>) {
    for call in &body.calls {
        if !matches!(call.called, Called::Parallel | Called::Pipeline) {
            continue;
        }
        let Some(list) = call.argument(0) else {
            continue;
        };
        if let Some(length) = least_length(body, list).filter(|length| *length > caps.items) {
            let message = format!(
                "{}: {} items, more than the cap of {}",
                call.called.name(),
                shown(length),
                shown(caps.items)
            );
            let remedy = format!("split the work, or raise the cap with `--max-items {length}`");
            found.push(Found::warning("items-cap", list.span(), message, remedy));
        }
    }
    agents(body, caps, found);
}

/// All agents that are sure to be asked, together.
fn agents(body: &Body<'_, '_>, caps: Caps, found: &mut Vec<Found>) {
    let calls = body.calls.iter().filter(|call| call.called.is_agent());
    let times = calls.filter_map(|call| Some((call, body.times(call.id)?)));
    let times: Vec<_> = times.collect();
    let total = times
        .iter()
        .fold(0_u64, |sum, (_, times)| sum.saturating_add(*times));
    // The one that is asked most is where the number comes from.
    let Some((most, share)) = times.iter().max_by_key(|(_, times)| *times) else {
        return;
    };
    if total > caps.agents {
        let place = most.written.callee.span();
        let message = format!(
            "the script asks {} agents, {} of them here: more than the cap of {}",
            shown(total),
            shown(*share),
            shown(caps.agents)
        );
        let remedy = format!("ask fewer, or raise the cap with `--max-agents {total}`");
        found.push(Found::warning("agents-cap", place, message, remedy));
    }
}

/// A number with its thousands apart.
fn shown(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many items at least a list has; `None` where the text does not say it.
pub(crate) fn least_length<'a>(body: &Body<'_, 'a>, list: &'a Expression<'a>) -> Option<u64> {
    length(body, list, 0)
}

fn length<'a>(body: &Body<'_, 'a>, list: &'a Expression<'a>, depth: usize) -> Option<u64> {
    const DEPTH_MAX: usize = 50;
    if depth > DEPTH_MAX || !body.take_value() {
        return None;
    }
    match body.literal(list) {
        Expression::ArrayExpression(array) => {
            let mut sum = 0_u64;
            for element in &array.elements {
                let more = match element {
                    ArrayExpressionElement::SpreadElement(spread) => {
                        length(body, &spread.argument, depth + 1).unwrap_or(0)
                    }
                    _ => 1,
                };
                sum = sum.saturating_add(more);
            }
            Some(sum)
        }
        Expression::NewExpression(new) if body.global(&new.callee) == Some("Array") => {
            match new.arguments.as_slice() {
                [only] => body.count(only.as_expression()?),
                _ => None,
            }
        }
        Expression::CallExpression(call) => length_of_call(body, call, depth),
        _ => None,
    }
}

pub(crate) fn length_of_call<'a>(
    body: &Body<'_, 'a>,
    call: &'a CallExpression<'a>,
    depth: usize,
) -> Option<u64> {
    let first = || call.arguments.first()?.as_expression();
    if body.global(&call.callee) == Some("Array") && call.arguments.len() == 1 {
        return body.count(first()?);
    }
    let Expression::StaticMemberExpression(member) = &call.callee else {
        return None;
    };
    match member.property.name.as_str() {
        "from" if body.global(&member.object) == Some("Array") => {
            let source = first()?;
            let Some(object) = body.object(source) else {
                return length(body, source, depth + 1);
            };
            let (fields, is_all) = body.fields(object);
            let found = fields
                .into_iter()
                .rev()
                .find(|field| field.name == "length");
            found
                .filter(|_| is_all)
                .and_then(|field| body.count(field.value))
        }
        "map" | "fill" | "keys" | "entries" | "values" | "reverse" | "sort" | "toSorted"
        | "toReversed" => length(body, &member.object, depth + 1),
        "concat" => {
            let own = length(body, &member.object, depth + 1)?;
            let others = call
                .arguments
                .iter()
                .filter_map(|argument| length(body, argument.as_expression()?, depth + 1));
            Some(others.fold(own, u64::saturating_add))
        }
        _ => None,
    }
}
