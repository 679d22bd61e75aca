//! A01, A02, A05, A07, A08: `agent()` as the script sees it.

use bellwether_scripts::Answer;
use serde_json::json;

use crate::support::{Host, crashed, run, script, text, value};

#[test]
fn a01_value_is_text_or_object() {
    let body = "const a = await agent('one'); const b = await agent('two', { schema: {} }); return [a, b, a.length]";
    let host = Host::answering(|call| {
        if call.prompt.as_ref() == "one" {
            text("it's \"done\"\n😀")
        } else {
            value("{\"b\":1,\"a\":[true]}")
        }
    });
    assert_eq!(
        host.run(&script(body)).value(),
        json!(["it's \"done\"\n😀", { "b": 1, "a": [true] }, 14])
    );
    let lone =
        Host::answering(|_| value("\"\\ud800x\"")).run(&script("return (await agent('a')).length"));
    assert_eq!(lone.value(), json!(2));
}

#[test]
fn a01_a_real_promise() {
    let body = "const p = agent('a'); const r = [p instanceof Promise, p.constructor === Promise];
        r.push(await p.then((x) => x.length).finally(() => r.push('f')).catch(() => 0)); return r";
    assert_eq!(run(body).value(), json!([true, true, "f", 7]));
}

#[test]
fn a02_null_when_failed() {
    let host = Host::answering(|_| crashed());
    assert_eq!(
        host.run(&script("return [await agent('x')]")).value(),
        json!([null])
    );
}

#[test]
fn a03_refusals_of_the_host_throw() {
    let refused = || Answer::Refused {
        code: "SCHEMA".into(),
        message: "schema: at $.type: no such type".into(),
    };
    let body = "try { await agent('x') } catch (e) { return [e.name, e.code, e.message, e instanceof Error] }";
    let run = Host::answering(|_| refused()).run(&script(body));
    assert_eq!(
        run.value(),
        json!([
            "SchemaError",
            "SCHEMA",
            "schema: at $.type: no such type",
            true
        ])
    );
    let uncaught = Host::answering(|_| refused()).run(&script("await agent('x')"));
    assert_eq!(uncaught.error().code.as_deref(), Some("SCHEMA"));
    let invalid = Host::answering(|_| value("{oops")).run(&script("await agent('x')"));
    assert_eq!(invalid.error().code.as_deref(), Some("INVALID_VALUE"));
}

#[test]
fn a03_prompts_and_options_are_checked_before_anything_is_issued() {
    for (call, code) in [
        ("agent()", "PROMPT"),
        ("agent('')", "PROMPT"),
        ("agent('  \\n')", "PROMPT"),
        ("agent(5)", "PROMPT"),
        ("agent({})", "PROMPT"),
        ("agent(null)", "PROMPT"),
        ("agent(['a'])", "PROMPT"),
        ("agent('a', 'b')", "OPTIONS"),
        ("agent('a', { schema: { f() {} } })", "NOT_JSON"),
        ("agent('a', { schema: 1n })", "NOT_JSON"),
    ] {
        let run = run(&format!(
            "try {{ await {call} }} catch (e) {{ return [e.name, e.code, e.message] }}"
        ));
        assert_eq!(run.value()[0], json!("TypeError"), "{call}");
        assert_eq!(run.value()[1], json!(code), "{call}");
        assert!(run.calls.is_empty());
    }
    let cycle = run("const s = {}; s.properties = { a: s }; await agent('a', { schema: s })");
    assert_eq!(
        cycle.error().message.split(' ').next(),
        Some("options.schema.properties.a")
    );
    assert_eq!(
        run("await agent('a', { get model() { throw new Error('getter') } })")
            .error()
            .message,
        "getter"
    );
}

#[test]
fn a05_unknown_options_are_ignored_with_one_warning() {
    let body = "await agent('a', { _predispatch: 1, model: 'opus', zzz: 2, label: undefined, effort: undefined });
        await agent('b', { _predispatch: 3, schema: undefined, [Symbol('s')]: 1 }); await agent('c', null)";
    let run = run(body);
    assert_eq!(run.calls[0].options.as_ref(), "{\"model\":\"opus\"}");
    assert_eq!(run.calls[1].options.as_ref(), "{}");
    let warnings = run.warnings();
    assert_eq!(warnings.len(), 2);
    assert!(warnings[0].contains("\"_predispatch\"") && warnings[1].contains("\"zzz\""));
}

#[test]
fn a05_known_options_keep_their_order() {
    let body = "const o = { pure: true, schema: { b: 1, a: { z: 1, y: 2 } }, label: 'L', phase: 'P', model: 'm', tools: ['x'], key: 'k', timeout: 5 };
        await agent('a', o); await agent('b', { label: 7, phase: null }); await agent('c', { label: { x: 1 } })";
    let run = run(body);
    assert_eq!(
        run.calls[0].options.as_ref(),
        "{\"pure\":true,\"schema\":{\"b\":1,\"a\":{\"z\":1,\"y\":2}},\"model\":\"m\",\"tools\":[\"x\"],\"key\":\"k\",\"timeout\":5}"
    );
    assert_eq!(
        (run.calls[0].label.as_deref(), run.calls[0].phase.as_deref()),
        (Some("L"), Some("P"))
    );
    assert_eq!(
        (run.calls[1].label.as_deref(), run.calls[1].phase.as_deref()),
        (Some("7"), None)
    );
    assert_eq!(run.calls[2].label.as_deref(), Some("{\"x\":1}"));
}

#[test]
fn a07_equal_calls_each_run() {
    let run =
        run("return await parallel([1, 2, 3].map(() => () => agent('same', { model: 'm' })))");
    assert_eq!(run.calls.len(), 3);
    assert_eq!(
        run.keys
            .iter()
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        3
    );
}

#[test]
fn a08_values_keep_their_key_order() {
    // A number-like key moves to the front in any JavaScript object; live and replayed it does so alike.
    let json = "{\"z\":1,\"a\":{\"__proto__\":{\"x\":1},\"constructor\":2,\"b\":[1.5,\"\\u2028é\"]},\"m\":null}";
    let run = Host::answering(|_| value(json)).run(&script(
        "const v = await agent('a'); return [JSON.stringify(v), v, v.a.x, Object.keys(v.a)]",
    ));
    let parts: serde_json::Value = run.value();
    assert_eq!(
        parts[0].as_str(),
        Some(json.replace("\\u2028", "\u{2028}").as_str())
    );
    assert!(
        run.text()
            .contains("{\"z\":1,\"a\":{\"__proto__\":{\"x\":1},\"constructor\":2,"),
        "{}",
        run.text()
    );
    assert_eq!(parts[2], json!(null));
    assert_eq!(parts[3], json!(["__proto__", "constructor", "b"]));
}

#[test]
fn a07_calls_know_their_line() {
    let run = run(
        "await agent('a')\nconst f = (p) =>\n  agent(p, { label: 'x' },)\nawait f('b'); const g = agent; await g('c')\nawait agent(`d`\n, {})",
    );
    assert_eq!(
        run.calls.iter().map(|call| call.line).collect::<Vec<_>>(),
        [2, 4, 0, 6]
    );
}
