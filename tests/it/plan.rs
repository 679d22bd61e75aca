//! `bellwether plan`: what a workflow would do, as people and programs get it, and how it ends.

use anyhow::ensure;
use bellwether_tests::project::Project;
use serde_json::{Value, json};

const REVIEW: &str = "export const meta = { name: 'review', description: 'Reviews', phases: [{ title: 'Find' }, { title: 'Sum up' }] }
phase('Find')
const kind = (name) => `the-${name}`
const found = await parallel(args.map((file) => () => agent(`Review ${file} with care.`, { label: `review:${file}`, agentType: kind('reviewer') })))
phase('Sum up')
const summed = await workflow('sum-up', found)
const late = await Promise.race([agent('Say more'), sleep('PT30S').then(() => 'late')])
await workflow('nowhere')
return { found, summed, late }
";
const SUM_UP: &str = "export const meta = { name: 'sum-up', description: 'Sums up' }
return (await agent('Sum up', { model: 'haiku' })).length + args.length
";

fn project() -> anyhow::Result<Project> {
    let project = Project::new()?;
    project.write("flows/review.js", REVIEW)?;
    project.write("place/.claude/workflows/sum-up.js", SUM_UP)?;
    project.write(
        "place/.claude/agents/reviewer.md",
        "---\nname: the-reviewer\nmodel: opus\n---\nLook closely.",
    )?;
    Ok(project)
}

/// A script of this body, whose first line is its second.
fn script(project: &Project, body: &str) -> anyhow::Result<()> {
    let header = "export const meta = { name: 'flow', description: 'd' }\n";
    project.write("flow.js", &format!("{header}{body}"))?;
    Ok(())
}

/// The plan of that script, with more words.
fn planned(project: &Project, more: &[&str], code: i32) -> anyhow::Result<Value> {
    let words = ["plan", "flow.js", "--json"]
        .into_iter()
        .chain(more.iter().copied());
    project.bellwether(words)?.run()?.expect_code(code)?.json()
}

#[test]
fn a_plan_shows_what_would_happen() -> anyhow::Result<()> {
    let project = project()?;
    let words = [
        "plan",
        "flows/review.js",
        "--args",
        "[\"a.ts\", \"b.ts\"]",
        "--root",
        "place",
        "--concurrency",
        "2",
    ];
    let plan = project.bellwether(words.iter().copied().chain(["--json"]))?;
    let plan = plan.run()?.expect_code(1)?.json()?;
    assert_eq!(
        json!([
            plan["status"],
            plan["agentCalls"],
            plan["peakInFlight"],
            plan["error"],
            plan["result"]["late"]
        ]),
        json!(["completed", 4, 2, null, "late"])
    );
    let agents: Vec<Value> = plan["phases"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|phase| {
            phase["agents"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|agent| {
                    json!([
                        phase["title"],
                        agent["label"],
                        agent["agentType"],
                        agent["model"],
                        agent["line"],
                        agent["workflow"]
                    ])
                })
        })
        .collect();
    assert_eq!(
        Value::Array(agents),
        json!([
            ["Find", "review:a.ts", "the-reviewer", "opus", 4, null],
            ["Find", "review:b.ts", "the-reviewer", "opus", 4, null],
            ["Sum up", null, null, null, 7, null],
            [
                "▸ sum-up",
                null,
                null,
                "haiku",
                2,
                "place/.claude/workflows/sum-up.js"
            ],
        ])
    );
    assert_eq!(
        plan["workflowCalls"][0]["file"],
        "place/.claude/workflows/sum-up.js"
    );
    assert_eq!(plan["workflowCalls"][1]["file"], Value::Null);
    let findings = plan["findings"].as_array().cloned().unwrap_or_default();
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(
        json!([
            findings[0]["path"],
            findings[0]["line"],
            findings[0]["code"]
        ]),
        json!(["flows/review.js", 8, "unknown-workflow"])
    );
    let remedy = findings[0]["remedy"].as_str().unwrap_or_default();
    ensure!(remedy.contains("/place/.claude/workflows"), "{remedy}");

    let shown = project.bellwether(words)?.run()?.expect_code(1)?;
    for part in [
        "plan of review  completed",
        "4 agents (cap 1,000), at most 2 at once (cap 2)",
        "2  review:….ts  the-reviewer  opus   -          4",
        "line 8: nowhere  not found: it gives null",
        "flows/review.js:8:16: error: there is no workflow `nowhere` [unknown-workflow]",
        "1 error and 0 warnings",
    ] {
        ensure!(shown.stdout.contains(part), "`{part}` in {shown}");
    }
    ensure!(
        !project.path(".bellwether").exists(),
        "a plan leaves nothing behind"
    );
    Ok(())
}

