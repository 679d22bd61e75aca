//! Whether the VM can follow every flow of a script exactly (`docs/replay.md`, "How the VM knows the context").
//!
//! It can when every promise has one awaiter from the moment it is made: then a turn is one chain of continuations. This
//! is a whitelist over the syntax: a promise may stand where it is awaited, returned, or handed to a combinator at once; a
//! function that gives promises may stand where it is called, or where the prelude calls it. Anything else, and every
//! context of the script holds all settlements: it may run too much again, never too little.

mod names;

use oxc_ast::ast::{
    Argument, ArrayExpression, ArrayExpressionElement, ArrowFunctionBody, ArrowFunctionExpression,
    BindingPattern, CallExpression, Expression, ExpressionStatement, ForOfStatement, Function,
    IdentifierReference, LogicalOperator, ObjectExpression, ObjectProperty, ObjectPropertyKind,
    Program, PropertyKey, PropertyKind, ReturnStatement, VariableDeclarator,
};
use oxc_ast_visit::{Visit, walk};
use oxc_semantic::Semantic;
use oxc_syntax::scope::ScopeFlags;

use names::{ALONE, CALLBACKS, CHAINS, COMBINATORS, Names, PATTERNS, SOURCES};

pub(crate) fn is_followed(ast: &Program<'_>, semantic: &Semantic<'_>) -> bool {
    let names = Names::of(ast, semantic);
    let mut flows = Flows {
        names,
        place: Place::Plain,
        returns: Place::Promise,
        lost: false,
    };
    flows.visit_program(ast);
    !flows.lost
}

/// What may stand where the next expression stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// No promise, and no function that gives one.
    Plain,
    /// A promise, which is awaited or passed on at once.
    Promise,
    /// A promise that nobody awaits: only a call that has no code behind it.
    Statement,
    /// A list of promises for a combinator.
    Promises,
    /// A function that the prelude calls, and whose promise it awaits.
    Function,
    /// A list of such functions.
    Functions,
    /// What a pattern is called with: data, and such functions where it takes them.
    Options,
}

impl Place {
    /// Whether a function that gives a promise may stand here.
    fn takes_function(self) -> bool {
        matches!(self, Self::Function | Self::Options)
    }
}

struct Flows<'s, 'a> {
    names: Names<'s, 'a>,
    place: Place,
    /// What the function at hand may return.
    returns: Place,
    lost: bool,
}

