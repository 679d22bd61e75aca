//! How a file gets hold of the client: under which name, from which path, and where the line goes.

use std::path::{Component, Path};

use oxc_ast::AstKind;
use oxc_ast::ast::{
    Argument, Expression, ImportDeclaration, ImportDeclarationSpecifier, ModuleExportName,
    Statement,
};
use oxc_span::{GetSpan, Span};

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

/// The line to add, if one is needed, and the name to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientImport {
    /// The name of the client in this file.
    pub name: String,
    /// Byte offset and text of what is to be inserted.
    pub insertion: Option<(usize, String)>,
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

/// Plans the import of the client's module at `client` into the file at `file`, both relative to
/// the same root.
pub fn plan(
    parsed: &Parsed<'_, '_>,
    file: &Path,
    client: &Path,
    style: ModuleStyle,
) -> ClientImport {
    if let Some(name) = existing(parsed, file, client) {
        return ClientImport {
            name,
            insertion: None,
        };
    }
    let name = free_name(parsed);
    let quote = quote(parsed.text);
    let specifier = specifier(parsed, file, client);
    let end = if ends_with_semicolons(parsed) {
        ";"
    } else {
        ""
    };
    let statement = match (style, name == EXPORT) {
        (ModuleStyle::Require, true) => {
            format!("const {{ {EXPORT} }} = require({quote}{specifier}{quote}){end}")
        }
        (ModuleStyle::Require, false) => {
            format!("const {{ {EXPORT}: {name} }} = require({quote}{specifier}{quote}){end}")
        }
        (_, true) => format!("import {{ {EXPORT} }} from {quote}{specifier}{quote}{end}"),
        (_, false) => {
            format!("import {{ {EXPORT} as {name} }} from {quote}{specifier}{quote}{end}")
        }
    };
    ClientImport {
        name,
        insertion: Some(place(parsed, style, &statement)),
    }
}

