//! F01, F02, G01, U01, W01-W03, X04, X05.

use bellwether_journal::record::{CallKind, Level};
use serde_json::json;

use crate::support::{Host, folder, run, script};

#[test]
fn f01_phases_group_later_calls() {
    let body = "await agent('a'); phase('One'); await agent('b'); await agent('c', { phase: 'Own' }); phase('One'); await agent('d'); phase(5); await agent('e')";
    let run = run(body);
    let phases: Vec<_> = run.calls.iter().map(|call| call.phase.as_deref()).collect();
    assert_eq!(
        phases,
        [None, Some("One"), Some("Own"), Some("One"), Some("5")]
    );
    assert_eq!(run.phases, ["One", "One", "5"]);
}

#[test]
fn f02_log_shows_anything() {
    let run = run(
        "log('text'); log({ a: [1] }); log(undefined); log(null, 5); log(() => 1); log('\\ud800'); const o = {}; o.o = o; log(o); log(Symbol('s')); return log('x')",
    );
    let lines: Vec<_> = run.logs.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(
        lines,
        [
            "text",
            "{\"a\":[1]}",
            "undefined",
            "null 5",
            "() => 1",
            "\u{fffd}",
            "an object",
            "Symbol(s)",
            "x"
        ]
    );
    assert!(run.logs.iter().all(|(level, _)| *level == Level::Info));
    assert_eq!(run.value(), json!(null));
}

#[test]
fn g01_args_are_given_frozen() {
    let body = "const o = []; try { args.list.push(1) } catch (e) { o.push(e.name) } try { args.deep.x = 2 } catch (e) { o.push(e.name) } return [args, o, Object.isFrozen(args.deep)]";
    let run_with = |args: &str, body: &str| Host::new().args(args).run(&script(body)).value();
    assert_eq!(
        run_with("{\"list\":[],\"deep\":{\"x\":1}}", body),
        json!([{ "list": [], "deep": { "x": 1 } }, ["TypeError", "TypeError"], true])
    );
    assert_eq!(
        run_with("\"{\\\"a\\\":1}\"", "return [typeof args, args.a]"),
        json!(["object", 1])
    );
    assert_eq!(run_with("\"[1]\"", "return args"), json!([1]));
    assert_eq!(run_with("\"5\"", "return args"), json!("5"));
    assert_eq!(
        run_with("\"not json {\"", "return args"),
        json!("not json {")
    );
    assert_eq!(
        run_with("null", "return [args, typeof args]"),
        json!([null, "object"])
    );
    assert_eq!(run("return typeof args").value(), json!("undefined"));
    let mut host = Host::new().args("\"{\\\"a\\\":1}\"");
    host.limits.parse_args_text = false;
    assert_eq!(
        host.run(&script("return typeof args")).value(),
        json!("string")
    );
}

#[test]
fn u01_budget_is_constant_within_a_turn() {
    let body = "const r = [budget.total, budget.spent(), budget.remaining()];
        await parallel([1, 2].map((i) => async () => { await agent('a' + i); r.push(budget.spent(), budget.spent()) }));
        r.push(budget.remaining()); try { budget.total = 1 } catch (e) { r.push(e.name) } return r";
    let host = Host {
        budget_total: Some(25),
        ..Host::new()
    };
    assert_eq!(
        host.run(&script(body)).value(),
        json!([25, 0, 25, 10, 10, 20, 20, 5, "TypeError"])
    );
    assert_eq!(
        run("return [budget.total, budget.remaining() === Infinity]").value(),
        json!([null, true])
    );
    let over = Host {
        budget_total: Some(5),
        ..Host::new()
    };
    assert_eq!(
        over.run(&script("await agent('a'); return budget.remaining()"))
            .value(),
        json!(0)
    );
}

const CHILD: &str = "export const meta = { name: 'child', description: 'c' }; phase('inner'); const a = await agent('in child'); return { a, args, mine: typeof secret }";

