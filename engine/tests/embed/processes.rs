//! Agents that are programs. This test program is its own launcher.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bellwether::backend::command::{InputMode, Options};
use bellwether::store::MemoryStore;
use bellwether::{AgentInput, Engine, Event, ResumeOptions, RunHandle, StartOptions};

use crate::bed::script;

/// Starts a process in a session of its own, says both process ids, and hears nothing.
const DEAF: &str = r#"trap "" TERM; setsid sleep 10000 & printf '{"event": [%s, %s]}\n' $$ $!; while :; do wait; done"#;

fn shell(text: &str) -> StartOptions {
    StartOptions::new().agent_command(["sh", "-c", text], AgentInput::Task)
}

async fn build(store: &MemoryStore) -> Engine {
    Engine::builder()
        .store(Arc::new(store.clone()))
        .build()
        .await
        .unwrap()
}

/// The process ids that the run's agent says.
async fn said(run: &RunHandle) -> Vec<u32> {
    let mut events = run.events();
    loop {
        if let Event::AgentProgress { event, .. } = events.next().await.unwrap().unwrap() {
            return serde_json::from_value(event["event"].clone())
                .or_else(|_| serde_json::from_value(event))
                .unwrap();
        }
    }
}

fn lives(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

#[tokio::test]
async fn a_program_is_an_agent() {
    let answer = r#"read -r task; printf '{"value": {"z": 1, "a": 2}, "usage": {"inputTokens": 3, "outputTokens": 4}}\n'"#;
    let engine = build(&MemoryStore::new()).await;
    let run = engine
        .start(script("return agent('Do it.')"), shell(answer))
        .await
        .unwrap();
    let value: serde_json::Value = run.result().await.unwrap();
    assert_eq!(value.to_string(), r#"{"z":1,"a":2}"#);

    // As a backend under a name, too.
    let mut cat = Options::new(vec!["cat".to_owned()]);
    cat.input = InputMode::Prompt;
    let engine = Engine::builder()
        .memory()
        .command("cat", cat)
        .build()
        .await
        .unwrap();
    let options = StartOptions::new().backend("cat");
    let run = engine
        .start(script("return agent('Say this.')"), options)
        .await
        .unwrap();
    assert_eq!(run.result::<String>().await.unwrap(), "Say this.");
}

#[tokio::test]
async fn no_process_outlives_a_kill_or_a_dropped_engine() {
    let store = MemoryStore::new();
    let engine = build(&store).await;
    let gate = tempfile::tempdir().unwrap();
    // Without the gate it says its ids as soon as it starts, which may be before anybody listens.
    let open = gate.path().join("open");
    let text = format!(
        "while ! test -e {}; do sleep 0.01; done; {DEAF}",
        open.display()
    );
    let run = engine
        .start(script("return agent('Hang.')"), shell(&text))
        .await
        .unwrap();
    let (said, ()) = tokio::join!(said(&run), async { std::fs::write(&open, "").unwrap() });
    assert!(said.iter().all(|process| lives(*process)), "{said:?}");
    run.kill("a test").await.unwrap();
    assert!(
        !said.iter().any(|process| lives(*process)),
        "it said that all are dead"
    );

    std::fs::remove_file(&open).unwrap();
    let run = engine.resume(run.id(), ResumeOptions::new()).await.unwrap();
    let (said, ()) = tokio::join!(self::said(&run), async {
        std::fs::write(&open, "").unwrap();
    });
    drop((run, engine));
    while said.iter().any(|process| lives(*process)) {
        tokio::task::yield_now().await;
    }
}

/// Dropping everything at once, the runtime too, is how most programs end.
#[test]
fn no_process_outlives_the_runtime() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let said = runtime.block_on(async {
        let engine = build(&MemoryStore::new()).await;
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        let text = format!(
            "while ! test -e {}; do sleep 0.01; done; {DEAF}",
            open.display()
        );
        let run = engine
            .start(script("return agent('Hang.')"), shell(&text))
            .await
            .unwrap();
        let (said, ()) = tokio::join!(said(&run), async { std::fs::write(&open, "").unwrap() });
        // Nobody drops it: the runtime goes first.
        std::mem::forget(engine);
        said
    });
    runtime.shutdown_timeout(Duration::from_secs(10));
    while said.iter().any(|process| lives(*process)) {
        std::thread::yield_now();
    }
}
