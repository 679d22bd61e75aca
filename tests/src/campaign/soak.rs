//! A soak: rounds of mixed runs in one engine, several at once, and after each round a look at what the process uses. What
//! grows from round to round is a leak.
//!
//! **Memory** is what the program has allocated and not given back, which the program's allocator counts: what the allocator
//! itself keeps for later is no growth. The memory that the kernel counts is told beside it, for this process and for the
//! scripts'.
//!
//! **The slope** is a line through the means of ten parts of the last half, and its error is what those means are off the
//! line. A soak fails when it is sure to be above one percent an hour: when the slope less its error still is, and when what it comes
//! to over the half is more than a step that pools make (of threads, of an allocator): those grow to what was wanted at once, by steps,
//! and then no more. The course over the whole time is told, too: a leak goes on, a pool levels off.

mod scripts;
mod slope;

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bellwether::{
    AgentBackend, Attempt, AttemptContext, CallNumber, Ended, Engine, Event, FailureKind,
    Generation, ResumeOptions, RewindOptions, RunHandle, Script, StartOptions, Status, Task,
};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, try_join_all};
use tempfile::TempDir;

pub use self::slope::Slope;
use crate::GUARD;
use crate::bench::measure::{Usage, mb};
use crate::bench::scenarios::runtime;
use crate::program::programs;

/// Above so much an hour something grows.
const PERCENT_AN_HOUR_MAX: f64 = 1.0;
/// Runs of each kind in a round.
const EACH: usize = 2;
/// Rounds before anything is compared: what is made once is there then.
const WARM_UP_ROUNDS: usize = 3;
/// Agents of a run at once.
const CONCURRENCY: u32 = 8;
const GRACE: Duration = Duration::from_secs(10);

/// What a soak is run with.
#[derive(Clone, Copy, Debug)]
pub struct Soak {
    /// How long.
    pub length: Duration,
    /// A round begins so long after the one before, so that the journal grows as fast on every machine; zero is at once.
    pub round: Duration,
    /// What the program has allocated and not given back, in bytes.
    pub allocated: fn() -> u64,
}

/// What one look showed.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Since the beginning.
    pub at: Duration,
    /// What the kernel counts.
    pub usage: Usage,
    /// What the program has allocated and not given back, in bytes.
    pub allocated_bytes: u64,
}

/// A figure over the last half of a soak.
#[derive(Clone, Copy, Debug)]
pub struct Trend {
    /// What it is.
    pub name: &'static str,
    /// A step that is no growth yet; `None` where the soak does not fail however it grows.
    pub step: Option<f64>,
    /// How it changes.
    pub slope: Slope,
}

/// What a soak showed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Rounds of runs.
    pub rounds: usize,
    /// Runs that ended as they were to.
    pub runs: usize,
    /// How each figure changed.
    pub trends: Vec<Trend>,
    /// The last look of each tenth of the time: what levels off is told from what goes on growing.
    pub course: Vec<Sample>,
    /// Before the engine, and after its end.
    pub before: Sample,
    /// After the engine's end.
    pub after: Sample,
}

impl Outcome {
    /// Fails when something grows, or when the engine's end did not give everything back.
    ///
    /// # Errors
    /// Names what grows, or what was not given back.
    pub fn judge(&self) -> anyhow::Result<()> {
        for Trend { name, step, slope } in &self.trends {
            let beyond = step.is_some_and(|step| slope.grown > step);
            let grows = beyond && slope.surely_above(PERCENT_AN_HOUR_MAX);
            ensure!(!grows, "{name} grows: {slope}");
        }
        let kept = |usage: &Usage| (usage.descriptors, usage.threads, usage.children);
        let (before, after) = (&self.before.usage, &self.after.usage);
        ensure!(
            kept(before) == kept(after),
            "the engine's end has left something: {after:?} after {before:?}"
        );
        Ok(())
    }
}

