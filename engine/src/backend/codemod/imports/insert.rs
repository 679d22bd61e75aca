//! Where a new import goes, and how a list gets one item more: the same in all languages.

use super::super::syntax::Node;
use super::super::text::Splice;

/// Words in comments at the top of a file that must stay above everything else.
const PRAGMAS: &[&str] = &[
    "@ts-",
    "eslint",
    "@flow",
    "@jsx",
    "@jest",
    "@vitest",
    "@license",
    "@preserve",
    "copyright",
    "spdx-",
    "pylint",
    "mypy:",
    "ruff:",
    "flake8",
    "-*-",
    "coding:",
    "coding=",
    "prettier",
    "istanbul",
];

/// What a node at the top of a file is to the imports that come after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It stays above them: a directive, a docstring, an inner attribute.
    Above,
    /// It stays above if it speaks of the file, and not of what follows.
    Comment,
    /// It is code.
    Code,
}

/// Puts `statement` at the top of a file that has no imports yet.
pub(super) fn at_top(
    root: &Node<'_>,
    source: &str,
    standing: impl Fn(&Node<'_>) -> Standing,
    statement: &str,
) -> Splice {
    let mut above = None;
    let nodes: Vec<Node<'_>> = root.children().collect();
    for (index, node) in nodes.iter().enumerate() {
        let end = text_end(node);
        let stays = match standing(node) {
            Standing::Above => true,
            Standing::Code => break,
            Standing::Comment => {
                let next = nodes
                    .get(index + 1)
                    .map_or(source.len(), |next| next.range().start);
                let gap = source.get(end..next).unwrap_or_default();
                is_pragma(&node.text()) || gap.matches('\n').count() > 1
            }
        };
        if stays {
            above = Some(end);
        }
    }
    let Some(end) = above else {
        let start = nodes.first().map_or(0, |first| first.range().start);
        return Splice::insertion(start, format!("{statement}\n\n"));
    };
    let rest = source.get(end..).unwrap_or_default();
    let space = &rest[..rest.len() - rest.trim_start().len()];
    match space.matches('\n').count() {
        0 => Splice {
            range: end..end + space.len(),
            text: format!("\n\n{statement}\n\n"),
        },
        1 => Splice::insertion(end, format!("\n\n{statement}\n")),
        _ => Splice::insertion(end, format!("\n\n{statement}")),
    }
}

/// Puts `statement` on a line of its own behind `node`, and behind a comment on the same line.
pub(super) fn behind(node: &Node<'_>, statement: &str) -> Splice {
    let mut end = text_end(node);
    if let Some(comment) = comment_behind(node) {
        end = text_end(&comment);
    }
    Splice::insertion(end, format!("\n{statement}"))
}

/// Puts `item` behind the last of `items`, which are separated by commas: on a line of its own if the last one is.
pub(super) fn appended(source: &str, items: &[Node<'_>], item: &str) -> Vec<Splice> {
    let Some(last) = items.last() else {
        return Vec::new();
    };
    let start = last.range().start;
    let before = source.get(..start).unwrap_or_default();
    let indent = &before[before.rfind('\n').map_or(0, |end| end + 1)..];
    let own_line = before.contains('\n') && indent.chars().all(char::is_whitespace);
    let comma = last.next().filter(|next| next.text() == ",");
    let end = last.range().end;
    match (&comma, own_line) {
        (None, false) => vec![Splice::insertion(end, format!(", {item}"))],
        (Some(comma), false) => {
            vec![Splice::insertion(comma.range().end, format!(" {item},"))]
        }
        (None, true) => match comment_behind(last) {
            None => vec![Splice::insertion(end, format!(",\n{indent}{item}"))],
            Some(comment) => vec![
                Splice::insertion(end, ","),
                Splice::insertion(text_end(&comment), format!("\n{indent}{item}")),
            ],
        },
        (Some(comma), true) => {
            let end = comment_behind(comma).map_or(comma.range().end, |comment| text_end(&comment));
            vec![Splice::insertion(end, format!("\n{indent}{item},"))]
        }
    }
}

/// Where a node's text ends: some grammars count the end of the line to a comment.
fn text_end(node: &Node<'_>) -> usize {
    let text = node.text();
    node.range().end - (text.len() - text.trim_end().len())
}

/// A comment behind a node on the line where the node ends.
fn comment_behind<'t>(node: &Node<'t>) -> Option<Node<'t>> {
    let next = node.next()?;
    let same_line = next.start_pos().line() == node.end_pos().line();
    (same_line && next.is_extra() && next.kind().contains("comment")).then_some(next)
}

fn is_pragma(comment: &str) -> bool {
    let comment = comment.to_lowercase();
    comment.starts_with("/*!")
        || comment.starts_with("#!")
        || PRAGMAS.iter().any(|pragma| comment.contains(pragma))
}
