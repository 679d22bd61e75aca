//! What runs will cost, and what they have cost: forecasts, the question before a large run, `cost`, and `--effort`.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::bed::{ended, says};
use crate::models::Models;

/// What the server wrote for each model, and what that costs at ten dollars a million and one for what is read.
fn bill(models: &Models) -> (u64, f64) {
    let exchanges = models.server.requests();
    let sum = exchanges.iter().fold((0, 0), |(input, output), exchange| {
        (input + exchange.spent.input, output + exchange.spent.output)
    });
    (sum.1, (sum.0 + 10 * sum.1) as f64 / 1e6)
}

fn close(shown: &Value, dollars: f64) -> bool {
    shown
        .as_f64()
        .is_some_and(|shown| (shown - dollars).abs() < 2e-5)
}

#[test]
fn cost_is_what_the_server_counted_by_run_model_phase_and_day_and_over_rewinds()
-> anyhow::Result<()> {
    let models = Models::new(
        "phase('Look')
         const [a, b] = await parallel([
             () => agent('One' + told({ tool: 'todo' }, { text: 'one' }), { label: 'one' }),
             () => agent('Two' + told({ text: 'two' }), { model: 'fake/large' }),
         ])
         phase('Tell')
         return agent('Three' + told({ text: a + b }))",
    )?;
    let (outcome, _) = ended(models.run(&[])?.start()?, 0)?;
    let (written, dollars) = bill(&models);
    ensure!(close(&outcome["cost"], dollars), "{dollars} and {outcome}");
    // An agent that runs again is paid again, and what waited for it.
    let words = [
        "restart",
        "last",
        "--agent",
        "one",
        "--foreground",
        "--yes",
        "--json",
    ];
    ended(models.command(&words)?.start()?, 0)?;
    let (again, dollars) = bill(&models);
    ensure!(again > written, "the restart asked no model");

    let cost = |words: &[&str]| models.bed.json(&[&["cost", "--json"], words].concat(), 0);
    for by in ["run", "workflow", "model", "phase", "day"] {
        let report = cost(&["--by", by])?;
        let rows = report["rows"].as_array().context("rows")?;
        let sum: f64 = rows.iter().filter_map(|row| row["cost"].as_f64()).sum();
        ensure!(
            close(&report["total"]["cost"], dollars) && close(&json!(sum), dollars),
            "{by}: {dollars} and {report}"
        );
        let rows: Vec<&Value> = rows.iter().map(|row| &row["key"]).collect();
        match by {
            "workflow" => assert_eq!(rows, [&json!("flow")]),
            "model" => ensure!(
                rows.len() == 2
                    && rows.contains(&&json!("fake/small"))
                    && rows.contains(&&json!("fake/large")),
                "{rows:?}"
            ),
            "phase" => ensure!(
                rows.contains(&&json!("Look")) && rows.contains(&&json!("Tell")),
                "{rows:?}"
            ),
            _ => assert_eq!(rows.len(), 1, "{by}: {rows:?}"),
        }
    }
    assert_eq!(cost(&["--since", "2099-01-01"])?["rows"], json!([]));
    assert_eq!(cost(&["--since", "1h"])?["total"]["runs"], 1);
    let shown = models.command(&["cost", "last"])?.run()?.expect_code(0)?;
    ensure!(
        shown.stdout.contains("Look") && shown.stdout.contains('$'),
        "{shown}"
    );
    let shown = models.command(&["show", "last"])?.run()?.expect_code(0)?;
    ensure!(shown.stdout.contains("tokens, $"), "{shown}");
    let view = models.bed.json(&["show", "last", "--json"], 0)?;
    ensure!(close(&view["cost"], dollars), "{view}");
    Ok(())
}

#[test]
fn what_has_no_price_is_told_as_such_whatever_was_asked_before() -> anyhow::Result<()> {
    let models = Models::new(
        "await agent('One' + told({ text: 'one' }))
         return agent('Two' + told({ text: 'two' }), { model: 'fake/large' })",
    )?;
    let file = models.bed.project.path(".bellwether/config.toml");
    let settings = std::fs::read_to_string(&file)?.replace("\"fake/\"", "\"fake/small\"");
    models
        .bed
        .project
        .write(".bellwether/config.toml", &settings)?;
    ended(models.run(&[])?.start()?, 0)?;
    let report = models.bed.json(&["cost", "--by", "model", "--json"], 0)?;
    let [small, large] = [&report["rows"][0], &report["rows"][1]];
    assert_eq!(
        (&small["key"], &large["key"]),
        (&json!("fake/small"), &json!("fake/large")),
        "{report}"
    );
    ensure!(
        small["cost"].is_f64() && large["cost"].is_null(),
        "{report}"
    );
    assert_eq!(large["unpricedTokens"], large["outputTokens"]);
    let shown = models.command(&["cost"])?.run()?.expect_code(0)?;
    ensure!(shown.stdout.contains("≥ $"), "{shown}");
    says(&shown, "whose price is not known")
}

