//! `import` and `require` in JavaScript, TypeScript and TSX.

mod read;

use std::path::{Component, Path, PathBuf};

use ast_grep_language::SupportLang;
use serde_json::Value;

use self::read::{Existing, Modules, declared};
use super::super::language::Language;
use super::super::place::{Place, TaskError};
use super::super::syntax::{Node, Tree};
use super::super::text::Splice;
use super::insert::{Standing, appended, at_top, behind};
use super::{Addition, field, identifier, is_identifier, taken};

/// File endings that a module's name may leave out.
const ENDINGS: &[&str] = &[".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts"];

/// What is imported of one module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    from: From,
    /// None: the module is imported for its effects.
    bindings: Vec<Binding>,
    /// `import type`.
    only_types: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum From {
    /// As it stands in the import.
    Module(String),
    /// A file, from the working directory: each file that imports it gets its own way there.
    File(String),
}

/// One name that an import makes known.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Binding {
    exported: Exported,
    local: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Exported {
    Default,
    /// All of the module.
    Namespace,
    Named(String),
}

impl Import {
    pub(super) fn of_statement(node: &Node<'_>) -> Option<Vec<Self>> {
        let statements = Existing::of(node);
        let imports = statements.into_iter().map(|existing| Self {
            from: From::Module(existing.module),
            bindings: existing
                .bindings
                .into_iter()
                .map(|(binding, _)| binding)
                .collect(),
            only_types: existing.only_types,
        });
        let imports: Vec<Self> = imports.collect();
        (!imports.is_empty()).then_some(imports)
    }

    pub(super) fn of_object(
        value: &Value,
        place: &Place,
        language: Language,
    ) -> Result<Self, TaskError> {
        let keys = [
            "module",
            "path",
            "name",
            "as",
            "default",
            "namespace",
            "type",
        ];
        let map = place.object(value, &keys)?;
        let from = match (field(map, "module", place)?, field(map, "path", place)?) {
            (Some(module), None) => From::Module(module.to_owned()),
            (None, Some(path)) => From::File(inner_path(path, &place.field("path"))?),
            (Some(_), Some(_)) => {
                return Err(
                    place.wrong("`module` and `path` both say where from: give one of them")
                );
            }
            (None, None) => {
                let problem =
                    "`module` is missing; or give `path`, a file from the working directory";
                return Err(place.wrong(problem));
            }
        };
        let (From::Module(text) | From::File(text)) = &from;
        if text.is_empty() || text.contains(['\'', '"', '\\', '\n', '\r']) {
            return Err(place.wrong(format!("`{text}` is no name of a module")));
        }
        let local = identifier(map, "as", place)?;
        let name = match field(map, "name", place)? {
            None => None,
            Some("default") if local.is_some() => Some(Exported::Default),
            Some(name) if is_identifier(name) && name != "default" => {
                Some(Exported::Named(name.to_owned()))
            }
            Some(name) => {
                let problem = format!("`{name}` is no name; for the default export give `default`");
                return Err(place.field("name").wrong(problem));
            }
        };
        let mut bindings = Vec::new();
        if let Some(local) = identifier(map, "default", place)? {
            bindings.push(Binding {
                exported: Exported::Default,
                local,
            });
        }
        if let Some(local) = identifier(map, "namespace", place)? {
            bindings.push(Binding {
                exported: Exported::Namespace,
                local,
            });
        }
        match (name, local) {
            (Some(exported), local) => {
                let local = local.unwrap_or_else(|| match &exported {
                    Exported::Named(name) => name.clone(),
                    Exported::Default | Exported::Namespace => String::new(),
                });
                bindings.push(Binding { exported, local });
            }
            (None, Some(_)) => {
                let problem = "`as` goes together with `name`: `default` and `namespace` are names here already";
                return Err(place.field("as").wrong(problem));
            }
            (None, None) => {}
        }
        let only_types = match map.get("type") {
            None => false,
            Some(Value::Bool(only)) => *only,
            Some(other) => return Err(place.field("type").expected("true or false", other)),
        };
        if only_types && (bindings.is_empty() || language.grammar() == SupportLang::JavaScript) {
            let problem = "types are imported by name, in TypeScript and TSX";
            return Err(place.field("type").wrong(problem));
        }
        Ok(Self {
            from,
            bindings,
            only_types,
        })
    }

