//! Agents on models, through the real program and its gateway, against a server that speaks the providers' own formats.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use bellwether_tests::GUARD;
use bellwether_tests::model_server::{Fault, ModelServer, Reply};
use bellwether_tests::program::{Bellwether, Running};
use serde_json::{Value, json};

use crate::bed::{Bed, ended, says};

/// What the scripts of these tests begin with: `told(step, …)` tells the model what to do.
const TOLD: &str = "
const told = (...steps) => '\\n```model\\n' + steps.map(step => JSON.stringify(step)).join('\\n') + '\\n```\\n'
";
const PRICES: &str = "[prices.\"fake/\"]\ninput = 1.0\noutput = 10.0\n";

/// A project whose models are those of a fake provider.
pub(crate) struct Models {
    pub(crate) bed: Bed,
    pub(crate) server: ModelServer,
}

impl Models {
    pub(crate) fn new(body: &str) -> anyhow::Result<Self> {
        Self::of(body, &["anthropic"], ModelServer::start()?)
    }

    pub(crate) fn of(body: &str, speaks: &[&str], server: ModelServer) -> anyhow::Result<Self> {
        let bed = Bed::new(&format!("{TOLD}{body}"))?;
        let base = server.url();
        let version = |speaks: &&str| matches!(*speaks, "openai" | "responses");
        let version = if speaks.iter().any(version) {
            "/v1"
        } else {
            ""
        };
        let settings = format!(
            "backend = \"llm\"\nmodel = \"fake/small\"\n[providers.fake]\nspeaks = {speaks:?}\n\
             base_url = \"{base}{version}\"\nkey_env = \"FAKE_KEY\"\n{PRICES}"
        );
        bed.project.write(".bellwether/config.toml", &settings)?;
        Ok(Self { bed, server })
    }

    pub(crate) fn command(&self, words: &[&str]) -> anyhow::Result<Bellwether> {
        Ok(self.bed.command(words)?.env("FAKE_KEY", "the-real-key"))
    }

    pub(crate) fn run(&self, more: &[&str]) -> anyhow::Result<Bellwether> {
        let mut words = vec!["run", "flow.js", "--foreground", "--yes", "--json"];
        words.extend(more);
        self.command(&words)
    }

    /// Output tokens that the server has written, as it knows itself.
    fn written(&self) -> u64 {
        let ledger = self.server.ledger();
        ledger.values().map(|sum| sum.spent.output).sum()
    }
}

#[test]
fn an_agent_does_a_real_job_on_every_wire() -> anyhow::Result<()> {
    for speaks in ["anthropic", "openai", "responses", "gemini"] {
        let body = "
            const text = await agent('Make the program greet.' + told(
                { tools: [{ tool: 'read', input: { path: 'greet.sh' } }, { tool: 'glob', input: { pattern: '*.sh' } }] },
                { tool: 'shell', input: { command: 'sh greet.sh' } },
                { tool: 'edit', input: { path: 'greet.sh', old: 'echo helo', new: 'echo hello' } },
                { tool: 'shell', input: { command: 'sh greet.sh > greeted' } },
                { text: 'It greets.' },
            ))
            const schema = { type: 'object', required: ['greets', 'n'],
                properties: { greets: { type: 'boolean' }, n: { type: 'integer' } } }
            return [text, await agent('Does it?' + told({ tool: 'grep', input: { pattern: 'hello' } }, { fit: true }), { schema })]";
        let models = Models::of(body, &[speaks], ModelServer::start()?)?;
        let project = &models.bed.project;
        project.write("greet.sh", "echo helo\n")?;
        project.write("AGENTS.md", "Greet in English.")?;
        let (outcome, _) = ended(models.run(&["--allow", "shell"])?.start()?, 0)?;
        let result = outcome["result"].as_array().context("a list")?;
        assert_eq!(result[0], "It greets.", "{speaks}: {outcome}");
        ensure!(
            result[1]["greets"].is_boolean() && result[1]["n"].is_i64(),
            "{speaks}: {outcome}"
        );
        assert_eq!(project.lines("greeted"), ["hello"], "{speaks}");
        // The provider got its own key, what the repository says, and counted what the run says.
        let exchanges = models.server.requests();
        ensure!(exchanges.len() >= 6, "{speaks}: {}", exchanges.len());
        let reported: (u64, u64) = exchanges.iter().fold((0, 0), |sum, exchange| {
            let usage = exchange.reported.unwrap_or_default();
            (sum.0 + usage.input, sum.1 + usage.output)
        });
        assert_eq!(
            outcome["usage"],
            json!({ "inputTokens": reported.0, "outputTokens": reported.1 }),
            "{speaks}"
        );
        for exchange in &exchanges {
            assert_eq!(
                exchange.request.key.as_deref(),
                Some("the-real-key"),
                "{speaks}"
            );
            assert_eq!(exchange.request.model, "small", "{speaks}");
            ensure!(
                exchange.request.system.contains("Greet in English."),
                "{speaks}: {}",
                exchange.request.system
            );
        }
    }
    Ok(())
}