impl<'a> Flows<'_, 'a> {
    fn visit_at(&mut self, place: Place, expression: &Expression<'a>) {
        self.place = place;
        self.visit_expression(expression);
    }

    fn argument_at(&mut self, place: Place, argument: &Argument<'a>) {
        match argument {
            Argument::SpreadElement(spread) => self.visit_at(Place::Plain, &spread.argument),
            _ => {
                if let Some(expression) = argument.as_expression() {
                    self.visit_at(place, expression);
                }
            }
        }
    }

    fn arguments_at(&mut self, place: Place, call: &CallExpression<'a>) {
        for argument in &call.arguments {
            self.argument_at(place, argument);
        }
    }

    /// A call at `place`. Its callee is looked at here, since a function may stand there.
    fn call(&mut self, place: Place, call: &CallExpression<'a>) {
        let callee = call.callee.without_parentheses();
        if let Some(global) = self.names.global(callee) {
            let source = SOURCES.contains(&global);
            let alone = ALONE.contains(&global);
            if source && place != Place::Promise && !(place == Place::Statement && alone) {
                self.lost = true;
            }
            match global {
                "parallel" => self.arguments_at(Place::Functions, call),
                "pipeline" => {
                    for (index, argument) in call.arguments.iter().enumerate() {
                        self.argument_at(
                            if index == 0 {
                                Place::Plain
                            } else {
                                Place::Function
                            },
                            argument,
                        );
                    }
                }
                _ => {
                    if !source {
                        self.visit_at(Place::Plain, callee);
                    }
                    self.arguments_at(Place::Plain, call);
                }
            }
            return;
        }
        if let Some(symbol) = self.names.symbol(callee) {
            let promising = self.names.is_promising(symbol);
            if promising && (place != Place::Promise || self.names.is_mutated(symbol)) {
                self.lost = true;
            }
            return self.arguments_at(Place::Plain, call);
        }
        match callee {
            Expression::StaticMemberExpression(member) => {
                let method = member.property.name.as_str();
                let global = self.names.global(&member.object);
                if global == Some("Promise") {
                    self.combinator(place, method, call);
                } else if global == Some(PATTERNS) {
                    self.lost |= place != Place::Promise;
                    self.arguments_at(Place::Options, call);
                } else if CHAINS.contains(&method) {
                    // The next promise of the chain stands where the chain does, and so does the one before it.
                    let before = if place == Place::Statement {
                        place
                    } else {
                        Place::Promise
                    };
                    if self.names.gives_promise(&member.object)
                        && !matches!(place, Place::Promise | Place::Statement)
                    {
                        self.lost = true;
                    }
                    self.visit_at(before, &member.object);
                    self.arguments_at(Place::Function, call);
                } else {
                    self.list_method(place, method, &member.object, call);
                }
            }
            Expression::ArrowFunctionExpression(_) | Expression::FunctionExpression(_) => {
                if self.names.call_gives_promise(call) && place != Place::Promise {
                    self.lost = true;
                }
                self.visit_at(Place::Function, callee);
                self.arguments_at(Place::Plain, call);
            }
            _ => {
                self.visit_at(Place::Plain, callee);
                self.arguments_at(Place::Plain, call);
            }
        }
    }

    fn combinator(&mut self, place: Place, method: &str, call: &CallExpression<'a>) {
        if place != Place::Promise || !COMBINATORS.contains(&method) {
            self.lost = true;
        }
        let arguments = if matches!(method, "resolve" | "reject") {
            Place::Plain
        } else {
            Place::Promises
        };
        self.arguments_at(arguments, call);
    }

    /// Methods by which scripts make lists of thunks and promises: their callbacks return what the list holds.
    fn list_method(
        &mut self,
        place: Place,
        method: &str,
        object: &Expression<'a>,
        call: &CallExpression<'a>,
    ) {
        let is_list = matches!(place, Place::Functions | Place::Promises | Place::Options);
        let one = match place {
            Place::Functions => Place::Function,
            Place::Options => place,
            _ => Place::Promise,
        };
        match method {
            "map" if is_list => {
                self.visit_at(Place::Plain, object);
                self.callback(one, call, 0);
            }
            "flatMap" if is_list => {
                self.visit_at(Place::Plain, object);
                self.callback(place, call, 0);
            }
            "from" if is_list && self.names.global(object) == Some("Array") => {
                self.callback(one, call, 1);
            }
            "concat" if is_list => {
                self.visit_at(place, object);
                self.arguments_at(place, call);
            }
            "filter" | "slice" if is_list => {
                self.visit_at(place, object);
                self.arguments_at(Place::Plain, call);
            }
            "push"
                if self
                    .names
                    .symbol(object)
                    .is_some_and(|symbol| self.names.is_thunk_list(symbol)) =>
            {
                self.arguments_at(Place::Function, call);
            }
            _ => {
                self.visit_at(Place::Plain, object);
                self.arguments_at(Place::Plain, call);
            }
        }
    }

    /// The argument at `index` is a function that returns what may stand at `returns`.
    fn callback(&mut self, returns: Place, call: &CallExpression<'a>, index: usize) {
        for (at, argument) in call.arguments.iter().enumerate() {
            if at != index {
                self.argument_at(Place::Plain, argument);
                continue;
            }
            match argument {
                Argument::ArrowFunctionExpression(arrow)
                    if returns == Place::Promise || !arrow.r#async =>
                {
                    self.arrow_body(arrow, returns);
                }
                // A named function, or a longer one: good for promises as any other function that gives them.
                _ if returns == Place::Promise => self.argument_at(Place::Function, argument),
                _ => self.argument_at(Place::Plain, argument),
            }
        }
    }

    fn arrow_body(&mut self, arrow: &ArrowFunctionExpression<'a>, returns: Place) {
        let outer = std::mem::replace(&mut self.returns, returns);
        self.place = Place::Plain;
        self.visit_formal_parameters(&arrow.params);
        match &arrow.body {
            ArrowFunctionBody::FunctionBody(body) => self.visit_function_body(body),
            body => {
                if let Some(value) = body.as_expression() {
                    self.visit_at(returns, value);
                }
            }
        }
        self.returns = outer;
    }

    /// What a pattern is called with: functions only where it calls them.
    fn options(&mut self, object: &ObjectExpression<'a>) {
        for property in &object.properties {
            match property {
                ObjectPropertyKind::ObjectProperty(property)
                    if property.kind == PropertyKind::Init
                        && !property.computed
                        && CALLBACKS
                            .iter()
                            .any(|name| property.key.is_specific_static_name(name)) =>
                {
                    self.visit_at(Place::Options, &property.value);
                }
                _ => self.visit_object_property_kind(property),
            }
        }
    }

    fn array(&mut self, place: Place, array: &ArrayExpression<'a>) {
        let (element_place, spread_place) = match place {
            Place::Functions => (Place::Function, place),
            Place::Promises => (Place::Promise, place),
            Place::Options => (place, place),
            _ => (Place::Plain, Place::Plain),
        };
        for element in &array.elements {
            match element {
                ArrayExpressionElement::SpreadElement(spread) => {
                    self.visit_at(spread_place, &spread.argument);
                }
                _ => {
                    if let Some(expression) = element.as_expression() {
                        self.visit_at(element_place, expression);
                    }
                }
            }
        }
    }
}