#[test]
fn two_plans_are_the_same_byte_for_byte() -> anyhow::Result<()> {
    let project = project()?;
    let plan = |zone: &str| {
        let words = [
            "plan",
            "flows/review.js",
            "--args",
            "[1, 2, 3, 4, 5, 6, 7, 8]",
            "--fail",
            "0.5",
            "--json",
        ];
        let command = project
            .bellwether(words)?
            .env("TZ", zone)
            .env("LANG", "de_DE.UTF-8");
        Ok::<_, anyhow::Error>(command.run()?.expect_code(1)?.stdout)
    };
    let first = plan("UTC")?;
    ensure!(first.contains("\"outcome\":\"failed\""), "{first}");
    assert_eq!(plan("UTC")?, first);
    assert_eq!(plan("Asia/Tokyo")?, first);
    Ok(())
}

#[test]
fn a_type_that_is_not_there_is_found_where_it_is_asked_for() -> anyhow::Result<()> {
    let project = project()?;
    script(
        &project,
        "const type = 'no' + 'body'\nlog(type)\nreturn await agent('x', { agentType: type.trim() })",
    )?;
    let plan = planned(&project, &[], 1)?;
    assert_eq!(plan["status"], "completed");
    let finding = &plan["findings"][0];
    assert_eq!(
        json!([
            finding["line"],
            finding["column"],
            finding["code"],
            finding["message"]
        ]),
        json!([
            4,
            14,
            "unknown-agent-type",
            "there is no agent type `nobody`"
        ])
    );
    let remedy = finding["remedy"].as_str().unwrap_or_default();
    ensure!(
        remedy.contains("/.claude/agents") && remedy.contains("/.bellwether/agents"),
        "{remedy}"
    );
    let strict = planned(&project, &["--strict"], 1)?;
    assert_eq!(
        json!([
            strict["status"],
            strict["error"]["name"],
            strict["error"]["line"],
            strict["agentCalls"]
        ]),
        json!(["failed", "UnknownAgentTypeError", 4, 0])
    );
    Ok(())
}

#[test]
fn failures_items_and_budget_are_made_up_as_asked() -> anyhow::Result<()> {
    let project = project()?;
    script(
        &project,
        "const made = await agent('x', { schema: { type: 'array', items: { type: 'string' } } })
let n = 0
while (budget.total && budget.remaining() > 0) { await agent('more'); n++ }
return [made?.length ?? null, n]",
    )?;
    for (more, result) in [
        (&[][..], json!([3, 0])),
        (&["--items", "0"], json!([0, 0])),
        (&["--items", "9", "--budget", "10000"], json!([9, 4])),
        (&["--fail", "all"], json!([null, 0])),
    ] {
        assert_eq!(planned(&project, more, 0)?["result"], result, "{more:?}");
    }
    for wrong in [["--fail", "2"], ["--items", "-1"], ["--root", "nowhere"]] {
        let words = ["plan", "flow.js"].into_iter().chain(wrong);
        project.bellwether(words)?.run()?.expect_code(2)?;
    }
    Ok(())
}

