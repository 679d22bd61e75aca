//! Answers that must fit a schema, over agents that are programs (S01, S02, A04).

use anyhow::ensure;
use bellwether_tests::GUARD;
use serde_json::{Value, json};

use crate::bed::{Bed, ended, says};

/// What these scripts ask for, and agents that take turns.
const COUNT: &str = "
const schema = { type: 'object', required: ['n'], additionalProperties: false, properties: { n: { type: 'integer', maximum: 9 } } }
const inTurn = (...turns) => does({ inTurn: { file: 'turns', turns } })
const says = value => [{ answer: value }]
";

fn bed(body: &str) -> anyhow::Result<Bed> {
    Bed::new(&format!("{COUNT}{body}"))
}

/// The violations that each turn was told of, by their paths.
fn told(bed: &Bed) -> anyhow::Result<Vec<Vec<String>>> {
    let line = |line: &String| -> anyhow::Result<Vec<String>> {
        let violations: Vec<Value> = serde_json::from_str(line)?;
        let path = |violation: &Value| violation["path"].as_str().unwrap_or("?").to_owned();
        Ok(violations.iter().map(path).collect())
    };
    bed.project.lines("turns").iter().map(line).collect()
}

#[test]
fn s02_wrong_answers_go_back_until_one_fits() -> anyhow::Result<()> {
    let bed = bed(
        "const turns = inTurn(says({ m: 1 }), [{ say: 'as text' }], says({ n: 12 }), [{ say: '{\"n\": 3}' }])
        return await agent(turns, { schema })",
    )?;
    let finished = bed.run(&["--events"])?.run()?.expect_code(0)?;
    let outcome = finished.json()?;
    assert_eq!(outcome["result"], json!({ "n": 3 }));
    // One attempt, and its four answers were paid for as far as the agent said what they cost.
    assert_eq!(
        outcome["usage"],
        json!({ "inputTokens": 10, "outputTokens": 14 })
    );
    assert_eq!(bed.records("AttemptStarted")?.len(), 1);
    let told = told(&bed)?;
    assert_eq!(told.len(), 4);
    ensure!(told[0].is_empty() && told[1] == ["", ""], "{told:?}");
    assert_eq!(told[2..], [[""], ["/n"]]);
    let event = finished
        .stdout
        .lines()
        .find(|line| line.contains("\"refused\":3"));
    ensure!(
        event.is_some_and(|event| event.contains("/n")),
        "no round was reported: {finished}"
    );
    Ok(())
}

#[test]
fn a04_the_fifth_wrong_answer_throws_and_is_null_in_a_fan_out() -> anyhow::Result<()> {
    let bed = bed(
        "const wrong = file => does({ inTurn: { file, turns: Array(9).fill(says('no')) } })
        let thrown
        try { await agent(wrong('alone'), { schema }) } catch (error) { thrown = [error.name, error.code, error.message] }
        const [slot] = await parallel([() => agent(wrong('fanned'), { schema })])
        const [item] = await pipeline([1], () => agent(wrong('piped'), { schema }), () => agent('never'))
        return { thrown, slot, item }",
    )?;
    let (outcome, _) = ended(bed.run(&["--json"])?.start()?, 4)?;
    let message =
        "none of 5 answers fitted the schema; in the last one \"no\" is not of type \"object\"";
    assert_eq!(
        outcome["result"],
        json!({ "thrown": ["SchemaError", "SCHEMA", message], "slot": null, "item": null })
    );
    for file in ["alone", "fanned", "piped"] {
        assert_eq!(bed.project.lines(file).len(), 5, "{file}");
    }
    let failures = &outcome["failures"];
    assert_eq!(
        (&failures[0]["kind"], &failures[0]["count"]),
        (&json!("schema"), &json!(3))
    );
    let shown = bed.json(&["show", "last", "a-0", "--json"], 0)?;
    let evidence = shown["failure"]["evidence"].as_str().unwrap_or_default();
    ensure!(evidence.ends_with("the last answer: \"no\""), "{shown}");
    // Uncaught it ends the run, in the author's own line.
    bed.project.script(
        "uncaught",
        "await agent('[{\"answer\": 1}]', { schema: { type: 'string' } })",
    )?;
    let (outcome, _) = ended(bed.run_of("uncaught.js", &["--json"])?.start()?, 1)?;
    let error = &outcome["error"];
    assert_eq!(
        (&error["name"], &error["code"]),
        (&json!("SchemaError"), &json!("SCHEMA"))
    );
    Ok(())
}

