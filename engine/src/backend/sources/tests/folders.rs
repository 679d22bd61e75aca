//! Tasks against folders, by the trait that the engine calls.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bellwether_actors::backend::{AgentBackend as _, AgentOutcome, AttemptContext};
use bellwether_journal::record::FailureKind;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::super::{Sources, VERSION};
use crate::backend::fixtures::{context, task};

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    for (path, text) in files {
        let path = folder.path().join(path);
        let parent = path.parent().unwrap_or(folder.path());
        let written = fs::create_dir_all(parent).and_then(|()| fs::write(&path, text));
        written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    folder
}

async fn outcome(folder: &Path, prompt: &str) -> AgentOutcome {
    let mut task = Arc::unwrap_or_clone(task(7, None));
    task.prompt = prompt.into();
    task.working_directory = folder.to_owned();
    Sources.run(Arc::new(task), context()).await.outcome
}

async fn answer(folder: &Path, prompt: Value) -> Value {
    match outcome(folder, &prompt.to_string()).await {
        AgentOutcome::Completed(text) => {
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
        }
        other => panic!("{other:?}"),
    }
}

fn linked(to: &str, at: &Path) {
    symlink(to, at).unwrap_or_else(|error| panic!("{}: {error}", at.display()));
}

#[tokio::test]
async fn a_list_names_the_texts_and_what_is_left_out() {
    let large = vec![b'x'; (16 << 20) + 1];
    let folder = folder(&[
        ("b.md", b"Intro\n\n# The title\n"),
        ("a/one.txt", "Caf\u{e9}\n".as_bytes()),
        ("a/latin.txt", b"caf\xe9\n"),
        ("a/picture.png", b"\x89PNG\0\0"),
        ("a/large.txt", &large),
        ("drafts/no.md", b"# Not yet\n"),
        (".ignore", b"drafts\n"),
        (".git/config", b"[core]\n"),
        ("empty.md", b""),
    ]);
    linked("b.md", &folder.path().join("c.md"));
    linked("/etc/hosts", &folder.path().join("hosts.md"));
    linked("..", &folder.path().join("up"));
    let made = Command::new("mkfifo")
        .arg(folder.path().join("pipe.md"))
        .status();
    assert!(made.is_ok_and(|status| status.success()));

    let all = answer(folder.path(), json!({"list": {}})).await;
    let too_large = "it has 16777217 bytes, and files of more than 16777216 are not read";
    let leads_out = "it is a link that leads out of the folder, or nowhere";
    assert_eq!(
        all,
        json!({
            "files": [
                {"path": "a/one.txt", "bytes": 6, "lines": 1, "title": "Caf\u{e9}"},
                {"path": "b.md", "bytes": 19, "lines": 3, "title": "The title"},
                {"path": "empty.md", "bytes": 0, "lines": 0, "title": null},
            ],
            "leftOut": [
                {"path": "a/large.txt", "reason": too_large},
                {"path": "a/latin.txt", "reason": "byte 4 is not UTF-8"},
                {"path": "a/picture.png", "reason": "it is a binary file"},
                {"path": "c.md", "reason": "it is a link: what it leads to counts by its own path"},
                {"path": "hosts.md", "reason": leads_out},
                {"path": "pipe.md", "reason": "it is no regular file"},
                {"path": "up", "reason": leads_out},
            ],
            "unmatched": [],
        })
    );
    let some = answer(
        folder.path(),
        json!({"list": {"files": ["./*.md", "a/", ".ig*", "**/*.rst"]}}),
    )
    .await;
    let paths: Vec<_> = some["files"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|file| &file["path"])
        .collect();
    assert_eq!(paths, [".ignore", "a/one.txt", "b.md", "empty.md"]);
    assert_eq!(some["unmatched"], json!(["**/*.rst"]));
}

