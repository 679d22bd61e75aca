//! The examples of `docs/codemod.md` are carried out.

use serde_json::Value;

use super::after;

/// The blocks of a kind, each with what follows it.
fn blocks<'d>(document: &'d str, kind: &str) -> Vec<(&'d str, &'d str)> {
    let start = format!("```{kind}\n");
    document
        .split(start.as_str())
        .skip(1)
        .filter_map(|rest| rest.split_once("```\n"))
        .collect()
}

#[test]
fn the_examples_do_what_they_show() {
    let document = include_str!("../../../../../docs/codemod.md");
    let mut languages = Vec::new();
    for (rule, rest) in blocks(document, "json") {
        let Some((difference, _)) = blocks(rest, "diff").into_iter().next() else {
            continue;
        };
        if !rest.starts_with("```diff") {
            continue;
        }
        let (path, lines) = difference.split_once('\n').unwrap();
        let path = path.strip_prefix("--- ").unwrap();
        let side = |sign: char| -> String {
            let lines = lines.lines().filter(|line| line.starts_with([' ', sign]));
            lines.flat_map(|line| [&line[1..], "\n"]).collect()
        };
        let rule: Value = serde_json::from_str(rule).unwrap();
        assert_eq!(after(&rule, path, &side('-')), side('+'), "{rule}");
        languages.push(path.rsplit_once('.').unwrap().1);
    }
    assert_eq!(languages, ["js", "js", "ts", "py", "rs"]);
}
