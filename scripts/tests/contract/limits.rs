//! B07: a limit ends the VM, whatever the script does about it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bellwether_scripts::{Limits, Start, TurnStatus, Vm};
use serde_json::json;

use crate::support::{Host, Run, run, script};

/// So much CPU time is never what ends a script that wants memory, however busy the machine.
const AMPLE: Duration = Duration::from_mins(1);

fn small() -> Limits {
    let mut limits = Limits::default();
    limits.turn_cpu = Duration::from_millis(150);
    limits.heap_bytes = 16 * 1024 * 1024;
    limits.stack_bytes = 256 * 1024;
    limits
}

fn hostile(body: &str) -> Run {
    Host {
        limits: small(),
        ..Host::new()
    }
    .run(&script(body))
}

/// What the run ended with; on a thread whose stack is of the usual size, as in a host.
fn code(body: &str) -> String {
    ending(body, &hostile(body))
}

/// The same of one whose turns may compute for long.
fn code_at_leisure(body: &str) -> String {
    let mut limits = small();
    limits.turn_cpu = AMPLE;
    let host = Host {
        limits,
        ..Host::new()
    };
    ending(body, &host.run(&script(body)))
}

fn ending(body: &str, run: &Run) -> String {
    match &run.status {
        TurnStatus::LimitReached(error) => {
            assert!(
                run.turns
                    .last()
                    .is_some_and(|turn| turn.commands.is_empty()),
                "{body}"
            );
            assert!(
                error.message.contains("raise the limit"),
                "{}",
                error.message
            );
            error.code.clone().unwrap_or_default()
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn b07_endless_computing() {
    for body in [
        "for (;;) {}",
        "while (true) await null",
        "while (true) { try { for (;;) {} } catch { } finally { continue } }",
        "try { for (;;) {} } finally { return 1 }",
        "await agent('a'); log('lost'); for (;;) {}",
        "const f = () => { Promise.resolve().then(f) }; f(); await agent('a')",
        "while (true) new Promise(() => { for (;;) {} })",
        "const p = (async () => {})().constructor; while (true) new p(() => { for (;;) {} })",
        "async function f() { for (;;) {} } while (true) f()",
        "async function* g() { for (;;) {} } while (true) g().next()",
        "while (true) { try { await (async () => { for (;;) {} })() } catch {} }",
        "while (true) { Promise.try?.(() => { for (;;) {} }) ?? new Promise(() => { for (;;) {} }) }",
        "function* g() { try { for (;;) {} } finally { yield 1 } } for (;;) { try { g().next() } catch {} }",
        "new Promise((r) => r({ then() { for (;;) {} } })); await agent('a')",
        "({ toString() { for (;;) {} } }) + ''",
        "while (true) { try { new Map({ [Symbol.iterator]() { return { next: () => ({ value: 1 }), return() { for (;;) {} } } } }) } catch {} }",
        "while (true) { for (const x of { [Symbol.iterator]: () => ({ next: () => ({ value: 1 }), return() { for (;;) {} } }) }) break }",
        "/^(a+)+$/.test('a'.repeat(40) + 'b')",
        "while (true) { try { /^(a+)+$/.test('a'.repeat(40) + 'b') } catch {} }",
        "Error.prepareStackTrace = () => { for (;;) {} }; Error.stackTraceLimit = { valueOf() { for (;;) {} } }; while (true) new Error()",
        "await agent({ toString() { for (;;) {} } }).catch(() => {}); for (;;) {}",
        "await agent('a', { get label() { for (;;) {} } }).catch(() => {}); return 1",
        "await parallel([() => { for (;;) {} }]); return 1",
        "const s = new (globalThis.AsyncDisposableStack ?? class { use() {} disposeAsync() { for (;;) {} } })(); s.use({ async [Symbol.asyncDispose ?? 'x']() { for (;;) {} } }); while (true) s.disposeAsync()",
    ] {
        assert_eq!(code(body), "LIMIT_CPU", "{body}");
    }
}

#[test]
fn b07_endless_memory() {
    for body in [
        "const all = []; for (;;) all.push({ a: 1 })",
        "const all = []; for (;;) { try { all.push({ a: 1 }) } catch { } }",
        "const all = []; while (true) { try { all.push('x'.repeat(1e6) + all.length) } catch (e) { continue } finally { continue } }",
        "const s = new Set(); for (let i = 0; ; i++) s.add('y'.repeat(1e5) + i)",
        "try { Array(1e9).fill(0) } catch { return 'caught' }",
        "try { return new ArrayBuffer(1e9).byteLength } catch { return 'caught' }",
        "const f = async () => Array(1e9).fill(0); await f().catch(() => 'caught'); return 1",
        "await new Promise((r) => { Array(1e9).fill(0); r() }).catch(() => 1); return 1",
        "await Promise.allSettled([(async () => Array(1e9).fill(0))()]); return 1",
        "const r = await parallel([() => Array(1e9).fill(0)]); return r",
        "let o = {}; for (let i = 0; i < 19; i++) o = { aaaaaaaaaaaaaaaaaaaa: o, b: o }; return JSON.stringify(o).length",
        "for (;;) agent('x'.repeat(1e6))",
        "for (;;) log('x'.repeat(1e6))",
        "for (let i = 0; i < 1e6; i++) agent('a' + i); return 1",
        "for (;;) sleep(1)",
    ] {
        assert_eq!(code_at_leisure(body), "LIMIT_HEAP", "{body}");
    }
}

#[test]
fn b07_endless_recursion() {
    for body in [
        "function f() { f() } f()",
        "function f() { try { f() } catch (e) { return 1 } } return f()",
        "function f() { try { f() } catch { f() } finally { return 1 } } return f()",
        "const f = async () => { await null; const g = () => g(); g() }; return await f().catch(() => 'caught')",
        "const f = async () => { const g = () => g(); g() }; return await f().then(null, () => 'caught')",
        "const o = { get x() { return this.x } }; try { return o.x } catch ({ message }) { return message }",
        "const f = () => f(); try { f() } catch ({ name, message: [first] = 'x' }) { return first }",
        "const p = new Proxy({}, { get(t, k, r) { return r[k] } }); try { return p.x } catch { return 1 }",
        "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; try { JSON.stringify(a) } catch { return 1 }",
        "try { JSON.parse('['.repeat(1e5)) } catch { return 1 }",
        "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a",
        "class A { constructor() { return new A() } } try { new A() } catch { return 1 }",
        "await parallel([() => { const f = () => f(); f() }]); return 1",
    ] {
        assert_eq!(code(body), "LIMIT_STACK", "{body}");
    }
}

#[test]
fn b07_limits_are_named_with_their_value() {
    let run = hostile("for (;;) {}");
    assert_eq!(run.limit().name, "CpuLimitError");
    assert!(
        run.limit().message.contains("150ms"),
        "{}",
        run.limit().message
    );
    let run = hostile("Array(1e9).fill(0)");
    assert_eq!(run.limit().name, "HeapLimitError");
    assert!(
        run.limit().message.contains("16777216 bytes"),
        "{}",
        run.limit().message
    );
    let run = hostile("function f() { f() } f()");
    assert_eq!(run.limit().name, "StackLimitError");
}

#[test]
fn b07_ordinary_errors_are_still_caught() {
    let body = "const seen = [];
        try { null.x } catch (e) { seen.push(e.name) }
        try { throw null } catch (e) { seen.push(e) }
        try { throw { message: 'm' } } catch ({ message, code = 'none' }) { seen.push(message, code) }
        try { new Array(-1) } catch { seen.push('range') }
        try { 'x'.repeat(2 ** 40) } catch (e) { seen.push('long') }
        const f = () => { try { return 1 } finally { seen.push('finally') } };
        seen.push(f());
        const g = () => { outer: for (;;) { try { throw 1 } catch (e) { continue outer } finally { break } } return 2 };
        seen.push(g());
        await agent('a').then(() => { throw new Error('x') }).catch((e) => seen.push(e.message));
        return seen";
    let expected = json!([
        "TypeError",
        null,
        "m",
        "none",
        "range",
        "long",
        "finally",
        1,
        2,
        "x"
    ]);
    assert_eq!(run(body).value(), expected);
}

#[test]
fn b07_each_turn_has_its_own_time() {
    let body = "for (let i = 0; i < 8; i++) { let n = 0; for (let k = 0; k < 1e5; k++) n += k; await agent('a' + i) } return 1";
    assert_eq!(hostile(body).value(), json!(1));
}

/// Without the flag this test would compute for a day.
#[test]
fn b07_a_vm_that_nobody_wants_ends_its_turn() {
    let mut limits = Limits::default();
    limits.turn_cpu = Duration::from_hours(24);
    let script = script("for (;;) {}");
    let start = Start {
        script: &script,
        args: None,
        limits: &limits,
        seed: [0; 32],
        time: 0,
        budget_total: None,
    };
    let abandoned = Arc::new(AtomicBool::new(true));
    let (_, turn) = Vm::start_until(&start, abandoned);
    assert!(matches!(turn.status, TurnStatus::LimitReached(_)));
    assert!(turn.commands.is_empty());
}
