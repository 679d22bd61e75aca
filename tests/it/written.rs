//! What comes with the program and asks models itself: `write`, which writes scripts, and `deep-research`. Through the real program,
//! its built-in agent and its gateway, against a server that speaks a provider's own format.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, ensure};
use bellwether_tests::model_server::{ModelServer, Reply, Request};
use serde_json::{Value, json};

use crate::bed::{ended, says};
use crate::models::Models;

/// The property of the answer that is wanted, by which the tests know who asks.
fn wants(request: &Request, property: &str) -> bool {
    let schema = request.schema.as_deref();
    schema.is_some_and(|schema| schema["properties"].get(property).is_some())
}

fn said(request: &Request) -> String {
    let texts: Vec<String> = request.messages.iter().map(|one| one.text()).collect();
    texts.join("\n")
}

const GOOD: &str = "export const meta = { name: 'greet-all', description: 'Greets every file' }
const files = args ?? []
const greeted = await parallel(files.map((file) => () => agent(`Greet in ${file}.`, { label: file })))
const done = greeted.filter(Boolean)
log(`${done.length} of ${files.length} greeted`)
return done
";

/// A model that decides for a workflow and writes its script: with an unknown option first, and well when it hears of that.
fn writer(request: &Request) -> Reply {
    if wants(request, "kind") {
        return Reply::json(&json!({
            "kind": "workflow", "why": "Each file stands for itself.", "name": "greet-all", "over": "the files", "steps": ["greet"],
            "verify": "true", "candidates": [], "reason": "It cannot fail.",
        }));
    }
    if wants(request, "script") {
        let heard = said(request).contains("gradient");
        let script = if heard {
            GOOD.to_owned()
        } else {
            GOOD.replace("label: file", "label: file, gradient: 1")
                .replace("return done", "return done +")
        };
        return Reply::json(&json!({ "script": script, "args": "[\"a.txt\"]", "notes": [] }));
    }
    Reply::text("greeted")
}

#[test]
fn write_goes_through_rounds_until_its_script_holds_and_runs_it() -> anyhow::Result<()> {
    let models = Models::of(
        "return 1",
        &["anthropic"],
        ModelServer::start_with(Arc::new(writer))?,
    )?;
    let words = [
        "write",
        "greet in every file",
        "--verify",
        "true",
        "--foreground",
        "--yes",
    ];
    let finished = models.command(&words)?.run()?.expect_code(0)?;
    let file = finished.stdout.trim().to_owned();
    assert_eq!(file, ".bellwether/workflows/greet-all.js", "{finished}");
    says(&finished, "Each file stands for itself")?;
    let script = models.bed.project.lines(&file).join("\n");
    ensure!(
        script.contains("greet in every file") && script.contains("Greet in ${file}"),
        "{script}"
    );
    let view = models.bed.json(&["show", "last", "--json"], 0)?;
    let labels: Vec<&Value> = view["calls"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|call| &call["label"])
        .collect();
    assert_eq!(
        labels,
        ["decide", "write 1", "check 1", "write 2", "check 2"]
    );
    // What was written is a workflow like any other; a second one takes no file's place.
    let again = models
        .command(&[&words[..], &["--run", "--json"]].concat())?
        .run()?
        .expect_code(0)?;
    says(&again, "greet-all-2.js")?;
    let last = again.stdout.lines().last().context("an outcome")?;
    let outcome: Value = serde_json::from_str(last)?;
    assert_eq!(outcome["result"], json!(["greeted"]), "{again}");
    let listed = models.bed.json(&["list", "--json"], 0)?;
    ensure!(listed.to_string().contains("greet-all"), "{listed}");
    Ok(())
}

/// A model that never heeds what is found.
#[test]
fn write_gives_up_after_five_rounds_and_says_what_is_left() -> anyhow::Result<()> {
    let rounds = AtomicU32::new(0);
    let server = ModelServer::start_with(Arc::new(move |request| {
        if wants(request, "script") {
            // Another one each time, or the rounds would end early.
            let round = rounds.fetch_add(1, Ordering::Relaxed);
            let script = GOOD.replace("return done", &format!("return done + // {round}"));
            return Reply::json(&json!({ "script": script, "args": null, "notes": [] }));
        }
        writer(request)
    }))?;
    let models = Models::of("return 1", &["anthropic"], server)?;
    let words = [
        "write",
        "greet",
        "--verify",
        "true",
        "--foreground",
        "--yes",
        "--run",
    ];
    let finished = models.command(&words)?.run()?.expect_code(1)?;
    says(&finished, "does not hold")?;
    let view = models.bed.json(&["show", "last", "--json"], 0)?;
    let written = view["calls"].as_array().into_iter().flatten();
    let written = written.filter(|call| call["phase"] == "Write").count();
    assert_eq!(written, 5, "{view}");
    says(
        &models
            .command(&["write", "greet", "--backend", "dry"])?
            .run()?
            .expect_code(2)?,
        "--backend llm",
    )
}