impl Soak {
    /// Runs it.
    ///
    /// # Errors
    /// When a run does not end as it is to, or the kernel does not tell.
    pub fn run(self) -> anyhow::Result<Outcome> {
        programs()?;
        // What a process makes once is there after the first engine: tokio's pipe for signals, for one.
        let first = Self {
            length: Duration::ZERO,
            ..self
        };
        first.engine(Instant::now())?;
        let start = Instant::now();
        let before = self.look(start)?;
        let (samples, rounds, runs) = self.engine(start)?;
        let after = self.look(start)?;
        Ok(Outcome {
            rounds,
            runs,
            trends: trends(&samples),
            course: course(&samples),
            before,
            after,
        })
    }

    /// An engine's life, with the runtime that it has.
    fn engine(self, start: Instant) -> anyhow::Result<(Vec<Sample>, usize, usize)> {
        runtime()?.block_on(self.rounds(start))
    }

    async fn rounds(self, start: Instant) -> anyhow::Result<(Vec<Sample>, usize, usize)> {
        let bed = Bed::new().await?;
        let (mut samples, mut rounds, mut runs) = (Vec::new(), 0, 0);
        while rounds < WARM_UP_ROUNDS || start.elapsed() < self.length {
            let began = Instant::now();
            runs += bed
                .round()
                .await
                .with_context(|| format!("round {rounds}"))?;
            rounds += 1;
            if rounds > WARM_UP_ROUNDS {
                samples.push(self.look(start)?);
            }
            tokio::time::sleep_until((began + self.round).into()).await;
        }
        bed.engine.shutdown(GRACE).await;
        Ok((samples, rounds, runs))
    }

    fn look(self, start: Instant) -> anyhow::Result<Sample> {
        Ok(Sample {
            at: start.elapsed(),
            usage: Usage::now()?,
            allocated_bytes: (self.allocated)(),
        })
    }
}

/// The last look of each tenth of the time.
fn course(samples: &[Sample]) -> Vec<Sample> {
    const PARTS: usize = 10;
    let ends = (1..=PARTS).map(|part| samples.len() * part / PARTS);
    ends.filter_map(|end| samples.get(end.checked_sub(1)?).copied())
        .collect()
}

fn trends(samples: &[Sample]) -> Vec<Trend> {
    let half = &samples[samples.len() / 2..];
    let trend = |name, step, of: fn(&Sample) -> f64| Trend {
        name,
        step,
        slope: Slope::through(
            half.iter()
                .map(|sample| (sample.at.as_secs_f64(), of(sample))),
        ),
    };
    vec![
        trend("MiB allocated", Some(1.0), |sample| {
            mb(sample.allocated_bytes)
        }),
        trend("descriptors", Some(0.5), |sample| {
            sample.usage.descriptors as f64
        }),
        trend("threads", Some(4.0), |sample| sample.usage.threads as f64),
        trend("MiB resident", None, |sample| {
            mb(sample.usage.resident_bytes)
        }),
        trend("MiB resident, scripts", Some(1.0), |sample| {
            mb(sample.usage.children_bytes)
        }),
    ]
}

/// The engine, over a journal in a folder of its own.
struct Bed {
    engine: Engine,
    folder: TempDir,
    agent: String,
}

