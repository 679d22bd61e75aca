//! How a file takes things from other modules, and how the client would be named there.

use std::path::{Component, Path};

use oxc_ast::AstKind;
use oxc_ast::ast::{
    Argument, ImportDeclaration, ImportDeclarationSpecifier, ModuleExportName, Statement,
};

use crate::source::Parsed;

/// The name that the client's module exports.
pub const EXPORT: &str = "httpClient";

/// How a file takes things from other modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleStyle {
    /// `import`.
    Import,
    /// `require()`.
    Require,
    /// Neither: a classic script, which can take nothing from a module.
    Script,
}

/// The module style of a file. `package_is_module` is what the nearest `package.json` says.
pub fn module_style(parsed: &Parsed<'_, '_>, file: &Path, package_is_module: bool) -> ModuleStyle {
    let extension = file
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    let unbound = |name: &str| {
        parsed
            .semantic
            .scoping()
            .root_unresolved_references()
            .get(name)
            .is_some()
    };
    let is_module_statement = |statement: &Statement<'_>| {
        statement.is_module_declaration()
            || matches!(statement, Statement::TSImportEqualsDeclaration(_))
    };
    match extension {
        "mjs" | "mts" => ModuleStyle::Import,
        "cjs" | "cts" => ModuleStyle::Require,
        _ if parsed.program.body.iter().any(is_module_statement) => ModuleStyle::Import,
        _ if unbound("require") || unbound("module") || unbound("exports") => ModuleStyle::Require,
        "ts" | "tsx" | "jsx" => ModuleStyle::Import,
        // A browser's script, whatever the package says: nobody loads it as a module.
        _ if unbound("window") || unbound("document") => ModuleStyle::Script,
        _ if package_is_module => ModuleStyle::Import,
        _ => ModuleStyle::Require,
    }
}

/// The local name of the client in an import declaration.
pub fn imported_name(import: &ImportDeclaration<'_>) -> Option<String> {
    if import.import_kind.is_type() {
        return None;
    }
    import
        .specifiers
        .as_ref()?
        .iter()
        .find_map(|specifier| match specifier {
            ImportDeclarationSpecifier::ImportSpecifier(specifier)
                if !specifier.import_kind.is_type() =>
            {
                let ModuleExportName::IdentifierName(imported) = &specifier.imported else {
                    return None;
                };
                (imported.name == EXPORT).then(|| specifier.local.name.to_string())
            }
            _ => None,
        })
}

/// Whether `specifier`, written in `file`, leads to `client`; endings may be left out or be those
/// of the compiled file.
pub fn leads_to(file: &Path, specifier: &str, client: &Path) -> bool {
    if !specifier.starts_with('.') {
        return false;
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut parts: Vec<&str> = Vec::new();
    for component in folder.components().chain(Path::new(specifier).components()) {
        match component {
            Component::Normal(part) => parts.extend(part.to_str()),
            // Above the root, where the client is not.
            Component::ParentDir if parts.pop().is_none() => return false,
            _ => {}
        }
    }
    without_ending(Path::new(&parts.join("/"))) == without_ending(client)
}

/// The path without an ending of JavaScript or TypeScript.
fn without_ending(path: &Path) -> String {
    let text = path.to_string_lossy();
    let ending = crate::source::EXTENSIONS.iter().find_map(|extension| {
        text.strip_suffix(extension)
            .and_then(|rest| rest.strip_suffix('.'))
    });
    ending.unwrap_or(&text).to_owned()
}

/// Whether the file gives the client's name to something of its own, so that it cannot be imported under that name.
pub fn is_name_taken(parsed: &Parsed<'_, '_>, file: &Path, client: &Path) -> bool {
    let imports = parsed.program.body.iter().any(|statement| match statement {
        Statement::ImportDeclaration(import) => {
            leads_to(file, &import.source.value, client)
                && imported_name(import).is_some_and(|name| name == EXPORT)
        }
        _ => false,
    });
    let scoping = parsed.semantic.scoping();
    let bound = scoping.symbol_names().filter(|symbol| *symbol == EXPORT);
    let meant_a_global = scoping.root_unresolved_references().get(EXPORT).is_some();
    meant_a_global || bound.count() > usize::from(imports)
}

/// The client's path from the root with the ending that an import in `file` would give it: of the kind that the file's
/// other imports have.
pub fn written_path(parsed: &Parsed<'_, '_>, file: &Path, client: &Path) -> String {
    let path = without_ending(client);
    let actual = client
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    let compiled = match actual {
        "ts" | "tsx" | "jsx" => "js",
        "mts" => "mjs",
        "cts" => "cjs",
        other => other,
    };
    let endings = sources(parsed)
        .into_iter()
        .filter(|source| source.starts_with('.'));
    let endings: Vec<Option<String>> = endings
        .map(|source| {
            let extension = Path::new(&source)
                .extension()
                .and_then(|extension| extension.to_str());
            extension
                .filter(|extension| crate::source::EXTENSIONS.contains(extension))
                .map(str::to_owned)
        })
        .collect();
    let own = file
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    let ending = match endings.iter().flatten().next() {
        Some(ending) if ending.ends_with("ts") || ending == "tsx" => actual,
        Some(_) => compiled,
        None if matches!(compiled, "mjs" | "cjs") => compiled,
        None if endings.is_empty() && matches!(own, "mjs" | "mts") => compiled,
        None => "",
    };
    if ending.is_empty() {
        path
    } else {
        format!("{path}.{ending}")
    }
}

/// What the file imports and requires.
fn sources(parsed: &Parsed<'_, '_>) -> Vec<String> {
    let source = |kind: AstKind<'_>| match kind {
        AstKind::ImportDeclaration(import) => Some(import.source.value.to_string()),
        AstKind::CallExpression(call) if call.is_require_call() => match call.arguments.first() {
            Some(Argument::StringLiteral(literal)) => Some(literal.value.to_string()),
            _ => None,
        },
        _ => None,
    };
    parsed
        .semantic
        .nodes()
        .iter()
        .filter_map(|node| source(node.kind()))
        .collect()
}
