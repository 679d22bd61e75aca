//! Agent types from files, and options that are refused or ignored (Y01, A03, A05).

use anyhow::ensure;
use bellwether_tests::GUARD;
use serde_json::{Value, json};

use crate::bed::{Bed, ended, says};

#[test]
fn y01_an_agent_is_told_what_its_file_says() -> anyhow::Result<()> {
    let bed = Bed::new(
        "const task = (agentType, more) => agent(does('answerTask'), { agentType, ...more })
        return [
          await task('Code Reviewer'),
          await task('Code Reviewer', { model: 'inherit', tools: ['Read'], maxTurns: 2 }),
          await task('Explore'),
          await agent('cat', { agentType: 'echo' }),
          await task('fleet:scribe'),
        ]",
    )?;
    let project = &bed.project;
    // As it is in the wild: no strict YAML, and ends of lines from elsewhere.
    project.write(
        ".claude/agents/team/reviewer.md",
        "---\r\nname: Code Reviewer\r\ndescription: Use it when: code changes\r\ntools: Grep, Bash(git log:*)\r\nmodel: opus\r\n\
         effort: high\r\nmaxTurns: 9\r\nskills: [a]\r\nmemory: user\r\n---\r\nLook closely.\r\n",
    )?;
    project.write(
        ".bellwether/agents/echo.md",
        "---\nname: echo\ncommand: cat\nagentInput: prompt\n---\n",
    )?;
    project.write(".claude/agents/torn.md", "---\nname: [torn\n---\n")?;
    project.write(".claude/agents/README.md", "# What lies here\n")?;
    // The tests' own home is the project's folder.
    project.write(
        ".claude/plugins/fleet/agents/scribe.md",
        "---\nname: scribe\n---\nWrite.",
    )?;
    let installed = json!({ "plugins": { "fleet@market": [{ "scope": "user", "installPath": project.path(".claude/plugins/fleet") }] } });
    project.write(
        ".claude/plugins/installed_plugins.json",
        &installed.to_string(),
    )?;

    let (outcome, finished) = ended(bed.run(&["--json"])?.start()?, 0)?;
    let result = &outcome["result"];
    let expected = json!({
        "agentType": "Code Reviewer", "model": "opus", "effort": "high", "tools": ["Grep", "Bash(git log:*)"],
        "disallowedTools": [], "maxTurns": 9, "systemPrompt": "Look closely.",
    });
    for (name, value) in expected.as_object().into_iter().flatten() {
        assert_eq!(&result[0][name], value, "{name}");
    }
    assert_eq!(
        (
            &result[1]["model"],
            &result[1]["tools"],
            &result[1]["maxTurns"]
        ),
        (&Value::Null, &json!(["Read"]), &json!(2))
    );
    ensure!(
        result[2]["tools"]
            .as_array()
            .is_some_and(|tools| tools.contains(&json!("Read")) && !tools.contains(&json!("Edit")))
    );
    assert_eq!(result[3], "cat");
    assert_eq!(result[4]["systemPrompt"], "Write.");

    // The torn file is told of, and once in the run that two fields have no effect, though the type was used twice.
    says(&finished, "warning: .claude/agents/torn.md: line 2")?;
    let notices = bed.records("Noticed")?;
    let [notice] = notices.as_slice() else {
        anyhow::bail!("{notices:?}")
    };
    let text = notice["text"].as_str().unwrap_or_default();
    ensure!(
        text.contains("`Code Reviewer`") && text.ends_with("`skills`, `memory` have no effect"),
        "{text}"
    );
    says(&finished, "`skills`, `memory` have no effect")?;
    let logs = bed.command(&["logs"])?.run()?.expect_code(0)?;
    ensure!(
        logs.stdout.contains("`skills`, `memory` have no effect"),
        "{logs}"
    );
    Ok(())
}

