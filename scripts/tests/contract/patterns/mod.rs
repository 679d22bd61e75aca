//! X08: `patterns.refute` and `patterns.converge`, with agents that answer as the test says.

mod converge;
mod refute;

use bellwether_scripts::{About, Answer, Call, TurnStatus};
use serde_json::{Value, json};

use crate::support::{Host, PATCHES, Run, crashed, folder, run, script, value};

/// What a reviewer says who looked and found nothing.
pub(super) const STANDS: &str =
    r#"{"verdict":"stands","evidence":[],"checked":["read a.js","ran npm test"]}"#;
/// One who found something and can show it.
pub(super) const REFUTED: &str = r#"{"verdict":"refuted","evidence":[{"file":"a.js","line":7,"quote":"fetch(","reason":"still called"}],"checked":["read a.js"]}"#;
/// One who finds fault and shows nothing.
pub(super) const GRUMBLES: &str = r#"{"verdict":"refuted","evidence":[{"file":"a.js","line":null,"quote":null,"reason":"smells"}],"checked":["read a.js"]}"#;
/// One who agrees and has looked at nothing.
pub(super) const NODS: &str = r#"{"verdict":"stands","evidence":[],"checked":[" "]}"#;
pub(super) const CRASHES: &str = "crash";

/// A host whose agents answer by label: of several answers with one label each is given once, the last for ever.
pub(super) fn scripted(answers: &[(&'static str, &'static str)]) -> Host<'static> {
    let mut answers = answers.to_vec();
    Host::answering(move |call: &Call| {
        let label = call.label.as_deref().unwrap_or_default();
        let Some(at) = answers.iter().position(|(name, _)| *name == label) else {
            panic!("no answer for {label:?}: {}", call.prompt)
        };
        let again = answers[at + 1..].iter().any(|(name, _)| *name == label);
        let (_, answer) = if again {
            answers.remove(at)
        } else {
            answers[at]
        };
        if answer == CRASHES {
            crashed()
        } else {
            value(answer)
        }
    })
}

pub(super) fn labels(run: &Run) -> Vec<&str> {
    run.calls
        .iter()
        .filter_map(|call| call.label.as_deref())
        .collect()
}

/// The values of `key` in a list of objects.
pub(super) fn each<'v>(list: &'v Value, key: &str) -> Vec<&'v Value> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|item| &item[key])
        .collect()
}

#[test]
fn x08_misuse_throws_before_anything_is_spent() {
    for (call, code, part) in [
        ("refute()", "CLAIM", "the claim is no text"),
        ("refute(' ')", "CLAIM", "the claim is no text"),
        ("refute({})", "CLAIM", "says nothing"),
        ("refute({ files: ['a'] })", "CLAIM", "says nothing"),
        ("refute('c', 5)", "OPTIONS", "the options are no object"),
        (
            "refute('c', { reviewrs: 2 })",
            "OPTIONS",
            "no option \"reviewrs\"; there are reviewers, quorum",
        ),
        ("refute('c', { reviewers: 0 })", "OPTIONS", "from 1 to 100"),
        (
            "refute('c', { reviewers: 101 })",
            "OPTIONS",
            "from 1 to 100",
        ),
        (
            "refute('c', { reviewers: [] })",
            "REVIEWERS",
            "no reviewers",
        ),
        (
            "refute('c', { reviewers: ['a', 5] })",
            "REVIEWERS",
            "reviewer 1 is none",
        ),
        (
            "refute('c', { reviewers: [{ review: 1 }] })",
            "REVIEWERS",
            "review is no function",
        ),
        (
            "refute('c', { quorum: 3 })",
            "OPTIONS",
            "quorum is 3; give a whole number from 1 to 2",
        ),
        ("refute('c', { approvals: 0 })", "OPTIONS", "approvals is 0"),
        (
            "refute('c', { extra: { checked: {} } })",
            "OPTIONS",
            "extra.checked is part of every verdict",
        ),
        (
            "refute('c', { extra: [] })",
            "OPTIONS",
            "extra is no object",
        ),
        (
            "refute('c', { agentOptions: 'm' })",
            "OPTIONS",
            "agentOptions is no object",
        ),
        ("converge()", "TASK", "task is no text"),
        ("converge('task')", "OPTIONS", "the options are no object"),
        (
            "converge({ task: 't', round: 2 })",
            "OPTIONS",
            "no option \"round\"",
        ),
        (
            "converge({ task: 't', rounds: 0 })",
            "OPTIONS",
            "from 1 to 100",
        ),
        (
            "converge({ task: 't', rounds: 1.5 })",
            "OPTIONS",
            "rounds is 1.5",
        ),
        (
            "converge({ task: 't', implement: 5 })",
            "IMPLEMENT",
            "implement is none",
        ),
        (
            "converge({ task: 't', implement: { prompt: '' } })",
            "IMPLEMENT",
            "implement.prompt is no text",
        ),
        (
            "converge({ task: 't', verify: {}, reviewers: [{ review: 1 }] })",
            "REVIEWERS",
            "review is no function",
        ),
        (
            "converge({ task: 't', reviewers: 0 })",
            "OPTIONS",
            "from 1 to 100",
        ),
        (
            "converge({ task: 't', approvals: 3 })",
            "OPTIONS",
            "approvals is 3",
        ),
    ] {
        let run = run(&format!(
            "try {{ await patterns.{call} }} catch (e) {{ return [e.name, e.code, e.message] }}"
        ));
        assert_eq!(
            run.value()[0],
            json!("TypeError"),
            "{call}: {}",
            run.value()
        );
        assert_eq!(run.value()[1], json!(code), "{call}: {}", run.value());
        let message = run.value()[2].as_str().unwrap().to_owned();
        assert!(
            message.contains(part) && message.starts_with("patterns."),
            "{call}: {message}"
        );
        assert!(run.calls.is_empty(), "{call}");
    }
}

