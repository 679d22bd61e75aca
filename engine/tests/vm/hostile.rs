//! Scripts that mean harm, or behave as if they did, all at once in one engine: each ends in the contract's error, and the
//! run beside them keeps its result.

use std::fmt::Write as _;
use std::fs;

use bellwether::{Engine, Script, StartOptions, Status};
use serde_json::{Value, json};

use super::{Held, processes, script};

const HEAP_BYTES: usize = 24 << 20;

/// How a script ends.
#[derive(Clone, Debug, PartialEq)]
enum Ends {
    /// It returns this.
    With(Value),
    /// It fails with an error of this code.
    Code(&'static str),
    /// It fails with an error of this name, of its own making.
    Name(&'static str),
    /// It fails with an error of one of these codes: which limit is reached first is the machine's to say.
    Either(&'static str, &'static str),
    /// It fails with an error of its own making, of which as much is kept as a record takes.
    Cut,
}

use Ends::{Code, Cut, Either, Name, With};

const CPU: Ends = Code("LIMIT_CPU");
/// A slow machine may run out of time before it runs out of memory.
const HEAP: Ends = Either("LIMIT_HEAP", "LIMIT_CPU");
const STACK: Ends = Code("LIMIT_STACK");

fn hostile() -> Vec<(&'static str, Ends)> {
    vec![
        // Loops without end.
        ("for (;;);", CPU),
        (
            "for (;;) { try { for (;;); } catch {} finally { continue } }",
            CPU,
        ),
        ("await agent('now'); do { await null } while (true)", CPU),
        (
            "const again = () => Promise.resolve().then(again); await again()",
            Either("LIMIT_CPU", "LIMIT_HEAP"),
        ),
        (
            "const then = (resolve) => resolve({ then }); await { then }",
            CPU,
        ),
        (
            "queueMicrotask(function again() { queueMicrotask(again) }); await agent('held')",
            CPU,
        ),
        ("return { get x() { for (;;); } }", CPU),
        ("return { toJSON() { for (;;); } }", CPU),
        (
            "await agent({ toString() { for (;;); } })",
            Name("TypeError"),
        ),
        (
            "await agent('x', new Proxy({}, { ownKeys() { for (;;); } }))",
            CPU,
        ),
        ("throw { get name() { for (;;); } }", CPU),
        ("[2, 1].sort(() => { for (;;); })", CPU),
        (
            "await parallel({ length: 3, get 0() { for (;;); } })",
            Name("TypeError"),
        ),
        ("'x'.replace(/x/, () => { for (;;); })", CPU),
        // Expressions that need exponential time, and calls of the interpreter that never look up.
        ("/^(a+)+$/.test('a'.repeat(50) + 'b')", CPU),
        ("/(x+x+)+y/.exec('x'.repeat(60))", CPU),
        (
            "let all = []; for (let i = 0; i < 40; i++) all = [all, all]; return JSON.stringify(all).length",
            Either("LIMIT_CPU", "LIMIT_HEAP"),
        ),
        (
            "let n = 7n ** 100_000n; for (;;) n = n * n % (7n ** 99_999n)",
            CPU,
        ),
        ("const a = new Array(2 ** 32 - 2); return a.indexOf(1)", CPU),
        // Memory.
        (
            "let text = 'x'; for (;;) text += text",
            Name("InternalError"),
        ),
        ("return 'x'.repeat(2 ** 29)", HEAP),
        (
            "let text = 'x'; for (;;) text = (text + text).toUpperCase()",
            HEAP,
        ),
        ("const all = []; for (;;) all.push({ all: [...all] })", HEAP),
        (
            "const kept = []; for (;;) kept.push(Promise.reject(new Error('x')))",
            Either("LIMIT_CPU", "LIMIT_HEAP"),
        ),
        ("return [...(function* () { for (;;) yield 'x' })()]", HEAP),
        (
            "const map = new Map(); for (let i = 0; ; i++) map.set(i, map)",
            HEAP,
        ),
        ("return new Uint8Array(2 ** 31 - 1).length", HEAP),
        ("for (;;) agent('x'.repeat(1000))", HEAP),
        (
            "for (let i = 0; i < 1e9; i++) log('a line of the log that nobody will ever read ' + i)",
            HEAP,
        ),
        ("for (let i = 0; ; i++) phase('phase ' + i)", HEAP),
        ("for (;;) setTimeout(() => {}, 1e12)", HEAP),
        (
            "const grow = (x) => [x, x, x].map(grow); return grow(1)",
            STACK,
        ),
        // Stacks.
        ("(function down() { down() })()", STACK),
        (
            "const down = async () => { await down() }; await down()",
            Either("LIMIT_STACK", "LIMIT_HEAP"),
        ),
        (
            "const o = {}; o.toString = () => String(o); return String(o)",
            STACK,
        ),
        (
            "let deep = {}; for (let i = 0; i < 1e5; i++) deep = { deep }; return structuredClone(deep)",
            STACK,
        ),
        (
            "const p = new Proxy({}, { get(t, k, r) { return r[k] } }); return p.x",
            STACK,
        ),
        // The host, by every road.
        (
            "return agent.constructor.constructor('return process')()",
            Code("NO_EVAL"),
        ),
        (
            "return (async () => {}).constructor('return 1')",
            Code("NO_EVAL"),
        ),
        (
            "return [typeof process, typeof require, typeof fetch, typeof WebAssembly, typeof Deno, typeof std, typeof os, typeof scriptArgs, typeof globalThis.eval]",
            With(json!([
                "undefined",
                "undefined",
                "undefined",
                "undefined",
                "undefined",
                "undefined",
                "undefined",
                "undefined",
                "undefined"
            ])),
        ),
        (
            "try { null.x } catch (error) { return /bellwether:|prelude|native/.test(error.stack) }",
            With(json!(false)),
        ),
        (
            "let caller = 'none'; (function seen() { try { caller = seen.caller } catch { caller = 'strict' } })(); return caller",
            With(json!("strict")),
        ),
        (
            "const all = [Object, Array, String, Promise, Function, Error]; for (let i = 0; i < all.length; i++) { const keys = Reflect.ownKeys(all[i].prototype); for (let k = 0; k < keys.length; k++) { try { all[i].prototype[keys[k]] = null } catch {} } } return await agent('x')",
            // As in any JavaScript: `await` then knows the promise for none.
            With(json!({})),
        ),
        (
            "Object.prototype.then = (resolve) => resolve('stolen'); return await agent('x')",
            With(json!("done")),
        ),
        (
            "Object.defineProperty(Object.prototype, 'schema', { get() { throw 'from a getter' } }); return await agent('x', {})",
            With(json!("done")),
        ),
        // What cannot be said.
        ("return Symbol('x')", Code("NOT_JSON")),
        ("return agent(Symbol('x'))", Name("TypeError")),
        (
            "throw { get message() { throw 1 }, get name() { throw 2 }, get stack() { throw 3 }, toString() { throw 4 }, [Symbol.toPrimitive]() { throw 5 } }",
            Name("Error"),
        ),
        (
            "throw new Proxy(new Error('x'), { get() { throw 1 }, getPrototypeOf() { throw 2 } })",
            Name("Error"),
        ),
        (
            "const e = new Error('x'.repeat(5e6)); e.name = 'N'.repeat(1e6); throw e",
            Cut,
        ),
        (
            "return agent('x', { schema: Array.from({ length: 2e4 }).reduce((inner) => ({ not: inner }), {}) })",
            STACK,
        ),
        (
            "return agent('x', { schema: { type: 'object', properties: Object.fromEntries(Array.from({ length: 2e4 }, (_, i) => ['p' + i, { $ref: '#' }])) } })",
            Code("SCHEMA"),
        ),
        (
            "return agent('x', { schema: { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } } })",
            With(json!("done")),
        ),
        ("return args.length", With(json!(4_000_000))),
    ]
}

/// Time for those that mean to run out of it, and for all others more than a slow machine takes.
const SHORT_MS: u64 = 250;
const AMPLE_MS: u64 = 10_000;

fn options(turn_cpu_ms: u64) -> StartOptions {
    let mut options = StartOptions::new().backend("held").concurrency(0);
    options.script_limits.turn_cpu_ms = Some(turn_cpu_ms);
    options.script_limits.heap_bytes = Some(HEAP_BYTES);
    options.args = Some(Value::from("x".repeat(4_000_000)).to_string());
    options
}

/// As long as the longest in the wild, and as dense.
fn large_source() -> String {
    let mut body = String::new();
    let mut part = 0;
    while body.len() < 400_000 {
        let _ = writeln!(
            body,
            "const f{part} = (x) => [x, {part}, `${{x}}`].map((y) => y)"
        );
        part += 1;
    }
    format!("{body}return f{}('x')[0]", part - 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b07_what_means_harm_ends_in_its_error_and_harms_nobody() {
    let _alone = super::ALONE.lock().await;
    let held = Held::new();
    let engine = Engine::builder()
        .memory()
        .backend("held", std::sync::Arc::new(held.clone()))
        .build()
        .await
        .unwrap();
    let body = "let sum = 0; for (let i = 0; i < 50; i++) sum += (await agent('beside ' + i)).length; await agent('hold'); return sum";
    let bystander = engine.start(script(body), options(AMPLE_MS)).await.unwrap();
    let large = engine
        .start(script(&large_source()), options(AMPLE_MS))
        .await
        .unwrap();

    let mut runs = Vec::new();
    for (body, ends) in hostile() {
        let source = Script::text(format!(
            "export const meta = {{ name: 'hostile', description: 'means harm' }};\n{body}"
        ));
        let time = match ends {
            Code("LIMIT_CPU") | Either(..) => SHORT_MS,
            _ => AMPLE_MS,
        };
        runs.push((
            body,
            ends,
            engine.start(source, options(time)).await.unwrap(),
        ));
    }
    let mut offences = Vec::new();
    for (body, ends, run) in &runs {
        run.wait().await;
        let view = engine.archive().view(run.id(), 0).unwrap();
        let result = run.result::<Value>().await;
        let came = match (&view.error, &result) {
            (Some(error), _) => format!("{:?} {} {}", error.code, error.name, error.message),
            (None, Ok(value)) => value.to_string(),
            (None, Err(error)) => error.to_string(),
        };
        let code = view.error.as_ref().and_then(|error| error.code.as_deref());
        let is_so = match ends {
            With(value) => result.as_ref().is_ok_and(|came| came == value),
            Code(wanted) => code == Some(wanted),
            Name(name) => view.error.as_ref().is_some_and(|error| error.name == *name),
            Cut => view
                .error
                .as_ref()
                .is_some_and(|error| error.name.len() < 1_000 && error.message.len() < 100_000),
            Either(one, other) => code == Some(one) || code == Some(other),
        };
        if !is_so {
            let came: String = came.chars().take(200).collect();
            offences.push(format!(
                "{body}\n    {ends:?} was expected, it came to {came}"
            ));
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
    assert_eq!(large.result::<Value>().await.unwrap(), "x");

    held.release();
    assert_eq!(bystander.result::<u64>().await.unwrap(), 50 * 4);
    assert_eq!(
        super::losses(&engine, &bystander),
        0,
        "it is charged with nothing"
    );
    assert_eq!(bystander.wait().await, Status::Completed);
    // All of them had one process after another, each of which gives back what a script had.
    let (process, _) = processes().pop_first().unwrap();
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: usize = peak
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    assert!(kib * 1024 < 4 * HEAP_BYTES, "{kib} KiB are kept");
}
