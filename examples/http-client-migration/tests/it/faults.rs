//! The verifier against broken migrations: each kind of fault, in every file that can have it.

use std::path::Path;

use crate::bed::{CLIENT, Source, service_files};
use http_client_migration::discover::Refusal;
use http_client_migration::source::{Token, parse};
use http_client_migration::verify::{Refutation, verify};

/// What the verifier says of `broken`, a migration of `source`.
fn refutations(source: &Source, broken: &str) -> Vec<Refutation> {
    let file = Path::new(&source.file);
    verify(
        file,
        &source.text,
        broken,
        Path::new(CLIENT),
        &source.refused,
    )
    .unwrap()
    .refutations
}

/// What the verifier says of `new` as the migration of `old`, with nothing refused.
fn between(old: &str, new: &str) -> Vec<String> {
    let findings = verify(Path::new("src/a.ts"), old, new, Path::new(CLIENT), &[]).unwrap();
    findings
        .refutations
        .into_iter()
        .map(|one| format!("{}: {}", one.line, one.reason))
        .collect()
}

/// Each place of `needle` in `text`, replaced by `by`, one at a time.
fn each_replaced(text: &str, needle: &str, by: &str) -> Vec<String> {
    let places = text.match_indices(needle);
    places
        .map(|(at, _)| format!("{}{by}{}", &text[..at], &text[at + needle.len()..]))
        .collect()
}

/// Breaks every file in every place where `needle` stands, and asks for the reason each time.
fn every_fault(needle: &str, by: &str, least: usize, reason: &str) {
    let mut faults = 0;
    for source in service_files() {
        for broken in each_replaced(&source.migrated, needle, by) {
            let found = refutations(&source, &broken);
            let is_seen = found
                .iter()
                .any(|one| one.reason.contains(reason) && one.line > 0);
            let parses = !found
                .iter()
                .any(|one| one.reason.contains("no longer parses"));
            assert!(
                !found.is_empty(),
                "{} passed with {needle} as {by}:\n{broken}",
                source.file
            );
            assert!(is_seen || !parses, "{}: {found:?}", source.file);
            faults += usize::from(is_seen);
        }
    }
    assert!(
        faults >= least,
        "only {faults} faults of this kind could be made"
    );
}

#[test]
fn a_call_that_was_left_behind() {
    every_fault(
        "httpClient.request(",
        "fetch(",
        65,
        "a global fetch remains",
    );
}

#[test]
fn a_lost_await() {
    every_fault("await httpClient", "httpClient", 45, "an await was lost");
    every_fault("await response", "response", 12, "an await was lost");
}

#[test]
fn a_changed_string() {
    every_fault("\"POST\"", "\"PUT\"", 20, "a string changed");
    every_fault(".internal/", ".example/", 25, "changed");
}

#[test]
fn a_file_that_no_longer_parses() {
    every_fault("request(", "request((", 65, "no longer parses");
    every_fault("await (", "await ", 15, "no longer parses");
}

#[test]
fn a_changed_comment_and_changed_white_space() {
    let mut comments = 0;
    for source in service_files() {
        let after = source.migrated.clone();
        let spans = parse(Path::new(&source.file), &after, |parsed| {
            let spans = parsed
                .program
                .comments
                .iter()
                .map(oxc_ast::ast::Comment::content_span);
            spans
                .filter(|span| span.start < span.end)
                .collect::<Vec<_>>()
        })
        .unwrap();
        for span in spans {
            let mut broken = after.clone();
            broken.insert_str(span.end as usize, " httpClient");
            let found = refutations(&source, &broken);
            assert!(
                found.iter().any(|one| one.reason == "a comment changed"),
                "{found:?}"
            );
            comments += 1;
        }
        let broken = after.replacen("  ", " ", 1);
        assert!(
            broken == after || !refutations(&source, &broken).is_empty(),
            "{}",
            source.file
        );
    }
    assert!(comments > 20, "only {comments} comments could be changed");
}

#[test]
fn a_changed_local_fetch() {
    let locals = [
        "src/services/pickup.ts",
        "src/routes/status.js",
        "web/pages/reports.jsx",
        "src/clients/crm.ts",
    ];
    for source in service_files()
        .iter()
        .filter(|source| locals.contains(&source.file.as_str()))
    {
        let up = if source.file.starts_with("web/") {
            "../../src"
        } else {
            ".."
        };
        let import = format!("import {{ httpClient }} from \"{up}/lib/http-client\";\n");
        for changed in each_replaced(&source.text, " fetch(", " httpClient.request(") {
            if changed.contains("function httpClient") {
                continue;
            }
            for broken in [changed.clone(), format!("{import}{changed}")] {
                let found = refutations(source, &broken);
                let reason = "a fetch that is not the global one became httpClient";
                let is_code = found.iter().any(|one| one.reason == reason);
                let is_text = found
                    .iter()
                    .any(|one| one.reason.contains("comment changed"));
                assert!(is_code || is_text, "{}: {found:?}", source.file);
            }
        }
    }
}