#[test]
fn s03_an_answer_is_the_last_json_in_the_text_where_nothing_keeps_to_the_schema()
-> anyhow::Result<()> {
    let body = "return agent('Count.' + told({ text: 'First {\"n\": 1}, but then:\\n```json\\n{\"z\": 1.50, \"n\": 2}\\n```\\nThat is it.' }),
        { schema: { type: 'object', required: ['n'], properties: { n: { type: 'integer' } } } })";
    let models = Models::of(body, &["openai"], ModelServer::start()?)?;
    let (outcome, _) = ended(models.run(&[])?.start()?, 0)?;
    assert_eq!(outcome["result"].to_string(), r#"{"z":1.5,"n":2}"#);
    Ok(())
}

#[test]
fn a09_models_are_aliases_or_ids_and_an_unknown_one_is_the_default_with_a_warning()
-> anyhow::Result<()> {
    let body = "const ask = model => agent('Say it.' + told({ text: 'it' }), { model })
        await ask('quick'); await ask('fake/large'); await ask('nonesuch'); await ask('inherit'); await ask('nonesuch')
        return 'done'";
    let models = Models::new(body)?;
    let settings = models.bed.project.path(".bellwether/config.toml");
    let settings = std::fs::read_to_string(settings)? + "[models]\nquick = \"fake/tiny\"\n";
    models
        .bed
        .project
        .write(".bellwether/config.toml", &settings)?;
    let finished = models.run(&[])?.run()?.expect_code(0)?;
    let asked: Vec<String> = models
        .server
        .requests()
        .into_iter()
        .map(|exchange| exchange.request.model)
        .collect();
    assert_eq!(asked, ["tiny", "large", "small", "small", "small"]);
    let warnings = finished
        .stderr
        .lines()
        .filter(|line| line.contains("nonesuch"));
    let warnings: Vec<&str> = warnings.collect();
    assert_eq!(warnings.len(), 1, "{finished}");
    ensure!(warnings[0].contains("fake/small"), "{finished}");
    Ok(())
}

#[test]
fn u02_no_call_passes_the_budget_and_the_fan_out_rejects() -> anyhow::Result<()> {
    let body = "
        try {
            await parallel(Array.from({ length: 12 }, (_, n) => () =>
                agent('Write ' + n + told({ tool: 'todo' }, { text: 'word ', tokens: 900 }))))
            return 'all'
        } catch (error) { return [error.name, error.code] }";
    let models = Models::new(body)?;
    // One of them had begun and was cut off, so the run is degraded.
    let (outcome, _) = ended(models.run(&["--budget", "5k"])?.start()?, 4)?;
    assert_eq!(
        outcome["result"],
        json!(["BudgetError", "BUDGET"]),
        "{outcome}"
    );
    let written = models.written();
    ensure!(written <= 5_000, "{written} of 5,000");
    ensure!(written > 3_000, "most of it was used: {written}");
    assert_eq!(outcome["usage"]["outputTokens"], written);
    // With a larger one those that were cut off or refused run again, and nobody else.
    let resume = ["resume", "last", "--json", "--budget", "100k"];
    let (outcome, _) = ended(models.command(&resume)?.start()?, 0)?;
    assert_eq!(outcome["result"], "all", "{outcome}");
    ensure!(outcome["agents"]["reused"].as_u64() >= Some(4), "{outcome}");
    Ok(())
}

