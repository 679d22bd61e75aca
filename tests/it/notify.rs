//! A command tells that a run has ended or waits, whatever is killed in between.

use anyhow::{Context as _, ensure};
use bellwether_tests::GUARD;
use serde_json::{Value, json};

use crate::bed::{Bed, says};

/// Tells it on a pipe that the test reads: whose run it is, and the final object.
const TELL: &str = "(echo $BELLWETHER_RUN $BELLWETHER_STATUS; cat; echo) > told";

/// What was left to be told.
fn entries(bed: &Bed) -> anyhow::Result<usize> {
    let folder = bed.project.path(".bellwether/local/journal.redb.notify");
    Ok(std::fs::read_dir(folder)?.count())
}

#[test]
fn a_run_that_waits_and_ends_is_told_of_each_time() -> anyhow::Result<()> {
    let bed = Bed::new("return ask('Which one?', { choices: ['a', 'b'] })")?;
    let mut told = bed.project.fifo("told")?;
    let running = bed.run(&["--json", "--notify", TELL])?.start()?;
    let first = told.next_line(GUARD)?;
    let waiting: Value = serde_json::from_str(&told.next_line(GUARD)?)?;
    let run = waiting["runId"].as_str().context("an id")?.to_owned();
    assert_eq!(first, format!("{run} waiting"));
    assert_eq!(
        (&waiting["status"], &waiting["questions"][0]["question"]),
        (&json!("waiting"), &json!("Which one?"))
    );
    bed.command(&["answer", &run, "b"])?.run()?.expect_code(0)?;
    assert_eq!(told.next_line(GUARD)?, format!("{run} completed"));
    let ended: Value = serde_json::from_str(&told.next_line(GUARD)?)?;
    assert_eq!(ended["result"], "b");
    running.wait(GUARD)?.expect_code(0)?;
    assert_eq!(entries(&bed)?, 0, "nothing is left to be told");
    Ok(())
}

#[test]
fn what_a_killed_process_did_not_tell_is_told_by_the_next() -> anyhow::Result<()> {
    let bed = Bed::new("return agent(does({ answer: 1 }))")?;
    let mut told = bed.project.fifo("told")?;
    let settings = format!("notify = \"test -e ready && {TELL}\"\n");
    bed.project.write(".bellwether/config.toml", &settings)?;
    let mut running = bed.run(&["--events"])?.start()?;
    running.line_where(|line| line.contains(r#""status":"completed""#))?;
    running.kill()?;
    assert_eq!(entries(&bed)?, 1);
    bed.project.write("ready", "")?;
    let next = bed.command(&["resume", "last", "--json"])?.start()?;
    ensure!(told.next_line(GUARD)?.ends_with(" completed"));
    let ended: Value = serde_json::from_str(&told.next_line(GUARD)?)?;
    assert_eq!(ended["result"], 1);
    next.wait(GUARD)?.expect_code(0)?;
    assert_eq!(entries(&bed)?, 0);
    Ok(())
}

#[test]
fn a_run_that_never_began_is_not_told_of() -> anyhow::Result<()> {
    let bed = Bed::new("return (")?;
    let refused = bed.run(&["--notify", TELL])?.run()?.expect_code(2)?;
    says(&refused, "flow.js")?;
    assert_eq!(entries(&bed)?, 0);
    let empty = bed.run(&["--notify", ""])?.run()?.expect_code(2)?;
    says(&empty, "--notify")
}

#[test]
fn a_rewind_that_is_refused_tells_nothing() -> anyhow::Result<()> {
    let bed = Bed::new("return agent(does({ answer: 1 }))")?;
    bed.run(&[])?.run()?.expect_code(0)?;
    let refused = ["restart", "last", "--agent", "a-7", "--notify", TELL];
    bed.command(&refused)?.run()?.expect_code(2)?;
    assert_eq!(
        entries(&bed).unwrap_or(0),
        0,
        "nobody is told of an end again"
    );
    Ok(())
}

#[test]
fn a_rewind_that_is_refused_leaves_who_was_to_be_told() -> anyhow::Result<()> {
    let bed = Bed::new("return ask('Which one?')")?;
    let mut told = bed.project.fifo("told")?;
    let running = bed.run(&["--notify", TELL])?.start()?;
    ensure!(told.next_line(GUARD)?.ends_with(" waiting"));
    running.kill()?;
    let other = ["restart", "last", "--agent", "a-7", "--notify", "false"];
    bed.command(&other)?.run()?.expect_code(2)?;
    let folder = bed.project.path(".bellwether/local/journal.redb.notify");
    let entry = std::fs::read_dir(folder)?.next().context("an entry")??;
    let entry: Value = serde_json::from_str(&std::fs::read_to_string(entry.path())?)?;
    assert_eq!(entry["command"], TELL);
    Ok(())
}
