//! P01-P04, L01-L04.

use bellwether_scripts::{Answer, Call};
use serde_json::json;

use crate::support::{Host, crashed, run, script, text};

fn reversed<'a>() -> Host<'a> {
    Host {
        order: Box::new(|open| open - 1),
        ..Host::new()
    }
}

fn capped(call: &Call) -> Answer {
    match call.prompt.as_ref() {
        "cap" => Answer::Refused {
            code: "AGENT_CAP".into(),
            message: "1,000 agents, the cap of the run".into(),
        },
        "budget" => Answer::Refused {
            code: "BUDGET".into(),
            message: "the budget is used up".into(),
        },
        "other" => Answer::Refused {
            code: "AGENT_TYPE".into(),
            message: "no such type".into(),
        },
        prompt => text(prompt),
    }
}

#[test]
fn p01_results_in_input_order() {
    let body = "return await parallel([() => agent('a'), () => 5, () => { throw new Error('x') }, async () => { await agent('b'); throw 1 },
        () => agent('c'), () => undefined, () => ({ then(r) { r('thenable') } })])";
    let expected = json!(["done: a", 5, null, null, "done: c", null, "thenable"]);
    assert_eq!(run(body).value(), expected);
    assert_eq!(reversed().run(&script(body)).value(), expected);
    assert_eq!(run("return await parallel([])").value(), json!([]));
    assert_eq!(run("const r = await parallel([() => agent('a')]); return [Array.isArray(r), r instanceof Array, r.map((x) => x)]").value(), json!([true, true, ["done: a"]]));
    assert!(
        run(body)
            .logs
            .iter()
            .any(|(_, line)| line == "parallel: item 2 gave null, since it threw Error: x")
    );
}

#[test]
fn p02_promises_in_the_list_are_refused() {
    for list in [
        "[agent('a')]",
        "[5]",
        "[() => 1, null]",
        "[,]",
        "agent('x')",
        "undefined",
        "'text'",
        "new Set()",
    ] {
        let run = run(&format!(
            "try {{ await parallel({list}) }} catch (e) {{ return [e.name, e.code, e.message] }}"
        ));
        assert_eq!(run.value()[0], json!("TypeError"), "{list}");
        assert!(
            run.value()[2].as_str().unwrap().contains("() => agent(…)"),
            "{list}: {:?}",
            run.value()
        );
    }
}

#[test]
fn p03_too_many_items_give_the_number_and_the_cap() {
    for call in [
        "parallel(Array(4097).fill(() => 1))",
        "pipeline(Array(4097).fill(1), (x) => x)",
    ] {
        let run = run(&format!(
            "try {{ await {call} }} catch (e) {{ return [e.code, e.message] }}"
        ));
        assert_eq!(run.value()[0], json!("ITEMS_CAP"));
        let message = run.value()[1].as_str().unwrap().to_owned();
        assert!(
            message.contains("4097") && message.contains("4096") && message.contains("--max-items"),
            "{message}"
        );
    }
    for call in [
        "parallel(Array(4096).fill(() => 1))",
        "pipeline(Array(4096).fill(1), (x) => x)",
    ] {
        let body = format!("return (await {call}).length");
        assert_eq!(run(&body).value(), json!(4096), "{call}");
    }
}

#[test]
fn p04_caps_reject_the_whole_fan_out() {
    for (body, code) in [
        (
            "await parallel([() => agent('a'), () => agent('cap')])",
            Some("AGENT_CAP"),
        ),
        (
            "await parallel([() => agent('a'), async () => { await agent('b'); await agent('budget') }])",
            Some("BUDGET"),
        ),
        (
            "await parallel([() => parallel([async () => { return await agent('cap') }])])",
            Some("AGENT_CAP"),
        ),
        (
            "await pipeline([1, 2], () => agent('a'), () => parallel([() => agent('budget')]))",
            Some("BUDGET"),
        ),
        (
            "await pipeline([1], async () => { try { return await agent('cap') } catch { return 'kept' } })",
            None,
        ),
        ("await parallel([() => agent('cap').catch(() => 1)])", None),
        ("await parallel([() => agent('other')])", None),
        (
            "await parallel([() => parallel(Array(5000).fill(() => 1))])",
            Some("ITEMS_CAP"),
        ),
    ] {
        let run = Host::answering(capped).run(&script(&format!(
            "try {{ {body}; return null }} catch (e) {{ return e.code }}"
        )));
        assert_eq!(run.value(), json!(code), "{body}");
    }
}

