//! A body as its rules see it: the calls of the contract's functions, and what stands behind a name.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use oxc_ast::AstKind;
use oxc_ast::ast::{
    Argument, BindingPattern, CallExpression, Expression, IdentifierReference, ObjectExpression,
    ObjectPropertyKind, PropertyKind, UnaryOperator,
};
use oxc_semantic::{AstNodes, NodeId, Scoping, Semantic};
use oxc_span::{GetSpan, Span};
use oxc_syntax::symbol::SymbolId;

/// So many values are read of literals in one check. Names that stand for lists of each other could make any number.
const VALUES_MAX: u32 = 1_000_000;
/// So many steps up the tree are gone in one check.
const STEPS_MAX: u32 = 5_000_000;
/// As deep a literal is followed, by nesting and by names.
pub(crate) const DEPTH_MAX: usize = 200;

/// A function of the contract that a script calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Called<'a> {
    Agent,
    Attempt,
    Merge,
    Ask,
    Parallel,
    Pipeline,
    Workflow,
    Phase,
    Sleep,
    /// `patterns.` and this name.
    Pattern(&'a str),
}

impl Called<'_> {
    /// Whether it is asked of one agent.
    pub(crate) fn is_agent(self) -> bool {
        matches!(self, Self::Agent | Self::Attempt)
    }

    pub(crate) fn gives_promise(self) -> bool {
        self != Self::Phase
    }

    pub(crate) fn name(self) -> String {
        match self {
            Self::Agent => "agent".to_owned(),
            Self::Attempt => "attempt".to_owned(),
            Self::Merge => "merge".to_owned(),
            Self::Ask => "ask".to_owned(),
            Self::Parallel => "parallel".to_owned(),
            Self::Pipeline => "pipeline".to_owned(),
            Self::Workflow => "workflow".to_owned(),
            Self::Phase => "phase".to_owned(),
            Self::Sleep => "sleep".to_owned(),
            Self::Pattern(name) => format!("patterns.{name}"),
        }
    }
}

/// One call of such a function.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) called: Called<'a>,
    pub(crate) written: &'a CallExpression<'a>,
    pub(crate) id: NodeId,
}

impl<'a> Call<'a> {
    /// An argument, where no spread makes its place unknown.
    pub(crate) fn argument(&self, index: usize) -> Option<&'a Expression<'a>> {
        let before = self.written.arguments.get(..=index)?;
        if before.iter().any(Argument::is_spread) {
            return None;
        }
        before[index]
            .as_expression()
            .map(Expression::without_parentheses)
    }
}

/// A property of an object literal.
pub(crate) struct Field<'a> {
    pub(crate) name: String,
    pub(crate) key: Span,
    pub(crate) value: &'a Expression<'a>,
}

pub(crate) struct Body<'s, 'a> {
    semantic: &'s Semantic<'a>,
    /// The text that offsets lead into.
    pub(crate) text: &'s str,
    /// In the order of their places.
    pub(crate) calls: Vec<Call<'a>>,
    values_left: Cell<u32>,
    /// How far up the tree is still gone, over all calls together: they may stand one within the other.
    steps_left: Cell<u32>,
    literals: RefCell<HashMap<SymbolId, Option<&'a Expression<'a>>>>,
    /// By the places of bodies of loops, whether something leaves them.
    pub(crate) leaving: RefCell<HashMap<Span, bool>>,
}

impl<'s, 'a> Body<'s, 'a> {
    pub(crate) fn of(semantic: &'s Semantic<'a>, text: &'s str) -> Self {
        let mut body = Self {
            semantic,
            text,
            calls: Vec::new(),
            values_left: Cell::new(VALUES_MAX),
            steps_left: Cell::new(STEPS_MAX),
            literals: RefCell::default(),
            leaving: RefCell::default(),
        };
        for node in semantic.nodes().iter() {
            if let AstKind::CallExpression(call) = node.kind()
                && let Some(called) = body.called(call)
            {
                body.calls.push(Call {
                    called,
                    written: call,
                    id: node.id(),
                });
            }
        }
        body
    }

    pub(crate) fn nodes(&self) -> &'s AstNodes<'a> {
        self.semantic.nodes()
    }

