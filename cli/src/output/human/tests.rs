//! What people see, at 80 columns.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::json;

use super::*;

const PLAIN: Paint = Paint(false);

fn view() -> serde_json::Value {
    let call = |agent: &str, label: &str, phase: &str, state: &str| {
        json!({
            "agent": agent, "label": label, "phase": phase, "state": state, "attempts": 1,
            "durationMs": 12_300, "usage": { "inputTokens": 1000, "outputTokens": 234 },
        })
    };
    let mut failed = call(
        "a-1",
        "check src/deeply/nested/folder/with/a/long/name.ts",
        "Check",
        "failed",
    );
    failed["attempts"] = json!(3);
    failed["kind"] = json!("rate_limit");
    failed["message"] = json!("too many requests\nsecond line");
    json!({
        "runId": "r-7k2m9q4d", "name": "http-client-migration", "status": "degraded",
        "startedAt": "2026-01-02T03:04:05Z", "durationMs": 65_000,
        "agents": { "total": 3, "completed": 2, "failed": 1, "reused": 1 },
        "usage": { "inputTokens": 120_000, "outputTokens": 3_456 },
        "phases": [
            { "title": "Find", "agents": { "total": 1, "completed": 1 } },
            { "title": "Check", "agents": { "total": 1, "failed": 1 } },
        ],
        "calls": [call("a-0", "find", "Find", "completed"), failed, {
            "agent": "a-2", "state": "completed", "attempts": 0,
        }],
        "failures": [{
            "kind": "rate_limit", "count": 1, "firstMessage": "too many requests\nsecond line",
            "agents": ["a-1"],
        }],
    })
}

#[test]
fn a_run_fits_eighty_columns() {
    let view: View = serde_json::from_value(view()).unwrap();
    let lines = run(&view, PLAIN, "bellwether resume r-7k2m9q4d");
    for line in &lines {
        assert!(line.chars().count() <= WIDTH, "{line}");
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_phase_of_thousands_is_cut_and_shows_what_is_not_well() {
    let mut json = view();
    let calls: Vec<_> = (0..5_000)
        .map(|number| {
            let state = if number % 1_000 == 999 {
                "failed"
            } else {
                "completed"
            };
            json!({ "agent": format!("a-{number}"), "phase": "Check", "state": state })
        })
        .collect();
    json["calls"] = calls.into();
    let view: View = serde_json::from_value(json).unwrap();
    let text = run(&view, PLAIN, "").join("\n");
    for agent in ["a-999 ", "a-1999", "a-2999", "a-3999", "a-4999"] {
        assert!(text.contains(agent), "{agent}");
    }
    assert!(text.contains("… and 4,970 more"), "{text}");
}

#[test]
fn lists_are_tables_with_the_latest_first() {
    let row = |run: &str, status: &str, total: u64, pending: u64| {
        json!({
            "runId": run, "name": "a workflow with a rather long name indeed", "status": status,
            "startedAt": "2026-01-02T03:04:05Z", "durationMs": 4_200,
            "agents": { "total": total, "pending": pending, "completed": total - pending },
            "usage": { "inputTokens": 0, "outputTokens": 0 },
        })
    };
    let rows = json!([
        row("r-00000002", "running", 60, 29),
        row("r-00000001", "interrupted", 5, 0)
    ]);
    let rows: Vec<Row> = serde_json::from_value(rows).unwrap();
    let lines = runs(&rows, PLAIN);
    for line in &lines {
        assert!(line.chars().count() <= WIDTH, "{line}");
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn an_outcome_says_what_to_do_next() {
    let told = |json: serde_json::Value| {
        let json = serde_json::to_string(&json).unwrap();
        let outcome: Outcome = serde_json::from_str(&json).unwrap();
        super::outcome(&outcome, PLAIN, &|command| format!("bellwether {command}")).join("\n")
    };
    let text = told(json!({
        "runId": "r-00000001", "name": "n", "status": "stopped", "result": null, "error": null,
        "agents": { "total": 2, "completed": 1, "pending": 1 }, "failures": [], "durationMs": 10,
        "usage": {}, "reason": "its time was up",
    }));
    assert_eq!(
        text,
        "run r-00000001 stopped: 2 agents (1 completed, 1 pending), 0 tokens, 0.0s\n\
         why: its time was up\n\
         go on with `bellwether resume r-00000001`"
    );
    let text = told(json!({
        "runId": "r-00000001", "name": "n", "status": "failed", "agents": {}, "usage": {},
        "error": {
            "name": "TypeError", "code": null, "message": "x is not a function", "line": 3, "column": 7,
            "stack": "at f (a.js:3:7)\n    at a.js:9:1",
        },
    }));
    assert_eq!(
        text,
        "run r-00000001 failed: no agents, 0 tokens, 0.0s\n\
         TypeError: x is not a function (line 3, column 7)\n  at f (a.js:3:7)\n  at a.js:9:1\n\
         see `bellwether show r-00000001`"
    );
}

#[test]
fn values_are_readable_and_keep_their_order() {
    let shown = |text: &str| {
        let raw = RawValue::from_string(text.to_owned()).unwrap();
        value(Some(&raw))
    };
    assert_eq!(shown("\"a\\nb\""), "a\nb");
    assert_eq!(
        shown("{\"b\":1,\"a\":[]}"),
        "{\n  \"b\": 1,\n  \"a\": []\n}"
    );
    assert_eq!(shown("null"), "null");
    assert_eq!(value(None), "null");
    let deep = format!("{}{}", "[".repeat(400), "]".repeat(400));
    assert_eq!(shown(&deep), deep);
}

#[test]
fn logs_and_records_are_lines() {
    let line = |level: &str| LogLine {
        at: "2026-01-02T03:04:05.678Z".to_owned(),
        level: level.to_owned(),
        text: "three \u{1b}[2Jfiles".to_owned(),
    };
    assert_eq!(
        log_line(&line("info"), PLAIN),
        "03:04:05 three \u{fffd}[2Jfiles"
    );
    assert_eq!(
        log_line(&line("warning"), PLAIN),
        "03:04:05 warning: three \u{fffd}[2Jfiles"
    );
    let text =
        r#"{"position":12,"at":"2026-01-02T03:04:05Z","kind":"CallSettled","call":3,"x":null}"#;
    assert_eq!(
        record(text, PLAIN),
        "    12  03:04:05  CallSettled       call=3"
    );
}

#[test]
fn numbers_are_short() {
    for (value, text) in [
        (0, "0"),
        (999, "999"),
        (1_000, "1,000"),
        (99_999, "99,999"),
        (123_456, "123k"),
        (9_999_999, "9999k"),
        (12_345_678, "12M"),
    ] {
        assert_eq!(number(value), text);
    }
}