#[test]
fn u02_money_is_a_budget_too_and_an_agent_has_a_limit_of_its_own() -> anyhow::Result<()> {
    let body = "
        const one = await attempt('Write.' + told({ tool: 'todo' }, { text: 'word ', tokens: 900 }), { maxTokens: 300 })
        const two = await attempt('Write.' + told({ text: 'word ', tokens: 900 }), { maxCost: 0.5 })
        try { for (;;) await agent('Write more.' + told({ text: 'word ', tokens: 900 })) }
        catch (error) { return [one.error.kind, one.ok, two.ok, two.usage.cost > 0.009, error.code] }";
    let models = Models::new(body)?;
    let (outcome, _) = ended(models.run(&["--budget", "$0.05"])?.start()?, 4)?;
    assert_eq!(
        outcome["result"],
        json!(["limit", false, true, true, "BUDGET"]),
        "{outcome}"
    );
    // At a millionth of a dollar a token read, and ten written.
    let ledger = models.server.ledger();
    let cost: u64 = ledger
        .values()
        .map(|sum| sum.spent.input + 10 * sum.spent.output)
        .sum();
    ensure!(cost <= 50_000, "{cost}");
    Ok(())
}

#[test]
fn u02_what_was_used_before_a_kill_counts_after_it() -> anyhow::Result<()> {
    let body = "
        const first = await agent('Write.' + told({ text: 'word ', tokens: 800 }, ))
        const second = await attempt('Write.' + told({ tool: 'todo', outputTokens: 600 }, { stall: true, times: 1 }, { text: 'done' }))
        return second.ok";
    let models = Models::new(body)?;
    let mut running = models.run(&["--budget", "100k", "--events"])?.start()?;
    running.event("agentEnded")?;
    let written = || -> anyhow::Result<Value> {
        let shown = models.bed.json(&["show", "last", "--json"], 0)?;
        Ok(shown["usage"]["outputTokens"].clone())
    };
    let begun = Instant::now();
    while written()? != 1_400 {
        ensure!(begun.elapsed() < GUARD, "{:?}", models.server.traffic());
    }
    // Its next call is under way.
    running.kill()?;
    assert_eq!(written()?, 1_400);
    let resumed = models.command(&["resume", "last", "--json"])?.start()?;
    let (outcome, _) = ended(resumed, 0)?;
    assert_eq!(outcome["result"], true, "{outcome}");
    let (all, told) = (models.written(), outcome["usage"]["outputTokens"].as_u64());
    ensure!(told > Some(1_400) && told <= Some(all), "{told:?} of {all}");
    Ok(())
}

#[test]
fn a_provider_that_has_too_much_to_do_is_waited_for_and_one_that_refuses_is_told()
-> anyhow::Result<()> {
    let body = "
        const fine = await agent('Try.' + told({ status: 429, retryAfter: 0, times: 1 }, { text: 'fine' }))
        const again = await agent('Try.' + told({ cut: true, times: 1 }, { text: 'again' }))
        const wrong = await attempt('Try.' + told({ refusal: true }))
        const empty = await attempt('Try.' + told({ quota: true }), { retries: 0 })
        return [fine, again, wrong.error.kind, empty.error.kind]";
    let models = Models::new(body)?;
    let (outcome, _) = ended(models.run(&[])?.start()?, 4)?;
    assert_eq!(
        outcome["result"],
        json!(["fine", "again", "refused", "quota"]),
        "{outcome}"
    );
    Ok(())
}

#[test]
fn a06_agents_of_a_provider_without_quota_wait_unstarted_and_after_a_crash_too()
-> anyhow::Result<()> {
    let body = "
        const all = await parallel(Array.from({ length: 40 }, (_, n) => () => agent('Agent ' + n)))
        return all.filter(Boolean).length";
    let server = ModelServer::start_with(Arc::new(|_| Reply::fault(Fault::Quota)))?;
    let models = Models::of(body, &["anthropic"], server)?;
    let waits = |mut running: Running| -> anyhow::Result<()> {
        let mut status = running.event("status")?;
        while status["status"] != "waiting" {
            status = running.event("status")?;
        }
        let reason = status["reason"].as_str().context("a reason")?;
        ensure!(reason.starts_with("quota until "), "{reason}");
        let asked = models.server.requests().len();
        ensure!(asked <= 4, "{asked} calls for nothing");
        let shown = models.bed.json(&["show", "last", "--json"], 0)?;
        assert_eq!(shown["status"], "waiting");
        let begun = shown["calls"].as_array().into_iter().flatten();
        let begun = begun.filter(|call| call["attempts"] != 0).count();
        ensure!(begun <= 4, "{begun} agents were started in vain");
        running.kill()?;
        Ok(())
    };
    waits(models.run(&["--concurrency", "4", "--events"])?.start()?)?;
    let resume = models.command(&["resume", "last", "--concurrency", "4", "--events"])?;
    waits(resume.start()?)
}

