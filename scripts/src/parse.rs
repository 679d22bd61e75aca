//! From text to [`Script`]: on a thread whose stack no nesting of the source can exhaust.

use std::thread;

use oxc_allocator::Allocator;
use oxc_ast::AstKind;
use oxc_ast::ast::Program as Ast;
use oxc_ast_visit::Visit;
use oxc_diagnostics::OxcDiagnostic;
use oxc_parser::{ParseOptions, Parser, ParserReturn};
use oxc_semantic::{Semantic, SemanticBuilder};
use oxc_span::{GetSpan, SourceType, Span};

use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::script::Script;
use crate::{flow, header, rewrite, rules};

/// The parser and its visitors call themselves once for each level of nesting, and a level may be one byte long. For the
/// deepest shapes of the tests 1 KiB of stack a byte of source was too little and 2 KiB enough, with visitors that were not
/// optimised; this is twice that. Memory that is not touched is not taken, so the usual script costs a page or two.
const STACK_BYTES_PER_SOURCE_BYTE: usize = 4096;
const STACK_BYTES_MIN: usize = 4 * 1024 * 1024;

/// All spans of oxc have 32 bits, whatever limit the caller sets.
const SOURCE_BYTES_EVER: usize = 64 * 1024 * 1024;

pub(crate) fn parse(
    source: &str,
    file_name: &str,
    limits: &Limits,
) -> Result<Script, Box<Refusal>> {
    let of_file = |(message, help): OfFile| Refusal::of_file(file_name, message, help);
    is_short_enough(source, limits).map_err(of_file)?;
    deep(source, || read(source, file_name)).map_err(of_file)?
}

/// Message and help of what is wrong with a whole file.
pub(crate) type OfFile = (String, &'static str);

/// Whether a source is within the limit on its length.
pub(crate) fn is_short_enough(source: &str, limits: &Limits) -> Result<(), OfFile> {
    let most = limits.source_bytes.min(SOURCE_BYTES_EVER);
    if source.len() <= most {
        return Ok(());
    }
    let message = format!(
        "the source has {} bytes, more than the limit of {most}",
        source.len()
    );
    Err((message, "shorten it, or raise the limit on source bytes"))
}

/// Does `work` on a thread whose stack is deep enough for every syntax tree of `source`.
pub(crate) fn deep<T: Send>(source: &str, work: impl FnOnce() -> T + Send) -> Result<T, OfFile> {
    let stack = STACK_BYTES_MIN + source.len() * STACK_BYTES_PER_SOURCE_BYTE;
    let done = thread::scope(|scope| {
        let builder = thread::Builder::new()
            .name("bellwether-parse".to_owned())
            .stack_size(stack);
        Some(builder.spawn_scoped(scope, work).ok()?.join())
    });
    match done {
        Some(Ok(result)) => Ok(result),
        Some(Err(_)) => Err((
            "the parser failed on this file".to_owned(),
            "this is a mistake in Bellwether: please report it with the file",
        )),
        None => Err((
            format!("no memory to read {} bytes of source", source.len()),
            "free some memory, or split the script",
        )),
    }
}

/// The text for the parser, in which every offset is the source's; where a NUL stands in it, if one does.
pub(crate) fn text_of(source: &str) -> (String, Option<usize>) {
    // A byte order mark would be white space to the parser; as spaces it keeps every offset.
    let text = source
        .strip_prefix('\u{feff}')
        .map(|rest| format!("   {rest}"));
    let text = text.as_deref().unwrap_or(source);
    // With the mark replaced, a `#!` line no longer begins the file.
    let hashbang = text.trim_start_matches(' ').starts_with("#!");
    let hashbang_end = if hashbang {
        text.find('\n').unwrap_or(text.len())
    } else {
        0
    };
    (blank(text, &[(0, hashbang_end)]), text.find('\0'))
}

/// What is wrong with a NUL.
pub(crate) const NUL: (&str, &str) = ("a NUL character", "write it as \\0 in a string");

fn read(source: &str, file_name: &str) -> Result<Script, Box<Refusal>> {
    let refuse = |at: Span, message: String, help: &str| {
        let offset = at.start as usize;
        Box::new(Refusal::at(file_name, source, offset, message, help))
    };
    let first = |broken: Option<rules::Broken>| {
        broken.map_or(Ok(()), |(at, message, help)| Err(refuse(at, message, help)))
    };
    let (text, nul) = text_of(source);
    if let Some(nul) = nul {
        let nul = nul as u32;
        return Err(refuse(Span::new(nul, nul), NUL.0.to_owned(), NUL.1));
    }

    let allocator = Allocator::default();
    let ast = syntax(&allocator, &text)
        .map_err(|error| Box::new(syntax_refusal(source, file_name, &error)))?;
    first(rules::imports(&ast).next())?;
    let header = header::read(&ast);
    first(header.broken.into_iter().next())?;
    let (Some(meta), Some(span)) = (header.meta, header.span) else {
        let message = "the header cannot be read".to_owned();
        return Err(refuse(Span::new(0, 0), message, ""));
    };
    first(rules::exports(&ast).next())?;
    let body = body_of(&text, Some(span));

    let allocator = Allocator::default();
    let ast = syntax(&allocator, &body)
        .map_err(|error| Box::new(syntax_refusal(source, file_name, &error)))?;
    let semantic = SemanticBuilder::new()
        .with_check_syntax_error(true)
        .build(&ast);
    if let Some(error) = semantic.diagnostics.errors().next() {
        return Err(syntax_refusal(source, file_name, error).into());
    }
    let semantic: Semantic<'_> = semantic.semantic;
    first(rules::body(&ast, &semantic).into_iter().next())?;
    let exact = flow::is_followed(&ast, &semantic);
    let program = rewrite::program(&ast, &semantic, &body, source, exact);
    Ok(Script::new(meta, source, file_name, program))
}

/// The text without its header: `meta` is no variable of the body (H05).
pub(crate) fn body_of(text: &str, header: Option<Span>) -> String {
    let range = header.map_or((0, 0), |span| (span.start as usize, span.end as usize));
    blank(text, &[range])
}

/// Parses `text` as a module whose top level may return; module code is strict, and HTML-like comments are none there,
/// as in `QuickJS`.
pub(crate) fn parsed<'a>(
    allocator: &'a Allocator,
    text: &'a str,
    kind: SourceType,
) -> ParserReturn<'a> {
    let options = ParseOptions {
        allow_return_outside_function: true,
        ..ParseOptions::default()
    };
    Parser::new(allocator, text, kind)
        .with_options(options)
        .parse()
}

