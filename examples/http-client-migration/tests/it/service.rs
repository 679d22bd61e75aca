//! The whole migration of the service, through the real program.

use std::fmt::Write as _;
use std::path::Path;

use http_client_migration::check::check;
use http_client_migration::repository::Repository;
use http_client_migration::source::{Token, parse};
use http_client_migration::verify::verify;
use serde_json::{Value, json};

use crate::bed::{CLIENT, git, migrated_service, service_files};

fn files(list: &Value) -> Vec<&str> {
    let items = list.as_array().unwrap().iter();
    items.map(|item| item["file"].as_str().unwrap()).collect()
}

#[test]
fn five_are_refuted_three_fixed_two_quarantined_and_the_rest_lands() {
    let report = &migrated_service().report;
    let first_evidence = |one: &Value| {
        let evidence = &one["evidence"][0];
        let (file, reason) = (one["file"].as_str(), evidence["reason"].as_str());
        format!("{}:{} {}", file.unwrap(), evidence["line"], reason.unwrap())
    };
    let refuted: Vec<String> = report["refutedInRoundOne"]
        .as_array()
        .unwrap()
        .iter()
        .map(first_evidence)
        .collect();
    assert_eq!(
        refuted,
        [
            "src/lib/signed-request.ts:9 moved to the client, though it gets a variable that holds a Request, which carries its own options",
            "src/services/returns.ts:13 a fetch that is not the global one became httpClient",
            "src/workers/offline.ts:10 moved to the client, though it gets a Request of an event, which carries its own options",
            "tests/smoke.test.mjs:14 moved to the client, though it runs in another process: evaluate() sends this function there as text",
            "web/lib/upload.ts:15 a fetch that is not the global one became httpClient",
        ]
    );
    let fixed = [
        "src/services/returns.ts",
        "tests/smoke.test.mjs",
        "web/lib/upload.ts",
    ];
    assert_eq!(files(&report["fixedInRoundTwo"]), fixed);
    assert_eq!(
        report["fixedInRoundTwo"][1]["rules"],
        json!(["not in code that is sent elsewhere as text"])
    );
    let quarantined = ["src/lib/signed-request.ts", "src/workers/offline.ts"];
    assert_eq!(files(&report["quarantined"]), quarantined);
    for one in report["quarantined"].as_array().unwrap() {
        assert_eq!(one["reason"], "no narrower rule answers this evidence");
        assert_eq!(one["evidence"].as_array().unwrap().len(), 1);
    }
    let counts = ["files", "changed", "landed", "calls", "refusedFiles"]
        .map(|name| report[name].as_u64().unwrap());
    assert_eq!(counts, [48, 46, 46, 70, 12]);
    assert_eq!(report["leftOut"], json!([]));
}

#[test]
fn the_landed_tree_passes_the_check_and_the_checkout_is_as_it_was() {
    let service = migrated_service();
    let report = &service.report;
    let text = |name: &str| report[name].as_str().unwrap();
    assert_eq!(service.before, service.after);
    assert_eq!(git(&service.folder, &["status", "--porcelain"]), "");
    assert_eq!(
        git(&service.folder, &["rev-parse", "HEAD"]).trim(),
        text("base")
    );
    assert_eq!(
        git(&service.folder, &["rev-parse", text("into")]).trim(),
        text("after")
    );

    let landed = tempfile::tempdir().unwrap();
    let tree = landed.path().join("tree");
    let from = service.folder.to_str().unwrap();
    let clone = ["clone", "--quiet", "--branch", text("into"), from, "tree"];
    git(landed.path(), &clone);
    let checked = check(&Repository::open(&tree).unwrap(), CLIENT).unwrap();
    assert_eq!((checked.files, checked.uses > 60), (76, true));
    // And the check can fail: without its import, a use of the client is nobody's.
    let file = tree.join("src/clients/tax.ts");
    let broken = std::fs::read_to_string(&file)
        .unwrap()
        .replace("import { httpClient }", "import { x }");
    std::fs::write(&file, broken).unwrap();
    let error = check(&Repository::open(&tree).unwrap(), CLIENT).unwrap_err();
    assert_eq!(
        error.to_string(),
        "src/clients/tax.ts: httpClient is used and not imported"
    );
}

#[test]
fn what_changed_line_by_line() {
    let service = migrated_service();
    let text = |name: &str| service.report[name].as_str().unwrap();
    let words = [
        "diff",
        "--unified=0",
        "--no-color",
        text("before"),
        text("after"),
    ];
    let difference = git(&service.folder, &words);
    let mut shown = String::new();
    for line in difference.lines() {
        if let Some(file) = line.strip_prefix("+++ b/") {
            writeln!(shown, "{file}").unwrap();
        } else if line.starts_with(['+', '-']) && !line.starts_with("---") {
            writeln!(shown, "  {line}").unwrap();
        }
    }
    for one in service.report["refused"].as_array().unwrap() {
        let (file, reason) = (
            one["file"].as_str().unwrap(),
            one["reason"].as_str().unwrap(),
        );
        writeln!(shown, "{file}:{} refused: {reason}", one["line"]).unwrap();
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn every_landed_file_passes_the_check_again() {
    let mut moved = 0;
    for source in service_files() {
        let file = Path::new(&source.file);
        let findings = verify(
            file,
            &source.text,
            &source.migrated,
            Path::new(CLIENT),
            &source.refused,
        );
        let findings = findings.unwrap();
        if source.text != source.migrated {
            assert_eq!(findings.refutations, [], "{}", source.file);
            moved += findings.migrated;
        }
    }
    assert_eq!(moved, 70);
}

/// Counted without the verifier, so that both would have to be wrong in the same way.
#[test]
fn strings_and_comments_stay() {
    for source in service_files() {
        let is_own =
            |text: &String| !text.contains("lib/http-client") && !text.contains("./http-client");
        let mut before = strings_and_comments(&source.file, &source.text);
        let mut after = strings_and_comments(&source.file, &source.migrated);
        before.retain(is_own);
        after.retain(is_own);
        // globalThis["fetch"] names the function; it is the one string that may go.
        before.retain(|word| word != "\"fetch\"" || after.contains(word));
        assert_eq!(before, after, "{}", source.file);
    }
}

fn strings_and_comments(file: &str, text: &str) -> Vec<String> {
    parse(Path::new(file), text, |parsed| {
        let comments = parsed.program.comments.iter().map(|comment| comment.span);
        let strings = parsed
            .tokens
            .iter()
            .map(Token::span)
            .filter(|span| parsed.text[span.start as usize..].starts_with(['"', '\'']));
        let spans = comments.chain(strings);
        spans
            .map(|span| parsed.text[span.start as usize..span.end as usize].to_owned())
            .collect()
    })
    .unwrap()
}