#[test]
fn l01_stages_get_previous_item_index() {
    let body = "return await pipeline(['a', 'b'], (p, item, i) => agent(`1 ${p} ${item} ${i}`), (p, item, i) => `${p}|${item}|${i}`, async (p) => p + '!')";
    let expected = json!(["done: 1 a a 0|a|0!", "done: 1 b b 1|b|1!"]);
    assert_eq!(run(body).value(), expected);
    assert_eq!(reversed().run(&script(body)).value(), expected);
    // No barrier: the first item's second stage does not wait for the second item's first.
    let run =
        run("await pipeline(['a', 'b'], (x) => agent('one ' + x), (p, x) => agent('two ' + x))");
    assert_eq!(run.prompts(), ["one a", "one b", "two a", "two b"]);
    assert_eq!(run.turns[1].commands.len(), 1);
}

#[test]
fn l02_null_and_throw_end_the_item_undefined_flows_on() {
    let body = "return await pipeline([1, 2, 3, 4], (x) => { if (x === 1) throw new Error('no'); if (x === 2) return null; if (x === 3) return undefined; return agent('null') },
        (p, x) => agent(`second ${p} ${x}`))";
    let host = Host::answering(|call| {
        if call.prompt.as_ref() == "null" {
            crashed()
        } else {
            text("ok")
        }
    });
    let run = host.run(&script(body));
    assert_eq!(run.value(), json!([null, null, "ok", null]));
    assert_eq!(run.prompts(), ["null", "second undefined 3"]);
    let lines: Vec<_> = run.logs.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(
        lines,
        [
            "pipeline: item 0 dropped, since stage 1 threw Error: no",
            "pipeline: item 1 dropped, since stage 1 gave null",
            "pipeline: item 3 dropped, since stage 1 gave null"
        ]
    );
}

#[test]
fn l03_wrong_arguments_are_told() {
    for (call, text) in [
        ("pipeline(5, (x) => x)", "first argument is a number"),
        ("pipeline()", "first argument is undefined"),
        ("pipeline([1], (x) => x, 'two')", "stage 2 is a string"),
        ("pipeline([1], agent('x'))", "stage 1 is an object"),
    ] {
        let run = run(&format!(
            "try {{ await {call} }} catch (e) {{ return [e.name, e.message] }}"
        ));
        assert_eq!(run.value()[0], json!("TypeError"));
        assert!(
            run.value()[1].as_str().unwrap().contains(text),
            "{call}: {:?}",
            run.value()
        );
    }
}

#[test]
fn l04_no_stages_or_no_items() {
    assert_eq!(run("return [await pipeline([1, null, 'x']), await pipeline([], () => 1), await pipeline([])]").value(), json!([[1, null, "x"], [], []]));
}

#[test]
fn p01_combinators_of_promise() {
    let body = "const r = [];
        r.push(await Promise.all([agent('a'), 1, Promise.resolve(2)]));
        r.push(await Promise.allSettled([agent('b'), Promise.reject(new Error('e'))]).then((all) => all.map((x) => x.status)));
        r.push(await Promise.race([sleep(5), 'now']), await Promise.any([Promise.reject(1), agent('c')]));
        r.push(await Promise.all([Promise.reject('first'), Promise.reject('second')]).catch((e) => e));
        r.push(await Promise.any([]).catch((e) => e.name), await Promise.any([Promise.reject(1)]).catch((e) => e.errors));
        r.push(await Promise.all(new Set([3])), await Promise.all('ab'), await Promise.all(5).catch((e) => e.name), await Promise.all([]));
        class Sub extends Promise {} r.push(Sub.all([1]) instanceof Sub, await Sub.all([1, Sub.resolve(2)]));
        return r";
    let expected = json!([
        ["done: a", 1, 2],
        ["fulfilled", "rejected"],
        "now",
        "done: c",
        "first",
        "AggregateError",
        [1],
        [3],
        ["a", "b"],
        "TypeError",
        [],
        true,
        [1, 2]
    ]);
    assert_eq!(run(body).value(), expected);
}
