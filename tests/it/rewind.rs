//! Rewinds of the real program: what runs again leaves a trace, and nothing else does.

use anyhow::{Context as _, ensure};
use bellwether_tests::GUARD;
use serde_json::{Value, json};

use crate::bed::{Bed, agents_ended, ended, says};

/// Agents that note what they are asked; `fails(name, times)` fails so often, then answers.
const AGENTS: &str = "
const work = name => does(note(name), { answer: name })
const fails = (name, times) => does({ inTurn: { file: 'turns-' + name, turns: [
    ...Array.from({ length: times }, () => [note(name), { fail: { kind: 'refused', message: 'not yet' } }]),
    ...Array.from({ length: 3 }, () => [note(name), { answer: name }]),
] } })
";

impl Bed {
    /// A project whose agents are few processes for many tasks, with the run of a script of this body behind it.
    fn ran(body: &str, code: i32) -> anyhow::Result<Self> {
        let bed = Self::new(&format!("{AGENTS}{body}"))?;
        let agent = format!("{} --lines", bed.project.agent_command()?);
        let words = [
            "run",
            "flow.js",
            "--agent-command",
            &agent,
            "--agent-input",
            "lines",
            "--concurrency",
            "16",
            "--yes",
            "--max-agents",
            "5000",
            "--json",
        ];
        bed.command(&words)?.run()?.expect_code(code)?;
        bed.forget()?;
        Ok(bed)
    }

    fn forget(&self) -> anyhow::Result<()> {
        let ledger = self.project.path("ledger");
        if ledger.exists() {
            std::fs::remove_file(ledger)?;
        }
        Ok(())
    }

    /// What `explain` with these words says would run, then what `resume` with them does; both are the same.
    fn rewinds(&self, words: &[&str], code: i32) -> anyhow::Result<Vec<String>> {
        let explain = [&["explain", "last", "--json"], words].concat();
        let explained = self.json(&explain, 0)?;
        let totals = &explained["totals"];
        let foretold = totals["again"].as_u64().zip(totals["new"].as_u64());
        let (again, new) = foretold.context("an explanation has totals")?;
        ensure!(self.ledger().is_empty(), "explaining runs nothing");
        let resume = [&["resume", "last", "--json"], words].concat();
        self.command(&resume)?.run()?.expect_code(code)?;
        let ran = self.ledger();
        self.forget()?;
        ensure!(
            (again + new) as usize == ran.len(),
            "{totals} was explained, and {ran:?} ran"
        );
        Ok(ran)
    }

    /// Another script of this body, for `--script`.
    fn edited(&self, body: &str) -> anyhow::Result<()> {
        let helpers = std::fs::read_to_string(self.project.path("flow.js"))?;
        let end = helpers.find("const work").context("the agents")?;
        let body = format!("{}{AGENTS}{body}", &helpers[..end]);
        let body = body.split_once('\n').context("a header")?.1;
        self.project.script("edited", body)?;
        Ok(())
    }
}

const EDITED: [&str; 2] = ["--script", "edited.js"];
const PIPELINE: &str = "const items = Array.from({ length: 100 }, (_, i) => i)
    const fix = i => i === 3 ? FIX : work('fix ' + i)
    await pipeline(items, i => agent(fix(i)), (v, i) => agent(work('check ' + i)))
    return agent(work('report'))";

#[test]
fn r03_counts_of_a_pipeline_whose_item_fails_once_or_twice() -> anyhow::Result<()> {
    // (1) Nothing failed, nothing changed.
    let bed = Bed::ran(&PIPELINE.replace("FIX", "work('fix 3')"), 0)?;
    assert_eq!(bed.rewinds(&["--retry-failed"], 0)?, [""; 0]);
    let nothing = bed.command(&["resume", "last"])?.run()?.expect_code(0)?;
    says(&nothing, "nothing is left to do")?;
    // (2) One failed; it and what follows it.
    let bed = Bed::ran(&PIPELINE.replace("FIX", "fails('fix 3', 1)"), 4)?;
    let ran = bed.rewinds(&["--retry-failed"], 0)?;
    assert_eq!(ran, ["check 3", "fix 3", "report"]);
    Ok(())
}

#[test]
fn r05_an_item_that_fails_again_runs_alone() -> anyhow::Result<()> {
    // (3) What is explained takes it for well this time, so only what ran is looked at.
    let bed = Bed::ran(&PIPELINE.replace("FIX", "fails('fix 3', 2)"), 4)?;
    bed.command(&["resume", "last", "--json"])?
        .run()?
        .expect_code(4)?;
    assert_eq!(bed.ledger(), ["fix 3"]);
    bed.forget()?;
    bed.command(&["resume", "last", "--json"])?
        .run()?
        .expect_code(0)?;
    assert_eq!(bed.ledger(), ["check 3", "fix 3", "report"]);
    Ok(())
}

