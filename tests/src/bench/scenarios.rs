//! The scenarios that need one process.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use bellwether::plan::PlanOptions;
use bellwether::{AgentBackend, Engine, Limits, RunHandle, Script, StartOptions};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::backends::{Held, Noop, Slow, Timed};
use super::measure::{CountingStore, Memory, fdatasync_median, forget, mb};
use super::{Report, Settings, Speed, parts};

/// The journal's file in a bench's folder.
pub(super) const JOURNAL: &str = "journal.redb";

/// All agents in one turn.
pub const FANOUT: &str = "export const meta = { name: 'fanout', description: 'a bench' }
const all = await parallel(Array.from({ length: args.n }, (_, i) => () => agent('work ' + i)))
return all.length
";

/// One agent after the other.
pub(super) const SEQUENCE: &str = "export const meta = { name: 'sequence', description: 'a bench' }
for (let i = 0; i < args.n; i++) await agent('work ' + i)
return args.n
";

/// Two stages for each item, the first with a schema.
const PLANNED: &str = "export const meta = { name: 'plan', description: 'a bench' }
const FOUND = { type: 'object', properties: { titles: { type: 'array', items: { type: 'string' } } }, required: ['titles'] }
const all = await pipeline(Array.from({ length: args.n }, (_, i) => i),
  (i) => agent('Look at number ' + i, { label: 'look:' + i, schema: FOUND }),
  (found, i) => agent('Judge ' + found.titles.join(', '), { label: 'judge:' + i, agentType: 'Explore' }))
return all.length
";

/// A plan of 1,000 agents may take 200 ms.
const PLAN_MS_PER_AGENT_MAX: f64 = 0.2;
const AGENT_ALIVE_BYTES_MAX: f64 = 12.0 * 1024.0;
const AGENT_WAITING_BYTES_MAX: f64 = 3.0 * 1024.0;
const STARTUP_MS_MAX: f64 = 30.0;
const SLOW: Duration = Duration::from_millis(100);

/// An engine over a new journal, for one run.
pub(super) struct Bench {
    pub(super) runtime: Runtime,
    pub(super) store: Arc<CountingStore>,
    pub(super) engine: Engine,
    folder: TempDir,
}

impl Bench {
    pub(super) fn new(settings: &Settings, backend: Arc<dyn AgentBackend>) -> anyhow::Result<Self> {
        Self::with(settings, Limits::new(), backend)
    }

    pub(super) fn with(
        settings: &Settings,
        limits: Limits,
        backend: Arc<dyn AgentBackend>,
    ) -> anyhow::Result<Self> {
        let runtime = runtime()?;
        let folder = tempfile::tempdir_in(&settings.folder)?;
        let store = Arc::new(CountingStore::open(&folder.path().join(JOURNAL))?);
        let builder = settings
            .engine()
            .limits(limits)
            .store(Arc::clone(&store) as _)
            .backend("bench", backend);
        let engine = runtime.block_on(builder.build())?;
        Ok(Self {
            runtime,
            store,
            engine,
            folder,
        })
    }

    pub(super) fn start(
        &self,
        source: &str,
        n: usize,
        concurrency: u32,
    ) -> anyhow::Result<RunHandle> {
        let options = options(n, concurrency)?;
        Ok(self
            .runtime
            .block_on(self.engine.start(Script::text(source), options))?)
    }

    pub(super) fn result(&self, run: &RunHandle) -> anyhow::Result<usize> {
        Ok(self.runtime.block_on(run.result::<usize>())?)
    }

    /// Ends the engine, which closes the journal's file; the folder is there as long as what comes back.
    pub(super) fn end(self) -> TempDir {
        self.runtime
            .block_on(self.engine.shutdown(Duration::from_secs(10)));
        self.folder
    }
}

/// A runtime as the program has it.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads((cores / 2).max(1))
        .enable_all()
        .build()?)
}

pub(super) fn options(n: usize, concurrency: u32) -> anyhow::Result<StartOptions> {
    let mut options = StartOptions::default();
    options.args = Some(json!({ "n": n }).to_string());
    options.backend = Some("bench".to_owned());
    options.concurrency = Some(concurrency);
    options.max_agents = Some(n as u64 + 1);
    options.max_items = Some(u32::try_from(n)?.max(1000));
    Ok(options)
}