impl Bed {
    async fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("leaf.js"), scripts::LEAF)?;
        let engine = Engine::builder()
            .journal(folder.path().join("journal.redb"))
            .backend("soak", Arc::new(Worker))
            .build()
            .await?;
        Ok(Self {
            engine,
            folder,
            agent: programs()?.join("fake_agent").display().to_string(),
        })
    }

    /// Some runs of each kind at once; gives how many.
    async fn round(&self) -> anyhow::Result<usize> {
        let mut all: Vec<(&str, BoxFuture<'_, anyhow::Result<()>>)> = Vec::new();
        for _ in 0..EACH {
            all.extend([
                ("fan-out", self.plain(scripts::FANOUT).boxed()),
                ("pipeline", self.plain(scripts::PIPELINE).boxed()),
                ("timers", self.plain(scripts::TIMERS).boxed()),
                ("child workflows", self.plain(scripts::PARENT).boxed()),
                ("programs", self.programs().boxed()),
                ("failing agents", self.failing().boxed()),
                ("questions", self.asking().boxed()),
                ("pause and stop", self.steered().boxed()),
            ]);
        }
        let guarded = all.into_iter().map(|(kind, run)| async move {
            let ended = tokio::time::timeout(GUARD, run).await;
            ended.context("it does not end").flatten().context(kind)
        });
        Ok(try_join_all(guarded).await?.len())
    }

    fn options(&self) -> StartOptions {
        // By itself a run has as many agents at once as the machine has cores.
        let options = StartOptions::new().concurrency(CONCURRENCY);
        options
            .backend("soak")
            .working_directory(self.folder.path())
    }

    async fn start(&self, source: &str, options: StartOptions) -> anyhow::Result<RunHandle> {
        let mut script = Script::text(source);
        script.path = Some(self.folder.path().join("flow.js"));
        Ok(self.engine.start(script, options).await?)
    }

    async fn plain(&self, source: &str) -> anyhow::Result<()> {
        let run = self.start(source, self.options()).await?;
        ends(&run, Status::Completed).await
    }

    /// Agents that are processes.
    async fn programs(&self) -> anyhow::Result<()> {
        let mut options = self.options();
        options.backend = None;
        let options = options.agent_command([self.agent.as_str()], bellwether::AgentInput::Task);
        let run = self.start(scripts::PROGRAMS, options).await?;
        ends(&run, Status::Completed).await
    }

    /// Agents fail, and a rewind makes it good.
    async fn failing(&self) -> anyhow::Result<()> {
        let run = self.start(scripts::FAILING, self.options()).await?;
        ends(&run, Status::Degraded).await?;
        let again = self.engine.rewind(run.id(), RewindOptions::new()).await?;
        ends(&again, Status::Completed).await
    }

    /// A person answers.
    async fn asking(&self) -> anyhow::Result<()> {
        let run = self
            .start(scripts::ASKING, self.options().watched())
            .await?;
        let mut events = run.events();
        while run.status() != Status::Waiting {
            // Being behind is no matter: the status is looked at.
            if events.next().await.is_none() {
                break;
            }
        }
        for question in run.questions().await? {
            let number = question.id.trim_start_matches("a-").parse()?;
            let answer = serde_json::json!("yes");
            run.answer(CallNumber(number), &answer, "the soak").await?;
        }
        ends(&run, Status::Completed).await
    }

    /// Paused, resumed, stopped, and taken up again.
    async fn steered(&self) -> anyhow::Result<()> {
        let run = self
            .start(scripts::STEERED, self.options().watched())
            .await?;
        let mut events = run.events();
        // Held is whoever works when it is stopped; one that began later would hold for ever.
        let mut started = 0;
        while started < scripts::STEERED_AGENTS {
            let event = events
                .next()
                .await
                .context("it ended before it was stopped")?;
            started += usize::from(matches!(event, Ok(Event::AgentStarted { .. })));
        }
        drop(events);
        run.pause("the soak").await?;
        run.resume("the soak").await?;
        run.stop(GRACE, "the soak").await?;
        ends(&run, Status::Stopped).await?;
        let run = self.engine.resume(run.id(), ResumeOptions::new()).await?;
        ends(&run, Status::Completed).await
    }
}

async fn ends(run: &RunHandle, wanted: Status) -> anyhow::Result<()> {
    let status = run.wait().await;
    ensure!(
        status == wanted,
        "run {} is {status:?}: {:?}",
        run.id(),
        run.reason()
    );
    Ok(())
}

/// Does what a prompt's first word says.
struct Worker;

impl AgentBackend for Worker {
    fn run(&self, task: Arc<Task>, context: AttemptContext) -> BoxFuture<'static, Ended> {
        let answer = Ended::completed(format!("\"{}\"", task.prompt));
        async move {
            match task.prompt.split(' ').next() {
                // In the next generation it is well.
                Some("fails") if task.token.generation == Generation(1) => {
                    Ended::failed(FailureKind::Other, "not yet")
                }
                // Until it is told to end; the next attempt answers.
                Some("holds") if task.token.attempt == Attempt(1) => {
                    context.cancelled.cancelled().await;
                    Ended::cancelled()
                }
                Some("slow") => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    answer
                }
                _ => answer,
            }
        }
        .boxed()
    }
}
