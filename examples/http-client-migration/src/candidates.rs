//! Files in which a rule of the reader's own may find something: by their endings, a glob, and the words of the pattern.

use std::path::Path;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::repository::Repository;

/// File endings of the languages that the codemod is built with.
const LANGUAGES: [(&str, &[&str]); 5] = [
    ("javascript", &["js", "jsx", "mjs", "cjs"]),
    ("typescript", &["ts", "mts", "cts"]),
    ("tsx", &["tsx"]),
    ("python", &["py", "pyi"]),
    ("rust", &["rs"]),
];

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Search<'s> {
    /// A folder; `""` is all of the repository.
    pub under: &'s str,
    /// A pattern of ast-grep.
    pub pattern: &'s str,
    /// A pathspec of git, such as `src/**/*.py`.
    pub files: Option<&'s str>,
    /// One of the languages; all of them without it.
    pub language: Option<&'s str>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidates {
    /// The commit that the work starts from.
    pub base: String,
    /// The files, in order of path.
    pub files: Vec<String>,
    /// Files of these languages that were read.
    pub scanned: usize,
}

impl Search<'_> {
    /// Finds the files. Files that are not UTF-8 and symlinks are left out.
    ///
    /// # Errors
    /// git fails, or the language is none of those that are known.
    pub fn candidates(&self, repository: &Repository) -> Result<Candidates> {
        let endings = self.endings()?;
        let words = words(self.pattern);
        let mut found = Candidates {
            base: repository.head()?,
            files: Vec::new(),
            scanned: 0,
        };
        for one in repository.matching(self.files)? {
            let path = Path::new(&one.path);
            let ending = path.extension().and_then(|ending| ending.to_str());
            let fits = ending.is_some_and(|ending| endings.contains(&ending));
            if !one.is_file || !fits || !path.starts_with(self.under) {
                continue;
            }
            let Ok(text) = repository.read(&one.path) else {
                continue;
            };
            found.scanned += 1;
            if words.iter().all(|word| text.contains(word)) {
                found.files.push(one.path);
            }
        }
        Ok(found)
    }

    fn endings(&self) -> Result<Vec<&'static str>> {
        let Some(wanted) = self.language else {
            return Ok(LANGUAGES
                .iter()
                .flat_map(|(_, endings)| *endings)
                .copied()
                .collect());
        };
        let known = LANGUAGES.iter().find(|(name, _)| *name == wanted);
        match known {
            Some((_, endings)) => Ok(endings.to_vec()),
            None => bail!(
                "there is no language {wanted}: give javascript, typescript, tsx, python or rust"
            ),
        }
    }
}

/// The words of a pattern that stand in whatever it matches: all but its variables.
fn words(pattern: &str) -> Vec<&str> {
    let is_of_word = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '$';
    let pieces = pattern.split(|letter| !is_of_word(letter));
    pieces
        .filter(|word| !word.is_empty() && !word.contains('$'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn words_are_all_but_variables() {
        assert_eq!(
            words("requests.get($URL, timeout=$_, $$$REST)"),
            ["requests", "get", "timeout"]
        );
    }
}