#[test]
fn w01_workflow_runs_inline() {
    let body = "const secret = 1; phase('Outer'); const r = await workflow({ scriptPath: './lib/child.js' }, { x: 1 }); await agent('after'); return r";
    let files = [("flows/lib/child.js", CHILD)];
    let run = Host::answering(folder(&files)).run(&script(body));
    assert_eq!(
        run.value(),
        json!({ "a": "done: in child", "args": { "x": 1 }, "mine": "undefined" })
    );
    assert_eq!(
        (run.calls[0].kind, run.calls[0].prompt.as_ref()),
        (CallKind::Workflow, "flows/lib/child.js")
    );
    assert_eq!(
        run.call("in child").phase.as_deref(),
        Some("▸ child › inner")
    );
    assert_eq!(run.call("after").phase.as_deref(), Some("Outer"));
    assert_eq!(run.phases, ["Outer", "▸ child › inner"]);
    let by_name = [("child", CHILD)];
    let run = Host::answering(folder(&by_name)).run(&script(
        "return (await workflow('child')).args === undefined",
    ));
    assert_eq!(run.value(), json!(true));
    assert_eq!(
        (run.calls[0].prompt.as_ref(), run.calls[0].options.as_ref()),
        ("child", "{\"by\":\"name\"}")
    );
}

#[test]
fn w01_children_in_parallel_keep_apart() {
    let files = [(
        "flows/c.js",
        "export const meta = { name: 'c', description: 'd' }; phase(args); const a = await agent('x' + args); phase('late ' + args); await agent('y' + args); return a",
    )];
    let body = "return await parallel([1, 2].map((i) => () => workflow({ scriptPath: 'c.js' }, String(i))))";
    let run = Host::answering(folder(&files)).run(&script(body));
    assert_eq!(run.value(), json!(["done: x1", "done: x2"]));
    for i in [1, 2] {
        assert_eq!(
            run.call(&format!("x{i}")).phase,
            Some(format!("▸ c › {i}").into())
        );
        assert_eq!(
            run.call(&format!("y{i}")).phase,
            Some(format!("▸ c › late {i}").into())
        );
    }
}

#[test]
fn w02_what_cannot_be_run_is_caught() {
    let files = [
        (
            "flows/broken.js",
            "export const meta = { name: 'b', description: 'd' }\nconst x: number = 1",
        ),
        (
            "flows/throws.js",
            "export const meta = { name: 't', description: 'd' }\n\nthrow new RangeError('inside')",
        ),
        (
            "flows/bad-result.js",
            "export const meta = { name: 't', description: 'd' }; return () => 1",
        ),
        (
            "/abs.js",
            "export const meta = { name: 'abs', description: 'd' }; return 'abs'",
        ),
        (
            "up.js",
            "export const meta = { name: 'up', description: 'd' }; return 'up'",
        ),
    ];
    for (call, expected) in [
        (
            "workflow('nope')",
            json!([
                "WORKFLOW_UNKNOWN",
                "workflow('nope'): no workflow with that name"
            ]),
        ),
        (
            "workflow({ scriptPath: 'throws.js' })",
            json!([null, "inside"]),
        ),
        ("workflow({ scriptPath: '/abs.js' })", json!("abs")),
        ("workflow({ scriptPath: '../up.js' })", json!("up")),
        (
            "workflow(5)",
            json!([
                "WORKFLOW",
                "workflow(target, args): the target is a number; give a name or { scriptPath: '…' }"
            ]),
        ),
    ] {
        let body = format!(
            "try {{ return await {call} }} catch (e) {{ return [e.code ?? null, e.message] }}"
        );
        let run = Host::answering(folder(&files)).run(&script(&body));
        assert_eq!(run.value(), expected, "{call}");
    }
    let run =
        Host::answering(folder(&files)).run(&script("await workflow({ scriptPath: 'broken.js' })"));
    assert_eq!(run.error().code.as_deref(), Some("SCRIPT_REFUSED"));
    assert!(
        run.error().message.contains("flows/broken.js:2:8"),
        "{}",
        run.error().message
    );
    let run =
        Host::answering(folder(&files)).run(&script("await workflow({ scriptPath: 'throws.js' })"));
    assert!(
        run.error().stack.contains("(throws.js:3:"),
        "{}",
        run.error().stack
    );
    let run = Host::answering(folder(&files))
        .run(&script("await workflow({ scriptPath: 'bad-result.js' })"));
    assert_eq!(run.error().code.as_deref(), Some("NOT_JSON"));
    assert!(
        crate::support::run("await workflow('x', { f() {} })")
            .calls
            .is_empty()
    );
}

