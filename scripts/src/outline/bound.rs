//! How often a loop goes round, and how many items a list has, at most, as far as the text says it.

use oxc_ast::AstKind;
use oxc_ast::ast::{
    ArrayExpressionElement, AssignmentOperator, BinaryOperator, CallExpression, Expression,
    IdentifierReference, LogicalOperator, Statement, UnaryOperator, UpdateOperator,
};
use oxc_semantic::NodeId;
use oxc_span::{GetSpan, Span};
use oxc_syntax::symbol::SymbolId;

use super::Bound;
use crate::check::body::Body;
use crate::check::fanout::least_length;

const DEPTH_MAX: usize = 50;

/// How many items a list has.
pub(super) fn items<'a>(body: &Body<'_, 'a>, list: &'a Expression<'a>) -> Bound {
    most(body, list, 0)
}

fn most<'a>(body: &Body<'_, 'a>, list: &'a Expression<'a>, depth: usize) -> Bound {
    if depth > DEPTH_MAX || !body.take_value() {
        return Bound::NoneFound;
    }
    match body.literal(list) {
        Expression::ArrayExpression(array) => {
            let mut sum = Bound::Exactly(0);
            for element in &array.elements {
                sum = match element {
                    ArrayExpressionElement::SpreadElement(spread) => {
                        plus(sum, most(body, &spread.argument, depth + 1))
                    }
                    _ => plus(sum, Bound::Exactly(1)),
                };
            }
            sum
        }
        Expression::CallExpression(call) => of_call(body, call, depth),
        other => least_length(body, other).map_or(Bound::NoneFound, Bound::Exactly),
    }
}

fn of_call<'a>(body: &Body<'_, 'a>, call: &'a CallExpression<'a>, depth: usize) -> Bound {
    let Expression::StaticMemberExpression(member) = &call.callee else {
        return crate::check::fanout::length_of_call(body, call, depth)
            .map_or(Bound::NoneFound, Bound::Exactly);
    };
    let of_object = || most(body, &member.object, depth + 1);
    match member.property.name.as_str() {
        "map" | "toSorted" | "sort" | "reverse" | "toReversed" | "entries" | "keys" | "values"
            if body.global(&member.object) != Some("Object") =>
        {
            of_object()
        }
        "filter" => at_most(of_object()),
        "slice" => {
            let given = |index: usize| body.count(call.arguments.get(index)?.as_expression()?);
            match (given(0), given(1)) {
                (Some(from), Some(to)) => least(at_most(of_object()), to.saturating_sub(from)),
                _ => at_most(of_object()),
            }
        }
        _ => crate::check::fanout::length_of_call(body, call, depth)
            .map_or(Bound::NoneFound, Bound::Exactly),
    }
}

fn plus(one: Bound, other: Bound) -> Bound {
    match (one, other) {
        (Bound::Exactly(one), Bound::Exactly(other)) => Bound::Exactly(one.saturating_add(other)),
        (
            Bound::Exactly(one) | Bound::AtMost(one),
            Bound::Exactly(other) | Bound::AtMost(other),
        ) => Bound::AtMost(one.saturating_add(other)),
        _ => Bound::NoneFound,
    }
}

/// What is left of a bound when something may end it early.
pub(super) fn at_most(bound: Bound) -> Bound {
    match bound {
        Bound::Exactly(count) => Bound::AtMost(count),
        other => other,
    }
}

fn least(bound: Bound, count: u64) -> Bound {
    match bound {
        Bound::Exactly(other) | Bound::AtMost(other) => Bound::AtMost(other.min(count)),
        _ => Bound::AtMost(count),
    }
}

/// A loop that goes on while a condition holds.
pub(super) struct Rounds<'a> {
    /// The condition; none is always.
    pub(super) test: Option<&'a Expression<'a>>,
    pub(super) body: &'a Statement<'a>,
    /// The whole loop.
    pub(super) span: Span,
    /// The loop's node.
    pub(super) id: NodeId,
    /// Whether the condition is asked behind the body.
    pub(super) is_late: bool,
}

