//! A source file as syntax tree and scopes: the one place that calls the parser.

use std::path::Path;

use oxc_allocator::Allocator;
use oxc_ast::ast::Program;
use oxc_parser::Parser;
pub use oxc_parser::Token;
use oxc_parser::config::TokensParserConfig;
use oxc_semantic::{Semantic, SemanticBuilder};
use oxc_span::SourceType;

/// File name endings of JavaScript and TypeScript.
pub const EXTENSIONS: [&str; 8] = ["js", "jsx", "mjs", "cjs", "ts", "tsx", "mts", "cts"];

/// A file that the parser refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxProblem {
    /// Line, from 1.
    pub line: usize,
    /// What the parser says.
    pub message: String,
}

/// What is known of a file after parsing.
pub struct Parsed<'s, 'a> {
    /// The text that was parsed.
    pub text: &'a str,
    /// The syntax tree.
    pub program: &'a Program<'a>,
    /// Nodes, scopes, symbols and references.
    pub semantic: &'s Semantic<'a>,
    /// The tokens in source order, without comments.
    pub tokens: &'s [Token],
}

/// Parses `text` by the rules that `path`'s ending stands for and hands the result to `read`.
///
/// # Errors
/// A file that does not parse, or whose ending is none of [`EXTENSIONS`].
pub fn parse<T>(
    path: &Path,
    text: &str,
    read: impl FnOnce(&Parsed<'_, '_>) -> T,
) -> Result<T, SyntaxProblem> {
    let allocator = Allocator::default();
    let kind = source_type(path)?;
    // First without tokens: the parser's bookkeeping of tokens is not made for broken files.
    let parsed = Parser::new(&allocator, text, kind).parse();
    if let Some(first) = parsed.diagnostics.iter().next() {
        let offset = first
            .labels
            .first()
            .map_or(0, |label| label.offset() as usize);
        return Err(SyntaxProblem {
            line: line_of(text, offset),
            message: first.to_string(),
        });
    }
    if parsed.panicked {
        return Err(SyntaxProblem {
            line: 1,
            message: "the parser gave up".to_owned(),
        });
    }
    let parsed = Parser::new(&allocator, text, kind)
        .with_config(TokensParserConfig)
        .parse();
    let program = allocator.alloc(parsed.program);
    let semantic = SemanticBuilder::new()
        .with_build_nodes(true)
        .build(program)
        .semantic;
    let text = program.source_text;
    Ok(read(&Parsed {
        text,
        program,
        semantic: &semantic,
        tokens: &parsed.tokens,
    }))
}

/// The language of `path`. JSX is read in `.js` too, as bundlers do; whether a file is a module
/// is decided by what stands in it, unless its ending says so.
fn source_type(path: &Path) -> Result<SourceType, SyntaxProblem> {
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    let kind = SourceType::from_extension(extension).map_err(|error| SyntaxProblem {
        line: 1,
        message: error.to_string(),
    })?;
    Ok(match extension {
        "js" | "jsx" => kind.with_unambiguous(true).with_jsx(true),
        "ts" | "tsx" => kind.with_unambiguous(true),
        _ => kind,
    })
}

/// The line, from 1, on which the byte at `offset` stands.
pub fn line_of(text: &str, offset: usize) -> usize {
    let before = &text.as_bytes()[..offset.min(text.len())];
    1 + before
        .split(|byte| *byte == b'\n')
        .count()
        .saturating_sub(1)
}
