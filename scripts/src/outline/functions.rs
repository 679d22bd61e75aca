//! Functions of the script: drawn where they are called, or given to what calls them.

use oxc_ast::AstKind;
use oxc_ast::ast::{Argument, CallExpression, Expression};
use oxc_semantic::NodeId;
use oxc_span::GetSpan;

use super::draw::{Drawing, count, works};
use super::{Bound, Kind, Node};
use crate::check::body::Call;

impl<'a> Drawing<'_, '_, 'a> {
    pub(super) fn call(&mut self, id: NodeId, call: &'a CallExpression<'a>) {
        if let Some(called) = self.body.called(call) {
            return self.of_contract(
                id,
                Call {
                    called,
                    written: call,
                    id,
                },
            );
        }
        if let Expression::StaticMemberExpression(member) = &call.callee {
            let name = member.property.name.as_str();
            let first = call.arguments.first().and_then(Argument::as_expression);
            if self.body.global(&member.object) == Some("Promise")
                && let Some(list) = first
            {
                let kind = match name {
                    "all" | "allSettled" => Some(Kind::Parallel),
                    "race" | "any" => Some(Kind::Race),
                    _ => None,
                };
                if let Some(kind) = kind {
                    return self.promises(kind, call, list);
                }
            }
            if let Some(function) = first.filter(|it| self.function_of(it).is_some()) {
                match name {
                    "push" if self.is_kept(&member.object) => return,
                    "map" | "flatMap" | "forEach" => {
                        return self.each(Kind::Parallel, call, &member.object, function);
                    }
                    "reduce" | "filter" | "some" | "every" | "find" => {
                        return self.each(Kind::Loop, call, &member.object, function);
                    }
                    _ => {}
                }
            }
            if name == "from"
                && self.body.global(&member.object) == Some("Array")
                && let [list, function] = call.arguments.as_slice()
                && let (Some(list), Some(function)) =
                    (list.as_expression(), function.as_expression())
            {
                return self.each(Kind::Parallel, call, list, function);
            }
        }
        self.expression(&call.callee);
        for argument in &call.arguments {
            match argument.as_expression() {
                Some(given) if self.named_function(given).is_some() => {
                    // A function that is given away by its name is taken to be called there.
                    if let Some(function) = self.named_function(given) {
                        self.run(function);
                    }
                }
                _ => self.argument(argument),
            }
        }
        if let Some(function) = self.named_function(&call.callee) {
            let name = self.text(call.callee.span());
            if self.following.contains(&function) {
                self.cuts += 1;
                let mut node =
                    self.node(Kind::Recursion, call.span, format!("{name}() calls itself"));
                node.bound = Some(Bound::NoneFound);
                node.recursion_of = Some(function);
                return self.push(node);
            }
            let children = self.collect(|it| it.run(function));
            let node = self.node(Kind::Function, call.span, format!("{name}()"));
            self.enclose(node, children);
        }
    }

    /// The function of the script that an expression is, or names.
    pub(super) fn function_of(&self, expression: &'a Expression<'a>) -> Option<NodeId> {
        let literal = self.body.literal(expression);
        if is_function(literal) {
            return Some(AstKind::from_expression(literal).node_id());
        }
        let Expression::Identifier(name) = literal else {
            return None;
        };
        let declared = self
            .body
            .scoping()
            .symbol_declaration(self.body.symbol(name)?);
        matches!(self.body.nodes().kind(declared), AstKind::Function(_)).then_some(declared)
    }

    /// The function that a name stands for.
    pub(super) fn named_function(&self, expression: &'a Expression<'a>) -> Option<NodeId> {
        let is_name = matches!(expression.without_parentheses(), Expression::Identifier(_));
        is_name.then(|| self.function_of(expression)).flatten()
    }

    /// Draws what is in a function, if there is work in it.
    pub(super) fn run(&mut self, function: NodeId) {
        if self.idle.contains(&function) {
            return;
        }
        if self.following.contains(&function) {
            self.cuts += 1;
            return;
        }
        let (before, cuts) = (self.out.len(), self.cuts);
        self.following.push(function);
        self.walk_children(function);
        self.following.pop();
        let drawn = self.out.get(before..).unwrap_or_default();
        // That it calls itself is work only if it does something else.
        if !works(drawn, Some(function)) && drawn.iter().all(|node| node.kind != Kind::Phase) {
            let dropped = self.out.split_off(before.min(self.out.len()));
            self.give_back(&dropped);
            // What was cut off, since it is being followed already, may have been the work.
            if self.cuts == cuts {
                self.idle.insert(function);
            }
        }
    }

    /// Parts that are not drawn after all.
    pub(super) fn give_back(&mut self, dropped: &[Node]) {
        if self.nodes_left > 0 {
            self.nodes_left += count(dropped);
        }
    }

    pub(super) fn is_kept(&self, expression: &'a Expression<'a>) -> bool {
        let Expression::Identifier(name) = expression.without_parentheses() else {
            return false;
        };
        self.body
            .symbol(name)
            .is_some_and(|symbol| self.kept_lists.contains(&symbol))
    }
}

/// Whether an expression is a function as it is written.
pub(super) fn is_function(expression: &Expression<'_>) -> bool {
    matches!(
        expression.without_parentheses(),
        Expression::ArrowFunctionExpression(_) | Expression::FunctionExpression(_)
    )
}
