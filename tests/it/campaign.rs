//! The crash campaign in short; `cargo run --release -p bellwether-tests --bin campaign` is the long one.

use bellwether_tests::campaign::Campaign;

#[test]
fn every_line_once_though_killed_again_and_again() -> anyhow::Result<()> {
    let outcome = Campaign {
        agents: 120,
        kills: 4,
        seed: 7,
        concurrency: 4,
    }
    .run()?;
    // Without kills, and without agents cut off by them, nothing would have been shown.
    assert!(outcome.kills >= 2 && outcome.in_flight > 0, "{outcome:?}");
    Ok(())
}