#[test]
fn w03_nesting_is_bounded_and_cycles_are_named() {
    let files = [
        (
            "flows/a.js",
            "export const meta = { name: 'a', description: 'd' }; return await workflow({ scriptPath: 'b.js' })",
        ),
        (
            "flows/b.js",
            "export const meta = { name: 'b', description: 'd' }; await agent('deep'); return 'b'",
        ),
        (
            "flows/loop.js",
            "export const meta = { name: 'l', description: 'd' }; return await workflow({ scriptPath: 'test.js' })",
        ),
    ];
    let body = "try { return await workflow({ scriptPath: 'a.js' }) } catch (e) { return [e.code, e.message] }";
    let run = Host::answering(folder(&files)).run(&script(body));
    assert_eq!(run.value()[0], json!("WORKFLOW_NESTING"));
    assert!(
        run.value()[1].as_str().unwrap().contains("limit of 1"),
        "{:?}",
        run.value()
    );
    let mut host = Host::answering(folder(&files));
    host.limits.nesting = 5;
    let run = host.run(&script(body));
    assert_eq!(run.value(), json!("b"));
    assert_eq!(run.call("deep").phase.as_deref(), Some("▸ a › ▸ b"));
    let mut host = Host::answering(folder(&files));
    host.limits.nesting = 5;
    let run = host.run(&script("await workflow({ scriptPath: 'loop.js' })"));
    assert_eq!(run.error().code.as_deref(), Some("WORKFLOW_CYCLE"));
    assert!(
        run.error()
            .message
            .contains("flows/test.js → flows/loop.js → flows/test.js"),
        "{}",
        run.error().message
    );
}

#[test]
fn x04_sleep_takes_milliseconds_or_iso() {
    let run = run(
        "const t = now(); await sleep(1500); await sleep('PT2M'); await sleep(-5); await sleep(0.4); return now() >= t",
    );
    assert_eq!(run.timers, [1500, 120_000, 0, 1]);
    assert_eq!(run.value(), json!(true));
    for wrong in ["'soon'", "NaN", "undefined", "{}"] {
        let run = crate::support::run(&format!("await sleep({wrong})"));
        assert_eq!(run.error().code.as_deref(), Some("DURATION"), "{wrong}");
    }
}

#[test]
fn x05_time_and_chance_are_the_hosts() {
    let body = "const r = [now(), random(), random()]; await agent('a'); r.push(now(), random()); return r";
    let first = run(body).value();
    assert_eq!(first, run(body).value());
    assert_eq!(
        (first[0].as_u64(), first[3].as_u64()),
        (Some(1_000_000), Some(1_001_000))
    );
    let draws: Vec<f64> = [1, 2, 4]
        .iter()
        .map(|&index| first[index].as_f64().unwrap())
        .collect();
    assert!(draws.iter().all(|draw| (0.0..1.0).contains(draw)));
    assert!(first[1] != first[2] && first[2] != first[4]);
    let other = Host {
        seed: [8; 32],
        ..Host::new()
    }
    .run(&script(body))
    .value();
    assert_ne!(first[1], other[1]);
    // A draw in one lane does not shift another's.
    let lanes = |extra: &str| {
        let body = format!(
            "return await parallel([async () => {{ await agent('a'); {extra} return 0 }}, async () => {{ await agent('b'); return random() }}])"
        );
        run(&body).value()[1].clone()
    };
    assert_eq!(lanes(""), lanes("random();"));
}