/// How often such a loop goes round.
pub(super) fn rounds<'a>(body: &Body<'_, 'a>, of: &Rounds<'a>) -> Bound {
    let mut conditions = Vec::new();
    let mut budget = false;
    if let Some(test) = of.test {
        gather(test, LogicalOperator::And, &mut conditions);
        budget |= asks_budget(body, test);
    }
    let mut counted = conditions
        .iter()
        .filter_map(|condition| passes(body, of, condition, true))
        .map(|count| count.saturating_add(u64::from(of.is_late)))
        .min();
    for (index, statement) in statements(of.body).iter().enumerate() {
        let Statement::IfStatement(gate) = statement else {
            continue;
        };
        if !ends_loop(&gate.consequent) {
            continue;
        }
        budget |= asks_budget(body, &gate.test);
        let mut reasons = Vec::new();
        gather(&gate.test, LogicalOperator::Or, &mut reasons);
        for reason in reasons {
            if let Some(count) = passes(body, of, reason, false) {
                // The round in which the loop is left counts, unless it has done nothing before.
                let count = count.saturating_add(u64::from(index > 0));
                counted = Some(counted.map_or(count, |other| other.min(count)));
            }
        }
    }
    match counted {
        Some(count) => Bound::AtMost(count),
        None if budget => Bound::Budget,
        None => Bound::NoneFound,
    }
}

fn statements<'a>(body: &'a Statement<'a>) -> &'a [Statement<'a>] {
    match body {
        Statement::BlockStatement(block) => &block.body,
        other => std::slice::from_ref(other),
    }
}

/// Whether a statement does nothing but leave the loop.
fn ends_loop(statement: &Statement<'_>) -> bool {
    match statement {
        Statement::BreakStatement(leave) => leave.label.is_none(),
        Statement::ReturnStatement(_) | Statement::ThrowStatement(_) => true,
        Statement::BlockStatement(block) => block.body.last().is_some_and(ends_loop),
        _ => false,
    }
}

/// The parts of a condition that this operator joins.
fn gather<'a>(
    condition: &'a Expression<'a>,
    operator: LogicalOperator,
    parts: &mut Vec<&'a Expression<'a>>,
) {
    match condition.without_parentheses() {
        Expression::LogicalExpression(logical) if logical.operator == operator => {
            gather(&logical.left, operator, parts);
            gather(&logical.right, operator, parts);
        }
        other => parts.push(other),
    }
}

fn asks_budget<'a>(body: &Body<'_, 'a>, condition: &'a Expression<'a>) -> bool {
    match condition.without_parentheses() {
        Expression::LogicalExpression(logical) => {
            asks_budget(body, &logical.left) || asks_budget(body, &logical.right)
        }
        Expression::BinaryExpression(binary) => {
            asks_budget(body, &binary.left) || asks_budget(body, &binary.right)
        }
        Expression::UnaryExpression(unary) if unary.operator == UnaryOperator::LogicalNot => {
            asks_budget(body, &unary.argument)
        }
        Expression::CallExpression(call) => match &call.callee {
            Expression::StaticMemberExpression(member) => {
                body.global(&member.object) == Some("budget")
            }
            _ => false,
        },
        _ => false,
    }
}

/// How often, at most, a condition on a counter lets the loop go on: `round < 5` while it `holds`, `round >= 5` until it does.
fn passes<'a>(
    body: &Body<'_, 'a>,
    of: &Rounds<'a>,
    condition: &'a Expression<'a>,
    holds: bool,
) -> Option<u64> {
    let Expression::BinaryExpression(binary) = condition.without_parentheses() else {
        return None;
    };
    let (name, end, operator) = match (counter(&binary.left), body.count(&binary.right)) {
        (Some(name), Some(end)) => (name, end, binary.operator),
        _ => (
            counter(&binary.right)?,
            body.count(&binary.left)?,
            turned(binary.operator)?,
        ),
    };
    let reached_at = match (operator, holds) {
        (BinaryOperator::LessThan, true)
        | (
            BinaryOperator::GreaterEqualThan
            | BinaryOperator::StrictEquality
            | BinaryOperator::Equality,
            false,
        ) => end,
        (BinaryOperator::LessEqualThan, true) | (BinaryOperator::GreaterThan, false) => {
            end.checked_add(1)?
        }
        _ => return None,
    };
    let symbol = body.symbol(name)?;
    let (from, step, write) = counts_up(body, of, symbol)?;
    let rounds = reached_at.saturating_sub(from).div_ceil(step);
    // Behind a body that has counted already it lets the loop go on once less.
    let is_behind =
        of.body.span().contains_inclusive(write) && write.start < condition.span().start;
    let counted = is_behind || counts_first(condition);
    Some(rounds.saturating_sub(u64::from(counted)))
}

