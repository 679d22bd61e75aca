//! `bellwether run`: what it prints, and how it ends.

use anyhow::ensure;
use bellwether_tests::GUARD;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::bed::{Bed, ended, members, says};

const COUNTS: [&str; 7] = [
    "cancelled",
    "completed",
    "failed",
    "pending",
    "reused",
    "skipped",
    "total",
];

#[test]
fn a_completed_run_prints_one_object_and_nothing_else_on_stdout() -> anyhow::Result<()> {
    let bed = Bed::new(
        "phase('One'); log('begun')
        const both = await parallel([1, 2].map(n => () => agent(does({ answer: { b: n, a: [] } }), { label: 'n' + n })))
        return { both, given: args }",
    )?;
    let finished = bed
        .run(&["--json", "--args", "{\"z\": 1.50, \"a\": [ ]}"])?
        .run()?
        .expect_code(0)?;
    ensure!(finished.stdout.lines().count() == 1, "{finished}");
    let outcome = finished.json()?;
    let names = [
        "agents",
        "cost",
        "durationMs",
        "error",
        "failures",
        "name",
        "result",
        "runId",
        "status",
        "usage",
    ];
    assert_eq!(members(&outcome), names);
    assert_eq!(outcome["status"], "completed");
    assert_eq!(outcome["name"], "flow");
    assert_eq!(outcome["error"], Value::Null);
    assert_eq!(outcome["failures"], json!([]));
    assert_eq!(
        outcome["usage"],
        json!({ "inputTokens": 10, "outputTokens": 14 })
    );
    assert_eq!(members(&outcome["agents"]), COUNTS);
    assert_eq!(
        (&outcome["agents"]["total"], &outcome["agents"]["completed"]),
        (&json!(2), &json!(2))
    );
    // The order in which the agent gave its members, and the numbers as they were written in JavaScript.
    let result = r#""result":{"both":[{"b":1,"a":[]},{"b":2,"a":[]}],"given":{"z":1.5,"a":[]}}"#;
    ensure!(finished.stdout.contains(result), "{finished}");
    let id = outcome["runId"].as_str().unwrap_or_default();
    ensure!(id.len() == 10 && id.starts_with("r-"), "{id}");
    ensure!(finished.stderr.contains("begun"), "{finished}");

    // Without --json: the value alone, as JSON that a program can read; `result` prints the same.
    let plain = bed.run(&["--args", "null"])?.run()?.expect_code(0)?;
    assert_eq!(plain.json()?["given"], Value::Null);
    let again = bed.command(&["result"])?.run()?.expect_code(0)?;
    assert_eq!(again.stdout, plain.stdout);
    says(&again, "the latest run: r-")
}

#[test]
fn events_come_from_the_first_on_and_end_with_the_object() -> anyhow::Result<()> {
    let bed = Bed::new(
        "phase('One'); log('first')
        return await agent(does({ progress: { step: 1 } }, { answer: 1 }), { label: 'x' })",
    )?;
    let finished = bed.run(&["--events"])?.run()?.expect_code(0)?;
    let lines: Vec<Value> = finished
        .stdout
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let (last, events) = lines.split_last().unwrap_or((&Value::Null, &[]));
    let seen: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap_or_default())
        .filter(|kind| *kind != "agentProgress")
        .collect();
    let expected = [
        "status",
        "phase",
        "log",
        "agentScheduled",
        "agentStarted",
        "agentEnded",
        "status",
    ];
    assert_eq!(seen, expected);
    ensure!(
        events.iter().all(|event| event["runId"] == last["runId"]),
        "{finished}"
    );
    assert_eq!(
        (&last["status"], &last["result"]),
        (&json!("completed"), &json!(1))
    );
    Ok(())
}