impl<'a> Visit<'a> for Flows<'_, 'a> {
    fn visit_expression(&mut self, it: &Expression<'a>) {
        let place = std::mem::replace(&mut self.place, Place::Plain);
        if self.lost {
            return;
        }
        match it {
            Expression::ParenthesizedExpression(inner) => self.visit_at(place, &inner.expression),
            Expression::AwaitExpression(wait) => self.visit_at(Place::Promise, &wait.argument),
            Expression::ConditionalExpression(choice) => {
                self.visit_at(Place::Plain, &choice.test);
                self.visit_at(place, &choice.consequent);
                self.visit_at(place, &choice.alternate);
            }
            Expression::LogicalExpression(logical) => {
                let left = if logical.operator == LogicalOperator::And {
                    Place::Plain
                } else {
                    place
                };
                self.visit_at(left, &logical.left);
                self.visit_at(place, &logical.right);
            }
            Expression::SequenceExpression(sequence) => {
                let last = sequence.expressions.len().saturating_sub(1);
                for (index, expression) in sequence.expressions.iter().enumerate() {
                    self.visit_at(
                        if index == last {
                            place
                        } else {
                            Place::Statement
                        },
                        expression,
                    );
                }
            }
            Expression::CallExpression(call) => self.call(place, call),
            Expression::ChainExpression(chain) => match &chain.expression {
                oxc_ast::ast::ChainElement::CallExpression(call) => self.call(place, call),
                _ => walk::walk_expression(self, it),
            },
            Expression::ArrayExpression(array) => self.array(place, array),
            Expression::ObjectExpression(object) if place == Place::Options => {
                self.options(object);
            }
            Expression::ArrowFunctionExpression(arrow) => {
                if self.names.arrow_is_promising(arrow) && !place.takes_function() {
                    self.lost = true;
                }
                self.arrow_body(arrow, Place::Promise);
            }
            Expression::FunctionExpression(function) => {
                if self.names.function_is_promising(function) && !place.takes_function() {
                    self.lost = true;
                }
                self.visit_function(function, ScopeFlags::Function);
            }
            Expression::Identifier(_) => {
                if let Some(symbol) = self.names.symbol(it) {
                    let is_function = self.names.is_promising(symbol);
                    let stands = place.takes_function() && !self.names.is_mutated(symbol);
                    self.lost |= is_function && !stands;
                } else {
                    walk::walk_expression(self, it);
                }
            }
            Expression::BinaryExpression(binary)
                if self.names.global(&binary.right) == Some("Promise") =>
            {
                // `x instanceof Promise` asks, and takes nothing.
                self.visit_at(Place::Plain, &binary.left);
            }
            _ => walk::walk_expression(self, it),
        }
    }

