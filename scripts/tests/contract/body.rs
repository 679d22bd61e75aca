//! B01, B02, B04, B05, B06, B09, B10: the language and the world of a body.

use bellwether_scripts::TurnStatus;
use serde_json::json;

use crate::support::{HEADER, Host, PATCHES, run, script, script_of};

#[test]
fn b01_language() {
    let body = r#"const { a = 1, ...rest } = { b: 2, c: 3 };
        label: for (const i of [1, 2, 3]) { for (;;) { if (i < 3) continue label; break label } }
        const s = `outer ${[1, 2].map((x) => `inner ${x} ${`deep`}`).join(`,`)}`;
        class P { #x = 1; static s = 2; get x() { return this.#x } static { P.t = 3 } }
        let n = null; n ??= 5; n ||= 6; n &&= 7;
        var v = (1, 2);
        const g = function* () { yield* [1, 2] };
        return [a, rest, s, String.raw`\n${1}`, new P().x, P.s, P.t, n, v, [...g()], [3, 1].toSorted(), [1, 2].at(-1),
          Object.groupBy([1, 2], (x) => x % 2 ? 'odd' : 'even'), 'x'.replaceAll('x', 'y'), [..."a1b2".matchAll(/\d/g)].length,
          new Set([1]).union(new Set([2])).size, Math.imul(3, 4), typeof arguments, this === undefined, 2n ** 3n === 8n, rest?.z?.q ?? 'none']"#;
    let expected = json!([
        1, { "b": 2, "c": 3 }, "outer inner 1 deep,inner 2 deep", "\\n1", 1, 2, 3, 7, 2, [1, 2], [1, 3], 2, { "odd": [1], "even": [2] },
        "y", 2, 2, 12, "object", true, true, "none"
    ]);
    assert_eq!(run(body).value(), expected);
}

#[test]
fn b01_odd_texts() {
    for (source, expected) in [
        (
            format!("{HEADER}return 1 // no newline at the end"),
            json!(1),
        ),
        (format!("{HEADER}return 1 /* c */"), json!(1)),
        (
            HEADER.replace('\n', "\r\n") + "const a = `x\r\ny`;\r\nreturn a.length\r\n",
            json!(3),
        ),
        (format!("{HEADER}return 'a\u{2028}b'.length"), json!(3)),
        (
            format!("{HEADER}const größe = '日本😀'; return größe.length"),
            json!(4),
        ),
        (
            format!(
                "{HEADER}{}return 2",
                "// filler filler filler filler filler filler\n".repeat(9000)
            ),
            json!(2),
        ),
        (
            format!("{HEADER}const n = 3; let c = 0; let m = n; while (m --> 0) c++; return c"),
            json!(3),
        ),
        (format!("{HEADER}let y = 1; return 5 <!--y"), json!(false)),
        (HEADER.trim_end().to_owned() + " return 7", json!(7)),
        (
            format!(
                "{HEADER}const \\u0024g = 4; const $g0 = 1; try {{ throw 1 }} catch {{ return $g + $g0 }}"
            ),
            json!(5),
        ),
    ] {
        assert_eq!(
            Host::new().run(&script_of(&source)).value(),
            expected,
            "{}",
            &source[..source.len().min(200)]
        );
    }
}

#[test]
fn b02_result_is_json() {
    for (value, expected) in [
        ("undefined", "null"),
        ("null", "null"),
        ("[undefined, NaN, Infinity, -0]", "[null,null,null,0]"),
        ("{ a: undefined, b: 1 }", "{\"b\":1}"),
        ("{ toJSON() { return { x: 1 } } }", "{\"x\":1}"),
        ("new Date(0)", "\"1970-01-01T00:00:00.000Z\""),
        ("new Map([[1, 2]])", "{}"),
        ("'\\ud800'", "\"\\ud800\""),
        ("{ __proto__: { a: 1 }, b: 2 }", "{\"b\":2}"),
        ("[1,,2]", "[1,null,2]"),
        ("{ toJSON: () => undefined }", "null"),
    ] {
        assert_eq!(
            run(&format!("return ({value})")).text(),
            expected,
            "{value}"
        );
    }
    assert_eq!(run("").text(), "null");
}

#[test]
fn b02_what_is_no_json_is_named_with_its_path() {
    for (value, path) in [
        ("() => 1", "result is a function"),
        ("{ a: { b: [1, () => 1] } }", "result.a.b[1] is a function"),
        ("{ 'x y': 1n }", "result[\"x y\"] is a BigInt"),
        ("[Symbol('s')]", "result[0] is a symbol"),
        (
            "(() => { const o = { a: {} }; o.a.b = o; return o })()",
            "result.a.b is a cycle",
        ),
        (
            "{ a: { toJSON() { return { f() {} } } } }",
            "result.a.f is a function",
        ),
    ] {
        let run = run(&format!("return ({value})"));
        let error = run.error();
        assert!(
            error.message.starts_with(path),
            "{value}: {}",
            error.message
        );
        assert_eq!(error.code.as_deref(), Some("NOT_JSON"));
    }
    let throwing = run("return { get x() { throw new Error('from a getter') } }");
    assert_eq!(throwing.error().message, "from a getter");
    let proxy = run("return new Proxy({}, { ownKeys() { throw new TypeError('from a trap') } })");
    assert_eq!(proxy.error().message, "from a trap");
}

#[test]
fn b04_globals() {
    let body = "return Object.getOwnPropertyNames(globalThis).sort()";
    insta::assert_json_snapshot!("globals", run(body).value());
}

#[test]
fn b04_no_code_from_text() {
    for road in [
        "eval('1')",
        "(0, globalThis.eval)('1')",
        "Function('return 1')()",
        "new Function('return 1')()",
        "(() => {}).constructor('return 1')()",
        "(async () => {}).constructor('return 1')",
        "(function* () {}).constructor('yield 1')",
        "(async function* () {}).constructor('1')",
        "Reflect.construct(Function, ['return 1'])",
        "new (class extends Function {})('return 1')",
        "Object.getPrototypeOf(agent).constructor('1')",
        "Reflect.construct(Object, [], Function).constructor('1')",
        "parallel.constructor('return 1')()",
        "(class {}).constructor('return 1')()",
        "Function.prototype.constructor.call(null, '1')",
        "new ShadowRealm()",
        "setTimeout('1', 0)",
        "[].map.constructor('1')",
    ] {
        let run = run(&format!("{road}; return 'got through'"));
        assert!(
            matches!(run.status, TurnStatus::Threw(_)),
            "{road}: {:?}",
            run.status
        );
    }
    assert_eq!(
        run("return (() => {}) instanceof Function && Function.name").value(),
        json!("Function")
    );
    for name in [
        "process",
        "module",
        "exports",
        "require",
        "Buffer",
        "fetch",
        "eval",
        "performance",
        "crypto",
        "WebAssembly",
        "SharedArrayBuffer",
        "Atomics",
        "WeakRef",
        "FinalizationRegistry",
        "Intl",
        "navigator",
        "InternalError",
        "std",
        "os",
        "host",
        "print",
    ] {
        assert_eq!(
            run(&format!("return typeof {name}")).value(),
            json!("undefined"),
            "{name}"
        );
    }
}

#[test]
fn b05_no_clock_and_no_chance() {
    for road in [
        "Date.now()",
        "new Date()",
        "Date()",
        "new (class extends Date {})()",
        "new (new Date(0).constructor)()",
        "Reflect.construct(Date, [])",
        "Date.prototype.constructor.now()",
        "Reflect.construct(Object.getPrototypeOf(new Date(0)).constructor, [], Object)",
        "Date.call(null)",
    ] {
        let run = run(road);
        assert_eq!(run.error().code.as_deref(), Some("NO_CLOCK"), "{road}");
        assert!(run.error().message.contains("now()") && run.error().message.contains("args"));
    }
    let run = run("Math.random()");
    assert_eq!(run.error().code.as_deref(), Some("NO_RANDOM"));
    assert!(run.error().message.contains("random()") && run.error().message.contains("index"));
}

#[test]
fn b05_dates_are_in_utc_and_english() {
    let body = "const d = new Date(2024, 0, 5, 13, 4, 9); class D extends Date { day() { return this.getDay() } }
        return [d.toISOString(), d.getHours(), d.getTimezoneOffset(), String(d), d.toLocaleString(), d.toLocaleDateString(), d.toLocaleTimeString(),
          d.toDateString(), new Date('2024-07-01T12:00:00').getTime(), new Date('2024-07-01T12:00:00+02:00').getTime(), new Date('July 1, 2024 12:00').getTime(),
          Date.parse('2024-07-01'), Date.UTC(2024), new Date(new Date(5)).getTime(), new D(0).day(), new D(0) instanceof Date, Date.length, Date.name,
          String(new Date(NaN)), `${new Date(0)}`.slice(0, 15), new Date(0) - 0, JSON.stringify(new Date(1)), (1234.5).toLocaleString(), 'b'.localeCompare('a')]";
    let expected = json!([
        "2024-01-05T13:04:09.000Z",
        13,
        0,
        "Fri Jan 05 2024 13:04:09 GMT+0000 (UTC)",
        "1/5/2024, 1:04:09 PM",
        "1/5/2024",
        "1:04:09 PM",
        "Fri Jan 05 2024",
        1_719_835_200_000_u64,
        1_719_828_000_000_u64,
        1_719_835_200_000_u64,
        1_719_792_000_000_u64,
        1_704_067_200_000_u64,
        5,
        4,
        true,
        7,
        "Date",
        "Invalid Date",
        "Thu Jan 01 1970",
        0,
        "\"1970-01-01T00:00:00.001Z\"",
        "1234.5",
        1
    ]);
    assert_eq!(run(body).value(), expected);
}

#[test]
fn b06_console_clone_and_timers() {
    let body = "console.log('a', { b: 1 }); console.warn('w'); console.error(new TypeError('t'));
        const o = { d: new Date(3), m: new Map([[1, { x: 1 }]]), s: new Set([1]), a: [1, [2]] }; o.self = o;
        const c = structuredClone(o); const order = [];
        queueMicrotask(() => order.push('micro')); queueMicrotask(() => { throw new Error('lost') });
        const t = setTimeout(() => order.push('never'), 10); clearTimeout(t); clearTimeout(undefined); clearTimeout(99);
        await new Promise((done) => setTimeout((x) => { order.push(x); done() }, 5, 'timer'));
        return [c.self === c, c !== o, c.d.getTime(), c.m.get(1).x, c.s.has(1), c.a, order]";
    let run = run(body);
    assert_eq!(
        run.value(),
        json!([true, true, 3, 1, true, [1, [2]], ["micro", "timer"]])
    );
    assert_eq!(run.timers, [10, 5]);
    let lines: Vec<_> = run.logs.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(lines[..3], ["a {\"b\":1}", "w", "TypeError: t"]);
    assert!(lines[3].contains("lost"));
}

#[test]
fn b09_errors_are_in_the_authors_lines() {
    let body = "function deep() { throw new TypeError('boom') }\nasync function outer() { await agent('a'); try { deep() } finally { log('x') } }\n\nawait outer()";
    let run = run(body);
    let error = run.error();
    assert_eq!(
        (
            error.name.as_str(),
            error.message.as_str(),
            error.line,
            error.column
        ),
        ("TypeError", "boom", 2, 29)
    );
    assert_eq!(
        error.stack,
        "    at deep (test.js:2:29)\n    at outer (test.js:3:50)\n"
    );
    // Columns behind what was written into the line are the author's too.
    let run = crate::support::run("try { null.x } catch (e) { const v = agent('x'); undefined.y }");
    assert_eq!((run.error().line, run.error().column), (2, 50));
    let shown = crate::support::run("const f = () => new Error('e').stack; return f()");
    assert_eq!(
        shown.value(),
        json!("    at f (test.js:2:21)\n    at main (test.js:2:46)\n")
    );
    let not_found = crate::support::run("await agent('a')\nreturn UNKNOWN_NAME");
    assert_eq!(
        (not_found.error().name.as_str(), not_found.error().line),
        ("ReferenceError", 3)
    );
    assert_eq!(not_found.calls.len(), 1);
}

#[test]
fn b09_whatever_is_thrown() {
    for (thrown, name, message, code) in [
        ("'text'", "Error", "text", None),
        ("null", "Error", "null", None),
        ("undefined", "Error", "undefined", None),
        (
            "{ message: 'm', name: 'N', code: 'C' }",
            "N",
            "m",
            Some("C"),
        ),
        ("{ a: 1 }", "Error", "{\"a\":1}", None),
        (
            "Object.assign(new RangeError('r'), { code: 5 })",
            "RangeError",
            "r",
            Some("5"),
        ),
        (
            "new (class MyError extends Error { name = 'MyError' })('x')",
            "MyError",
            "x",
            None,
        ),
        (
            "new Proxy({}, { get() { throw 1 } })",
            "Error",
            "an object",
            None,
        ),
        ("{ get message() { throw 1 } }", "Error", "an object", None),
        ("Symbol('s')", "Error", "Symbol(s)", None),
        ("() => 1", "Error", "() => 1", None),
        (
            "new AggregateError([], 'agg')",
            "AggregateError",
            "agg",
            None,
        ),
        ("'x'.repeat(1e6)", "Error", "", None),
    ] {
        let run = run(&format!("throw {thrown}"));
        let error = run.error();
        assert_eq!(
            (error.name.as_str(), error.code.as_deref()),
            (name, code),
            "{thrown}"
        );
        assert!(
            error.message.starts_with(message) && error.message.len() < 70_000,
            "{thrown}: {}",
            error.message
        );
    }
}

/// All of them reach the journal in one record.
#[test]
fn b09_an_error_is_cut_to_what_a_record_holds() {
    let long = "const long = '\u{e9}'.repeat(1e6);";
    let run = run(&format!(
        "{long} throw Object.assign(new Error(long), {{ name: long, code: long, stack: long }})"
    ));
    let error = run.error();
    let letters = |text: &str| text.chars().count();
    assert_eq!(letters(&error.name), 257);
    assert_eq!(letters(error.code.as_deref().unwrap()), 257);
    assert_eq!(letters(&error.message), 65_537);
    assert!(error.name.ends_with("é…") && letters(&error.stack) <= 65_537);
    let whole = crate::support::run(
        "throw Object.assign(new Error('m'), { name: 'n'.repeat(256), code: 'c'.repeat(256) })",
    );
    assert_eq!(whole.error().name, "n".repeat(256));
    assert_eq!(whole.error().code, Some("c".repeat(256)));
}

#[test]
fn b09_unhandled_rejections_are_logged() {
    let run = run(
        "Promise.reject(new Error('lost'));\nagent('a').then(() => { throw 'late' });\nPromise.reject(1).catch(() => {});\nawait agent('b'); return 1",
    );
    assert_eq!(run.value(), json!(1));
    assert_eq!(
        run.warnings(),
        [
            "unhandled rejection: Error: lost\n    at main (test.js:2:20)",
            "unhandled rejection: Error: late"
        ]
    );
}

#[test]
fn b10_globals_may_be_redeclared() {
    let body = "const budget = 'normal', args = 1, agent = (x) => x; let phase = 2; function log() { return 'mine' }
        return [budget, args, agent('a'), phase, log(), later(), parallel()];
        function later() { return 'hoisted' }
        function parallel() { return 'own' }";
    assert_eq!(
        run(body).value(),
        json!(["normal", 1, "a", 2, "mine", "hoisted", "own"])
    );
    assert_eq!(
        run("const patterns = 1, merge = 2; let attempt = 3; return [patterns, merge, attempt]")
            .value(),
        json!([1, 2, 3])
    );
    assert_eq!(
        run("return [patterns(), merge(), attempt()]; function patterns() { return 1 } function merge() { return 2 } async function attempt() {}").value(),
        json!([1, 2, {}])
    );
    assert_eq!(
        run("globalThis.pipeline = 5; return pipeline").value(),
        json!(5)
    );
}

#[test]
fn b08_nothing_is_issued_after_the_return() {
    let run = run(
        "(async () => { await null; await null; await null; await null; await null; log('late') })(); return 1",
    );
    assert_eq!(run.value(), json!(1));
    assert!(run.logs.is_empty());
}

#[test]
fn b09_waiting_for_nothing_is_an_error() {
    let run = run("await agent('a'); await new Promise(() => {})");
    assert_eq!(run.error().code.as_deref(), Some("STALLED"));
}

#[test]
fn b04_broken_worlds_end_in_an_error() {
    for patch in [
        "Promise.prototype.constructor = null",
        "Object.defineProperty(Promise.prototype, 'constructor', { get() { throw new Error('x') } })",
        "Object.defineProperty(Array.prototype, '0', { set() { throw new Error('x') } })",
    ] {
        let run = run(&format!(
            "{patch}; return [await agent('a', {{ schema: {{}} }}), await parallel([() => agent('b')])]"
        ));
        assert!(
            matches!(run.status, TurnStatus::Threw(_) | TurnStatus::Returned(_)),
            "{patch}: {:?}",
            run.status
        );
    }
}

/// What a script does to its own world is its own affair: the engine neither trips nor tells lies.
#[test]
fn b04_patched_worlds() {
    for patch in PATCHES {
        let body = format!(
            "{patch};\nconst a = await agent('one', {{ schema: {{ type: 'object' }} }});\nconst r = await parallel([() => agent('two'), () => {{ throw new Error('x') }}]);
             const p = await pipeline(['i'], (x) => agent('three ' + x));\nreturn {{ a, r0: r[0], r1: r[1], p0: p[0] }}"
        );
        let run = Host::new().run(&script(&body));
        assert_eq!(
            run.prompts(),
            ["one", "two", "three i"],
            "{patch}: {:?}",
            run.status
        );
        assert_eq!(
            run.calls[0].options.as_ref(),
            "{\"schema\":{\"type\":\"object\"}}",
            "{patch}"
        );
        assert_eq!(run.calls[1].label, None, "{patch}");
        if !patch.starts_with("Object.prototype.value") {
            let expected =
                json!({ "a": "done: one", "r0": "done: two", "r1": null, "p0": "done: three i" });
            assert_eq!(run.value(), expected, "{patch}");
        }
    }
}
