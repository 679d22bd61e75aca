//! The host process: it outlives the commands, is asked from any of them, and leaves when nothing is left to do.

use anyhow::{Context as _, ensure};
use bellwether_tests::GUARD;
use bellwether_tests::program::Bellwether;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::bed::{Bed, ended, says};

/// A project whose runs a host carries out, which ends with the test.
struct Hosted(Bed);

impl std::ops::Deref for Hosted {
    type Target = Bed;

    fn deref(&self) -> &Bed {
        &self.0
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        let stop = self.0.command(&["host", "stop"]).and_then(Bellwether::run);
        drop(stop);
    }
}

impl Hosted {
    fn new(body: &str) -> anyhow::Result<Self> {
        Bed::new(body).map(Self)
    }

    /// `bellwether` with these words, which has a host do its work.
    fn hosted(&self, words: &[&str]) -> anyhow::Result<Bellwether> {
        Ok(self.command(words)?.env("BELLWETHER_FOREGROUND", "0"))
    }

    /// Begins `flow.js` at a host; gives the run's id.
    fn detached(&self, more: &[&str]) -> anyhow::Result<String> {
        let agent = self.project.agent_command()?;
        let mut words = vec!["run", "flow.js", "--agent-command", &agent, "--detach"];
        words.extend(more);
        let finished = self.hosted(&words)?.run()?.expect_code(0)?;
        says(&finished, "bellwether attach r-")?;
        Ok(finished.stdout.trim().to_owned())
    }

    fn host(&self) -> anyhow::Result<Value> {
        Ok(self.json(&["host", "status", "--json"], 0)?["host"].take())
    }

    /// Waits until nobody holds the journal.
    fn is_left(&self) -> anyhow::Result<()> {
        while !self.host()?.is_null() {
            std::thread::yield_now();
        }
        Ok(())
    }
}

const TWO: &str = "const [a, b] = await parallel([
        () => agent(does(note('a'), ring('up'), { pass: 'gate' }, { answer: 'a' }), { label: 'a' }),
        () => agent(does(note('b'), ring('up'), { pass: 'gate' }, { answer: 'b' }), { label: 'b' }),
    ])
    return [a, b]";

#[test]
fn a_run_outlives_its_command_and_the_host_leaves_when_it_has_ended() -> anyhow::Result<()> {
    let bed = Hosted::new(TWO)?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let run = bed.detached(&[])?;
    bell.next_line(GUARD)?;
    bell.next_line(GUARD)?;
    let host = bed.host()?;
    assert_eq!(host["claim"]["purpose"], "host");
    assert_eq!(
        (&host["runs"][0]["runId"], &host["runs"][0]["status"]),
        (&json!(run), &json!("running"))
    );
    // Its time over, `wait` leaves it; a hangup of the terminal leaves it, too.
    let waited = bed.command(&["wait", &run, "--timeout", "50ms"])?;
    says(&waited.run()?.expect_code(3)?, "is running still")?;
    let attached = bed.command(&["attach", &run, "--events"])?.start()?;
    while bed.host()?["attached"] != 1 {
        std::thread::yield_now();
    }
    attached.signal(Signal::HUP)?;
    attached.wait(GUARD)?.expect_code(129)?;
    let attached = bed.command(&["attach", &run, "--json"])?.start()?;
    gate.admit(2)?;
    let (outcome, _) = ended(attached, 0)?;
    assert_eq!(outcome["result"], json!(["a", "b"]));
    bed.command(&["wait", &run])?.run()?.expect_code(0)?;
    bed.is_left()
}

#[test]
fn what_is_wanted_of_a_live_run_is_recorded_with_who_and_why() -> anyhow::Result<()> {
    let bed = Hosted::new(TWO)?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let run = bed.detached(&["--concurrency", "1"])?;
    bell.next_line(GUARD)?;
    let words = ["skip", &run, "--agent", "b", "--reason", "not needed"];
    says(
        &bed.command(&words)?.run()?.expect_code(0)?,
        "goes on without b",
    )?;
    let started = bed
        .command(&["skip", &run, "--agent", "a"])?
        .run()?
        .expect_code(2)?;
    says(&started, "has started: stop it instead")?;
    bed.command(&["set", &run, "--max-agents", "7"])?
        .run()?
        .expect_code(0)?;
    bed.command(&["restart", &run, "--agent", "a"])?
        .run()?
        .expect_code(0)?;
    bell.next_line(GUARD)?;
    bed.command(&["pause", &run, "--now"])?
        .run()?
        .expect_code(0)?;
    let resumed = bed.command(&["resume", &run, "--json"])?.start()?;
    bell.next_line(GUARD)?;
    bed.command(&["stop", &run, "--agent", "a"])?
        .run()?
        .expect_code(0)?;
    let (outcome, _) = ended(resumed, 0)?;
    assert_eq!(outcome["result"], json!([null, null]));
    drop(gate.admit(1));
    let orders: Vec<Value> = bed
        .records("Ordered")?
        .into_iter()
        .map(|record| {
            json!([
                record["order"]["verb"],
                record["order"]["agentId"],
                record["reason"]
            ])
        })
        .collect();
    let expected = json!([
        ["skip", "a-1", "not needed"],
        ["set", null, null],
        ["restart", "a-0", null],
        ["stop", "a-0", null]
    ]);
    assert_eq!(Value::from(orders), expected);
    // A person's word holds in every rewind.
    let again = bed.command(&["resume", &run, "--retry-failed", "--json"])?;
    let again: Value = again.run()?.expect_code(0)?.json()?;
    assert_eq!(again["result"], json!([null, null]));
    assert_eq!(bed.ledger(), ["a", "a", "a"]);
    Ok(())
}

