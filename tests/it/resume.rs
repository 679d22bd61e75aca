//! Recovery through the real program: killed at chosen points, resumed, and what ran is counted by a ledger.

use anyhow::{Context as _, ensure};
use bellwether_journal::codec::{self, Sealer};
use bellwether_journal::id::Position;
use bellwether_journal::read;
use bellwether_journal::record::Record;
use bellwether_journal::redb::{Options, RedbStore};
use bellwether_journal::state::RunState;
use bellwether_journal::store::{Batch, Store as _};
use bellwether_journal::text::Text;
use bellwether_tests::GUARD;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::bed::{Bed, agents_ended, ended, says};

/// More passes than agents that may ever stand at a gate: one whose engine was killed may still take a pass before it dies.
const SPARE: usize = 100;

/// Resumes the latest run and gives its final object.
fn resumed(bed: &Bed) -> anyhow::Result<Value> {
    Ok(ended(bed.command(&["resume", "--json", "--yes"])?.start()?, 0)?.0)
}

#[test]
fn r01_killed_before_the_first_answer_only_what_was_in_flight_runs_again() -> anyhow::Result<()> {
    let bed = Bed::new(
        "return await parallel([1, 2, 3].map(n => () => agent(does(note(n + ' {attempt} {idempotencyKey}'), ring(n), { pass: 'gate' }, 'answerTask'))))",
    )?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let running = bed.run(&["--concurrency", "2"])?.start()?;
    bell.next_line(GUARD)?;
    bell.next_line(GUARD)?;
    running.kill()?;
    gate.admit(SPARE)?;
    let outcome = resumed(&bed)?;
    assert_eq!(
        (
            &outcome["agents"]["completed"],
            &outcome["agents"]["reused"]
        ),
        (&json!(3), &json!(0))
    );
    // The two at work had a second attempt under the same key, the third, which waited, its first.
    let ledger: Vec<Vec<String>> = bed
        .ledger()
        .iter()
        .map(|line| line.split(' ').map(str::to_owned).collect())
        .collect();
    let attempts: Vec<String> = ledger
        .iter()
        .map(|line| format!("{} {}", line[0], line[1]))
        .collect();
    assert_eq!(attempts, ["1 1", "1 2", "2 1", "2 2", "3 1"]);
    assert_eq!(ledger[0][2], ledger[1][2]);
    assert_eq!(ledger[2][2], ledger[3][2]);
    ensure!(
        ledger[0][2] != ledger[2][2],
        "two calls share a key: {ledger:?}"
    );
    // What the agent was told of the attempt before.
    let task = &outcome["result"][0];
    assert_eq!(task["attempt"], 2);
    let previous = task["previousAttempts"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    ensure!(previous.len() == 1 && previous[0]["attempt"] == 1, "{task}");
    assert_eq!(outcome["result"][2]["previousAttempts"], json!([]));
    Ok(())
}

#[test]
fn r01_killed_again_and_again_between_two_steps_no_completed_agent_runs_twice() -> anyhow::Result<()>
{
    let bed = Bed::new(
        "const values = []
        for (const n of [1, 2, 3, 4]) {
          values.push(await agent(does(note(n), { answer: { z: n, a: 'é' } })))
          await agent(does(ring(n), { pass: 'gate' }, { answer: 'through' }))
        }
        return JSON.stringify(values)",
    )?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let mut running = bed.run(&[])?.start()?;
    for n in 1..=3 {
        assert_eq!(bell.next_line(GUARD)?, n.to_string());
        running.kill()?;
        running = bed.command(&["resume"])?.start()?;
        // The step that was in flight came again.
        assert_eq!(bell.next_line(GUARD)?, n.to_string());
        gate.admit(1)?;
    }
    assert_eq!(bell.next_line(GUARD)?, "4");
    running.kill()?;
    gate.admit(SPARE)?;
    let outcome = resumed(&bed)?;
    assert_eq!(bed.ledger(), ["1", "2", "3", "4"]);
    // Seven calls were completed before the last takeover. Values are as the agent gave them, byte for byte.
    assert_eq!(outcome["agents"]["reused"], 7);
    assert_eq!(outcome["agents"]["completed"], 8);
    let text = r#"[{"z":1,"a":"é"},{"z":2,"a":"é"},{"z":3,"a":"é"},{"z":4,"a":"é"}]"#;
    assert_eq!(outcome["result"], text);
    Ok(())
}

#[test]
fn r01_killed_in_the_middle_of_a_fan_out_the_result_is_as_undisturbed() -> anyhow::Result<()> {
    let bed = Bed::new(
        "const verdicts = await pipeline(Array.from({ length: 12 }, (_, i) => i),
          i => agent(does(note('fix ' + i), { answer: i * 10 })),
          fixed => agent(does(note('verify ' + fixed), { answer: fixed + 1 })))
        return await agent(does(note('report'), { answer: verdicts }))",
    )?;
    let mut running = bed.run(&["--events", "--concurrency", "3"])?.start()?;
    agents_ended(&mut running, 11)?;
    running.kill()?;
    let outcome = resumed(&bed)?;
    let expected: Vec<i64> = (0..12).map(|i| i * 10 + 1).collect();
    assert_eq!(outcome["result"], json!(expected));
    assert_eq!(outcome["agents"]["total"], 25);
    // By the journal: an agent ran as often as it was started, and one that was settled never again.
    let dump = bed.dump()?;
    let mut settled = std::collections::BTreeSet::new();
    for line in &dump {
        let agent = line["record"]["agentId"].to_string();
        match line["kind"].as_str() {
            Some("AttemptStarted") => ensure!(!settled.contains(&agent), "{agent} ran again"),
            Some("CallSettled") => ensure!(settled.insert(agent.clone()), "{agent} settled twice"),
            _ => {}
        }
    }
    let started = dump
        .iter()
        .filter(|line| line["kind"] == "AttemptStarted")
        .count();
    ensure!(
        bed.ledger().len() <= started && started <= 25 + 3,
        "{started} starts"
    );
    let distinct: std::collections::BTreeSet<String> = bed.ledger().into_iter().collect();
    assert_eq!(distinct.len(), 25);
    Ok(())
}

