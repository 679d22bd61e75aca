//! Promises that nobody waits for, and promises where functions belong (P02, L03, B08).

use oxc_ast::AstKind;
use oxc_ast::ast::{
    Argument, ArrayExpressionElement, ArrowFunctionBody, CallExpression, Expression, Statement,
};
use oxc_span::GetSpan;

use super::body::{Body, Call, Called};
use super::finding::Found;
use super::options::thrown;

const WRAP: &str = "wrap it, so that parallel() starts it: () => agent(…)";

pub(super) fn check(body: &Body<'_, '_>, found: &mut Vec<Found>) {
    for call in &body.calls {
        if call.called.gives_promise() {
            found.extend(unawaited(body, call));
        }
        match call.called {
            Called::Parallel => thunks(body, call, found),
            Called::Pipeline => stages(body, call, found),
            _ => {}
        }
    }
    for node in body.nodes().iter() {
        if let AstKind::CallExpression(call) = node.kind() {
            found.extend(for_each(body, call));
        }
    }
}

/// A call whose promise is dropped, or used as if it were the value.
fn unawaited(body: &Body<'_, '_>, call: &Call<'_>) -> Option<Found> {
    let nodes = body.nodes();
    let mut parents = nodes.ancestor_kinds(call.id);
    let mut inner = call.written.span;
    let parent = parents.find(|kind| {
        let is_wrapping = matches!(
            kind,
            AstKind::ParenthesizedExpression(_) | AstKind::ChainExpression(_)
        );
        if is_wrapping {
            inner = kind.span();
        }
        !is_wrapping
    })?;
    let name = call.called.name();
    match parent {
        AstKind::ExpressionStatement(_) => {
            let message = format!("nobody waits for {name}()");
            let remedy = "write `await` in front of it; what still runs when the script returns is cancelled";
            Some(Found::warning(
                "floating-promise",
                call.written.callee.span(),
                message,
                remedy,
            ))
        }
        AstKind::StaticMemberExpression(member)
            if member.object.span() == inner
                && !matches!(
                    member.property.name.as_str(),
                    "then" | "catch" | "finally" | "constructor"
                ) =>
        {
            let property = member.property.name.as_str();
            let message = format!("{name}() gives a promise, which has no `{property}`");
            let remedy = format!("wait for it first: (await {name}(…)).{property}");
            Some(Found::warning(
                "missing-await",
                call.written.callee.span(),
                message,
                remedy,
            ))
        }
        _ => None,
    }
}

/// Whether an expression is sure to be a promise.
fn is_promise<'a>(body: &Body<'_, 'a>, expression: &'a Expression<'a>) -> bool {
    match expression.without_parentheses() {
        Expression::CallExpression(call) => {
            body.called(call).is_some_and(Called::gives_promise)
                || match &call.callee {
                    Expression::StaticMemberExpression(member) => {
                        let is_chain =
                            matches!(member.property.name.as_str(), "then" | "catch" | "finally");
                        is_chain && is_promise(body, &member.object)
                    }
                    _ => false,
                }
        }
        Expression::ConditionalExpression(choice) => {
            is_promise(body, &choice.consequent) && is_promise(body, &choice.alternate)
        }
        _ => false,
    }
}

/// Whether a function is sure to give a promise, whatever it is called with.
fn gives_promise<'a>(body: &Body<'_, 'a>, function: &'a Expression<'a>) -> bool {
    match function.without_parentheses() {
        Expression::ArrowFunctionExpression(arrow) => {
            arrow.r#async
                || match &arrow.body {
                    ArrowFunctionBody::FunctionBody(block) => match block.statements.as_slice() {
                        [Statement::ReturnStatement(only)] => only
                            .argument
                            .as_ref()
                            .is_some_and(|it| is_promise(body, it)),
                        _ => false,
                    },
                    value => value.as_expression().is_some_and(|it| is_promise(body, it)),
                }
        }
        Expression::FunctionExpression(function) => function.r#async && !function.generator,
        _ => false,
    }
}

