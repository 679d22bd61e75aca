//! The scenarios on a real repository: worktrees made ready, and files migrated in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use bellwether::worktree::{Base, Pool, PoolOptions, Settings as WorktreeSettings};
use bellwether::{
    AgentBackend, Attempt, AttemptContext, CallNumber, Digest, Ended, Epoch, FailureKind,
    FencingToken, Generation, RunId, Script, Task,
};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, try_join_all};
use serde_json::json;
use tempfile::TempDir;

use super::measure::{CountingStore, Memory, mb};
use super::scenarios::{limit, options, runtime};
use super::{Report, Settings, Speed};

/// The repository: files in folders of a hundred, 20 MB in all.
const FILES: usize = 5_000;
const FILE_BYTES: usize = 4_096;
const WORKTREES_SECONDS_MAX: f64 = 4.0;
/// How long an agent takes for its file.
const WORK: Duration = Duration::from_secs(2);
const SLOTS: u32 = 16;

/// Every agent in a worktree of its own, and all that they made in one branch.
const MIGRATE: &str = "export const meta = { name: 'migrate', description: 'a bench' }
const begun = now()
const done = await parallel(Array.from({ length: args.n }, (_, i) => () => attempt('' + i, { isolation: 'worktree' })))
const worked = now()
const landed = await merge(done)
return [worked - begun, now() - worked, landed.landed.length]
";

/// A repository that nobody else has.
struct Repository {
    home: TempDir,
    top: PathBuf,
}

impl Repository {
    fn new(folder: &Path) -> anyhow::Result<Self> {
        let home = tempfile::tempdir_in(folder)?;
        let top = home.path().join("repository");
        for index in 0..FILES {
            let path = top.join(name(index));
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            let line = format!("file {index}: no two are alike, as in any repository\n");
            fs::write(path, line.repeat(FILE_BYTES / line.len()))?;
        }
        let repository = Self { home, top };
        repository.git(&["init", "--quiet"])?;
        repository.git(&["add", "."])?;
        repository.git(&["commit", "--quiet", "--message=base"])?;
        Ok(repository)
    }

    fn git(&self, words: &[&str]) -> anyhow::Result<()> {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=Bench", "-c", "user.email=bench@localhost"]);
        let status = git.args(words).current_dir(&self.top).status()?;
        ensure!(status.success(), "git {words:?}: {status}");
        Ok(())
    }

    fn worktrees(&self) -> PathBuf {
        self.home.path().join("worktrees")
    }
}

/// Where the file with this number is.
fn name(index: usize) -> String {
    format!("folder-{}/file-{}.txt", index / 100, index % 100)
}

/// Rewrites the file whose number is its prompt, and takes its time for it.
struct Editor;

impl AgentBackend for Editor {
    fn run(&self, task: Arc<Task>, _: AttemptContext) -> BoxFuture<'static, Ended> {
        async move {
            let index: usize = task.prompt.parse().unwrap_or_default();
            let path = task.working_directory.join(name(index));
            let edited = fs::read_to_string(&path)
                .and_then(|text| fs::write(&path, text.replace("no two", "no three")));
            if let Err(error) = edited {
                return Ended::failed(FailureKind::Other, error.to_string());
            }
            tokio::time::sleep(WORK).await;
            Ended::completed("null")
        }
        .boxed()
    }
}

/// N worktrees of a repository of 5,000 files, from nothing to the moment when all are ready.
pub(super) fn worktrees(settings: &Settings) -> anyhow::Result<Report> {
    let n = settings.n;
    let repository = Repository::new(&settings.folder)?;
    let memory = Memory::watch()?;
    let start = Instant::now();
    runtime()?.block_on(async {
        let git = WorktreeSettings::default().git;
        let base = Base::again(&repository.top, &git, "HEAD").await?;
        let journal = Digest::of("bench", &[]);
        let options = PoolOptions::new(repository.worktrees(), &repository.top, journal, Epoch(1));
        let pool = Pool::open(options).await?;
        let token = |call| FencingToken {
            epoch: Epoch(1),
            run: RunId::from_entropy([1; 5]),
            generation: Generation(1),
            call: CallNumber(call),
            attempt: Attempt(1),
        };
        let acquired = (0..u32::try_from(n)?).map(|call| pool.acquire(&base, token(call), &[]));
        let ready = try_join_all(acquired).await?;
        ensure!(ready.len() == n, "not all are ready");
        Ok(())
    })?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(Report {
        scenario: "worktrees",
        n,
        seconds,
        speed: Speed::MsPerStep(seconds * 1e3 / n as f64),
        peak_mb: mb(memory.peak_bytes()?),
        commits: 0,
        limit: limit([("seconds", json!(WORKTREES_SECONDS_MAX))]),
        ratio: seconds / WORKTREES_SECONDS_MAX,
    })
}

/// N files migrated over 16 slots by agents that take 2 s each, in worktrees, and landed in one branch.
pub(super) fn migrate(settings: &Settings) -> anyhow::Result<Report> {
    let n = settings.n;
    ensure!(n <= FILES, "the repository has {FILES} files");
    let repository = Repository::new(&settings.folder)?;
    let runtime = runtime()?;
    let store = Arc::new(CountingStore::open(
        &repository.home.path().join("journal.redb"),
    )?);
    let builder = settings
        .engine()
        .store(Arc::clone(&store) as _)
        .worktrees(repository.worktrees())
        .backend("bench", Arc::new(Editor));
    let engine = runtime.block_on(builder.build())?;
    let memory = Memory::watch()?;
    let start = Instant::now();
    let options = options(n, SLOTS)?
        .allow_merge()
        .working_directory(&repository.top);
    let run = runtime.block_on(engine.start(Script::text(MIGRATE), options))?;
    let (worked, landed, count): (u64, u64, usize) = runtime.block_on(run.result())?;
    ensure!(count == n, "{count} of {n} branches have landed");
    let (seconds, peak) = (start.elapsed().as_secs_f64(), memory.peak_bytes()?);
    runtime.block_on(engine.shutdown(Duration::from_secs(10)));
    let ideal = n.div_ceil(SLOTS as usize) as f64 * WORK.as_secs_f64();
    Ok(Report {
        scenario: "migrate",
        n,
        seconds,
        speed: Speed::AgentsPerSecond(n as f64 / seconds),
        peak_mb: mb(peak),
        commits: store.commits(),
        limit: limit([
            ("idealSeconds", json!(ideal)),
            ("migratingSeconds", json!(worked as f64 / 1e3)),
            ("landingSeconds", json!(landed as f64 / 1e3)),
        ]),
        ratio: worked as f64 / 1e3 / ideal,
    })
}