pub(super) fn limit<const N: usize>(figures: [(&str, Value); N]) -> Map<String, Value> {
    figures
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// One `parallel` of n agents that do nothing.
pub(super) fn fanout(settings: &Settings) -> anyhow::Result<Report> {
    let n = settings.n;
    let bench = Bench::new(settings, Arc::new(Noop))?;
    let memory = Memory::watch()?;
    let start = Instant::now();
    let run = bench.start(FANOUT, n, 0)?;
    ensure!(bench.result(&run)? == n, "the run gave another number");
    let seconds = start.elapsed().as_secs_f64();
    let (peak_mb, commits) = (mb(memory.peak_bytes()?), bench.store.commits());
    let actors_seconds = bench.runtime.block_on(parts::actors(n))?;
    let folder = bench.folder.path().to_owned();
    let journal_seconds = parts::journal(n, &folder)?;
    let vm_seconds = parts::vm(n)?;
    drop(bench.end());
    let agents_per_second = n as f64 / seconds;
    let composite = n as f64 / (vm_seconds + journal_seconds + actors_seconds);
    Ok(Report {
        scenario: "fanout",
        n,
        seconds,
        speed: Speed::AgentsPerSecond(agents_per_second),
        peak_mb,
        commits,
        limit: limit([
            ("agentsPerSecond", json!(composite)),
            ("vmSeconds", json!(vm_seconds)),
            ("journalSeconds", json!(journal_seconds)),
            ("actorsSeconds", json!(actors_seconds)),
        ]),
        ratio: agents_per_second / composite,
    })
}

/// n agents that are all alive at once.
pub(super) fn alive(settings: &Settings) -> anyhow::Result<Report> {
    held("alive", settings, 0, settings.n, AGENT_ALIVE_BYTES_MAX)
}

/// n agents of which one is alive and the others wait for its slot.
pub(super) fn waiting(settings: &Settings) -> anyhow::Result<Report> {
    held("waiting", settings, 1, 1, AGENT_WAITING_BYTES_MAX)
}

fn held(
    scenario: &'static str,
    settings: &Settings,
    concurrency: u32,
    alive: usize,
    bytes_max: f64,
) -> anyhow::Result<Report> {
    let n = settings.n;
    let backend = Arc::new(Held::new());
    let bench = Bench::new(settings, Arc::clone(&backend) as _)?;
    let memory = Memory::watch()?;
    let start = Instant::now();
    let run = bench.start(FANOUT, n, concurrency)?;
    bench.runtime.block_on(backend.started(alive));
    let bytes_each = memory.growth_bytes()? as f64 / n as f64;
    backend.open();
    ensure!(bench.result(&run)? == n, "the run gave another number");
    let seconds = start.elapsed().as_secs_f64();
    let (peak_mb, commits) = (mb(memory.peak_bytes()?), bench.store.commits());
    drop(bench.end());
    Ok(Report {
        scenario,
        n,
        seconds,
        speed: Speed::AgentsPerSecond(n as f64 / seconds),
        peak_mb,
        commits,
        limit: limit([
            ("bytesPerAgent", json!(bytes_max)),
            ("measuredBytesPerAgent", json!(bytes_each)),
        ]),
        ratio: bytes_each / bytes_max,
    })
}

/// n agents, one after the other.
pub(super) fn sequence(settings: &Settings) -> anyhow::Result<Report> {
    let n = settings.n;
    let bench = Bench::new(settings, Arc::new(Noop))?;
    let before = fdatasync_median(bench.folder.path())?;
    let memory = Memory::watch()?;
    let commits_before = bench.store.commits();
    let start = Instant::now();
    let run = bench.start(SEQUENCE, n, 0)?;
    ensure!(bench.result(&run)? == n, "the run gave another number");
    let seconds = start.elapsed().as_secs_f64();
    let (peak_mb, commits) = (
        mb(memory.peak_bytes()?),
        bench.store.commits() - commits_before,
    );
    // Disks change their mind: the mean of before and after is what was there meanwhile.
    let fdatasync_ms = f64::midpoint(before, fdatasync_median(bench.folder.path())?) * 1e3;
    drop(bench.end());
    let ms_per_step = seconds * 1e3 / n as f64;
    Ok(Report {
        scenario: "sequence",
        n,
        seconds,
        speed: Speed::MsPerStep(ms_per_step),
        peak_mb,
        commits,
        limit: limit([
            ("fdatasyncMs", json!(fdatasync_ms)),
            ("commitsPerStep", json!(commits as f64 / n as f64)),
        ]),
        ratio: ms_per_step / fdatasync_ms,
    })
}

/// n agents of 100 ms.
pub(super) fn overhead(settings: &Settings) -> anyhow::Result<Report> {
    let Settings { n, concurrency, .. } = *settings;
    let bench = Bench::new(settings, Arc::new(Slow(SLOW)))?;
    let memory = Memory::watch()?;
    let start = Instant::now();
    let run = bench.start(FANOUT, n, concurrency)?;
    ensure!(bench.result(&run)? == n, "the run gave another number");
    let seconds = start.elapsed().as_secs_f64();
    let (peak_mb, commits) = (mb(memory.peak_bytes()?), bench.store.commits());
    drop(bench.end());
    let rounds = if concurrency == 0 {
        1
    } else {
        n.div_ceil(concurrency as usize)
    };
    let ideal = rounds as f64 * SLOW.as_secs_f64();
    Ok(Report {
        scenario: "overhead",
        n,
        seconds,
        speed: Speed::AgentsPerSecond(n as f64 / seconds),
        peak_mb,
        commits,
        limit: limit([
            ("idealSeconds", json!(ideal)),
            ("concurrency", json!(concurrency)),
        ]),
        ratio: seconds / ideal,
    })
}

/// n agents, one after the other, without a disk: what a turn costs in a process of its own and within this one.
pub(super) fn turn(settings: &Settings) -> anyhow::Result<Report> {
    let n = settings.n;
    let memory = Memory::watch()?;
    let seconds = |in_process| {
        let settings = Settings {
            in_process,
            ..settings.clone()
        };
        let runtime = runtime()?;
        let builder = settings.engine().memory().backend("bench", Arc::new(Noop));
        let engine = runtime.block_on(builder.build())?;
        let start = Instant::now();
        let starting = engine.start(Script::text(SEQUENCE), options(n, 0)?);
        let run = runtime.block_on(starting)?;
        let result = runtime.block_on(run.result::<usize>())?;
        ensure!(result == n, "the run gave another number");
        let seconds = start.elapsed().as_secs_f64();
        runtime.block_on(engine.shutdown(Duration::from_secs(10)));
        Ok(seconds)
    };
    let (within, beside) = (seconds(true)?, seconds(false)?);
    let ms_per_step = |seconds: f64| seconds * 1e3 / n as f64;
    Ok(Report {
        scenario: "turn",
        n,
        seconds: beside,
        speed: Speed::MsPerStep(ms_per_step(beside)),
        peak_mb: mb(memory.peak_bytes()?),
        commits: 0,
        limit: limit([("msPerStepWithin", json!(ms_per_step(within)))]),
        ratio: beside / within,
    })
}

/// n agents, one after the other, alone and then beside a script that computes without end and looks up now and then.
pub(super) fn hostile(settings: &Settings) -> anyhow::Result<Report> {
    const COMPUTES: &str = "export const meta = { name: 'hostile', description: 'a bench' };
    for (;;) JSON.stringify(Array.from({ length: 10_000 }, (_, i) => i))
";
    let n = settings.n;
    let memory = Memory::watch()?;
    let steps = |is_beside: bool| {
        let runtime = runtime()?;
        let backend = Arc::new(Timed::default());
        let builder = settings
            .engine()
            .memory()
            .backend("bench", Arc::clone(&backend) as _);
        let engine = runtime.block_on(builder.build())?;
        let other = is_beside
            .then(|| {
                runtime
                    .block_on(engine.start(Script::text(COMPUTES), options(1, 0)?))
                    .map_err(anyhow::Error::from)
            })
            .transpose()?;
        let run = runtime.block_on(engine.start(Script::text(SEQUENCE), options(n, 0)?))?;
        let result = runtime.block_on(run.result::<usize>())?;
        ensure!(result == n, "the run gave another number");
        if let Some(other) = other {
            runtime.block_on(other.kill("the bench"))?;
        }
        runtime.block_on(engine.shutdown(Duration::from_secs(10)));
        Ok::<_, anyhow::Error>(backend.percentiles())
    };
    let ((median_alone, alone), (median, beside)) = (steps(false)?, steps(true)?);
    Ok(Report {
        scenario: "hostile",
        n,
        seconds: median * n as f64 / 1e3,
        speed: Speed::MsPerStep(median),
        peak_mb: mb(memory.peak_bytes()?),
        commits: 0,
        limit: limit([
            ("p99MsAlone", json!(alone)),
            ("p99MsBeside", json!(beside)),
            ("medianMsAlone", json!(median_alone)),
        ]),
        ratio: beside / alone,
    })
}

/// From a journal that is not in the page cache to the first agent's start.
pub(super) fn startup(settings: &Settings) -> anyhow::Result<Report> {
    let folder = tempfile::tempdir_in(&settings.folder)?;
    let path = folder.path().join(JOURNAL);
    // A journal with something in it.
    one_run(settings, &path, 100)?;
    forget(&path)?;
    let memory = Memory::watch()?;
    let (seconds, commits) = one_run(settings, &path, 1)?;
    Ok(Report {
        scenario: "startup",
        n: 1,
        seconds,
        speed: Speed::MsPerStep(seconds * 1e3),
        peak_mb: mb(memory.peak_bytes()?),
        commits,
        limit: limit([("milliseconds", json!(STARTUP_MS_MAX))]),
        ratio: seconds * 1e3 / STARTUP_MS_MAX,
    })
}

/// A plan of n agents in two fan-outs, in pipelines with a schema, as `bellwether plan` makes it: reading and checking the
/// script, running it, and writing the plan as JSON. The slowest of a few.
pub(super) fn plan(settings: &Settings) -> anyhow::Result<Report> {
    const PLANS: usize = 5;
    let n = settings.n;
    let script = Script::text(PLANNED);
    let options = options(n / 2, settings.concurrency)?.max_agents(n as u64);
    let memory = Memory::watch()?;
    let mut slowest = 0.0_f64;
    for _ in 0..PLANS {
        let start = Instant::now();
        let plan = bellwether::plan::plan(&script, &options, &PlanOptions::new());
        let text = serde_json::to_string(&plan)?;
        slowest = slowest.max(start.elapsed().as_secs_f64());
        ensure!(
            plan.is_good() && plan.agent_calls == n as u64 / 2 * 2,
            "{text}"
        );
    }
    let most = PLAN_MS_PER_AGENT_MAX * n as f64;
    Ok(Report {
        scenario: "plan",
        n,
        seconds: slowest,
        speed: Speed::MsPerStep(slowest * 1e3 / n as f64),
        peak_mb: mb(memory.peak_bytes()?),
        commits: 0,
        limit: limit([("milliseconds", json!(most))]),
        ratio: slowest * 1e3 / most,
    })
}

/// Runs n agents on the journal at `path`, with a runtime of its own, whose end closes the file: seconds until the first
/// agent started, and commits in all.
fn one_run(settings: &Settings, path: &Path, n: usize) -> anyhow::Result<(f64, u64)> {
    let runtime = runtime()?;
    let backend = Arc::new(Held::new());
    let start = Instant::now();
    let store = Arc::new(CountingStore::open(path)?);
    let builder = settings
        .engine()
        .store(Arc::clone(&store) as _)
        .backend("bench", Arc::clone(&backend) as _);
    let engine = runtime.block_on(builder.build())?;
    let run = runtime.block_on(engine.start(Script::text(FANOUT), options(n, 0)?))?;
    runtime.block_on(backend.started(1));
    let seconds = start.elapsed().as_secs_f64();
    backend.open();
    runtime.block_on(run.result::<usize>())?;
    runtime.block_on(engine.shutdown(Duration::from_secs(10)));
    Ok((seconds, store.commits()))
}
