//! The agents over the protocol, in repositories made for it.

use std::fs;
use std::path::Path;

use http_client_migration::agent::{Manner, answer, lines};
use http_client_migration::ledger::{self, Event};
use serde_json::{Value, json};

use crate::bed::{CLIENT, commit, git, repository, task};

const OLD: &str = "export const a = () => fetch(\"/a\"); // fetch(\"/a\")\n";
const NEW: &str = "import { httpClient } from \"./lib/http-client\";\n\n\
                   export const a = () => httpClient.request(\"/a\"); // fetch(\"/a\")\n";

fn ask(folder: &Path, order: &Value) -> Value {
    answer(&task(folder, order), &Manner::default())
}

fn head(folder: &Path) -> String {
    git(folder, &["rev-parse", "HEAD"]).trim().to_owned()
}

/// The order to check `file` as it is committed now against what it was in `base`.
fn verify(folder: &Path, base: &str, file: &str) -> Value {
    json!({
        "task": "verify", "base": base, "commit": head(folder), "client": CLIENT, "file": file, "refused": [],
    })
}

fn change(folder: &Path, file: &str, text: &str) {
    fs::write(folder.join(file), text).unwrap();
    commit(folder);
}

fn refusal(folder: &Path, order: &Value) -> String {
    let answer = ask(folder, order);
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

    let order = json!({ "task": "discover", "path": at, "client": null });
    let value = ask(at, &order)["value"].take();
    assert_eq!(
        value["files"],
        json!([{ "file": "src/a.ts", "lines": [1], "uses": 1, "refused": [], "client": "src/lib/http-client" }])
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
    let found = ask(
        path,
        &json!({ "task": "discover", "path": ".", "client": null }),
    );
    assert_eq!(found["value"]["client"], "app/net/httpClient.js");
    let named = ask(
        path,
        &json!({ "task": "discover", "path": ".", "client": "net.cjs" }),
    );
    assert_eq!(
        (&named["value"]["client"], &named["value"]["clientExists"]),
        (&json!("net.cjs"), &json!(false))
    );
    let write = json!({ "task": "client", "client": "net.cjs" });
    assert_eq!(ask(path, &write)["value"]["created"], true);
    assert_eq!(ask(path, &write)["value"]["created"], false);
    assert!(
        fs::read_to_string(path.join("net.cjs"))
            .unwrap()
            .contains("exports.httpClient")
    );

    let folder = repository(&[("a.js", "fetch(require('b'));\n")]);
    let found = ask(
        folder.path(),
        &json!({ "task": "discover", "path": ".", "client": null }),
    );
    assert_eq!(found["value"]["client"], "lib/http-client.cjs");
}

#[test]
fn refuses_before_anything_is_changed() {
    let folder = repository(&[
        (
            "src/alias.ts",
            "const f = fetch;\nexport const a = () => f(\"/a\");\n",
        ),
        (
            "src/half.ts",
            "export const a = [\"/a\"].map(fetch);\nexport const b = fetch(\"/b\");\n",
        ),
        ("src/page.js", "window.fetch(\"/a\");\n"),
        (
            "src/taken.ts",
            "const httpClient = 1;\nexport const a = fetch(\"/a\");\n",
        ),
    ]);
    let order = json!({ "task": "discover", "path": "src", "client": null });
    let value = ask(folder.path(), &order)["value"].take();
    let refused = |list: &Value| -> Vec<String> {
        let files = list.as_array().unwrap().iter();
        files
            .flat_map(|file| {
                let name = file["file"].as_str().unwrap();
                let refused = file["refused"].as_array().unwrap().iter();
                refused.map(move |one| {
                    format!("{name}:{} {}", one["line"], one["reason"].as_str().unwrap())
                })
            })
            .collect()
    };
    assert_eq!(
        refused(&value["files"]),
        ["src/half.ts:1 is passed as a value to [\"/a\"].map"]
    );
    let expected = [
        "src/alias.ts:1 is given a second name, under which no pattern sees its calls",
        "src/page.js:1 is in a classic script, which cannot import the client",
        "src/taken.ts:2 is called where httpClient is something else",
    ];
    assert_eq!(refused(&value["refused"]), expected);
}

#[test]
fn verifies_what_two_commits_say() {
    let folder = repository(&[("src/a.ts", OLD)]);
    let at = folder.path();
    let base = head(at);
    change(at, "src/a.ts", NEW);
    let passed = ask(at, &verify(at, &base, "src/a.ts"))["value"].take();
    assert_eq!(passed["verdict"], "stands");
    change(
        at,
        "src/a.ts",
        &NEW.replace("// fetch", "// httpClient.request"),
    );
    // What lies in the checkout is not looked at.
    fs::write(at.join("src/a.ts"), NEW).unwrap();
    let value = ask(at, &verify(at, &base, "src/a.ts"))["value"].take();
    assert_eq!(value["verdict"], "refuted");
    let refutation = json!([{ "file": "src/a.ts", "line": 3, "reason": "a comment changed" }]);
    assert_eq!(value["evidence"], refutation);
}

#[test]
fn a_refused_use_that_was_moved_is_refuted_with_its_reason() {
    let folder = repository(&[("src/a.ts", OLD)]);
    let at = folder.path();
    let base = head(at);
    change(at, "src/a.ts", NEW);
    let mut order = verify(at, &base, "src/a.ts");
    order["refused"] = json!([{ "line": 1, "reason": "gets a Request" }]);
    let value = ask(at, &order)["value"].take();
    let reason = "moved to the client, though it gets a Request";
    assert_eq!(
        value["evidence"],
        json!([{ "file": "src/a.ts", "line": 3, "reason": reason }])
    );
}

/// A rule of the reader's own, in a language that no parser of ours reads.
#[test]
fn reviews_a_rewriting_by_gits_lines() {
    let old =
        "import requests\n\ndef f(url):\n    return requests.get(url)\n\ndef g():\n    return 1\n";
    let good = "from app import http\nimport requests\n\ndef f(url):\n    return http.get(url)\n\ndef g():\n    return 1\n";
    let folder = repository(&[("a.py", old)]);
    let at = folder.path();
    let base = head(at);
    let ask_of = |text: &str, line: usize, before: &str| {
        change(at, "a.py", text);
        let order = json!({
            "task": "review", "base": base, "commit": head(at), "file": "a.py", "pattern": "requests.get($URL)",
            "edits": [{ "line": line, "before": before }], "imports": ["from app import http"],
        });
        let value = ask(at, &order)["value"].take();
        let evidence = value["evidence"].as_array().unwrap().iter();
        evidence
            .map(|one| format!("{}: {}", one["line"], one["reason"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    let place = "requests.get(url)";
    assert_eq!(ask_of(good, 4, place), [""; 0]);
    let elsewhere = ["8: a line changed in which the rule replaced nothing"];
    assert_eq!(
        ask_of(&good.replace("return 1", "return 2"), 4, place),
        [elsewhere[0].replace('8', "7")]
    );
    let added = ask_of(&format!("{good}import os\n"), 4, place);
    assert_eq!(added, ["9: a line is new that is no import of the rule"]);
    assert_eq!(
        ask_of(
            &good.replace("http.get", "http.get "),
            4,
            "requests.post(url)"
        ),
        ["4: what was replaced does not look like requests.get($URL)"]
    );
    let moved = ask_of(&good.replace("http.get", "http.get  "), 7, place);
    assert_eq!(
        moved,
        [
            "7: what is said to be replaced does not stand there",
            "4: a line changed in which the rule replaced nothing"
        ]
    );
}

#[test]
fn line_endings_of_a_checkout_are_no_difference() {
    let folder = repository(&[
        (".gitattributes", "*.ts text eol=crlf\n"),
        ("src/a.ts", OLD),
    ]);
    let at = folder.path();
    let base = head(at);
    change(at, "src/a.ts", &NEW.replace('\n', "\r\n"));
    let passed = ask(at, &verify(at, &base, "src/a.ts"));
    assert_eq!(passed["value"]["verdict"], "stands");
}

#[test]
fn refuses_what_it_must_not_touch() {
    let folder = repository(&[("src/a.ts", OLD)]);
    let at = folder.path();
    let base = head(at);
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), at.join("away")).unwrap();
    let is_inside = "not a path inside the repository";
    for file in ["../x.ts", ".git/config", outside.path().to_str().unwrap()] {
        assert!(refusal(at, &verify(at, &base, file)).contains(is_inside));
    }
    let away = json!({ "task": "client", "client": "away/y.ts" });
    assert!(refusal(at, &away).contains("symlink"));
    let no_hash = verify(at, "--output=x", "src/a.ts");
    assert!(refusal(at, &no_hash).contains("is not a commit's hash"));
    let elsewhere = json!({ "task": "discover", "path": outside.path(), "client": null });
    assert!(refusal(at, &elsewhere).contains("start the run in that repository"));
    assert!(refusal(outside.path(), &elsewhere).contains("not in a git repository"));
    let language =
        json!({ "task": "candidates", "path": ".", "pattern": "f()", "language": "cobol" });
    assert!(refusal(at, &language).contains("there is no language cobol"));
    assert!(refusal(at, &json!({ "task": "dance" })).contains("not one of mine"));
    assert_eq!(
        answer("no JSON", &Manner::default())["error"]["kind"],
        "refused"
    );
}

#[test]
fn many_tasks_in_one_process_and_a_line_each_in_the_ledger() {
    let folder = repository(&[("src/a.ts", OLD)]);
    let at = folder.path();
    let base = head(at);
    change(at, "src/a.ts", NEW);
    let manner = Manner {
        ledger: Some(at.join("ledger")),
        ..Manner::default()
    };
    let discover = json!({ "task": "discover", "path": ".", "client": null });
    let orders = [
        discover,
        verify(at, &base, "src/a.ts"),
        json!({ "task": "dance" }),
    ];
    let tasks = orders.map(|order| task(at, &order));
    let mut output = Vec::new();
    lines(tasks.join("\n").as_bytes(), &mut output, &manner).unwrap();
    let answers: Vec<Value> = String::from_utf8(output)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), 3);
    assert_eq!(answers[0]["value"]["clientExists"], false);
    assert_eq!(answers[1]["value"]["verdict"], "stands");
    assert_eq!(answers[2]["error"]["kind"], "refused");
    let entries = ledger::read(manner.ledger.as_deref().unwrap()).unwrap();
    let events: Vec<(Event, &str)> = entries
        .iter()
        .map(|entry| (entry.event, entry.task.as_str()))
        .collect();
    let expected = [
        (Event::Start, "discover"),
        (Event::Finish, "discover"),
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
