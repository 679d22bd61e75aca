//! The drawing of scripts, line by line; bounds as tables; and sources that mean harm.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use super::*;

const HEADER: &str = "export const meta = { name: 'n', description: 'd' }\n";

/// The drawing of a body whose first line is the second of its script.
fn drawn(body: &str) -> String {
    match outline(&format!("{HEADER}{body}"), "test.js", &Limits::default()) {
        Ok(outline) => outline.to_string(),
        Err(refusal) => panic!("{refusal}"),
    }
}

fn assert_drawn(body: &str, wanted: &[&str]) {
    let drawing = drawn(body);
    let lines: Vec<&str> = drawing.lines().collect();
    assert_eq!(lines, wanted, "of\n{body}");
}

#[test]
fn what_is_parallel_and_what_comes_after_what() {
    assert_drawn(
        "phase('Find')
const files = ['a', 'b', 'c']
const found = await parallel(files.map((file) => () => agent(`Look at ${file}`, { label: `look:${file}`, agentType: 'Explore', model: 'haiku' })))
phase('Judge')
const judged = await pipeline(found.filter(Boolean),
  (one) => agent('Is it real? ' + one, { label: 'judge', schema: S }),
  (verdict) => verdict.real && parallel([() => agent('More'), () => attempt('Again', { isolation: 'worktree' })]))
await Promise.all([agent('one'), agent('two')])
const first = await Promise.race([agent('slow'), sleep('PT5M')])
await Promise.allSettled(args.list.map(async (x) => { await agent('then'); await agent('after') }))
await workflow('next', {})
await workflow({ scriptPath: './next.js' })
await ask(`Land ${branches.length} branches?`, { choices: ['yes', 'no'] })
return await merge(branches, { into: 'main', verify: 'cargo test' })",
        &[
            " 2  phase \"Find\"",
            " 4  parallel over files (3 at once)",
            " 4  └─ agent \"look:{file}\"  Explore  haiku",
            " 5  phase \"Judge\"",
            " 6  pipeline over found.filter(Boolean) (no bound found)",
            " 7  ├─ stage 1",
            " 7  │  └─ agent \"judge\"  schema  verifies",
            " 8  └─ stage 2",
            " 8     └─ gated: if verdict.real",
            " 8        └─ parallel (2 at once)",
            " 8           ├─ agent \"More\"  verifies",
            " 8           └─ attempt \"Again\"  worktree  edits",
            " 9  parallel (2 at once)",
            " 9  ├─ agent \"one\"  verifies",
            " 9  └─ agent \"two\"  verifies",
            "10  race (2 at once)",
            "10  └─ agent \"slow\"  verifies",
            "11  parallel over args.list (no bound found)",
            "11  ├─ agent \"then\"  verifies",
            "11  └─ agent \"after\"  verifies",
            "12  workflow \"next\"",
            "13  workflow \"./next.js\"",
            "14  ask \"Land {branches.length} branches?\"",
            "15  merge into \"main\" verified by \"cargo test\"  verifies",
        ],
    );
}

#[test]
fn gates_say_what_what_follows_depends_on() {
    assert_drawn(
        "if (!args) return null
if (args.deep) {
  await agent('deep')
} else if (args.wide) {
  await agent('wide')
} else {
  await agent('plain')
}
const one = args.on ? await agent('yes') : null
const two = one ?? (await agent('otherwise'))
try { await agent('try') } catch { await agent('caught') } finally { log('x') }
switch (args.kind) { case 'a': await agent('a'); break; default: await agent('b') }
if (args.only) { log('nothing is asked') }",
        &[
            " 2  gated: if !args, return",
            " 3  gated: if args.deep",
            " 4  └─ agent \"deep\"",
            " 5  gated: if args.wide",
            " 6  └─ agent \"wide\"",
            " 7  gated: else",
            " 8  └─ agent \"plain\"",
            "10  gated: if args.on",
            "10  └─ agent \"yes\"",
            "11  gated: if one is missing",
            "11  └─ agent \"otherwise\"",
            "12  agent \"try\"",
            "12  gated: on an error",
            "12  └─ agent \"caught\"",
            "13  gated: if args.kind is 'a'",
            "13  └─ agent \"a\"",
            "13  gated: if args.kind is another",
            "13  └─ agent \"b\"",
        ],
    );
}