/// Readers, voters and a reporter of a research about two files.
fn researcher(request: &Request) -> Reply {
    let claim = |claim: &str, source: &str, quotation: &str| json!({ "claim": claim, "quotations": [{ "source": source, "quotation": quotation }] });
    if wants(request, "angles") {
        return Reply::json(
            &json!({ "angles": [{ "name": "colours", "task": "Look for colours.", "sources": ["sky.md", "sea.md"] }] }),
        );
    }
    if wants(request, "read") {
        return Reply::json(&json!({ "read": ["sky.md", "sea.md"], "claims": [
            claim("The sky is blue.", "sky.md", "The sky is blue by day"),
            claim("The sea is deep.", "sea.md", "The sea is six thousand metres deep"),
            claim("The moon is cheese.", "sky.md", "The moon is made of cheese"),
            claim("The sea is green.", "sea.md", "Some say that it is green"),
        ] }));
    }
    if wants(request, "corrections") {
        return Reply::json(
            &json!({ "corrections": [{ "number": 0, "source": "sky.md", "quotation": null }] }),
        );
    }
    if wants(request, "groups") {
        return Reply::json(&json!({ "groups": [] }));
    }
    if wants(request, "vote") {
        let vote = if said(request).contains("The claim: The sea is green") {
            "fails"
        } else {
            "holds"
        };
        return Reply::json(&json!({ "vote": vote, "reason": "read" }));
    }
    if wants(request, "verdict") {
        return Reply::json(
            &json!({ "verdict": "stands", "evidence": [], "checked": ["sky.md", "sea.md"] }),
        );
    }
    if said(request).contains("Mend this report") {
        return Reply::text("The sky is \"blue by day, and black\" [1], and the sea is deep [2].");
    }
    Reply::text("The sky is blue [1], and the sea is deep [7].")
}

#[test]
fn deep_research_tells_what_stands_in_its_sources_and_what_does_not_apart() -> anyhow::Result<()> {
    let models = Models::of(
        "return 1",
        &["anthropic"],
        ModelServer::start_with(Arc::new(researcher))?,
    )?;
    let project = &models.bed.project;
    project.write(
        "texts/sky.md",
        "# The sky\n\nThe sky is *blue*\nby day, and black by night.\n",
    )?;
    project.write(
        "texts/sea.md",
        "# The sea\n\nThe sea is six thousand metres deep. Some say that it is green.\n",
    )?;
    let words = [
        "deep-research",
        "--sources",
        "texts",
        "Which colours are there?",
        "--angles",
        "1",
        "--foreground",
        "--yes",
        "--json",
    ];
    let (outcome, _) = ended(models.command(&words)?.start()?, 0)?;
    let result = &outcome["result"];
    let named = |list: &str| -> Vec<&str> {
        let all = result["claims"][list].as_array().into_iter().flatten();
        all.filter_map(|claim| claim["claim"].as_str()).collect()
    };
    assert_eq!(
        named("held"),
        ["The sky is blue.", "The sea is deep."],
        "{outcome}"
    );
    assert_eq!(named("failed"), ["The sea is green."]);
    assert_eq!(named("unsupported"), ["The moon is cheese."]);
    let report = result["report"].as_str().context("a report")?;
    ensure!(
        report.contains("blue by day, and black")
            && report.contains("`texts/sky.md`") | report.contains("`sky.md`, lines 3–4"),
        "{report}"
    );
    assert_eq!(result["warnings"], json!([]), "{outcome}");
    // Without a folder it is said how to name one, before anything is asked.
    let asked = models.server.requests().len();
    let refused = models
        .command(&["deep-research", "Which?", "--foreground", "--yes"])?
        .run()?
        .expect_code(1)?;
    says(&refused, "--sources DIR")?;
    assert_eq!(models.server.requests().len(), asked);
    Ok(())
}
