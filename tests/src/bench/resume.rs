//! What a run costs that SIGKILL left behind: written by a child, killed, and taken up with nothing of it in the page cache.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bellwether::{Engine, ResumeOptions, Script};
use serde_json::json;

use super::backends::{Prose, prose};
use super::measure::{CountingStore, Memory, mb, reading_once};
use super::scenarios::{limit, options, runtime};
use super::{Report, Settings, Speed};

/// Keeps only the length of each value, and ends with an agent that is still at work when the kill comes.
const RESUME: &str = "export const meta = { name: 'resume', description: 'a bench' }
let total = 0
for (let from = 0; from < args.n; from += 1000) {
  const length = Math.min(1000, args.n - from)
  const lengths = await parallel(Array.from({ length }, (_, i) =>
    () => agent('work ' + (from + i)).then(value => value.length)))
  for (const one of lengths) total += one
}
await agent('last')
return total
";

/// What a resume may take beyond reading the file once.
const SECONDS_MAX: f64 = 3.0;

/// The argument that makes this program the child: a journal's path follows, then n and the bytes of each answer.
pub const VICTIM: &str = "resume-victim";

/// Resumes a run of n completed agents.
pub(super) fn resume(settings: &Settings) -> anyhow::Result<Report> {
    let Settings {
        n, payload_bytes, ..
    } = *settings;
    let folder = tempfile::tempdir_in(&settings.folder)?;
    let path = folder.path().join("journal.redb");
    leave_behind(&path, n, payload_bytes)?;
    let reading_seconds = reading_once(&path)?;
    let total: usize = (0..n as u64)
        .map(|number| prose(number, payload_bytes).len())
        .sum();

    let runtime = runtime()?;
    let memory = Memory::watch()?;
    let backend = Arc::new(Prose::new(payload_bytes));
    let start = Instant::now();
    let store = Arc::new(CountingStore::open(&path)?);
    let builder = settings
        .engine()
        .store(Arc::clone(&store) as _)
        .backend("bench", Arc::clone(&backend) as _);
    let engine = runtime.block_on(builder.build())?;
    let open_seconds = start.elapsed().as_secs_f64();
    let unfinished = runtime.block_on(engine.unfinished())?;
    let run = *unfinished
        .first()
        .context("the child left no unfinished run")?;
    let run = runtime.block_on(engine.resume(run, ResumeOptions::default()))?;
    // The script stands where it stood when its last agent is started again.
    runtime.block_on(backend.last_started());
    let seconds = start.elapsed().as_secs_f64();
    backend.let_last_end();
    let result = runtime.block_on(run.result::<usize>())?;
    ensure!(result == total, "the run gave {result} instead of {total}");
    let (peak_mb, commits) = (mb(memory.peak_bytes()?), store.commits());
    runtime.block_on(engine.shutdown(Duration::from_secs(10)));
    let allowed = SECONDS_MAX + reading_seconds;
    Ok(Report {
        scenario: "resume",
        n,
        seconds,
        speed: Speed::AgentsPerSecond(n as f64 / seconds),
        peak_mb,
        commits,
        limit: limit([
            ("seconds", json!(allowed)),
            ("openSeconds", json!(open_seconds)),
            ("readingOnceSeconds", json!(reading_seconds)),
            ("payloadBytes", json!(payload_bytes)),
            ("fileMb", json!(mb(std::fs::metadata(&path)?.len()))),
        ]),
        ratio: seconds / allowed,
    })
}

/// Lets a child complete n agents, and kills it while the last one is at work.
fn leave_behind(path: &Path, n: usize, payload_bytes: usize) -> anyhow::Result<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(VICTIM)
        .arg(path)
        .args([n.to_string(), payload_bytes.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().context("stdout is piped")?;
    let ready = BufReader::new(stdout).lines().next().transpose();
    child.kill()?;
    child.wait()?;
    ensure!(
        ready?.as_deref() == Some("ready"),
        "the child did not come to its last agent"
    );
    Ok(())
}

/// The child: says `ready` when all but its last agent are completed, and waits to be killed.
///
/// # Errors
/// When the run cannot be started.
pub fn victim(path: &Path, n: usize, payload_bytes: usize) -> anyhow::Result<()> {
    let runtime = runtime()?;
    let backend = Arc::new(Prose::new(payload_bytes));
    let builder = Engine::builder()
        .journal(path)
        .backend("bench", Arc::clone(&backend) as _);
    let engine = runtime.block_on(builder.build())?;
    let run = runtime.block_on(engine.start(Script::text(RESUME), options(n, 0)?))?;
    runtime.block_on(backend.last_started());
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "ready")?;
    stdout.flush()?;
    runtime.block_on(run.wait());
    Ok(())
}
