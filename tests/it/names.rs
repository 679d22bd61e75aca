//! Workflows by their names: `list`, `run <name>`, `<name>` and `workflow(name)`.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::bed::{Bed, says};

fn bed() -> anyhow::Result<Bed> {
    let bed = Bed::new("return 1")?;
    let script = |name: &str, body: &str| {
        format!(
            "export const meta = {{ name: '{name}', description: 'of {name}', whenToUse: 'for {name}' }}\n{body}\n"
        )
    };
    for (file, text) in [
        (
            ".claude/workflows/outer.js",
            script("outer", "return [args, await workflow('inner', { n: 1 })]"),
        ),
        (
            ".bellwether/workflows/inner.mjs",
            script(
                "inner",
                "return [args.n, await agent('x', { backend: 'dry' }) !== null]",
            ),
        ),
        (
            ".bellwether/workflows/astray.js",
            script(
                "astray",
                "return workflow('iner').catch(error => [error.code, error.message])",
            ),
        ),
        (
            ".bellwether/workflows/broken.js",
            "export const meta = { name: 'broken', description: 'x' }\nreturn (".to_owned(),
        ),
        (
            ".bellwether/workflows/helper.js",
            "export const one = 1\n".to_owned(),
        ),
    ] {
        bed.project.write(file, &text)?;
    }
    Ok(bed)
}

#[test]
fn k01_workflows_are_listed_and_run_by_name() -> anyhow::Result<()> {
    let bed = bed()?;
    let list = bed.json(&["list", "--json"], 0)?;
    let names: Vec<_> = list["workflows"].as_array().into_iter().flatten().collect();
    let names: Vec<_> = names.iter().map(|one| &one["name"]).collect();
    let expected = [
        "astray",
        "inner",
        "outer",
        "deep-research",
        "research",
        "review",
    ];
    assert_eq!(names, expected);
    assert_eq!(list["workflows"][4]["origin"], "bundled");
    assert_eq!(list["problems"].as_array().map(Vec::len), Some(1));
    let listed = bed.command(&["list"])?.run()?.expect_code(0)?;
    says(&listed, "broken.js")?;
    ensure!(listed.stdout.contains("for outer"), "{listed}");

    let plain = bed.json(&["outer", "some text", "--backend", "dry", "--json"], 0)?;
    assert_eq!(plain["result"], json!(["some text", [1, true]]));
    let object = bed.json(
        &["run", "outer", "{\"a\":2}", "--backend", "dry", "--json"],
        0,
    )?;
    assert_eq!(object["result"][0], json!({ "a": 2 }));
    for (word, near) in [("ouder", "outer"), ("rusume", "resume")] {
        let finished = bed.command(&[word])?.run()?.expect_code(2)?;
        says(&finished, &format!("did you mean `{near}`?"))?;
    }
    Ok(())
}

#[test]
fn w02_a_name_that_nobody_has_throws_and_says_what_there_is() -> anyhow::Result<()> {
    let bed = bed()?;
    let outcome = bed.json(&["astray", "--backend", "dry", "--json"], 0)?;
    assert_eq!(outcome["result"][0], "WORKFLOW");
    let message = outcome["result"][1].as_str().unwrap_or_default();
    for part in [
        "did you mean `inner`?",
        "broken, deep-research, inner, outer",
        ".claude/workflows",
    ] {
        ensure!(message.contains(part), "{message}");
    }
    Ok(())
}

#[test]
fn w03_workflows_nest_as_deep_as_the_setting_says() -> anyhow::Result<()> {
    let bed = Bed::new("return 1")?;
    for level in 0..4 {
        let body = match level {
            3 => "return args".to_owned(),
            _ => format!("return workflow('level{}', args)", level + 1),
        };
        let script =
            format!("export const meta = {{ name: 'level{level}', description: 'x' }}\n{body}\n");
        bed.project
            .write(&format!(".claude/workflows/level{level}.js"), &script)?;
    }
    let words = ["level0", "[1]", "--backend", "dry", "--json"];
    let refused = bed.json(&words, 1)?;
    let message = refused["error"]["message"].as_str().unwrap_or_default();
    ensure!(message.contains("2 levels of nesting"), "{refused}");
    bed.project.write(
        ".bellwether/config.toml",
        "nesting = 3\nparse_args = false\n",
    )?;
    assert_eq!(bed.json(&words, 0)?["result"], "[1]");
    Ok(())
}

#[test]
fn w01_a_recovery_takes_the_workflow_that_the_run_began_with() -> anyhow::Result<()> {
    let bed = bed()?;
    bed.project.write(
        ".bellwether/workflows/inner.mjs",
        "export const meta = { name: 'inner', description: 'x' }\n\
         return agent(JSON.stringify([{ append: { to: 'bell', line: 'at work' } }, { pass: 'gate' }, { answer: 'old' }]))\n",
    )?;
    let (mut bell, mut gate) = (bed.project.fifo("bell")?, bed.project.fifo("gate")?);
    let running = bed.run_of("outer", &[])?.start()?;
    bell.next_line(bellwether_tests::GUARD)?;
    running.kill()?;
    std::fs::remove_file(bed.project.path(".bellwether/workflows/inner.mjs"))?;
    gate.admit(2)?;
    let outcome = bed.json(&["resume", "--json"], 0)?;
    assert_eq!(outcome["result"][1], "old");
    Ok(())
}

