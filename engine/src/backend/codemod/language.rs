//! The languages, which of them are built in, and by which feature the others come.

use std::fmt;
use std::path::Path;

use ast_grep_language::{Language as _, SupportLang};

/// A programming language in which files can be rewritten, if its grammar is built in.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Language(SupportLang);

struct Row {
    language: SupportLang,
    name: &'static str,
    feature: &'static str,
    built: bool,
}

macro_rules! rows {
    ($($language:ident $name:literal $feature:literal)*) => {
        &[$(Row {
            language: SupportLang::$language,
            name: $name,
            feature: $feature,
            built: cfg!(feature = $feature),
        }),*]
    };
}

/// All languages that ast-grep knows. One that is not built in must never be asked for its grammar: ast-grep panics.
const ROWS: &[Row] = rows! {
    JavaScript "javascript" "codemod"
    TypeScript "typescript" "codemod"
    Tsx "tsx" "codemod"
    Python "python" "codemod"
    Rust "rust" "codemod"
    Bash "bash" "codemod-bash"
    C "c" "codemod-c"
    Cpp "cpp" "codemod-cpp"
    CSharp "csharp" "codemod-csharp"
    Css "css" "codemod-css"
    Dart "dart" "codemod-dart"
    Elixir "elixir" "codemod-elixir"
    Go "go" "codemod-go"
    Haskell "haskell" "codemod-haskell"
    Hcl "hcl" "codemod-hcl"
    Html "html" "codemod-html"
    Java "java" "codemod-java"
    Json "json" "codemod-json"
    Kotlin "kotlin" "codemod-kotlin"
    Lua "lua" "codemod-lua"
    Markdown "markdown" "codemod-markdown"
    Nix "nix" "codemod-nix"
    Php "php" "codemod-php"
    Ruby "ruby" "codemod-ruby"
    Scala "scala" "codemod-scala"
    Solidity "solidity" "codemod-solidity"
    Swift "swift" "codemod-swift"
    Yaml "yaml" "codemod-yaml"
    Zig "zig" "codemod-zig"
};

impl Language {
    /// The language of this name, in any case: `typescript`, `ts`, `TypeScript`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        name.parse().ok().map(Self)
    }

    /// The language of a file, by how its name ends.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        SupportLang::from_path(path).map(Self)
    }

    /// Those that are built in.
    pub fn built() -> impl Iterator<Item = Self> {
        ROWS.iter()
            .filter(|row| row.built)
            .map(|row| Self(row.language))
    }

    /// The name that rules and answers use: `typescript`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().map_or("", |row| row.name)
    }

    /// The feature of this crate that builds it in.
    #[must_use]
    pub fn feature(self) -> &'static str {
        self.row().map_or("codemod", |row| row.feature)
    }

    /// Whether it is built in.
    #[must_use]
    pub fn is_built(self) -> bool {
        self.row().is_some_and(|row| row.built)
    }

    pub(super) const fn grammar(self) -> SupportLang {
        self.0
    }

    /// Why nothing of this language can be rewritten, for one that is not built in.
    pub(super) fn missing(self) -> String {
        format!(
            "{self} is not built in: build with the feature `{}` of the crate `bellwether`",
            self.feature()
        )
    }

    fn row(self) -> Option<&'static Row> {
        ROWS.iter().find(|row| row.language == self.0)
    }
}

/// As ast-grep writes it: `TypeScript`.
impl fmt::Display for Language {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_its_row_and_its_name() {
        assert_eq!(ROWS.len(), SupportLang::all_langs().len());
        for &language in SupportLang::all_langs() {
            let language = Language(language);
            assert_eq!(Language::named(language.name()), Some(language));
            assert_eq!(
                Language::named(&language.to_string().to_uppercase()),
                Some(language)
            );
            assert!(language.feature().starts_with("codemod"));
        }
    }
}
