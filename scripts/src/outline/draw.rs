//! From the syntax tree to the shape: what is called, in what, in the script's order.

use std::collections::HashSet;

use oxc_ast::AstKind;
use oxc_ast::ast::{
    Argument, ArrayExpressionElement, Expression, IfStatement, LogicalOperator, Statement,
};
use oxc_semantic::NodeId;
use oxc_span::{GetSpan, Span};
use oxc_syntax::symbol::SymbolId;

use super::bound::{Rounds, at_most, items, rounds};
use super::functions::is_function;
use super::{Bound, Kind, Node};
use crate::check::body::{Body, Called};
use crate::refusal::Lines;

/// So many parts are drawn: functions are followed where they are called, which can multiply.
const NODES_MAX: usize = 2_000;
/// So many nodes of syntax are looked at, for the same reason.
const STEPS_MAX: u32 = 2_000_000;
/// What is nested deeper is drawn at this depth.
pub(super) const DEPTH_MAX: usize = 30;
/// As much is repeated of a text of the script, in characters.
const TEXT_CHARACTERS: usize = 60;
/// And as much is looked at for that, in bytes: it may be indented.
const TEXT_BYTES_READ: usize = 1_000;

/// The shape of a body, and whether something was left out.
pub(super) fn draw(body: &Body<'_, '_>) -> (Vec<Node>, bool) {
    let nodes = body.nodes();
    let mut tree = vec![Vec::new(); nodes.len()];
    let mut root = None;
    for node in nodes.iter() {
        let parent = nodes.parent_id(node.id());
        if parent == node.id() {
            root = Some(node.id());
        } else if let Some(children) = tree.get_mut(parent.index()) {
            children.push(node.id());
        }
    }
    let mut drawing = Drawing {
        body,
        tree,
        lines: Lines::of(body.text),
        kept_lists: kept_lists(body),
        out: Vec::new(),
        depth: 0,
        nodes_left: NODES_MAX,
        steps_left: STEPS_MAX,
        following: Vec::new(),
        idle: HashSet::new(),
        cuts: 0,
        drawn: HashSet::new(),
        phase: String::new(),
    };
    if let Some(root) = root {
        drawing.walk(root);
    }
    drawing.rest();
    let left_out = drawing.nodes_left == 0 || drawing.steps_left == 0;
    (drawing.out, left_out)
}

/// Variables that hold what a `parallel` is given: what is in them is drawn there.
fn kept_lists<'a>(body: &Body<'_, 'a>) -> HashSet<SymbolId> {
    let mut kept = HashSet::new();
    let parallel = body
        .calls
        .iter()
        .filter(|call| call.called == Called::Parallel);
    for list in parallel.filter_map(|call| call.argument(0)) {
        let mut add = |expression: &'a Expression<'a>| {
            if let Expression::Identifier(name) = expression.without_parentheses() {
                kept.extend(body.symbol(name));
            }
        };
        add(list);
        if let Expression::ArrayExpression(array) = list {
            for element in &array.elements {
                if let ArrayExpressionElement::SpreadElement(spread) = element {
                    add(&spread.argument);
                }
            }
        }
    }
    kept
}

pub(super) struct Drawing<'b, 's, 'a> {
    pub(super) body: &'b Body<'s, 'a>,
    /// The children of each node, in their order.
    pub(super) tree: Vec<Vec<NodeId>>,
    pub(super) lines: Lines,
    pub(super) kept_lists: HashSet<SymbolId>,
    /// What is in the part that is being drawn.
    pub(super) out: Vec<Node>,
    pub(super) depth: usize,
    pub(super) nodes_left: usize,
    pub(super) steps_left: u32,
    /// Functions that are being followed.
    pub(super) following: Vec<NodeId>,
    /// Functions with nothing to draw in them.
    pub(super) idle: HashSet<NodeId>,
    /// How often a function was not followed, since it is being followed already.
    pub(super) cuts: usize,
    /// Calls that were drawn.
    pub(super) drawn: HashSet<NodeId>,
    /// The phase that was entered last.
    pub(super) phase: String,
}
impl<'a> Drawing<'_, '_, 'a> {
    pub(super) fn line(&self, span: Span) -> u32 {
        self.lines.place(self.body.text, span.start).0
    }