#[test]
fn a_large_run_is_not_begun_without_being_asked_for_and_earlier_runs_say_what_it_will_use()
-> anyhow::Result<()> {
    let models = Models::new(
        "phase('Read')
         await parallel(Array.from({ length: args }, (_, n) => () => agent('Agent ' + n + told({ text: 'word '.repeat(300) }))))
         return 'done'",
    )?;
    let run = |more: &[&str]| {
        models.command(
            &[
                &["run", "flow.js", "--foreground", "--json", "--args"],
                more,
            ]
            .concat(),
        )
    };
    // Nothing is known: 26 agents are too many, at what each is taken to use.
    let refused = run(&["26"])?.run()?.expect_code(2)?;
    says(&refused, "26 agents on models")?;
    says(&refused, "--yes")?;
    ensure!(models.server.requests().is_empty(), "nothing was begun");
    ended(run(&["25"])?.start()?, 0)?;
    // Now it is known what one of them uses.
    let mean = {
        let (written, dollars) = bill(&models);
        (written.div_ceil(25), dollars / 25.0)
    };
    let plan = models
        .bed
        .json(&["plan", "flow.js", "--args", "40", "--json"], 0)?;
    let forecast = &plan["forecast"];
    assert_eq!(forecast["agents"], 40, "{forecast}");
    assert_eq!(forecast["outputTokens"], 40 * mean.0, "{forecast}");
    let expected = 40.0 * mean.1;
    let cost = forecast["cost"].as_f64().context("a cost")?;
    ensure!(
        (cost - expected).abs() < 0.02 * expected,
        "{cost} and {expected}"
    );
    let shown = models
        .command(&["plan", "flow.js", "--args", "40"])?
        .run()?;
    ensure!(
        shown
            .stdout
            .contains("by 25 agents of 1 earlier run of `flow`"),
        "{shown}"
    );
    // Few agents that cost much are a large run, too.
    models.bed.project.write(
        ".bellwether/config.toml",
        &std::fs::read_to_string(models.bed.project.path(".bellwether/config.toml"))?
            .replace("output = 10.0", "output = 10000.0"),
    )?;
    let refused = run(&["5"])?.run()?.expect_code(2)?;
    says(&refused, "about $")?;
    ended(run(&["5", "--yes"])?.start()?, 0)?;
    let quiet = run(&["5"])?.env("BELLWETHER_CONFIRM", "false");
    ended(quiet.start()?, 0)?;
    Ok(())
}

#[test]
fn effort_is_a_row_of_limits_and_flags_win() -> anyhow::Result<()> {
    let models = Models::new(
        "const asked = agent('One' + told({ text: 'one' }))
         await agent('Two' + told({ text: 'two' }), { effort: 'high' })
         await asked
         return budget.total",
    )?;
    let efforts = |from: usize| -> Vec<Option<String>> {
        let exchanges = models.server.requests();
        let mut efforts: Vec<_> = exchanges[from..]
            .iter()
            .map(|exchange| exchange.request.effort.clone())
            .collect();
        efforts.sort();
        efforts
    };
    let (outcome, _) = ended(models.run(&["--effort", "low"])?.start()?, 0)?;
    assert_eq!(outcome["result"], 500_000);
    // Low and high, as this wire has them: tokens to think.
    let words = ["1024", "24000"].map(|word| Some(word.to_owned()));
    assert_eq!(efforts(0), words);
    let (outcome, _) = ended(
        models
            .run(&["--effort", "low", "--budget", "1M"])?
            .start()?,
        0,
    )?;
    assert_eq!(outcome["result"], 1_000_000);
    // A flag's row goes before what a file says; what a file says goes before a file's row.
    let file = models.bed.project.path(".bellwether/config.toml");
    let settings = std::fs::read_to_string(&file)?;
    let settings = format!("effort = \"low\"\nmax_agents = 7\n{settings}");
    models
        .bed
        .project
        .write(".bellwether/config.toml", &settings)?;
    let shown = models.bed.json(&["config", "show", "--json"], 0)?;
    assert_eq!(shown["max_agents"]["value"], 7, "{shown}");
    assert_eq!(shown["concurrency"]["value"], 4, "{shown}");
    let finished = models.run(&["--effort", "medium"])?.run()?.expect_code(0)?;
    says(&finished, "250 in all")
}
