//! X03: a script asks a person, who answers from a second terminal.

use anyhow::{Context as _, ensure};
use bellwether_tests::program::Running;
use serde_json::{Value, json};

use crate::bed::{Bed, ended, says};

const TWO: &str = "phase('Gate')
    const done = await agent(does(note('before'), { answer: 1 }))
    const [go, count] = await Promise.all([
      ask('Deploy to production?', { choices: ['yes', 'no'], default: 'no', label: 'gate' }),
      ask('How many at once?', { schema: { type: 'integer', minimum: 1 }, timeout: 'P30D' }),
    ])
    return [done, go, count, await agent(does(note('after'), { answer: 2 }))]";

/// The run waits for so many people.
fn waits(running: &mut Running, more: &str) -> anyhow::Result<()> {
    running.line_where(|line| line.contains("\"waiting\"") && line.contains(more))?;
    Ok(())
}

#[test]
fn x03_questions_wait_through_a_kill_and_are_answered_from_a_second_terminal() -> anyhow::Result<()>
{
    let bed = Bed::new(TWO)?;
    let mut running = bed.run(&["--events"])?.start()?;
    waits(&mut running, "Deploy to production?")?;
    let rows = bed.json(&["ps", "--json"], 0)?;
    assert_eq!(rows[0]["status"], "waiting");
    let id = rows[0]["runId"].as_str().context("an id")?.to_owned();
    let before = bed.json(&["show", "--json"], 0)?["questions"].clone();
    let shown = bed.command(&["show"])?.run()?.expect_code(0)?;
    for text in [
        "Deploy to production?",
        "one of \"yes\", \"no\"; default \"no\"",
        &format!("bellwether answer {id} --question a-1 VALUE"),
        "must fit {\"type\":\"integer\",\"minimum\":1}; until ",
    ] {
        ensure!(
            shown.stdout.contains(text),
            "`{text}` was expected: {shown}"
        );
    }
    let waiting = bed.command(&["result"])?.run()?.expect_code(3)?;
    says(&waiting, "waiting: it has no result yet")?;

    // Killed, nobody can take an answer; resumed, it asks the same until the same time.
    running.kill()?;
    let nobody = bed
        .command(&["answer", &id, "--question", "gate", "yes"])?
        .run()?
        .expect_code(3)?;
    says(
        &nobody,
        &format!("resume it first: `bellwether resume {id}`"),
    )?;
    let mut running = bed.command(&["resume", "--events"])?.start()?;
    waits(&mut running, "Deploy to production?")?;
    assert_eq!(bed.json(&["show", "--json"], 0)?["questions"], before);

    let answer = |words: &[&str], code: i32| {
        let mut all = vec!["answer", &id];
        all.extend(words);
        bed.command(&all)?.run()?.expect_code(code)
    };
    says(&answer(&["yes"], 2)?, "say which one with --question")?;
    says(
        &answer(&["--question", "gate", "perhaps"], 2)?,
        "none of the choices of a-1",
    )?;
    says(
        &answer(&["--question", "a-2", "0"], 2)?,
        "less than the minimum of 1",
    )?;
    says(
        &answer(&["--question", "a-0", "0"], 2)?,
        "a-0 is a call of agent(), no question",
    )?;
    says(
        &answer(&["--question", "a-2", "4"], 0)?,
        "a-2 is answered with 4",
    )?;
    let again: Value = bed.json(&["answer", &id, "--question", "a-2", "4", "--json"], 0)?;
    assert_eq!(
        (&again["question"], &again["value"]),
        (&json!("a-2"), &json!(4))
    );
    says(
        &answer(&["--question", "a-2", "5"], 2)?,
        "answered already, and otherwise",
    )?;
    // One is left: it need not be named.
    answer(&["yes"], 0)?;
    let (outcome, _) = ended(running, 0)?;
    assert_eq!(outcome["result"], json!([1, "yes", 4, 2]));
    assert_eq!(bed.ledger(), ["after", "before"], "no agent ran twice");
    let orders = bed.records("Ordered")?;
    assert_eq!(orders.len(), 2, "{orders:?}");
    says(&answer(&["yes"], 2)?, "it asks nothing any more")
}

#[test]
fn x03_a_run_on_a_terminal_says_how_it_is_answered() -> anyhow::Result<()> {
    let bed = Bed::new("return await ask('Which way?', { timeout: 1, default: 'left' })")?;
    let finished = bed.run(&[])?.run()?.expect_code(0)?;
    ensure!(finished.stdout.contains("left"), "{finished}");
    says(&finished, "status waiting: a question: \"Which way?\"")?;
    says(&finished, "answer it with `bellwether answer r-")
}
