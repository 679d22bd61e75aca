//! The crash campaigns in short; `cargo run --release -p bellwether-tests --bin campaign` has the long ones.

use std::process::Command;

use bellwether_tests::campaign::Campaign;
use bellwether_tests::campaign::migration::Migration;
use bellwether_tests::campaign::mixed::Mixed;
use bellwether_tests::campaign::race::Race;

#[test]
fn every_line_once_though_killed_again_and_again() -> anyhow::Result<()> {
    let outcome = Campaign {
        agents: 120,
        kills: 4,
        seed: 7,
        concurrency: 4,
        hosted: false,
    }
    .run()?;
    // Without kills, and without agents cut off by them, nothing would have been shown.
    assert!(outcome.kills >= 2 && outcome.in_flight > 0, "{outcome:?}");
    Ok(())
}

#[test]
fn every_line_once_though_its_host_is_killed_again_and_again() -> anyhow::Result<()> {
    let outcome = Campaign {
        agents: 120,
        kills: 4,
        seed: 11,
        concurrency: 4,
        hosted: true,
    }
    .run()?;
    assert!(outcome.kills >= 2 && outcome.in_flight > 0, "{outcome:?}");
    Ok(())
}

#[test]
fn t03_a_migration_killed_three_times_lands_the_same_tree() -> anyhow::Result<()> {
    let outcome = Migration {
        files: 60,
        kills: 3,
        seed: 7,
        concurrency: 4,
    }
    .run()?;
    assert!(
        outcome.while_working > 0 && outcome.while_landing > 0,
        "{outcome:?}"
    );
    // Two poisoned, and one in conflict.
    assert_eq!((outcome.landed, outcome.left), (57, 3));
    Ok(())
}

#[test]
fn runs_of_all_kinds_end_as_undisturbed_though_hosts_and_agents_are_killed() -> anyhow::Result<()> {
    let outcome = Mixed { kills: 16, seed: 5 }.run()?;
    // An agent that is killed was at work; without one, nothing would have been shown.
    assert!(outcome.hosts > 0 && outcome.agents > 0, "{outcome:?}");
    assert!(outcome.rewinds > 0 && outcome.reused > 0, "{outcome:?}");
    Ok(())
}

#[test]
fn commands_that_race_for_a_fresh_journal_begin_one_host() -> anyhow::Result<()> {
    let race = Race {
        tries: 8,
        seed: 2,
        at_once: 4,
    };
    let outcome = race.run()?;
    assert!(outcome.tries == 8 && outcome.hosts > 0, "{outcome:?}");
    Ok(())
}

/// In a program of its own, since what is counted is the whole process's.
#[test]
fn a_soak_gives_back_all_descriptors_threads_and_processes() -> anyhow::Result<()> {
    let mut soak = Command::new(env!("CARGO_BIN_EXE_campaign"));
    let output = soak.args(["--soak", "0.05"]).output()?;
    let said = String::from_utf8(output.stdout)?;
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("nothing grows"), "{said}");
    Ok(())
}