/// Caps, the budget and what a backend does not know are no verdicts.
#[test]
fn x08_refusals_are_no_verdicts() {
    for code in ["BUDGET", "AGENT_CAP", "AGENT_TYPE"] {
        let refused = |_: &Call| Answer::Refused {
            code: code.into(),
            message: "no".into(),
        };
        for body in [
            "await patterns.refute('c')",
            "await patterns.refute('c', { reviewers: [() => [], {}] })",
            "await patterns.converge({ task: 't' })",
            "await patterns.converge({ task: 't', implement: () => 1 })",
        ] {
            let run = Host::answering(refused).run(&script(body));
            assert_eq!(run.error().code.as_deref(), Some(code), "{body}");
        }
    }
    for body in [
        "await parallel([() => patterns.refute('c', { reviewers: [async () => { await agent('x'); return [] }] })])",
        "await parallel([() => patterns.converge({ task: 't', implement: () => agent('x') })])",
    ] {
        let budget = |_: &Call| Answer::Refused {
            code: "BUDGET".into(),
            message: "no".into(),
        };
        let run = Host::answering(budget).run(&script(body));
        assert_eq!(run.error().code.as_deref(), Some("BUDGET"), "{body}");
    }
}

#[test]
fn x08_patterns_work_per_item_and_their_results_are_merged() {
    let body = "const results = await pipeline(['a.js', 'b.js', 'c.js'],
          (file) => patterns.converge({ task: `Move ${file}`, label: file, rounds: 1, reviewers: [() => file === 'b.js' ? [{ reason: 'r', quote: 'q' }] : []] }));
        const landed = await merge(results.filter((r) => r.agreed));
        return results.map((r) => r.agreed)";
    let host = Host {
        about: Box::new(|call| About {
            worktree: Some(format!("{{\"branch\":\"w/{}\"}}", call.number).into()),
            ..About::default()
        }),
        ..Host::new()
    };
    let run = host.run(&script(body));
    assert_eq!(run.value(), json!([true, false, true]));
    assert_eq!(run.calls[3].prompt.as_ref(), "[\"w/0\",\"w/2\"]");
}

/// The page that explains them shows what works, and what is followed.
#[test]
fn x08_the_example_of_the_page_runs() {
    let page = include_str!("../../../../docs/patterns.md");
    let (_, rest) = page.split_once("```js\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let body = format!(
        "const files = ['a.js', 'b.js'], checkTokens = (file) => file === 'b.js' ? [{{ reason: 'r', quote: 'q' }}] : [];\n{example}"
    );
    let script = script(&body);
    assert!(script.is_followed_exactly());
    let host = Host {
        about: Box::new(|_| About {
            worktree: Some(
                "{\"branch\":\"w\",\"base\":\"1\",\"commit\":\"2\",\"files\":[]}".into(),
            ),
            ..About::default()
        }),
        ..Host::answering(|_| value(STANDS))
    };
    let run = host.run(&script);
    assert_eq!(each(&run.value()["quarantined"], "reviewer"), ["verify"]);
    let asked = labels(&run);
    assert_eq!(
        asked.iter().filter(|label| label.contains("b.js")).count(),
        3
    );
    assert!(asked.contains(&"a.js 1: nothing else is changed"));
}