#[test]
fn a_host_that_is_killed_leaves_runs_that_go_on_and_one_that_is_restarted_goes_on_by_itself()
-> anyhow::Result<()> {
    let bed = Hosted::new(TWO)?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let run = bed.detached(&[])?;
    bell.next_line(GUARD)?;
    bell.next_line(GUARD)?;
    let pid = bed.host()?["claim"]["pid"].as_i64().context("a process")?;
    let pid = Pid::from_raw(i32::try_from(pid)?).context("a process")?;
    kill_process(pid, Signal::KILL)?;
    bed.is_left()?;
    let waited = bed.command(&["wait", &run])?.run()?.expect_code(3)?;
    says(&waited, "no process works on it")?;
    let resumed = bed.hosted(&["resume", &run, "--detach"])?;
    assert_eq!(resumed.run()?.expect_code(0)?.stdout.trim(), run);
    bell.next_line(GUARD)?;
    bell.next_line(GUARD)?;
    let restarted = bed.json(&["host", "restart", "--json"], 0)?;
    assert_eq!(restarted, json!({ "resumed": [run] }));
    bell.next_line(GUARD)?;
    bell.next_line(GUARD)?;
    let stopped = bed.json(&["host", "stop", "--json"], 0)?;
    assert_eq!(stopped["stopped"], json!([run]));
    assert!(bed.host()?.is_null());
    gate.admit(2)?;
    let outcome = bed
        .hosted(&["resume", &run, "--json"])?
        .run()?
        .expect_code(0)?
        .json()?;
    assert_eq!(outcome["result"], json!(["a", "b"]));
    bed.command(&["host", "stop"])?.run()?.expect_code(0)?;
    Ok(())
}

/// Commands that begin at once begin one host, and each its run.
#[test]
fn hosts_that_race_leave_one_and_no_run_is_lost_or_doubled() -> anyhow::Result<()> {
    let bed = Hosted::new("return agent('Do it.')")?;
    for round in 0..5 {
        let words = ["run", "flow.js", "--backend", "dry", "--json"];
        let mut runs = Vec::new();
        for _ in 0..6 {
            runs.push(bed.hosted(&words)?.start()?);
        }
        for run in runs {
            let (outcome, _) = ended(run, 0)?;
            assert_eq!(outcome["status"], "completed");
        }
        let rows = bed.json(&["ps", "--all", "--json"], 0)?;
        let rows = rows.as_array().context("rows")?;
        assert_eq!(rows.len(), 6 * (round + 1));
        ensure!(
            rows.iter().all(|row| row["status"] == "completed"),
            "{rows:?}"
        );
        bed.command(&["host", "stop"])?.run()?.expect_code(0)?;
    }
    Ok(())
}

#[test]
fn a_host_that_cannot_begin_says_why() -> anyhow::Result<()> {
    let bed = Hosted::new("return 1")?;
    bed.project.write(
        "broken",
        "this is no journal at all, whatever its name says",
    )?;
    let refused = bed.hosted(&["run", "flow.js", "--backend", "dry", "--journal", "broken"])?;
    let refused = refused.run()?.expect_code(5)?;
    says(&refused, "the host process ended before it answered")?;
    says(&refused, "broken")?;
    // The environment of an agent is that of the command that began its run, not of the host.
    let agent = "sh -c 'echo {\\\"result\\\": \\\"$COLOUR\\\"}'";
    bed.project.write(
        "env.js",
        "export const meta = { name: 'env', description: 'x' }\nreturn agent('x')",
    )?;
    for colour in ["red", "blue"] {
        let run = bed.hosted(&["run", "env.js", "--agent-command", agent])?;
        let run = run.env("COLOUR", colour).run()?.expect_code(0)?;
        ensure!(run.stdout.contains(colour), "{run}");
    }
    bed.command(&["host", "stop"])?.run()?.expect_code(0)?;
    Ok(())
}