    /// The module's name as `file` has to write it.
    fn module(&self, file: &Path) -> String {
        match &self.from {
            From::Module(module) => module.clone(),
            From::File(path) => relative(Path::new(path), file),
        }
    }

    /// Whether a module that `file` imports is this one.
    fn is_module(&self, module: &str, file: &Path) -> bool {
        let own = self.module(file);
        own == module
            || (own.starts_with('.') && module.starts_with('.') && stem(&own) == stem(module))
    }
}

/// What a statement of the file has, or lacks, of an import.
struct Plan<'i> {
    import: &'i Import,
    module: String,
    modules: Modules,
    quote: char,
    semicolon: &'static str,
}

pub(super) fn addition(
    import: &Import,
    tree: &Tree,
    path: &Path,
    language: Language,
) -> Result<Option<Addition>, String> {
    let root = tree.root();
    let existing: Vec<Existing<'_>> = root
        .children()
        .flat_map(|node| Existing::of(&node))
        .collect();
    let modules = if import.only_types {
        Modules::Import
    } else {
        Modules::of(&root, path, language)
    };
    let style = existing
        .iter()
        .map(|existing| existing.node.text())
        .next_back();
    let plan = Plan {
        import,
        module: import.module(path),
        modules,
        quote: quote(tree, style.as_deref()),
        semicolon: semicolon(&root, style.as_deref()),
    };
    let same: Vec<&Existing<'_>> = existing
        .iter()
        .filter(|existing| import.is_module(&existing.module, path))
        .collect();
    if import.bindings.is_empty() && same.iter().any(|existing| !existing.only_types) {
        return Ok(None);
    }
    let mut missing: Vec<&Binding> = Vec::new();
    for binding in &import.bindings {
        if !is_there(binding, import.only_types, &same)? {
            let known = declared(&root).into_iter();
            if let Some((name, line)) = { known }.find(|(name, _)| *name == binding.local) {
                return Err(taken(&name, line, &plan.statements(&[binding]).join(" ")));
            }
            missing.push(binding);
        }
    }
    if missing.is_empty() && !import.bindings.is_empty() {
        return Ok(None);
    }
    let shown = plan.statements(&missing);
    let mut splices = plan.merge(&mut missing, &same, tree.source());
    if !missing.is_empty() || import.bindings.is_empty() {
        let statement = plan.statements(&missing).join("\n");
        splices.push(match plan.last(&existing, &root) {
            Some(node) => behind(&node, &statement),
            None => at_top(&root, tree.source(), standing, &statement),
        });
    }
    splices.sort_by_key(|splice| splice.range.start);
    Ok(Some(Addition { splices, shown }))
}

