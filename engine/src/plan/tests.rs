//! Plans by value: what goes into a script, and what the plan says of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;

use bellwether_scripts::check::Severity;
use serde_json::{Value, json};

use super::*;

const HEADER: &str = "export const meta = { name: 'test', description: 'd' }\n";

fn start() -> StartOptions {
    StartOptions::new().concurrency(4)
}

/// The plan of a body whose first line is the second of its script.
fn planned(body: &str, start: &StartOptions, options: &PlanOptions) -> Plan {
    plan(&Script::text(format!("{HEADER}{body}")), start, options)
}

fn of(body: &str) -> Plan {
    planned(body, &start(), &PlanOptions::new())
}

fn result(plan: &Plan) -> Value {
    let result = plan.result.as_ref();
    result.map_or(Value::Null, |result| {
        serde_json::from_str(result.get()).unwrap()
    })
}

/// Status, and name, code and line of the error.
fn ended(plan: &Plan) -> (PlanStatus, Option<(&str, &str, u32)>) {
    let error = plan.error.as_ref().map(|error| {
        let code = error.code.as_deref().unwrap_or_default();
        (error.name.as_str(), code, error.line)
    });
    (plan.status, error)
}

/// Findings: file, line, code, and whether they are errors.
fn found(plan: &Plan) -> Vec<(&str, u32, &str, bool)> {
    let findings = plan.findings.iter();
    findings
        .map(|PlanFinding { path, finding }| {
            let is_error = finding.severity == Severity::Error;
            (path.as_str(), finding.line, finding.code, is_error)
        })
        .collect()
}

#[test]
fn a_plan_says_what_a_run_would_do() {
    let source = "export const meta = { name: 'two', description: 'd', phases: [{ title: 'Look', detail: 'at files' }, { title: 'Sum' }] }
phase('Look')
const seen = await parallel(args.map((file) => () => agent(`Look at ${file}.`, { label: file, agentType: 'Explore', effort: 'low', schema: { type: 'array', items: { type: 'string' } } })))
log(`${seen.length} seen`)
return { seen }
";
    let start = start().args(&["a", "b"]).unwrap();
    let plan = plan(
        &Script::file("flows/two.js", source),
        &start,
        &PlanOptions::new(),
    );
    assert!(plan.is_good());
    let agent = |number: u32, file: &str| {
        json!({
            "id": format!("a-{number}"), "label": file, "model": "haiku", "effort": "low", "agentType": "Explore",
            "isolation": null, "backend": null, "schema": true, "prompt": format!("Look at {file}."),
            "promptCharacters": 10, "line": 3, "workflow": null, "startMs": 0, "outcome": "completed",
        })
    };
    let mut told = serde_json::to_value(&plan).unwrap();
    // Which model that type has is its own affair.
    for place in 0..2 {
        told["phases"][0]["agents"][place]["model"] = "haiku".into();
    }
    let seen = json!(["[0]", "[1]", "[2]"]);
    assert_eq!(
        told,
        json!({
            "status": "completed",
            "error": null,
            "name": "two",
            "script": "flows/two.js",
            "agentCalls": 2,
            "peakInFlight": 2,
            "peakOutstanding": 2,
            "caps": { "concurrency": 4, "agents": 1000, "items": 4096, "budget": null },
            "durationMs": 60_000,
            "phases": [
                { "title": "Look", "detail": "at files", "announced": true, "agents": [agent(0, "a"), agent(1, "b")] },
                { "title": "Sum", "detail": null, "announced": true, "agents": [] },
            ],
            "refused": [],
            "logs": [{ "level": "info", "text": "2 seen" }],
            "workflowCalls": [],
            "merges": [],
            "longestPrompt": { "characters": 10, "id": "a-0", "label": "a", "line": 3 },
            "result": { "seen": [seen, seen] },
            "findings": [{
                "path": "flows/two.js", "line": 1, "column": 111, "endLine": 1, "endColumn": 116, "code": "unused-phase",
                "severity": "warning", "message": told["findings"][0]["message"], "remedy": told["findings"][0]["remedy"],
                "related": [],
            }],
        })
    );
}