#[test]
fn every_end_has_its_exit_code() -> anyhow::Result<()> {
    let bed =
        Bed::new("return await agent(does({ fail: { kind: 'quota', message: 'no credit' } }))")?;
    let (outcome, degraded) = ended(bed.run(&["--json"])?.start()?, 4)?;
    assert_eq!(
        (&outcome["status"], &outcome["result"]),
        (&json!("degraded"), &Value::Null)
    );
    let failures =
        json!([{ "kind": "quota", "count": 1, "firstMessage": "no credit", "agents": ["a-0"] }]);
    assert_eq!(outcome["failures"], failures);
    says(&degraded, "no credit")?;

    bed.project
        .script("throws", "\nlog('a')\n  throw new RangeError('too far')")?;
    let (outcome, failed) = ended(bed.run_of("throws.js", &["--json"])?.start()?, 1)?;
    assert_eq!(outcome["status"], "failed");
    let error = &outcome["error"];
    assert_eq!(
        (&error["name"], &error["message"]),
        (&json!("RangeError"), &json!("too far"))
    );
    // The author's own line: the header is the first.
    assert_eq!(error["line"], 4);
    says(&failed, "RangeError: too far")?;
    bed.command(&["result"])?.run()?.expect_code(1)?;

    bed.project
        .script("hangs", "return await agent('[\"hang\"]')")?;
    let (outcome, stopped) = ended(
        bed.run_of("hangs.js", &["--json", "--timeout", "1ms"])?
            .start()?,
        3,
    )?;
    assert_eq!(outcome["status"], "stopped");
    says(&stopped, "bellwether resume r-")?;
    bed.command(&["result"])?.run()?.expect_code(3)?;
    Ok(())
}

#[test]
fn signals_stop_the_run_in_order_and_name_the_way_back() -> anyhow::Result<()> {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let bed = Bed::new("return await agent(does(ring('up'), 'hang'))")?;
        let mut bell = bed.project.fifo("bell")?;
        let running = bed.run(&["--json"])?.start()?;
        bell.next_line(GUARD)?;
        running.signal(signal)?;
        let (outcome, finished) = ended(running, code)?;
        assert_eq!(outcome["status"], "stopped");
        let id = outcome["runId"].as_str().unwrap_or_default();
        says(&finished, &format!("bellwether resume {id}"))?;
        assert_eq!(bed.json(&["ps", "--json"], 0)?[0]["status"], "stopped");
    }
    Ok(())
}

#[test]
fn a_second_signal_leaves_at_once_and_loses_nothing() -> anyhow::Result<()> {
    let bed = Bed::new(
        "const first = await agent(does(note('one'), { answer: 1 }))
        return [first, await agent(does('ignoreTerminate', ring('up'), { pass: 'gate' }, { answer: 2 }))]",
    )?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let mut running = bed.run(&["--events"])?.start()?;
    bell.next_line(GUARD)?;
    running.signal(Signal::INT)?;
    running.line_where(|line| line.contains("\"stopping\""))?;
    running.signal(Signal::INT)?;
    let finished = running.wait(GUARD)?.expect_code(130)?;
    says(&finished, "left at once")?;
    assert_eq!(bed.json(&["ps", "--json"], 0)?[0]["status"], "interrupted");
    // One whose engine has gone may still take a pass before it dies.
    gate.admit(10)?;
    assert_eq!(bed.json(&["resume", "--json"], 0)?["result"], json!([1, 2]));
    assert_eq!(bed.ledger(), ["one"]);
    Ok(())
}

