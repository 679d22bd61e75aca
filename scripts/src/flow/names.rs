//! What the names of a script stand for, as far as flows of promises are concerned.

use std::collections::HashSet;

use oxc_ast::ast::{
    Argument, ArrowFunctionBody, ArrowFunctionExpression, BindingPattern, CallExpression,
    Expression, Function, FunctionBody, IdentifierReference, ReturnStatement,
    StaticMemberExpression, VariableDeclarator,
};
use oxc_ast_visit::{Visit, walk};
use oxc_semantic::Semantic;
use oxc_syntax::reference::ReferenceId;
use oxc_syntax::scope::ScopeFlags;
use oxc_syntax::symbol::SymbolId;

/// Functions of the contract that give a promise.
pub(super) const SOURCES: &[&str] = &[
    "agent", "attempt", "merge", "parallel", "pipeline", "ask", "workflow", "sleep",
];

/// The global whose every function gives a promise (X08).
pub(super) const PATTERNS: &str = "patterns";

/// Where its functions take functions of the script, which they call, awaiting what comes.
pub(super) const CALLBACKS: &[&str] = &["implement", "verify", "reviewers", "review"];

/// Those of `SOURCES` whose promise has no code behind it, so that nothing goes on unseen when nobody awaits it.
pub(super) const ALONE: &[&str] = &["agent", "attempt", "merge", "ask", "sleep"];

/// Functions of `Promise` that the prelude owns or that settle at once.
pub(super) const COMBINATORS: &[&str] = &["all", "allSettled", "race", "any", "resolve", "reject"];

/// Methods of a promise that give the next one.
pub(super) const CHAINS: &[&str] = &["then", "catch", "finally"];

pub(super) struct Names<'s, 'a> {
    semantic: &'s Semantic<'a>,
    /// Functions of the script, by their names, whose calls may give a promise.
    promising: HashSet<SymbolId>,
    /// Variables that hold a list of thunks for `parallel` and are used for nothing else.
    thunk_lists: HashSet<SymbolId>,
}

impl<'s, 'a> Names<'s, 'a> {
    pub(super) fn of(ast: &oxc_ast::ast::Program<'a>, semantic: &'s Semantic<'a>) -> Self {
        let mut names = Self {
            semantic,
            promising: HashSet::new(),
            thunk_lists: HashSet::new(),
        };
        // A function that returns another's promise is found once that one is.
        loop {
            let mut found = Declared {
                names: &names,
                found: HashSet::new(),
            };
            found.visit_program(ast);
            if found.found.len() == names.promising.len() {
                break;
            }
            names.promising = found.found;
        }
        let mut uses = ListUses {
            names: &names,
            declared: Vec::new(),
            uses: HashSet::new(),
        };
        uses.visit_program(ast);
        let ListUses { declared, uses, .. } = uses;
        let scoping = semantic.scoping();
        names.thunk_lists = declared
            .into_iter()
            .filter(|&symbol| {
                !scoping.symbol_is_mutated(symbol)
                    && scoping
                        .get_resolved_reference_ids(symbol)
                        .iter()
                        .all(|id| uses.contains(id))
            })
            .collect();
        names
    }

    /// The script's own variable behind an expression, if it is one.
    pub(super) fn symbol(&self, expression: &Expression<'a>) -> Option<SymbolId> {
        let Expression::Identifier(name) = expression else {
            return None;
        };
        self.semantic
            .scoping()
            .get_reference(name.reference_id())
            .symbol_id()
    }

    /// The global behind an expression, if it is one.
    pub(super) fn global<'e>(&self, expression: &'e Expression<'a>) -> Option<&'e str> {
        let Expression::Identifier(name) = expression else {
            return None;
        };
        let reference = self.semantic.scoping().get_reference(name.reference_id());
        reference
            .symbol_id()
            .is_none()
            .then_some(name.name.as_str())
    }

    pub(super) fn is_global(&self, name: &IdentifierReference<'a>) -> bool {
        self.semantic
            .scoping()
            .get_reference(name.reference_id())
            .symbol_id()
            .is_none()
    }

    pub(super) fn is_promising(&self, symbol: SymbolId) -> bool {
        self.promising.contains(&symbol)
    }

    pub(super) fn is_thunk_list(&self, symbol: SymbolId) -> bool {
        self.thunk_lists.contains(&symbol)
    }

    pub(super) fn is_mutated(&self, symbol: SymbolId) -> bool {
        self.semantic.scoping().symbol_is_mutated(symbol)
    }

    /// Whether an expression may be a promise, as far as its form says.
    pub(super) fn gives_promise(&self, expression: &Expression<'a>) -> bool {
        match expression {
            Expression::ParenthesizedExpression(inner) => self.gives_promise(&inner.expression),
            Expression::ConditionalExpression(choice) => {
                self.gives_promise(&choice.consequent) || self.gives_promise(&choice.alternate)
            }
            Expression::LogicalExpression(logical) => {
                self.gives_promise(&logical.left) || self.gives_promise(&logical.right)
            }
            Expression::SequenceExpression(sequence) => sequence
                .expressions
                .last()
                .is_some_and(|last| self.gives_promise(last)),
            Expression::AssignmentExpression(assignment) => self.gives_promise(&assignment.right),
            Expression::CallExpression(call) => self.call_gives_promise(call),
            Expression::ChainExpression(chain) => match &chain.expression {
                oxc_ast::ast::ChainElement::CallExpression(call) => self.call_gives_promise(call),
                _ => false,
            },
            Expression::NewExpression(new) => self.global(&new.callee) == Some("Promise"),
            _ => false,
        }
    }

