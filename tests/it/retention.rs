//! Which runs a journal keeps, where else they go, and whether they are as they were written.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::bed::{Bed, says};

/// A value and a prompt that leave their records.
const LONG: &str = "const long = 'x'.repeat(5000)
    const a = await agent(long)
    return [a, long]";

fn dry(bed: &Bed) -> anyhow::Result<String> {
    let outcome = bed.json(&["run", "flow.js", "--backend", "dry", "--json"], 0)?;
    Ok(outcome["runId"].as_str().context("an id")?.to_owned())
}

#[test]
fn old_runs_go_with_their_space_but_not_those_that_others_need() -> anyhow::Result<()> {
    let bed = Bed::new(LONG)?;
    for _ in 0..12 {
        dry(&bed)?;
    }
    let base = dry(&bed)?;
    bed.command(&["fork", &base])?.run()?.expect_code(0)?;
    let fork = bed.json(&["result", "last", "--json"], 0)?;
    let would = bed.json(
        &[
            "gc",
            "--keep",
            "1ms",
            "--keep-last",
            "1",
            "--dry-run",
            "--json",
        ],
        0,
    )?;
    assert_eq!(would["removed"].as_array().map(Vec::len), Some(12));
    assert_eq!(
        bed.json(&["ps", "--all", "--json"], 0)?
            .as_array()
            .map(Vec::len),
        Some(14)
    );
    let kept = bed.command(&["gc"])?.run()?.expect_code(0)?;
    says(&kept, "nothing is old enough")?;
    let done = bed.json(&["gc", "--keep", "1ms", "--keep-last", "1", "--json"], 0)?;
    assert_eq!(done["removed"], would["removed"]);
    ensure!(
        done["bytesAfter"].as_u64() < done["bytesBefore"].as_u64(),
        "{done}"
    );
    let left = bed.json(&["ps", "--all", "--json"], 0)?;
    assert_eq!(left.as_array().map(Vec::len), Some(2));
    assert_eq!(left[1]["runId"], json!(base));
    // What is left is whole, is read as ever, and goes on.
    bed.command(&["journal", "verify"])?.run()?.expect_code(0)?;
    assert_eq!(bed.json(&["result", "last", "--json"], 0)?, fork);
    bed.command(&["restart", "last", "--agent", "a-0"])?
        .run()?
        .expect_code(0)?;
    Ok(())
}

#[test]
fn a_run_goes_to_a_file_and_comes_back_from_it() -> anyhow::Result<()> {
    let bed = Bed::new(LONG)?;
    let run = dry(&bed)?;
    let fork = bed.json(&["fork", &run, "--json"], 0)?;
    let whole: Value = bed.json(&["journal", "dump", "last", "--json"], 0)?;
    let exported = bed.json(&["export", "last", "--output", "out.journal", "--json"], 0)?;
    assert_eq!(
        exported["runs"].as_array().map(Vec::len),
        Some(2),
        "{exported}"
    );
    let taken = bed.command(&["export", "last", "--output", "out.journal"])?;
    says(&taken.run()?.expect_code(2)?, "is there already")?;
    let copied = bed.json(
        &[
            "journal",
            "dump",
            "last",
            "--json",
            "--journal",
            "out.journal",
        ],
        0,
    )?;
    assert_eq!(copied, whole);
    bed.command(&["gc", "--keep", "1ms"])?
        .run()?
        .expect_code(0)?;
    assert_eq!(bed.json(&["ps", "--json"], 0)?, json!([]));
    let imported = bed.json(&["import", "out.journal", "--json"], 0)?;
    assert_eq!(imported["imported"].as_array().map(Vec::len), Some(2));
    let again = bed.json(&["import", "out.journal", "--json"], 0)?;
    assert_eq!(again["known"].as_array().map(Vec::len), Some(2));
    let id = fork["runId"].as_str().context("an id")?;
    assert_eq!(bed.json(&["journal", "dump", id, "--json"], 0)?, whole);
    bed.command(&["restart", id, "--agent", "a-0"])?
        .run()?
        .expect_code(0)?;
    let none = bed
        .command(&["import", "nothing.journal"])?
        .run()?
        .expect_code(2)?;
    says(&none, "there is no file")
}

#[test]
fn who_did_what_is_told_and_the_records_are_checked() -> anyhow::Result<()> {
    let bed = Bed::new("return agent('Do it.')")?;
    let run = dry(&bed)?;
    bed.command(&["restart", &run, "--agent", "a-0", "--reason", "it lied"])?
        .env("USER", "ann")
        .run()?
        .expect_code(0)?;
    let trail = bed.command(&["trail", &run])?.run()?.expect_code(0)?;
    for text in [
        "started flow",
        "ann@",
        "rewound it: generation 2: it lied",
        "ended completed",
    ] {
        ensure!(trail.stdout.contains(text), "`{text}`: {trail}");
    }
    let verified = bed.json(&["journal", "verify", &run, "--json"], 0)?;
    assert_eq!(verified[0]["damage"], Value::Null);
    let head = verified[0]["head"].as_str().context("a head")?.to_owned();
    let dump = bed.json(&["journal", "dump", &run, "--json"], 0)?;
    let last = dump
        .as_array()
        .and_then(|records| records.last())
        .context("records")?;
    assert_eq!(last["chain"], json!(head));
    Ok(())
}