/// The variable that a condition counts by; it may be counted up there.
fn counter<'a>(expression: &'a Expression<'a>) -> Option<&'a IdentifierReference<'a>> {
    match expression.without_parentheses() {
        Expression::Identifier(name) => Some(name),
        Expression::UpdateExpression(update) if update.operator == UpdateOperator::Increment => {
            match &update.argument {
                oxc_ast::ast::SimpleAssignmentTarget::AssignmentTargetIdentifier(name) => {
                    Some(name)
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn turned(operator: BinaryOperator) -> Option<BinaryOperator> {
    Some(match operator {
        BinaryOperator::LessThan => BinaryOperator::GreaterThan,
        BinaryOperator::GreaterThan => BinaryOperator::LessThan,
        BinaryOperator::LessEqualThan => BinaryOperator::GreaterEqualThan,
        BinaryOperator::GreaterEqualThan => BinaryOperator::LessEqualThan,
        BinaryOperator::StrictEquality | BinaryOperator::Equality => operator,
        _ => return None,
    })
}

/// Where a variable begins, by how much it grows in each round, and where, if it is written to in no other way.
fn counts_up(body: &Body<'_, '_>, of: &Rounds<'_>, symbol: SymbolId) -> Option<(u64, u64, Span)> {
    let scoping = body.scoping();
    let declaration = body.nodes().kind(scoping.symbol_declaration(symbol));
    let AstKind::VariableDeclarator(declarator) = declaration else {
        return None;
    };
    // One that is made anew in each round does not count.
    if of.body.span().contains_inclusive(declarator.span) {
        return None;
    }
    let from = body.count(declarator.init.as_ref()?)?;
    let mut writes = scoping
        .get_resolved_references(symbol)
        .filter(|reference| reference.is_write());
    let (write, None) = (writes.next()?, writes.next()) else {
        return None;
    };
    let step = in_every_round(body, of, write.node_id())?;
    Some((from, step, body.nodes().kind(write.node_id()).span()))
}

/// By how much the write at this node makes its variable larger, if every round of the loop comes by it.
fn in_every_round(body: &Body<'_, '_>, of: &Rounds<'_>, write: NodeId) -> Option<u64> {
    let nodes = body.nodes();
    let mut step = None;
    let mut below = nodes.kind(write).span();
    for (id, kind) in nodes.ancestor_ids(write).map(|id| (id, nodes.kind(id))) {
        if !body.take_step() {
            return None;
        }
        if id == of.id {
            break;
        }
        match kind {
            AstKind::UpdateExpression(update) if update.operator == UpdateOperator::Increment => {
                step = Some(1);
            }
            AstKind::AssignmentExpression(assignment)
                if assignment.operator == AssignmentOperator::Addition =>
            {
                step = body.count(&assignment.right).filter(|step| *step > 0);
            }
            AstKind::ExpressionStatement(_)
            | AstKind::BlockStatement(_)
            | AstKind::BinaryExpression(_)
            | AstKind::ParenthesizedExpression(_) => {}
            // What comes first in a condition is always looked at.
            AstKind::LogicalExpression(logical) if logical.left.span() == below => {}
            AstKind::IfStatement(gate) if gate.test.span() == below => {}
            _ => return None,
        }
        below = kind.span();
    }
    let place = nodes.kind(write).span();
    // One that belongs to a loop within counts as well: nothing is said rather than too little.
    let is_passed_by = nodes.iter().any(|node| {
        let is_continue = matches!(node.kind(), AstKind::ContinueStatement(it)
            if of.span.contains_inclusive(it.span) && it.span.start < place.start);
        is_continue || !body.take_step()
    });
    step.filter(|_| of.span.contains_inclusive(place) && !is_passed_by)
}

/// Whether a condition counts before it compares: `++round > 4`.
fn counts_first(condition: &Expression<'_>) -> bool {
    let Expression::BinaryExpression(binary) = condition.without_parentheses() else {
        return false;
    };
    [&binary.left, &binary.right].into_iter().any(|side| {
        matches!(side.without_parentheses(), Expression::UpdateExpression(update) if update.prefix)
    })
}