#[test]
fn timers_fire_in_virtual_time() {
    for (body, value, duration_ms) in [
        (
            "return await Promise.race([agent('x'), sleep('PT10M').then(() => 'late')])",
            json!("agent text output 1"),
            60_000,
        ),
        (
            "return await Promise.race([agent('x'), sleep('PT10S').then(() => 'late')])",
            json!("late"),
            10_000,
        ),
        (
            "const t = setTimeout(() => log('no'), 5000); clearTimeout(t); await agent('x'); return now() - 60000",
            json!(1_767_225_600_000_u64),
            60_000,
        ),
        (
            "await sleep('P30D'); return new Date(now()).toISOString()",
            json!("2026-01-31T00:00:00.000Z"),
            2_592_000_000,
        ),
        (
            "let n = 0; const all = [agent('x'), agent('y')]; while (n < 3) { await sleep(25000); n++ } return (await Promise.all(all)).length",
            json!(2),
            75_000,
        ),
    ] {
        let plan = of(body);
        assert_eq!(
            (result(&plan), plan.duration_ms),
            (value, duration_ms),
            "{body}"
        );
        assert!(plan.logs.is_empty(), "{body}");
    }
}

#[test]
fn caps_and_peaks_are_a_runs() {
    let many = "return (await parallel(Array.from({ length: 10 }, (_, i) => () => agent('task ' + i)))).length";
    for (concurrency, peak, minutes) in [(1, 1, 10), (4, 4, 3), (0, 10, 1)] {
        let plan = planned(
            many,
            &StartOptions::new().concurrency(concurrency),
            &PlanOptions::new(),
        );
        assert_eq!(
            (plan.agent_calls, plan.peak_in_flight, plan.peak_outstanding),
            (10, peak, 10)
        );
        assert_eq!(plan.duration_ms, minutes * 60_000);
    }
    let capped = |most| planned(many, &start().max_agents(most), &PlanOptions::new());
    assert_eq!(ended(&capped(10)), (PlanStatus::Completed, None));
    let over = capped(9);
    assert_eq!(
        ended(&over),
        (PlanStatus::Failed, Some(("AgentCapError", "AGENT_CAP", 2)))
    );
    assert_eq!((over.agent_calls, over.refused[0].count), (9, 1));
    let items = |most| planned(many, &start().max_items(most), &PlanOptions::new());
    assert_eq!(ended(&items(10)).0, PlanStatus::Completed);
    assert_eq!(
        ended(&items(9)).1.map(|(name, code, _)| (name, code)),
        Some(("ItemsCapError", "ITEMS_CAP"))
    );
}

#[test]
fn what_never_ends_is_given_up() {
    let cap = start().max_agents(20);
    let quick = |milliseconds| {
        let mut start = cap.clone();
        start.script_limits.turn_cpu_ms = Some(milliseconds);
        start
    };
    for (body, status, code) in [
        (
            "while (true) await agent('again')",
            PlanStatus::Failed,
            "AGENT_CAP",
        ),
        (
            "while (true) { try { await agent('again') } catch {} }",
            PlanStatus::Timeout,
            "PLAN_TIMEOUT",
        ),
        (
            "while (true) await sleep(1)",
            PlanStatus::Timeout,
            "PLAN_TIMEOUT",
        ),
        (
            "while (true) await sleep('P30D')",
            PlanStatus::Timeout,
            "PLAN_TIMEOUT",
        ),
        ("while (true) {}", PlanStatus::Timeout, "LIMIT_CPU"),
        (
            "await agent('x'); await new Promise(() => {})",
            PlanStatus::Failed,
            "STALLED",
        ),
    ] {
        let plan = planned(body, &quick(200), &PlanOptions::new());
        let error = plan.error.as_ref().and_then(|error| error.code.as_deref());
        assert_eq!((plan.status, error), (status, Some(code)), "{body}");
        assert!(plan.result.is_none());
    }
    let options = PlanOptions::new();
    options.stop.store(true, Ordering::Relaxed);
    let stopped = planned("while (true) {}", &start(), &options);
    assert_eq!(
        ended(&stopped),
        (
            PlanStatus::Timeout,
            Some(("PlanTimeout", "PLAN_TIMEOUT", 0))
        )
    );
}

#[test]
fn the_budget_goes_down_as_made_up_agents_write() {
    let body = "let n = 0; while (budget.remaining() > 5000) { await agent('x'); n++ } return [n, budget.spent()]";
    let plan = planned(body, &start().budget(20_000), &PlanOptions::new());
    assert_eq!(result(&plan), json!([8, 16_000]));
    let plan = planned(
        "while (true) await agent('x')",
        &start().budget(5_000),
        &PlanOptions::new(),
    );
    assert_eq!(
        ended(&plan),
        (PlanStatus::Failed, Some(("BudgetError", "BUDGET", 2)))
    );
    assert_eq!(plan.agent_calls, 3);
}

