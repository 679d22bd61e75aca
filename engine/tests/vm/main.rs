//! Scripts in a process of their own: what one does to its interpreter is that script's end alone.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod hostile;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bellwether::backend::dry::Dry;
use bellwether::{
    AgentBackend, AttemptContext, Ended, Engine, Limits, RunHandle, Script, StartOptions, Status,
    Task,
};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

bellwether::child_main_before_tests!();

fn script(body: &str) -> Script {
    Script::text(format!(
        "export const meta = {{ name: 'test', description: 'a test' }}\n{body}"
    ))
}

fn options() -> StartOptions {
    let mut options = StartOptions::new().backend("held");
    options.script_limits.turn_cpu_ms = Some(200);
    options
}

/// Answers `"done"`, to a prompt `hold …` when it is let.
#[derive(Clone)]
struct Held(Arc<(watch::Sender<usize>, watch::Sender<bool>)>);

impl Held {
    fn new() -> Self {
        Self(Arc::new((watch::Sender::new(0), watch::Sender::new(false))))
    }

    /// Waits until so many have begun.
    async fn begun(&self, count: usize) {
        let mut begun = self.0.0.subscribe();
        begun.wait_for(|begun| *begun >= count).await.unwrap();
    }

    fn release(&self) {
        self.0.1.send_replace(true);
    }
}

impl AgentBackend for Held {
    fn run(&self, task: Arc<Task>, _: AttemptContext) -> BoxFuture<'static, Ended> {
        let held = Arc::clone(&self.0);
        async move {
            held.0.send_modify(|begun| *begun += 1);
            if task.prompt.starts_with("hold") {
                let _ = held.1.subscribe().wait_for(|released| *released).await;
            }
            Ended::completed("\"done\"")
        }
        .boxed()
    }
}

async fn engine() -> (Engine, Held) {
    let held = Held::new();
    let engine = Engine::builder()
        .memory()
        .backend("held", Arc::new(held.clone()))
        .build()
        .await
        .unwrap();
    assert!(!engine.runs_scripts_in_process());
    (engine, held)
}

/// The processes that this one has started for scripts.
fn processes() -> BTreeMap<u32, String> {
    let children = fs::read_dir("/proc/self/task")
        .unwrap()
        .flat_map(|task| fs::read_to_string(task.unwrap().path().join("children")))
        .collect::<String>();
    children
        .split_ascii_whitespace()
        .filter_map(|process| {
            let command = fs::read_to_string(format!("/proc/{process}/cmdline")).ok()?;
            let name = command.split('\0').next()?.to_owned();
            (name == "bellwether-vm").then_some((process.parse().ok()?, name))
        })
        .collect()
}

fn losses(engine: &Engine, run: &RunHandle) -> usize {
    let from = bellwether::store::Position(0);
    let lines = engine.archive().dump(run.id(), from, 100).unwrap();
    lines
        .iter()
        .filter(|line| line.kind == "OrchestratorLost")
        .count()
}

/// What no `catch` and no look at the clock ends: one call of the interpreter, for minutes.
const HANGS: &str = "
    let all = []
    for (let i = 0; i < 26; i++) all = [all, all]
    return JSON.stringify([await agent('now'), all]).length";

/// Held by each test that looks at this process's children.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b07_one_script_s_end_is_no_other_s() {
    let _alone = ALONE.lock().await;
    let (engine, held) = engine().await;
    assert_eq!(
        processes().len(),
        0,
        "an engine without runs has no process"
    );
    let bystander =
        script("const first = await agent('hold one'); return [first, await agent('two')]");
    let bystander = engine.start(bystander, options()).await.unwrap();
    held.begun(1).await;
    let first = processes();
    assert_eq!(first.len(), 1);
    let (process, _) = first.first_key_value().unwrap();
    has_nothing_of_the_host(*process);

    // Somebody whose answers come all the time keeps nobody from looking after the one that hangs.
    let busy = script("for (;;) await sleep(20)");
    let busy = engine.start(busy, options()).await.unwrap();
    let hangs = engine.start(script(HANGS), options()).await.unwrap();
    assert_eq!(hangs.wait().await, Status::Failed);
    let error = engine.archive().view(hangs.id(), 0).unwrap().error.unwrap();
    assert_eq!(error.code.as_deref(), Some("LIMIT_CPU"), "{error:?}");
    busy.kill("the test").await.unwrap();

    held.release();
    assert_eq!(
        bystander.result::<Vec<String>>().await.unwrap(),
        ["done", "done"]
    );
    assert_eq!(losses(&engine, &bystander), 0, "it is not charged");
    let second = processes();
    assert_eq!(second.len(), 1, "one process for all");
    assert_ne!(first, second, "its process was ended, and another made");

    engine.shutdown(Duration::from_secs(5)).await;
    drop((engine, bystander, hangs));
    // The last turn's thread may be a moment behind.
    while !processes().is_empty() {
        tokio::task::yield_now().await;
    }
}

/// A process shows nothing of its engine: two pipes, no environment, no files.
fn has_nothing_of_the_host(process: u32) {
    let of = |what: &str| format!("/proc/{process}/{what}");
    let descriptors: Vec<String> = fs::read_dir(of("fd"))
        .unwrap()
        .map(|entry| fs::read_link(entry.unwrap().path()).unwrap())
        .map(|target| target.to_string_lossy().into_owned())
        .collect();
    assert_eq!(descriptors.len(), 2, "{descriptors:?}");
    assert!(descriptors.iter().all(|it| it.starts_with("pipe:")));
    let environment = fs::read_to_string(of("environ")).unwrap();
    let names: Vec<&str> = environment
        .split('\0')
        .filter_map(|variable| variable.split_once('='))
        .map(|(name, _)| name)
        .filter(|name| !name.starts_with("LD_") && !name.starts_with("MALLOC_"))
        .collect();
    assert_eq!(names, ["BELLWETHER_CONFINED"]);
    assert_eq!(fs::read_link(of("cwd")).unwrap(), Path::new("/"));
    let limits = fs::read_to_string(of("limits")).unwrap();
    for limit in ["Max open files", "Max file size", "Max core file size"] {
        let line = limits.lines().find(|line| line.starts_with(limit)).unwrap();
        let values: Vec<&str> = line[limit.len()..].split_ascii_whitespace().collect();
        assert_eq!(values[..2], ["0", "0"], "{line}");
    }
    let status = fs::read_to_string(of("status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
}

#[tokio::test]
async fn an_engine_that_is_told_to_has_its_scripts_within() {
    let engine = Engine::builder()
        .memory()
        .backend("dry", Arc::new(Dry))
        .limits(Limits::new().vm_idle(Duration::from_secs(1)))
        .vm_in_process()
        .build()
        .await
        .unwrap();
    assert!(engine.runs_scripts_in_process());
    let options = StartOptions::new().backend("dry");
    let run = engine
        .start(script("return await agent('x')"), options)
        .await
        .unwrap();
    assert_eq!(run.result::<String>().await.unwrap(), "agent text output 1");
}
