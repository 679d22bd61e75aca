//! X03: `ask()` as the script sees it.

use bellwether_journal::record::CallKind;
use bellwether_scripts::{Answer, Nothing};
use serde_json::json;

use crate::support::{Host, folder, run, script, value};

#[test]
fn x03_ask_is_a_call_with_its_question() {
    let body = "return await ask('Deploy to production?',
          { choices: ['yes', 'no', 3], default: 'no', timeout: 'PT1.5S', key: 'deploy', label: 'gate', phase: 'Ship' })";
    let run = Host::answering(|_| value("\"yes\"")).run(&script(body));
    assert_eq!(run.value(), json!("yes"));
    let call = &run.calls[0];
    assert_eq!(call.kind, CallKind::Ask);
    assert_eq!(call.prompt.as_ref(), "Deploy to production?");
    assert_eq!(
        call.options.as_ref(),
        "{\"choices\":[\"yes\",\"no\",3],\"default\":\"no\",\"timeout\":1500,\"key\":\"deploy\"}"
    );
    assert_eq!(
        (call.label.as_deref(), call.phase.as_deref(), call.line),
        (Some("gate"), Some("Ship"), 2)
    );
    let plain = crate::support::run("await ask('Why?', { default: null, schema: undefined })");
    assert_eq!(plain.calls[0].options.as_ref(), "{}");
}

#[test]
fn x03_an_answer_is_any_json() {
    for answer in [
        "{\"z\":1,\"a\":[null,\"\\u2028\"]}",
        "false",
        "null",
        "\"\\\"\"",
    ] {
        let run = Host::answering(|_| value(answer)).run(&script("return await ask('What?')"));
        assert_eq!(
            run.value(),
            serde_json::from_str::<serde_json::Value>(answer).unwrap()
        );
    }
}

#[test]
fn x03_a_question_without_an_answer_is_null() {
    let run = Host::answering(|_| Answer::Nothing(Nothing::Cancelled))
        .run(&script("return [await ask('What?')]"));
    assert_eq!(run.value(), json!([null]));
}

#[test]
fn x03_a_refused_question_throws() {
    let refused = Answer::Refused {
        code: "SCHEMA".into(),
        message: "the schema is none".into(),
    };
    let body = "try { await ask('What?') } catch (e) { return [e.name, e.code, e.message] }";
    let run = Host::answering(|_| refused.clone()).run(&script(body));
    assert_eq!(
        run.value(),
        json!(["SchemaError", "SCHEMA", "the schema is none"])
    );
}

#[test]
fn x03_ask_refuses_what_nobody_can_answer() {
    for (call, code, part) in [
        ("ask()", "QUESTION", "the question is undefined"),
        ("ask('  ')", "QUESTION", "the question is blank"),
        ("ask(['a'])", "QUESTION", "the question is an array"),
        ("ask('a', 'b')", "OPTIONS", "the options are a string"),
        (
            "ask('a', { choices: 'yes' })",
            "OPTIONS",
            "choices is a string",
        ),
        ("ask('a', { choices: [] })", "OPTIONS", "choices is empty"),
        (
            "ask('a', { choices: [1, null] })",
            "OPTIONS",
            "choices[1] is null",
        ),
        (
            "ask('a', { choices: ['x', 'x'] })",
            "OPTIONS",
            "choices[1] is there twice",
        ),
        (
            "ask('a', { choices: [() => 1] })",
            "NOT_JSON",
            "choices[0] is a function",
        ),
        (
            "ask('a', { choices: ['x'], default: 'y' })",
            "OPTIONS",
            "none of the choices",
        ),
        ("ask('a', { default: 1n })", "NOT_JSON", "BigInt"),
        ("ask('a', { timeout: 0 })", "OPTIONS", "timeout is 0"),
        (
            "ask('a', { timeout: 'soon' })",
            "DURATION",
            "timeout: give milliseconds",
        ),
        ("ask('a', { key: 5 })", "OPTIONS", "key is a number"),
    ] {
        let run = run(&format!(
            "try {{ await {call} }} catch (e) {{ return [e.name, e.code, e.message] }}"
        ));
        assert_eq!(run.value()[0], json!("TypeError"), "{call}");
        assert_eq!(run.value()[1], json!(code), "{call}");
        let message = run.value()[2].as_str().unwrap().to_owned();
        assert!(message.contains(part), "{call}: {message}");
        assert!(run.calls.is_empty(), "{call}");
    }
}

#[test]
fn x03_unknown_options_are_told_once() {
    let run = run(
        "await ask('a', { chioces: [1] }); await ask('b', { chioces: [1] }); await agent('c', { chioces: 1 })",
    );
    assert_eq!(
        run.warnings(),
        [
            "ask(): the option \"chioces\" is not known and was ignored",
            "agent(): the option \"chioces\" is not known and was ignored",
        ]
    );
    assert_eq!(run.calls[0].options.as_ref(), "{}");
}

#[test]
fn x03_a_nested_workflow_asks_in_its_own_name() {
    let files = [(
        "flows/c.js",
        "export const meta = { name: 'c', description: 'd' }; phase('inner'); return await ask('Go on?')",
    )];
    let run = Host::answering(folder(&files)).run(&script(
        "phase('Outer'); return await workflow({ scriptPath: './c.js' })",
    ));
    let asked = run.call("Go on?");
    assert_eq!(asked.kind, CallKind::Ask);
    assert_eq!(asked.phase.as_deref(), Some("▸ c › inner"));
}

#[test]
fn x03_ask_may_be_redeclared() {
    let run = run("return [ask('x')]; function ask(what) { return 'own ' + what }");
    assert_eq!(run.value(), json!(["own x"]));
    assert!(run.calls.is_empty());
}