#[test]
fn what_does_not_end_or_throws_says_where() -> anyhow::Result<()> {
    let project = project()?;
    project.write(".bellwether/config.toml", "script_turn_cpu = \"200ms\"\n")?;
    for (body, status, code, line) in [
        (
            "while (true) await agent('x')",
            "failed",
            json!("AGENT_CAP"),
            2,
        ),
        ("while (true) {}", "timeout", json!("LIMIT_CPU"), 0),
        (
            "while (true) await sleep('P1D')",
            "timeout",
            json!("PLAN_TIMEOUT"),
            0,
        ),
        ("await agent('x')\nundefined.x", "failed", Value::Null, 3),
        (
            "return await import('fs')",
            "failed",
            json!("SCRIPT_REFUSED"),
            2,
        ),
    ] {
        script(&project, body)?;
        let plan = planned(&project, &[], 1)?;
        let error = &plan["error"];
        assert_eq!(
            json!([plan["status"], error["code"], error["line"]]),
            json!([status, code, line]),
            "{body}"
        );
        ensure!(
            error["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{plan}"
        );
    }
    Ok(())
}

#[test]
fn a_script_on_stdin_and_a_workflow_by_name_are_planned() -> anyhow::Result<()> {
    let project = project()?;
    let named = project.bellwether([
        "plan", "sum-up", "--root", "place", "--args", "[]", "--json",
    ])?;
    assert_eq!(named.run()?.expect_code(0)?.json()?["name"], "sum-up");
    let file = project.write("piped.js", "return (")?;
    let piped = project.bellwether(["plan", "-", "--json"])?;
    let piped = piped.reading(std::fs::File::open(file)?);
    let plan = piped.run()?.expect_code(1)?.json()?;
    assert_eq!(
        json!([plan["script"], plan["findings"][0]["path"]]),
        json!(["stdin", "stdin"])
    );
    Ok(())
}

#[test]
fn the_outline_is_drawn_of_what_would_not_run() -> anyhow::Result<()> {
    let project = project()?;
    script(
        &project,
        "import fs from 'fs'
const review = (file) => agent(`Review ${file}`, { label: file, agentType: 'Explore' })
let round = 0
while (round < 5) {
  round++
  const found = await parallel(args.files.map((file) => () => review(file)))
  if (!found.length) break
  await attempt('Fix it', { isolation: 'worktree' })
}
await merge(branches, { verify: 'cargo test' })",
    )?;
    let words = ["plan", "flow.js", "--outline"];
    let drawn = project.bellwether(words)?.run()?.expect_code(0)?;
    assert_eq!(
        drawn.stdout,
        " 5  loop while round < 5 (at most 5 times)
 7  ├─ parallel over args.files (no bound found)
 7  │  └─ call review()
 3  │     └─ agent \"{file}\"  Explore  verifies
 8  ├─ gated: if !found.length, break
 9  └─ attempt \"Fix it\"  worktree  edits
11  merge verified by \"cargo test\"  verifies"
    );
    let tree = project
        .bellwether(words.into_iter().chain(["--json"]))?
        .run()?
        .expect_code(0)?
        .json()?;
    assert_eq!(
        json!([
            tree["outline"]["nodes"][0]["kind"],
            tree["outline"]["nodes"][0]["bound"]
        ]),
        json!(["loop", { "kind": "atMost", "count": 5 }])
    );
    script(&project, "return (")?;
    project.bellwether(words)?.run()?.expect_code(1)?;
    Ok(())
}

#[test]
fn a_thousand_agents_are_one_row() -> anyhow::Result<()> {
    let project = project()?;
    script(
        &project,
        "return (await parallel(Array.from({ length: 1000 }, (_, i) => () => agent('task ' + i, { label: 'task ' + i })))).length",
    )?;
    let shown = project
        .bellwether(["plan", "flow.js"])?
        .run()?
        .expect_code(0)?;
    ensure!(shown.stdout.contains("1,000  task …"), "{shown}");
    ensure!(shown.stdout.lines().count() < 20, "{shown}");
    let plan = planned(&project, &["--concurrency", "16"], 0)?;
    assert_eq!(
        json!([
            plan["agentCalls"],
            plan["peakInFlight"],
            plan["peakOutstanding"]
        ]),
        json!([1000, 16, 1000])
    );
    Ok(())
}
