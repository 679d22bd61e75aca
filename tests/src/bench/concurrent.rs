//! The scenarios of many runs in one engine, and of who wants something of a run that is at work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use bellwether::{Event, Limits, RunHandle, Script, Status};
use futures_util::future::{join_all, try_join_all};
use serde_json::json;

use super::backends::{Held, Noop, Obedient};
use super::measure::{Memory, Usage, largest, mb, median};
use super::scenarios::{Bench, FANOUT, SEQUENCE, limit, options};
use super::{Report, Settings, Speed};

/// The agents of a small run beside a large one.
const SMALL_AGENTS: usize = 10;
/// So many small runs are timed alone, and beside a large one.
const SMALL_RUNS: usize = 40;
/// A run beside a large one may take so many times as long as alone.
const BESIDE_MAX: f64 = 2.0;
/// The agents of each of many runs.
const RUN_AGENTS: usize = 3;
const RUNS_MB_MAX: f64 = 500.0;
const HEARD_MS_MAX: f64 = 50.0;
/// How often each verb is timed.
const HEARD_ROUNDS: usize = 9;

/// Runs of ten agents: alone, and each beside a run of n, at moments that are spread evenly over the time that this one takes.
pub(super) fn beside(settings: &Settings) -> anyhow::Result<Report> {
    let Settings { n, concurrency, .. } = *settings;
    let bench = Bench::new(settings, Arc::new(Noop))?;
    let timed = |agents: usize| {
        let start = Instant::now();
        let run = bench.start(FANOUT, agents, concurrency)?;
        ensure!(bench.result(&run)? == agents, "the run gave another number");
        Ok(start.elapsed().as_secs_f64())
    };
    let memory = Memory::watch()?;
    // The first one starts the process of the scripts.
    timed(SMALL_AGENTS)?;
    let alone = (0..SMALL_RUNS)
        .map(|_| Ok(timed(SMALL_AGENTS)? * 1e3))
        .collect::<anyhow::Result<Vec<f64>>>()?;
    let large_seconds = (0..3)
        .map(|_| timed(n))
        .collect::<anyhow::Result<Vec<f64>>>()?;
    let large_seconds = median(large_seconds);
    let (mut beside, mut after) = (Vec::new(), 0);
    for place in 0..SMALL_RUNS {
        let large = bench.start(FANOUT, n, concurrency)?;
        let moment = large_seconds * place as f64 / SMALL_RUNS as f64;
        let sleeping = async { tokio::time::sleep(Duration::from_secs_f64(moment)).await };
        bench.runtime.block_on(sleeping);
        if large.status().is_final() {
            // It was quicker this time.
            after += 1;
        } else {
            beside.push(timed(SMALL_AGENTS)? * 1e3);
        }
        ensure!(bench.result(&large)? == n, "the run gave another number");
    }
    ensure!(
        beside.len() > after,
        "the large runs were over before the small ones began"
    );
    let (peak_mb, commits) = (mb(memory.peak_bytes()?), bench.store.commits());
    drop(bench.end());
    let (alone_ms, beside_ms) = (median(alone.clone()), median(beside.clone()));
    let within = beside
        .iter()
        .filter(|ms| **ms <= BESIDE_MAX * alone_ms)
        .count();
    let share = within as f64 / beside.len() as f64;
    Ok(Report {
        scenario: "beside",
        n,
        seconds: large_seconds,
        speed: Speed::Milliseconds(beside_ms),
        peak_mb,
        commits,
        limit: limit([
            ("ratio", json!(BESIDE_MAX)),
            ("medianMsAlone", json!(alone_ms)),
            ("mostMsAlone", json!(largest(&alone))),
            ("mostMsBeside", json!(largest(&beside))),
            ("withinTwice", json!(share)),
            ("msBesideByMoment", json!(beside)),
        ]),
        ratio: beside_ms / alone_ms,
    })
}

