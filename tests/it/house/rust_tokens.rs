//! A Rust file as a flat list of tokens: comments are gone and strings are one token, so that a rule about code never
//! trips over words.

use std::path::Path;

use proc_macro2::{Spacing, TokenStream, TokenTree};

/// A token with the line it stands on, from 1.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
}

/// Which parts of a file count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of it.
    Everything,
    /// What is compiled into shipped programs: items under `#[cfg(test)]` are left out.
    Shipped,
}

/// The tokens of a file, by its path from the root.
pub(super) fn tokens(path: &Path, scope: Scope) -> Vec<Token> {
    let stream: TokenStream = super::text(path)
        .parse()
        .unwrap_or_else(|error| panic!("{}: no Rust: {error}", path.display()));
    flat(stream, scope)
}

/// The tokens of a text that is parsed already.
pub(super) fn flat(stream: TokenStream, scope: Scope) -> Vec<Token> {
    let mut flat = Vec::new();
    flatten(stream, scope, &mut flat);
    flat
}

fn flatten(stream: TokenStream, scope: Scope, flat: &mut Vec<Token>) {
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let line = tree.span().start().line;
        let mut push = |text: String| flat.push(Token { text, line });
        match tree {
            TokenTree::Punct(punct) if punct.as_char() == '#' && scope == Scope::Shipped => {
                let test_only = matches!(trees.peek(), Some(TokenTree::Group(group))
                    if group.stream().to_string().replace(' ', "") == "cfg(test)");
                if test_only {
                    skip_item(&mut trees);
                } else {
                    push("#".to_owned());
                }
            }
            // `::` is one token here, as it is to a reader.
            TokenTree::Punct(punct)
                if punct.as_char() == ':' && punct.spacing() == Spacing::Joint =>
            {
                trees.next();
                push("::".to_owned());
            }
            TokenTree::Punct(punct) => push(punct.as_char().to_string()),
            TokenTree::Ident(ident) => push(ident.to_string()),
            TokenTree::Literal(literal) => push(literal.to_string()),
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    proc_macro2::Delimiter::Parenthesis => ("(", ")"),
                    proc_macro2::Delimiter::Brace => ("{", "}"),
                    proc_macro2::Delimiter::Bracket => ("[", "]"),
                    proc_macro2::Delimiter::None => ("", ""),
                };
                push(open.to_owned());
                flatten(group.stream(), scope, flat);
                let line = group.span_close().start().line;
                flat.push(Token {
                    text: close.to_owned(),
                    line,
                });
            }
        }
    }
}

/// Passes over an attribute's own brackets and the item behind it: up to its braces or its semicolon.
fn skip_item(trees: &mut impl Iterator<Item = TokenTree>) {
    trees.next();
    for tree in trees {
        match tree {
            TokenTree::Group(group) if group.delimiter() == proc_macro2::Delimiter::Brace => return,
            TokenTree::Punct(punct) if punct.as_char() == ';' => return,
            _ => {}
        }
    }
}

/// The lines on which `wanted` stands, token for token.
pub(super) fn lines_of(tokens: &[Token], wanted: &[&str]) -> Vec<usize> {
    tokens
        .windows(wanted.len())
        .filter(|window| {
            window
                .iter()
                .zip(wanted)
                .all(|(token, text)| token.text == *text)
        })
        .map(|window| window[0].line)
        .collect()
}

#[test]
fn comments_strings_and_test_modules_do_not_count() {
    let source = r#"
        // Instant::now()
        fn a() { "Instant::now()"; std::time::Instant :: now(); }
        #[cfg(test)] mod tests { fn b() { Instant::now(); } }
        #[cfg(test)] use x::Instant::now;
        fn c() { select! { _ => Instant::now() } }
    "#;
    let count = |scope| {
        let stream = source.parse().unwrap_or_else(|error| panic!("{error}"));
        lines_of(&flat(stream, scope), &["Instant", "::", "now"])
    };
    assert_eq!(count(Scope::Shipped), [3, 6]);
    assert_eq!(count(Scope::Everything), [3, 4, 5, 6]);
}
