//! What a body may not say (B03): by syntax, so that strings and comments never trip it.

use oxc_ast::ast::{CallExpression, Expression, ImportExpression, ImportMeta, Program, Statement};
use oxc_ast_visit::{Visit, walk};
use oxc_semantic::Semantic;
use oxc_span::{GetSpan, Span};

/// Place, message, help.
pub(crate) type Broken = (Span, String, &'static str);

const NO_IMPORT: &str = "a script stands alone: write the code into it, give data in `args`, and let agents use files and packages";
const ONE_EXPORT: &str =
    "`export const meta = { … }` is the only export; give the result with `return`";

/// Import declarations, in their order.
pub(crate) fn imports(ast: &Program<'_>) -> impl Iterator<Item = Broken> {
    ast.body
        .iter()
        .filter(|it| matches!(it, Statement::ImportDeclaration(_)))
        .map(|found| {
            let message = "`import` is not available".to_owned();
            (found.span(), message, NO_IMPORT)
        })
}

/// Every export but the first statement's, which the header's reader has seen.
pub(crate) fn exports(ast: &Program<'_>) -> impl Iterator<Item = Broken> {
    let others = ast.body.iter().skip(1).filter(|it| {
        matches!(
            it,
            Statement::ExportDeclaration(_)
                | Statement::ExportNamedDeclaration(_)
                | Statement::ExportDefaultDeclaration(_)
                | Statement::ExportAllDeclaration(_)
                | Statement::ExportFromDeclaration(_)
        )
    });
    others.map(|found| (found.span(), "a second `export`".to_owned(), ONE_EXPORT))
}

/// `import()`, `import.meta` and calls of a `require` that the script does not itself declare, in their order.
pub(crate) fn body(ast: &Program<'_>, semantic: &Semantic<'_>) -> Vec<Broken> {
    let mut finder = Finder {
        semantic,
        broken: Vec::new(),
    };
    finder.visit_program(ast);
    finder.broken
}

struct Finder<'a, 's> {
    semantic: &'s Semantic<'a>,
    broken: Vec<Broken>,
}

impl Finder<'_, '_> {
    fn found(&mut self, at: Span, message: &str) {
        self.broken.push((at, message.to_owned(), NO_IMPORT));
    }
}

impl<'a> Visit<'a> for Finder<'a, '_> {
    fn visit_import_expression(&mut self, it: &ImportExpression<'a>) {
        self.found(it.span, "`import()` is not available");
        walk::walk_import_expression(self, it);
    }

    fn visit_import_meta(&mut self, it: &ImportMeta) {
        self.found(it.span, "`import.meta` is not available");
    }

    fn visit_call_expression(&mut self, it: &CallExpression<'a>) {
        if let Expression::Identifier(callee) = &it.callee
            && callee.name == "require"
            && self
                .semantic
                .scoping()
                .get_reference(callee.reference_id())
                .symbol_id()
                .is_none()
        {
            self.found(it.span, "`require()` is not available");
        }
        walk::walk_call_expression(self, it);
    }
}
