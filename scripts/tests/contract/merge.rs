//! X06: `merge()` as the script sees it.

use bellwether_journal::record::{CallKind, FailureKind};
use bellwether_scripts::{Answer, Nothing};
use serde_json::json;

use crate::support::{Host, run, script, value};

const LANDED: &str = "{\"into\":\"landed\",\"before\":\"1f\",\"after\":\"3d\",\"landed\":[{\"branch\":\"a\",\"commit\":\"2e\",\"files\":[\"x.js\"]}],\"left\":[{\"branch\":\"b\",\"reason\":\"conflict\",\"message\":\"x.js\"}]}";

#[test]
fn x06_merge_asks_for_branches_in_their_order() {
    let body = "const kept = { branch: 'b/a-1', base: '1f', commit: '2e', files: [] };
        const tried = { ok: true, value: 1, worktree: { branch: 'b/a-2' } };
        return await merge(['b/a-7', kept, null, tried, undefined, { ok: false, worktree: null }, { branch: 'b/a-7' }, '__proto__'],
          { verify: 'npm test && true', into: 'main', timeout: 'PT1.5S', label: 'land', phase: 'Land' })";
    let run = Host::answering(|_| value(LANDED)).run(&script(body));
    assert_eq!(run.text(), LANDED);
    let call = &run.calls[0];
    assert_eq!(call.kind, CallKind::Merge);
    assert_eq!(
        call.prompt.as_ref(),
        "[\"b/a-7\",\"b/a-1\",\"b/a-2\",\"__proto__\"]"
    );
    assert_eq!(
        call.options.as_ref(),
        "{\"verify\":\"npm test && true\",\"into\":\"main\",\"timeout\":1500}"
    );
    assert_eq!(
        (call.label.as_deref(), call.phase.as_deref(), call.line),
        (Some("land"), Some("Land"), 4)
    );
    let plain = crate::support::run("await merge(['a'])");
    assert_eq!(plain.calls[0].options.as_ref(), "{}");
}

/// There is nothing to allow, to journal or to keep a rewind from.
#[test]
fn x06_merge_of_nothing_is_no_call() {
    let run = run(
        "return [await merge([]), await merge([null, { worktree: null }], { into: 'main', verify: 'false' })]",
    );
    assert!(run.calls.is_empty());
    assert_eq!(
        run.value(),
        json!([
            { "into": null, "before": null, "after": null, "landed": [], "left": [] },
            { "into": "main", "before": null, "after": null, "landed": [], "left": [] },
        ])
    );
}

#[test]
fn x06_merge_refuses_what_is_no_branch() {
    for (call, code, part) in [
        ("merge()", "WORKTREES", "the worktrees are undefined"),
        ("merge('main')", "WORKTREES", "give an array"),
        ("merge(['a', 5])", "WORKTREES", "item 1 is a number"),
        (
            "merge(['a', null, ''])",
            "WORKTREES",
            "item 2 is an empty name",
        ),
        (
            "merge([{}])",
            "WORKTREES",
            "item 0 is an object without a branch",
        ),
        (
            "merge([{ branch: 7 }])",
            "WORKTREES",
            "item 0 is an object without a branch",
        ),
        (
            "merge([attempt('a')])",
            "WORKTREES",
            "item 0 is an object without a branch",
        ),
        (
            "merge(['a'], 'main')",
            "OPTIONS",
            "the options are a string",
        ),
        (
            "merge(['a'], { verify: ['npm', 'test'] })",
            "OPTIONS",
            "verify is an array; give one command line",
        ),
        ("merge(['a'], { verify: '' })", "OPTIONS", "verify is empty"),
        (
            "merge(['a'], { into: 5 })",
            "OPTIONS",
            "into is a number; give a branch's name",
        ),
        ("merge(['a'], { timeout: 0 })", "OPTIONS", "timeout is 0"),
        // Else it would land unverified.
        (
            "merge(['a'], { verfiy: 'false' })",
            "OPTIONS",
            "there is no option \"verfiy\"; there is: into, verify",
        ),
        (
            "merge(['a'], { timeout: 'soon' })",
            "DURATION",
            "timeout: give milliseconds",
        ),
    ] {
        let run = run(&format!(
            "try {{ await {call} }} catch (e) {{ return [e.name, e.code, e.message] }}"
        ));
        assert_eq!(run.value()[0], json!("TypeError"), "{call}");
        assert_eq!(run.value()[1], json!(code), "{call}");
        let message = run.value()[2].as_str().unwrap().to_owned();
        assert!(message.contains(part), "{call}: {message}");
        assert!(
            run.calls.iter().all(|call| call.kind != CallKind::Merge),
            "{call}"
        );
    }
}

#[test]
fn x06_a_merge_that_did_not_happen_throws() {
    let cases = [
        (
            Answer::Nothing(Nothing::Failed {
                kind: FailureKind::Other,
                message: "main is checked out with uncommitted changes".into(),
            }),
            json!([
                "MergeError",
                "MERGE",
                "main is checked out with uncommitted changes"
            ]),
        ),
        (
            Answer::Nothing(Nothing::Skipped),
            json!(["MergeError", "MERGE", "a person skipped it"]),
        ),
        (
            Answer::Refused {
                code: "NOT_ALLOWED".into(),
                message: "merge is off: --allow merge".into(),
            },
            json!([
                "NotAllowedError",
                "NOT_ALLOWED",
                "merge is off: --allow merge"
            ]),
        ),
    ];
    let body = "try { await merge(['a']) } catch (e) { return [e.name, e.code, e.message] }";
    for (answer, expected) in cases {
        let run = Host::answering(|_| answer.clone()).run(&script(body));
        assert_eq!(run.value(), expected);
    }
}
