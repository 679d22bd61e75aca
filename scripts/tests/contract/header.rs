//! H01-H05, B03: what is read before anything runs.

use bellwether_scripts::{Limits, Refusal, Script, parse};
use serde_json::json;

use crate::support::{Host, run, script_of};

fn refused(source: &str) -> Refusal {
    match parse(source, "flows/test.js", &Limits::default()) {
        Ok(_) => panic!("not refused: {source}"),
        Err(refusal) => *refusal,
    }
}

fn meta(literal: &str) -> Result<Script, Box<Refusal>> {
    parse(
        &format!("export const meta = {literal}\n"),
        "flows/test.js",
        &Limits::default(),
    )
}

fn value(source: &str) -> serde_json::Value {
    Host::new().run(&script_of(source)).value()
}

const NAMED: &str = "name: 'n', description: 'd'";

#[test]
fn h01_what_may_stand_before_the_header() {
    let comments = "// a comment\n".repeat(60);
    for before in [
        "",
        "\u{feff}",
        "#!/usr/bin/env bellwether\n",
        "\u{feff}#!x\n",
        "/* a\n b */ ",
        &comments,
        "\r\n\r\n",
        ";".repeat(0).as_str(),
    ] {
        let source = format!("{before}export const meta = {{ {NAMED} }};\r\nreturn 'ok'");
        assert_eq!(value(&source), json!("ok"), "{before:?}");
    }
    for before in ["const x = 1; ", "'use strict'; ", "{} ", "; "] {
        let refusal = refused(&format!("{before}export const meta = {{ {NAMED} }}"));
        assert_eq!((refusal.line, refusal.column), (1, 1), "{before}");
    }
}

#[test]
fn h02_pure_literals_are_read() {
    let literal = "{ name: 'a' + \"b\" + ('c' + `d`), 'description': `two\nlines`, n: [-1, 2.5, 0x10, 1e3, true, null],
        // a comment inside
        o: { 'key with space': {}, 7: 'seven' }, }";
    let script = meta(literal).unwrap();
    assert_eq!(script.meta().name, "abcd");
    assert_eq!(script.meta().description, "two\nlines");
    assert_eq!(
        script.meta().all["n"],
        json!([-1, 2.5, 16, 1000, true, null])
    );
    assert_eq!(
        script.meta().all["o"],
        json!({ "key with space": {}, "7": "seven" })
    );
}

/// The hazard of JavaScript without semicolons: the author sees two lines where the language has one.
#[test]
fn h04_a_header_that_runs_into_the_next_line_is_named() {
    for next in [
        "[1, 2].map(agent)",
        "(async () => {})()",
        "`text`.length",
        "[0] + 1",
    ] {
        let refusal = refused(&format!("export const meta = {{ {NAMED} }}\n{next}"));
        assert_eq!(refusal.line, 1);
        let text = refusal.to_string();
        let helps = text.contains("put a `;` behind the header") || next.ends_with("+ 1");
        assert!(helps, "{next}: {text}");
    }
}

#[test]
fn h02_anything_else_is_refused_at_its_place() {
    for (field, column) in [
        ("x: y", 55),
        ("x: f()", 55),
        ("...rest", 52),
        ("[k]: 1", 52),
        ("__proto__: {}", 52),
        ("'constructor': 1", 52),
        ("prototype: 1", 52),
        ("get x() { return 1 }", 52),
        ("x() {}", 52),
        ("x: [1,,2]", 58),
        ("x: `a${1}`", 55),
        ("x: 1 + 2", 59),
        ("x: 'a' - 'b'", 55),
        ("x: +1", 55),
        ("x: undefined", 55),
        ("x: () => 1", 55),
        ("x: /r/", 55),
        ("x: 1n", 55),
        ("x: -'a'", 55),
        ("x: new Date", 55),
        ("y", 52),
    ] {
        let refusal = meta(&format!("{{ {NAMED}, {field} }}")).unwrap_err();
        assert_eq!(
            (refusal.line, refusal.column),
            (1, column),
            "{field}: {refusal}"
        );
    }
}

#[test]
fn h03_fields_and_their_shapes() {
    let script = meta(&format!(
        "{{ {NAMED}, title: 'T', whenToUse: 'often', args: {{ type: 'object' }}, examples: [1],
           phases: ['one', {{ title: 'two', detail: 'x', model: 'haiku', more: 1 }}, {{ detail: 'no title' }}, 3] }}"
    ))
    .unwrap();
    let meta_read = script.meta();
    assert_eq!(meta_read.title.as_deref(), Some("T"));
    assert_eq!(meta_read.when_to_use.as_deref(), Some("often"));
    assert_eq!(meta_read.args_schema, Some(json!({ "type": "object" })));
    let titles: Vec<_> = meta_read
        .phases
        .iter()
        .map(|phase| phase.title.as_str())
        .collect();
    assert_eq!(titles, ["one", "two"]);
    assert_eq!(meta_read.phases[1].model.as_deref(), Some("haiku"));
    assert_eq!(meta_read.all["examples"], json!([1]));
    assert!(
        meta(&format!("{{ {NAMED}, phases: 'x' }}"))
            .unwrap()
            .meta()
            .phases
            .is_empty()
    );
    for literal in [
        "{ name: 'n' }",
        "{ description: 'd' }",
        "{ name: '', description: 'd' }",
        "{ name: 1, description: 'd' }",
    ] {
        assert!(meta(literal).is_err(), "{literal}");
    }
}

