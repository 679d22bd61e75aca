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

/// Refuses import declarations and every export but the first statement's.
pub(crate) fn imports_and_exports(ast: &Program<'_>) -> Result<(), Broken> {
    for (index, statement) in ast.body.iter().enumerate() {
        let at = statement.span().start as usize;
        match statement {
            Statement::ImportDeclaration(_) => {
                return Err((at, "`import` is not available".to_owned(), NO_IMPORT));
            }
            Statement::ExportDeclaration(_) if index == 0 => {}
            Statement::ExportDeclaration(_)
            | Statement::ExportNamedDeclaration(_)
            | Statement::ExportDefaultDeclaration(_)
            | Statement::ExportAllDeclaration(_)
            | Statement::ExportFromDeclaration(_) => {
                let what = if index == 0 {
                    "this export is not `meta`"
                } else {
                    "a second `export`"
                };
                return Err((at, what.to_owned(), ONE_EXPORT));
            }
            _ => {}
        }
    }
    Ok(())
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
