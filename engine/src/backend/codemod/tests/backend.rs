//! Tasks against folders, by the trait that the engine calls.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;

use bellwether_actors::backend::{AgentBackend as _, AgentOutcome, AttemptContext, Progress, Task};
use bellwether_journal::record::{Failure, FailureKind};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::VERSION;
use super::super::work::{Gate, carry_out};
use crate::backend::codemod::Codemod;
use crate::backend::fixtures::{context, task};

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn task_in(folder: &Path, prompt: &Value) -> Arc<Task> {
    let mut task = Arc::unwrap_or_clone(task(7, None));
    task.prompt = prompt.to_string().into();
    task.working_directory = folder.to_owned();
    Arc::new(task)
}

async fn answer(folder: &Path, prompt: &Value) -> Value {
    match Codemod
        .run(task_in(folder, prompt), context())
        .await
        .outcome
    {
        AgentOutcome::Completed(text) => serde_json::from_str(&text).unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn failure(folder: &Path, prompt: &Value) -> Failure {
    match Codemod
        .run(task_in(folder, prompt), context())
        .await
        .outcome
    {
        AgentOutcome::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

/// Path, status and reason of each file.
fn statuses(answer: &Value) -> Vec<[String; 3]> {
    let files = answer["files"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    files
        .map(|file| ["path", "status", "reason"].map(|field| text(&file[field])))
        .collect()
}

/// The first of them.
fn paths(answer: &Value) -> Vec<String> {
    statuses(answer)
        .into_iter()
        .map(|[path, ..]| path)
        .collect()
}

#[tokio::test]
async fn a_task_changes_its_files_and_says_what_it_did() {
    let folder = folder(&[
        ("src/a.js", "import x from 'x'\n\n  axios.get('ü', 1);\n"),
        ("src/deep/b.ts", "const r = await axios.get(url)\n"),
        ("src/c.tsx", "export const c = <a />\n"),
        ("src/README", "axios.get(1)\n"),
        ("tools/d.py", "axios.get(1)\n"),
    ]);
    let script = folder.path().join("src/a.js");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let prompt = json!({
        "rules": [{
            "id": "get", "pattern": "axios.get($$$ARGS)", "rewrite": "http.get($$$ARGS)", "ignores": ["tools/**"],
            "import": {"path": "src/http.js", "name": "http"}, "language": ["js", "ts", "tsx", "py"],
        }],
        "files": ["src/**/*.{js,ts,tsx}", "tools/d.py", "none/*.js"],
    });
    // Only Python has no files to import by a path: the rule says so before anything is touched.
    let error = failure(folder.path(), &prompt).await;
    assert_eq!(error.kind, FailureKind::Refused);
    assert!(
        error
            .message
            .starts_with("the codemod's task at `rules[0].import.path`: no such field"),
        "{}",
        error.message
    );

    let mut prompt = prompt;
    prompt["rules"][0]["language"] = json!(["js", "ts", "tsx"]);
    let (sender, mut progress) = mpsc::channel(16);
    let watched = AttemptContext {
        progress: Progress::new(sender),
        ..context()
    };
    let ended = Codemod.run(task_in(folder.path(), &prompt), watched).await;
    let AgentOutcome::Completed(first) = ended.outcome else {
        panic!("{ended:?}")
    };
    assert_eq!(
        serde_json::from_str::<Value>(&first).unwrap(),
        json!({
            "changed": 2, "unchanged": 1, "skipped": 1, "failed": 0,
            "files": [
                {"path": "src/a.js", "status": "changed", "language": "javascript",
                 "edits": [{"rule": "get", "line": 3, "column": 3, "before": "axios.get('ü', 1)", "after": "http.get('ü', 1)"}],
                 "imports": ["import { http } from './http.js'"]},
                {"path": "src/c.tsx", "status": "unchanged", "language": "tsx", "edits": [], "imports": []},
                {"path": "src/deep/b.ts", "status": "changed", "language": "typescript",
                 "edits": [{"rule": "get", "line": 1, "column": 17, "before": "axios.get(url)", "after": "http.get(url)"}],
                 "imports": ["import { http } from '../http.js'"]},
                {"path": "tools/d.py", "status": "skipped", "language": "python", "edits": [], "imports": [],
                 "reason": "no rule is for it, a file in Python: see the rules' `language`, `files` and `ignores`"},
            ],
            "unmatched": ["none/*.js"],
        })
    );
    let event = progress.recv().await.unwrap();
    assert_eq!(&*event.event, r#"{"done":4,"files":4,"changed":2}"#);
    let read = |path: &str| fs::read_to_string(folder.path().join(path)).unwrap();
    assert_eq!(
        read("src/a.js"),
        "import x from 'x'\nimport { http } from './http.js'\n\n  http.get('ü', 1);\n"
    );
    assert_eq!(
        read("src/deep/b.ts"),
        "import { http } from '../http.js'\n\nconst r = await http.get(url)\n"
    );
    assert_eq!(
        fs::metadata(&script).unwrap().permissions().mode() & 0o777,
        0o755
    );
    assert_eq!(fs::read_dir(folder.path().join("src")).unwrap().count(), 4);

    // The next attempt, after one that was cut off, finds what is left to do: here nothing.
    let again = answer(folder.path(), &prompt).await;
    assert_eq!(
        (&again["changed"], &again["unchanged"]),
        (&json!(0), &json!(3))
    );
}

#[tokio::test]
async fn what_is_not_rewritten_has_its_reason() {
    let folder = folder(&[
        ("a.js", "f(x)\n"),
        ("break.js", "let a = f(\"s\")\n"),
        ("taken.js", "f(x); class g {}\n"),
        ("large.js", &format!("f(x)\n//{}", "x".repeat(2 << 20))),
        ("main.sol", "f(x)\n"),
        ("notes.txt", "f(x)\n"),
    ]);
    fs::write(folder.path().join("latin.js"), b"f(x) // \xe9\n").unwrap();
    let rules = json!([
        {"pattern": "f($A)", "rewrite": "g($A)", "import": {"module": "m", "name": "g"}, "language": "js"},
        {"pattern": "$S", "kind": "string", "rewrite": "\"", "language": "js"},
    ]);
    let found = answer(folder.path(), &json!({"rules": rules, "files": ["*"]})).await;
    let expected = [
        ("a.js", "changed", ""),
        (
            "break.js",
            "failed",
            "line 3 has a syntax error that was not there before",
        ),
        ("large.js", "skipped", "at most 2097152 are looked at"),
        ("latin.js", "skipped", "byte 9 is not UTF-8"),
        ("main.sol", "skipped", "feature `codemod-solidity`"),
        ("notes.txt", "skipped", "its language is not known"),
        ("taken.js", "failed", "line 1 makes `g` something else"),
    ];
    let found = statuses(&found);
    assert_eq!(found.len(), expected.len());
    for ([path, status, reason], (at, wanted, part)) in found.into_iter().zip(expected) {
        assert_eq!((path.as_str(), status.as_str()), (at, wanted), "{reason}");
        let not_built = !part.contains("solidity") || !cfg!(feature = "codemod-solidity");
        assert!(reason.contains(part) || !not_built, "{reason}");
    }
    assert_eq!(
        fs::read_to_string(folder.path().join("break.js")).unwrap(),
        "let a = f(\"s\")\n"
    );

    // What is named is expected to be one that can be rewritten.
    let named = answer(
        folder.path(),
        &json!({"rules": rules, "files": ["none.js", "notes.txt"]}),
    )
    .await;
    let expected = [
        ["none.js", "failed", "there is no such file"],
        [
            "notes.txt",
            "failed",
            "its language is not known by its ending",
        ],
    ];
    assert_eq!(statuses(&named), expected);
}

#[tokio::test]
async fn nothing_outside_of_the_working_directory_is_touched() {
    let outside = folder(&[
        ("a.js", "f(x)\n"),
        ("in/a.js", "f(x)\n"),
        ("in/real/b.js", "f(x)\n"),
    ]);
    let inside = outside.path().join("in");
    symlink("../a.js", inside.join("link.js")).unwrap();
    symlink("..", inside.join("up")).unwrap();
    symlink("real/b.js", inside.join("b.js")).unwrap();
    let rules = json!([{"pattern": "f($A)", "rewrite": "g($A)"}]);
    let absolute = outside.path().join("in/a.js");
    for (file, problem) in [
        ("../a.js", "has `..` in it"),
        ("real/../../a.js", "has `..` in it"),
        ("../*.js", "has `..` in it"),
        (absolute.to_str().unwrap(), "is absolute"),
        ("link.js", "leads out of the working directory"),
        ("up/a.js", "leads out of the working directory"),
        ("up", "leads out of the working directory"),
        ("up/*.js", "leads out of the working directory"),
    ] {
        let failure = failure(&inside, &json!({"rules": rules, "files": ["a.js", file]})).await;
        let named = failure
            .message
            .contains(&format!("at `files[1]`: `{file}` "));
        assert!(
            named && failure.message.contains(problem),
            "{}",
            failure.message
        );
    }
    assert_eq!(
        fs::read_to_string(outside.path().join("in/a.js")).unwrap(),
        "f(x)\n"
    );

    // A link that stays inside is followed when it is named, and its file is written, not the link.
    let answer = answer(
        &inside,
        &json!({"rules": rules, "files": ["**/*.js", "b.js"]}),
    )
    .await;
    let expected = [["a.js", "changed", ""], ["real/b.js", "changed", ""]];
    assert_eq!(statuses(&answer), expected);
    assert!(inside.join("b.js").is_symlink() && inside.join("link.js").is_symlink());
    assert_eq!(
        fs::read_to_string(outside.path().join("a.js")).unwrap(),
        "f(x)\n"
    );
}

#[tokio::test]
async fn globs_and_folders_leave_out_what_is_not_the_projects_own() {
    let all = [
        "a.js",
        ".hidden/b.js",
        "node_modules/m/c.js",
        "dist/d.js",
        "src/e.js",
        "src/[id].js",
        ".bw/tree/f.js",
    ];
    let files = all.map(|path| (path, "f(x)\n"));
    let folder = folder(&files);
    fs::create_dir(folder.path().join(".git")).unwrap();
    fs::write(folder.path().join(".gitignore"), "dist\n.bw\n").unwrap();
    let rules = json!([{"pattern": "f($A)", "rewrite": "g($A)"}]);
    let changed = async |at: &Path, files: &[&str]| {
        let answer = answer(at, &json!({"rules": rules, "files": files})).await;
        paths(&answer)
    };
    assert_eq!(
        changed(folder.path(), &["**/*.js"]).await,
        ["a.js", "src/[id].js", "src/e.js"]
    );
    assert_eq!(
        changed(folder.path(), &["src"]).await,
        ["src/[id].js", "src/e.js"]
    );
    // What is named is meant, and a file whose name looks like a glob is that file.
    assert_eq!(
        changed(folder.path(), &["./dist/d.js", "src/[id].js"]).await,
        ["dist/d.js", "src/[id].js"]
    );
    // A worktree below an ignored folder is a repository of its own.
    let tree = folder.path().join(".bw/tree");
    fs::write(tree.join(".git"), "gitdir: ../../.git\n").unwrap();
    assert_eq!(changed(&tree, &["*.js"]).await, ["f.js"]);

    let none = failure(
        folder.path(),
        &json!({"rules": rules, "files": ["*.ts", "lib/*.js"]}),
    )
    .await;
    assert!(
        none.message.contains("no file matches (*.ts, lib/*.js)"),
        "{}",
        none.message
    );
}

#[tokio::test]
async fn a_pattern_that_is_wrong_in_one_language_changes_nothing() {
    let folder = folder(&[("a.ts", "b as C\n"), ("z.js", "b\n")]);
    let rules = json!([{"pattern": "$A as $B", "rewrite": "$A"}]);
    let failure = failure(folder.path(), &json!({"rules": rules, "files": ["*"]})).await;
    assert!(
        failure.message.contains("at `rules[0].pattern`"),
        "{}",
        failure.message
    );
    assert_eq!(
        fs::read_to_string(folder.path().join("a.ts")).unwrap(),
        "b as C\n"
    );
}

#[tokio::test]
async fn a_stopped_attempt_writes_nothing_any_more() {
    let folder = folder(&[("a.js", "f(x)\n")]);
    let prompt = json!({"rules": [{"pattern": "f($A)", "rewrite": "g($A)"}], "files": ["a.js"]});
    let task = task_in(folder.path(), &prompt);
    let gate = Gate::default();
    gate.close();
    assert!(
        carry_out(&task, &Progress::none(), &gate)
            .unwrap()
            .is_none()
    );
    for (cancelled, killed) in [(true, false), (false, true)] {
        let token = |set: bool| {
            let token = CancellationToken::new();
            if set {
                token.cancel();
            }
            token
        };
        let stopped = AttemptContext {
            cancelled: token(cancelled),
            killed: token(killed),
            ..context()
        };
        let ended = Codemod.run(Arc::clone(&task), stopped).await;
        assert_eq!(ended.outcome, AgentOutcome::Cancelled);
    }
    assert_eq!(
        fs::read_to_string(folder.path().join("a.js")).unwrap(),
        "f(x)\n"
    );
}

#[tokio::test]
async fn an_answer_is_bounded() {
    let many = format!("f(\"{}\")\n", "x".repeat(1_000)).repeat(150);
    let folder = folder(&[("a.js", &many), ("b.js", "f(1)\n")]);
    let prompt = json!({"rules": [{"pattern": "f($A)", "rewrite": "g($A)"}], "files": ["*.js"]});
    let answer = answer(folder.path(), &prompt).await;
    let first = &answer["files"][0];
    assert_eq!(first["edits"].as_array().unwrap().len(), 100);
    assert_eq!(
        (&first["moreEdits"], &answer["files"][1]["moreEdits"]),
        (&json!(50), &Value::Null)
    );
    let shown = first["edits"][0]["after"].as_str().unwrap();
    assert!(
        shown.starts_with("g(\"xxx") && shown.ends_with("… (605 more bytes)"),
        "{shown}"
    );
}

/// An answer is reused when nothing that makes it has changed: so what makes it has to be in the fingerprint.
#[test]
fn the_fingerprint_names_the_versions_in_the_lock_file() {
    let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")).unwrap();
    let version = |name: &str| {
        let entry = format!("name = \"{name}\"\nversion = \"");
        let found = lock.split_once(&entry).unwrap().1;
        found.split('"').next().unwrap().to_owned()
    };
    let mut expected = format!("ast-grep {}", version("ast-grep-core"));
    for language in ["javascript", "typescript", "python", "rust"] {
        let version = version(&format!("tree-sitter-{language}"));
        expected.extend([", ", language, " ", &version]);
    }
    assert!(
        VERSION.ends_with(&expected),
        "VERSION has to say: {expected}"
    );
    let fingerprint = Codemod.fingerprint();
    assert!(
        fingerprint.contains(VERSION)
            && fingerprint.contains("javascript typescript tsx python rust")
    );
}
