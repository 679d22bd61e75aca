//! What a file imports and declares.

use std::path::Path;

use ast_grep_language::SupportLang;

use super::super::super::language::Language;
use super::super::super::syntax::Node;
use super::{Binding, Exported};

/// By which of the two ways a file imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Modules {
    /// `import`, the way of ECMAScript modules.
    Import,
    /// `require`, that of `CommonJS`.
    Require,
}

impl Modules {
    /// By the file's ending, then by what it does; a file that shows nothing is an ECMAScript module.
    pub(super) fn of(root: &Node<'_>, path: &Path, language: Language) -> Self {
        let ending = path.extension().and_then(|ending| ending.to_str());
        match ending {
            Some("mjs" | "mts") => return Self::Import,
            Some("cjs") => return Self::Require,
            _ => {}
        }
        let mut children = root.children();
        if children.any(|node| matches!(&*node.kind(), "import_statement" | "export_statement")) {
            return Self::Import;
        }
        let typed = language.grammar() != SupportLang::JavaScript;
        let requires = root.dfs().any(|node| match &*node.kind() {
            "call_expression" => required_module(&node).is_some(),
            "member_expression" if !typed => {
                let object = node.field("object");
                object.is_some_and(|object| object.text() == "exports")
                    || node.text() == "module.exports"
            }
            _ => false,
        });
        if requires {
            Self::Require
        } else {
            Self::Import
        }
    }
}

/// A statement, or a part of one, that imports from one module.
pub(super) struct Existing<'t> {
    /// The whole statement.
    pub(super) node: Node<'t>,
    pub(super) module: String,
    /// The names, and whether each is imported as a type only.
    pub(super) bindings: Vec<(Binding, bool)>,
    pub(super) only_types: bool,
    /// By `require`.
    pub(super) required: bool,
    /// `with { type: "json" }`
    pub(super) has_attributes: bool,
    /// What stands between `import` and `from`.
    pub(super) clause: Option<Node<'t>>,
    /// `{ … }`
    pub(super) braces: Option<Node<'t>>,
}

