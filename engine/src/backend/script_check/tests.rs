#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use bellwether_actors::backend::{AgentBackend as _, AgentOutcome, AttemptContext, Task};
use bellwether_journal::record::FailureKind;
use serde_json::{Value, json};

use super::{AT_ONCE, Project, ScriptCheck};
use crate::backend::fixtures::{context, task};
use crate::options::StartOptions;

fn script(body: &str) -> String {
    format!(
        "export const meta = {{ name: 'test', description: 'A test', phases: ['One'] }}\nphase('One')\n{body}"
    )
}

fn check() -> ScriptCheck {
    let mut start = StartOptions::new();
    start.concurrency = Some(3);
    start.script_limits.turn_cpu_ms = Some(200);
    ScriptCheck::new(Project::new(start, ["llm"]))
}

async fn outcome(check: &ScriptCheck, prompt: &str, context: AttemptContext) -> AgentOutcome {
    let task = Arc::unwrap_or_clone(task(0, None));
    let task = Task {
        prompt: prompt.into(),
        ..task
    };
    check.run(Arc::new(task), context).await.outcome
}

async fn answer_of(check: &ScriptCheck, asked: Value) -> Value {
    match outcome(check, &asked.to_string(), context()).await {
        AgentOutcome::Completed(answer) => serde_json::from_str(&answer).unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn answer(body: &str) -> Value {
    answer_of(&check(), json!({ "script": script(body) })).await
}

/// Whether it holds, and the findings: severity, code, line.
fn told(answer: &Value) -> (bool, Vec<(&str, &str, u64)>) {
    let findings = answer["findings"].as_array().unwrap().iter().map(|told| {
        let text = |name: &str| told[name].as_str().unwrap();
        (
            text("severity"),
            text("code"),
            told["line"].as_u64().unwrap(),
        )
    });
    (answer["holds"].as_bool().unwrap(), findings.collect())
}

#[tokio::test]
async fn a_good_script_holds_and_its_plan_is_told() {
    let body = "const done = await parallel(['a', 'b', 'c'].map((file) => () => agent(`Look at ${file}.`, { label: file })))
await agent('Sum up.', { phase: 'Two' })
return done.filter(Boolean).length";
    assert_eq!(
        answer(body).await,
        json!({
            "holds": true, "name": "test", "errors": 0, "warnings": 0, "left": 0, "findings": [],
            "plan": {
                "status": "completed", "agents": 4, "peakAtOnce": 3,
                "phases": [{ "title": "One", "agents": 3 }, { "title": "Two", "agents": 1 }],
                "isolated": 0, "merges": 0, "longestPrompt": 10,
            },
        })
    );
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_place() {
    let error = |code, line| (false, vec![("error", code, line)]);
    let warning = |code, line| (true, vec![("warning", code, line)]);
    for (body, expected) in [
        ("return await agent('x'", error("syntax", 3)),
        ("return require('fs')", error("import", 3)),
        ("return Date.now()", error("clock", 3)),
        (
            "return await agent('x', { lable: 'y' })",
            warning("unknown-option", 3),
        ),
        (
            "return await agent('x', { agentType: 'lost' })",
            error("unknown-agent-type", 3),
        ),
        // Among others it is a null, which the plan does not see.
        (
            "return await parallel([() => agent('x'), () => agent('y', { backend: 'no' + 'where' })])",
            error("unknown-backend", 3),
        ),
        ("while (true) {}", error("plan-timeout", 0)),
        ("while (true) await agent('x')", error("agent-cap", 3)),
        ("\nthrow new Error('as it is')", error("plan-failed", 4)),
        ("return args.files.length", error("plan-failed", 3)),
        // Only agents that fail bring these to light.
        (
            "const one = await agent('x')\nreturn one.trim()",
            warning("null-not-handled", 4),
        ),
        (
            "let one = null\nwhile (one === null) one = await agent('x')\nreturn one",
            warning("unbounded-when-agents-fail", 4),
        ),
        // What it says itself is no mistake.
        (
            "if ((await agent('x')) === null) throw new Error('nothing can be done')",
            (true, vec![]),
        ),
        // Whether it may is the person's to say.
        (
            "const one = await attempt('x', { isolation: 'worktree' })\nreturn await merge([one], { verify: 'true' })",
            (true, vec![("info", "not-allowed", 4)]),
        ),
    ] {
        let answer = answer(body).await;
        assert_eq!(told(&answer), expected, "{body}: {answer:#}");
    }
}

#[tokio::test]
async fn a_finding_says_what_helps_and_shows_its_line() {
    let answer = answer("return await agent('x', { lable: 'y' })").await;
    assert_eq!(
        answer["findings"][0],
        json!({
            "severity": "warning", "code": "unknown-option", "message": "agent: the option `lable` is not known and will be ignored",
            "remedy": "did you mean `label`?", "line": 3, "column": 27,
            "excerpt": " 3 | return await agent('x', { lable: 'y' })\n   |                           ^",
        })
    );
}

#[tokio::test]
async fn a_script_that_needs_args_is_planned_with_an_example() {
    let source = script("return await parallel(args.files.map((file) => () => agent(file)))");
    let check = check();
    let without = answer_of(&check, json!({ "script": source, "args": null })).await;
    let remedy = without["findings"][0]["remedy"].as_str().unwrap();
    assert!(remedy.contains("give example `args`"), "{remedy}");
    let with = answer_of(
        &check,
        json!({ "script": source, "args": { "files": ["a", "b"] } }),
    )
    .await;
    assert_eq!(
        (told(&with), &with["plan"]["agents"]),
        ((true, vec![]), &json!(2))
    );

    let source = "export const meta = { name: 'test', description: 'd', args: { type: 'object', required: ['n'] } }\nreturn args.n";
    for (args, said) in [
        (json!(null), "made without `args`"),
        (json!({}), "give example `args` that fit"),
    ] {
        let answer = answer_of(&check, json!({ "script": source, "args": args })).await;
        assert_eq!(told(&answer).1[0].1, "plan-failed");
        let remedy = answer["findings"][0]["remedy"].as_str().unwrap();
        assert!(remedy.contains(said), "{remedy}");
    }
}

#[tokio::test]
async fn the_task_says_for_whom_the_script_is() {
    let source = script(
        "await agent('x', { agentType: 'mover', backend: 'codex' })\nreturn await merge(['a'], { verify: 'true' })",
    );
    let project =
        json!({ "agentTypes": ["mover"], "backends": ["codex"], "merge": true, "workflows": {} });
    let answer = answer_of(&check(), json!({ "script": source, "project": project })).await;
    assert_eq!(told(&answer), (true, vec![]));
    let other = json!({ "agentTypes": [], "backends": [] });
    let answer = answer_of(&check(), json!({ "script": source, "project": other })).await;
    assert!(!told(&answer).0);
}

#[tokio::test]
async fn however_much_is_wrong_the_errors_come_first_and_the_rest_is_counted() {
    let many = "agent('x', { lable: 1 });\n".repeat(70) + "Date.now()";
    let answer = answer(&many).await;
    let (holds, findings) = told(&answer);
    assert!(!holds);
    assert_eq!((findings.len(), findings[0]), (60, ("error", "clock", 73)));
    let counted = answer["errors"].as_u64().unwrap() + answer["warnings"].as_u64().unwrap();
    assert_eq!(answer["left"], counted - 60);
}

#[tokio::test]
async fn no_task_is_refused() {
    for prompt in ["Check it.", "{}", r#"{"script": "x", "scirpt": "y"}"#] {
        let AgentOutcome::Failed(failure) = outcome(&check(), prompt, context()).await else {
            panic!("{prompt} is no task")
        };
        assert_eq!(failure.kind, FailureKind::Refused);
        assert!(
            failure.message.contains("JSON.stringify"),
            "{}",
            failure.message
        );
    }
}

/// A turn that may compute for as long as the check.
fn patient() -> ScriptCheck {
    ScriptCheck::new(Project::default())
}

#[tokio::test]
async fn a_script_that_computes_for_too_long_is_stopped() {
    let check = patient().within(Duration::from_millis(300));
    let answer = answer_of(&check, json!({ "script": script("while (true) {}") })).await;
    assert_eq!(told(&answer), (false, vec![("error", "plan-timeout", 0)]));
    assert_eq!(answer["plan"]["status"], "timeout");
    assert_eq!(check.at_once.available_permits(), AT_ONCE);
}

#[tokio::test]
async fn a_cancelled_check_ends_and_gives_its_place_back() {
    let check = patient();
    let cancelled = context();
    let token = cancelled.cancelled.clone();
    let asked = json!({ "script": script("while (true) {}") }).to_string();
    let work = outcome(&check, &asked, cancelled);
    let cancel = async {
        while check.at_once.available_permits() == AT_ONCE {
            tokio::task::yield_now().await;
        }
        token.cancel();
    };
    let (outcome, ()) = tokio::join!(work, cancel);
    assert!(matches!(outcome, AgentOutcome::Cancelled), "{outcome:?}");
    assert_eq!(check.at_once.available_permits(), AT_ONCE);
}

#[tokio::test]
async fn what_cannot_be_stopped_is_left_to_its_thread_and_keeps_its_place() {
    let mut check = patient().within(Duration::from_millis(200));
    check.grace = Duration::from_millis(200);
    // One call of the interpreter that looks up nowhere, for some seconds.
    let body = "return 'a'.repeat(60_000).indexOf('a'.repeat(30_000) + 'b')";
    let answer = answer_of(&check, json!({ "script": script(body) })).await;
    assert_eq!(told(&answer), (false, vec![("error", "never-ends", 0)]));
    assert_eq!(
        (&answer["plan"], &answer["name"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(check.at_once.available_permits(), AT_ONCE - 1);
    let _all = check.at_once.acquire_many(AT_ONCE as u32).await.unwrap();
}