#[test]
fn y01_a_run_keeps_the_types_that_it_began_with() -> anyhow::Result<()> {
    let bed = Bed::new(
        "await agent(does(ring('up'), { pass: 'gate' }), { agentType: 'keeper' })
        return (await agent(does('answerTask'), { agentType: 'keeper' })).systemPrompt",
    )?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let file = ".bellwether/agents/keeper.md";
    bed.project
        .write(file, "---\nname: keeper\n---\nAs it was.")?;
    let running = bed.run(&[])?.start()?;
    bell.next_line(GUARD)?;
    running.kill()?;
    bed.project
        .write(file, "---\nname: keeper\n---\nAs it is.")?;
    gate.admit(100)?;
    let (outcome, _) = ended(bed.command(&["resume", "--json"])?.start()?, 0)?;
    assert_eq!(outcome["result"], "As it was.");
    // A new run reads the file, and a call of the type is another call.
    let content = |bed: &Bed| -> anyhow::Result<Value> {
        Ok(bed.records("CallScheduled")?[1]["content"].take())
    };
    let before = content(&bed)?;
    let (outcome, _) = ended(bed.run(&["--json"])?.start()?, 0)?;
    assert_eq!(outcome["result"], "As it is.");
    ensure!(
        content(&bed)? != before,
        "the content of the file does not count"
    );
    Ok(())
}

#[test]
fn a03_what_cannot_be_meant_throws_before_an_agent_starts() -> anyhow::Result<()> {
    let bed = Bed::new(
        "const refused = async options => {
          try { return await agent(does(note('started')), options) } catch (error) { return [error.name, error.code, error.message] }
        }
        let deep = {}
        for (let i = 0; i < 200; i++) deep = { not: deep }
        const slots = await parallel([() => agent(does(note('started')), { effort: 'ultra' }), () => agent(does({ answer: 1 }))])
        return [
          await refused({ agentType: 'Explorer' }),
          await refused({ isolation: 'remote' }),
          await refused({ effort: 'ultra' }),
          await refused({ model: 5 }),
          await refused({ backend: 'nowhere' }),
          await refused({ schema: deep }),
          slots,
        ]",
    )?;
    let (outcome, _) = ended(bed.run(&["--json"])?.start()?, 4)?;
    let result = outcome["result"].as_array().cloned().unwrap_or_default();
    let expected = [
        (
            "UnknownAgentTypeError",
            "UNKNOWN_AGENT_TYPE",
            "did you mean `Explore`?",
        ),
        ("UnknownIsolationError", "UNKNOWN_ISOLATION", "`remote`"),
        (
            "UnknownEffortError",
            "UNKNOWN_EFFORT",
            "low, medium, high, xhigh, max",
        ),
        ("OptionsError", "OPTIONS", "`model` is 5"),
        ("UnknownBackendError", "UNKNOWN_BACKEND", "`nowhere`"),
        ("OptionsError", "OPTIONS", "nest them less deeply"),
    ];
    for (refused, (name, code, message)) in result.iter().zip(expected) {
        assert_eq!((&refused[0], &refused[1]), (&json!(name), &json!(code)));
        ensure!(
            refused[2]
                .as_str()
                .is_some_and(|text| text.contains(message)),
            "{refused}"
        );
    }
    assert_eq!(result.last(), Some(&json!([null, 1])));
    ensure!(bed.ledger().is_empty());
    assert_eq!(bed.records("AttemptStarted")?.len(), 1);
    assert_eq!(
        outcome["usage"],
        json!({ "inputTokens": 5, "outputTokens": 7 })
    );
    Ok(())
}

#[test]
fn a05_ignored_options_are_told_of_once_a_run() -> anyhow::Result<()> {
    let bed = Bed::new(
        "const ask = (step, options) => agent(does(step, { pass: 'gate' }, { answer: 1 }), options)
        await ask(ring('one'), { _predispatch: true, maxPrice: 5 })
        await ask(ring('two'), { _predispatch: false, maxPrice: 6, label: 'x' })
        return 'done'",
    )?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let running = bed.run(&[])?.start()?;
    bell.next_line(GUARD)?;
    running.kill()?;
    gate.admit(100)?;
    let (outcome, _) = ended(bed.command(&["resume", "--json"])?.start()?, 0)?;
    assert_eq!(outcome["result"], "done");
    let logs = bed.command(&["logs"])?.run()?.expect_code(0)?;
    for option in ["_predispatch", "maxPrice"] {
        let lines = logs.stdout.lines().filter(|line| line.contains(option));
        assert_eq!(lines.count(), 1, "{option}: {logs}");
    }
    Ok(())
}
