//! The agents over the protocol, in repositories made for it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;

use common::{commit, git, repository, task};
use http_client_migration::agent::{Manner, answer, lines};
use http_client_migration::ledger::{self, Event};
use serde_json::{Value, json};

const CLIENT: &str = "src/lib/http-client.ts";
const OLD: &str = "export const a = () => fetch(\"/a\"); // fetch(\"/a\")\n";
const NEW: &str = "import { httpClient } from \"./lib/http-client\";\n\n\
                   export const a = () => httpClient.request(\"/a\"); // fetch(\"/a\")\n";

fn ask(order: &Value) -> Value {
    answer(&task(order), &Manner::default())
}

fn order(folder: &Path, name: &str, file: &str) -> Value {
    let base = git(folder, &["rev-parse", "HEAD"]);
    json!({
        "task": name, "root": folder, "base": base.trim(), "client": CLIENT, "file": file,
        "refused": [],
    })
}

fn refusal(order: &Value) -> String {
    let answer = ask(order);
    assert_eq!(answer["error"]["kind"], "refused", "{answer}");
    answer["error"]["message"].as_str().unwrap().to_owned()
}

#[test]
fn discovers_what_there_is_and_says_what_is_left_out() {
    let long = format!("fetch('/');{}", " ".repeat(6_000));
    let large = format!("fetch('/');\n{}", "// filler\n".repeat(120_000));
    let folder = repository(&[
        ("src/a.ts", OLD),
        ("src/b.ts", "// fetch()\n"),
        (
            "src/c.ts",
            "if (typeof fetch === 'function') { const fetch = 1; }\n",
        ),
        ("src/broken.ts", "fetch(;\n"),
        (
            "src/types.d.ts",
            "declare function x(f: typeof fetch): void;\n",
        ),
        ("src/changed.js", "fetch('/');\n"),
        ("src/long.js", &long),
        ("src/large.js", &large),
        ("src/made.js", "// @generated\nfetch('/');\n"),
        ("node_modules/x/index.js", "fetch('/');\n"),
        ("dist/a.js", "fetch('/');\n"),
        ("README.md", "fetch('/')\n"),
    ]);
    let at = folder.path();
    fs::write(at.join("src/latin.js"), b"fetch('\xe9');\n").unwrap();
    std::os::unix::fs::symlink("a.ts", at.join("src/link.ts")).unwrap();
    commit(at);
    fs::write(at.join("src/changed.js"), "fetch('/x');\n").unwrap();
    fs::write(at.join("src/new.js"), "fetch('/');\n").unwrap();

    let value = ask(&json!({ "task": "discover", "path": at, "client": null }))["value"].take();
    assert_eq!(
        value["files"],
        json!([{ "file": "src/a.ts", "lines": [1] }])
    );
    assert_eq!(
        (&value["client"], &value["clientExists"]),
        (&json!(CLIENT), &json!(false))
    );
    assert_eq!(value["withoutGlobalFetch"], 2);
    let reasons: Vec<(&str, &str, u64)> = value["skipped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["reason"].as_str().unwrap(),
                one["first"].as_str().unwrap(),
                one["files"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        reasons,
        [
            ("a symlink", "src/link.ts", 1),
            ("does not parse", "src/broken.ts", 1),
            ("generated", "src/made.js", 1),
            (
                "has uncommitted changes; commit or stash them first",
                "src/changed.js",
                1
            ),
            ("in a folder of generated or foreign code", "dist/a.js", 2),
            ("larger than 1 MB", "src/large.js", 1),
            ("minified", "src/long.js", 1),
            (
                "not in git, so there is nothing to compare with",
                "src/new.js",
                1
            ),
            ("not readable as UTF-8 text", "src/latin.js", 1),
        ]
    );
}

#[test]
fn finds_the_client_or_writes_one() {
    let folder = repository(&[
        ("app/net/httpClient.js", "exports.httpClient = x;\n"),
        ("a.js", "fetch(require('b'));\n"),
    ]);
    let path = folder.path();
    let found = ask(&json!({ "task": "discover", "path": path, "client": null }));
    assert_eq!(found["value"]["client"], "app/net/httpClient.js");
    let named = ask(&json!({ "task": "discover", "path": path, "client": "net.cjs" }));
    assert_eq!(
        (&named["value"]["client"], &named["value"]["clientExists"]),
        (&json!("net.cjs"), &json!(false))
    );
    let write = json!({ "task": "client", "root": path, "client": "net.cjs" });
    assert_eq!(ask(&write)["value"]["created"], true);
    assert_eq!(ask(&write)["value"]["created"], false);
    assert!(
        fs::read_to_string(path.join("net.cjs"))
            .unwrap()
            .contains("exports.httpClient")
    );

    let folder = repository(&[("a.js", "fetch(require('b'));\n")]);
    let found = ask(&json!({ "task": "discover", "path": folder.path(), "client": null }));
    assert_eq!(found["value"]["client"], "lib/http-client.cjs");
}

#[test]
fn a_second_attempt_ends_as_the_first_one_would_have() {
    let folder = repository(&[("src/a.ts", OLD)]);
    let file = folder.path().join("src/a.ts");
    let migrate = order(folder.path(), "migrate", "src/a.ts");
    // What an attempt leaves that was killed while it wrote.
    fs::write(folder.path().join("src/.a.ts.migrating"), "import { ht").unwrap();
    let first = ask(&migrate)["value"].take();
    assert_eq!(fs::read_to_string(&file).unwrap(), NEW);
    assert_eq!(
        (&first["state"], &first["calls"]),
        (&json!("migrated"), &json!(1))
    );
    let second = ask(&migrate)["value"].take();
    assert_eq!(fs::read_to_string(&file).unwrap(), NEW);
    assert_eq!(second["state"], "migrated before");
    assert_eq!(
        (&second["calls"], &second["changes"]),
        (&first["calls"], &first["changes"])
    );
    assert_eq!(git(folder.path(), &["status", "--short"]), " M src/a.ts\n");
}

#[test]
fn verifies_and_restores() {
    let folder = repository(&[("src/a.ts", OLD)]);
    let file = folder.path().join("src/a.ts");
    let verify = order(folder.path(), "verify", "src/a.ts");
    ask(&order(folder.path(), "migrate", "src/a.ts"));
    assert_eq!(ask(&verify)["value"]["verdict"], "passed");
    fs::write(&file, NEW.replace("// fetch", "// httpClient.request")).unwrap();
    let value = ask(&verify)["value"].take();
    assert_eq!(value["verdict"], "refuted");
    let refutation = json!([{ "file": "src/a.ts", "line": 3, "reason": "a comment changed" }]);
    assert_eq!(value["refutations"], refutation);
    ask(&order(folder.path(), "restore", "src/a.ts"));
    assert_eq!(fs::read_to_string(&file).unwrap(), OLD);
}

#[test]
fn line_endings_of_a_checkout_are_no_difference() {
    let folder = repository(&[
        (".gitattributes", "*.ts text eol=crlf\n"),
        ("src/a.ts", OLD),
    ]);
    fs::remove_file(folder.path().join("src/a.ts")).unwrap();
    git(folder.path(), &["checkout", "--", "src/a.ts"]);
    let migrated = ask(&order(folder.path(), "migrate", "src/a.ts"));
    assert_eq!(migrated["value"]["state"], "migrated");
    assert_eq!(
        ask(&order(folder.path(), "verify", "src/a.ts"))["value"]["verdict"],
        "passed"
    );
    let text = fs::read_to_string(folder.path().join("src/a.ts")).unwrap();
    assert_eq!(text, NEW.replace('\n', "\r\n"));
}

#[test]
fn refuses_what_it_must_not_touch() {
    let folder = repository(&[("src/a.ts", OLD)]);
    let at = folder.path();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("x.ts"), OLD).unwrap();
    std::os::unix::fs::symlink(outside.path(), at.join("away")).unwrap();
    let is_inside = "not a path inside the repository";
    assert!(refusal(&order(at, "migrate", "../x.ts")).contains(is_inside));
    assert!(refusal(&order(at, "restore", ".git/config")).contains(is_inside));
    let absolute = outside.path().join("x.ts");
    assert!(refusal(&order(at, "migrate", absolute.to_str().unwrap())).contains(is_inside));
    assert!(
        refusal(&json!({ "task": "client", "root": at, "client": "away/y.ts" }))
            .contains("symlink")
    );
    fs::write(at.join("src/a.ts"), "fetch(\"/mine\");\n").unwrap();
    assert!(refusal(&order(at, "migrate", "src/a.ts")).contains("changed by somebody else"));
    assert_eq!(
        fs::read_to_string(at.join("src/a.ts")).unwrap(),
        "fetch(\"/mine\");\n"
    );
    assert!(
        refusal(&json!({ "task": "discover", "path": outside.path(), "client": null }))
            .contains("not in a git repository")
    );
    assert!(refusal(&json!({ "task": "dance" })).contains("not one of mine"));
    assert_eq!(
        answer("no JSON", &Manner::default())["error"]["kind"],
        "refused"
    );
}

