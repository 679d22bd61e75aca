//! From the syntax tree to the shape: what is called, in what, in the script's order.

use std::collections::HashSet;

use oxc_ast::AstKind;
use oxc_ast::ast::{
    Argument, ArrayExpressionElement, CallExpression, Expression, IfStatement, LogicalOperator,
    Statement,
};
use oxc_semantic::NodeId;
use oxc_span::{GetSpan, Span};
use oxc_syntax::symbol::SymbolId;

use super::bound::{Rounds, at_most, items, rounds};
use super::{AgentSays, Bound, Kind, Node, Role};
use crate::check::body::{Body, Call, Called};
use crate::check::unverified::{beginning, edits, speaks_of_verifying, verifies};
use crate::refusal::Lines;

/// So many parts are drawn: functions are followed where they are called, which can multiply.
const NODES_MAX: usize = 2_000;
/// So many nodes of syntax are looked at, for the same reason.
const STEPS_MAX: u32 = 2_000_000;
/// What is nested deeper is drawn at this depth.
const DEPTH_MAX: usize = 30;
/// As much is repeated of a text of the script, in characters.
const TEXT_CHARACTERS: usize = 60;
/// So many words of a prompt say what its agent is to do.
const TASK_WORDS: usize = 8;

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
    let parallel = body.calls.iter().filter(|call| call.called == Called::Parallel);
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

struct Drawing<'b, 's, 'a> {
    body: &'b Body<'s, 'a>,
    /// The children of each node, in their order.
    tree: Vec<Vec<NodeId>>,
    lines: Lines,
    kept_lists: HashSet<SymbolId>,
    /// What is in the part that is being drawn.
    out: Vec<Node>,
    depth: usize,
    nodes_left: usize,
    steps_left: u32,
    /// Functions that are being followed.
    following: Vec<NodeId>,
    /// Functions with nothing to draw in them.
    idle: HashSet<NodeId>,
    /// How often a function was not followed, since it is being followed already.
    cuts: usize,
    /// Calls that were drawn.
    drawn: HashSet<NodeId>,
    /// The phase that was entered last.
    phase: String,
}

/// What a fan-out goes through.
struct Fan {
    over: String,
    bound: Bound,
    /// What is done to get it.
    before: Vec<Node>,
    /// What is done with each.
    inside: Vec<Node>,
}

impl<'a> Drawing<'_, '_, 'a> {
    fn line(&self, span: Span) -> u32 {
        self.lines.place(self.body.text, span.start).0
    }

    /// A place of the script on one line, cut when it is long.
    fn text(&self, span: Span) -> String {
        let written = self.body.text.get(span.start as usize..span.end as usize);
        shortened(written.unwrap_or_default())
    }

    fn node(&self, kind: Kind, span: Span, text: impl Into<String>) -> Node {
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

    fn push(&mut self, node: Node) {
        if self.nodes_left > 0 {
            self.nodes_left -= 1;
            self.out.push(node);
        }
    }

    /// What `work` draws, by itself.
    fn collect(&mut self, work: impl FnOnce(&mut Self)) -> Vec<Node> {
        let before = std::mem::take(&mut self.out);
        self.depth += 1;
        work(self);
        self.depth -= 1;
        std::mem::replace(&mut self.out, before)
    }

    /// Puts what was drawn into a part of its own, if there is work in it.
    fn enclose(&mut self, mut node: Node, children: Vec<Node>) {
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
    fn place(&mut self, mut node: Node, children: Vec<Node>) {
        if self.depth < DEPTH_MAX {
            node.children = children;
            self.push(node);
        } else {
            self.push(node);
            self.out.extend(children);
        }
    }

    fn children(&self, id: NodeId) -> Vec<NodeId> {
        self.tree.get(id.index()).cloned().unwrap_or_default()
    }

    fn walk_children(&mut self, id: NodeId) {
        for child in self.children(id) {
            self.walk(child);
        }
    }

    /// Walks the child that stands at this place.
    fn walk_at(&mut self, id: NodeId, span: Span) {
        let child = self.children(id).into_iter();
        let mut child = child.filter(|&child| self.body.nodes().kind(child).span() == span);
        if let Some(child) = child.next() {
            self.walk(child);
        }
    }

    fn expression(&mut self, expression: &'a Expression<'a>) {
        self.walk(AstKind::from_expression(expression).node_id());
    }

    fn walk(&mut self, id: NodeId) {
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
                if !is_kept && !(is_function && symbol.is_some()) {
                    self.walk_children(id);
                }
            }
            _ => self.walk_children(id),
        }
    }