/// The function that makes the items of a list, as in `list.map(f)` and `Array.from(list, f)`.
fn maker<'a>(body: &Body<'_, 'a>, list: &'a Expression<'a>) -> Option<&'a Expression<'a>> {
    let Expression::CallExpression(call) = body.literal(list) else {
        return None;
    };
    let Expression::StaticMemberExpression(member) = &call.callee else {
        return None;
    };
    let index = match member.property.name.as_str() {
        "map" => 0,
        "from" if body.global(&member.object) == Some("Array") => 1,
        _ => return None,
    };
    call.arguments.get(index)?.as_expression()
}

fn thunks<'a>(body: &Body<'_, 'a>, call: &Call<'a>, found: &mut Vec<Found>) {
    let Some(list) = call.argument(0) else {
        return;
    };
    let mut wrong = |place, message: &str, remedy: &str| {
        found.push(thrown(body, call, "no-thunk", place, message, remedy));
    };
    if is_promise(body, list) || matches!(list, Expression::ArrowFunctionExpression(_)) {
        let remedy = "give an array of functions: parallel([() => agent(…), …])";
        return wrong(
            list.span(),
            "parallel(thunks): the argument is no array",
            remedy,
        );
    }
    if let Some(maker) = maker(body, list).filter(|maker| gives_promise(body, maker)) {
        let message = "parallel(thunks): these items are promises, no functions";
        let remedy = "give functions, so that parallel() starts them: (item) => () => agent(…)";
        return wrong(maker.span(), message, remedy);
    }
    let Expression::ArrayExpression(array) = body.literal(list) else {
        return;
    };
    for element in &array.elements {
        match element {
            ArrayExpressionElement::SpreadElement(_) => {}
            _ => {
                if let Some(item) = element.as_expression()
                    && is_promise(body, item)
                {
                    let message = "parallel(thunks): this item is a promise, no function";
                    wrong(item.span(), message, WRAP);
                }
            }
        }
    }
}

fn stages<'a>(body: &Body<'_, 'a>, call: &Call<'a>, found: &mut Vec<Found>) {
    let mut wrong = |place, message: String, remedy: &str| {
        found.push(thrown(body, call, "no-stage", place, message, remedy));
    };
    if let Some(items) = call.argument(0)
        && matches!(
            items,
            Expression::ArrowFunctionExpression(_) | Expression::FunctionExpression(_)
        )
    {
        let message = "pipeline(items, ...stages): the first argument is a function".to_owned();
        return wrong(items.span(), message, "give an array of items first");
    }
    for index in 1..call.written.arguments.len() {
        let stage = call.argument(index);
        let is_list = |it: &Expression<'_>| matches!(it, Expression::ArrayExpression(_));
        if let Some(stage) = stage.filter(|it| is_promise(body, it) || is_list(it)) {
            let what = if is_list(stage) {
                "an array"
            } else {
                "a promise"
            };
            let message = format!("pipeline(items, ...stages): stage {index} is {what}");
            let remedy = "give functions: (previous, item, index) => agent(…)";
            wrong(stage.span(), message, remedy);
        }
    }
}

/// `forEach` drops what its function gives.
fn for_each<'a>(body: &Body<'_, 'a>, call: &'a CallExpression<'a>) -> Option<Found> {
    let Expression::StaticMemberExpression(member) = &call.callee else {
        return None;
    };
    let function = call.arguments.first().and_then(Argument::as_expression)?;
    if member.property.name != "forEach" || !gives_promise(body, function) {
        return None;
    }
    let message = "nobody waits for what this function starts: forEach() drops its promises";
    let remedy =
        "use `for (const item of items) await …`, or await parallel(items.map((item) => () => …))";
    Some(Found::warning(
        "floating-promise",
        function.span(),
        message,
        remedy,
    ))
}