/// n runs of three agents, one after the other within each, all alive before the first one goes on.
pub(super) fn runs(settings: &Settings) -> anyhow::Result<Report> {
    let n = settings.n;
    let backend = Arc::new(Held::new());
    let bench = Bench::new(settings, Arc::clone(&backend) as _)?;
    let memory = Memory::watch()?;
    let before = Usage::now()?;
    let start = Instant::now();
    let (runs, begun_seconds, alive) = bench.runtime.block_on(async {
        let starting = (0..n).map(|_| async {
            let options = options(RUN_AGENTS, settings.concurrency)?;
            let run = bench.engine.start(Script::text(SEQUENCE), options).await?;
            Ok::<RunHandle, anyhow::Error>(run)
        });
        let runs = try_join_all(starting).await?;
        backend.started(n).await;
        let begun = start.elapsed().as_secs_f64();
        let alive = Usage::now()?;
        backend.open();
        let ends = join_all(runs.iter().map(RunHandle::wait)).await;
        ensure!(
            ends.iter().all(|status| *status == Status::Completed),
            "not all runs were completed"
        );
        Ok((runs.len(), begun, alive))
    })?;
    let seconds = start.elapsed().as_secs_f64();
    // That of this process is since the beginning of the watch, that of the scripts' since it was started.
    let peak_mb = mb(Usage::now()?.peak_bytes);
    let (own_mb, commits) = (mb(memory.peak_bytes()?), bench.store.commits());
    drop(bench.end());
    Ok(Report {
        scenario: "runs",
        n,
        seconds,
        speed: Speed::RunsPerSecond(runs as f64 / seconds),
        peak_mb,
        commits,
        limit: limit([
            ("mb", json!(RUNS_MB_MAX)),
            ("ownPeakMb", json!(own_mb)),
            ("aliveMb", json!(mb(alive.resident_bytes))),
            ("aliveScriptsMb", json!(mb(alive.children_bytes))),
            ("beforeMb", json!(mb(before.resident_bytes))),
            ("begunSeconds", json!(begun_seconds)),
        ]),
        ratio: peak_mb / RUNS_MB_MAX,
    })
}

/// `pause` and `stop` of a run with n agents at work, several times: until each is durable.
pub(super) fn heard(settings: &Settings) -> anyhow::Result<Report> {
    let n = settings.n;
    let backend = Arc::new(Obedient::default());
    // No event is to be dropped, since the one that is waited for might be.
    let limits = Limits::new().events(8 * n + 64);
    let bench = Bench::with(settings, limits, Arc::clone(&backend) as _)?;
    let memory = Memory::watch()?;
    let start = Instant::now();
    let (mut pause_ms, mut stop_ms, mut stopped_ms) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=HEARD_ROUNDS {
        let run = bench.start(FANOUT, n, 0)?;
        bench.runtime.block_on(async {
            backend.started(round * n).await;
            let asked = Instant::now();
            run.pause("the bench").await?;
            pause_ms.push(asked.elapsed().as_secs_f64() * 1e3);
            run.resume("the bench").await?;

            let mut events = run.events();
            let hearing = tokio::spawn(async move {
                while let Some(event) = events.next().await {
                    let Ok(Event::Status { status, .. }) = event else {
                        continue;
                    };
                    if status == Status::Stopping {
                        return Some(Instant::now());
                    }
                }
                None
            });
            let asked = Instant::now();
            run.stop(Duration::from_secs(10), "the bench").await?;
            stopped_ms.push(asked.elapsed().as_secs_f64() * 1e3);
            let heard = hearing.await?;
            let heard = heard.ok_or_else(|| anyhow::anyhow!("nobody heard that it stops"))?;
            stop_ms.push(heard.duration_since(asked).as_secs_f64() * 1e3);
            ensure!(
                run.wait().await == Status::Stopped,
                "the run is {:?}",
                run.status()
            );
            Ok(())
        })?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let (peak_mb, commits) = (mb(memory.peak_bytes()?), bench.store.commits());
    drop(bench.end());
    let (pause_most, stop_most) = (largest(&pause_ms), largest(&stop_ms));
    let (pause, stop) = (median(pause_ms), median(stop_ms));
    Ok(Report {
        scenario: "heard",
        n,
        seconds,
        speed: Speed::Milliseconds(pause.max(stop)),
        peak_mb,
        commits,
        limit: limit([
            ("milliseconds", json!(HEARD_MS_MAX)),
            ("pauseMs", json!(pause)),
            ("pauseMostMs", json!(pause_most)),
            ("stopMs", json!(stop)),
            ("stopMostMs", json!(stop_most)),
            ("allEndedMs", json!(median(stopped_ms))),
        ]),
        ratio: pause.max(stop) / HEARD_MS_MAX,
    })
}