#[test]
fn many_tasks_in_one_process_and_a_line_each_in_the_ledger() {
    let folder = repository(&[("src/a.ts", OLD)]);
    let manner = Manner {
        ledger: Some(folder.path().join("ledger")),
        ..Manner::default()
    };
    let tasks =
        ["migrate", "verify", "dance"].map(|name| task(&order(folder.path(), name, "src/a.ts")));
    let mut output = Vec::new();
    lines(tasks.join("\n").as_bytes(), &mut output, &manner).unwrap();
    let answers: Vec<Value> = String::from_utf8(output)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), 3);
    assert_eq!(answers[0]["value"]["state"], "migrated");
    assert_eq!(answers[1]["value"]["verdict"], "passed");
    assert_eq!(answers[2]["error"]["kind"], "refused");
    let entries = ledger::read(manner.ledger.as_deref().unwrap()).unwrap();
    let events: Vec<(Event, &str)> = entries
        .iter()
        .map(|entry| (entry.event, entry.task.as_str()))
        .collect();
    let expected = [
        (Event::Start, "migrate"),
        (Event::Finish, "migrate"),
        (Event::Start, "verify"),
        (Event::Finish, "verify"),
    ];
    assert_eq!(events, expected);
    assert!(
        entries
            .iter()
            .all(|entry| entry.agent_id == "a-7" && entry.idempotency_key == "00ff")
    );
}