    /// A place of the script on one line, cut when it is long.
    pub(super) fn text(&self, span: Span) -> String {
        // Conditions may be as long as the script, and lie in each other: no more is looked at than can be shown.
        let end = (span.end as usize).min(span.start as usize + TEXT_BYTES_READ);
        let end = self.body.text.floor_char_boundary(end);
        let written = self.body.text.get(span.start as usize..end);
        shortened(written.unwrap_or_default())
    }

    pub(super) fn node(&self, kind: Kind, span: Span, text: impl Into<String>) -> Node {
        Node {
            kind,
            line: self.line(span),
            text: text.into(),
            bound: None,
            role: None,
            options: None,
            children: Vec::new(),
            recursion_of: None,
        }
    }

    pub(super) fn push(&mut self, node: Node) {
        if self.nodes_left > 0 {
            self.nodes_left -= 1;
            self.out.push(node);
        }
    }

    /// What `work` draws, by itself.
    pub(super) fn collect(&mut self, work: impl FnOnce(&mut Self)) -> Vec<Node> {
        let before = std::mem::take(&mut self.out);
        self.depth += 1;
        work(self);
        self.depth -= 1;
        std::mem::replace(&mut self.out, before)
    }

    /// Puts what was drawn into a part of its own, if there is work in it.
    pub(super) fn enclose(&mut self, mut node: Node, children: Vec<Node>) {
        if self.depth >= DEPTH_MAX {
            self.out.extend(children);
        } else if has_work(&children) {
            node.children = children;
            self.push(node);
        } else {
            // Of what is only arranged there, phases matter.
            let (phases, dropped): (Vec<_>, Vec<_>) = children
                .into_iter()
                .partition(|child| child.kind == Kind::Phase);
            self.give_back(&dropped);
            self.out.extend(phases);
        }
    }

    /// Puts what was drawn into a part that is drawn in any case.
    pub(super) fn place(&mut self, mut node: Node, children: Vec<Node>) {
        if self.depth < DEPTH_MAX {
            node.children = children;
            self.push(node);
        } else {
            self.push(node);
            self.out.extend(children);
        }
    }

    pub(super) fn children(&self, id: NodeId) -> Vec<NodeId> {
        self.tree.get(id.index()).cloned().unwrap_or_default()
    }

    pub(super) fn walk_children(&mut self, id: NodeId) {
        for child in self.children(id) {
            self.walk(child);
        }
    }

    /// Walks the child that stands at this place.
    pub(super) fn walk_at(&mut self, id: NodeId, span: Span) {
        let child = self.children(id).into_iter();
        let mut child = child.filter(|&child| self.body.nodes().kind(child).span() == span);
        if let Some(child) = child.next() {
            self.walk(child);
        }
    }

    pub(super) fn expression(&mut self, expression: &'a Expression<'a>) {
        self.walk(AstKind::from_expression(expression).node_id());
    }

    pub(super) fn argument(&mut self, argument: &'a Argument<'a>) {
        match argument {
            Argument::SpreadElement(spread) => self.expression(&spread.argument),
            other => {
                if let Some(expression) = other.as_expression() {
                    self.expression(expression);
                }
            }
        }
    }

