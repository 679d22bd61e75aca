//! Keeping the layout of what a replacement leaves as it is.
//!
//! ast-grep lays what it captures out anew, by the indentation of its line. That is right for a replacement of several
//! lines, and wrong in two cases: one line of template need not move arguments that stand on lines of their own, and the
//! lines of a string are its content.

use super::text::find_ignoring_whitespace;

/// A token, roughly, and the space before it.
struct Token<'t> {
    gap: &'t str,
    text: &'t str,
}

impl Token<'_> {
    fn breaks(&self) -> bool {
        self.gap.contains('\n')
    }
}

/// `new` with the line breaks that `old` has between the same tokens, at the beginning and at the end, up to what
/// differs.
pub(super) fn with_line_breaks(old: &str, new: &str) -> String {
    if !old.contains('\n') {
        return new.to_owned();
    }
    let (before, mut after) = (tokens(old), tokens(new));
    let pairs = before.iter().zip(&after);
    let start = pairs.take_while(|(a, b)| a.text == b.text).count();
    let pairs = before[start..]
        .iter()
        .rev()
        .zip(after[start..].iter().rev());
    let end = pairs.take_while(|(a, b)| a.text == b.text).count();
    let (old_rest, new_rest) = (before.len() - end, after.len() - end);
    if old_rest == start && new_rest == start {
        // Nothing but space is changed: that is what is meant, then.
        return new.to_owned();
    }
    let is_one_line = |tokens: &[Token<'_>]| {
        !tokens.is_empty() && tokens.iter().skip(1).all(|token| !token.breaks())
    };
    let one_for_one = is_one_line(&before[start..old_rest]) && is_one_line(&after[start..new_rest]);
    let kept = (1..start).map(|at| (at, at));
    let kept_end = (1..end).map(|at| (old_rest + at, new_rest + at));
    let edges = [(start, start), (old_rest, new_rest)];
    let edges = edges.into_iter().filter(|_| one_for_one);
    for (from, to) in kept.chain(kept_end).chain(edges) {
        if let (Some(from), Some(to)) = (before.get(from), after.get_mut(to))
            && from.breaks()
        {
            to.gap = from.gap;
        }
    }
    let last = &new[new.trim_end().len()..];
    let parts = after.iter().flat_map(|token| [token.gap, token.text]);
    parts.chain([last]).collect()
}

/// Words and single characters, with the space before each.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let is_word = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '$');
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        let start = rest.len() - rest.trim_start().len();
        let (gap, behind) = rest.split_at(start);
        let Some(first) = behind.chars().next() else {
            return tokens;
        };
        let end = if is_word(first) {
            behind
                .find(|letter| !is_word(letter))
                .unwrap_or(behind.len())
        } else {
            first.len_utf8()
        };
        let (text, after) = behind.split_at(end);
        tokens.push(Token { gap, text });
        rest = after;
    }
}

/// `text` without space on lines that have nothing else.
pub(super) fn without_blank_ends(text: &str) -> String {
    let mut lines: Vec<&str> = text.split('\n').collect();
    // What follows the last line, and stands before the first, is not known here.
    let inner = 1..lines.len().saturating_sub(1);
    for line in lines.get_mut(inner).into_iter().flatten() {
        if line.trim().is_empty() {
            *line = "";
        }
    }
    lines.join("\n")
}

/// `text` with a string of several lines as it was before its lines were moved.
pub(super) fn with_string(text: String, string: &str) -> String {
    if text.contains(string) {
        return text;
    }
    let Some(moved) = find_ignoring_whitespace(&text, string) else {
        return text;
    };
    format!("{}{string}{}", &text[..moved.start], &text[moved.end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_between_the_same_tokens_stay() {
        for (old, new, expected) in [
            (
                "axios\n  .get(\n    a,\n  )",
                "http.get(a,)",
                "http\n  .get(\n    a,\n  )",
            ),
            ("f(\n  a,\n  b,\n)", "f(b, a)", "f(b, a)"),
            ("f(\n  a,\n  { b },\n)", "g(a, b)", "g(a, b)"),
            (
                "class A extends B.C {\n  d\n}",
                "class A extends C { d }",
                "class A extends C {\n  d\n}",
            ),
            ("f( a\n)", "f(a)", "f(a)"),
            ("f('a  b',\n  c)", "g('a b', c)", "g('a b',\n  c)"),
            ("f(a)", "g(\n  a\n)", "g(\n  a\n)"),
            ("f(\na)", "", ""),
        ] {
            assert_eq!(with_line_breaks(old, new), expected, "{old}");
        }
    }
}
