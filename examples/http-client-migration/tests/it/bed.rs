//! What several tests need: the service's files, and repositories to try things in.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use bellwether_tests::program::programs;
use http_client_migration::discover::{Refusal, discover};
use http_client_migration::repository::Repository;
use http_client_migration::source::EXTENSIONS;
use serde_json::{Value, json};

/// The client's module in the service.
pub(crate) const CLIENT: &str = "src/lib/http-client.ts";

/// A file of the service that the migration looked at.
pub(crate) struct Source {
    pub(crate) file: String,
    /// Before.
    pub(crate) text: String,
    /// As it landed; the same where it did not.
    pub(crate) migrated: String,
    /// Uses that were refused.
    pub(crate) refused: Vec<Refusal>,
}

/// All source files of the service but the client, with what became of them.
pub(crate) fn service_files() -> Vec<Source> {
    let service = migrated_service();
    let repository = Repository::open(&service.folder).unwrap();
    let after = service.report["after"].as_str().unwrap();
    let plan = discover(&repository, "", None).unwrap();
    let mut files = Vec::new();
    for one in repository.tracked().unwrap() {
        let file = one.path;
        let ending = Path::new(&file).extension().unwrap().to_str().unwrap();
        if !EXTENSIONS.contains(&ending) || file == CLIENT {
            continue;
        }
        let found = plan.files.iter().chain(&plan.refused);
        let refused = found
            .filter(|found| found.file == file)
            .flat_map(|found| found.refused.clone());
        files.push(Source {
            text: repository.read(&file).unwrap(),
            migrated: repository.original(after, &file).unwrap(),
            refused: refused.collect(),
            file,
        });
    }
    files
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
pub(crate) fn task(folder: &Path, order: &Value) -> String {
    let prompt = format!("Do as the next line says.\n{order}");
    json!({
        "runId": "r-22222222", "agentId": "a-7", "idempotencyKey": "00ff", "attempt": 1,
        "previousAttempts": [], "prompt": prompt, "schema": null, "model": null, "effort": null,
        "agentType": null, "label": "x", "phase": "Migrate", "cwd": folder,
    })
    .to_string()
}

/// A copy of the service after a run of the migration.
pub(crate) struct Migrated {
    /// Its folder, under git.
    pub(crate) folder: PathBuf,
    /// What the workflow returned.
    pub(crate) report: Value,
    /// All files of the checkout as they were before the run, by their paths.
    pub(crate) before: BTreeMap<PathBuf, Vec<u8>>,
    /// All of them as they were after it.
    pub(crate) after: BTreeMap<PathBuf, Vec<u8>>,
    _home: tempfile::TempDir,
}

/// The service, migrated once for all tests.
pub(crate) fn migrated_service() -> &'static Migrated {
    static MIGRATED: OnceLock<Migrated> = OnceLock::new();
    MIGRATED.get_or_init(|| {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("service");
        for source in all_service_files() {
            let path = folder.join(&source.0);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, source.1).unwrap();
        }
        git(&folder, &["init", "--quiet", "."]);
        commit(&folder);
        let before = checkout(&folder);
        let program = env!("CARGO_BIN_EXE_http-client-migration");
        let verify = format!("{program} check --client {CLIENT}");
        let report = run(&folder, home.path(), &json!({ "verify": verify }));
        let after = checkout(&folder);
        Migrated {
            folder,
            report,
            before,
            after,
            _home: home,
        }
    })
}

/// Runs `migrate.js` in `folder` to its end, with a journal in `home`; gives what it returned.
pub(crate) fn run(folder: &Path, home: &Path, arguments: &Value) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrate.js");
    let agent = format!("{} agent", env!("CARGO_BIN_EXE_http-client-migration"));
    let mut command = Command::new(programs().unwrap().join("bellwether"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BELLWETHER_") {
            command.env_remove(name);
        }
    }
    let output = command
        .current_dir(folder)
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home)
        .env("XDG_RUNTIME_DIR", home)
        .arg("run")
        .arg(script)
        .args([
            "--agent-command",
            &agent,
            "--allow",
            "merge",
            "--yes",
            "--json",
        ])
        .args(["--args", &arguments.to_string(), "--concurrency", "8"])
        .arg("--journal")
        .arg(home.join("journal.redb"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    let mut end: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(end["status"], "completed", "{errors}");
    end["result"].take()
}

/// All files of a checkout with their bytes, git's index and HEAD among them.
pub(crate) fn checkout(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = Vec::new();
    all_files(folder, &mut files);
    files.push(folder.join(".git/index"));
    files.push(folder.join(".git/HEAD"));
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap();
        (path, bytes)
    };
    files.into_iter().map(read).collect()
}

fn all_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name == ".git") {
            continue;
        }
        if path.is_dir() {
            all_files(&path, files);
        } else {
            files.push(path);
        }
    }
}

fn all_service_files() -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("service");
    let mut files = Vec::new();
    all_files(&root, &mut files);
    let relative = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap();
        (path.strip_prefix(&root).unwrap().to_owned(), bytes)
    };
    files.into_iter().map(relative).collect()
}
