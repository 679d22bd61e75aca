//! `campaign [--agents N] [--kills K] [--seed S] [--concurrency C] [--hosts]`  one run of many agents, killed again and again
//! `campaign --files N [--kills K] …`                                     a migration, killed while it works and while it lands
//! `campaign --mixed [--kills K] [--seed S]`                              runs of all kinds, hosts and agents killed
//! `campaign --race TRIES [--seed S]`                                     commands that begin a host at once
//! `campaign --soak MINUTES [--round MILLISECONDS]`                       rounds of mixed runs in one engine: what grows?
//!
//! See `bellwether_tests::campaign`.
#![expect(clippy::print_stdout, reason = "a check for a terminal")]

use std::alloc::System;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use bellwether_tests::bench::measure::mb;
use bellwether_tests::campaign::Campaign;
use bellwether_tests::campaign::migration::{Migration, summary};
use bellwether_tests::campaign::mixed::Mixed;
use bellwether_tests::campaign::race::Race;
use bellwether_tests::campaign::soak::{Soak, Trend};
use cap::Cap;

/// Counts what the program has allocated and not given back.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// How often a round of a soak begins.
const ROUND: Duration = Duration::from_millis(500);

/// Commands that begin a host at once, at most.
const RIVALS: usize = 4;

fn main() -> anyhow::Result<()> {
    bellwether::child_main();
    let mut words = std::env::args().skip(1);
    let (mut files, mut kills, mut tries, mut minutes) = (None, None, None, None::<f64>);
    let (mut mixed, mut round) = (false, ROUND);
    let mut campaign = Campaign {
        agents: 10_000,
        kills: 20,
        // Another one each time; whoever finds something has it in the output.
        seed: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
        concurrency: 8,
        hosted: false,
    };
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .with_context(|| format!("{word} wants a value"))
        };
        match word.as_str() {
            "--hosts" => campaign.hosted = true,
            "--mixed" => mixed = true,
            "--agents" => campaign.agents = value()?.parse()?,
            "--files" => files = Some(value()?.parse()?),
            "--kills" => kills = Some(value()?.parse()?),
            "--race" => tries = Some(value()?.parse()?),
            "--soak" => minutes = Some(value()?.parse()?),
            "--round" => round = Duration::from_millis(value()?.parse()?),
            "--seed" => campaign.seed = value()?.parse()?,
            "--concurrency" => campaign.concurrency = value()?.parse()?,
            other => bail!(
                "no option {other}: --hosts, --mixed, --agents, --files, --kills, --race, --soak, --round, --seed, --concurrency"
            ),
        }
    }
    let seed = campaign.seed;
    if let Some(files) = files {
        let migration = Migration {
            files,
            kills: kills.unwrap_or(3),
            seed,
            concurrency: campaign.concurrency,
        };
        println!("{files} files, {} kills, seed {seed}", migration.kills);
        println!("{}", summary(&migration.run()?));
        return Ok(());
    }
    if let Some(tries) = tries {
        return race(tries, seed);
    }
    if let Some(minutes) = minutes {
        return soak(Duration::try_from_secs_f64(minutes * 60.0)?, round);
    }
    campaign.kills = kills.unwrap_or(campaign.kills);
    if mixed {
        return kill_mixed(campaign.kills, seed);
    }
    kill_one(campaign)
}

fn kill_one(campaign: Campaign) -> anyhow::Result<()> {
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

fn kill_mixed(kills: usize, seed: u64) -> anyhow::Result<()> {
    println!("runs of all kinds, {kills} kills at random moments, seed {seed}");
    let outcome = Mixed { kills, seed }.run()?;
    println!(
        "killed {} hosts, {} agents and {} commands ({} commands could begin nothing): {} runs completed as undisturbed, with {} rewinds, {} attempts ({} cut off) \
         and {} reused answers; every line is there, {} tasks left more than one, no attempt did; no completed agent ran again; \
         no process and no branch is left over, and {} worktrees wait for the next",
        outcome.hosts,
        outcome.agents,
        outcome.commands,
        outcome.refused,
        outcome.runs,
        outcome.rewinds,
        outcome.attempts,
        outcome.cut_off,
        outcome.reused,
        outcome.repeated,
        outcome.worktrees
    );
    Ok(())
}

fn race(tries: usize, seed: u64) -> anyhow::Result<()> {
    println!("{tries} tries of 2 to {RIVALS} commands at once on a fresh journal, seed {seed}");
    let race = Race {
        tries,
        seed,
        at_once: RIVALS,
    };
    let outcome = race.run()?;
    println!(
        "{} tries: {} commands began a run and {} hosts were begun besides; always one host had the journal, all the time, and \
         every run is in it",
        outcome.tries, outcome.runs, outcome.hosts
    );
    Ok(())
}

fn soak(length: Duration, round: Duration) -> anyhow::Result<()> {
    println!("rounds of mixed runs for {length:?}, one every {round:?}");
    let soak = Soak {
        length,
        round,
        allocated: || ALLOCATOR.allocated() as u64,
    };
    let outcome = soak.run()?;
    println!(
        "{} rounds, {} runs; the last half:",
        outcome.rounds, outcome.runs
    );
    for Trend { name, slope, .. } in &outcome.trends {
        println!("  {name}: {slope}");
    }
    for sample in &outcome.course {
        println!(
            "  after {:.0} s: {:.2} MiB allocated, {:.1} and {:.1} MiB resident, {} threads",
            sample.at.as_secs_f64(),
            mb(sample.allocated_bytes),
            mb(sample.usage.resident_bytes),
            mb(sample.usage.children_bytes),
            sample.usage.threads
        );
    }
    for (when, sample) in [("before", outcome.before), ("after", outcome.after)] {
        let usage = sample.usage;
        println!(
            "{when} the engine: {:.2} MiB allocated, {:.1} MiB resident, {} descriptors, {} threads, {} processes",
            mb(sample.allocated_bytes),
            mb(usage.resident_bytes),
            usage.descriptors,
            usage.threads,
            usage.children
        );
    }
    outcome.judge()?;
    println!("nothing grows by more than 1 % an hour");
    Ok(())
}
