//! How often a call is sure to be made: through loops with literal bounds and fan-outs over lists of a known length.

use oxc_ast::AstKind;
use oxc_ast::ast::{
    AssignmentOperator, BindingPattern, CallExpression, Expression, ForStatement, ForStatementInit,
    SimpleAssignmentTarget, Statement, UpdateOperator,
};
use oxc_ast_visit::{Visit, walk};
use oxc_semantic::NodeId;
use oxc_span::{GetSpan, Span};
use oxc_syntax::operator::BinaryOperator;

use super::body::{Body, Called};
use super::fanout::least_length;

impl<'a> Body<'_, 'a> {
    /// How often the call at this node is made at least, unless something throws before; `None` where that is not sure.
    pub(crate) fn times(&self, id: NodeId) -> Option<u64> {
        let nodes = self.nodes();
        let mut times = 1_u64;
        // A function that only stands there is called when a `parallel` has it.
        let mut waits = false;
        let mut below = id;
        for node in nodes.ancestors(id) {
            if !self.take_step() {
                return None;
            }
            let inner = nodes.kind(below).span();
            below = node.id();
            match node.kind() {
                AstKind::ArrowFunctionExpression(arrow) => {
                    match self.role(node.id(), arrow.span)? {
                        Role::Each(count) => times = times.checked_mul(count)?,
                        Role::Thunk if waits => return None,
                        Role::Thunk => waits = true,
                    }
                }
                AstKind::CallExpression(call) if self.called(call) == Some(Called::Parallel) => {
                    waits = false;
                }
                AstKind::ForStatement(statement) if statement.body.span() == inner => {
                    times = times.checked_mul(self.rounds(statement)?)?;
                }
                AstKind::ForOfStatement(statement) if statement.body.span() == inner => {
                    if self.is_left(&statement.body) {
                        return None;
                    }
                    times = times.checked_mul(least_length(self, &statement.right)?)?;
                }
                AstKind::IfStatement(statement) if statement.test.span() != inner => return None,
                AstKind::ConditionalExpression(choice) if choice.test.span() != inner => {
                    return None;
                }
                AstKind::LogicalExpression(logical) if logical.left.span() != inner => {
                    return None;
                }
                AstKind::Function(_)
                | AstKind::Class(_)
                | AstKind::CatchClause(_)
                | AstKind::SwitchStatement(_)
                | AstKind::WhileStatement(_)
                | AstKind::DoWhileStatement(_)
                | AstKind::ForInStatement(_)
                | AstKind::LabeledStatement(_)
                | AstKind::AssignmentPattern(_)
                | AstKind::ChainExpression(_) => return None,
                _ => {}
            }
        }
        (!waits).then_some(times)
    }

    /// Whether something in the body of a loop may end it, or a round of it.
    pub(crate) fn is_left(&self, body: &Statement<'a>) -> bool {
        let mut known = self.leaving.borrow_mut();
        *known.entry(body.span()).or_insert_with(|| leaves(body))
    }

    /// What an arrow function is to whoever has it.
    fn role(&self, id: NodeId, span: Span) -> Option<Role> {
        match self.nodes().parent_kind(id) {
            AstKind::CallExpression(call) => {
                let index = call.arguments.iter().position(|it| it.span() == span)?;
                self.each(call, index).map(Role::Each)
            }
            // The value of a function that makes thunks, or an item of a list of them.
            AstKind::ArrowFunctionExpression(_) | AstKind::ArrayExpression(_) => Some(Role::Thunk),
            _ => None,
        }
    }

    /// How often a call calls the function that is its argument at `index`.
    fn each(&self, call: &'a CallExpression<'a>, index: usize) -> Option<u64> {
        if self.called(call) == Some(Called::Pipeline) {
            // Items may be dropped before a later stage.
            let items = call.arguments.first()?.as_expression()?;
            return (index == 1).then(|| least_length(self, items)).flatten();
        }
        let Expression::StaticMemberExpression(member) = &call.callee else {
            return None;
        };
        match (member.property.name.as_str(), index) {
            ("map" | "flatMap" | "forEach", 0) => {
                let is_sparse =
                    matches!(self.literal(&member.object), Expression::NewExpression(_));
                (!is_sparse)
                    .then(|| least_length(self, &member.object))
                    .flatten()
            }
            ("from", 1) if self.global(&member.object) == Some("Array") => {
                self.length_of_result(call)
            }
            _ => None,
        }
    }

    fn length_of_result(&self, call: &'a CallExpression<'a>) -> Option<u64> {
        super::fanout::length_of_call(self, call, 0)
    }

    /// How often the body of `for (let i = 0; i < 10; i++)` runs.
    fn rounds(&self, statement: &'a ForStatement<'a>) -> Option<u64> {
        let rounds = self.counted(statement)?;
        (!self.is_left(&statement.body)).then_some(rounds)
    }

    /// How often the body of `for (let i = 0; i < 10; i++)` runs at most.
    pub(crate) fn counted(&self, statement: &'a ForStatement<'a>) -> Option<u64> {
        let Some(ForStatementInit::VariableDeclaration(declaration)) = &statement.init else {
            return None;
        };
        let [declarator] = declaration.declarations.as_slice() else {
            return None;
        };
        let BindingPattern::BindingIdentifier(variable) = &declarator.id else {
            return None;
        };
        let is_it = |expression: &Expression<'_>| matches!(expression, Expression::Identifier(name) if name.name == variable.name);
        let from = self.count(declarator.init.as_ref()?)?;
        let Some(Expression::BinaryExpression(test)) = &statement.test else {
            return None;
        };
        let to = self.count(&test.right).filter(|_| is_it(&test.left))?;
        let end = match test.operator {
            BinaryOperator::LessThan => to,
            BinaryOperator::LessEqualThan => to.checked_add(1)?,
            _ => return None,
        };
        let is_target = |target: &SimpleAssignmentTarget<'_>| {
            matches!(target, SimpleAssignmentTarget::AssignmentTargetIdentifier(name)
                if name.name == variable.name)
        };
        let step = match statement.update.as_ref()? {
            Expression::UpdateExpression(update)
                if update.operator == UpdateOperator::Increment && is_target(&update.argument) =>
            {
                1
            }
            Expression::AssignmentExpression(assignment)
                if assignment.operator == AssignmentOperator::Addition
                    && assignment
                        .left
                        .as_simple_assignment_target()
                        .is_some_and(is_target) =>
            {
                self.count(&assignment.right).filter(|step| *step > 0)?
            }
            _ => return None,
        };
        // Its own update is the only place that changes the variable.
        let scoping = self.scoping();
        let writes = scoping
            .get_resolved_references(variable.symbol_id())
            .filter(|reference| reference.is_write())
            .count();
        (writes == 1).then(|| end.saturating_sub(from).div_ceil(step))
    }
}

/// What a function is to whoever has it.
enum Role {
    /// It is called so often, at once.
    Each(u64),
    /// It is called later, if somebody does.
    Thunk,
}

fn leaves(body: &Statement<'_>) -> bool {
    #[derive(Default)]
    struct Leaving(bool);
    impl<'a> Visit<'a> for Leaving {
        fn enter_node(&mut self, kind: AstKind<'a>) {
            self.0 |= matches!(
                kind,
                AstKind::BreakStatement(_)
                    | AstKind::ContinueStatement(_)
                    | AstKind::ReturnStatement(_)
                    | AstKind::ThrowStatement(_)
            );
        }
    }
    let mut leaving = Leaving::default();
    walk::walk_statement(&mut leaving, body);
    leaving.0
}