impl<'t> Existing<'t> {
    /// What a statement imports; nothing for one that does anything else, too.
    pub(super) fn of(node: &Node<'t>) -> Vec<Self> {
        match &*node.kind() {
            "import_statement" => Self::import(node).into_iter().collect(),
            "lexical_declaration" | "variable_declaration" => {
                let declarators = node
                    .children()
                    .filter(|child| child.kind() == "variable_declarator");
                let required = declarators.map(|declarator| Self::require(node, &declarator));
                required.collect::<Option<_>>().unwrap_or_default()
            }
            "expression_statement" => {
                let module = node.child(0).and_then(|call| required_module(&call));
                let required = module.map(|module| Self::bare(node, module, true));
                required.into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn has_default(&self) -> bool {
        let mut bindings = self.bindings.iter();
        bindings.any(|(binding, _)| binding.exported == Exported::Default)
    }

    /// `import a from`, without more.
    pub(super) fn is_bare_default(&self) -> bool {
        !self.required && self.bindings.len() == 1 && self.has_default() && self.braces.is_none()
    }

    fn bare(node: &Node<'t>, module: String, required: bool) -> Self {
        Self {
            node: node.clone(),
            module,
            bindings: Vec::new(),
            only_types: false,
            required,
            has_attributes: false,
            clause: None,
            braces: None,
        }
    }

    fn import(node: &Node<'t>) -> Option<Self> {
        let mut kinds = node.children();
        if let Some(clause) = kinds.find(|child| child.kind() == "import_require_clause") {
            // `import a = require("b")`
            let mut existing = Self::bare(node, string(&clause.field("source")?)?, true);
            let name = clause
                .children()
                .find(|child| child.kind() == "identifier")?;
            existing.bind(Exported::Namespace, &name, false);
            return Some(existing);
        }
        let mut existing = Self::bare(node, string(&node.field("source")?)?, false);
        for child in node.children() {
            match &*child.kind() {
                "type" | "typeof" => existing.only_types = true,
                "import_attribute" => existing.has_attributes = true,
                "import_clause" => existing.clause = Some(child),
                _ => {}
            }
        }
        let clause = existing.clause.clone();
        for part in clause.iter().flat_map(Node::children) {
            match &*part.kind() {
                "identifier" => existing.bind(Exported::Default, &part, false),
                "namespace_import" => {
                    let name = part.children().find(|child| child.kind() == "identifier")?;
                    existing.bind(Exported::Namespace, &name, false);
                }
                "named_imports" => {
                    for item in items(&part) {
                        existing.specifier(&item);
                    }
                    existing.braces = Some(part);
                }
                _ => {}
            }
        }
        Some(existing)
    }

    /// `a`, `a as b`, `default as b`, `type a`.
    fn specifier(&mut self, item: &Node<'t>) {
        let (name, alias) = (item.field("name"), item.field("alias"));
        let Some(local) = alias.or_else(|| name.clone()) else {
            return;
        };
        let name = match name {
            // Some grammars know `default` as a keyword here, and no name.
            None => "default".to_owned(),
            Some(name) if name.kind() == "string" => string(&name).unwrap_or_default(),
            Some(name) => name.text().into_owned(),
        };
        let exported = if name == "default" {
            Exported::Default
        } else {
            Exported::Named(name)
        };
        let only_type = item
            .children()
            .any(|child| child.kind() == "type" && !child.is_named());
        self.bind(exported, &local, only_type);
    }

    /// `a = require("b")`, `{ a, b: c } = require("d")`, `a = require("b").c`.
    fn require(node: &Node<'t>, declarator: &Node<'t>) -> Option<Self> {
        let (name, value) = (declarator.field("name")?, declarator.field("value")?);
        let (call, member) = match &*value.kind() {
            "member_expression" => (value.field("object")?, value.field("property")),
            _ => (value, None),
        };
        let mut existing = Self::bare(node, required_module(&call)?, true);
        match (&*name.kind(), member) {
            ("identifier", None) => existing.bind(Exported::Namespace, &name, false),
            ("identifier", Some(member)) => {
                let exported = match &*member.text() {
                    "default" => Exported::Default,
                    member => Exported::Named(member.to_owned()),
                };
                existing.bind(exported, &name, false);
            }
            ("object_pattern", None) => {
                for item in items(&name) {
                    let (key, local) = match &*item.kind() {
                        "pair_pattern" => (item.field("key")?, item.field("value")?),
                        "object_assignment_pattern" => (item.field("left")?, item.field("left")?),
                        _ => (item.clone(), item.clone()),
                    };
                    if matches!(
                        &*local.kind(),
                        "identifier" | "shorthand_property_identifier_pattern"
                    ) {
                        existing.bind(Exported::Named(key.text().into_owned()), &local, false);
                    }
                }
                // Behind `...rest` nothing may stand.
                let rest = items(&name)
                    .iter()
                    .any(|item| item.kind() == "rest_pattern");
                existing.braces = Some(name).filter(|_| !rest);
            }
            _ => {}
        }
        Some(existing)
    }

    fn bind(&mut self, exported: Exported, local: &Node<'t>, only_type: bool) {
        let local = local.text().into_owned();
        let only_type = only_type || self.only_types;
        self.bindings.push((Binding { exported, local }, only_type));
    }
}

/// The items between braces, comments left out.
pub(super) fn items<'t>(braces: &Node<'t>) -> Vec<Node<'t>> {
    let items = braces.children();
    items
        .filter(|item| item.is_named() && !item.is_extra())
        .collect()
}

/// The module of `require("module")`.
fn required_module(call: &Node<'_>) -> Option<String> {
    if call.kind() != "call_expression" || call.field("function")?.text() != "require" {
        return None;
    }
    let arguments = call.field("arguments")?;
    match &items(&arguments)[..] {
        [module] => string(module),
        _ => None,
    }
}

/// The content of a plain string.
fn string(node: &Node<'_>) -> Option<String> {
    let text = node.text();
    let inner = text.strip_prefix(['\'', '"'])?.strip_suffix(['\'', '"'])?;
    (node.kind() == "string").then(|| inner.to_owned())
}

/// The names that are known at the top level, each with its line.
pub(super) fn declared(root: &Node<'_>) -> Vec<(String, usize)> {
    let mut names = Vec::new();
    let mut left: Vec<Node<'_>> = root.children().collect();
    while let Some(node) = left.pop() {
        let line = super::super::line_of(&node);
        match &*node.kind() {
            "import_statement" => {
                let existing = Existing::of(&node).into_iter();
                let bindings = existing.flat_map(|existing| existing.bindings);
                names.extend(bindings.map(|(binding, _)| (binding.local, line)));
            }
            "export_statement" => left.extend(node.field("declaration")),
            "ambient_declaration"
            | "lexical_declaration"
            | "variable_declaration"
            | "expression_statement" => left.extend(node.children()),
            "variable_declarator" => {
                for name in node.field("name").iter().flat_map(pattern_names) {
                    names.push((name, line));
                }
            }
            "function_declaration"
            | "generator_function_declaration"
            | "function_signature"
            | "class_declaration"
            | "abstract_class_declaration"
            | "enum_declaration"
            | "interface_declaration"
            | "type_alias_declaration"
            | "internal_module" => {
                names.extend(
                    node.field("name")
                        .map(|name| (name.text().into_owned(), line)),
                );
            }
            _ => {}
        }
    }
    names
}

/// The names that a pattern makes known: not its keys, and not its default values.
fn pattern_names(pattern: &Node<'_>) -> Vec<String> {
    let mut names = Vec::new();
    let mut left = vec![pattern.clone()];
    while let Some(node) = left.pop() {
        match &*node.kind() {
            "identifier" | "shorthand_property_identifier_pattern" => {
                names.push(node.text().into_owned());
            }
            "pair_pattern" => left.extend(node.field("value")),
            "assignment_pattern" | "object_assignment_pattern" => left.extend(node.field("left")),
            "object_pattern" | "array_pattern" | "rest_pattern" => left.extend(node.children()),
            _ => {}
        }
    }
    names
}