#[test]
fn what_cannot_be_started_is_refused_with_the_reason_and_leaves_no_run() -> anyhow::Result<()> {
    let bed = Bed::new("return args")?;
    let project = &bed.project;
    project.write(
        "header.js",
        "export const meta = { name: flow, description: 'x' }\n",
    )?;
    project.write(
        "typed.js",
        "export const meta = { name: 'a', description: 'b' }\nlet n: number = 1\n",
    )?;
    let table: [(&[&str], &[&str]); 8] = [
        (&["run", "flow.js"], &["--backend", "--agent-command"]),
        (
            &["run", "flow.js", "--backend", "nope"],
            &["no backend `nope`", "dry"],
        ),
        (
            &["run", "none.js", "--backend", "dry"],
            &["no script at none.js"],
        ),
        (
            &["run", "header.js", "--backend", "dry"],
            &[
                "header.js:1:29",
                "export const meta = { name: flow",
                "\n   |                             ^",
            ],
        ),
        (
            &["run", "typed.js", "--backend", "dry"],
            &["typed.js:2:6", "TypeScript"],
        ),
        (
            &["run", "flow.js", "--backend", "dry", "--args", "{\"a\": x}"],
            &["--args:1:7", "^"],
        ),
        (
            &["run", "flow.js", "--backend", "dry", "--timeout", "soon"],
            &["90s", "ISO 8601"],
        ),
        (
            &["run", "flow.js", "--backend", "dry", "--agent-command", "x"],
            &["cannot both"],
        ),
    ];
    for (words, expected) in table {
        let finished = bed.command(words)?.run()?.expect_code(2)?;
        for text in expected {
            says(&finished, text)?;
        }
        ensure!(finished.stdout.is_empty(), "{finished}");
    }
    assert_eq!(bed.json(&["ps", "--json"], 0)?, json!([]));
    Ok(())
}

#[test]
fn nothing_that_a_script_or_an_agent_wrote_moves_the_cursor() -> anyhow::Result<()> {
    let bed = Bed::new("")?;
    bed.project.write(
        "flow.js",
        "export const meta = { name: 'n\\u001b[2J', description: 'x' }
        phase('p\\u001b[2J'); log('l\\u001b]0;x\\u0007')
        await agent(JSON.stringify([{ fail: { kind: 'other', message: 'm\\u001b[31m' } }]), { label: 'a\\u001b[31m' })
        throw new Error('e\\u001b[31m')",
    )?;
    let mut ends = vec![bed.run(&[])?.run()?.expect_code(1)?];
    for words in [
        &["ps"][..],
        &["show"],
        &["show", "last", "a-0"],
        &["logs"],
        &["journal", "dump"],
    ] {
        ends.push(bed.command(words)?.run()?.expect_code(0)?);
    }
    ends.push(bed.command(&["result"])?.run()?.expect_code(1)?);
    ends.push(bed.command(&["resume"])?.run()?.expect_code(1)?);
    for end in ends {
        let all = format!("{}{}", end.stdout, end.stderr);
        ensure!(!all.contains(['\u{1b}', '\u{7}']), "{end}");
    }
    Ok(())
}

#[test]
fn g01_args_that_do_not_fit_meta_args_are_refused_before_the_run() -> anyhow::Result<()> {
    let bed = Bed::new("")?;
    let schema = "{ type: 'object', required: ['path'], properties: { path: { type: 'string' } } }";
    bed.project.write(
        "fits.js",
        &format!("export const meta = {{ name: 'fits', description: 'x', args: {schema} }}\nreturn args.path"),
    )?;
    let run = |more: &[&str]| {
        let mut words = vec!["run", "fits.js", "--backend", "dry", "--json"];
        words.extend(more);
        bed.command(&words)?.run()
    };
    says(
        &run(&[])?.expect_code(2)?,
        "\"path\" is a required property",
    )?;
    says(
        &run(&["--args", "{\"path\": 1}"])?.expect_code(2)?,
        "args/path",
    )?;
    // From a file, and as text that holds an object.
    bed.project
        .write("args.json", "\u{feff}{\"path\": \"src\"}\n")?;
    assert_eq!(
        run(&["--args-file", "args.json"])?.expect_code(0)?.json()?["result"],
        "src"
    );
    let text = r#""{\"path\": \"lib\"}""#;
    assert_eq!(
        run(&["--args", text])?.expect_code(0)?.json()?["result"],
        "lib"
    );
    Ok(())
}