    /// A global by name alone: aliases of what makes promises, and roads to them that this page does not know.
    fn visit_identifier_reference(&mut self, it: &IdentifierReference<'a>) {
        let known = SOURCES.contains(&it.name.as_str())
            || matches!(
                it.name.as_str(),
                "Promise" | PATTERNS | "globalThis" | "setTimeout" | "queueMicrotask"
            );
        if known && self.names.is_global(it) {
            self.lost = true;
        }
    }

    fn visit_expression_statement(&mut self, it: &ExpressionStatement<'a>) {
        self.visit_at(Place::Statement, &it.expression);
    }

    fn visit_return_statement(&mut self, it: &ReturnStatement<'a>) {
        if let Some(value) = &it.argument {
            self.visit_at(self.returns, value);
        }
    }

    fn visit_variable_declarator(&mut self, it: &VariableDeclarator<'a>) {
        let Some(init) = &it.init else { return };
        self.place = Place::Plain;
        self.visit_binding_pattern(&it.id);
        let place = match (&it.id, init.without_parentheses()) {
            (
                BindingPattern::BindingIdentifier(_),
                Expression::ArrowFunctionExpression(_) | Expression::FunctionExpression(_),
            ) => Place::Function,
            (BindingPattern::BindingIdentifier(id), _)
                if self.names.is_thunk_list(id.symbol_id()) =>
            {
                Place::Functions
            }
            _ => Place::Plain,
        };
        self.visit_at(place, init);
    }

    fn visit_function(&mut self, it: &Function<'a>, flags: ScopeFlags) {
        if it.generator && it.r#async {
            self.lost = true;
        }
        let outer = std::mem::replace(&mut self.returns, Place::Promise);
        self.place = Place::Plain;
        walk::walk_function(self, it, flags);
        self.returns = outer;
    }

    fn visit_for_of_statement(&mut self, it: &ForOfStatement<'a>) {
        self.lost |= it.r#await;
        walk::walk_for_of_statement(self, it);
    }

    /// An object with a `then` of its own is a promise that nobody knows.
    fn visit_object_property(&mut self, it: &ObjectProperty<'a>) {
        if let PropertyKey::StaticIdentifier(name) = &it.key
            && name.name == "then"
        {
            self.lost = true;
        }
        walk::walk_object_property(self, it);
    }

    fn visit_string_literal(&mut self, it: &oxc_ast::ast::StringLiteral<'a>) {
        self.lost |= it.value == "then";
    }

    fn visit_method_definition(&mut self, it: &oxc_ast::ast::MethodDefinition<'a>) {
        self.lost |=
            it.key.is_specific_static_name("then") || self.names.function_is_promising(&it.value);
        walk::walk_method_definition(self, it);
    }

    fn visit_assignment_target(&mut self, it: &oxc_ast::ast::AssignmentTarget<'a>) {
        if let oxc_ast::ast::AssignmentTarget::StaticMemberExpression(member) = it {
            self.lost |= member.property.name == "then";
        }
        walk::walk_assignment_target(self, it);
    }
}
