//! Meta variables in patterns and templates: `$NAME` is one node, `$$$NAME` a list of them.

use std::collections::BTreeSet;

/// The names in a text, and whether each stands for a list. A nameless `$_` or `$$$` is none.
pub(super) fn variables(text: &str) -> BTreeSet<(&str, bool)> {
    let mut found = BTreeSet::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let behind = rest[at..].trim_start_matches('$');
        let signs = rest.len() - at - behind.len();
        let is_part =
            |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
        let end = behind
            .find(|letter| !is_part(letter))
            .unwrap_or(behind.len());
        let (name, after) = behind.split_at(end);
        if name.starts_with(|first: char| first.is_ascii_uppercase()) {
            found.insert((name, signs >= 3));
        }
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_with_their_form() {
        let found = variables("f($A, $$$REST_1, $$OP, $_, $$$, $$$_X, `${B}`, $lower, 1 $ 2) µ$C");
        let expected = [("A", false), ("C", false), ("OP", false), ("REST_1", true)];
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
    }
}