#[test]
fn a_program_reaches_models_by_the_gateway_and_never_sees_the_real_key() -> anyhow::Result<()> {
    // A program that knows nothing of us: it posts where its variables say, with the key that they hold.
    const AGENT: &str = r#"#!/bin/bash
        cat > task
        env > seen
        body='{"model":"small","max_tokens":500,"messages":[{"role":"user","content":"Say it."}]}'
        address=${ANTHROPIC_BASE_URL#http://}
        exec 3<>"/dev/tcp/${address%:*}/${address#*:}"
        printf 'POST /v1/messages HTTP/1.1\r\nhost: %s\r\nx-api-key: %s\r\nanthropic-version: 2023-06-01\r\ncontent-type: application/json\r\ncontent-length: %s\r\nconnection: close\r\n\r\n%s' \
            "$address" "$ANTHROPIC_API_KEY" "${#body}" "$body" >&3
        cat <&3 > answer
        echo done
    "#;
    let server = ModelServer::start_with(Arc::new(|_| Reply::text("It is said.")))?;
    let models = Models::of("return attempt('Ask.')", &["anthropic"], server)?;
    let project = &models.bed.project;
    project.write("agent.sh", AGENT)?;
    let running = models.run(&["--agent-command", "bash agent.sh"])?.start()?;
    let (outcome, _) = ended(running, 0)?;
    let written = models.written();
    assert_eq!(
        outcome["result"]["usage"]["outputTokens"], written,
        "{outcome}"
    );
    ensure!(
        outcome["result"]["usage"]["cost"].as_f64() > Some(0.0),
        "{outcome}"
    );
    ensure!(project.lines("answer").concat().contains("It is said."));
    let seen = project.lines("seen").concat() + &project.lines("task").concat();
    ensure!(!seen.contains("the-real-key"), "{seen}");
    let exchange = models.server.requests().pop().context("it was asked")?;
    assert_eq!(exchange.request.key.as_deref(), Some("the-real-key"));
    Ok(())
}

#[test]
fn without_a_provider_it_is_said_how_to_have_one() -> anyhow::Result<()> {
    let bed = Bed::new("return agent('Hello')")?;
    let run = bed.command(&["run", "flow.js", "--backend", "llm", "--foreground"])?;
    let finished = run.run()?.expect_code(1)?;
    says(&finished, "ANTHROPIC_API_KEY")?;
    Ok(())
}

#[test]
fn an_answer_that_does_not_fit_goes_back_to_the_model() -> anyhow::Result<()> {
    let body = "return agent('Count.', { schema: { type: 'object', required: ['n'], properties: { n: { type: 'integer' } } } })";
    let server = ModelServer::start_with(Arc::new(|request| {
        let told = request
            .messages
            .iter()
            .any(|message| message.text().contains("/n"));
        Reply::json(&if told {
            json!({ "n": 3 })
        } else {
            json!({ "n": "three" })
        })
    }))?;
    let models = Models::of(body, &["anthropic"], server)?;
    let (outcome, _) = ended(models.run(&[])?.start()?, 0)?;
    assert_eq!(outcome["result"], json!({ "n": 3 }));
    let asked: Vec<Value> = models.bed.records("StepNoted")?;
    assert_eq!(asked.len(), 1, "one answer was refused");
    Ok(())
}

#[test]
fn x07_an_agent_has_agents_of_its_own_five_levels_deep_in_its_slot_and_on_its_account()
-> anyhow::Result<()> {
    let body = "
        const child = 'Write it.' + told(
            { tool: 'write', input: { path: 'made.txt', content: 'by a child' } },
            { text: 'The child is done.' })
        const level = n => n === 0 ? told({ text: 'bottom' }) : told({ tool: 'agent', input: { task: 'Go on.' + level(n - 1) } }, { text: 'level ' + n })
        const both = await attempt('Hand it on.' + told(
            { tools: [{ tool: 'agent', input: { task: child, label: 'writer' } }, { tool: 'agent', input: { task: 'Wait.' + told({ text: 'waited' }) } }] },
            { text: 'The parent is done.' }), { label: 'parent' })
        const deep = await agent('Go on.' + level(6))
        const alone = await agent('Read.' + told({ text: 'read' }), { tools: ['Read'] })
        return [both.value, both.usage.outputTokens, deep, alone]";
    let models = Models::new(body)?;
    let (outcome, _) = ended(models.run(&[])?.start()?, 0)?;
    let result = &outcome["result"];
    assert_eq!(result[0], "The parent is done.", "{outcome}");
    assert_eq!(models.bed.project.lines("made.txt"), ["by a child"]);
    assert_eq!(
        outcome["agents"]["total"], 3,
        "they are no calls of the script"
    );
    assert_eq!(outcome["usage"]["outputTokens"], models.written());
    assert_eq!(
        models.server.traffic().peak,
        1,
        "a parent waits while its agent works"
    );
    // Whoever stands five levels down has no such tool.
    let exchanges = models.server.requests();
    let offered = |text: &str| {
        let asked = exchanges.iter().find(|exchange| {
            let first = exchange.request.messages.first();
            first.is_some_and(|message| message.text().contains(text))
        });
        asked.map(|exchange| {
            let mut tools = exchange.request.tools.iter();
            tools.any(|tool| tool.name == "agent")
        })
    };
    assert_eq!(offered("Hand it on."), Some(true));
    assert_eq!(offered("Read."), Some(false));
    let offers = exchanges.iter().filter(|exchange| {
        let mut tools = exchange.request.tools.iter();
        exchange.request.messages[0].text().contains("Go on.")
            && tools.all(|tool| tool.name != "agent")
    });
    ensure!(offers.count() > 0, "the fifth level has none");
    assert_eq!(result[2], "level 6");
    let notes: Vec<Value> = models.bed.records("StepNoted")?;
    let notes: Vec<Value> = notes
        .iter()
        .filter_map(|note| serde_json::from_str(note["note"].as_str()?).ok())
        .map(|note: Value| note["agent"].clone())
        .collect();
    let writer: Vec<&Value> = notes
        .iter()
        .filter(|note| note["number"] == 1)
        .take(2)
        .collect();
    assert_eq!(writer[0]["label"], "writer", "{notes:?}");
    assert_eq!(
        (&writer[1]["ended"], &writer[1]["said"]),
        (&json!("completed"), &json!("The child is done."))
    );
    let deepest = notes.iter().filter_map(|note| note["level"].as_u64()).max();
    assert_eq!(deepest, Some(5), "{notes:?}");
    Ok(())
}

#[test]
fn a_provider_is_asked_for_no_more_at_once_than_its_settings_say() -> anyhow::Result<()> {
    let body = "
        const all = await parallel(Array.from({ length: 24 }, (_, n) => () => agent('Agent ' + n + told({ tool: 'todo' }, { text: 'done' }))))
        return all.filter(Boolean).length";
    let models = Models::new(body)?;
    let file = models.bed.project.path(".bellwether/config.toml");
    let settings = std::fs::read_to_string(&file)?;
    let limited = settings.replace("key_env =", "concurrency = 1\nkey_env =");
    models
        .bed
        .project
        .write(".bellwether/config.toml", &limited)?;
    let (outcome, _) = ended(models.run(&["--concurrency", "12"])?.start()?, 0)?;
    assert_eq!(outcome["result"], 24, "{outcome}");
    let traffic = models.server.traffic();
    assert_eq!(traffic.peak, 1, "{traffic:?}");
    Ok(())
}

#[test]
fn two_hundred_agents_lose_and_double_no_call() -> anyhow::Result<()> {
    let body = "
        const done = await parallel(Array.from({ length: 200 }, (_, n) => () => agent('Agent ' + n + told(
            ...(n % 7 ? [] : [{ status: 429, retryAfter: 0, times: 1 }]),
            { tool: 'todo' },
            ...(n % 5 ? [] : [{ status: 500, times: 1 }]),
            { text: 'agent ' + n + ' is done' }))))
        return done.filter((text, n) => text !== 'agent ' + n + ' is done').length";
    let models = Models::new(body)?;
    let (outcome, _) = ended(models.run(&["--concurrency", "16"])?.start()?, 0)?;
    assert_eq!(outcome["result"], 0, "{outcome}");
    let traffic = models.server.traffic();
    ensure!(traffic.peak <= 16, "{traffic:?}");
    let exchanges = models.server.requests();
    // Two answers each, and those that were refused first.
    let failed = 200_usize.div_ceil(7) + 200 / 5;
    assert_eq!(exchanges.len(), 400 + failed);
    let (mut input, mut output) = (0, 0);
    for exchange in &exchanges {
        input += exchange.spent.input;
        output += exchange.spent.output;
    }
    assert_eq!(
        outcome["usage"],
        json!({ "inputTokens": input, "outputTokens": output })
    );
    Ok(())
}
