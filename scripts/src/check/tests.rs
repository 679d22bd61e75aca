//! Sources and what is found in them.

#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use super::*;

const HEADER: &str = "export const meta = { name: 'n', description: 'd' }\n";

/// The findings as lines: place, severity, code, message, remedy.
fn told(source: &str, surroundings: &dyn Surroundings) -> String {
    let mut text = String::new();
    for it in check(source, &Limits::default(), surroundings) {
        let severity = match it.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        };
        let (from, to) = ((it.line, it.column), (it.end_line, it.end_column));
        let place = format!("{}:{}-{}:{}", from.0, from.1, to.0, to.1);
        let _ = write!(text, "{place} {severity} {}: {}", it.code, it.message);
        if !it.remedy.is_empty() {
            let _ = write!(text, " = {}", it.remedy);
        }
        text.push('\n');
        for related in &it.related {
            let (line, column) = (related.line, related.column);
            let _ = writeln!(text, "    {line}:{column} {}", related.message);
        }
    }
    text
}

/// The codes of what is found in a body, with the text at each place.
fn found(body: &str) -> Vec<(&'static str, String)> {
    let source = format!("{HEADER}{body}");
    check(&source, &Limits::default(), &Place)
        .into_iter()
        .map(|it| {
            let line: Vec<char> = source
                .lines()
                .nth(it.line as usize - 1)
                .unwrap_or_default()
                .chars()
                .collect();
            let end = if it.end_line == it.line {
                it.end_column as usize - 1
            } else {
                line.len()
            };
            (it.code, line[it.column as usize - 1..end].iter().collect())
        })
        .collect()
}

/// A place with one agent type, one workflow and one script.
struct Place;

impl Surroundings for Place {
    fn option(&self, name: &str, value: &Value) -> Option<Problem> {
        match name {
            "agentType" => (value != "reviewer").then(|| problem("unknown-agent-type")),
            "schema" => self.schema(value),
            _ => None,
        }
    }

    fn schema(&self, schema: &Value) -> Option<Problem> {
        let wrong = schema.pointer("/properties/a/type") == Some(&json!("strin"));
        wrong.then(|| Problem {
            pointer: Some("/properties/a/type".to_owned()),
            ..problem("malformed-schema")
        })
    }

    fn workflow(&self, name: &str) -> Option<Problem> {
        (name != "there").then(|| problem("unknown-workflow"))
    }

    fn script(&self, path: &str) -> Option<Problem> {
        (path != "./there.js").then(|| problem("missing-script"))
    }
}

fn problem(code: &'static str) -> Problem {
    Problem {
        code,
        message: "wrong".to_owned(),
        remedy: String::new(),
        pointer: None,
    }
}

#[test]
fn everything_at_once() {
    let source = "export const meta = { name: x, phases: [f()], ...y, description: '' }
const started = Date.now()
export default 1
await agent('Look', { lable: started, agentType: 'nobody', schema: { properties: { a: { type: 'strin' } } } })
import('fs')";
    insta::assert_snapshot!(told(source, &Place));
}