    pub(super) fn call_gives_promise(&self, call: &CallExpression<'a>) -> bool {
        let callee = call.callee.without_parentheses();
        if let Some(symbol) = self.symbol(callee) {
            return self.is_promising(symbol);
        }
        if let Some(global) = self.global(callee) {
            return SOURCES.contains(&global);
        }
        match callee {
            Expression::StaticMemberExpression(member) => {
                let name = member.property.name.as_str();
                matches!(self.global(&member.object), Some("Promise" | PATTERNS))
                    || (CHAINS.contains(&name) && self.gives_promise(&member.object))
            }
            Expression::ArrowFunctionExpression(arrow) => self.arrow_is_promising(arrow),
            Expression::FunctionExpression(function) => self.function_is_promising(function),
            _ => false,
        }
    }

    pub(super) fn arrow_is_promising(&self, arrow: &ArrowFunctionExpression<'a>) -> bool {
        arrow.r#async
            || match &arrow.body {
                ArrowFunctionBody::FunctionBody(body) => self.returns_promise(body),
                body => body
                    .as_expression()
                    .is_some_and(|value| self.gives_promise(value)),
            }
    }

    pub(super) fn function_is_promising(&self, function: &Function<'a>) -> bool {
        function.r#async
            || function
                .body
                .as_ref()
                .is_some_and(|body| self.returns_promise(body))
    }

    fn returns_promise(&self, body: &FunctionBody<'a>) -> bool {
        let mut returns = Returns {
            names: self,
            found: false,
        };
        returns.visit_function_body(body);
        returns.found
    }
}

/// Whether a function's own `return`s give a promise.
struct Returns<'n, 's, 'a> {
    names: &'n Names<'s, 'a>,
    found: bool,
}

impl<'a> Visit<'a> for Returns<'_, '_, 'a> {
    fn visit_return_statement(&mut self, it: &ReturnStatement<'a>) {
        self.found |= it
            .argument
            .as_ref()
            .is_some_and(|value| self.names.gives_promise(value));
    }

    fn visit_expression(&mut self, _: &Expression<'a>) {}

    fn visit_function(&mut self, _: &Function<'a>, _: ScopeFlags) {}
}

/// Named functions whose calls may give a promise.
struct Declared<'n, 's, 'a> {
    names: &'n Names<'s, 'a>,
    found: HashSet<SymbolId>,
}

impl<'a> Visit<'a> for Declared<'_, '_, 'a> {
    fn visit_function(&mut self, it: &Function<'a>, flags: ScopeFlags) {
        if let Some(id) = &it.id
            && self.names.function_is_promising(it)
        {
            self.found.insert(id.symbol_id());
        }
        walk::walk_function(self, it, flags);
    }

    fn visit_variable_declarator(&mut self, it: &VariableDeclarator<'a>) {
        if let (BindingPattern::BindingIdentifier(id), Some(init)) = (&it.id, &it.init) {
            let promising = match init.without_parentheses() {
                Expression::ArrowFunctionExpression(arrow) => self.names.arrow_is_promising(arrow),
                Expression::FunctionExpression(function) => {
                    self.names.function_is_promising(function)
                }
                _ => false,
            };
            if promising {
                self.found.insert(id.symbol_id());
            }
        }
        walk::walk_variable_declarator(self, it);
    }
}

/// Where variables are used as lists of thunks.
struct ListUses<'n, 's, 'a> {
    names: &'n Names<'s, 'a>,
    declared: Vec<SymbolId>,
    uses: HashSet<ReferenceId>,
}

impl<'a> ListUses<'_, '_, 'a> {
    fn is_used(&mut self, expression: &Expression<'a>) {
        if let Expression::Identifier(name) = expression {
            self.uses.insert(name.reference_id());
        }
    }
}

impl<'a> Visit<'a> for ListUses<'_, '_, 'a> {
    fn visit_variable_declarator(&mut self, it: &VariableDeclarator<'a>) {
        if let (BindingPattern::BindingIdentifier(id), Some(init)) = (&it.id, &it.init) {
            let init = init.without_parentheses();
            if matches!(
                init,
                Expression::ArrayExpression(_) | Expression::CallExpression(_)
            ) {
                self.declared.push(id.symbol_id());
            }
        }
        walk::walk_variable_declarator(self, it);
    }

    fn visit_call_expression(&mut self, it: &CallExpression<'a>) {
        if self.names.global(&it.callee) == Some("parallel")
            && let [Argument::Identifier(only)] = it.arguments.as_slice()
        {
            self.uses.insert(only.reference_id());
        }
        walk::walk_call_expression(self, it);
    }

    fn visit_static_member_expression(&mut self, it: &StaticMemberExpression<'a>) {
        if matches!(it.property.name.as_str(), "push" | "length") {
            self.is_used(&it.object);
        }
        walk::walk_static_member_expression(self, it);
    }
}