/// Any token, taken away or doubled: the file no longer parses or a difference is named.
#[test]
fn any_token_that_is_missing_or_too_much() {
    let mut faults = 0;
    for source in service_files() {
        let after = source.migrated.clone();
        let spans = parse(Path::new(&source.file), &after, |parsed| {
            parsed.tokens.iter().map(Token::span).collect::<Vec<_>>()
        })
        .unwrap();
        for span in spans.iter().step_by(9) {
            let (start, end) = (span.start as usize, span.end as usize);
            let is_import =
                |line: &str| line.contains("httpClient }") || line.contains("sharedHttpClient }");
            let line = after[..end].rsplit('\n').next().unwrap_or_default();
            let rest = after[end..].lines().next().unwrap_or_default();
            if start == end || is_import(&format!("{line}{rest}")) {
                continue;
            }
            let token = &after[start..end];
            let missing = format!("{} {}", &after[..start], &after[end..]);
            let doubled = format!("{} {token}{}", &after[..end], &after[end..]);
            for broken in [missing, doubled] {
                assert!(
                    !refutations(&source, &broken).is_empty(),
                    "{} {token}\n{broken}",
                    source.file
                );
                faults += 1;
            }
        }
    }
    assert!(faults > 1_000, "only {faults} faults");
}

#[test]
fn faults_of_the_import() {
    let old = "export const a = () => fetch(\"/a\");\n";
    let line = "export const a = () => httpClient.request(\"/a\");\n";
    let with = |import: &str| between(old, &format!("{import}\n{line}"));
    assert_eq!(
        with("import { httpClient } from \"./lib/http-client\";"),
        [""; 0]
    );
    let became = [
        "1: export became import",
        "1: a global fetch remains and nobody says why",
    ];
    assert_eq!(
        with("import { httpClient } from \"../lib/http-client\";"),
        became[..1]
    );
    assert_eq!(
        with("import { request as httpClient } from \"./lib/http-client\";"),
        became[..1]
    );
    assert_eq!(between(old, line), ["1: fetch became httpClient"]);
    let twice = "import { httpClient } from \"./lib/http-client\";\n\
                 import { httpClient as other } from \"./lib/http-client\";";
    assert_eq!(
        with(twice)[0],
        "2: the client is imported 2 times, before 0 times"
    );
}

#[test]
fn a_client_that_is_hidden_or_hides() {
    let import = "import { httpClient } from \"./lib/http-client\";\n";
    let old = "export const a = (httpClient: any) => fetch(\"/a\");\n";
    let new =
        format!("{import}export const a = (httpClient: any) => httpClient.request(\"/a\");\n");
    assert_eq!(between(old, &new), ["2: fetch became httpClient"]);
    let old = "httpClient.trace();\nexport const a = () => fetch(\"/a\");\n";
    let new = format!("{import}{}", old.replace("fetch(", "httpClient.request("));
    let found = between(old, &new);
    assert_eq!(
        found[0],
        "1: the import takes the name httpClient, which meant a global"
    );
}

#[test]
fn uses_that_must_not_be_moved() {
    let import = "import { httpClient } from \"./lib/http-client\";\n";
    let cases = [
        (
            "export const a = [\"/a\"].map(fetch);\n",
            "a use that is no call",
        ),
        (
            "export const a = fetch(new Request(\"/a\"));\n",
            "gets a Request",
        ),
        (
            "export const a = (...all: [string]) => fetch(...all);\n",
            "has its arguments spread",
        ),
        (
            "export const a = fetch(\"/a\", { duplex: \"half\" } as any);\n",
            "can be sent only once",
        ),
        ("export const a = fetch;\n", "a use that is no call"),
        ("const a = fetch;\na(\"/a\");\n", "a use that is no call"),
        (
            "export const o = fetch;\nglobalThis.fetch = o;\n",
            "replaces the global fetch",
        ),
    ];
    for (old, reason) in cases {
        let new = format!("{import}{}", old.replacen("fetch", "httpClient.request", 1));
        let found = between(old, &new);
        assert!(
            found.iter().any(|one| one.contains(reason)),
            "{old}: {found:?}"
        );
    }
}

#[test]
fn refusals_without_need() {
    let text = "export const a = fetch(\"/a\");\n";
    let refused = [Refusal {
        line: 1,
        reason: "is not to my taste".to_owned(),
    }];
    let file = Path::new("src/a.ts");
    let findings = verify(file, text, text, Path::new(CLIENT), &refused).unwrap();
    let reasons: Vec<&str> = findings
        .refutations
        .iter()
        .map(|one| one.reason.as_str())
        .collect();
    assert_eq!(
        reasons,
        ["a plain call of the global fetch was refused without need"]
    );
}
