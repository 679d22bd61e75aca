//! A whole run without runtime, threads, disk or clock: the machine, its records in memory, and a model of a script, under a
//! scheduler that draws from a seed what happens next. After each step an oracle that shares no code with the product says
//! whether all that must hold does.
//!
//! A seed that failed goes into `FAILED_ONCE`. For more: `cargo test -p bellwether-actors --release --test simulation --
//! --ignored --nocapture`, with `SIMULATION_SEED` and `SIMULATION_SEEDS` for others.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it saw"
)]

mod begin;
mod complaints;
mod life;
mod oracle;
mod program;
mod random;
mod script;
mod supervisor;
mod world;

use std::time::Instant;

use complaints::Complaints;
use life::{Figures, Life};

/// Seeds of lives in which something did not hold once, and what it was.
const FAILED_ONCE: &[(u64, &str)] = &[
    (
        9,
        "an agent was skipped twice while its first answer waited for the base's: a record was left out",
    ),
    (
        1_000_252,
        "a merge's refusal waited for the base's answers and went with the engine: the merge was done again",
    ),
    (
        1_000_378,
        "the pool failed with attempts that waited to be adopted: the calls that should have had them never began",
    ),
    (
        1_004_365,
        "the pool failed while only attempts of the base were left: the run never came out of `stopping`",
    ),
];

fn live(seed: u64) -> (Figures, u64) {
    lived(seed, false).unwrap_or_else(|_| {
        // Once more, with all that happened.
        let error = lived(seed, true).err().unwrap_or_default();
        panic!("seed {seed}: {error}");
    })
}

fn lived(seed: u64, is_traced: bool) -> Result<(Figures, u64), String> {
    let complaints = Complaints::default();
    let mut life = Life::new(seed, complaints.clone(), is_traced);
    tracing::subscriber::with_default(complaints, || life.live())?;
    Ok((life.figures, life.hash))
}

#[test]
fn lives_of_seeds_that_failed_once() {
    for (seed, what) in FAILED_ONCE {
        println!("{seed}: {what}");
        live(*seed);
    }
}

#[test]
fn i7_i8_whatever_happens_to_a_run_its_records_hold() {
    let mut all = Figures::default();
    for seed in 0..150 {
        all.add(&live(seed).0);
    }
    println!("{all:#?}");
    // What was never there was not tried.
    for what in [
        "AttemptAdopted",
        "CallReused",
        "CallRefused",
        "ChangesKept",
        "OrchestratorLost",
        "Ordered",
        "StepNoted",
        "TimerArmed",
        "completed",
        "crash",
        "disk full",
        "pool lost",
        "quarantined",
        "rewind live",
        "supervisor crash",
    ] {
        assert!(all.seen.contains_key(what), "{what} was never there");
    }
}

#[test]
fn a_seed_is_a_life() {
    for seed in 0..20 {
        assert_eq!(live(seed).1, live(seed).1, "seed {seed}");
    }
}

#[test]
#[ignore = "as long as one likes"]
fn many_lives() {
    let number = |name: &str, default: u64| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (first, seeds) = (
        number("SIMULATION_SEED", 1_000_000),
        number("SIMULATION_SEEDS", 5_000),
    );
    let began = Instant::now();
    let mut all = Figures::default();
    for seed in first..first + seeds {
        all.add(&live(seed).0);
    }
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    println!("{all:#?}");
    println!(
        "{} steps in {seeds} lives from seed {first}: {:.0} steps a minute",
        all.steps,
        all.steps as f64 / minutes
    );
}