#[test]
fn functions_are_followed_where_they_are_called() {
    assert_drawn(
        "const look = async (file) => agent(`Look at ${file}`, { label: file })
async function both(file) {
  await look(file)
  return helper(file)
}
function helper(file) { return file.length > 3 ? file : helper(file + '!') }
await parallel(args.map((file) => () => both(file)))
await parallel(args.map(look).map((p) => () => p))
const deep = async (list) => {
  await agent('Split')
  if (list.length > 1) return deep(list.slice(1))
}
await deep(args)
const thunks = []
for (const one of args) thunks.push(() => agent('Pushed'))
thunks.push(look)
await parallel(thunks)
const ready = args.map((x) => () => agent('Ready'))
await parallel([...ready, () => agent('Last')])
const tools = { hidden: () => agent('Hidden') }
await tools.hidden()
const never = () => agent('Never called')",
        &[
            " 8  parallel over args (no bound found)",
            " 8  └─ call both()",
            " 4     └─ call look()",
            " 2        └─ agent \"{file}\"",
            " 9  parallel over args (no bound found)",
            " 2  └─ agent \"{file}\"",
            " 9  parallel over args.map(look) (no bound found)",
            "14  call deep()",
            "11  ├─ agent \"Split\"",
            "12  └─ gated: if list.length > 1, return",
            "12     └─ recursion deep() calls itself (no bound found)",
            "18  parallel over thunks (no bound found)",
            "16  ├─ agent \"Pushed\"",
            " 2  └─ agent \"{file}\"",
            "20  parallel over args (no bound found)",
            "19  ├─ agent \"Ready\"",
            "20  └─ agent \"Last\"",
            "21  agent \"Hidden\"",
            "    elsewhere called through a value, or not at all",
            "23  └─ agent \"Never called\"",
        ],
    );
}

#[test]
fn loops_have_their_bounds() {
    for (head, bound) in [
        ("for (let i = 0; i < 4; i++) {", "4 times"),
        (
            "for (let i = 0; i < 4; i++) { if (args) break;",
            "at most 4 times",
        ),
        ("for (let i = 0; i < args.n; i++) {", "no bound found"),
        (
            "for (let i = 0;; i++) { if (i >= 3) break;",
            "at most 3 times",
        ),
        ("for (const one of [1, 2, 3]) {", "3 times"),
        ("for (const one of args.slice(0, 5)) {", "at most 5 times"),
        ("for (const one of args) {", "no bound found"),
        ("for (const name in args) {", "no bound found"),
        (
            "const MAX = 2 + 3; let n = 0; while (n < MAX && args) { n++;",
            "at most 5 times",
        ),
        ("let n = 1; while (5 >= n) { n += 2;", "at most 3 times"),
        ("let n = 0; while (n++ < 3) {", "at most 3 times"),
        ("let n = 0; while (++n < 3) {", "at most 2 times"),
        (
            "let n = 0; do { n++; await agent('in') } while (n < 3); {",
            "at most 3 times",
        ),
        (
            "let n = 0; do { await agent('in') } while (n++ < 3); {",
            "at most 4 times",
        ),
        (
            "let n = 0; while (true) { if (++n > 3) break;",
            "at most 3 times",
        ),
        (
            "let n = 0; while (true) { await agent('in'); if (++n >= 3) break;",
            "at most 3 times",
        ),
        (
            "let n = 0; while (true) { n++; await agent('in'); if (n === 3 || args) { log('x'); return 1 }",
            "at most 3 times",
        ),
        ("while (true) {", "no bound found"),
        ("while (args.length) {", "no bound found"),
        // What is counted down again, or skipped, or begins anew, is no bound.
        (
            "let n = 0; while (n < 3) { n++; if (args) n = 0;",
            "no bound found",
        ),
        (
            "let n = 0; while (n < 3) { if (args) continue; n++;",
            "no bound found",
        ),
        (
            "let n = 0; while (n < 3) { if (args) n++;",
            "no bound found",
        ),
        (
            "while (args) { let n = 0; n++; if (n > 3) break;",
            "no bound found",
        ),
        (
            "while (!budget.total || budget.remaining() > 60000) {",
            "while the budget lasts; no bound without one",
        ),
        (
            "while (true) { if (budget.remaining() < 1) break;",
            "while the budget lasts; no bound without one",
        ),
        (
            "let n = 0; while (n < 9 && budget.remaining() > 1) { n++;",
            "at most 9 times",
        ),
    ] {
        let drawing = drawn(&format!("{head} await agent('x') }}"));
        let line = drawing
            .lines()
            .find(|line| line.contains("loop "))
            .unwrap_or_default();
        assert!(line.ends_with(&format!(" ({bound})")), "{head}\n{drawing}");
    }
}

#[test]
fn fan_outs_have_their_bounds() {
    for (list, bound) in [
        (
            "Array.from({ length: 7 }, (_, i) => () => agent('x'))",
            "7 at once",
        ),
        (
            "[...Array(4).keys()].map((i) => () => agent('x'))",
            "4 at once",
        ),
        (
            "args.slice(0, 12).map((i) => () => agent('x'))",
            "at most 12 at once",
        ),
        (
            "[1, 2, 3].filter(Boolean).map((i) => () => agent('x'))",
            "at most 3 at once",
        ),
        (
            "[() => agent('x'), ...[1, 2].map(() => () => agent('y'))]",
            "3 at once",
        ),
        (
            "args.flatMap((i) => [() => agent('x'), () => agent('y')])",
            "no bound found",
        ),
        ("args", "no bound found"),
    ] {
        let drawing = drawn(&format!("await parallel({list})"));
        let first = drawing.lines().next().unwrap_or_default();
        assert!(first.ends_with(&format!("({bound})")), "{list}\n{drawing}");
    }
}

