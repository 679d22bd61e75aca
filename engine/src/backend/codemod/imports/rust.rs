//! `use` in Rust.

use serde_json::Value;

use super::super::place::{Place, TaskError};
use super::super::syntax::{Node, Tree};
use super::insert::{Standing, at_top, behind};
use super::{Addition, field, identifier, is_identifier, line_of, taken};

/// Items that give a name to something in a file.
const ITEMS: &[&str] = &[
    "struct_item",
    "enum_item",
    "union_item",
    "trait_item",
    "type_item",
    "function_item",
    "const_item",
    "static_item",
    "mod_item",
    "macro_definition",
];

/// One name that is brought in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    /// Such as `crate::http::Client`.
    path: String,
    /// The name here; `*` for everything of a module.
    local: String,
}

impl Import {
    /// What a `use` brings in.
    pub(super) fn of_statement(node: &Node<'_>) -> Option<Vec<Self>> {
        if node.kind() != "use_declaration" || node.child(0)?.kind() != "use" {
            return None;
        }
        Some(imported(&node.field("argument")?))
    }

    pub(super) fn of_object(value: &Value, place: &Place) -> Result<Self, TaskError> {
        let map = place.object(value, &["module", "name", "as"])?;
        let Some(module) = field(map, "module", place)? else {
            return Err(place.wrong("`module` is missing: the path, as `crate::http`"));
        };
        let parts = module.strip_prefix("::").unwrap_or(module);
        if !parts.split("::").all(is_identifier) {
            let problem = format!("`{module}` is no path, as `crate::http`");
            return Err(place.field("module").wrong(problem));
        }
        let name = identifier(map, "name", place)?;
        let path = match &name {
            None => module.to_owned(),
            Some(name) => format!("{module}::{name}"),
        };
        let local = identifier(map, "as", place)?.unwrap_or_else(|| last(&path).to_owned());
        Ok(Self { path, local })
    }

    fn statement(&self) -> String {
        let Self { path, local } = self;
        match local.as_str() {
            "*" => format!("use {path}::*;"),
            local if local == last(path) => format!("use {path};"),
            local => format!("use {path} as {local};"),
        }
    }
}

pub(super) fn addition(import: &Import, tree: &Tree) -> Result<Option<Addition>, String> {
    let root = tree.root();
    let mut last_use = None;
    for node in root.children() {
        match &*node.kind() {
            "use_declaration" => {
                for other in node.field("argument").iter().flat_map(imported) {
                    if other == *import {
                        return Ok(None);
                    }
                    if other.local == import.local && other.local != "*" && other.local != "_" {
                        let statement = import.statement();
                        return Err(taken(&import.local, line_of(&node), &statement));
                    }
                }
                last_use = Some(node);
            }
            kind if ITEMS.contains(&kind) => {
                let name = node.field("name");
                if name.is_some_and(|name| name.text() == import.local) {
                    return Err(taken(&import.local, line_of(&node), &import.statement()));
                }
            }
            _ => {}
        }
    }
    let statement = import.statement();
    let splice = match last_use {
        Some(node) => behind(&node, &statement),
        None => at_top(&root, tree.source(), standing, &statement),
    };
    Ok(Some(Addition {
        splices: vec![splice],
        shown: vec![statement],
    }))
}

fn standing(node: &Node<'_>) -> Standing {
    match &*node.kind() {
        "shebang" | "inner_attribute_item" => Standing::Above,
        "line_comment" | "block_comment" if node.field("inner").is_some() => Standing::Above,
        "line_comment" | "block_comment" if node.field("outer").is_some() => Standing::Code,
        "line_comment" | "block_comment" => Standing::Comment,
        _ => Standing::Code,
    }
}

/// All that stands below a `use`.
fn imported(argument: &Node<'_>) -> Vec<Import> {
    let mut imports = Vec::new();
    let mut left = vec![(argument.clone(), String::new())];
    while let Some((node, prefix)) = left.pop() {
        let below = |path: &str| {
            if prefix.is_empty() {
                path.to_owned()
            } else {
                format!("{prefix}::{path}")
            }
        };
        let path_of = |node: &Node<'_>| match &*node.kind() {
            // `a::{self}` is `a`.
            "self" if !prefix.is_empty() => prefix.clone(),
            _ => below(&without_space(&node.text())),
        };
        match &*node.kind() {
            "scoped_use_list" => {
                let path = node
                    .field("path")
                    .map(|path| below(&without_space(&path.text())));
                let path = path.unwrap_or_else(|| prefix.clone());
                left.extend(node.field("list").map(|list| (list, path)));
            }
            "use_list" => {
                let items = node.children().filter(Node::is_named);
                left.extend(items.map(|item| (item, prefix.clone())));
            }
            "use_as_clause" => {
                if let (Some(path), Some(alias)) = (node.field("path"), node.field("alias")) {
                    let (path, local) = (path_of(&path), alias.text().into_owned());
                    imports.push(Import { path, local });
                }
            }
            "use_wildcard" => {
                let module = node.children().find(Node::is_named);
                imports.push(Import {
                    path: module.map_or_else(|| prefix.clone(), |module| path_of(&module)),
                    local: "*".to_owned(),
                });
            }
            "line_comment" | "block_comment" => {}
            _ => {
                let path = path_of(&node);
                let local = last(&path).to_owned();
                imports.push(Import { path, local });
            }
        }
    }
    imports
}

fn last(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

fn without_space(text: &str) -> String {
    text.split_whitespace().collect()
}
