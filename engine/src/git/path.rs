//! Paths as git knows them: bytes from the repository's top, with slashes. They may hold anything but NUL.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A path from the repository's top, without a slash at either end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub(crate) struct RepoPath(Vec<u8>);

/// JSON has no bytes: what is no text is a list of numbers.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<Stored> for RepoPath {
    fn from(stored: Stored) -> Self {
        Self(match stored {
            Stored::Text(text) => text.into_bytes(),
            Stored::Bytes(bytes) => bytes,
        })
    }
}

impl From<RepoPath> for Stored {
    fn from(path: RepoPath) -> Self {
        String::from_utf8(path.0).map_or_else(|error| Self::Bytes(error.into_bytes()), Self::Text)
    }
}

impl RepoPath {
    pub(crate) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        let mut bytes = bytes.into();
        while bytes.last() == Some(&b'/') {
            bytes.pop();
        }
        Self(bytes)
    }

    /// The bytes of a relative path; `None` when it leads out of its folder or is none.
    pub(crate) fn relative(path: &Path) -> Option<Self> {
        use std::path::Component;
        let mut parts = Vec::new();
        for component in path.components() {
            match component {
                Component::Normal(part) => parts.push(part.as_bytes()),
                Component::CurDir => {}
                Component::Prefix(_) | Component::RootDir | Component::ParentDir => return None,
            }
        }
        (!parts.is_empty()).then(|| Self(parts.join(&b'/')))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Whether it is `folder` or lies below it.
    pub(crate) fn is_within(&self, folder: &Self) -> bool {
        self.0
            .strip_prefix(folder.0.as_slice())
            .is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'/'))
    }

    /// For people and records: the text, and in git's own quotes when it is no UTF-8.
    pub(crate) fn text(&self) -> String {
        match std::str::from_utf8(&self.0) {
            Ok(text) => text.to_owned(),
            Err(_) => quoted(&self.0),
        }
    }

    /// A pattern of `.gitignore` that matches this path alone.
    pub(crate) fn pattern(&self) -> Vec<u8> {
        let mut pattern = vec![b'/'];
        for &byte in &self.0 {
            if b"*?[]\\! #".contains(&byte) {
                pattern.push(b'\\');
            }
            pattern.push(byte);
        }
        pattern
    }
}

fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b' '..=b'~' => text.push(char::from(byte)),
            // Writing to a String cannot fail.
            _ => drop(write!(text, "\\{byte:03o}")),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn what_is_no_utf8_is_quoted_as_git_does_and_survives_json() {
        let path = RepoPath::new(&b"caf\xe9/\"a\\b\n"[..]);
        assert_eq!(path.text(), "\"caf\\351/\\\"a\\\\b\\012\"");
        for path in [path, RepoPath::new("a\n é")] {
            let json = serde_json::to_string(&path).unwrap();
            assert_eq!(serde_json::from_str::<RepoPath>(&json).unwrap(), path);
        }
    }

    #[test]
    fn a_path_is_within_folders_not_within_beginnings_of_names() {
        let within =
            |path: &str, folder: &str| RepoPath::new(path).is_within(&RepoPath::new(folder));
        assert!(within("a/b", "a/") && within("a", "a"));
        assert!(!within("ab", "a") && !within("a", "a/b"));
    }

    #[test]
    fn what_leads_out_of_the_folder_is_no_relative_path() {
        let relative = |text: &str| RepoPath::relative(Path::new(text)).map(|path| path.text());
        assert_eq!(relative("./a//b/"), Some("a/b".to_owned()));
        for text in ["", ".", "..", "a/../b", "/a"] {
            assert_eq!(relative(text), None, "{text}");
        }
    }
}