/// Whether one of the statements makes the name known already.
fn is_there(binding: &Binding, only_types: bool, same: &[&Existing<'_>]) -> Result<bool, String> {
    for existing in same {
        for (other, other_only_type) in &existing.bindings {
            let whole = |exported: &Exported| !matches!(exported, Exported::Named(_));
            let exported = other.exported == binding.exported
                // What `require` gives is what either of the two stands for.
                || existing.required && whole(&other.exported) && whole(&binding.exported);
            if other.local != binding.local || !exported {
                continue;
            }
            if *other_only_type && !only_types {
                let line = existing.node.start_pos().line() + 1;
                let local = &binding.local;
                return Err(format!(
                    "`{local}` is needed as a value, and line {line} imports it as a type only: take `type` away there"
                ));
            }
            return Ok(true);
        }
    }
    Ok(false)
}

impl Plan<'_> {
    /// Puts what it can into statements that import from the same module, and takes it out of `missing`.
    fn merge(
        &self,
        missing: &mut Vec<&Binding>,
        same: &[&Existing<'_>],
        source: &str,
    ) -> Vec<Splice> {
        let mut splices = Vec::new();
        let fits = |existing: &&&Existing<'_>| {
            existing.only_types == self.import.only_types
                && existing.required == (self.modules == Modules::Require)
                && !existing.has_attributes
        };
        // `import type a, { b }` is not allowed, so types are merged into braces only.
        let in_braces = same
            .iter()
            .filter(fits)
            .find(|existing| existing.braces.is_some());
        let bare_default = same
            .iter()
            .filter(fits)
            .find(|existing| existing.is_bare_default());
        let (named, other): (Vec<&Binding>, Vec<&Binding>) = missing
            .iter()
            .partition(|binding| matches!(binding.exported, Exported::Named(_)));
        if !named.is_empty() {
            let items: Vec<String> = named.iter().map(|binding| self.item(binding)).collect();
            let items = items.join(", ");
            if let Some(braces) = in_braces.and_then(|existing| existing.braces.as_ref()) {
                let listed: Vec<Node<'_>> = read::items(braces);
                if listed.is_empty() {
                    splices.push(Splice {
                        range: braces.range(),
                        text: format!("{{ {items} }}"),
                    });
                } else {
                    splices.extend(appended(source, &listed, &items));
                }
                missing.retain(|binding| !named.contains(binding));
            } else if let Some(clause) = bare_default
                .filter(|_| !self.import.only_types)
                .and_then(|existing| existing.clause.as_ref())
            {
                let end = clause.range().end;
                splices.push(Splice::insertion(end, format!(", {{ {items} }}")));
                missing.retain(|binding| !named.contains(binding));
            }
        }
        if let [only] = other[..]
            && only.exported == Exported::Default
            && !self.import.only_types
            && let Some(existing) = in_braces.filter(|existing| !existing.has_default())
            && let Some(clause) = &existing.clause
        {
            let start = clause.range().start;
            splices.push(Splice::insertion(start, format!("{}, ", only.local)));
            missing.retain(|binding| *binding != only);
        }
        splices
    }

    /// The import that a new one goes behind.
    fn last<'t>(&self, existing: &[Existing<'t>], root: &Node<'t>) -> Option<Node<'t>> {
        if self.modules == Modules::Import {
            // Imports hold before anything runs, wherever they stand.
            let mut imports = existing.iter().filter(|existing| !existing.required);
            return imports.next_back().map(|existing| existing.node.clone());
        }
        // A `require` further down comes too late for what stands above it.
        let mut last = None;
        for node in root.children() {
            if Existing::of(&node).is_empty() {
                if standing(&node) == Standing::Code {
                    break;
                }
            } else {
                last = Some(node);
            }
        }
        last
    }

    /// New statements for these bindings.
    fn statements(&self, bindings: &[&Binding]) -> Vec<String> {
        let (mut whole, mut named) = (Vec::new(), Vec::new());
        for binding in bindings {
            match &binding.exported {
                Exported::Named(_) => named.push(self.item(binding)),
                Exported::Default | Exported::Namespace => whole.push(*binding),
            }
        }
        let braces = (!named.is_empty()).then(|| format!("{{ {} }}", named.join(", ")));
        let module = format!("{}{}{}", self.quote, self.module, self.quote);
        let end = self.semicolon;
        if self.modules == Modules::Require {
            let names = whole
                .iter()
                .map(|binding| binding.local.clone())
                .chain(braces);
            let mut statements: Vec<String> = names
                .map(|name| format!("const {name} = require({module}){end}"))
                .collect();
            if statements.is_empty() {
                statements.push(format!("require({module}){end}"));
            }
            return statements;
        }
        let keyword = if self.import.only_types {
            "import type"
        } else {
            "import"
        };
        let star = |binding: &Binding| match binding.exported {
            Exported::Namespace => format!("* as {}", binding.local),
            Exported::Default | Exported::Named(_) => binding.local.clone(),
        };
        let mut clauses: Vec<String> = whole.into_iter().map(star).chain(braces).collect();
        // A default may stand before one more; a type may not, and what is `* as` stands before nothing.
        if clauses.len() > 1 && !clauses[0].starts_with(['*', '{']) && !self.import.only_types {
            let first = clauses.remove(0);
            clauses[0] = format!("{first}, {}", clauses[0]);
        }
        if clauses.is_empty() {
            return vec![format!("import {module}{end}")];
        }
        clauses
            .iter()
            .map(|clause| format!("{keyword} {clause} from {module}{end}"))
            .collect()
    }

    /// `name as local`, or `name: local` for `require`.
    fn item(&self, binding: &Binding) -> String {
        let local = &binding.local;
        match &binding.exported {
            Exported::Named(name) if name != local => match self.modules {
                Modules::Import => format!("{name} as {local}"),
                Modules::Require => format!("{name}: {local}"),
            },
            _ => local.clone(),
        }
    }
}