    pub(super) fn walk(&mut self, id: NodeId) {
        if self.steps_left == 0 || self.nodes_left == 0 {
            return;
        }
        self.steps_left -= 1;
        match self.body.nodes().kind(id) {
            AstKind::CallExpression(call) => self.call(id, call),
            AstKind::IfStatement(gate) => self.gate(id, gate),
            AstKind::ConditionalExpression(choice) => {
                self.expression(&choice.test);
                let condition = self.text(choice.test.span());
                let then = self.collect(|it| it.expression(&choice.consequent));
                let node = self.node(Kind::Gate, choice.span, condition);
                self.enclose(node, then);
                let otherwise = self.collect(|it| it.expression(&choice.alternate));
                let node = self.node(Kind::Else, choice.alternate.span(), "");
                self.enclose(node, otherwise);
            }
            AstKind::LogicalExpression(logical) => {
                self.expression(&logical.left);
                let left = self.text(logical.left.span());
                let condition = match logical.operator {
                    LogicalOperator::And => left,
                    LogicalOperator::Or => format!("not {left}"),
                    LogicalOperator::Coalesce => format!("{left} is missing"),
                };
                let right = self.collect(|it| it.expression(&logical.right));
                let node = self.node(Kind::Gate, logical.right.span(), condition);
                self.enclose(node, right);
            }
            AstKind::ForStatement(_)
            | AstKind::ForOfStatement(_)
            | AstKind::ForInStatement(_)
            | AstKind::WhileStatement(_)
            | AstKind::DoWhileStatement(_) => self.around(id),
            AstKind::TryStatement(it) => {
                self.walk_at(id, it.block.span);
                if let Some(handler) = &it.handler {
                    let caught = self.collect(|drawing| drawing.walk_at(id, handler.span));
                    let node = self.node(Kind::Catch, handler.span, "");
                    self.enclose(node, caught);
                }
                if let Some(finalizer) = &it.finalizer {
                    self.walk_at(id, finalizer.span);
                }
            }
            AstKind::SwitchCase(case) => {
                let of = match self.body.nodes().parent_kind(id) {
                    AstKind::SwitchStatement(it) => self.text(it.discriminant.span()),
                    _ => String::new(),
                };
                let condition = case.test.as_ref().map_or_else(
                    || format!("{of} is another"),
                    |test| format!("{of} is {}", self.text(test.span())),
                );
                let children = self.collect(|it| it.walk_children(id));
                let node = self.node(Kind::Gate, case.span, condition);
                self.enclose(node, children);
            }
            // A function that has a name is drawn where it is called.
            AstKind::Function(function) if function.is_declaration() => {}
            AstKind::Function(_) | AstKind::ArrowFunctionExpression(_) => self.run(id),
            AstKind::VariableDeclarator(declarator) => {
                let symbol = declarator.id.get_binding_identifier();
                let symbol = symbol.and_then(|name| name.symbol_id.get());
                let is_kept = symbol.is_some_and(|symbol| self.kept_lists.contains(&symbol));
                let is_function = declarator.init.as_ref().is_some_and(is_function);
                if !(is_kept || is_function && symbol.is_some()) {
                    self.walk_children(id);
                }
            }
            _ => self.walk_children(id),
        }
    }

    pub(super) fn gate(&mut self, id: NodeId, gate: &'a IfStatement<'a>) {
        self.expression(&gate.test);
        let condition = self.text(gate.test.span());
        let then = self.collect(|it| it.walk_at(id, gate.consequent.span()));
        let how = leaves(&gate.consequent);
        // What comes behind is gated by that it is not left there.
        let text = match how {
            Some(how) => format!("{condition}, {how}"),
            None => condition,
        };
        let node = self.node(Kind::Gate, gate.span, text);
        if how.is_some() && self.depth < DEPTH_MAX && !has_work(&then) {
            self.push(node);
        } else {
            self.enclose(node, then);
        }
        if let Some(alternate) = &gate.alternate {
            let otherwise = self.collect(|it| it.walk_at(id, alternate.span()));
            if let Statement::IfStatement(_) = alternate {
                self.out.extend(otherwise);
            } else {
                let node = self.node(Kind::Else, alternate.span(), "");
                self.enclose(node, otherwise);
            }
        }
    }

