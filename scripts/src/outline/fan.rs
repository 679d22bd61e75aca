//! What is done at once: what is gone through, and what is done with each.

use oxc_ast::AstKind;
use oxc_ast::ast::{Argument, ArrayExpressionElement, CallExpression, Expression};
use oxc_span::{GetSpan, Span};

use super::bound::items;
use super::draw::{DEPTH_MAX, Drawing};
use super::{Bound, Kind, Node};
use crate::check::body::Call;

/// What a fan-out goes through.
pub(super) struct Fan {
    over: String,
    bound: Bound,
    /// What is done to get it.
    before: Vec<Node>,
    /// What is done with each.
    inside: Vec<Node>,
}

impl<'a> Drawing<'_, '_, 'a> {
    pub(super) fn pipeline(&mut self, call: &Call<'a>) {
        let span = call.written.span;
        let list = call.argument(0);
        if let Some(list) = list {
            self.expression(list);
        }
        let stages = self.collect(|it| {
            for (argument, number) in call.written.arguments.iter().skip(1).zip(1..) {
                let Some(stage) = argument.as_expression() else {
                    continue;
                };
                let inside = it.collect(|it| it.thunk(stage));
                let node = it.node(Kind::Stage, stage.span(), format!("{number}"));
                it.place(node, inside);
            }
        });
        let over = list.map_or_else(String::new, |list| {
            format!("over {}", self.text(list.span()))
        });
        let mut node = self.node(Kind::Pipeline, span, over);
        node.bound = Some(list.map_or(Bound::NoneFound, |list| items(self.body, list)));
        self.place(node, stages);
    }

    /// `Promise.all` and its like. What is in a variable was started where that stands.
    pub(super) fn promises(
        &mut self,
        kind: Kind,
        call: &'a CallExpression<'a>,
        list: &'a Expression<'a>,
    ) {
        if !matches!(list.without_parentheses(), Expression::Identifier(_)) {
            let fan = self.fan(list, 0);
            self.fanned(kind, call.span, fan);
        }
    }

    /// A function that is called for each of a list.
    pub(super) fn each(
        &mut self,
        kind: Kind,
        call: &'a CallExpression<'a>,
        list: &'a Expression<'a>,
        function: &'a Expression<'a>,
    ) {
        self.expression(list);
        let children = self.collect(|it| it.thunk(function));
        let mut node = self.node(kind, call.span, format!("over {}", self.text(list.span())));
        node.bound = Some(items(self.body, list));
        self.enclose(node, children);
    }

    pub(super) fn fanned(&mut self, kind: Kind, span: Span, fan: Fan) {
        self.out.extend(fan.before);
        let text = if fan.over.is_empty() {
            fan.over
        } else {
            format!("over {}", fan.over)
        };
        let mut node = self.node(kind, span, text);
        node.bound = Some(fan.bound);
        self.place(node, fan.inside);
    }

    /// What a list of thunks or promises goes through, and what each of them does.
    pub(super) fn fan(&mut self, list: &'a Expression<'a>, nested: usize) -> Fan {
        let mut fan = Fan {
            over: self.text(list.span()),
            bound: Bound::NoneFound,
            before: Vec::new(),
            inside: Vec::new(),
        };
        let list = list.without_parentheses();
        if nested >= DEPTH_MAX {
            return fan;
        }
        match list {
            Expression::ArrayExpression(array) => {
                let mut names = Vec::new();
                for element in &array.elements {
                    match element {
                        ArrayExpressionElement::SpreadElement(spread) => {
                            let part = self.fan(&spread.argument, nested + 1);
                            names.push(part.over);
                            fan.before.extend(part.before);
                            fan.inside.extend(part.inside);
                        }
                        other => {
                            if let Some(item) = other.as_expression() {
                                fan.inside.extend(self.collect(|it| it.thunk(item)));
                            }
                        }
                    }
                }
                fan.bound = items(self.body, list);
                fan.over = names.join(", ");
            }
            Expression::Identifier(_) => {
                let literal = self.body.literal(list);
                if matches!(literal, Expression::Identifier(_)) {
                    fan.inside = self.pushed(list);
                } else {
                    let of = self.fan(literal, nested + 1);
                    let over = if of.over.is_empty() {
                        fan.over
                    } else {
                        of.over
                    };
                    return Fan { over, ..of };
                }
            }
            Expression::CallExpression(call) => self.fan_of_call(call, list, nested, &mut fan),
            other => fan.inside = self.collect(|it| it.expression(other)),
        }
        fan
    }

    pub(super) fn fan_of_call(
        &mut self,
        call: &'a CallExpression<'a>,
        list: &'a Expression<'a>,
        nested: usize,
        fan: &mut Fan,
    ) {
        let first = call.arguments.first().and_then(Argument::as_expression);
        let Expression::StaticMemberExpression(member) = &call.callee else {
            fan.before = self.collect(|it| it.expression(list));
            return;
        };
        let name = member.property.name.as_str();
        let is_array = self.body.global(&member.object) == Some("Array");
        let (source, function) = match (name, first) {
            ("map" | "flatMap", Some(function)) => (&member.object, function),
            ("from", Some(source)) if is_array => {
                match call.arguments.get(1).and_then(Argument::as_expression) {
                    Some(function) => (source, function),
                    None => return,
                }
            }
            // Of what is made from a list of thunks, the list counts.
            ("filter" | "slice" | "concat" | "flat" | "reverse" | "sort" | "toSorted", _) => {
                let of = self.fan(&member.object, nested + 1);
                *fan = Fan {
                    bound: items(self.body, list),
                    ..of
                };
                return;
            }
            _ => {
                fan.before = self.collect(|it| it.expression(list));
                return;
            }
        };
        fan.over = self.text(source.span());
        fan.bound = match name {
            "flatMap" => Bound::NoneFound,
            "from" => items(self.body, list),
            _ => items(self.body, source),
        };
        fan.before = self.collect(|it| it.expression(source));
        fan.inside = self.collect(|it| it.thunk(function));
    }

    /// What a function does when it is called, whatever it is called with; or what an expression does.
    pub(super) fn thunk(&mut self, expression: &'a Expression<'a>) {
        match self.function_of(expression) {
            Some(function) => self.run(function),
            None => self.expression(expression),
        }
    }

    /// What was pushed to the list that a name stands for.
    pub(super) fn pushed(&mut self, name: &'a Expression<'a>) -> Vec<Node> {
        let Expression::Identifier(name) = name else {
            return Vec::new();
        };
        let Some(symbol) = self.body.symbol(name) else {
            return Vec::new();
        };
        let nodes = self.body.nodes();
        let uses = self.body.scoping().get_resolved_references(symbol);
        let calls: Vec<&'a CallExpression<'a>> = uses
            .filter_map(|reference| {
                let member = nodes.parent_id(reference.node_id());
                match (nodes.kind(member), nodes.parent_kind(member)) {
                    (AstKind::StaticMemberExpression(it), AstKind::CallExpression(call))
                        if it.property.name == "push" && call.callee.span() == it.span =>
                    {
                        Some(call)
                    }
                    _ => None,
                }
            })
            .collect();
        self.collect(|it| {
            let given = calls.into_iter().flat_map(|call| &call.arguments);
            for thunk in given.filter_map(Argument::as_expression) {
                it.thunk(thunk);
            }
        })
    }
}