/// From nothing to a workflow that runs, and nothing of a person's is overwritten on the way.
#[test]
fn k01_init_puts_a_first_workflow_in_place() -> anyhow::Result<()> {
    let bed = Bed::new("return 1")?;
    let settings = bed.project.write(".bellwether/config.toml", "# mine\n")?;
    let init = bed.json(&["init", "--json"], 0)?;
    let files = init["files"].as_array().cloned().unwrap_or_default();
    let became: Vec<_> = files
        .iter()
        .filter_map(|file| file["became"].as_str())
        .collect();
    assert_eq!(became, ["created", "kept", "created", "created"]);
    assert_eq!(std::fs::read_to_string(settings)?, "# mine\n");
    let again = bed.command(&["init"])?.run()?.expect_code(0)?;
    says(&again, "bellwether plan first")?;
    ensure!(!again.stdout.contains("created"), "{again}");

    let list = bed.json(&["list", "--json"], 0)?;
    assert_eq!(list["workflows"][0]["name"], "first");
    let checked = bed.command(&["check", ".bellwether/workflows/first.js"])?;
    let checked = checked.run()?.expect_code(0)?;
    ensure!(checked.stdout.contains("nothing found"), "{checked}");
    let outcome = bed.json(&["first", "--backend", "dry", "--json"], 0)?;
    assert_eq!(outcome["agents"]["completed"], 2);
    bed.command(&["init", "nowhere"])?.run()?.expect_code(2)?;
    Ok(())
}

/// Those that come with the program go behind all others, and are run, called and resumed like any.
#[test]
fn k01_bundled_workflows_are_there_everywhere_and_last() -> anyhow::Result<()> {
    let bed = Bed::new("return 1")?;
    for (name, text) in [("review", "the parser"), ("research", "Which is it?")] {
        let plan = bed.json(&["plan", name, "--args", &format!("{text:?}"), "--json"], 0)?;
        assert_eq!(plan["findings"], json!([]), "{name}");
        let outcome = bed.json(&[name, text, "--backend", "dry", "--json"], 0)?;
        assert_eq!(outcome["agents"]["failed"], 0, "{name}");
        ensure!(
            outcome["agents"]["completed"].as_u64() > Some(8),
            "{outcome}"
        );
    }
    bed.project.script(
        "calls",
        "return (await workflow('research', 'Which?')).disputed.length",
    )?;
    let outcome = bed.json(&["run", "calls.js", "--backend", "dry", "--json"], 0)?;
    ensure!(outcome["result"].is_u64(), "{outcome}");
    // One of the project's own goes before it.
    bed.project.write(
        ".bellwether/workflows/review.js",
        "export const meta = { name: 'review', description: 'mine' }\nreturn 'mine'\n",
    )?;
    let outcome = bed.json(&["review", "--backend", "dry", "--json"], 0)?;
    assert_eq!(outcome["result"], "mine");
    let list = bed.json(&["list", "--json"], 0)?;
    assert_eq!(list["workflows"][0]["origin"], "project");
    Ok(())
}

#[test]
fn what_a_workflow_says_of_its_arguments_becomes_flags() -> anyhow::Result<()> {
    let bed = Bed::new("return 1")?;
    bed.project.write(
        ".bellwether/workflows/ask.js",
        "export const meta = { name: 'ask', description: 'x', args: { type: 'object', required: ['question'], properties: {
            question: { type: 'string' }, sources: { type: 'string', description: 'where to look' }, maxRounds: { type: 'integer' },
            deep: { type: 'boolean' }, tags: { type: 'array', items: { type: 'string' } }, size: { enum: ['small', 'large'] },
            model: { type: 'string' } } } }
         return args\n",
    )?;
    let dry = ["--backend", "dry", "--json"];
    let result = |words: &[&str]| -> anyhow::Result<Value> {
        let mut outcome = bed.json(&[words, &dry].concat(), 0)?;
        Ok(outcome["result"].take())
    };
    assert_eq!(
        result(&[
            "ask",
            "Why?",
            "--sources",
            "docs",
            "--max-rounds",
            "3",
            "--deep",
            "--tags",
            "a",
            "--tags",
            "b",
            "--size",
            "small",
        ])?,
        json!({ "question": "Why?", "sources": "docs", "maxRounds": 3, "deep": true, "tags": ["a", "b"], "size": "small" })
    );
    assert_eq!(result(&["ask", "Why?"])?, json!({ "question": "Why?" }));
    let all = r#"{"question":"All?","size":"large"}"#;
    assert_eq!(
        result(&["ask", all])?,
        json!({ "question": "All?", "size": "large" })
    );
    // By `run` and a file as well; a flag that `run` has itself stays that.
    assert_eq!(
        result(&[
            "run",
            ".bellwether/workflows/ask.js",
            "Why?",
            "--sources=docs",
            "--model",
            "sonnet",
        ])?,
        json!({ "question": "Why?", "sources": "docs" })
    );
    let refused = |words: &[&str]| -> anyhow::Result<_> {
        bed.command(&[words, &dry].concat())?.run()?.expect_code(2)
    };
    says(&refused(&["ask", "Why?", "--sorces", "docs"])?, "--sources")?;
    says(
        &refused(&["ask", "Why?", "--max-rounds", "x"])?,
        "no number",
    )?;
    says(
        &refused(&["ask", "Why?", "--size", "huge"])?,
        "small, large",
    )?;
    says(
        &refused(&["ask", "--deep", "--args", "{}"])?,
        "give one of them",
    )?;
    says(
        &refused(&["run", "flow.js", "--sources", "docs"])?,
        "--sources",
    )?;
    says(
        &refused(&["ask", "Why?", "--question", "How?"])?,
        "both say what `question` is",
    )?;
    let help = bed.command(&["ask", "--help"])?.run()?.expect_code(0)?;
    ensure!(help.stdout.contains("where to look"), "{help}");
    Ok(())
}
