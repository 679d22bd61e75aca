//! House rules as tests: what ARCHITECTURE.md says of crates, walls, files and documents is read here from the files
//! themselves, so that it stays true.

mod contract;
mod dependencies;
mod documents;
mod manifests;
mod public_api;
mod rust_tokens;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold nothing of ours.
const SKIPPED_FOLDERS: &[&str] = &["target", "node_modules"];

/// The workspace's root.
fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .map_or_else(|| tests.to_owned(), Path::to_owned)
}

/// Every file of the project, as paths from the root, in order. Hidden folders are left out, but for `.ci` and `.config`.
fn files() -> Vec<PathBuf> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for entry in entries {
            let entry = entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
            let name = entry.file_name().to_string_lossy().into_owned();
            let hidden = name.starts_with('.') && name != ".ci" && name != ".config";
            let kind = entry
                .file_type()
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            if kind.is_dir() && !hidden && !SKIPPED_FOLDERS.contains(&name.as_str()) {
                folders.push(entry.path());
            } else if kind.is_file() && name != ".git" {
                let path = entry.path();
                found.push(path.strip_prefix(&root).unwrap_or(&path).to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The project's files with one of these extensions.
fn files_ending(extensions: &[&str]) -> Vec<PathBuf> {
    let wanted = |path: &PathBuf| {
        path.extension()
            .is_some_and(|end| extensions.iter().any(|extension| end == *extension))
    };
    files().into_iter().filter(wanted).collect()
}

/// A file's text, by its path from the root.
fn text(path: &Path) -> String {
    fs::read_to_string(root().join(path))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether the file is shipped code: a crate's `src`, but not that of tests and examples, and no module of unit tests.
fn is_shipped(path: &Path) -> bool {
    let tests = |part: &std::ffi::OsStr| {
        let part = part.to_string_lossy();
        part == "tests" || part == "tests.rs" || part.ends_with("_tests.rs")
    };
    if path.iter().any(tests) {
        return false;
    }
    let mut parts = path.iter().map(|part| part.to_string_lossy());
    let first = parts.next().unwrap_or_default();
    first != "tests" && first != "examples" && parts.next().is_some_and(|second| second == "src")
}

/// Fails with everything that was found, so that one run shows all there is to mend.
#[track_caller]
fn assert_none(rule: &str, mut offences: Vec<String>) {
    offences.sort();
    offences.dedup();
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}