#[test]
fn r03_counts_of_edits() -> anyhow::Result<()> {
    // (4) A prompt of a hundred, and the synthesis behind them.
    let parallel = |forty: &str| {
        format!(
            "const names = Array.from({{ length: 100 }}, (_, i) => i === 40 ? '{forty}' : 'do ' + i)
            await parallel(names.map(name => () => agent(work(name))))
            return agent(work('sum up'))"
        )
    };
    let bed = Bed::ran(&parallel("do 40"), 0)?;
    bed.edited(&parallel("do it well"))?;
    assert_eq!(bed.rewinds(&EDITED, 0)?, ["do it well", "sum up"]);
    // (6) A call that is inserted first: awaited, it and all; else it alone.
    let sequence =
        |first: &str| format!("{first}\nawait agent(work('a'))\nawait agent(work('b'))\nreturn 1");
    let bed = Bed::ran(&sequence(""), 0)?;
    bed.edited(&sequence("await agent(work('new'))"))?;
    assert_eq!(bed.rewinds(&EDITED, 0)?, ["a", "b", "new"]);
    let bed = Bed::ran(&sequence(""), 0)?;
    bed.edited(&sequence("agent(work('new'))"))?;
    let explained = bed.json(&["explain", "last", "--json", "--script", "edited.js"], 0)?;
    assert_eq!(
        (&explained["totals"]["reused"], &explained["totals"]["new"]),
        (&json!(2), &json!(1))
    );
    // The script ends before it does, so the journal says that it was started.
    bed.command(&["resume", "last", "--script", "edited.js"])?
        .run()?
        .expect_code(0)?;
    assert_eq!(bed.records("AttemptStarted")?.len(), 2 + 1);
    // (7) Equal calls of two lanes, one of them failed: one, and never the other's answer.
    let lanes = "const fix = x => x === 'b' ? fails('fix b', 1) : work('fix ' + x)
        return pipeline(['a', 'b'], x => agent(fix(x)), v => agent(does(note('verify'), { answer: '{agentId}' })))";
    let bed = Bed::ran(lanes, 4)?;
    assert_eq!(bed.rewinds(&["--retry-failed"], 0)?, ["fix b", "verify"]);
    let result = bed.json(&["result", "last"], 0)?;
    assert_eq!(result, json!(["a-2", "a-3"]));
    Ok(())
}

#[test]
fn r03_sixty_failures_of_six_hundred_items_in_three_stages() -> anyhow::Result<()> {
    // (8)
    let body = "const items = Array.from({ length: 600 }, (_, i) => i)
        const one = i => i % 10 === 0 ? fails('one ' + i, 1) : work('one ' + i)
        await pipeline(items, i => agent(one(i)), (v, i) => agent(work('two ' + i)), (v, i) => agent(work('three ' + i)))
        return agent(work('report'))";
    let bed = Bed::ran(body, 4)?;
    assert_eq!(bed.rewinds(&["--retry-failed"], 0)?.len(), 60 * 3 + 1);
    Ok(())
}

/// (5) Killed with some of a hundred done: just the others run when it is resumed.
#[test]
fn r01_killed_within_a_fan_out_just_the_rest_runs() -> anyhow::Result<()> {
    let bed = Bed::new(&format!(
        "{AGENTS}const items = Array.from({{ length: 100 }}, (_, i) => i)
        await parallel(items.map(i => () => agent(i < 37 ? work('do ' + i) : does(note('do ' + i), {{ pass: 'gate' }}, {{ answer: i }}))))
        return 1"
    ))?;
    let mut gate = bed.project.fifo("gate")?;
    let mut running = bed.run(&["--concurrency", "4", "--events"])?.start()?;
    crate::bed::agents_ended(&mut running, 37)?;
    running.kill()?;
    gate.admit(100)?;
    let (outcome, _) = ended(bed.command(&["resume", "--json"])?.start()?, 0)?;
    assert_eq!(outcome["agents"]["reused"], 37);
    let mut records = bed.dump()?.into_iter();
    let recovered = records.any(|line| line["kind"] == "Recovered");
    let started = records
        .filter(|line| line["kind"] == "AttemptStarted")
        .count();
    assert_eq!((recovered, started), (true, 63));
    Ok(())
}

