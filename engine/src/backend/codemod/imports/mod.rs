//! Imports that a rewritten file needs: found by the syntax tree, merged into what is there, or added behind it.

mod insert;
mod javascript;
mod python;
mod rust;

use std::path::Path;

use ast_grep_language::SupportLang;
use serde_json::Value;

use super::language::Language;
use super::place::{Place, TaskError};
use super::syntax::{Node, Tree, parse};
use super::text::Splice;

/// An import that a rule adds to the files that it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Import {
    Script(javascript::Import),
    Python(python::Import),
    Rust(rust::Import),
}

/// What is missing in a file: where it goes, and how it would stand alone.
pub(super) struct Addition {
    /// In order, without overlaps.
    pub(super) splices: Vec<Splice>,
    /// As statements.
    pub(super) shown: Vec<String>,
}

impl Import {
    /// Reads an import: a statement of the language, which may hold several, or an object.
    pub(super) fn read(
        value: &Value,
        place: &Place,
        language: Language,
    ) -> Result<Vec<Self>, TaskError> {
        let statement = match value {
            Value::String(text) => Some(Statement::parse(text, place, language)?),
            Value::Object(_) => None,
            _ => return Err(place.expected("an import statement, or {module, name},", value)),
        };
        let statement = statement.as_ref();
        Ok(match language.grammar() {
            SupportLang::JavaScript | SupportLang::TypeScript | SupportLang::Tsx => {
                let read = match statement {
                    Some(statement) => statement.all(javascript::Import::of_statement)?,
                    None => vec![javascript::Import::of_object(value, place, language)?],
                };
                read.into_iter().map(Self::Script).collect()
            }
            SupportLang::Python => {
                let read = match statement {
                    Some(statement) => statement.all(python::Import::of_statement)?,
                    None => vec![python::Import::of_object(value, place)?],
                };
                read.into_iter().map(Self::Python).collect()
            }
            SupportLang::Rust => {
                let read = match statement {
                    Some(statement) => statement.all(rust::Import::of_statement)?,
                    None => vec![rust::Import::of_object(value, place)?],
                };
                read.into_iter().map(Self::Rust).collect()
            }
            _ => {
                return Err(place.wrong(format!(
                    "imports are added in JavaScript, TypeScript, TSX, Python and Rust, not in {language}"
                )));
            }
        })
    }

    /// What has to be added to a file. None: it has the import.
    ///
    /// # Errors
    /// What stands against it, when the name is something else there.
    pub(super) fn addition(
        &self,
        tree: &Tree,
        path: &Path,
        language: Language,
    ) -> Result<Option<Addition>, String> {
        match self {
            Self::Script(import) => javascript::addition(import, tree, path, language),
            Self::Python(import) => python::addition(import, tree),
            Self::Rust(import) => rust::addition(import, tree),
        }
    }
}

/// The text of an import that is given as code.
struct Statement<'p> {
    tree: Tree,
    place: &'p Place,
    language: Language,
}

impl<'p> Statement<'p> {
    fn parse(text: &str, place: &'p Place, language: Language) -> Result<Self, TaskError> {
        let tree = parse(text.trim(), language);
        let tree = tree.ok_or_else(|| place.wrong("the parser gave up on this"))?;
        let statement = Self {
            tree,
            place,
            language,
        };
        let errors = super::syntax::survey(&statement.tree).errors;
        if errors.iter().all(|error| error.missing.is_some()) {
            Ok(statement)
        } else {
            Err(statement.refused())
        }
    }

    /// What each of its statements imports.
    fn all<I>(&self, read: impl Fn(&Node<'_>) -> Option<Vec<I>>) -> Result<Vec<I>, TaskError> {
        let root = self.tree.root();
        let mut imports = Vec::new();
        for node in root.children().filter(Node::is_named) {
            imports.extend(read(&node).ok_or_else(|| self.refused())?);
        }
        if imports.is_empty() {
            return Err(self.refused());
        }
        Ok(imports)
    }

    fn refused(&self) -> TaskError {
        let (text, language) = (self.tree.source(), self.language);
        self.place.wrong(format!(
            "`{text}` is no import of {language} that can be added: give a whole statement, or {{module, name}}"
        ))
    }
}

/// The value of `key` as a text.
fn field<'v>(
    map: &'v serde_json::Map<String, Value>,
    key: &str,
    place: &Place,
) -> Result<Option<&'v str>, TaskError> {
    let value: Option<&Value> = map.get(key);
    value.map(|value| place.field(key).text(value)).transpose()
}

/// The value of `key` as a name of something.
fn identifier(
    map: &serde_json::Map<String, Value>,
    key: &str,
    place: &Place,
) -> Result<Option<String>, TaskError> {
    let Some(name) = field(map, key, place)? else {
        return Ok(None);
    };
    if is_identifier(name) {
        Ok(Some(name.to_owned()))
    } else {
        Err(place.field(key).wrong(format!("`{name}` is no name")))
    }
}

fn is_identifier(name: &str) -> bool {
    let part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '$';
    name.starts_with(|first: char| part(first) && !first.is_numeric()) && name.chars().all(part)
}

/// The error that a name which is to be imported stands for something else already.
fn taken(name: &str, line: usize, statement: &str) -> String {
    format!(
        "`{statement}` cannot be added: line {line} makes `{name}` something else; import it under another name (`as`)"
    )
}

fn line_of(node: &Node<'_>) -> usize {
    node.start_pos().line() + 1
}