#[test]
fn x05_time_and_chance_after_a_kill_are_those_of_before() -> anyhow::Result<()> {
    let bed = Bed::new(
        "const drawn = []
        for (const n of [1, 2, 3]) {
          drawn.push([now(), random()])
          await agent(does(note(JSON.stringify(drawn)), ring(n), { pass: 'gate' }, { answer: n }))
        }
        return drawn",
    )?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let mut running = bed.run(&[])?.start()?;
    for _ in 0..3 {
        bell.next_line(GUARD)?;
        running.kill()?;
        running = bed.command(&["resume", "--json"])?.start()?;
        bell.next_line(GUARD)?;
        gate.admit(1)?;
    }
    let (outcome, _) = ended(running, 0)?;
    // Every attempt of a step was given the same text, and the result is what the last one was given.
    let ledger = bed.project.lines("ledger");
    for pair in ledger.chunks(2) {
        assert_eq!(pair[0], pair[1]);
    }
    assert_eq!(
        serde_json::from_str::<Value>(&ledger[5])?,
        outcome["result"]
    );
    Ok(())
}

#[test]
fn f02_a_log_line_stands_once_after_a_kill_and_objects_are_json() -> anyhow::Result<()> {
    let bed = Bed::new(
        "log('one', { b: [1], a: null }); phase('P')
        await agent(does(ring('up'), { pass: 'gate' }, { answer: 1 }))
        phase('P'); log('two')",
    )?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let running = bed.run(&[])?.start()?;
    bell.next_line(GUARD)?;
    let killed = running.kill()?;
    says(&killed, "one {\"b\":[1],\"a\":null}")?;
    gate.admit(SPARE)?;
    let second = bed.command(&["resume"])?.run()?.expect_code(0)?;
    ensure!(!second.stderr.contains("one {"), "{second}");
    says(&second, "two")?;
    let logs = bed.command(&["logs"])?.run()?.expect_code(0)?;
    assert_eq!(logs.stdout.matches("one {").count(), 1, "{logs}");
    assert_eq!(
        logs.stdout.matches("phase P").count(),
        2,
        "entered twice by the script: {logs}"
    );
    Ok(())
}