#[test]
fn agents_can_be_made_to_fail() {
    let body = "const all = await parallel(Array.from({ length: 100 }, (_, i) => () => agent('task ' + i)))
const one = await attempt('one')
return [all.filter(Boolean).length, one.ok, one.error?.kind ?? null]";
    let with = |fail| planned(body, &start(), &PlanOptions::new().fail(fail));
    assert_eq!(result(&with(Fail::None)), json!([100, true, null]));
    assert_eq!(result(&with(Fail::All)), json!([0, false, "other"]));
    let part = with(Fail::Share(0.3));
    let good = result(&part)[0].as_u64().unwrap();
    assert!((55..=85).contains(&good), "{good}");
    let failed = |plan: &Plan| {
        let agents = plan.phases.iter().flat_map(|phase| &phase.agents);
        agents.filter(|agent| agent.outcome == "failed").count() as u64
    };
    assert!((100 - good..=101 - good).contains(&failed(&part)));
    // What no value fits fails as in a run.
    let plan =
        of("return await agent('x', { schema: { type: 'string', not: { type: 'string' } } })");
    assert_eq!(
        ended(&plan).1.map(|(name, code, _)| (name, code)),
        Some(("SchemaError", "SCHEMA"))
    );
}

#[test]
fn made_up_arrays_are_as_long_as_they_are_told_and_may_be() {
    let body = "const list = (more) => agent('x', { schema: { type: 'array', items: { type: 'integer' }, ...more } })
return [(await list({})).length, (await list({ minItems: 2 })).length, (await list({ maxItems: 4 })).length]";
    for (items, lengths) in [(3, [3, 3, 3]), (0, [0, 2, 0]), (7, [7, 7, 4])] {
        let plan = planned(body, &start(), &PlanOptions::new().items(items));
        assert_eq!(result(&plan), json!(lengths), "{items}");
    }
}

#[test]
fn an_agent_type_that_is_not_there_is_told_with_its_line_and_the_folders() {
    let body = "const type = (name) => ['no', name].join('-')
const a = await agent('one', { agentType: type('one') })
const b = await parallel([1, 2].map(() => () => agent('two', { agentType: type('two') })))
const c = await agent('again', { agentType: type('one') })
const d = await agent('plain', { agentType: 'Nobody' })
return [a, c, d]";
    let mut options = PlanOptions::new();
    options.agent_folders = vec!["/x/.claude/agents".into(), "/y/.claude/agents".into()];
    let plan = planned(body, &start(), &options);
    assert_eq!(plan.status, PlanStatus::Completed);
    assert_eq!(
        found(&plan),
        [
            ("workflow.js", 3, "unknown-agent-type", true),
            ("workflow.js", 4, "unknown-agent-type", true),
            ("workflow.js", 6, "unknown-agent-type", true),
        ]
    );
    let PlanFinding { finding, .. } = &plan.findings[0];
    assert_eq!(finding.message, "there is no agent type `no-one`");
    assert_eq!((finding.column, finding.related[0].line), (17, 5));
    for told in &plan.findings {
        let remedy = &told.finding.remedy;
        assert!(
            remedy.ends_with("; looked in /x/.claude/agents, /y/.claude/agents"),
            "{remedy}"
        );
        assert!(
            remedy.contains("there is: Explore, general-purpose"),
            "{remedy}"
        );
    }
    assert!(!plan.is_good());
    let types: Vec<_> = plan.phases[0]
        .agents
        .iter()
        .map(|agent| agent.agent_type.as_deref())
        .collect();
    assert_eq!(
        types,
        [
            Some("no-one"),
            Some("no-two"),
            Some("no-two"),
            Some("no-one"),
            Some("Nobody")
        ]
    );

    let strict = planned(body, &start(), &options.clone().strict());
    assert_eq!(
        ended(&strict),
        (
            PlanStatus::Failed,
            Some(("UnknownAgentTypeError", "UNKNOWN_AGENT_TYPE", 3))
        )
    );
    assert_eq!((strict.agent_calls, found(&strict)[0].1), (0, 3));
}

#[test]
fn what_is_missing_is_told_up_to_a_number() {
    let body = |count: usize| {
        format!("for (let i = 0; i < {count}; i++) await agent('x', {{ agentType: 'no' + i }})")
    };
    let told = |count| of(&body(count)).findings;
    assert_eq!(told(200).len(), 200);
    let findings = told(203);
    assert_eq!(findings.len(), 201);
    assert_eq!(
        findings[200].finding.message,
        "3 findings more are not listed"
    );
}

