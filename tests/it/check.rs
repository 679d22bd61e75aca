//! `bellwether check`: what is found, as people and programs get it, and how it ends.

use anyhow::ensure;
use bellwether_tests::project::Project;
use serde_json::{Value, json};

const BAD: &str = "export const meta = { name: x, description: 'd' }
const SCHEMA = { type: 'object', properties: { a: { type: 'strin' } } }
const started = Date.now()
await agent('Look', { lable: started, schema: SCHEMA, agentType: 'Reviewr', effort: 'ultra' })
await workflow({ scriptPath: './parts/none.js' })
await workflow({ scriptPath: './parts/there.js' })
return await parallel(Array.from({ length: 30 }, (_, i) => () => agent(`Look at ${i}`)))
";
const GOOD: &str =
    "export const meta = { name: 'good', description: 'd' }\nreturn await agent('Look')\n";

fn project() -> anyhow::Result<Project> {
    let project = Project::new()?;
    project.write("flows/bad.js", BAD)?;
    project.write("flows/parts/there.js", GOOD)?;
    project.write(
        ".claude/agents/reviewer.md",
        "---\nname: Reviewer\n---\nLook closely.",
    )?;
    Ok(project)
}

#[test]
fn everything_is_told_at_once_to_programs() -> anyhow::Result<()> {
    let project = project()?;
    let words = [
        "check",
        "flows/bad.js",
        "flows/parts/there.js",
        "--json",
        "--max-items",
        "20",
    ];
    let finished = project.bellwether(words)?.run()?.expect_code(1)?;
    let findings = finished.json()?;
    let told: Vec<Value> = findings
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| json!([it["line"], it["column"], it["severity"], it["code"]]))
        .collect();
    assert_eq!(
        Value::Array(told),
        json!([
            [1, 29, "error", "header"],
            [2, 59, "error", "malformed-schema"],
            [3, 17, "error", "clock"],
            [4, 23, "warning", "unknown-option"],
            [4, 66, "error", "unknown-agent-type"],
            [4, 85, "error", "unknown-effort"],
            [5, 16, "error", "missing-script"],
            [7, 23, "warning", "items-cap"],
        ])
    );
    let first = &findings[0];
    assert_eq!(first["path"], "flows/bad.js");
    assert_eq!(
        (&first["endLine"], &first["endColumn"]),
        (&json!(1), &json!(30))
    );
    let remedy = findings[4]["remedy"].as_str().unwrap_or_default();
    ensure!(remedy.starts_with("did you mean `Reviewer`?"), "{remedy}");
    ensure!(remedy.contains(".claude/agents"), "{remedy}");
    // Nothing was run, and no journal begun.
    ensure!(!project.path(".bellwether").exists());
    Ok(())
}

#[test]
fn people_see_the_line_and_a_caret() -> anyhow::Result<()> {
    let project = project()?;
    let finished = project
        .bellwether(["check", "flows/bad.js"])?
        .run()?
        .expect_code(1)?;
    let expected = "flows/bad.js:4:23: warning: agent: the option `lable` is not known and will be ignored [unknown-option]
 4 | await agent('Look', { lable: started, schema: SCHEMA, agentTyp…
   |                       ^
  = did you mean `label`?
";
    ensure!(finished.stdout.contains(expected), "{finished}");
    ensure!(
        finished
            .stdout
            .trim_end()
            .ends_with("\n6 errors and 1 warning in 1 file"),
        "{finished}"
    );
    Ok(())
}

#[test]
fn the_exit_code_tells_errors_from_warnings() -> anyhow::Result<()> {
    let project = project()?;
    project.write(
        "warned.js",
        "export const meta = { name: 'n', description: 'd' }\nawait agent('Look', { lable: 'x' })\n",
    )?;
    for (words, code, last) in [
        (
            &["check", "flows/parts/there.js"][..],
            0,
            "nothing found in 1 file",
        ),
        (
            &["check", "warned.js", "flows/parts/there.js"],
            0,
            "1 warning in 2 files",
        ),
        (&["check", "none.js", "warned.js"], 2, "1 warning in 1 file"),
        (&["check", "flows"], 2, "nothing found in 0 files"),
        (&["check", "-"], 1, "1 error and 0 warnings in 1 file"),
    ] {
        let finished = project.bellwether(words)?.run()?.expect_code(code)?;
        ensure!(
            finished.stdout.trim_end().ends_with(last),
            "{words:?}: {finished}"
        );
    }
    let none = project.bellwether(["check", "flows/parts/there.js", "--json"])?;
    assert_eq!(none.run()?.expect_code(0)?.json()?, json!([]));
    Ok(())
}