#[test]
fn r04_explain_says_what_and_why_and_restart_and_fork_do_it() -> anyhow::Result<()> {
    let body = "const all = await parallel(['a', 'b'].map(x => () => agent(work(x), { label: x })))
        return agent(work('sum'), { label: 'sum' })";
    let bed = Bed::ran(body, 0)?;
    let explained = bed.command(&["explain", "last", "--agent", "a"])?;
    let explained = explained.run()?.expect_code(0)?;
    for text in [
        "1 reused, 2 again",
        "a-0 is to run again",
        "waits for a-0 (a)",
    ] {
        ensure!(explained.stdout.contains(text), "`{text}`: {explained}");
    }
    let unknown = bed.command(&["explain", "last", "--agent", "z"])?;
    says(&unknown.run()?.expect_code(2)?, "no agent `z`")?;
    let restarted = bed.json(
        &[
            "restart", "last", "--agent", "a", "--json", "--reason", "it lied",
        ],
        0,
    )?;
    assert_eq!(restarted["agents"]["reused"], 1);
    assert_eq!(bed.ledger(), ["a", "sum"]);
    let rewound = bed.records("GenerationRewound")?;
    assert_eq!(
        (&rewound[0]["reason"], &rewound[0]["dirty"]),
        (&json!("it lied"), &json!(["a-0"]))
    );
    bed.forget()?;
    let base = restarted["runId"].as_str().context("an id")?;
    let forked = bed.json(&["fork", "last", "--at", "sum", "--json"], 0)?;
    assert_ne!(forked["runId"], restarted["runId"]);
    assert_eq!(bed.ledger(), ["sum"]);
    let base = bed.json(&["show", base, "--json"], 0)?;
    assert_eq!(base["generation"], 2);
    Ok(())
}

#[test]
fn r03_what_waited_for_an_agent_of_a_live_run_that_is_restarted_runs_again() -> anyhow::Result<()> {
    let bed = Bed::new(&format!(
        "{AGENTS}await agent(work('first'), {{ label: 'first' }})
        return agent(does(note('second'), ring('up'), {{ pass: 'gate' }}, {{ answer: 2 }}))"
    ))?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let running = bed.run(&["--json"])?.start()?;
    bell.next_line(GUARD)?;
    let restarted = bed.command(&["restart", "last", "--agent", "first", "--json"])?;
    let restarted = restarted.start()?;
    bell.next_line(GUARD)?;
    gate.admit(1)?;
    let (outcome, _): (Value, _) = ended(restarted, 0)?;
    assert_eq!(outcome["result"], 2);
    running.wait(GUARD)?.expect_code(0)?;
    assert_eq!(bed.ledger(), ["first", "first", "second", "second"]);
    Ok(())
}

#[test]
fn r03_agents_at_work_go_on_when_another_one_of_a_live_run_is_restarted() -> anyhow::Result<()> {
    let bed = Bed::new(
        "const quick = () => agent(does(note('quick'), { answer: 1 }), { label: 'quick' })
        const slow = () => agent(does(note('slow'), ring('up'), { pass: 'gate' }, { answer: 2 }), { label: 'slow' })
        const [a, b] = await parallel([quick, slow])
        return agent(does(note('sum'), { answer: [a, b] }))",
    )?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let mut running = bed.run(&["--json", "--events"])?.start()?;
    bell.next_line(GUARD)?;
    agents_ended(&mut running, 1)?;

    let foretold = bed.json(&["explain", "last", "--agent", "quick", "--json"], 0)?;
    let fates: Vec<&Value> = foretold["calls"]
        .as_array()
        .context("calls")?
        .iter()
        .map(|call| &call["fate"])
        .collect();
    assert_eq!(fates, ["again", "adopted", "new"]);
    let words = ["restart", "last", "--agent", "quick", "--detach"];
    bed.command(&words)?.run()?.expect_code(0)?;
    agents_ended(&mut running, 1)?;
    gate.admit(1)?;
    // Who watches the run did not lose it.
    let finished = running.wait(GUARD)?.expect_code(0)?;
    ensure!(finished.stdout.contains(r#""result":[1,2]"#), "{finished}");
    assert_eq!(bed.ledger(), ["quick", "quick", "slow", "sum"]);
    let adopted = bed.records("AttemptAdopted")?;
    assert_eq!(adopted.len(), 1);
    assert_eq!(
        (
            &adopted[0]["agentId"],
            &adopted[0]["from"],
            &adopted[0]["generation"]
        ),
        (&json!("a-1"), &json!("a-1"), &json!(1))
    );
    Ok(())
}