#[test]
fn x08_patterns_belong_to_the_workflow_that_asks() {
    let files = [(
        "flows/c.js",
        "export const meta = { name: 'c', description: 'd' }; phase('inner'); await patterns.refute('in child', { reviewers: 1 }); await merge(['b'])",
    )];
    let run = Host::answering(folder(&files)).run(&script(
        "phase('Outer'); await workflow({ scriptPath: './c.js' }); await patterns.refute('outside', { reviewers: 1 })",
    ));
    let phases: Vec<_> = run.calls[1..]
        .iter()
        .map(|call| call.phase.as_deref())
        .collect();
    assert_eq!(
        phases,
        [Some("▸ c › inner"), Some("▸ c › inner"), Some("Outer")]
    );
}

#[test]
fn x08_patterns_are_frozen() {
    let body = "const out = [Object.isFrozen(patterns), Object.keys(patterns)];
        for (const f of [() => { patterns.refute = 1 }, () => { patterns.mine = 1 }]) try { f() } catch (e) { out.push(e.name) }
        return out";
    assert_eq!(
        run(body).value(),
        json!([true, ["refute", "converge"], "TypeError", "TypeError"])
    );
}

/// No catch of a pattern sees the end of the VM (B07).
#[test]
fn x08_limits_end_the_vm_inside_a_pattern_too() {
    for (work, code) in [
        ("for (;;);", "LIMIT_CPU"),
        ("const f = () => f() + 1; f();", "LIMIT_STACK"),
        (
            "const a = []; for (;;) a.push('x'.repeat(1e6) + a.length);",
            "LIMIT_HEAP",
        ),
    ] {
        for body in [
            format!("return await patterns.refute('c', {{ reviewers: [() => {{ {work} }}] }})"),
            format!(
                "return await patterns.converge({{ task: 't', implement: async () => {{ await agent('a'); {work} }} }})"
            ),
        ] {
            let mut host = Host::new();
            host.limits.turn_cpu = std::time::Duration::from_millis(500);
            host.limits.heap_bytes = 32 * 1024 * 1024;
            let run = host.run(&script(&body));
            assert!(
                matches!(run.status, TurnStatus::LimitReached(_)),
                "{body}: {:?}",
                run.status
            );
            assert_eq!(run.limit().code.as_deref(), Some(code), "{body}");
        }
    }
}

/// What a script does to its own world changes nothing of what the patterns say.
#[test]
fn x08_patterns_hold_in_patched_worlds() {
    let more = [
        "Object.prototype.refuted = Object.prototype.review = Object.prototype.verdict = Object.prototype.reviewers = 'stolen'",
        "Array.prototype.length = 7; Array.isArray = () => true; Reflect.ownKeys = Reflect.defineProperty = () => []; Object.defineProperty = null",
        "String.prototype.includes = () => true; String.prototype.trim = () => ''; globalThis.attempt = globalThis.pipeline = globalThis.agent = null",
        "Object.prototype.then = undefined; Object.prototype.quorum = 9; Object.prototype.label = 'x'; Object.prototype.task = 't'",
    ];
    let answers = [
        ("refute: a", REFUTED),
        ("refute: reviewer 2", STANDS),
        ("converge 1: implement", "{\"n\":1}"),
        ("converge 1: correctness", REFUTED),
        ("converge 1: side effects", GRUMBLES),
        ("converge 2: fix", "{\"n\":2}"),
        ("converge 2: correctness", STANDS),
        ("converge 2: side effects", STANDS),
    ];
    let body = "const one = await patterns.refute({ change: 'x' }, { reviewers: ['a', {}, () => [{ reason: 'r', quote: 'q' }], () => { throw 1 }], extra: { risk: {} } });
        const two = await patterns.converge({ task: 'Do it', verify: () => [] });
        let three; try { await patterns.refute(5) } catch (e) { three = e.code }
        return { one, two, three }";
    let run = |patch: &str| scripted(&answers).run(&script(&format!("{patch};\n{body}")));
    let plain = run("");
    assert_eq!(plain.value()["two"]["agreed"], json!(true));
    for patch in PATCHES.into_iter().chain(more) {
        let patched = run(patch);
        let asked = |run: &Run| -> Vec<_> {
            let of = |call: &Call| {
                (
                    call.prompt.clone(),
                    call.options.clone(),
                    call.label.clone(),
                )
            };
            run.calls.iter().map(of).collect()
        };
        assert_eq!(
            asked(&patched),
            asked(&plain),
            "{patch}: {:?}",
            patched.status
        );
        assert_eq!(patched.text(), plain.text(), "{patch}");
    }
}