#[test]
fn a02_null_when_an_agent_failed_and_the_census_says_why() -> anyhow::Result<()> {
    let bed = Bed::new(
        "return await parallel([
            () => agent(does({ complain: 'the last words' }, { exit: 3 })),
            () => agent('this is no list of steps'),
            () => agent(does({ fail: { kind: 'refused', message: 'no' } })),
            () => agent(does({ say: 'plain text' })),
            () => agent(does({ failBefore: { attempt: 3, kind: 'transport' } }, { answer: 'in the end' })),
        ])",
    )?;
    let (outcome, _) = ended(bed.run(&["--json"])?.start()?, 4)?;
    assert_eq!(
        outcome["result"],
        json!([null, null, null, "plain text", "in the end"])
    );
    let agents = &outcome["agents"];
    assert_eq!(
        (&agents["completed"], &agents["failed"]),
        (&json!(2), &json!(3))
    );
    let kinds: Vec<(&str, i64)> = outcome["failures"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|group| {
            (
                group["kind"].as_str().unwrap_or_default(),
                group["count"].as_i64().unwrap_or(0),
            )
        })
        .collect();
    assert_eq!(kinds, [("crash", 2), ("refused", 1)]);
    let failed = bed.json(&["show", "last", "a-0", "--json"], 0)?;
    ensure!(
        failed["failure"]["evidence"]
            .as_str()
            .is_some_and(|text| text.contains("the last words")),
        "{failed}"
    );
    assert_eq!(
        bed.json(&["show", "last", "a-4", "--json"], 0)?["attempts"],
        3
    );
    Ok(())
}

#[test]
fn any_program_is_an_agent_with_the_prompt_alone_or_a_line_a_task() -> anyhow::Result<()> {
    let bed = Bed::new(
        "return await parallel(['one', 'two'].map(text => () => agent(args + text, { model: 'm' })))",
    )?;
    let run = |command: &str, input: &str, args: &str| {
        let words = [
            "run",
            "flow.js",
            "--agent-command",
            command,
            "--agent-input",
            input,
            "--args",
            args,
        ];
        bed.command(&words)?.run()?.expect_code(0)?.json()
    };
    assert_eq!(
        run("cat", "prompt", "\"it's \"")?,
        json!(["it's one", "it's two"])
    );
    let filled = run(
        "printf %s|%s|%s {prompt} {model} {cwd}",
        "prompt",
        "\"$HOME \"",
    )?;
    let folder = bed.project.folder().display();
    assert_eq!(filled[1], format!("$HOME two|m|{folder}"));
    // One process for all of them: it counts the lines that it was given.
    bed.project.write(
        "lines.sh",
        "n=0\nwhile read -r task; do n=$((n + 1)); echo \"{\\\"value\\\": $n}\"; done\n",
    )?;
    bed.project
        .write(".bellwether/config.toml", "concurrency = 1\n")?;
    assert_eq!(run("sh lines.sh", "lines", "\"\"")?, json!([1, 2]));
    Ok(())
}

#[test]
fn a06_agents_start_in_call_order_as_slots_come_free() -> anyhow::Result<()> {
    let bed = Bed::new(
        "return await parallel(Array.from({ length: 30 }, (_, i) => () => agent(does({ answer: i }))))",
    )?;
    bed.run(&["--concurrency", "3"])?.run()?.expect_code(0)?;
    let started: Vec<String> = bed
        .records("AttemptStarted")?
        .iter()
        .map(|record| record["agentId"].as_str().unwrap_or_default().to_owned())
        .collect();
    let expected: Vec<String> = (0..30).map(|n| format!("a-{n}")).collect();
    assert_eq!(started, expected);
    Ok(())
}

