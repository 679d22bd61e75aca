//! What a body may not say (B03): by syntax, so that strings and comments never trip it.

use oxc_ast::ast::{CallExpression, Expression, ImportExpression, ImportMeta, Program, Statement};
use oxc_ast_visit::{Visit, walk};
use oxc_semantic::Semantic;
use oxc_span::GetSpan;

/// Offset, message, help.
pub(crate) type Broken = (usize, String, &'static str);

const NO_IMPORT: &str = "a script stands alone: write the code into it, give data in `args`, and let agents use files and packages";
const ONE_EXPORT: &str =
    "`export const meta = { … }` is the only export; give the result with `return`";

/// Refuses import declarations.
pub(crate) fn imports(ast: &Program<'_>) -> Result<(), Broken> {
    let import = ast
        .body
        .iter()
        .find(|it| matches!(it, Statement::ImportDeclaration(_)));
    import.map_or(Ok(()), |found| {
        Err((
            found.span().start as usize,
            "`import` is not available".to_owned(),
            NO_IMPORT,
        ))
    })
}

/// Refuses every export but the first statement's, which the header's reader has seen.
pub(crate) fn exports(ast: &Program<'_>) -> Result<(), Broken> {
    let second = ast.body.iter().skip(1).find(|it| {
        matches!(
            it,
            Statement::ExportDeclaration(_)
                | Statement::ExportNamedDeclaration(_)
                | Statement::ExportDefaultDeclaration(_)
                | Statement::ExportAllDeclaration(_)
                | Statement::ExportFromDeclaration(_)
        )
    });
    second.map_or(Ok(()), |found| {
        Err((
            found.span().start as usize,
            "a second `export`".to_owned(),
            ONE_EXPORT,
        ))
    })
}

/// Refuses `import()`, `import.meta` and calls of a `require` that the script does not itself declare.
pub(crate) fn body(ast: &Program<'_>, semantic: &Semantic<'_>) -> Result<(), Broken> {
    let mut finder = Finder {
        semantic,
        broken: None,
    };
    finder.visit_program(ast);
    finder.broken.map_or(Ok(()), Err)
}

struct Finder<'a, 's> {
    semantic: &'s Semantic<'a>,
    broken: Option<Broken>,
}

impl Finder<'_, '_> {
    fn found(&mut self, at: u32, message: &str) {
        if self.broken.is_none() {
            self.broken = Some((at as usize, message.to_owned(), NO_IMPORT));
        }
    }
}

impl<'a> Visit<'a> for Finder<'a, '_> {
    fn visit_import_expression(&mut self, it: &ImportExpression<'a>) {
        self.found(it.span.start, "`import()` is not available");
    }

    fn visit_import_meta(&mut self, it: &ImportMeta) {
        self.found(it.span.start, "`import.meta` is not available");
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
            self.found(it.span.start, "`require()` is not available");
        }
        walk::walk_call_expression(self, it);
    }
}
