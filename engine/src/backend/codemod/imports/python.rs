//! `import` and `from … import` in Python.

use serde_json::Value;

use super::super::place::{Place, TaskError};
use super::super::syntax::{Node, Tree};
use super::super::text::without_whitespace;
use super::insert::{Standing, appended, at_top, behind};
use super::{Addition, field, identifier, is_identifier, line_of, taken};

/// Statements that bring names in.
const IMPORTS: &[&str] = &[
    "import_statement",
    "import_from_statement",
    "future_import_statement",
];

/// One name that is brought in: `from module import name as alias`, or `import module as alias` without a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    module: String,
    name: Option<String>,
    alias: Option<String>,
}

impl Import {
    pub(super) fn of_statement(node: &Node<'_>) -> Option<Vec<Self>> {
        let kind = node.kind();
        if !IMPORTS.contains(&&*kind) {
            return None;
        }
        let module = match &*kind {
            "import_statement" => None,
            "future_import_statement" => Some("__future__".to_owned()),
            _ => Some(without_whitespace(&node.field("module_name")?.text())),
        };
        let names = node.field_children("name");
        let mut imports: Vec<Self> = names
            .filter_map(|name| of_name(&name, module.as_deref()))
            .collect();
        let mut children = node.children();
        if children.any(|child| child.kind() == "wildcard_import") {
            let name = Some("*".to_owned());
            imports.push(Self {
                module: module?,
                name,
                alias: None,
            });
        }
        Some(imports)
    }

    pub(super) fn of_object(value: &Value, place: &Place) -> Result<Self, TaskError> {
        let map = place.object(value, &["module", "name", "as"])?;
        let Some(module) = field(map, "module", place)? else {
            return Err(place.wrong("`module` is missing: the module, as `package.http`"));
        };
        let name = identifier(map, "name", place)?;
        let relative = module.trim_start_matches('.');
        let dotted = relative.split('.').all(is_identifier);
        // `from . import name` has no name of a module behind the dot.
        let only_dots = relative.is_empty() && !module.is_empty();
        let fits = if relative == module {
            dotted
        } else {
            name.is_some() && (dotted || only_dots)
        };
        if !fits {
            let problem = format!(
                "`{module}` is no module, as `package.http`, or `.http` together with a `name`"
            );
            return Err(place.field("module").wrong(problem));
        }
        Ok(Self {
            module: module.to_owned(),
            name,
            alias: identifier(map, "as", place)?,
        })
    }

    /// The name in this file.
    fn local(&self) -> &str {
        let first = || self.module.split('.').next().unwrap_or_default();
        let name = self.alias.as_deref().or(self.name.as_deref());
        name.unwrap_or_else(first)
    }

    /// `name as alias`.
    fn item(&self) -> String {
        let name = self.name.as_ref().unwrap_or(&self.module);
        match &self.alias {
            None => name.clone(),
            Some(alias) => format!("{name} as {alias}"),
        }
    }

    fn statement(&self) -> String {
        match &self.name {
            None => format!("import {}", self.item()),
            Some(_) => format!("from {} import {}", self.module, self.item()),
        }
    }

    /// `import a.b` and `import a.c` both make `a` known, and do not disturb each other.
    fn is_beside(&self, other: &Self) -> bool {
        let plain = |import: &Self| import.name.is_none() && import.alias.is_none();
        plain(self) && plain(other)
    }
}

fn of_name(name: &Node<'_>, module: Option<&str>) -> Option<Import> {
    let (name, alias) = match &*name.kind() {
        "aliased_import" => (name.field("name")?, name.field("alias")),
        _ => (name.clone(), None),
    };
    let name = without_whitespace(&name.text());
    let alias = alias.map(|alias| alias.text().into_owned());
    Some(match module {
        None => Import {
            module: name,
            name: None,
            alias,
        },
        Some(module) => Import {
            module: module.to_owned(),
            name: Some(name),
            alias,
        },
    })
}