    fn gate(&mut self, id: NodeId, gate: &'a IfStatement<'a>) {
        self.expression(&gate.test);
        let condition = self.text(gate.test.span());
        let then = self.collect(|it| it.walk_at(id, gate.consequent.span()));
        let mut node = self.node(Kind::Gate, gate.span, condition.clone());
        match leaves(&gate.consequent).filter(|_| !has_work(&then)) {
            // What comes behind is gated by that it is not left there.
            Some(how) if self.depth < DEPTH_MAX => {
                node.text = format!("{condition}, {how}");
                self.push(node);
            }
            _ => self.enclose(node, then),
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
    fn around(&mut self, id: NodeId) {
        let kind = self.body.nodes().kind(id);
        let body = self.body;
        let by = |test, inside, is_late| {
            rounds(body, &Rounds { test, body: inside, span: kind.span(), id, is_late })
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
                (format!("for {shown}"), bound, it.init.as_ref().map(GetSpan::span))
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
                (format!("for each key of {over}"), Bound::NoneFound, Some(span))
            }
            AstKind::WhileStatement(it) => {
                let bound = by(Some(&it.test), &it.body, false);
                (format!("while {}", self.text(it.test.span())), bound, None)
            }
            AstKind::DoWhileStatement(it) => {
                let bound = by(Some(&it.test), &it.body, true);
                (format!("do while {}", self.text(it.test.span())), bound, None)
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

    fn call(&mut self, id: NodeId, call: &'a CallExpression<'a>) {
        if let Some(called) = self.body.called(call) {
            return self.of_contract(id, Call { called, written: call, id });
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
                && let (Some(list), Some(function)) = (list.as_expression(), function.as_expression())
            {
                return self.each(Kind::Parallel, call, list, function);
            }
        }
        self.walk_at(id, call.callee.span());
        for argument in &call.arguments {
            match argument.as_expression() {
                Some(given) if self.named_function(given).is_some() => {
                    // A function that is given away by its name is taken to be called there.
                    if let Some(function) = self.named_function(given) {
                        self.run(function);
                    }
                }
                _ => self.walk_at(id, argument.span()),
            }
        }
        if let Some(function) = self.named_function(&call.callee) {
            let name = self.text(call.callee.span());
            if self.following.contains(&function) {
                self.cuts += 1;
                let mut node = self.node(Kind::Recursion, call.span, format!("{name}() calls itself"));
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
    fn function_of(&self, expression: &'a Expression<'a>) -> Option<NodeId> {
        let literal = self.body.literal(expression);
        if is_function(literal) {
            return Some(AstKind::from_expression(literal).node_id());
        }
        let Expression::Identifier(name) = literal else {
            return None;
        };
        let declared = self.body.scoping().symbol_declaration(self.body.symbol(name)?);
        matches!(self.body.nodes().kind(declared), AstKind::Function(_)).then_some(declared)
    }

    /// The function that a name stands for.
    fn named_function(&self, expression: &'a Expression<'a>) -> Option<NodeId> {
        let is_name = matches!(expression.without_parentheses(), Expression::Identifier(_));
        is_name.then(|| self.function_of(expression)).flatten()
    }

    /// Draws what is in a function, if there is work in it.
    fn run(&mut self, function: NodeId) {
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
    fn give_back(&mut self, dropped: &[Node]) {
        if self.nodes_left > 0 {
            self.nodes_left += count(dropped);
        }
    }

    fn is_kept(&self, expression: &'a Expression<'a>) -> bool {
        let Expression::Identifier(name) = expression.without_parentheses() else {
            return false;
        };
        self.body.symbol(name).is_some_and(|symbol| self.kept_lists.contains(&symbol))
    }

    fn of_contract(&mut self, id: NodeId, call: Call<'a>) {
        self.drawn.insert(id);
        let span = call.written.span;
        match call.called {
            Called::Phase => {
                let title = call.argument(0).map(|title| self.said(title));
                let title = title.unwrap_or_default();
                let node = self.node(Kind::Phase, span, format!("{title:?}"));
                self.phase = title;
                self.push(node);
            }
            Called::Parallel => match call.argument(0) {
                Some(list) => {
                    let fan = self.fan(list, 0);
                    self.fanned(Kind::Parallel, span, fan);
                }
                None => self.walk_children(id),
            },
            Called::Pipeline => self.pipeline(&call),
            Called::Agent | Called::Attempt => {
                self.arguments(id, &call);
                let node = self.agent(&call);
                self.push(node);
            }
            Called::Workflow => {
                self.arguments(id, &call);
                let target = call.argument(0).map(|target| {
                    let fields = self.body.object(target).map(|object| self.body.fields(object).0);
                    let path = fields.and_then(|fields| {
                        let path = fields.into_iter().find(|field| field.name == "scriptPath")?;
                        Some(path.value)
                    });
                    format!("{:?}", self.said(path.unwrap_or(target)))
                });
                let node = self.node(Kind::Workflow, span, target.unwrap_or_default());
                self.push(node);
            }
            Called::Merge => {
                self.arguments(id, &call);
                let node = self.merge(&call);
                self.push(node);
            }
            Called::Pattern(name) => {
                // Functions among its options are called by it.
                let children = self.collect(|it| it.arguments(id, &call));
                let mut node = self.node(Kind::Pattern, span, name);
                node.role = Some(Role::Verifies);
                self.place(node, children);
            }
            Called::Sleep => self.arguments(id, &call),
        }
    }

    fn arguments(&mut self, id: NodeId, call: &Call<'a>) {
        for argument in &call.written.arguments {
            self.walk_at(id, argument.span());
        }
    }

    /// What a text says, with what is filled in within braces.
    fn said(&self, expression: &'a Expression<'a>) -> String {
        if let Some(text) = self.body.string(expression) {
            return shortened(&text);
        }
        match self.body.literal(expression) {
            Expression::TemplateLiteral(template) => {
                let mut text = String::new();
                for (index, part) in template.quasis.iter().enumerate() {
                    text.push_str(part.value.cooked.unwrap_or(part.value.raw).as_str());
                    if let Some(filled) = template.expressions.get(index) {
                        let filled = self.text(filled.span());
                        text = text + "{" + &filled + "}";
                    }
                }
                shortened(&text)
            }
            other => format!("{{{}}}", self.text(other.span())),
        }
    }

    fn agent(&self, call: &Call<'a>) -> Node {
        let kind = if call.called == Called::Agent { Kind::Agent } else { Kind::Attempt };
        let fields = call.argument(1).and_then(|options| self.body.object(options));
        let fields = fields.map(|object| self.body.fields(object).0).unwrap_or_default();
        let option = |name: &str| fields.iter().rev().find(|field| field.name == name);
        let said = |name: &str| option(name).map(|field| self.said(field.value));
        let prompt = call.argument(0);
        let label = said("label").or_else(|| prompt.map(|prompt| self.said(prompt)));
        let mut node = self.node(kind, call.written.span, format!("{:?}", label.unwrap_or_default()));
        node.options = Some(AgentSays {
            model: said("model"),
            agent_type: said("agentType"),
            isolation: said("isolation"),
            schema: option("schema").is_some(),
        });
        let task = prompt.map(|prompt| beginning(self.body, prompt)).unwrap_or_default();
        let task: Vec<&str> = task.split_whitespace().take(TASK_WORDS).collect();
        let phase = said("phase").unwrap_or_else(|| self.phase.clone());
        let texts = [Some(phase), said("label"), said("agentType"), Some(task.join(" "))];
        let speaks = texts.iter().flatten().any(|text| speaks_of_verifying(text));
        node.role = if edits(self.body, call).is_some() {
            Some(Role::Edits)
        } else {
            speaks.then_some(Role::Verifies)
        };
        node
    }

    fn merge(&self, call: &Call<'a>) -> Node {
        let fields = call.argument(1).and_then(|options| self.body.object(options));
        let fields = fields.map(|object| self.body.fields(object).0).unwrap_or_default();
        let said = |name: &str| {
            let field = fields.iter().rev().find(|field| field.name == name)?;
            Some(self.said(field.value))
        };
        let mut text = String::new();
        if let Some(into) = said("into") {
            text = format!("into {into:?} ");
        }
        text += &match said("verify") {
            Some(command) => format!("verified by {command:?}"),
            None if verifies(self.body, call) => "with options that are computed".to_owned(),
            None => "without verification".to_owned(),
        };
        let mut node = self.node(Kind::Merge, call.written.span, text);
        node.role = verifies(self.body, call).then_some(Role::Verifies);
        node
    }

    fn pipeline(&mut self, call: &Call<'a>) {
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
        let over = list.map_or_else(String::new, |list| format!("over {}", self.text(list.span())));
        let mut node = self.node(Kind::Pipeline, span, over);
        node.bound = Some(list.map_or(Bound::NoneFound, |list| items(self.body, list)));
        self.place(node, stages);
    }

    /// `Promise.all` and its like. What is in a variable was started where that stands.
    fn promises(&mut self, kind: Kind, call: &'a CallExpression<'a>, list: &'a Expression<'a>) {
        if !matches!(list.without_parentheses(), Expression::Identifier(_)) {
            let fan = self.fan(list, 0);
            self.fanned(kind, call.span, fan);
        }
    }

    /// A function that is called for each of a list.
    fn each(
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

    fn fanned(&mut self, kind: Kind, span: Span, fan: Fan) {
        self.out.extend(fan.before);
        let text = if fan.over.is_empty() { fan.over } else { format!("over {}", fan.over) };
        let mut node = self.node(kind, span, text);
        node.bound = Some(fan.bound);
        self.place(node, fan.inside);
    }

    /// What a list of thunks or promises goes through, and what each of them does.
    fn fan(&mut self, list: &'a Expression<'a>, nested: usize) -> Fan {
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
                    let over = if of.over.is_empty() { fan.over } else { of.over };
                    return Fan { over, ..of };
                }
            }
            Expression::CallExpression(call) => self.fan_of_call(call, list, nested, &mut fan),
            other => fan.inside = self.collect(|it| it.expression(other)),
        }
        fan
    }

    fn fan_of_call(
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
                *fan = Fan { bound: items(self.body, list), ..of };
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
    fn thunk(&mut self, expression: &'a Expression<'a>) {
        match self.function_of(expression) {
            Some(function) => self.run(function),
            None => self.expression(expression),
        }
    }

    /// What was pushed to the list that a name stands for.
    fn pushed(&mut self, name: &'a Expression<'a>) -> Vec<Node> {
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

    /// Calls that nothing has led to, in a part of their own.
    fn rest(&mut self) {
        let body = self.body;
        let children = self.collect(|it| {
            for call in &body.calls {
                if call.called != Called::Phase && !it.drawn.contains(&call.id) {
                    it.walk(call.id);
                }
            }
        });
        if has_work(&children) {
            let mut node = self.node(Kind::Elsewhere, Span::default(), "called through a value, or not at all");
            node.line = 0;
            self.place(node, children);
        }
    }
}

fn is_function(expression: &Expression<'_>) -> bool {
    matches!(
        expression.without_parentheses(),
        Expression::ArrowFunctionExpression(_) | Expression::FunctionExpression(_)
    )
}

fn has_work(nodes: &[Node]) -> bool {
    works(nodes, None)
}

/// Whether there is work in these parts, apart from calling `except` again.
fn works(nodes: &[Node], except: Option<NodeId>) -> bool {
    nodes.iter().any(|node| {
        let recurses = node.recursion_of.is_some() && node.recursion_of != except;
        node.kind.is_work() || recurses || works(&node.children, except)
    })
}

fn count(nodes: &[Node]) -> usize {
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
fn shortened(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    if text.chars().count() <= TEXT_CHARACTERS {
        return text;
    }
    let cut: String = text.chars().take(TEXT_CHARACTERS - 1).collect();
    format!("{}…", cut.trim_end())
}
