//! A second terminal: what other commands see and do while a run is live, and when nobody holds the journal.

use std::os::unix::fs::FileTypeExt as _;

use anyhow::{Context as _, ensure};
use bellwether_tests::GUARD;
use serde_json::{Value, json};

use crate::bed::{Bed, ended, members, says};

/// A script with one agent that is done and one that waits at the gate.
const ONE_DONE: &str = "phase('Work'); log('begun')
    const done = await agent(does({ answer: 1 }), { label: 'first' })
    return [done, await agent(does(ring('up'), { pass: 'gate' }, { answer: 2 }), { label: 'second' })]";

#[test]
fn a_live_run_is_seen_and_stopped_from_a_second_terminal() -> anyhow::Result<()> {
    let bed = Bed::new(ONE_DONE)?;
    let mut bell = bed.project.fifo("bell")?;
    let _gate = bed.project.fifo("gate")?;
    let running = bed.run(&["--json"])?.start()?;
    bell.next_line(GUARD)?;

    let rows = bed.json(&["ps", "--json"], 0)?;
    let names = [
        "agents",
        "durationMs",
        "name",
        "runId",
        "startedAt",
        "status",
        "usage",
    ];
    assert_eq!(members(&rows[0]), names);
    assert_eq!(
        (&rows[0]["status"], &rows[0]["name"]),
        (&json!("running"), &json!("flow"))
    );
    let id = rows[0]["runId"].as_str().context("an id")?.to_owned();
    let show = bed.command(&["show", &id])?.run()?.expect_code(0)?;
    for text in ["Work", "first", "second", "running", "completed"] {
        ensure!(show.stdout.contains(text), "`{text}` was expected: {show}");
    }
    // By a beginning of its id, with and without `r-`; agents by number and by label.
    for words in [
        ["show", &id[..7], "a-0"],
        ["show", &id[2..7], "first"],
        ["show", "last", "first"],
    ] {
        let call = bed.json(&[words[0], words[1], words[2], "--json"], 0)?;
        assert_eq!(
            (&call["agentId"], &call["status"]),
            (&json!("a-0"), &json!("completed"))
        );
    }
    let logs = bed.command(&["logs"])?.run()?.expect_code(0)?;
    ensure!(logs.stdout.contains("begun"), "{logs}");
    says(&logs, &format!("the latest run: {id}"))?;
    let none = bed.command(&["result"])?.run()?.expect_code(3)?;
    says(&none, "no result yet")?;
    ensure!(none.stdout.is_empty(), "{none}");
    let live: Value = bed.json(&["journal", "dump", &id, "--json"], 0)?;
    ensure!(
        live.as_array().is_some_and(|records| records.len() > 6),
        "{live}"
    );

    // A second resume shows what the first process does; a second run is carried out there, too.
    let pid = format!("process {}", running.id());
    let watching = bed.command(&["resume", &id, "--events"])?.start()?;
    let second = bed.command(&["run", "flow.js", "--backend", "dry"])?;
    says(
        &second.run()?.expect_code(0)?,
        &format!("carried out by {pid}"),
    )?;

    let stopped = bed.json(&["stop", &id, "--json"], 0)?;
    assert_eq!(
        stopped,
        json!({ "runId": id, "status": "stopped", "done": true })
    );
    let watched = watching.wait(GUARD)?.expect_code(3)?;
    says(&watched, &pid)?;
    let (outcome, finished) = ended(running, 3)?;
    assert_eq!(outcome["status"], "stopped");
    says(&finished, &format!("bellwether resume {id}"))?;
    // Nobody works on it now.
    let show = bed.json(&["show", &id, "--json"], 0)?;
    assert_eq!(
        (&show["calls"][1]["status"], &show["calls"][0]["status"]),
        (&json!("interrupted"), &json!("completed"))
    );
    let again = bed.command(&["stop", &id])?.run()?.expect_code(0)?;
    says(&again, "no process works on it")
}

#[test]
fn logs_that_are_followed_end_with_the_run() -> anyhow::Result<()> {
    let bed = Bed::new(ONE_DONE)?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let running = bed.run(&[])?.start()?;
    bell.next_line(GUARD)?;
    let mut follower = bed.command(&["logs", "-f", "last"])?.start()?;
    follower.line_where(|line| line.contains("(second) started"))?;
    gate.admit(1)?;
    running.wait(GUARD)?.expect_code(0)?;
    let followed = follower.wait(GUARD)?.expect_code(0)?;
    ensure!(followed.stdout.contains("run completed"), "{followed}");
    Ok(())
}

#[test]
fn what_a_killed_holder_left_is_no_obstacle() -> anyhow::Result<()> {
    let bed = Bed::new(ONE_DONE)?;
    let mut bell = bed.project.fifo("bell")?;
    let _gate = bed.project.fifo("gate")?;
    let running = bed.run(&[])?.start()?;
    bell.next_line(GUARD)?;
    running.kill()?;
    ensure!(
        bed.project
            .path(".bellwether/local/journal.redb.lock")
            .exists()
    );
    // Its socket is still there, too.
    let sockets = std::fs::read_dir(bed.project.path("bellwether"))?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket()));
    assert_eq!(sockets.count(), 1);
    assert_eq!(bed.json(&["ps", "--json"], 0)?[0]["status"], "interrupted");
    let show = bed.command(&["show"])?.run()?.expect_code(0)?;
    ensure!(show.stdout.contains("bellwether resume r-"), "{show}");
    // `ps` started nothing, and another run can begin.
    let (outcome, _) = ended(
        bed.command(&["run", "flow.js", "--backend", "dry", "--json"])?
            .start()?,
        0,
    )?;
    let rows = bed.json(&["ps", "--json"], 0)?;
    assert_eq!(
        (&rows[0]["runId"], &rows[1]["status"]),
        (&outcome["runId"], &json!("interrupted"))
    );
    Ok(())
}

#[test]
fn a_run_that_is_not_there_is_named_with_what_to_do() -> anyhow::Result<()> {
    let bed = Bed::new("return 1")?;
    // No journal at all.
    assert_eq!(bed.json(&["ps", "--json"], 0)?, json!([]));
    for verb in ["show", "result", "logs", "resume"] {
        let none = bed.command(&[verb])?.run()?.expect_code(2)?;
        says(&none, "no journal at")?;
        says(&none, "bellwether run")?;
    }
    ensure!(
        !bed.project.path(".bellwether").exists(),
        "looking made a journal"
    );
    for _ in 0..40 {
        bed.command(&["run", "flow.js", "--backend", "dry", "-q"])?
            .run()?
            .expect_code(0)?;
    }
    let all = bed.json(&["ps", "--all", "--json"], 0)?;
    let ids: Vec<&str> = all
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|row| row["runId"].as_str())
        .collect();
    assert_eq!(ids.len(), 40);
    // Of 40 ids two begin alike.
    let twice = ids
        .iter()
        .map(|id| &id[..3])
        .find(|start| ids.iter().filter(|id| id.starts_with(start)).count() > 1)
        .context("40 ids with 32 beginnings")?;
    let ambiguous = bed.command(&["show", twice])?.run()?.expect_code(2)?;
    let candidates = ids.iter().filter(|id| id.starts_with(twice));
    for id in candidates.take(2) {
        says(&ambiguous, id)?;
    }
    says(
        &bed.command(&["show", "r-iiii"])?.run()?.expect_code(2)?,
        "no run `r-iiii`",
    )?;
    says(
        &bed.command(&["show", "last", "nobody"])?
            .run()?
            .expect_code(2)?,
        "no agent `nobody`",
    )
}