#[tokio::test]
async fn quotations_are_checked_each_in_its_source() {
    let folder = folder(&[
        ("in/a.md", b"# A\n\nThe engine journals\nevery message.\n"),
        ("in/deep/b.md", b"Readers wait for nobody.\n"),
        ("outside.md", b"Secrets of the folder above.\n"),
    ]);
    let inside = folder.path().join("in");
    linked("../outside.md", &inside.join("out.md"));
    linked("deep/b.md", &inside.join("link.md"));
    let absolute = inside.join("a.md").display().to_string();
    let item = |source: &str, quotation: &str| json!({"source": source, "quotation": quotation});
    let secret = "Secrets of the folder above.";
    let checked = answer(
        &inside,
        json!({"check": [
            item("link.md", "Readers wait for nobody"),
            item("./a.md", "the engine journals every message"),
            item("b.md", "Readers wait for nobody"),
            item("deep/b.md", "Readers never wait for anybody"),
            item("a.md", "A"),
            item("nowhere.md", "The engine journals every message"),
            item("out.md", secret),
            item("../outside.md", secret),
            item(&absolute, "The engine journals every message"),
            item("deep", secret),
        ]}),
    )
    .await;
    let unread = |source: &str, reason: &str, message: &str| json!({"source": source, "found": false, "reason": reason, "message": message});
    let leads_out = |source: &str| {
        let message = "it leads out of the folder: give a path from there, without `..`";
        unread(source, "not readable", &format!("`{source}`: {message}"))
    };
    assert_eq!(
        checked,
        json!({"checked": [
            {"source": "link.md", "found": true, "first": 1, "last": 1, "text": "Readers wait for nobody"},
            {"source": "./a.md", "found": true, "first": 3, "last": 4, "text": "The engine journals\nevery message"},
            unread("b.md", "no such source", "there is no file `b.md` in the folder; did you mean `deep/b.md`?"),
            {"source": "deep/b.md", "found": false, "reason": "not in it",
             "message": "it does not stand there word for word: copy it from the source",
             "nearest": {"first": 1, "last": 1, "text": "Readers wait for nobody."}},
            unread("a.md", "too short", "the quotation proves nothing: it needs 3 words and 12 characters"),
            unread("nowhere.md", "no such source", "there is no file `nowhere.md` in the folder"),
            leads_out("out.md"),
            leads_out("../outside.md"),
            leads_out(&absolute),
            unread("deep", "not readable", "`deep`: it is a folder"),
        ]})
    );
}

#[tokio::test]
async fn a_task_that_is_wrong_says_what_to_give() {
    let folder = folder(&[("a.md", b"text\n")]);
    for (prompt, problem) in [
        (
            "list all files",
            "the prompt has to be JSON.stringify({list: {files: […]}})",
        ),
        (
            r#"{"lost": {}}"#,
            "unknown variant `lost`, expected `list` or `check`",
        ),
        (
            r#"{"list": {"file": []}}"#,
            "unknown field `file`, expected `files`",
        ),
        (
            r#"{"check": [{"source": "a.md"}]}"#,
            "missing field `quotation`",
        ),
        (r#"{"list": {"files": []}}"#, "`files` names nothing"),
        (
            r#"{"list": {"files": ["../*"]}}"#,
            "`../*` leads out of the folder",
        ),
        (
            r#"{"list": {"files": ["/etc/*"]}}"#,
            "`/etc/*` leads out of the folder",
        ),
        (r#"{"list": {"files": ["a["]}}"#, "`a[` is no glob"),
    ] {
        match outcome(folder.path(), prompt).await {
            AgentOutcome::Failed(failure) => {
                assert_eq!(failure.kind, FailureKind::Refused);
                assert!(failure.message.contains(problem), "{}", failure.message);
            }
            other => panic!("{prompt}: {other:?}"),
        }
    }
    let item = json!({"source": "a.md", "quotation": "x"});
    let many = json!({"check": vec![item; 2_001]}).to_string();
    let refused = outcome(folder.path(), &many).await;
    assert!(
        matches!(&refused, AgentOutcome::Failed(failure) if failure.message.contains("split them"))
    );
    let nowhere = outcome(&folder.path().join("none"), r#"{"list": {}}"#).await;
    assert!(
        matches!(&nowhere, AgentOutcome::Failed(failure) if failure.message.contains("cannot be read"))
    );
}

#[tokio::test]
async fn a_stopped_attempt_is_cancelled() {
    let token = CancellationToken::new();
    token.cancel();
    for stopped in [
        AttemptContext {
            cancelled: token.clone(),
            ..context()
        },
        AttemptContext {
            killed: token.clone(),
            ..context()
        },
    ] {
        let ended = Sources.run(task(1, None), stopped).await;
        assert_eq!(ended.outcome, AgentOutcome::Cancelled);
    }
    let folder = folder(&[("a.md", b"text\n")]);
    let stopped = super::super::carry_out(r#"{"list": {}}"#, folder.path(), &token);
    assert!(stopped.is_err_and(|error| error.to_string() == "stopped"));
}

/// An answer is reused when nothing that makes it has changed: so what makes it has to be in the fingerprint.
#[test]
fn the_fingerprint_names_the_versions_in_the_lock_file() {
    let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"));
    let lock = lock.unwrap_or_else(|error| panic!("{error}"));
    let names = [
        "ignore",
        "globset",
        "unicode-normalization",
        "unicode-segmentation",
    ];
    let versions = names.map(|name| {
        let entry = format!("name = \"{name}\"\nversion = \"");
        let version = lock
            .split_once(&entry)
            .and_then(|(_, rest)| rest.split('"').next());
        format!(", {name} {}", version.unwrap_or_default())
    });
    let expected = versions.concat();
    assert!(
        VERSION.ends_with(&expected),
        "VERSION has to say: {expected}"
    );
    assert_eq!(Sources.fingerprint(), VERSION);
}
