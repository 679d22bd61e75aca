//! What people see, at 80 columns.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::json;

use super::*;

const PLAIN: Paint = Paint(false);

fn counts_of(
    total: u64,
    completed: u64,
    failed: u64,
    pending: u64,
    reused: u64,
) -> serde_json::Value {
    json!({
        "total": total, "completed": completed, "failed": failed, "cancelled": 0, "skipped": 0,
        "pending": pending, "reused": reused,
    })
}

fn call(agent: &str, label: Option<&str>, phase: Option<&str>, status: &str) -> serde_json::Value {
    json!({
        "agentId": agent, "kind": "agent", "label": label, "phase": phase, "status": status,
        "reused": agent == "a-2", "attempts": 1, "startedAt": "2026-01-02T03:04:06Z",
        "endedAt": "2026-01-02T03:04:18.3Z", "durationMs": 12_300, "line": 3,
        "usage": { "inputTokens": 1000, "outputTokens": 234 }, "failure": null,
    })
}

fn view() -> serde_json::Value {
    let label = "check src/deeply/nested/folder/with/a/long/name.ts";
    let mut failed = call("a-1", Some(label), Some("Check"), "failed");
    failed["attempts"] = json!(2);
    failed["failure"] = json!({
        "kind": "rate_limit", "message": "too many requests\nsecond line", "evidence": "HTTP 429\n",
    });
    failed["pastAttempts"] = json!([{
        "attempt": 1, "kind": "interrupted", "message": "its engine died",
        "startedAt": "2026-01-02T03:04:06Z", "endedAt": "2026-01-02T03:04:10Z",
    }]);
    let phase = |title: Option<&str>, agents: serde_json::Value, time: Option<u64>| {
        json!({
            "title": title, "agents": agents, "usage": { "inputTokens": 1, "outputTokens": 2 },
            "startedAt": null, "endedAt": null, "durationMs": time,
        })
    };
    json!({
        "runId": "r-7k2m9q4d", "name": "http-client-migration", "status": "degraded",
        "statusReason": null, "startedAt": "2026-01-02T03:04:05Z", "endedAt": null,
        "durationMs": 65_000, "generation": 1, "recoveries": 1,
        "scriptPath": "/project/migrate.js", "scriptHash": null, "workingDirectory": "/project",
        "baseCommit": null, "agents": counts_of(3, 2, 1, 0, 1),
        "usage": { "inputTokens": 120_000, "outputTokens": 3_456 }, "budgetTotal": null,
        "phases": [
            phase(Some("Find"), counts_of(1, 1, 0, 0, 0), Some(12_300)),
            phase(Some("Check"), counts_of(1, 0, 1, 0, 0), Some(9_000)),
            phase(None, counts_of(1, 1, 0, 0, 1), None),
        ],
        "calls": [
            call("a-0", Some("find"), Some("Find"), "completed"),
            failed,
            call("a-2", None, None, "completed"),
        ],
        "failures": [{
            "kind": "rate_limit", "count": 1, "firstMessage": "too many requests\nsecond line",
            "agents": ["a-1"],
        }],
        "result": null, "error": null,
    })
}

#[test]
fn one_agent_tells_of_its_attempts_and_its_evidence() {
    let view: RunView = serde_json::from_value(view()).unwrap();
    insta::assert_snapshot!(agent(&view.calls[1], PLAIN).join("\n"));
}

fn proposed(command: &str) -> String {
    format!("bellwether {command}")
}

#[test]
fn x03_questions_say_what_may_be_answered_and_how() {
    let mut json = view();
    json["status"] = json!("waiting");
    json["questions"] = json!([
        {
            "runId": "r-7k2m9q4d", "id": "a-3", "question": "It is built.\n\nDeploy?", "choices": ["yes", "no"], "default": "no",
            "proposed": "yes", "line": 3, "since": "2026-01-02T03:04:05Z", "deadline": "2026-01-04T03:04:05Z",
        },
        { "runId": "r-7k2m9q4d", "id": "a-4", "question": "Why?", "line": 4, "since": "2026-01-02T03:04:05Z" },
    ]);
    let view: RunView = serde_json::from_value(json).unwrap();
    let lines = run(&view, PLAIN, &proposed);
    let first = lines.iter().position(|line| line == "questions").unwrap();
    assert_eq!(
        lines[first + 1..],
        [
            "  a-3  It is built.",
            "       Deploy?",
            "       one of \"yes\", \"no\"; default \"no\"; answered before with \"yes\"; until 2026-01-04 03:04:05 UTC",
            "       `bellwether answer r-7k2m9q4d --question a-3 VALUE`",
            "  a-4  Why?",
            "       `bellwether answer r-7k2m9q4d --question a-4 VALUE`",
        ]
    );
}

#[test]
fn a_run_fits_eighty_columns() {
    let view: RunView = serde_json::from_value(view()).unwrap();
    let lines = run(&view, PLAIN, &proposed);
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
            let status = if number % 1_000 == 999 {
                "failed"
            } else {
                "completed"
            };
            call(&format!("a-{number}"), None, Some("Check"), status)
        })
        .collect();
    json["calls"] = calls.into();
    let view: RunView = serde_json::from_value(json).unwrap();
    let text = run(&view, PLAIN, &proposed).join("\n");
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
            "agents": counts_of(total, total - pending, 0, pending, 0),
            "usage": { "inputTokens": 0, "outputTokens": 0 },
        })
    };
    let rows = json!([
        row("r-00000002", "running", 60, 29),
        row("r-00000001", "interrupted", 5, 0)
    ]);
    let rows: Vec<RunRow> = serde_json::from_value(rows).unwrap();
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
        "agents": counts_of(2, 1, 0, 1, 0), "failures": [], "durationMs": 10,
        "usage": {}, "reason": "its time was up",
    }));
    assert_eq!(
        text,
        "run r-00000001 stopped: 2 agents (1 completed, 1 pending), 0 tokens, 0.0s\n\
         why: its time was up\n\
         go on with `bellwether resume r-00000001`"
    );
    let text = told(json!({
        "runId": "r-00000001", "name": "n", "status": "failed", "usage": {}, "result": null,
        "agents": counts_of(0, 0, 0, 0, 0), "failures": [], "durationMs": 0,
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
fn a_line_of_the_log_says_when_and_how_bad() {
    let line = |level: &str| {
        let line = json!({
            "position": 3, "at": "2026-01-02T03:04:05.678Z", "level": level, "agentId": null,
            "text": "three \u{1b}[2Jfiles",
        });
        let line: LogLine = serde_json::from_value(line).unwrap();
        log_line(&line, PLAIN)
    };
    assert_eq!(line("info"), "03:04:05 three \u{fffd}[2Jfiles");
    assert_eq!(line("warning"), "03:04:05 warning: three \u{fffd}[2Jfiles");
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
