//! The migration over every file of the service.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fmt::Write as _;
use std::path::Path;

use common::{CLIENT, migrated, service_files};
use http_client_migration::edit::migrate;
use http_client_migration::source::{Token, parse};
use http_client_migration::verify::verify;

#[test]
fn what_is_migrated_and_what_is_refused() {
    let mut report = String::new();
    let (mut calls, mut refused) = (0, 0);
    for source in service_files() {
        let migration = migrated(&source);
        calls += migration.calls;
        refused += migration.refused.len();
        if migration.changes.is_empty() && migration.refused.is_empty() {
            continue;
        }
        writeln!(report, "{} ({} calls)", source.file, migration.calls).unwrap();
        for change in &migration.changes {
            writeln!(
                report,
                "  {:3} + {}",
                change.line,
                change.after.replace('\n', " ")
            )
            .unwrap();
        }
        for refusal in &migration.refused {
            writeln!(report, "  {:3} ! {}", refusal.line, refusal.reason).unwrap();
        }
    }
    writeln!(report, "{calls} calls migrated, {refused} uses refused").unwrap();
    insta::assert_snapshot!(report);
}

#[test]
fn every_migrated_file_passes_the_check() {
    for source in service_files() {
        let migration = migrated(&source);
        let lines: Vec<usize> = migration
            .refused
            .iter()
            .map(|refusal| refusal.line)
            .collect();
        let file = Path::new(&source.file);
        let findings = verify(
            file,
            &source.text,
            &migration.text,
            Path::new(CLIENT),
            &lines,
        )
        .unwrap();
        assert_eq!(findings.refutations, [], "{}", source.file);
        if migration.calls == 0 {
            assert_eq!(migration.text, source.text, "{}", source.file);
        } else {
            assert!(findings.migrated > 0, "{}", source.file);
        }
    }
}

#[test]
fn migrating_twice_is_migrating_once() {
    for source in service_files() {
        let once = migrated(&source);
        let twice = migrate(
            Path::new(&source.file),
            &once.text,
            Path::new(CLIENT),
            source.is_module,
        )
        .unwrap();
        assert_eq!(twice.text, once.text, "{}", source.file);
        assert_eq!(twice.calls, 0, "{}", source.file);
    }
}

/// Counted without the verifier, so that both would have to be wrong in the same way.
#[test]
fn strings_and_comments_stay() {
    for source in service_files() {
        let after = migrated(&source).text;
        let added =
            |text: &String| !text.contains("lib/http-client") && !text.contains("./http-client");
        let mut before_words = strings_and_comments(&source.file, &source.text);
        let mut after_words = strings_and_comments(&source.file, &after);
        before_words.retain(added);
        after_words.retain(added);
        // globalThis["fetch"] names the function; it is the one string that may go.
        before_words.retain(|word| word != "\"fetch\"" || after_words.contains(word));
        assert_eq!(before_words, after_words, "{}", source.file);
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