#[test]
fn p04_a_budget_that_is_used_up_rejects_the_whole_fan_out() -> anyhow::Result<()> {
    // An agent says that it has written 7 tokens.
    let bed = Bed::new(
        "const told = [budget.total, budget.spent(), budget.remaining()]
         const one = i => () => agent(does(note(i), { answer: i }))
         const error = await parallel([0, 1, 2, 3, 4, 5].map(one)).catch(error => error)
         told.push(error.name, error.code, error.message, budget.spent(), budget.remaining())
         try { await agent('one more') } catch (error) { told.push(error.code) }
         return told",
    )?;
    let more = ["--json", "--budget", "20", "--concurrency", "1"];
    let (outcome, finished) = ended(bed.run(&more)?.start()?, 4)?;
    says(&finished, "a budget of 20 output tokens")?;
    let result = &outcome["result"];
    assert_eq!(
        [&result[0], &result[1], &result[2], &result[3], &result[4]],
        [
            &json!(20),
            &json!(0),
            &json!(20),
            &json!("BudgetError"),
            &json!("BUDGET")
        ]
    );
    let message = result[5].as_str().unwrap_or_default();
    ensure!(
        message.contains("budget of 20 output tokens") && message.contains("--budget"),
        "{message}"
    );
    assert_eq!(
        [&result[6], &result[7], &result[8]],
        [&json!(21), &json!(0), &json!("BUDGET")]
    );
    // The third was begun at 14 of 20; the others never were.
    assert_eq!(bed.project.lines("ledger"), ["0", "1", "2"]);
    Ok(())
}

#[test]
fn c01_caps_hold_are_told_before_and_name_their_flag() -> anyhow::Result<()> {
    let bed = Bed::new(
        "return (await parallel(Array.from({ length: args }, (_, i) => () => agent(does(ring(i), { pass: 'gate' }, { answer: i }))))).length",
    )?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let mut running = bed
        .run(&[
            "--events",
            "--args",
            "5",
            "--concurrency",
            "2",
            "--max-agents",
            "5",
        ])?
        .start()?;
    for _ in 0..2 {
        bell.next_line(GUARD)?;
    }
    let show = bed.json(&["show", "last", "--json"], 0)?;
    let at_work = show["calls"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|call| call["status"] == "running");
    assert_eq!(at_work.count(), 2);
    gate.admit(5)?;
    running.event("agentEnded")?;
    let (outcome, finished) = ended(running, 0)?;
    assert_eq!(outcome["result"], 5);
    says(&finished, "up to 2 agents at once, 5 in all")?;

    gate.admit(6)?;
    let over = bed
        .run(&["--json", "--args", "6", "--max-agents", "5"])?
        .start()?;
    let (outcome, _) = ended(over, 1)?;
    let message = outcome["error"]["message"].as_str().unwrap_or_default();
    assert_eq!(outcome["error"]["name"], "AgentCapError");
    ensure!(
        message.contains('5') && message.contains("--max-agents"),
        "{message}"
    );
    let (outcome, _) = ended(
        bed.run(&["--json", "--args", "7", "--max-items", "6"])?
            .start()?,
        1,
    )?;
    let message = outcome["error"]["message"].as_str().unwrap_or_default();
    ensure!(
        message.contains("7 items") && message.contains("--max-items"),
        "{message}"
    );
    Ok(())
}

#[test]
fn w01_a_workflow_by_path_runs_inline_under_its_name_and_shares_the_caps() -> anyhow::Result<()> {
    let bed = Bed::new(
        "const own = await agent(does({ answer: 1 }))
        const theirs = await workflow({ scriptPath: './parts/part.js' }, { n: 2 })
        return [own, theirs]",
    )?;
    bed.project.write(
        "parts/part.js",
        "export const meta = { name: 'part', description: 'x' }
        return await parallel([1, 2].map(n => () => agent(JSON.stringify([{ answer: args.n * n }]))))",
    )?;
    let (outcome, _) = ended(bed.run(&["--json"])?.start()?, 0)?;
    assert_eq!(outcome["result"], json!([1, [2, 4]]));
    assert_eq!(outcome["agents"]["total"], 3);
    let show = bed.command(&["show"])?.run()?.expect_code(0)?;
    ensure!(show.stdout.contains("part"), "{show}");
    let (outcome, _) = ended(bed.run(&["--json", "--max-agents", "2"])?.start()?, 1)?;
    assert_eq!(outcome["error"]["name"], "AgentCapError");
    Ok(())
}
