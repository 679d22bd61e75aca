//! What several tests need: the service's files, and repositories to try things in.
#![expect(dead_code, reason = "each test file uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use http_client_migration::edit::{Migration, migrate};
use http_client_migration::source::EXTENSIONS;
use serde_json::{Value, json};

/// The client's module in the service.
pub(crate) const CLIENT: &str = "src/lib/http-client.ts";

/// A file of the service.
pub(crate) struct Source {
    pub(crate) file: String,
    pub(crate) text: String,
    pub(crate) is_module: bool,
}

/// All files of the service but the client.
pub(crate) fn service_files() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("service");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let sources = files.into_iter().map(|path| {
        let file = path
            .strip_prefix(&root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let is_module = !file.starts_with("src/legacy");
        Source {
            text: fs::read_to_string(&path).unwrap(),
            is_module,
            file,
        }
    });
    sources.filter(|source| source.file != CLIENT).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path
            .extension()
            .is_some_and(|end| EXTENSIONS.contains(&end.to_str().unwrap()))
        {
            files.push(path);
        }
    }
}

/// A file of the service, migrated.
pub(crate) fn migrated(source: &Source) -> Migration {
    let file = Path::new(&source.file);
    migrate(file, &source.text, Path::new(CLIENT), source.is_module).unwrap()
}

/// A committed repository with the files given.
pub(crate) fn repository(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "--quiet", "."]);
    for (file, text) in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    commit(folder.path());
    folder
}

/// Commits all that is there.
pub(crate) fn commit(folder: &Path) {
    git(folder, &["add", "--all", "--force", "."]);
    let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"];
    let rest = [
        "-c",
        "commit.gpgSign=false",
        "commit",
        "--quiet",
        "--no-verify",
        "-m",
        "files",
    ];
    git(folder, &[&identity[..], &rest[..]].concat());
}

/// Runs git.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A task of the protocol.
pub(crate) fn task(order: &Value) -> String {
    let prompt = format!("Do as the next line says.\n{order}");
    json!({
        "runId": "r-22222222", "agentId": "a-7", "idempotencyKey": "00ff", "attempt": 1,
        "previousAttempts": [], "prompt": prompt, "schema": null, "model": null, "effort": null,
        "agentType": null, "label": "x", "phase": "Migrate", "cwd": "/",
    })
    .to_string()
}
