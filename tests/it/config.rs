//! Settings through the program: where they come from, and which decides.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::bed::{Bed, says};

fn sources(bed: &Bed, more: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<Value> {
    let words: Vec<&str> = ["config", "show", "--json"]
        .iter()
        .chain(more)
        .copied()
        .collect();
    let mut command = bed.command(&words)?;
    for (name, value) in environment {
        command = command.env(name, value);
    }
    command.run()?.expect_code(0)?.json()
}

#[test]
fn flags_decide_over_environment_project_and_person() -> anyhow::Result<()> {
    let bed = Bed::new("return 1")?;
    bed.project.write(
        ".config/bellwether/config.toml",
        "concurrency = 3\nmax_items = 30\nmax_agents = 300\n",
    )?;
    bed.project.write(
        ".bellwether/config.toml",
        "concurrency = 4\nmax_items = 40\nbackend = \"dry\"\n",
    )?;
    let shown = sources(
        &bed,
        &["--concurrency", "6"],
        &[
            ("BELLWETHER_CONCURRENCY", "5"),
            ("BELLWETHER_MAX_ITEMS", "50"),
        ],
    )?;
    let of = |key: &str| (shown[key]["value"].clone(), shown[key]["source"].clone());
    assert_eq!(of("concurrency"), (json!(6), json!("flag")));
    assert_eq!(of("max_items"), (json!(50), json!("environment")));
    assert_eq!(of("max_agents"), (json!(300), json!("person")));
    assert_eq!(of("backend"), (json!("dry"), json!("project")));
    assert_eq!(of("stop_grace").1, "default");
    // The project's backend carries a run out, from a folder within the project too.
    bed.command(&["run", "flow.js"])?.run()?.expect_code(0)?;
    bed.project.write("deep/er/x", "")?;
    let deep =
        bellwether_tests::program::Bellwether::new(&bed.project.path("deep/er"), ["ps", "--json"])?;
    assert_eq!(
        deep.run()?.expect_code(0)?.json()?.as_array().map(Vec::len),
        Some(1)
    );
    Ok(())
}

#[test]
fn an_unknown_key_is_an_error_that_names_the_nearest() -> anyhow::Result<()> {
    let bed = Bed::new("return 1")?;
    bed.project
        .write(".bellwether/config.toml", "concurency = 4\n")?;
    for words in [
        &["run", "flow.js", "--backend", "dry"][..],
        &["config", "show"],
        &["ps"],
    ] {
        let refused = bed.command(words)?.run()?.expect_code(2)?;
        says(&refused, "concurency")?;
        says(&refused, "`concurrency`")?;
        says(&refused, "config.toml")?;
    }
    bed.project
        .write(".bellwether/config.toml", "concurrency = \"many\"\n")?;
    says(
        &bed.command(&["config", "show"])?.run()?.expect_code(2)?,
        "concurrency",
    )?;
    bed.project.write(".bellwether/config.toml", "")?;
    let refused = bed
        .command(&["config", "show"])?
        .env("BELLWETHER_CONCURENCY", "4")
        .run()?
        .expect_code(2)?;
    says(&refused, "BELLWETHER_CONCURRENCY")?;
    ensure!(refused.stdout.is_empty(), "{refused}");
    Ok(())
}