pub(crate) fn syntax<'a>(
    allocator: &'a Allocator,
    text: &'a str,
) -> Result<Ast<'a>, OxcDiagnostic> {
    let parsed = parsed(allocator, text, SourceType::mjs());
    match parsed.diagnostics.errors().next() {
        Some(error) => Err(error.clone()),
        None if parsed.panicked => Err(unreadable()),
        None => Ok(parsed.program),
    }
}

/// The error of a parser that gave up and does not say why.
pub(crate) fn unreadable() -> OxcDiagnostic {
    OxcDiagnostic::error("unreadable syntax")
}

/// What helps against wrong syntax.
pub(crate) const PLAIN: &str = "a script is plain JavaScript (ES2023, strict; top-level await and return are fine, TypeScript is not)";
pub(crate) const TYPES: &str = "TypeScript syntax";

pub(crate) fn syntax_refusal(source: &str, file_name: &str, error: &OxcDiagnostic) -> Refusal {
    if let Some(offset) = first_type(source) {
        return Refusal::at(file_name, source, offset, TYPES, PLAIN);
    }
    let offset = error
        .labels
        .first()
        .map_or(0, |label| label.offset() as usize);
    Refusal::at(file_name, source, offset, error.message.to_string(), PLAIN)
}

/// Where a text that is good TypeScript stops being JavaScript: the parser's own words for that are about what it missed.
pub(crate) fn first_type(source: &str) -> Option<usize> {
    let allocator = Allocator::default();
    let parsed = parsed(&allocator, source, SourceType::ts());
    if parsed.panicked || parsed.diagnostics.has_errors() {
        return None;
    }
    let mut types = Types { first: None };
    types.visit_program(&parsed.program);
    types.first.map(|offset| offset as usize)
}

struct Types {
    first: Option<u32>,
}

impl<'a> Visit<'a> for Types {
    fn enter_node(&mut self, kind: AstKind<'a>) {
        let offset = match kind {
            AstKind::TSTypeAnnotation(it) => it.span.start,
            AstKind::TSInterfaceDeclaration(it) => it.span.start,
            AstKind::TSTypeAliasDeclaration(it) => it.span.start,
            AstKind::TSEnumDeclaration(it) => it.span.start,
            AstKind::TSAsExpression(it) => it.expression.span().end,
            AstKind::TSSatisfiesExpression(it) => it.expression.span().end,
            AstKind::TSNonNullExpression(it) => it.expression.span().end,
            AstKind::TSTypeAssertion(it) => it.span.start,
            AstKind::TSTypeParameterDeclaration(it) => it.span.start,
            AstKind::TSTypeParameterInstantiation(it) => it.span.start,
            _ => return,
        };
        self.first = Some(self.first.map_or(offset, |first| first.min(offset)));
    }
}

/// `text` with the given byte ranges as spaces; lines and all other offsets stay.
fn blank(text: &str, ranges: &[(usize, usize)]) -> String {
    let mut blanked = String::with_capacity(text.len());
    let mut from = 0;
    for &(start, end) in ranges {
        blanked.push_str(&text[from..start]);
        blanked.extend(
            text[start..end]
                .bytes()
                .map(|byte| if byte == b'\n' { '\n' } else { ' ' }),
        );
        from = end;
    }
    blanked.push_str(&text[from..]);
    blanked
}