fn standing(node: &Node<'_>) -> Standing {
    match &*node.kind() {
        "hash_bang_line" => Standing::Above,
        "comment" => Standing::Comment,
        "expression_statement" => match node.child(0) {
            Some(inner) if inner.kind() == "string" => Standing::Above,
            _ => Standing::Code,
        },
        _ => Standing::Code,
    }
}

/// The quotes that the file uses.
fn quote(tree: &Tree, style: Option<&str>) -> char {
    let is_quote = |letter: &char| matches!(letter, '\'' | '"');
    let of_style = style.and_then(|style| style.chars().find(is_quote));
    of_style.unwrap_or_else(|| {
        let root = tree.root();
        let string = root.dfs().find(|node| node.kind() == "string");
        let first = string.and_then(|string| string.text().chars().next());
        first.filter(|letter| is_quote(letter)).unwrap_or('\'')
    })
}

/// The semicolon, if the file uses them.
fn semicolon(root: &Node<'_>, style: Option<&str>) -> &'static str {
    let ends = |text: &str| text.trim_end().ends_with(';');
    let first_statement = || {
        let kinds = [
            "expression_statement",
            "lexical_declaration",
            "variable_declaration",
        ];
        let mut statements = root.dfs().filter(|node| kinds.contains(&&*node.kind()));
        let first = statements.next();
        first.is_none_or(|statement| ends(&statement.text()))
    };
    let with = style.map_or_else(first_statement, ends);
    if with { ";" } else { "" }
}

/// A path from the working directory that stays in it, without `.`.
fn inner_path(path: &str, place: &Place) -> Result<String, TaskError> {
    let mut parts = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_string_lossy()),
            Component::CurDir => {}
            _ => {
                let problem = "a path from the working directory is expected, without `..`";
                return Err(place.wrong(problem));
            }
        }
    }
    Ok(parts.join("/"))
}

/// How the file `from` writes the way to the file `to`; both from the working directory.
fn relative(to: &Path, from: &Path) -> String {
    let folder: Vec<Component<'_>> = from.parent().map_or_else(Vec::new, |parent| {
        let parts = parent.components();
        parts
            .filter(|part| matches!(part, Component::Normal(_)))
            .collect()
    });
    let to: Vec<Component<'_>> = to.components().collect();
    let shared = folder.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = folder.len() - shared;
    let down: PathBuf = to[shared.min(to.len().saturating_sub(1))..]
        .iter()
        .collect();
    let start = if up == 0 {
        "./".to_owned()
    } else {
        "../".repeat(up)
    };
    format!("{start}{}", down.to_string_lossy())
}

/// A relative module's name without what may be left out.
fn stem(module: &str) -> &str {
    let ending = ENDINGS
        .iter()
        .find_map(|ending| module.strip_suffix(ending));
    let module = ending.unwrap_or(module);
    module.strip_suffix("/index").unwrap_or(module)
}