    pub(crate) fn scoping(&self) -> &'s Scoping {
        self.semantic.scoping()
    }

    /// Whether the text is read as JavaScript: as TypeScript, some names are types.
    pub(crate) fn is_javascript(&self) -> bool {
        self.semantic.source_type().is_javascript()
    }

    pub(crate) fn called(&self, call: &'a CallExpression<'a>) -> Option<Called<'a>> {
        match call.callee.without_parentheses() {
            Expression::StaticMemberExpression(member) => {
                let is_pattern = self.global(&member.object) == Some("patterns");
                is_pattern.then(|| Called::Pattern(member.property.name.as_str()))
            }
            callee => Some(match self.global(callee)? {
                "agent" => Called::Agent,
                "attempt" => Called::Attempt,
                "merge" => Called::Merge,
                "ask" => Called::Ask,
                "parallel" => Called::Parallel,
                "pipeline" => Called::Pipeline,
                "workflow" => Called::Workflow,
                "phase" => Called::Phase,
                "sleep" => Called::Sleep,
                _ => return None,
            }),
        }
    }

    /// The global behind an expression, if it is one.
    pub(crate) fn global(&self, expression: &'a Expression<'a>) -> Option<&'a str> {
        let Expression::Identifier(name) = expression.without_parentheses() else {
            return None;
        };
        self.symbol(name).is_none().then_some(name.name.as_str())
    }

    /// The variable of the script behind a name.
    pub(crate) fn symbol(&self, name: &IdentifierReference<'a>) -> Option<SymbolId> {
        let reference = self.scoping().get_reference(name.reference_id());
        reference.symbol_id()
    }

    /// What an expression is written as: itself, or what the variable that it names begins with, where nothing writes to
    /// that variable or to anything in it.
    pub(crate) fn literal(&self, expression: &'a Expression<'a>) -> &'a Expression<'a> {
        let mut expression = expression.without_parentheses();
        for _ in 0..DEPTH_MAX {
            let Expression::Identifier(name) = expression else {
                break;
            };
            let Some(init) = self.symbol(name).and_then(|symbol| self.init(symbol)) else {
                break;
            };
            expression = init.without_parentheses();
        }
        expression
    }

    /// What a variable begins with, where nothing writes to it or to anything in it.
    pub(crate) fn init(&self, symbol: SymbolId) -> Option<&'a Expression<'a>> {
        if let Some(known) = self.literals.borrow().get(&symbol) {
            return *known;
        }
        let init = self.read_init(symbol);
        self.literals.borrow_mut().insert(symbol, init);
        init
    }

    fn read_init(&self, symbol: SymbolId) -> Option<&'a Expression<'a>> {
        let scoping = self.scoping();
        let AstKind::VariableDeclarator(declarator) =
            self.nodes().kind(scoping.symbol_declaration(symbol))
        else {
            return None;
        };
        let is_plain = matches!(declarator.id, BindingPattern::BindingIdentifier(_));
        let is_written = scoping.symbol_is_mutated(symbol)
            || scoping
                .get_resolved_references(symbol)
                .any(|reference| self.is_written_through(reference.node_id()));
        (is_plain && !is_written)
            .then_some(declarator.init.as_ref())
            .flatten()
    }

    /// Whether something in the object that a name stands for is written to at this use of the name.
    fn is_written_through(&self, mut id: NodeId) -> bool {
        const CHANGING: [&str; 12] = [
            "push",
            "pop",
            "shift",
            "unshift",
            "splice",
            "sort",
            "reverse",
            "fill",
            "copyWithin",
            "set",
            "add",
            "delete",
        ];
        let nodes = self.nodes();
        let mut method = None;
        loop {
            let span = nodes.kind(id).span();
            let parent = nodes.parent_id(id);
            match nodes.kind(parent) {
                AstKind::StaticMemberExpression(member) if member.object.span() == span => {
                    method = Some(member.property.name.as_str());
                }
                AstKind::ComputedMemberExpression(member) if member.object.span() == span => {
                    method = None;
                }
                AstKind::ParenthesizedExpression(_) | AstKind::ChainExpression(_) => {}
                AstKind::AssignmentExpression(assignment) => {
                    return assignment.left.span() == span;
                }
                AstKind::CallExpression(call) if call.callee.span() == span => {
                    return method.is_some_and(|method| CHANGING.contains(&method));
                }
                AstKind::CallExpression(call) => {
                    // `Object.assign(it, …)` and its like.
                    let is_first = call.arguments.first().map(GetSpan::span) == Some(span);
                    let Expression::StaticMemberExpression(callee) = &call.callee else {
                        return false;
                    };
                    let of = callee.object.get_identifier_reference();
                    return is_first
                        && of.is_some_and(|of| matches!(of.name.as_str(), "Object" | "Reflect"))
                        && !matches!(
                            callee.property.name.as_str(),
                            "keys" | "values" | "entries" | "freeze" | "hasOwn"
                        );
                }
                AstKind::UnaryExpression(unary) => {
                    return unary.operator == UnaryOperator::Delete;
                }
                AstKind::UpdateExpression(_)
                | AstKind::ArrayAssignmentTarget(_)
                | AstKind::ObjectAssignmentTarget(_)
                | AstKind::AssignmentTargetRest(_)
                | AstKind::AssignmentTargetWithDefault(_)
                | AstKind::AssignmentTargetPropertyIdentifier(_)
                | AstKind::AssignmentTargetPropertyProperty(_) => return true,
                AstKind::ForOfStatement(of) => return of.left.span() == span,
                AstKind::ForInStatement(of) => return of.left.span() == span,
                _ => return false,
            }
            id = parent;
        }
    }

    /// The object literal that an expression stands for.
    pub(crate) fn object(
        &self,
        expression: &'a Expression<'a>,
    ) -> Option<&'a ObjectExpression<'a>> {
        match self.literal(expression) {
            Expression::ObjectExpression(object) => Some(object),
            _ => None,
        }
    }

    /// The properties of an object literal, with those of the literals that are spread in it; and whether that is all.
    pub(crate) fn fields(&self, object: &'a ObjectExpression<'a>) -> (Vec<Field<'a>>, bool) {
        let mut fields = Vec::new();
        let is_all = self.gather(object, 0, &mut fields);
        (fields, is_all)
    }

    fn gather(
        &self,
        object: &'a ObjectExpression<'a>,
        depth: usize,
        fields: &mut Vec<Field<'a>>,
    ) -> bool {
        let mut is_all = true;
        for property in &object.properties {
            if !self.take_value() {
                return false;
            }
            match property {
                ObjectPropertyKind::ObjectProperty(property) => {
                    let name = property.key.static_name();
                    let is_value = property.kind == PropertyKind::Init;
                    match name.filter(|_| is_value) {
                        Some(name) => fields.push(Field {
                            name: name.into_owned(),
                            key: property.key.span(),
                            value: &property.value,
                        }),
                        None => is_all = false,
                    }
                }
                ObjectPropertyKind::SpreadProperty(spread) => {
                    let inner = self.object(&spread.argument).filter(|_| depth < DEPTH_MAX);
                    is_all &= inner.is_some_and(|inner| self.gather(inner, depth + 1, fields));
                }
            }
        }
        is_all
    }

    /// Counts a value that is read; false when it is one too many.
    pub(crate) fn take_value(&self) -> bool {
        take(&self.values_left)
    }

    /// Counts a step up the tree; false when it is one too many.
    pub(crate) fn take_step(&self) -> bool {
        take(&self.steps_left)
    }

    /// Whether a `catch` of the script would see what is thrown there.
    pub(crate) fn is_caught(&self, id: NodeId) -> bool {
        let nodes = self.nodes();
        let mut inner = nodes.kind(id).span();
        let mut known = nodes.ancestor_kinds(id).take_while(|_| self.take_step());
        known.any(|kind| {
            let is_caught = matches!(kind, AstKind::TryStatement(statement)
                if statement.handler.is_some() && statement.block.span == inner);
            inner = kind.span();
            is_caught
        })
    }
}

fn take(left: &Cell<u32>) -> bool {
    let less = left.get().checked_sub(1);
    left.set(less.unwrap_or(0));
    less.is_some()
}