#[test]
fn other_refusals_are_a_runs() {
    for (options, code) in [
        ("{ effort: args }", "UNKNOWN_EFFORT"),
        ("{ isolation: args }", "UNKNOWN_ISOLATION"),
        ("{ backend: args }", "UNKNOWN_BACKEND"),
        ("{ schema: { type: args } }", "SCHEMA_MALFORMED"),
        ("{ tools: args }", "OPTIONS"),
    ] {
        let start = start().args("nothing").unwrap();
        let plan = planned(
            &format!("\nreturn await agent('x', {options})"),
            &start,
            &PlanOptions::new(),
        );
        let error = plan.error.as_ref().unwrap();
        assert_eq!(
            (error.code.as_deref(), error.line),
            (Some(code), 3),
            "{options}"
        );
        assert_eq!(plan.refused[0].code, code);
    }
    let known = PlanOptions::new().backends(["codemod"]);
    let plan = planned(
        "return await agent('x', { backend: 'codemod' })",
        &start(),
        &known,
    );
    assert_eq!(plan.phases[0].agents[0].backend.as_deref(), Some("codemod"));
    assert!(plan.is_good());
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

#[test]
fn workflows_run_inline_and_those_that_are_not_there_give_null() {
    let folder = tempfile::tempdir().unwrap();
    let inner = "export const meta = { name: 'inner', description: 'd' }
phase('Deep')
const made = await agent('in', { agentType: ['a', 'b'].join('') })
return [args.n, made]";
    write(folder.path(), "inner.js", inner);
    write(
        folder.path(),
        "broken.js",
        "export const meta = { name: 'broken', description: 'd' }\nreturn (",
    );
    let body = "const a = await workflow('inner', { n: 1 })
const b = await workflow(args)
const c = await workflow({ scriptPath: './none.js' })
const d = await workflow({ scriptPath: './broken.js' }).catch((error) => error.code)
return [a, b, c, d]";
    let script = Script::file(folder.path().join("outer.js"), format!("{HEADER}{body}"));
    let files = BTreeMap::from([("inner".to_owned(), folder.path().join("inner.js"))]);
    let start = start()
        .workflows(files)
        .working_directory(folder.path())
        .args("gone")
        .unwrap();
    let mut options = PlanOptions::new();
    options.workflow_folders = vec!["/x/.claude/workflows".into()];
    let plan = plan(&script, &start, &options);
    assert_eq!(
        result(&plan),
        json!([[1, "agent text output 2"], null, null, "SCRIPT_REFUSED"])
    );
    let calls: Vec<_> = plan
        .workflow_calls
        .iter()
        .map(|call| {
            (
                call.line,
                call.file.as_ref().map(|file| file.to_str().unwrap()),
            )
        })
        .collect();
    assert_eq!(
        calls,
        [
            (2, Some("inner.js")),
            (3, None),
            (4, None),
            (5, Some("broken.js"))
        ]
    );
    let agent = &plan
        .phases
        .iter()
        .find(|phase| !phase.agents.is_empty())
        .unwrap()
        .agents[0];
    assert_eq!(
        (agent.line, agent.workflow.as_deref()),
        (3, Some("inner.js"))
    );
    let outer = folder.path().join("outer.js");
    let outer = outer.to_str().unwrap();
    assert_eq!(
        found(&plan),
        [
            (outer, 3, "unknown-workflow", true),
            (outer, 4, "missing-script", true),
            ("inner.js", 3, "unknown-agent-type", true),
            ("broken.js", 2, "syntax", true),
        ]
    );
    let remedy = &plan.findings[0].finding.remedy;
    assert!(
        remedy.contains("there is: inner; looked in /x/.claude/workflows"),
        "{remedy}"
    );

    let strict = planned("return await workflow('gone')", &start, &options.strict());
    assert_eq!(
        ended(&strict).1.map(|(name, code, _)| (name, code)),
        Some(("WorkflowError", "WORKFLOW"))
    );
}

#[test]
fn isolated_work_lands_and_is_listed() {
    let body = "const a = await attempt('Fix it', { isolation: 'worktree' })
const b = await attempt('Fix it too', { isolation: 'worktree' })
const c = await attempt('Look')
return await merge([a, b, c], { into: 'main', verify: 'true' })";
    let plan = of(body);
    let landing = result(&plan);
    assert_eq!(
        (&landing["into"], &landing["left"]),
        (&json!("main"), &json!([]))
    );
    assert_eq!(landing["landed"].as_array().map(Vec::len), Some(2));
    assert_eq!(landing["after"], landing["landed"][1]["commit"]);
    let merge = &plan.merges[0];
    assert_eq!(
        (
            merge.branches.len(),
            merge.into.as_deref(),
            merge.verify.as_deref(),
            merge.line
        ),
        (2, Some("main"), Some("true"), 5)
    );
    assert_eq!((plan.agent_calls, plan.peak_in_flight), (3, 1));
    assert_eq!(found(&plan), [("workflow.js", 5, "not-allowed", false)]);
    assert!(plan.is_good());

    let allowed = planned(body, &start().allow_merge(), &PlanOptions::new().strict());
    assert_eq!((result(&allowed), allowed.findings.len()), (landing, 0));
    let strict = planned(body, &start(), &PlanOptions::new().strict());
    assert_eq!(
        ended(&strict),
        (
            PlanStatus::Failed,
            Some(("NotAllowedError", "NOT_ALLOWED", 5))
        )
    );
}

#[test]
fn x03_a_plan_answers_for_people_and_says_so() {
    let body = "const first = await ask('Which?', { choices: ['a', 'b'] })
const given = await ask('Go?', { default: true, timeout: 'P7D' })
const made = await ask('How many?', { schema: { const: 7 } })
return [first, given, made, await ask('Why?'), await agent('Do it')]";
    let plan = of(body);
    assert_eq!(
        result(&plan),
        json!(["a", true, 7, "a person's answer", "agent text output 5"])
    );
    assert_eq!(
        (plan.agent_calls, plan.duration_ms),
        (1, 60_000),
        "nobody is waited for"
    );
    let told: Vec<_> = plan
        .findings
        .iter()
        .map(|told| (told.finding.line, told.finding.code, told.finding.severity))
        .collect();
    let asks = |line| (line, "asks-a-person", Severity::Info);
    assert_eq!(told, [asks(2), asks(3), asks(4), asks(5)]);
    assert_eq!(
        plan.findings[0].finding.message,
        "it asks a person, and waits; the plan assumes the answer \"a\""
    );
    assert!(plan.is_good());
}

#[test]
fn what_a_run_refuses_or_throws_has_its_place() {
    let plan = of("await agent('x')\n\n  null.foo");
    assert_eq!(
        ended(&plan),
        (PlanStatus::Failed, Some(("TypeError", "", 4)))
    );
    assert_eq!(plan.agent_calls, 1);
    let plan = of("import fs from 'fs'");
    assert_eq!(
        ended(&plan),
        (
            PlanStatus::Failed,
            Some(("SyntaxError", "SCRIPT_REFUSED", 2))
        )
    );
    assert_eq!(found(&plan), [("workflow.js", 2, "import", true)]);
    let header = "export const meta = { name: 'n', description: 'd', args: { type: 'object', required: ['path'] } }";
    let script = Script::text(format!("{header}\nreturn 1"));
    let plan = super::plan(&script, &start(), &PlanOptions::new());
    assert_eq!(
        ended(&plan),
        (PlanStatus::Failed, Some(("ArgsError", "ARGS", 0)))
    );
    assert_eq!(plan.name, "n");
}

#[test]
fn a_long_log_is_cut_and_says_so() {
    let plan =
        of("for (let i = 0; i < 10050; i++) log('line ' + i); await agent('x', { colour: 'red' })");
    let logs = &plan.logs;
    assert_eq!(logs.len(), 10_001);
    assert_eq!(logs[9_999].text, "line 9999");
    assert_eq!(logs[10_000].text, "51 lines more are not listed");
}

#[test]
fn the_same_script_gives_the_same_plan() {
    let body = "phase('One')
const all = await pipeline(Array.from({ length: 40 }, (_, i) => i),
  (i) => agent('a ' + i, { label: 'a' + i, schema: { type: 'object', properties: { n: { type: 'number' } }, required: ['n'] } }),
  (r, i) => Promise.race([agent('b ' + i), sleep(30000 + 1000 * i)]))
const odd = new Map(all.map((x, i) => [random(), i]))
setTimeout(() => log('fired'), 20)
await Promise.allSettled([attempt('x', { agentType: 'No ' + 1 }), workflow('none')])
log(now())
return [...odd.entries(), all]";
    let text = || {
        let options = PlanOptions::new().fail(Fail::Share(0.2)).items(2);
        serde_json::to_string(&planned(body, &start(), &options)).unwrap()
    };
    let first = text();
    assert!(first.contains("\"status\":\"completed\""), "{first}");
    for _ in 0..3 {
        assert_eq!(text(), first);
    }
}

#[test]
fn a_thousand_agents_are_planned() {
    let body = "const first = await parallel(Array.from({ length: 500 }, (_, i) => () => agent('one ' + i)))
return (await parallel(first.map((x) => () => agent('two ' + x)))).length";
    let plan = of(body);
    assert_eq!(
        (plan.agent_calls, plan.peak_in_flight, plan.peak_outstanding),
        (1_000, 4, 500)
    );
    assert_eq!(plan.duration_ms, 250 * 60_000);
    assert_eq!(result(&plan), json!(500));
}