#[test]
fn syntax_is_told_at_its_place_and_read_on() {
    let table = [
        ("const a = ;", vec![("syntax", ";")]),
        ("let a; let a;", vec![("syntax", "a")]),
        (
            "const x: string = 'a'; await agent('x', { lable: 1 })",
            vec![("syntax", ":"), ("unknown-option", "lable")],
        ),
        ("const s = 'a\0'", vec![("syntax", "\0")]),
    ];
    for (body, expected) in table {
        assert_eq!(shown(&found(body)), expected, "{body}");
    }
    let late = "const a = 1\nexport const meta = { name: 'n', description: 'd' }";
    insta::assert_snapshot!(told(late, &Anywhere), @r"
    1:1-1:12 error header: the script does not begin with its header = the first statement of a script is `export const meta = { name: '…', description: '…' }`
        2:1 here it is
    ");
    let none = told("", &Anywhere);
    assert!(
        none.starts_with("1:1-1:1 error header: the script has no header"),
        "{none}"
    );
}

fn shown<'f>(found: &'f [(&'static str, String)]) -> Vec<(&'static str, &'f str)> {
    found
        .iter()
        .map(|(code, text)| (*code, text.as_str()))
        .collect()
}

/// Bodies, and what is found: code and text.
type Cases<'c> = &'c [(&'c str, &'c [(&'c str, &'c str)])];

fn each(cases: Cases<'_>) {
    for (body, expected) in cases {
        assert_eq!(shown(&found(body)), *expected, "{body}");
    }
}

#[test]
fn b04_b05_names() {
    each(&[
        (
            "return [Date.now(), new Date, Date(), Math.random()]",
            &[
                ("clock", "Date.now"),
                ("clock", "new Date"),
                ("clock", "Date()"),
                ("chance", "Math.random"),
            ],
        ),
        ("return new Date(5).getTime() + Math.max(1, 2)", &[]),
        (
            "return ['Date.now()', `Math.random() ${1}`] // new Date()",
            &[],
        ),
        ("const Date = { now: () => 1 }; return Date.now()", &[]),
        ("return process.env.HOME", &[("absent-name", "process")]),
        (
            "return typeof process === 'undefined' ? 1 : process.env.HOME",
            &[],
        ),
        (
            "return new Function('1')",
            &[("code-from-text", "new Function('1')")],
        ),
        ("return agent instanceof Function", &[]),
        ("return eval('1')", &[("absent-name", "eval")]),
        (
            "const ROUTES = 1; return ROUTE",
            &[("unknown-name", "ROUTE")],
        ),
        ("total = 1", &[("unknown-name", "total")]),
        ("globalThis.total = 1; return total", &[]),
        ("return meta.name", &[("unknown-name", "meta")]),
        ("return f(arguments); function f(x) { return x }", &[]),
        (
            "require('fs'); await import('fs')",
            &[("import", "require('fs')"), ("import", "import('fs')")],
        ),
        ("const require = (x) => x; return require('fs')", &[]),
    ]);
    let caught = check(
        &format!("{HEADER}try {{ Date.now() }} catch {{}}"),
        &Limits::default(),
        &Anywhere,
    );
    assert_eq!(
        caught.first().map(|it| it.severity),
        Some(Severity::Warning)
    );
}

#[test]
fn a03_a05_prompts_and_options() {
    each(&[
        ("await agent()", &[("prompt", "agent()")]),
        (
            "await agent({ prompt: 'x' })",
            &[("prompt", "{ prompt: 'x' }")],
        ),
        ("await agent(' ')", &[("prompt", "' '")]),
        ("const ask = (p, o) => agent(p, o); return ask('x')", &[]),
        ("await agent('x', 'label')", &[("options", "'label'")]),
        (
            "await agent('x', { lable: 'y', label: 'z', phase: 'p' })",
            &[("unknown-option", "lable")],
        ),
        ("await agent('x', { lable: undefined })", &[]),
        (
            "const more = { efort: 'low' }; await agent('x', { ...more })",
            &[("unknown-option", "efort")],
        ),
        (
            "await agent('x', { a: 1 }); await agent('y', { a: 2 }); await attempt('y', { a: 2 })",
            &[("unknown-option", "a"), ("unknown-option", "a")],
        ),
        (
            "await merge([], { verfy: 'true' })",
            &[("unverified-edits", "merge"), ("unknown-option", "verfy")],
        ),
        (
            "await ask('Go?', { choises: ['yes'] })",
            &[("unknown-option", "choises")],
        ),
        (
            "await ask('Go?', { choices: ['yes'], default: 'yes', timeout: 5, key: 'k', label: 'l' })",
            &[],
        ),
        ("await ask()", &[("question", "ask()")]),
        ("await ask(' ')", &[("question", "' '")]),
        ("const agent = (o) => o; return agent({ any: 1 })", &[]),
        (
            "await agent('x', { agentType: 'nobody' })",
            &[("unknown-agent-type", "'nobody'")],
        ),
        (
            "await agent('x', { agentType: 'reviewer' }); await agent('y', { agentType: args.type })",
            &[],
        ),
        ("await agent('x', { agentType: null })", &[]),
        (
            "await patterns.refute('x', { reviewer: 2 })",
            &[("unknown-option", "reviewer")],
        ),
        (
            "await patterns.converge({ task: 't', implement: { prompt: 'p', agentType: 'nobody' } })",
            &[("unknown-agent-type", "'nobody'")],
        ),
        (
            "await patterns.refuse('x')",
            &[("unknown-pattern", "patterns.refuse")],
        ),
    ]);
}

#[test]
fn s01_schemas_that_can_be_read() {
    let bad = "{ properties: { a: { type: 'strin' } } }";
    each(&[
        (
            &format!("await agent('x', {{ schema: {bad} }})"),
            &[("malformed-schema", "'strin'")],
        ),
        (
            &format!(
                "const S = {bad}; await agent('x', {{ schema: S }}); await agent('y', {{ schema: S }})"
            ),
            &[("malformed-schema", "'strin'")],
        ),
        (
            &format!("const schema = {bad}; await attempt('x', {{ schema }})"),
            &[("malformed-schema", "'strin'")],
        ),
        (
            &format!("const all = {{ one: {bad} }}; await agent('x', {{ schema: all.one }})"),
            &[("malformed-schema", "'strin'")],
        ),
        (
            "const a = { type: 'strin' }; await agent('x', { schema: { ...{}, properties: { a } } })",
            &[("malformed-schema", "'strin'")],
        ),
        // Written to later, computed, or somebody else's to say.
        (
            &format!("const S = {bad}; S.properties.a = {{}}; await agent('x', {{ schema: S }})"),
            &[],
        ),
        (
            &format!("let S = {bad}; S = {{}}; await agent('x', {{ schema: S }})"),
            &[],
        ),
        (
            &format!("const S = {bad}; Object.assign(S, {{}}); await agent('x', {{ schema: S }})"),
            &[],
        ),
        (
            "const t = () => 'strin'; await agent('x', { schema: { properties: { a: { type: t() } } } })",
            &[],
        ),
        (
            "await agent('x', { schema: { properties: { a: { type: `${args.t}strin` } } } })",
            &[],
        ),
    ]);
    let args = "export const meta = { name: 'n', description: 'd', args: { properties: { a: { type: 'strin' } } } }";
    insta::assert_snapshot!(told(args, &Place), @r"
    1:58-1:98 error malformed-schema: `meta.args`: wrong
    ");
}

#[test]
fn lists_that_hold_each_other_end() {
    let mut body = "const a0 = { type: 'x' };".to_owned();
    for i in 1..60 {
        let _ = write!(body, "const a{i} = [a{0}, a{0}, ...a{0}];", i - 1);
    }
    let _ = write!(
        body,
        "const b = {{ c }}; const c = {{ b }}; await agent('x', {{ schema: a59 }}); await agent('y', {{ schema: c }})"
    );
    each(&[(&body, &[])]);
}

#[test]
fn w02_workflows() {
    each(&[
        (
            "await workflow('nowhere')",
            &[("unknown-workflow", "'nowhere'")],
        ),
        (
            "await workflow('there'); await workflow({ scriptPath: './there.js' }); await workflow(args.name)",
            &[],
        ),
        (
            "await workflow({ scriptPath: './none.js' })",
            &[("missing-script", "{ scriptPath: './none.js' }")],
        ),
        (
            "await workflow({ path: './none.js' })",
            &[("workflow", "{ path: './none.js' }")],
        ),
    ]);
}

#[test]
fn p02_l03_b08_promises() {
    each(&[
        ("agent('x')", &[("floating-promise", "agent")]),
        ("const r = agent('x'); return await r", &[]),
        ("agent('x').then((r) => log(r))", &[]),
        (
            ";[1].forEach((n) => agent(`x ${n}`))",
            &[("floating-promise", "(n) => agent(`x ${n}`)")],
        ),
        (";[1].forEach((n) => log(n))", &[]),
        (
            "return parallel([]).filter(Boolean)",
            &[("missing-await", "parallel")],
        ),
        ("return (await parallel([])).filter(Boolean)", &[]),
        (
            "await parallel([agent('x'), () => agent('y')])",
            &[("no-thunk", "agent('x')")],
        ),
        (
            "await parallel([1].map((n) => agent(`x ${n}`)))",
            &[("no-thunk", "(n) => agent(`x ${n}`)")],
        ),
        ("await parallel([1].map((n) => () => agent(`x ${n}`)))", &[]),
        ("await Promise.all([1].map((n) => agent(`x ${n}`)))", &[]),
        (
            "await parallel([1].map((n) => { const t = () => agent(`x ${n}`); return t }))",
            &[],
        ),
        (
            "await pipeline([1], agent('x'))",
            &[("no-stage", "agent('x')")],
        ),
        ("await pipeline([1], (n) => agent(`x ${n}`), (r) => r)", &[]),
    ]);
}

#[test]
fn p03_c01_caps() {
    each(&[
        (
            "await parallel(Array.from({ length: 4096 }, (_, i) => () => log(i)))",
            &[],
        ),
        (
            "await parallel(Array.from({ length: 4097 }, (_, i) => () => log(i)))",
            &[(
                "items-cap",
                "Array.from({ length: 4097 }, (_, i) => () => log(i))",
            )],
        ),
        (
            "const N = 50 * 100; await pipeline([...Array(N).keys()], (n) => log(n))",
            &[("items-cap", "[...Array(N).keys()]")],
        ),
        (
            "const list = [...Array(5000).keys()]; list.length = 3; await pipeline(list, (n) => log(n))",
            &[],
        ),
        (
            "await parallel(args.map((n) => () => agent(`x ${n}`)))",
            &[],
        ),
        ("for (let i = 0; i < 1000; i++) await agent(`x ${i}`)", &[]),
        (
            "for (let i = 0; i <= 1000; i++) await agent(`x ${i}`)",
            &[("agents-cap", "agent")],
        ),
        (
            "for (let i = 0; i < 2000; i++) { if (args) break; await agent(`x ${i}`) }",
            &[],
        ),
        (
            "for (let i = 0; i < 2000; i++) { if (args[i]) await agent(`x ${i}`) }",
            &[],
        ),
        (
            "for (let i = 0; i < 2000; i++) { await agent(`x ${i}`); i += args }",
            &[],
        ),
        (
            "for (const a of [1, 2]) await parallel(Array.from({ length: 600 }, () => () => agent(`x ${a}`)))",
            &[("agents-cap", "agent")],
        ),
        (
            "const all = Array.from({ length: 2000 }, () => () => agent('x')); return all.length",
            &[],
        ),
        (
            "const ask = () => { for (let i = 0; i < 2000; i++) agent('x').then(log) }",
            &[],
        ),
    ]);
}

#[test]
fn phases_that_nothing_uses() {
    let of = |phases: &str, body: &str| {
        let source = format!(
            "export const meta = {{ name: 'n', description: 'd', phases: {phases} }}\n{body}"
        );
        told(&source, &Anywhere)
    };
    insta::assert_snapshot!(
        of("[{ title: 'Find' }, { title: 'Verify it' }, 'Report']", "phase('Find'); await agent('x', { phase: 'Verfy it' })"),
        @r"
    1:89-1:100 warning unused-phase: the phase `Verify it` is never used = the script says `Verfy it`: write both alike
    1:104-1:112 warning unused-phase: the phase `Report` is never used = name it by phase('…') or by the option `phase`, or take it out of `meta.phases`
    "
    );
    for body in [
        "phase('Find')",
        "phase(`Find`)",
        "const title = 'Find'; phase(title)",
        "const run = (title) => phase(title); run('Look')",
        "const all = ['Find']; for (const one of all) log(one)",
        "await agent('x', args)",
        "await patterns.refute('x', args)",
    ] {
        assert_eq!(of("['Find']", body), "", "{body}");
    }
}

#[test]
fn edits_that_nothing_verifies() {
    each(&[
        (
            "await agent('Fix the bug in a.js')",
            &[("unverified-edits", "agent")],
        ),
        (
            "await agent(`Refactor ${args.file}.`)",
            &[("unverified-edits", "agent")],
        ),
        (
            "await agent('Do it', { isolation: 'worktree' }); await agent('Fix it')",
            &[("unverified-edits", "agent")],
        ),
        ("await merge(args)", &[("unverified-edits", "merge")]),
        (
            "await merge(args, { verify: 'make' }); await agent('Fix it')",
            &[],
        ),
        (
            "await agent('Fix the bug'); await agent('Look at it', { label: 'review' })",
            &[],
        ),
        ("await agent('Fix the bug'); phase('Verify')", &[]),
        ("await agent('Fixtures: count them')", &[]),
        (
            "await agent('Implement nothing. Do not edit any file: say how.')",
            &[],
        ),
        (
            "await agent('Fix it', { agentType: 'Explore' })",
            &[("unknown-agent-type", "'Explore'")],
        ),
        (
            "await patterns.converge({ task: 'Fix it', implement: { isolation: 'worktree' } })",
            &[],
        ),
        ("await agent('Summarize the repository')", &[]),
    ]);
}

#[test]
fn a_refusal_is_an_error_and_an_error_of_reading_is_a_refusal() {
    let of_reading = ["syntax", "header", "import", "export", "file"];
    for source in [
        "",
        "return 1",
        "export const meta = {}",
        "export const meta = { name: 'n', description: 'd', x: [1,,2], y: `a${1}` }",
        "export let meta = { name: 'n', description: 'd' }",
        "export const meta = { name: 'n', description: 'd' }, other = 1",
        "export const meta = 1; import 'x'; export default 2",
        "'use strict'; export const meta = { name: 'n', description: 'd' }",
        "export const meta = { name: 'n', description: 'd' }\nconst meta = 1; return meta",
        "export const meta = { name: 'n', description: 'd' }\nlet a; let a",
        "export const meta = { name: 'n', description: 'd' }\nenum A { B }",
        "export const meta = { name: 'n', description: 'd' }\nimport.meta.url",
        "export const meta = { name: 'n', description: 'd' }\nreturn await agent(",
        "\u{feff}#!/bin/x\nexport const meta = { name: 'n', description: 'd' }\nrequire('é')",
        &format!("{HEADER}{}", " ".repeat(600_000)),
    ] {
        let limits = Limits::default();
        let first = check(source, &limits, &Anywhere)
            .into_iter()
            .find(|it| it.severity == Severity::Error && of_reading.contains(&it.code));
        let refused = crate::parse(source, "a.js", &limits).err();
        assert_eq!(
            first.is_some(),
            refused.is_some(),
            "{source:.80}: {first:?} {refused:?}"
        );
        let all = check(source, &limits, &Anywhere);
        if let Some(refused) = refused {
            let is_told = all.iter().any(|it| {
                (it.line, it.column, &it.message, &it.remedy, &it.source_line)
                    == (
                        refused.line,
                        refused.column,
                        &refused.message,
                        &refused.help,
                        &refused.source_line,
                    )
            });
            assert!(is_told, "{refused}\n{all:#?}");
        }
    }
}

/// Each of these took a time that grew with the square of the length, or could.
#[test]
fn hostile_sources_end_soon() {
    let deep = 20_000;
    for body in [
        format!("{}1{}", "agent(".repeat(deep), ")".repeat(deep)),
        format!("{}1{}", "[".repeat(deep), "]".repeat(deep)),
        format!(
            "parallel([{}])",
            "agent('x').then(".repeat(deep) + &")".repeat(deep)
        ),
        format!("agent('x'){}", ".then(f)".repeat(deep)),
        (0..deep).fold(String::new(), |text, i| text + &format!("name{i};")),
        (0..deep).fold(String::new(), |text, i| {
            text + &format!("agent('x',{{o{i}:1}});")
        }),
        format!("for (const a of [1]) {{{}}}", "agent('x');".repeat(deep)),
        format!(
            "const s = '{}';{}",
            "x".repeat(100_000),
            "agent(s + s);".repeat(deep)
        ),
    ] {
        let found = check(&format!("{HEADER}{body}"), &Limits::default(), &Anywhere);
        assert!(found.len() <= 501, "{body:.40}");
    }
}

#[test]
fn so_many_findings_are_bounded() {
    let source = format!("{HEADER}{}", "Date.now();".repeat(40_000));
    let found = check(&source, &Limits::default(), &Anywhere);
    assert_eq!(found.len(), 501);
    let last = found.last().map(|it| it.message.as_str());
    assert_eq!(last, Some("39500 findings more are not listed"));
}

/// What the check knows of the prelude and the library is what they say.
#[test]
fn what_is_known_is_what_there_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| {
        std::fs::read_to_string(folder.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let quoted = |text: &str, quote: char| -> BTreeSet<String> {
        text.split(quote)
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let between = |text: &str, from: &str, to: &str| {
        let rest = text.split_once(from).map(|(_, rest)| rest);
        let part = rest
            .and_then(|rest| rest.split_once(to))
            .map(|(part, _)| part.to_owned());
        part.unwrap_or_else(|| panic!("`{from}` is not there"))
    };
    let set = |names: &[&str]| -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    };

    let calls = read("src/prelude/3-calls.js");
    let known = quoted(
        &between(
            &calls,
            "const KNOWN = create(null);\nfor (const name of [",
            "])",
        ),
        '\'',
    );
    assert_eq!(set(&options::AGENT), known, "src/prelude/3-calls.js");
    for (name, _, known) in patterns::PATTERNS {
        let file = format!("library/patterns/{name}.js");
        let listed = between(&read(&file), "optionsOf(pattern, options, [", "]");
        assert_eq!(set(known), quoted(&listed, '\''), "{file}");
    }
    let library = crate::library::PATTERNS;
    let (_, end) = library.rsplit_once("\nreturn ").unwrap_or_default();
    let returned = between(end, "{ ", ", __proto__: null }");
    let names = patterns::PATTERNS.map(|(name, ..)| name);
    assert_eq!(
        set(&names),
        returned.split(", ").map(str::to_owned).collect()
    );

    let snapshot = read("tests/contract/snapshots/contract__body__globals.snap");
    let globals = quoted(&snapshot, '"');
    let known = set(names::GLOBALS);
    let missing: Vec<_> = globals.difference(&known).collect();
    assert!(
        missing.is_empty(),
        "add them to check/names.rs: {missing:?}"
    );
    let strange: Vec<_> = known.difference(&globals).collect();
    assert!(strange.is_empty(), "no globals of the VM: {strange:?}");
}

/// Nothing is found in the scripts of this repository.
#[test]
fn examples_are_well() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut open = vec![root.join("examples")];
    let mut checked = 0;
    while let Some(folder) = open.pop() {
        let entries = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() && !path.ends_with("node_modules") && !path.ends_with("target") {
                open.push(path);
                continue;
            }
            let is_script = path
                .extension()
                .is_some_and(|ending| ending == "js" || ending == "mjs");
            let source = std::fs::read_to_string(&path).unwrap_or_default();
            if is_script && source.contains("export const meta = {") {
                checked += 1;
                assert_eq!(told(&source, &Anywhere), "", "{}", path.display());
            }
        }
    }
    assert!(checked > 0, "no example was found");
}