#[test]
fn r01_timers_retries_and_inner_workflows_go_on_where_they_were() -> anyhow::Result<()> {
    let bed = Bed::new(
        "const again = agent(does(note('again'), { failBefore: { attempt: 3, kind: 'transport' } }, { answer: 'well' }))
        const inner = await workflow({ scriptPath: 'inner.js' }, [1, 2])
        const first = await Promise.race([sleep(150).then(() => 'timer'), agent(does(ring('racing'), 'hang'))])
        return { inner, first, again: await again }",
    )?;
    bed.project.write(
        "inner.js",
        "export const meta = { name: 'inner', description: 'x' }
        const does = n => JSON.stringify([{ append: { to: 'bell', line: 'inner' } }, { pass: 'gate' }, { answer: n }])
        return await pipeline(args, n => agent(does(n)), n => n * 2)",
    )?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let running = bed.run(&["--concurrency", "0"])?.start()?;
    bell.next_line(GUARD)?;
    running.kill()?;
    // The file of the inner workflow is gone: the journal has its text.
    std::fs::remove_file(bed.project.path("inner.js"))?;
    gate.admit(SPARE)?;
    let running = bed.command(&["resume"])?.start()?;
    while bell.next_line(GUARD)? != "racing" {}
    running.kill()?;
    let outcome = resumed(&bed)?;
    let expected = json!({ "inner": [2, 4], "first": "timer", "again": "well" });
    assert_eq!(outcome["result"], expected);
    assert_eq!(outcome["agents"]["cancelled"], 1);
    Ok(())
}

#[test]
fn r05_a_stopped_run_goes_on_and_a_finished_one_runs_what_failed() -> anyhow::Result<()> {
    let bed = Bed::new(
        "const first = await agent(does(note('first'), { answer: 1 }))
        const failed = await agent(does(note('failed'), { fail: { kind: 'refused', message: 'no' } }))
        const second = await agent(does(note('second'), ring('up'), { pass: 'gate' }, { answer: 2 }))
        return [first, failed, second]",
    )?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let running = bed.run(&["--json"])?.start()?;
    bell.next_line(GUARD)?;
    running.signal(Signal::TERM)?;
    ended(running, 143)?;
    gate.admit(SPARE)?;
    let finished = bed.command(&["resume", "--json"])?.run()?.expect_code(4)?;
    let outcome = finished.json()?;
    assert_eq!(outcome["result"], json!([1, null, 2]));
    says(&finished, "the latest run: r-")?;
    says(&finished, "1 failed before")?;
    assert_eq!(bed.ledger(), ["failed", "first", "second", "second"]);
    says(&finished, "resume r-")?;
    says(&finished, "--retry-failed")?;
    // Finished, with a failure: that runs again, and fails again, so that nothing else does.
    let again = bed.command(&["resume", "--json"])?.run()?.expect_code(4)?;
    says(&again, "generation 2")?;
    let again = again.json()?;
    assert_eq!(again["result"], outcome["result"]);
    assert_eq!(again["agents"]["reused"], 2);
    assert_eq!(
        bed.ledger(),
        ["failed", "failed", "first", "second", "second"]
    );
    Ok(())
}

#[test]
fn r01_the_journal_alone_is_enough_and_a_changed_script_is_named() -> anyhow::Result<()> {
    let bed = Bed::new(
        "const r = await agent(does(ring('up'), { pass: 'gate' }, 'answerTask'), { label: 'it' })
        return ['as it was', args.n, r.cwd]",
    )?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let running = bed
        .run(&["--args", "{\"n\": 7}", "--name", "mine"])?
        .start()?;
    bell.next_line(GUARD)?;
    running.kill()?;
    bed.project.script("flow", "return 'another'")?;
    // From another folder, without a word of what it was started with.
    bed.project.write("elsewhere/x", "")?;
    let journal = bed
        .project
        .path(".bellwether/local/journal.redb")
        .display()
        .to_string();
    gate.admit(SPARE)?;
    let finished = bellwether_tests::program::Bellwether::new(
        &bed.project.path("elsewhere"),
        ["resume", "--json", "--journal", &journal],
    )?
    .env("XDG_RUNTIME_DIR", bed.project.folder())
    .run()?
    .expect_code(0)?;
    let outcome = finished.json()?;
    assert_eq!(outcome["name"], "mine");
    assert_eq!(
        outcome["result"],
        json!(["as it was", 7, bed.project.folder()])
    );
    says(&finished, "flow.js has changed since the run was started")?;
    Ok(())
}

#[test]
fn r01_two_that_resume_at_once_carry_it_out_once() -> anyhow::Result<()> {
    let bed = Bed::new(
        "return await agent(does(note('{attempt}'), ring('up'), { pass: 'gate' }, { answer: 1 }))",
    )?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let running = bed.run(&[])?.start()?;
    bell.next_line(GUARD)?;
    running.kill()?;
    let both = [
        bed.command(&["resume", "--json"])?.start()?,
        bed.command(&["resume", "--json"])?.start()?,
    ];
    bell.next_line(GUARD)?;
    let [first, second] = both;
    // One carries it out, and both show it; which one, the lock decides.
    let status = bed.json(&["host", "status", "--json"], 0)?;
    let (holder, other) = if status["host"]["claim"]["pid"] == first.id() {
        (first, second)
    } else {
        (second, first)
    };
    gate.admit(1)?;
    for shown in [ended(holder, 0)?, ended(other, 0)?] {
        assert_eq!(shown.0["result"], 1);
    }
    assert_eq!(bed.ledger(), ["1", "2"]);
    Ok(())
}

