//! `bench <scenario> [N] [--payload BYTES] [--concurrency N] [--folder PATH] [--vm-in-process] [--json]`: see `bellwether_tests::bench`.
//! The last line is one JSON object; with `--json` the only one.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement for a terminal"
)]

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use bellwether_tests::bench::{SCENARIOS, Settings, resume, run};

fn main() -> anyhow::Result<()> {
    bellwether::child_main();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, path, n, payload] = arguments.as_slice()
        && word == resume::VICTIM
    {
        return resume::victim(Path::new(path), n.parse()?, payload.parse()?);
    }
    let mut words = arguments.into_iter();
    let scenario = words
        .next()
        .with_context(|| format!("which scenario? {SCENARIOS}"))?;
    let mut settings = Settings {
        n: usual_n(&scenario),
        payload_bytes: 100,
        concurrency: 0,
        folder: std::env::temp_dir(),
        in_process: false,
    };
    let mut json = false;
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .with_context(|| format!("{word} wants a value"))
        };
        match word.as_str() {
            "--json" => json = true,
            "--vm-in-process" => settings.in_process = true,
            "--payload" => settings.payload_bytes = value()?.parse()?,
            "--concurrency" => settings.concurrency = value()?.parse()?,
            "--folder" => settings.folder = PathBuf::from(value()?),
            number if !number.starts_with('-') => {
                settings.n = number
                    .replace(['_', ','], "")
                    .parse()
                    .context("N is a whole number")?;
            }
            other => bail!(
                "no option {other}: --payload, --concurrency, --folder, --vm-in-process, --json"
            ),
        }
    }
    if cfg!(debug_assertions) {
        eprintln!("this is no release build: the figures mean little");
    }
    let report = run(&scenario, &settings)?;
    if !json {
        println!("{report:#?}");
    }
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// How many, where nothing is said.
fn usual_n(scenario: &str) -> usize {
    match scenario {
        "runs" | "heard" => 1_000,
        "read" => 1_000_000,
        "host" => 9,
        _ => 10_000,
    }
}
