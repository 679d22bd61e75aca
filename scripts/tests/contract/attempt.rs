//! X02, A04: failures as the script sees them, thrown and told.

use bellwether_journal::record::{FailureKind, Usage};
use bellwether_scripts::{About, Answer, Nothing};
use serde_json::json;

use crate::support::{Host, run, script, text, value};

fn failed(kind: FailureKind, message: &str) -> Answer {
    Answer::Nothing(Nothing::Failed {
        kind,
        message: message.into(),
    })
}

fn about() -> About {
    About {
        usage: Usage {
            input_tokens: 12,
            output_tokens: 34,
        },
        cost: Some(1_250_000),
        attempts: 3,
        worktree: Some(
            "{\"branch\":\"b/a-0\",\"base\":\"1f\",\"commit\":\"2e\",\"files\":[\"x.js\"]}".into(),
        ),
    }
}

#[test]
fn x02_attempt_tells_how_it_went() {
    let cases = [
        (
            value("{\"z\":1,\"a\":[\"\\u00e9\"]}"),
            json!({ "z": 1, "a": ["é"] }),
            json!(null),
        ),
        (text("done"), json!("done"), json!(null)),
        (value("null"), json!(null), json!(null)),
        (
            failed(FailureKind::RateLimit, "too \"many\""),
            json!(null),
            json!({ "kind": "rate_limit", "message": "too \"many\"", "attempts": 3 }),
        ),
        (
            failed(FailureKind::Schema, "$.a: no number"),
            json!(null),
            json!({ "kind": "schema", "message": "$.a: no number", "attempts": 3 }),
        ),
        (
            Answer::Nothing(Nothing::Skipped),
            json!(null),
            json!({ "kind": "skipped", "message": "a person skipped it", "attempts": 3 }),
        ),
        (
            Answer::Nothing(Nothing::Cancelled),
            json!(null),
            json!({ "kind": "cancelled", "message": "it was stopped", "attempts": 3 }),
        ),
    ];
    for (answer, value, error) in cases {
        let host = Host {
            about: Box::new(|_| about()),
            ..Host::answering(|_| answer.clone())
        };
        let run = host.run(&script("await attempt('first'); return await attempt('x')"));
        assert_eq!(
            run.value(),
            json!({
                "ok": error.is_null(),
                "value": value,
                "error": error,
                "usage": { "inputTokens": 12, "outputTokens": 34, "cost": 1.25 },
                "agentId": "a-1",
                "worktree": { "branch": "b/a-0", "base": "1f", "commit": "2e", "files": ["x.js"] },
            })
        );
    }
    assert_eq!(
        run("return (await attempt('x')).worktree").value(),
        json!(null)
    );
}

#[test]
fn x02_attempt_keeps_the_order_of_keys() {
    let json = "{\"z\":1,\"__proto__\":{\"x\":1},\"b\":\"\\u2028\"}";
    let run = Host::answering(|_| value(json)).run(&script(
        "return JSON.stringify((await attempt('x', { schema: {} })).value)",
    ));
    assert_eq!(run.value(), json!(json.replace("\\u2028", "\u{2028}")));
}

/// Whoever changes one into the other keeps what was done.
#[test]
fn x02_attempt_and_agent_issue_the_same_call() {
    let body = |name: &str| {
        format!(
            "await {name}('a', {{ label: 'L', phase: 'P', model: 'm', zzz: 1 }}); await {name}('b')"
        )
    };
    let (one, other) = (run(&body("agent")), run(&body("attempt")));
    assert_eq!(one.calls, other.calls);
    assert_eq!(one.keys, other.keys);
    assert_eq!(
        other.warnings(),
        ["attempt(): the option \"zzz\" is not known and was ignored"]
    );
}

#[test]
fn x02_what_is_no_failed_agent_throws() {
    for (call, code) in [
        ("attempt()", "PROMPT"),
        ("attempt(' ')", "PROMPT"),
        ("attempt({})", "PROMPT"),
        ("attempt('a', 5)", "OPTIONS"),
        ("attempt('a', { schema: () => 1 })", "NOT_JSON"),
    ] {
        let run = run(&format!(
            "try {{ await {call} }} catch (e) {{ return [e.name, e.code, e.message] }}"
        ));
        assert_eq!(run.value()[0], json!("TypeError"), "{call}");
        assert_eq!(run.value()[1], json!(code), "{call}");
        assert!(run.calls.is_empty(), "{call}");
        let message = run.value()[2].as_str().unwrap().to_owned();
        assert!(!message.contains("agent("), "{message}");
    }
    for code in ["BUDGET", "AGENT_CAP", "AGENT_TYPE"] {
        let refused = |_: &_| Answer::Refused {
            code: code.into(),
            message: "no".into(),
        };
        let run = Host::answering(refused).run(&script("await attempt('x')"));
        assert_eq!(run.error().code.as_deref(), Some(code));
        // Caps reject the whole fan-out (P04), for attempt() as for agent().
        let run =
            Host::answering(refused).run(&script("return await parallel([() => attempt('x')])"));
        match code {
            "AGENT_TYPE" => assert_eq!(run.value(), json!([null])),
            _ => assert_eq!(run.error().code.as_deref(), Some(code)),
        }
    }
    let invalid = Host::answering(|_| value("1,\"ok\":false")).run(&script("await attempt('x')"));
    assert_eq!(invalid.error().code.as_deref(), Some("INVALID_VALUE"));
}

#[test]
fn a04_agent_throws_when_no_answer_fitted_the_schema() {
    let host = || {
        Host::answering(|call| match call.prompt.as_ref() {
            "misfit" => failed(FailureKind::Schema, "no answer fitted: $.a: no number"),
            prompt => text(prompt),
        })
    };
    let caught = host().run(&script(
        "try { await agent('misfit', { schema: {} }) } catch (e) { return [e.name, e.code, e.message] }",
    ));
    assert_eq!(
        caught.value(),
        json!(["SchemaError", "SCHEMA", "no answer fitted: $.a: no number"])
    );
    let uncaught = host().run(&script("\nawait agent('misfit', { schema: {} })"));
    assert_eq!(uncaught.error().code.as_deref(), Some("SCHEMA"));
    let slots = "return [await parallel([() => agent('a'), () => agent('misfit'), () => agent('b')]), await pipeline(['a', 'misfit'], (x) => agent(x), (x) => agent(x + '!'))]";
    assert_eq!(
        host().run(&script(slots)).value(),
        json!([["a", null, "b"], ["a!", null]])
    );
}