#[test]
fn r02_labels_and_phases_leave_the_key_options_change_it() -> anyhow::Result<()> {
    let bed = Bed::new(
        "const ask = options => () => agent('the same', options)
        await parallel([ask(), ask({ label: 'x', phase: 'P' }), ask({ model: 'm' }), ask({ effort: 'low' }), ask({ schema: { type: 'object' } })])
        await agent('the same')",
    )?;
    let keys = |bed: &Bed| -> anyhow::Result<Vec<(Value, Value, Value)>> {
        bed.command(&["run", "flow.js", "--backend", "dry"])?
            .run()?
            .expect_code(0)?;
        let calls = bed.records("CallScheduled")?;
        Ok(calls
            .into_iter()
            .map(|mut call| {
                (
                    call["content"].take(),
                    call["context"].take(),
                    call["key"].take(),
                )
            })
            .collect())
    };
    let first = keys(&bed)?;
    let content = |n: usize| &first[n].0;
    assert_eq!(content(0), content(1));
    for other in 2..5 {
        ensure!(
            content(other) != content(0),
            "option {other} does not count"
        );
    }
    // Equal content in an equal context is told apart by occurrence; what waited has another context.
    assert_eq!(first[0].1, first[1].1);
    ensure!(
        first[0].2 != first[1].2 && content(5) == content(0) && first[5].1 != first[0].1,
        "{first:?}"
    );
    // Another run with the same script: the keys of what waited for nothing are the same.
    assert_eq!(keys(&bed)?[..5], first[..5]);
    Ok(())
}

/// A copy of the latest run whose script is another one, in a journal of its own: as if the engine had forgotten what it
/// journaled. Each record is sealed anew, so that nothing but the script is wrong.
fn forge(bed: &Bed, script: &str) -> anyhow::Result<()> {
    let open = |name: &str, options| RedbStore::open(bed.project.path(name), options);
    let store = open(
        ".bellwether/local/journal.redb",
        Options::default().existing(),
    )?;
    let forged = open("forged", Options::default())?;
    let (run, _) = read::summaries(&store).next().context("no run")??;
    let (mut sealer, mut state, mut batch) =
        (Sealer::new(run), RunState::new(run), Batch::default());
    for entry in read::entries(&store, run, Position(0)) {
        let mut entry = entry?;
        if let Record::GenerationOpened(opened) = &mut entry.record {
            opened.script = Text::Inline(script.into());
        }
        let (row, sealed) = sealer.append(entry.at, entry.record)?;
        state.apply(&sealed)?;
        batch.records.push((run, row.position, row.bytes));
    }
    batch
        .summaries
        .push((run, codec::encode_summary(&state.summary())));
    forged.commit(&batch)?;
    Ok(())
}

#[test]
fn r06_another_command_at_the_same_place_names_both_and_leaves_the_run() -> anyhow::Result<()> {
    let bed = Bed::new(
        "await agent(does(note('one'), { answer: 1 }))
        await agent(does(note('two'), ring('up'), { pass: 'gate' }, { answer: 2 }))",
    )?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let running = bed.run(&[])?.start()?;
    bell.next_line(GUARD)?;
    running.kill()?;
    let script = std::fs::read_to_string(bed.project.path("flow.js"))?;
    forge(&bed, &script.replace("note('two')", "note('other')"))?;

    let refused = bed.command(&["resume", "--journal", "forged"])?.run()?;
    ensure!(
        !refused.status.success() && refused.stdout.is_empty(),
        "{refused}"
    );
    for text in ["a-1", "two", "other"] {
        says(&refused, text)?;
    }
    // Nothing was started or written, and it is still to be resumed.
    assert_eq!(bed.ledger(), ["one", "two"]);
    assert_eq!(
        bed.json(&["ps", "--json", "--journal", "forged"], 0)?[0]["status"],
        "interrupted"
    );
    gate.admit(SPARE)?;
    assert_eq!(resumed(&bed)?["status"], "completed");
    Ok(())
}
