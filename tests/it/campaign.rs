//! The crash campaigns in short; `cargo run --release -p bellwether-tests --bin campaign` has the long ones.

use bellwether_tests::campaign::Campaign;
use bellwether_tests::campaign::migration::Migration;

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