#[test]
fn h04_a_refusal_shows_the_place() {
    let refusal = refused("export const meta = {\n\tname: 'n',\n\tdescription: größe('日本'),\n}");
    assert_eq!(
        refusal.to_string(),
        "flows/test.js:3:15: a call in `meta`\n 3 |   description: größe('日本'),\n   |                ^\n  = `meta` is a pure \
         literal: strings, numbers, true, false, null, arrays, objects, templates without ${}, and strings joined by +"
    );
    let long = format!(
        "export const meta = {{ {NAMED} }}; const x = '{}'; const y: number = 1",
        "é".repeat(100_000)
    );
    let text = refused(&long).to_string();
    assert!(text.len() < 1000, "{text}");
    let caret = text.lines().nth(2).unwrap().chars().count();
    let shown: Vec<char> = text.lines().nth(1).unwrap().chars().collect();
    assert_eq!(shown[caret - 1], ':', "{text}");
    assert!(
        refused(&format!("export const {} = 1", "a".repeat(100_000)))
            .to_string()
            .len()
            < 2000
    );
}

#[test]
fn h05_meta_is_no_variable() {
    let run = run("return typeof meta");
    assert_eq!(run.value(), json!("undefined"));
    assert_eq!(
        value(&format!(
            "export const meta = {{ {NAMED} }}; const meta = 5; return meta"
        )),
        json!(5)
    );
}

#[test]
fn b03_imports_and_other_exports_are_refused() {
    let header = format!("export const meta = {{ {NAMED} }}\n");
    for body in [
        "import x from 'y'",
        "import 'y'",
        "await import('y')",
        "const x = require('y')",
        "export const y = 1",
        "export default 1",
        "export {}",
        "export * from 'y'",
        "log(import.meta.url)",
        "const f = () => require(\n'y')",
    ] {
        assert_eq!(refused(&format!("{header}{body}")).line, 2, "{body}");
    }
    assert_eq!(refused(&format!("import x from 'y'\n{header}")).line, 1);
    for body in [
        "return 'import x from y; require(1); export default'",
        "// import('x') require('y')\nreturn 1",
        "/* export const a = 1 */ return `require('x') ${1}`",
        "const require = (x) => x; return require('y')",
        "const o = { require: 1, import: 2 }; return o.require + o.import",
        "return /require\\('x'\\)/.test('x')",
        "const t = 'Date.now() new Date() Math.random() eval(1)'; return t",
    ] {
        value(&format!("{header}{body}"));
    }
}

#[test]
fn b01_typescript_is_a_syntax_error_at_its_place() {
    let header = format!("export const meta = {{ {NAMED} }}\n");
    for (body, column) in [
        ("const x: number = 1", 8),
        ("interface A { b: string }", 1),
        ("const f = (x: string) => x", 13),
        ("let y = x as string", 10),
        ("enum E { A }", 1),
        ("let = 1", 1),
        ("const a = 1; const a = 2", 7),
        ("if (", 6),
        ("with (x) {}", 1),
    ] {
        let refusal = refused(&format!("{header}{body}"));
        assert_eq!(refusal.line, 2, "{body}: {refusal}");
        assert!(refusal.column.abs_diff(column) <= 1, "{body}: {refusal}");
        assert!(refusal.help.contains("plain JavaScript"));
    }
    // Nothing can close the function that the body stands in.
    refused(&format!("{header}}}; log('outside'); {{"));
    refused(&format!("{header}}})(); (async function () {{"));
}

#[test]
fn b07_source_is_bounded() {
    let mut limits = Limits::default();
    limits.source_bytes = 100;
    let refusal = parse(&" ".repeat(101), "x.js", &limits).unwrap_err();
    assert!(
        refusal.message.contains("101") && refusal.message.contains("100"),
        "{refusal}"
    );
    refused(&format!("export const meta = {{ {NAMED} }}\nreturn '\0'"));
}

#[test]
fn b07_no_nesting_ends_the_process() {
    let header = format!("export const meta = {{ {NAMED} }}\n");
    let most = 512 * 1024 - header.len() - 64;
    for (open, middle, close) in [
        ("(", "1", ")"),
        ("[", "", "]"),
        ("{", "", "}"),
        ("!", "1", ""),
        ("- ", "1", ""),
        ("`${", "1", "}`"),
        ("a=>", "1", ""),
        ("a+", "1", ""),
        ("a?", "1", ":1"),
        ("a.", "b", ""),
        ("f(", "", ")"),
        ("if(1)", ";", ""),
        ("a=", "1", ""),
        ("a**", "1", ""),
        ("async()=>{", "", "}"),
        ("(", "", ""),
        ("[", "", ""),
        ("class A{static{", "", "}}"),
        ("x:", ";", ""),
        ("try{", "", "}catch{}"),
        ("await ", "1", ""),
        ("new ", "a", ""),
        ("a?.[", "1", "]"),
        ("if(1);else ", ";", ""),
        ("/*", "", ""),
        ("f`${", "", "}`"),
        ("var{a:", "b", "}=1"),
        ("a,", "1", ""),
        ("a&&", "1", ""),
        ("function f(a=", "1", "){}"),
        ("<", "", ""),
        ("\\u{", "", ""),
    ] {
        // The whole source for the shapes that go deepest by the byte, an eighth of it for the others.
        let share = if matches!(open, "(" | "!" | "a=>") {
            1
        } else {
            8
        };
        let count = most / (open.len() + close.len()) / share;
        let source = format!(
            "{header}{}{middle}{}",
            open.repeat(count),
            close.repeat(count)
        );
        // Either is fine, as long as there is an answer.
        if let Ok(script) = parse(&source, "deep.js", &Limits::default()) {
            let _ = Host::new().run(&script);
        }
        let flat = format!(
            "{header}const a = 1, f = 1; log({}{middle}{})",
            open.repeat(count),
            close.repeat(count)
        );
        let _ = parse(&flat, "deep.js", &Limits::default());
    }
}
