//! An outline as lines of text: the author's line number, the tree, and what is there.

use std::fmt;

use super::{Bound, Kind, Node, Outline, Role};

/// A line of the drawing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// The author's line; 0 where there is none.
    pub line: u32,
    /// What shows its place in the tree.
    pub tree: String,
    /// What it is.
    pub kind: Kind,
    /// What more is to be said.
    pub text: String,
    /// How often, in words; empty where that is not to be said.
    pub bound: String,
    /// Whether it has a bound, where it is to have one.
    pub is_bounded: bool,
    /// What it does about changes; empty where nothing is known.
    pub role: &'static str,
}

impl Outline {
    /// The drawing, line by line.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for node in &self.nodes {
            rows.push(row(node, String::new()));
            below(node, "", &mut rows);
        }
        rows
    }
}

fn below(node: &Node, before: &str, rows: &mut Vec<Row>) {
    for (index, child) in node.children.iter().enumerate() {
        let is_last = index + 1 == node.children.len();
        let branch = if is_last { "└─ " } else { "├─ " };
        rows.push(row(child, format!("{before}{branch}")));
        let on = if is_last { "   " } else { "│  " };
        below(child, &format!("{before}{on}"), rows);
    }
}

fn row(node: &Node, tree: String) -> Row {
    Row {
        line: node.line,
        tree,
        kind: node.kind,
        text: text(node),
        bound: node
            .bound
            .map_or_else(String::new, |bound| words(bound, node.kind)),
        is_bounded: !matches!(node.bound, Some(Bound::NoneFound | Bound::Budget)),
        role: match node.role {
            Some(Role::Edits) => "edits",
            Some(Role::Verifies) => "verifies",
            None => "",
        },
    }
}

fn text(node: &Node) -> String {
    let Some(options) = &node.options else {
        return node.text.clone();
    };
    let said = [&options.agent_type, &options.model, &options.isolation];
    let said = said.into_iter().flatten().map(String::as_str);
    let schema = options.schema.then_some("schema");
    said.chain(schema)
        .fold(node.text.clone(), |text, option| text + "  " + option)
}

fn words(bound: Bound, kind: Kind) -> String {
    let unit = if kind == Kind::Loop {
        "times"
    } else {
        "at once"
    };
    match (bound, kind) {
        (Bound::Exactly(1), Kind::Loop) => "once".to_owned(),
        (Bound::AtMost(1), Kind::Loop) => "at most once".to_owned(),
        (Bound::Exactly(count), Kind::Pipeline) => format!("{count} items"),
        (Bound::AtMost(count), Kind::Pipeline) => format!("at most {count} items"),
        (Bound::Exactly(count), _) => format!("{count} {unit}"),
        (Bound::AtMost(count), _) => format!("at most {count} {unit}"),
        (Bound::Budget, _) => "while the budget lasts; no bound without one".to_owned(),
        (Bound::NoneFound, _) => "no bound found".to_owned(),
    }
}

impl fmt::Display for Outline {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows();
        let width = rows.iter().map(|row| row.line.to_string().len()).max();
        let width = width.unwrap_or_default();
        for row in &rows {
            let Row {
                line,
                tree,
                kind,
                text,
                bound,
                role,
                ..
            } = row;
            let line = if *line == 0 {
                String::new()
            } else {
                line.to_string()
            };
            let mut said = format!("{line:>width$}  {tree}{}", kind.word());
            if !text.is_empty() {
                said = said + " " + text;
            }
            if !bound.is_empty() {
                said = format!("{said} ({bound})");
            }
            if !role.is_empty() {
                said = format!("{said}  {role}");
            }
            writeln!(formatter, "{said}")?;
        }
        if self.left_out {
            writeln!(formatter, "{:>width$}  … and more", "")?;
        }
        Ok(())
    }
}
