//! The scenarios of the program itself: each command is a process of its own, as a person starts it.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::ensure;
use bellwether_journal::read as journal;
use bellwether_journal::redb::{Options, RedbStore};
use serde_json::json;

use super::backends::Noop;
use super::measure::{Memory, largest, mb, median};
use super::scenarios::{Bench, FANOUT, JOURNAL, limit};
use super::{Report, Settings, Speed};
use crate::program::{Bellwether, programs};
use crate::project::Project;

/// Over so many runs a large journal's records are spread.
const RUNS: usize = 200;
/// An agent that does nothing leaves so many records.
const AGENT_RECORDS: usize = 3;
/// How often each command is timed.
const ROUNDS: usize = 9;
const READ_MS_MAX: f64 = 100.0;

/// `ps` and `show` on a journal of n records, which nobody holds.
pub(super) fn read(settings: &Settings) -> anyhow::Result<Report> {
    let memory = Memory::watch()?;
    let start = Instant::now();
    let bench = Bench::new(settings, Arc::new(Noop))?;
    let agents = settings.n.div_ceil(RUNS * AGENT_RECORDS);
    for _ in 0..RUNS {
        let run = bench.start(FANOUT, agents, 0)?;
        ensure!(bench.result(&run)? == agents, "the run gave another number");
    }
    let (peak_mb, commits) = (mb(memory.peak_bytes()?), bench.store.commits());
    let folder = bench.end();
    let seconds = start.elapsed().as_secs_f64();
    let records = records(&folder.path().join(JOURNAL))?;
    ensure!(
        records >= settings.n as u64,
        "the journal has {records} records"
    );

    // What the process alone takes.
    let process = times(folder.path(), &["--version"])?;
    let mut listed = times(folder.path(), &["ps", "--journal", JOURNAL])?;
    listed.extend(times(
        folder.path(),
        &["ps", "--all", "--json", "--journal", JOURNAL],
    )?);
    let mut shown = times(folder.path(), &["show", "last", "--journal", JOURNAL])?;
    shown.extend(times(
        folder.path(),
        &["show", "last", "--json", "--journal", JOURNAL],
    )?);
    let (listed_most, shown_most) = (largest(&listed), largest(&shown));
    let (listed, shown) = (median(listed), median(shown));
    let slower = listed.max(shown);
    Ok(Report {
        scenario: "read",
        n: settings.n,
        seconds,
        speed: Speed::Milliseconds(slower),
        peak_mb,
        commits,
        limit: limit([
            ("milliseconds", json!(READ_MS_MAX)),
            ("psMs", json!(listed)),
            ("psMostMs", json!(listed_most)),
            ("showMs", json!(shown)),
            ("showMostMs", json!(shown_most)),
            ("processMs", json!(median(process))),
            ("records", json!(records)),
            ("agentsPerRun", json!(agents)),
            (
                "fileMb",
                json!(mb(folder.path().join(JOURNAL).metadata()?.len())),
            ),
        ]),
        ratio: slower / READ_MS_MAX,
    })
}

/// How many records a journal has, over all its runs.
fn records(path: &Path) -> anyhow::Result<u64> {
    let store = RedbStore::open(path, Options::default().existing())?;
    journal::summaries(&store).try_fold(0, |sum, row| Ok(sum + row?.1.next.0))
}

/// A command's time from its start to its end, in milliseconds, several times.
fn times(folder: &Path, words: &[&str]) -> anyhow::Result<Vec<f64>> {
    // Building the program is not what is timed.
    programs()?;
    (0..ROUNDS)
        .map(|_| time(Bellwether::new(folder, words)?))
        .collect()
}

fn time(command: Bellwether) -> anyhow::Result<f64> {
    let start = Instant::now();
    command.run()?.expect_code(0)?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

/// `bellwether run` of a script with one made-up agent: by itself, with the beginning of a host, and by one that is there.
pub(super) fn host(settings: &Settings) -> anyhow::Result<Report> {
    let memory = Memory::watch()?;
    let project = Project::new()?;
    project.script("flow", "return agent('Do it.')")?;
    let run = |foreground: &str| {
        let words = ["run", "flow.js", "--backend", "dry", "--journal", JOURNAL];
        time(
            project
                .bellwether(words)?
                .env("BELLWETHER_FOREGROUND", foreground),
        )
    };
    programs()?;
    let start = Instant::now();
    let (mut foreground, mut beginning, mut there) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..settings.n {
        foreground.push(run("1")?);
        beginning.push(run("0")?);
        there.push(run("0")?);
        let stop = project.bellwether(["host", "stop", "--journal", JOURNAL])?;
        stop.run()?.expect_code(0)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let most = largest(&there);
    let (foreground, there) = (median(foreground), median(there));
    Ok(Report {
        scenario: "host",
        n: settings.n,
        seconds,
        speed: Speed::Milliseconds(there),
        peak_mb: mb(memory.peak_bytes()?),
        commits: 0,
        limit: limit([
            ("foregroundMs", json!(foreground)),
            ("beginningMs", json!(median(beginning))),
            ("thereMostMs", json!(most)),
        ]),
        ratio: there / foreground,
    })
}
