//! `campaign [--agents N] [--kills K] [--seed S] [--concurrency C] [--hosts]`, or with `--files N` in the place of `--agents` that of a
//! migration: see `bellwether_tests::campaign`.
#![expect(clippy::print_stdout, reason = "a check for a terminal")]

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use bellwether_tests::campaign::Campaign;
use bellwether_tests::campaign::migration::{Migration, summary};

fn main() -> anyhow::Result<()> {
    let mut files = None;
    let mut kills = None;
    let mut campaign = Campaign {
        agents: 10_000,
        kills: 20,
        // Another one each time; whoever finds something has it in the output.
        seed: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
        concurrency: 8,
        hosted: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if word == "--hosts" {
            campaign.hosted = true;
            continue;
        }
        let value = words
            .next()
            .with_context(|| format!("{word} wants a value"))?;
        match word.as_str() {
            "--agents" => campaign.agents = value.parse()?,
            "--files" => files = Some(value.parse()?),
            "--kills" => kills = Some(value.parse()?),
            "--seed" => campaign.seed = value.parse()?,
            "--concurrency" => campaign.concurrency = value.parse()?,
            other => bail!(
                "no option {other}: --hosts, --agents, --files, --kills, --seed, --concurrency"
            ),
        }
    }
    if let Some(files) = files {
        let migration = Migration {
            files,
            kills: kills.unwrap_or(3),
            seed: campaign.seed,
            concurrency: campaign.concurrency,
        };
        println!(
            "{files} files, {} kills, seed {}",
            migration.kills, migration.seed
        );
        println!("{}", summary(&migration.run()?));
        return Ok(());
    }
    campaign.kills = kills.unwrap_or(campaign.kills);
    let Campaign {
        agents,
        kills,
        seed,
        ..
    } = campaign;
    println!("{agents} agents, {kills} kills at random moments, seed {seed}");
    let outcome = campaign.run()?;
    println!(
        "killed {} times ({} before any agent had ended), {} agents in flight: every line is there, {} twice; no completed \
         agent ran again, and the result is as undisturbed",
        outcome.kills, outcome.early_kills, outcome.in_flight, outcome.repeated
    );
    Ok(())
}
