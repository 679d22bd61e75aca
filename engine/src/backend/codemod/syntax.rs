//! Syntax trees: parsing, errors in them, how deep they are.

use ast_grep_core::tree_sitter::StrDoc;
use ast_grep_core::{AstGrep, Node as AnyNode};
use ast_grep_language::SupportLang;

use super::language::Language;
use super::text::without_whitespace;

/// A file's syntax tree, with its text.
pub(super) type Tree = AstGrep<StrDoc<SupportLang>>;
/// A node of a [`Tree`].
pub(super) type Node<'t> = AnyNode<'t, StrDoc<SupportLang>>;

/// Code that is nested deeper is left alone: matching follows the nesting on the stack, and 2 MiB of stack must do. Code
/// that people write stays below 200.
pub(super) const DEPTH_MAX: usize = 1_500;

/// The syntax tree of `code`; of a language that is built in, it is none only when the parser gives up.
pub(super) fn parse(code: &str, language: Language) -> Option<Tree> {
    Tree::try_new(code, language.grammar()).ok()
}

/// A place that the grammar does not understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Error {
    /// Its first byte.
    pub(super) offset: usize,
    /// What was expected there, for something that is missing.
    pub(super) missing: Option<String>,
    /// Its text without whitespace.
    text: String,
}

/// What is to be known of a tree before it is worked on.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) depth: usize,
    pub(super) errors: Vec<Error>,
}

/// Walks over the whole tree, without recursion.
pub(super) fn survey(tree: &Tree) -> Survey {
    let root = tree.root().get_inner_node();
    let source = tree.source();
    let mut errors = Vec::new();
    let (mut depth, mut deepest) = (1_usize, 1);
    let mut cursor = root.walk();
    loop {
        let node = cursor.node();
        // The grammar of Python lets a block be empty; Python does not.
        let is_empty_block = node.kind() == "block" && node.child_count() == 0;
        if node.is_error() || node.is_missing() || is_empty_block {
            let text = source.get(node.byte_range()).unwrap_or_default();
            let missing = if is_empty_block {
                Some("statement".to_owned())
            } else {
                node.is_missing().then(|| node.kind().to_owned())
            };
            errors.push(Error {
                offset: node.start_byte(),
                missing,
                text: without_whitespace(text),
            });
        }
        if cursor.goto_first_child() {
            depth += 1;
            deepest = deepest.max(depth);
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return Survey {
                    depth: deepest,
                    errors,
                };
            }
            depth -= 1;
        }
    }
}

/// The first error in `after` that was not in `before`. An error that was there before may stand elsewhere now.
pub(super) fn new_error<'e>(before: &[Error], after: &'e [Error]) -> Option<&'e Error> {
    let mut known: Vec<&Error> = before.iter().collect();
    after.iter().find(|error| {
        let same = known
            .iter()
            .position(|other| other.missing == error.missing && other.text == error.text);
        same.map(|at| known.swap_remove(at)).is_none()
    })
}