pub(super) fn addition(import: &Import, tree: &Tree) -> Result<Option<Addition>, String> {
    let root = tree.root();
    let future = import.module == "__future__";
    // Imports that stand above all other code: one further down may come too late.
    let (mut above, mut same_module, mut last_import) = (true, None, None);
    let mut string_seen = false;
    for node in root.children() {
        for (name, line) in names(&node) {
            if name.as_ref().is_ok_and(|other| other == import) {
                return Ok(None);
            }
            let (local, beside) = match &name {
                Ok(other) => (other.local(), other.is_beside(import)),
                Err(name) => (name.as_str(), false),
            };
            if local == import.local() && !beside && local != "*" {
                return Err(taken(local, line, &import.statement()));
            }
        }
        let is_future = node.kind() == "future_import_statement";
        above = above && stays_above(&node, &mut string_seen);
        if above && IMPORTS.contains(&&*node.kind()) && (is_future || !future) {
            if merges(&node, import) {
                same_module = Some(node.clone());
            }
            last_import = Some(node);
        }
    }
    let statement = import.statement();
    let splices = match (same_module, last_import) {
        (Some(node), _) => {
            let items: Vec<Node<'_>> = node.field_children("name").collect();
            appended(tree.source(), &items, &import.item())
        }
        (None, Some(node)) => vec![behind(&node, &statement)],
        (None, None) => {
            let standing = |node: &Node<'_>| standing(node);
            vec![at_top(&root, tree.source(), standing, &statement)]
        }
    };
    Ok(Some(Addition {
        splices,
        shown: vec![statement],
    }))
}

/// Whether the import can go into the list of this statement.
fn merges(node: &Node<'_>, import: &Import) -> bool {
    import.name.is_some()
        && Import::of_statement(node).is_some_and(|others| {
            let fits = |other: &Import| {
                other.module == import.module
                    && other.name.as_deref().is_some_and(|name| name != "*")
            };
            !others.is_empty() && others.iter().all(fits)
        })
}

/// The names that a statement at the top level makes known: imports, and other things, each with its line.
fn names(node: &Node<'_>) -> Vec<(Result<Import, String>, usize)> {
    let line = line_of(node);
    if let Some(imports) = Import::of_statement(node) {
        return imports
            .into_iter()
            .map(|import| (Ok(import), line))
            .collect();
    }
    let named = match &*node.kind() {
        "function_definition" | "class_definition" => node.field("name"),
        "decorated_definition" => node
            .field("definition")
            .and_then(|definition| definition.field("name")),
        "expression_statement" => {
            let assignment = node.children().find(|child| child.kind() == "assignment");
            assignment.and_then(|assignment| assignment.field("left"))
        }
        _ => None,
    };
    let Some(named) = named else {
        return Vec::new();
    };
    let all = match &*named.kind() {
        "identifier" => vec![named],
        "pattern_list" | "tuple_pattern" | "list_pattern" => named
            .dfs()
            .filter(|node| node.kind() == "identifier")
            .collect(),
        _ => Vec::new(),
    };
    all.iter()
        .map(|name| (Err(name.text().into_owned()), line))
        .collect()
}

/// Whether a statement may stand above imports: what a module has at its top.
fn stays_above(node: &Node<'_>, string_seen: &mut bool) -> bool {
    match &*node.kind() {
        "comment" | ";" | "if_statement" | "try_statement" => true,
        "expression_statement" => {
            let Some(inner) = node.child(0) else {
                return true;
            };
            match &*inner.kind() {
                "string" | "concatenated_string" => !std::mem::replace(string_seen, true),
                // `__all__ = […]`, `__version__ = "1"`.
                "assignment" => inner
                    .field("left")
                    .is_some_and(|left| left.text().starts_with("__")),
                _ => false,
            }
        }
        kind => IMPORTS.contains(&kind),
    }
}

fn standing(node: &Node<'_>) -> Standing {
    match &*node.kind() {
        "comment" => Standing::Comment,
        "future_import_statement" => Standing::Above,
        "expression_statement" => {
            let string = node.child(0).is_some_and(|inner| inner.kind() == "string");
            // A second string is no docstring, but does no harm above imports.
            if string {
                Standing::Above
            } else {
                Standing::Code
            }
        }
        _ => Standing::Code,
    }
}