    /// A loop, whatever its form.
    pub(super) fn around(&mut self, id: NodeId) {
        let kind = self.body.nodes().kind(id);
        let body = self.body;
        let by = |test, inside, is_late| {
            rounds(
                body,
                &Rounds {
                    test,
                    body: inside,
                    span: kind.span(),
                    id,
                    is_late,
                },
            )
        };
        let (text, bound, first) = match kind {
            AstKind::ForStatement(it) => {
                let test = it.test.as_ref();
                let shown = test.map_or_else(|| "ever".to_owned(), |test| self.text(test.span()));
                let bound = match body.counted(it) {
                    Some(count) if body.is_left(&it.body) => Bound::AtMost(count),
                    Some(count) => Bound::Exactly(count),
                    None => by(test, &it.body, false),
                };
                (
                    format!("for {shown}"),
                    bound,
                    it.init.as_ref().map(GetSpan::span),
                )
            }
            AstKind::ForOfStatement(it) => {
                let mut bound = items(body, &it.right);
                if body.is_left(&it.body) {
                    bound = at_most(bound);
                }
                let over = self.text(it.right.span());
                (format!("for each of {over}"), bound, Some(it.right.span()))
            }
            AstKind::ForInStatement(it) => {
                let over = self.text(it.right.span());
                let span = it.right.span();
                (
                    format!("for each key of {over}"),
                    Bound::NoneFound,
                    Some(span),
                )
            }
            AstKind::WhileStatement(it) => {
                let bound = by(Some(&it.test), &it.body, false);
                (format!("while {}", self.text(it.test.span())), bound, None)
            }
            AstKind::DoWhileStatement(it) => {
                let bound = by(Some(&it.test), &it.body, true);
                (
                    format!("do while {}", self.text(it.test.span())),
                    bound,
                    None,
                )
            }
            _ => return,
        };
        if let Some(first) = first {
            self.walk_at(id, first);
        }
        let children = self.collect(|it| {
            for child in it.children(id) {
                // What is done once was drawn before the loop.
                if Some(it.body.nodes().kind(child).span()) != first {
                    it.walk(child);
                }
            }
        });
        let mut node = self.node(Kind::Loop, kind.span(), text);
        node.bound = Some(bound);
        self.enclose(node, children);
    }

    /// Calls that nothing has led to, in a part of their own.
    pub(super) fn rest(&mut self) {
        let body = self.body;
        let children = self.collect(|it| {
            for call in &body.calls {
                if call.called != Called::Phase && !it.drawn.contains(&call.id) {
                    it.walk(call.id);
                }
            }
        });
        if has_work(&children) {
            let mut node = self.node(
                Kind::Elsewhere,
                Span::default(),
                "called through a value, or not at all",
            );
            node.line = 0;
            self.place(node, children);
        }
    }
}
/// Whether there is work in these parts.
fn has_work(nodes: &[Node]) -> bool {
    works(nodes, None)
}

/// Whether there is work in these parts, apart from calling `except` again.
pub(super) fn works(nodes: &[Node], except: Option<NodeId>) -> bool {
    nodes.iter().any(|node| {
        let recurses = node.recursion_of.is_some() && node.recursion_of != except;
        node.kind.is_work() || recurses || works(&node.children, except)
    })
}

/// How many parts these are.
pub(super) fn count(nodes: &[Node]) -> usize {
    nodes.iter().map(|node| 1 + count(&node.children)).sum()
}

/// How a statement leaves what it stands in, if that is all it does in the end.
fn leaves(statement: &Statement<'_>) -> Option<&'static str> {
    match statement {
        Statement::ReturnStatement(_) => Some("return"),
        Statement::ThrowStatement(_) => Some("throw"),
        Statement::BreakStatement(_) => Some("break"),
        Statement::ContinueStatement(_) => Some("continue"),
        Statement::BlockStatement(block) => leaves(block.body.last()?),
        _ => None,
    }
}

/// A text on one line, cut when it is long.
pub(super) fn shortened(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    if text.chars().count() <= TEXT_CHARACTERS {
        return text;
    }
    let cut: String = text.chars().take(TEXT_CHARACTERS - 1).collect();
    format!("{}…", cut.trim_end())
}
