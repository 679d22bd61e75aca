//! From text to findings: syntax, header and what is refused, then the body's rules on whatever could be read.

use oxc_allocator::Allocator;
use oxc_ast::ast::{Declaration, Program, Statement};
use oxc_diagnostics::OxcDiagnostic;
use oxc_parser::ParserReturn;
use oxc_semantic::SemanticBuilder;
use oxc_span::{GetSpan, LabeledSpan, SourceType, Span};

use super::body::Body;
use super::finding::Found;
use super::surroundings::Surroundings;
use super::{fanout, names, options, patterns, phases, promises, unverified, workflows};
use crate::parse::{self, NUL, PLAIN, TYPES, body_of, first_type, parsed, text_of};
use crate::script::Meta;
use crate::{header, rules};

/// All that is found in a script.
pub(super) fn check(source: &str, surroundings: &dyn Surroundings) -> Vec<Found> {
    let mut found = Vec::new();
    let (text, nul) = text_of(source);
    if let Some(nul) = nul {
        let at = Span::new(nul as u32, nul as u32 + 1);
        return vec![Found::error("syntax", at, NUL.0, NUL.1)];
    }
    let allocator = Allocator::default();
    let script = syntax(&allocator, &text, source, &mut found);
    let is_read = !script.panicked;
    let kind = script.program.source_type;
    let ast = script.program;

    let mut meta = None;
    let mut header_span = None;
    if is_read {
        found.extend(rules::imports(&ast).map(refused("import")));
        let header = header::read(&ast);
        let late = if header.span.is_none() {
            late_header(&ast)
        } else {
            None
        };
        for broken in header.broken {
            let wrong = refused("header")(broken);
            found.push(match late {
                Some(place) => wrong.related(place, "here it is"),
                None => wrong,
            });
        }
        // A header that stands too late is told once.
        let exports = rules::exports(&ast).filter(|(span, ..)| Some(*span) != late);
        found.extend(exports.map(refused("export")));
        header_span = header.span;
        if let (Some(read), Some(place)) = (&header.meta, header.args) {
            args_schema(read, place, surroundings, &mut found);
        }
        meta = header.meta.zip(header.literal);
    }

    let body = body_of(&text, header_span);
    let allocator = Allocator::default();
    let ParserReturn { program, .. } = parsed(&allocator, &body, kind);
    let semantic = SemanticBuilder::new()
        .with_build_nodes(true)
        .with_check_syntax_error(true)
        .build(&program);
    if kind.is_javascript() {
        found.extend(semantic.diagnostics.errors().map(wrong_syntax));
    }
    let semantic = semantic.semantic;
    found.extend(
        rules::body(&program, &semantic)
            .into_iter()
            .map(refused("import")),
    );
    if is_read {
        let body = Body::of(&semantic, &text);
        body_rules(&body, meta.as_ref(), surroundings, &mut found);
    }
    found
}

fn body_rules(
    body: &Body<'_, '_>,
    meta: Option<&(Meta, Span)>,
    surroundings: &dyn Surroundings,
    found: &mut Vec<Found>,
) {
    names::check(body, found);
    options::check(body, surroundings, found);
    patterns::check(body, surroundings, found);
    workflows::check(body, surroundings, found);
    promises::check(body, found);
    fanout::check(body, surroundings.caps(), found);
    if let Some((meta, place)) = meta {
        phases::check(body, meta, *place, found);
    }
    unverified::check(body, meta.map(|(meta, _)| meta), found);
}

fn refused(code: &'static str) -> impl Fn(rules::Broken) -> Found {
    move |(span, message, help)| Found::error(code, span, message, help)
}

/// The syntax tree, with all errors that the parser gives. What is good TypeScript is one finding, and is read on.
fn syntax<'a>(
    allocator: &'a Allocator,
    text: &'a str,
    source: &str,
    found: &mut Vec<Found>,
) -> ParserReturn<'a> {
    let script = parsed(allocator, text, SourceType::mjs());
    if !script.diagnostics.has_errors() && !script.panicked {
        return script;
    }
    if let Some(offset) = first_type(source) {
        let at = Span::new(offset as u32, offset as u32 + 1);
        found.push(Found::error("syntax", at, TYPES, PLAIN));
        return parsed(allocator, text, SourceType::ts());
    }
    found.extend(script.diagnostics.errors().map(wrong_syntax));
    if !script.diagnostics.has_errors() {
        let unreadable = parse::unreadable();
        found.push(wrong_syntax(&unreadable));
    }
    script
}

fn wrong_syntax(error: &OxcDiagnostic) -> Found {
    let label = error.labels.first();
    let start = label.map_or(0, LabeledSpan::offset);
    let length = label.map_or(0, LabeledSpan::len);
    let at = Span::new(start, start + length);
    let mut wrong = Found::error("syntax", at, error.message.to_string(), PLAIN);
    for label in error.labels.iter().skip(1) {
        let start = label.offset();
        let message = label.label().unwrap_or("belongs to it");
        wrong = wrong.related(Span::new(start, start), message);
    }
    wrong
}

/// An `export const meta` that is not the first statement.
fn late_header(ast: &Program<'_>) -> Option<Span> {
    let is_meta = |statement: &&Statement<'_>| {
        let Statement::ExportDeclaration(export) = statement else {
            return false;
        };
        let Declaration::VariableDeclaration(declaration) = &export.declaration else {
            return false;
        };
        let mut names = declaration.declarations.iter();
        names.any(|it| {
            it.id
                .get_identifier_name()
                .is_some_and(|name| name == "meta")
        })
    };
    let mut rest = ast.body.iter().skip(1);
    rest.find(is_meta).map(GetSpan::span)
}

/// The schema of the arguments (G01).
fn args_schema(meta: &Meta, place: Span, surroundings: &dyn Surroundings, found: &mut Vec<Found>) {
    let schema = meta.args_schema.as_ref();
    if let Some(problem) = schema.and_then(|schema| surroundings.schema(schema)) {
        let message = format!("`meta.args`: {}", problem.message);
        found.push(Found::error(problem.code, place, message, problem.remedy));
    }
}
