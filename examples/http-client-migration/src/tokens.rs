//! A file as the verifier sees it: a flat list of tokens, with what the scopes say about a few.

use std::collections::HashMap;
use std::path::Path;

use oxc_ast::AstKind;
use oxc_ast::ast::{BindingPattern, Expression, ImportDeclarationSpecifier, Statement};
use oxc_semantic::SymbolId;
use oxc_span::{GetSpan, Span};

use crate::imports::{EXPORT, imported_name, leads_to};
use crate::source::{Parsed, SyntaxProblem, line_of, parse};

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Where it begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// What it is, as far as the verifier cares.
    pub role: Role,
}

/// What a token is, as far as the verifier cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nothing special.
    Plain,
    /// A reference called `fetch` that no scope binds.
    GlobalFetch,
    /// A reference to the global object that no scope binds.
    GlobalObject,
    /// A reference to the imported client.
    Client,
}

/// A file as tokens.
#[derive(Debug)]
pub struct Tokens {
    /// The text.
    pub text: String,
    /// The tokens of the file, without those of the client's imports.
    pub words: Vec<Word>,
    /// The statements that import the client.
    pub imports: Vec<ClientStatement>,
    /// Names that are used and bound nowhere.
    pub unbound: Vec<String>,
}

/// A statement that imports the client and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientStatement {
    /// Where it begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// The name that it binds.
    pub name: String,
}

impl Tokens {
    /// Reads a file. `client` is the client's module, relative to the same root as `file`.
    ///
    /// # Errors
    /// A file that does not parse.
    pub fn read(file: &Path, text: &str, client: &Path) -> Result<Self, SyntaxProblem> {
        parse(file, text, |parsed| read(parsed, file, client))
    }

    /// The token's text; empty past the end.
    pub fn at(&self, index: usize) -> &str {
        self.words
            .get(index)
            .map_or("", |word| &self.text[word.start..word.end])
    }

    /// The token's role.
    pub fn role(&self, index: usize) -> Role {
        self.words.get(index).map_or(Role::Plain, |word| word.role)
    }

    /// The line, from 1, of a token, or the last line past the end.
    pub fn line(&self, index: usize) -> usize {
        line_of(
            &self.text,
            self.words
                .get(index)
                .map_or(self.text.len(), |word| word.start),
        )
    }

    /// What stands between a token and the one before it: white space and comments.
    pub fn gap_before(&self, index: usize) -> (usize, usize) {
        let start = index
            .checked_sub(1)
            .and_then(|before| self.words.get(before));
        let end = self
            .words
            .get(index)
            .map_or(self.text.len(), |word| word.start);
        (start.map_or(0, |word| word.end), end)
    }
}

fn read(parsed: &Parsed<'_, '_>, file: &Path, client: &Path) -> Tokens {
    let mut symbols: Vec<SymbolId> = Vec::new();
    let mut imports: Vec<ClientStatement> = Vec::new();
    for statement in &parsed.program.body {
        if let Some((name, symbol)) = client_statement(statement, file, client) {
            let Span { start, end, .. } = statement.span();
            imports.push(ClientStatement {
                start: start as usize,
                end: end as usize,
                name,
            });
            symbols.extend(symbol);
        } else if let Statement::ImportDeclaration(import) = statement {
            // The client beside other names of its module: the statement is the author's own.
            if leads_to(file, &import.source.value, client) {
                symbols.extend(imported_symbol(parsed, import));
            }
        }
    }
    let roles = roles(parsed, &symbols);
    let is_outside = |start: usize| {
        !imports
            .iter()
            .any(|one| (one.start..one.end).contains(&start))
    };
    let words = parsed.tokens.iter().filter_map(|token| {
        let (start, end) = (token.start() as usize, token.end() as usize);
        let role = roles.get(&start).copied().unwrap_or(Role::Plain);
        (start < end && is_outside(start)).then_some(Word { start, end, role })
    });
    let unbound = parsed.semantic.scoping().root_unresolved_references();
    Tokens {
        text: parsed.text.to_owned(),
        words: words.collect(),
        imports,
        unbound: unbound.keys().map(ToString::to_string).collect(),
    }
}

/// The name and symbol that a statement binds, if importing the client is all that it does.
fn client_statement(
    statement: &Statement<'_>,
    file: &Path,
    client: &Path,
) -> Option<(String, Option<SymbolId>)> {
    match statement {
        Statement::ImportDeclaration(import) => {
            let is_single = import.specifiers.as_ref().is_some_and(|all| all.len() == 1);
            if !is_single || !leads_to(file, &import.source.value, client) {
                return None;
            }
            let name = imported_name(import)?;
            let symbol = import.specifiers.as_ref()?.first()?.local().symbol_id.get();
            Some((name, symbol))
        }
        Statement::VariableDeclaration(declaration) => {
            let [declarator] = declaration.declarations.as_slice() else {
                return None;
            };
            let Some(Expression::CallExpression(call)) = &declarator.init else {
                return None;
            };
            let source = call.common_js_require()?;
            let BindingPattern::ObjectPattern(pattern) = &declarator.id else {
                return None;
            };
            let [property] = pattern.properties.as_slice() else {
                return None;
            };
            let named = property
                .key
                .static_name()
                .is_some_and(|name| name == EXPORT);
            let BindingPattern::BindingIdentifier(local) = &property.value else {
                return None;
            };
            let fits = named && pattern.rest.is_none() && leads_to(file, &source.value, client);
            fits.then(|| (local.name.to_string(), local.symbol_id.get()))
        }
        _ => None,
    }
}

fn imported_symbol(
    parsed: &Parsed<'_, '_>,
    import: &oxc_ast::ast::ImportDeclaration<'_>,
) -> Option<SymbolId> {
    let name = imported_name(import)?;
    let locals = import
        .specifiers
        .as_ref()?
        .iter()
        .map(ImportDeclarationSpecifier::local);
    let scoping = parsed.semantic.scoping();
    locals
        .filter_map(|local| local.symbol_id.get())
        .find(|symbol| scoping.symbol_name(*symbol) == name)
}

/// The roles of the file's references, by where they begin.
fn roles(parsed: &Parsed<'_, '_>, clients: &[SymbolId]) -> HashMap<usize, Role> {
    let scoping = parsed.semantic.scoping();
    let mut roles = HashMap::new();
    for node in parsed.semantic.nodes().iter() {
        let AstKind::IdentifierReference(name) = node.kind() else {
            continue;
        };
        let Some(id) = name.reference_id.get() else {
            continue;
        };
        let reference = scoping.get_reference(id);
        if !reference.is_value() || reference.flags().is_value_as_type() {
            continue;
        }
        let role = match (reference.symbol_id(), name.name.as_str()) {
            (Some(symbol), _) if clients.contains(&symbol) => Role::Client,
            (None, "fetch") => Role::GlobalFetch,
            (None, "globalThis" | "window" | "self" | "global") => Role::GlobalObject,
            _ => continue,
        };
        roles.insert(name.span.start as usize, role);
    }
    roles
}