#[test]
fn patterns_verify_and_call_what_they_are_given() {
    assert_drawn(
        "await patterns.converge({ task: 'x', implement: async () => agent('Make it', { isolation: 'worktree' }) })
await agent('Fix the bug in the parser')
await agent('Do the thing', { label: 'verify it' })
await merge(list)
await merge(list, options)",
        &[
            "2  pattern converge  verifies",
            "2  └─ agent \"Make it\"  worktree  edits",
            "3  agent \"Fix the bug in the parser\"  edits",
            "4  agent \"verify it\"  verifies",
            "5  merge without verification",
            "6  merge with options that are computed  verifies",
        ],
    );
}

#[test]
fn a_script_that_would_not_run_is_drawn_if_it_can_be_parsed() {
    let text = |source: &str| outline(source, "t.js", &Limits::default());
    let drawing = text("await agent('x')\nconst fs = await import('fs')").unwrap();
    assert_eq!((drawing.name.as_deref(), drawing.nodes.len()), (None, 1));
    for (source, line, column) in [
        ("await agent(", 1, 13),
        ("const x: number = 1", 1, 8),
        ("a\0b", 1, 2),
    ] {
        let refusal = text(source).unwrap_err();
        assert_eq!(
            (refusal.line, refusal.column),
            (line, column),
            "{source}: {refusal}"
        );
    }
    let limits = Limits {
        source_bytes: 10,
        ..Limits::default()
    };
    assert_eq!(
        outline("await agent('x')", "t.js", &limits)
            .unwrap_err()
            .line,
        0
    );
}

#[test]
fn programs_get_it_as_a_tree() {
    let source =
        format!("{HEADER}for (let i = 0; i < 2; i++) await agent('Fix it', {{ model: 'opus' }})");
    let outline = outline(&source, "t.js", &Limits::default()).unwrap();
    assert_eq!(
        serde_json::to_value(&outline).unwrap(),
        serde_json::json!({
            "name": "n",
            "nodes": [{
                "kind": "loop",
                "line": 2,
                "text": "for i < 2",
                "bound": { "kind": "exactly", "count": 2 },
                "children": [{
                    "kind": "agent",
                    "line": 2,
                    "text": "\"Fix it\"",
                    "role": "edits",
                    "options": { "model": "opus", "schema": false },
                }],
            }],
            "leftOut": false,
        })
    );
}

#[test]
fn hostile_sources_are_drawn_in_bounds() {
    // Each function calls the one before twice: 2^60 ways to the agent, and to nothing.
    for first in ["agent('x')", "1"] {
        let mut body = format!("const f0 = () => {first}\n");
        for n in 1..60 {
            let before = n - 1;
            let line = format!("const f{n} = () => {{ f{before}(); f{before}() }}\n");
            body.push_str(&line);
        }
        body += "f59()";
        let outline = outline(&format!("{HEADER}{body}"), "t.js", &Limits::default()).unwrap();
        assert_eq!(outline.left_out, first != "1");
    }
    // Everything calls everything.
    let calls: Vec<String> = (0..40).map(|n| format!("f{n}()")).collect();
    let calls = calls.join(";");
    let functions = (0..40).map(|n| format!("function f{n}() {{ {calls}; agent('x') }}\n"));
    let body: Vec<String> = functions.collect();
    assert!(drawn(&(body.concat() + "f0()")).ends_with("… and more\n"));
    // What is nested without end is cut at a depth.
    let deep = format!(
        "{}await agent('x'){}",
        "if (args) {".repeat(3_000),
        "}".repeat(3_000)
    );
    assert_eq!(drawn(&deep).lines().count(), DEPTH_MAX_LINES);
    let deep = format!(
        "{}agent('x'){}",
        "parallel([() => ".repeat(2_000),
        "])".repeat(2_000)
    );
    let is_flat = |line: &str| {
        line.chars()
            .take_while(|letter| !letter.is_alphanumeric())
            .count()
            < 200
    };
    assert!(drawn(&deep).lines().all(|line| is_flat(&line[1..])));
    drawn(&format!(
        "{}agent('x'){}",
        "f(".repeat(20_000),
        ")".repeat(20_000)
    ));
}

/// Each of these took time in the square of its length before it was bounded.
#[test]
fn long_sources_are_drawn_in_their_time() {
    let many = |part: &str| part.repeat(100_000);
    for body in [
        format!("f({}1)", many("1,")),
        format!("await agent('x', {}1)", many("1,")),
        format!("const x = {}agent('x')", "a && ".repeat(20_000)),
        format!("const x = {}agent('x')", "a ? b : ".repeat(20_000)),
        format!("await parallel([{}])", "() => agent('x'),".repeat(20_000)),
        format!("{}await agent('x')", many("a();")),
        format!(
            "let n = 0; while (n < 3) {{ n++; {} await agent('x') }}",
            "while (n < 3) { a() }".repeat(10_000)
        ),
        format!("const l = a{}\nawait parallel(l)", ".map(f)".repeat(20_000)),
    ] {
        drawn(&body);
    }
}

/// A part for each level that is drawn, and the agent.
const DEPTH_MAX_LINES: usize = 31;