#[test]
fn s02_a_killed_engine_gives_no_call_a_sixth_answer() -> anyhow::Result<()> {
    let bed = bed(
        "const turns = inTurn(says(0), says(1), [ring('third'), 'hang'], says(3), says(4), says(5), says({ n: 1 }))
        try { return await agent(turns, { schema }) } catch (error) { return error.code }",
    )?;
    let mut bell = bed.project.fifo("bell")?;
    let running = bed.run(&[])?.start()?;
    bell.next_line(GUARD)?;
    running.kill()?;
    let (outcome, _) = ended(bed.command(&["resume", "--json"])?.start()?, 4)?;
    assert_eq!(outcome["result"], "SCHEMA");
    // Two were refused, the third never came, and three were left to give.
    let told = told(&bed)?;
    assert_eq!(told.len(), 6);
    // The attempt that took over begins anew.
    ensure!(told[3].is_empty() && told[4] == [""], "{told:?}");
    Ok(())
}

#[test]
fn s01_a_malformed_schema_is_refused_before_the_agent_starts() -> anyhow::Result<()> {
    let bed = bed(
        "const refused = async schema => {
          try { return await agent(does(note('started')), { schema }) } catch (error) { return [error.name, error.code, error.message] }
        }
        const remote = { $ref: 'https://example.org/schema.json' }
        return [
          await refused({ properties: { a: { type: 'text' } } }),
          await refused({ items: remote }),
          await parallel([() => agent(does(note('started')), { schema: 'object' })]),
          await agent(does({ answer: ['a'] }), { schema: { $ref: '#/$defs/words', $defs: { words: { items: { type: 'string' } } } } }),
        ]",
    )?;
    let (outcome, _) = ended(bed.run(&["--json"])?.start()?, 4)?;
    let [broken, remote, fanned, fits] =
        outcome["result"].as_array().map_or(&[][..], Vec::as_slice)
    else {
        anyhow::bail!("{outcome}")
    };
    assert_eq!(broken[0], "SchemaMalformedError");
    assert_eq!(broken[1], "SCHEMA_MALFORMED");
    ensure!(
        broken[2]
            .as_str()
            .is_some_and(|text| text.contains("/properties/a/type")),
        "{broken}"
    );
    ensure!(
        remote[2]
            .as_str()
            .is_some_and(|text| text.contains("/items/$ref")),
        "{remote}"
    );
    assert_eq!((fanned, fits), (&json!([null]), &json!(["a"])));
    assert_eq!(bed.records("AttemptStarted")?.len(), 1);
    ensure!(bed.ledger().is_empty());
    Ok(())
}

#[test]
fn s02_a_program_that_is_given_only_a_prompt_is_told_schema_and_violations() -> anyhow::Result<()> {
    let bed = bed("return await agent('How many?', { schema })")?;
    // It answers what the lines of its own file say, and keeps what it was asked.
    bed.project.write("answers", "many\n{\"n\": 4}\n")?;
    bed.project.write(
        "agent.sh",
        "n=$(ls asked.* 2>/dev/null | wc -l)\ncat > asked.$n\nsed -n $((n + 1))p answers\n",
    )?;
    let words = [
        "run",
        "flow.js",
        "--agent-command",
        "sh agent.sh",
        "--agent-input",
        "prompt",
    ];
    let finished = bed.command(&words)?.run()?.expect_code(0)?;
    assert_eq!(finished.json()?, json!({ "n": 4 }));
    let asked = |n: u32| std::fs::read_to_string(bed.project.path(&format!("asked.{n}")));
    let (first, second) = (asked(0)?, asked(1)?);
    ensure!(
        first.starts_with("How many?\n") && first.contains("\"maximum\":9"),
        "{first}"
    );
    ensure!(!first.contains("did not fit"), "{first}");
    ensure!(second.starts_with(&first), "{second}");
    ensure!(
        second.contains("\"many\"")
            && second.contains("- (root): \"many\" is not of type \"object\""),
        "{second}"
    );
    says(&finished, "completed")
}