/// The name under which the file has the client already, if nothing hides it anywhere.
fn existing(parsed: &Parsed<'_, '_>, file: &Path, client: &Path) -> Option<String> {
    let mut of_client = parsed
        .program
        .body
        .iter()
        .filter_map(|statement| match statement {
            Statement::ImportDeclaration(import)
                if leads_to(file, &import.source.value, client) =>
            {
                Some(import)
            }
            _ => None,
        });
    let name = of_client.find_map(|import| imported_name(import))?;
    let scoping = parsed.semantic.scoping();
    let bound = scoping
        .symbol_names()
        .filter(|symbol| *symbol == name)
        .count();
    (bound == 1).then_some(name)
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

/// A name for the client that the file uses for nothing else.
fn free_name(parsed: &Parsed<'_, '_>) -> String {
    let scoping = parsed.semantic.scoping();
    let taken = |name: &str| {
        scoping.symbol_names().any(|symbol| symbol == name)
            || scoping.root_unresolved_references().get(name).is_some()
    };
    let numbered = (2..).map(|number| format!("sharedHttpClient{number}"));
    let names = [EXPORT.to_owned(), "sharedHttpClient".to_owned()]
        .into_iter()
        .chain(numbered);
    let mut free = names.filter(|name| !taken(name));
    free.next().unwrap_or_else(|| EXPORT.to_owned())
}

/// The path to `client` as an import in `file` would write it, with the kind of ending that the
/// file's other imports have.
fn specifier(parsed: &Parsed<'_, '_>, file: &Path, client: &Path) -> String {
    let path = relative(file, client);
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

/// From the folder of `file` to `client`, without its ending.
fn relative(file: &Path, client: &Path) -> String {
    let normal = |path: &Path| -> Vec<String> {
        path.components()
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect()
    };
    let from = normal(file.parent().unwrap_or(Path::new("")));
    let to = without_ending(client);
    let to: Vec<String> = to.split('/').map(str::to_owned).collect();
    let shared = from
        .iter()
        .zip(&to)
        .take_while(|(left, right)| left == right)
        .count();
    let shared = shared.min(to.len().saturating_sub(1));
    let ups = vec!["..".to_owned(); from.len() - shared];
    let start = if ups.is_empty() {
        vec![".".to_owned()]
    } else {
        ups
    };
    start
        .into_iter()
        .chain(to.into_iter().skip(shared))
        .collect::<Vec<_>>()
        .join("/")
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

/// The quotation mark that the file uses first.
fn quote(text: &str) -> char {
    text.chars()
        .find(|letter| matches!(letter, '"' | '\''))
        .unwrap_or('"')
}

/// Whether the file ends its statements with semicolons; one without statements does.
fn ends_with_semicolons(parsed: &Parsed<'_, '_>) -> bool {
    let simple = |statement: &&Statement<'_>| {
        matches!(
            statement,
            Statement::ImportDeclaration(_)
                | Statement::VariableDeclaration(_)
                | Statement::ExpressionStatement(_)
        )
    };
    let first = parsed.program.body.iter().find(simple);
    first.is_none_or(|statement| statement.span().source_text(parsed.text).ends_with(';'))
}

/// Where `statement` goes, with the line breaks around it.
fn place(parsed: &Parsed<'_, '_>, style: ModuleStyle, statement: &str) -> (usize, String) {
    let text = parsed.text;
    let line_break = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let last = parsed
        .program
        .body
        .iter()
        .rev()
        .find_map(|candidate| match candidate {
            Statement::ImportDeclaration(import) => Some(import.span),
            Statement::VariableDeclaration(declaration) if style == ModuleStyle::Require => {
                let requires = |init: &Expression<'_>| init.is_require_call();
                let all = declaration
                    .declarations
                    .iter()
                    .all(|one| one.init.as_ref().is_some_and(requires));
                all.then_some(declaration.span)
            }
            _ => None,
        });
    if let Some(last) = last {
        return after(text, last, line_break, statement);
    }
    if let Some(directive) = parsed.program.directives.last() {
        let (offset, line) = after(text, directive.span, line_break, statement);
        return (offset, line);
    }
    (top(parsed), format!("{statement}{line_break}{line_break}"))
}

/// Behind the line on which `span` ends; directly behind it when code follows on that line.
fn after(text: &str, span: Span, line_break: &str, statement: &str) -> (usize, String) {
    let end = span.end as usize;
    let rest = text[end..].lines().next().unwrap_or_default();
    let trimmed = rest.trim();
    let is_free = trimmed.is_empty() || trimmed.starts_with("//");
    let offset = if is_free { end + rest.len() } else { end };
    (offset, format!("{line_break}{statement}"))
}

/// The top of a file without imports: below a byte order mark, a `#!` line, and comments that are
/// about the file rather than about its first statement.
fn top(parsed: &Parsed<'_, '_>) -> usize {
    let text = parsed.text;
    let first = parsed
        .program
        .body
        .first()
        .map_or(text.len(), |statement| statement.span().start as usize);
    let skip_line = |offset: usize| {
        text[offset..]
            .find('\n')
            .map_or(text.len(), |index| offset + index + 1)
    };
    let mut offset = if text.starts_with('\u{feff}') {
        '\u{feff}'.len_utf8()
    } else {
        0
    };
    if let Some(hashbang) = &parsed.program.hashbang {
        offset = skip_line(hashbang.span.end as usize);
    }
    for comment in &parsed.program.comments {
        let span = comment.span;
        if (span.start as usize) < offset || (span.end as usize) > first {
            continue;
        }
        let below = skip_line(span.end as usize);
        let is_alone = text[span.end as usize..below].trim().is_empty();
        let blank_follows = text[below..]
            .lines()
            .next()
            .is_none_or(|line| line.trim().is_empty());
        if is_alone && (blank_follows || is_about_file(span.source_text(text))) {
            offset = below;
            if blank_follows && below < first {
                offset = skip_line(below).min(first);
            }
        }
    }
    offset
}

/// Comments that tools read at the top of a file.
fn is_about_file(comment: &str) -> bool {
    const MARKS: [&str; 8] = [
        "@ts-",
        "eslint",
        "@jsx",
        "@jest-environment",
        "@license",
        "@flow",
        "opyright",
        "/// <",
    ];
    MARKS.iter().any(|mark| comment.contains(mark))
}
