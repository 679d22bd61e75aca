use crate::support::{Host, run, script, text, value};
use bellwether_scripts::Answer;
use serde_json::json;

#[test]
fn a01_value_is_text_or_object() {
    let body = "const a = await agent('one'); const b = await agent('two', { schema: {} }); return [a, b, a.length]";
    let host = Host::answering(|call| {
        if call.prompt.as_ref() == "one" {
            text("it's \"done\"")
        } else {
            value("{\"b\":1,\"a\":[true]}")
        }
    });
    let run = host.run(&script(body));
    assert_eq!(
        run.value(),
        json!(["it's \"done\"", { "b": 1, "a": [true] }, 11])
    );
}

#[test]
fn a02_null_when_failed() {
    let host = Host::answering(|_| Answer::Null);
    assert_eq!(
        host.run(&script("return [await agent('x')]")).value(),
        json!([null])
    );
}

#[test]
fn first() {
    let r =
        run("const r = await parallel([1,2,3].map(i => () => agent('p' + i))); log(r); return r");
    assert_eq!(r.value(), json!(["done: p1", "done: p2", "done: p3"]));
    let r = run("function f() { throw new TypeError('boom') }\nawait agent('x')\n f()");
    let e = r.error();
    panic!("{e:?}");
}
