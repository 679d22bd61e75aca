//! Going on with what was left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bellwether::store::MemoryStore;
use bellwether::{Clock, ResumeError, ResumeOptions, Status};

use crate::bed::{Scripted, builder, engine_on, options, reopen, run_id, script};

const STEPS: &str = "const a = await agent('one')
    const [b, c] = await parallel([() => agent('hold two'), () => agent('three')])
    const d = await agent('hold four')
    return [a, b, c, d]";
const VALUES: [&str; 4] = ["one", "hold two", "three", "hold four"];

/// Wherever the engine is dropped, nothing that was acknowledged runs twice, and nothing goes on by itself.
#[tokio::test]
async fn a_run_goes_on_where_its_engine_was_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    let id = run_id(1);

    let (engine, backend) = reopen(&path).await;
    let run = engine
        .start(script(STEPS), options().run_id(id))
        .await
        .unwrap();
    backend.begun(3).await;
    drop((run, engine));
    backend.idle().await;

    let (engine, backend) = reopen(&path).await;
    assert_eq!(engine.unfinished().await.unwrap(), [id]);
    assert!(engine.live().is_empty() && engine.run(id).is_none());
    assert_eq!(engine.archive().find("last").unwrap(), id);
    // Starting it again does not resume it either.
    let known = engine
        .start(script(STEPS), options().run_id(id))
        .await
        .unwrap();
    assert_eq!(known.wait().await, Status::Interrupted);
    assert!(backend.prompts().is_empty());
    let run = engine
        .resume(id, ResumeOptions::new().by("a test"))
        .await
        .unwrap();
    assert!(engine.unfinished().await.unwrap().is_empty(), "it is live");
    backend.release_prompt("hold two");
    while !backend.prompts().contains(&"hold four".to_owned()) {
        backend.begun(backend.prompts().len() + 1).await;
    }
    assert!(!backend.prompts().contains(&"one".to_owned()));
    drop((run, known, engine));

    let (engine, backend) = reopen(&path).await;
    backend.release();
    let run = engine.resume(id, ResumeOptions::new()).await.unwrap();
    assert_eq!(run.result::<Vec<String>>().await.unwrap(), VALUES);
    assert_eq!(backend.prompts(), ["hold four"]);

    let ended = engine.resume(id, ResumeOptions::new()).await.unwrap_err();
    assert!(
        matches!(
            ended,
            ResumeError::Ended {
                status: Status::Completed,
                ..
            }
        ),
        "{ended}"
    );
    let unknown = engine
        .resume(run_id(2), ResumeOptions::new())
        .await
        .unwrap_err();
    assert!(matches!(unknown, ResumeError::Unknown(_)), "{unknown}");
}

#[tokio::test]
async fn resuming_a_live_run_gives_the_run() {
    let (engine, backend) = engine_on(Arc::new(MemoryStore::new())).await;
    let run = engine
        .start(script("return agent('hold')"), options())
        .await
        .unwrap();
    backend.begun(1).await;
    let (one, two) = tokio::join!(
        engine.resume(run.id(), ResumeOptions::new()),
        engine.resume(run.id(), ResumeOptions::new()),
    );
    backend.release();
    assert_eq!(one.unwrap().result::<String>().await.unwrap(), "hold");
    assert_eq!(two.unwrap().result::<String>().await.unwrap(), "hold");
    assert_eq!(backend.prompts(), ["hold"]);
}

#[tokio::test]
async fn a_missing_backend_refuses_the_resume_and_leaves_the_run() {
    let store = MemoryStore::new();
    let (engine, backend) = engine_on(Arc::new(store.clone())).await;
    let run = engine
        .start(script("return agent('hold')"), options())
        .await
        .unwrap();
    backend.begun(1).await;
    run.stop(std::time::Duration::ZERO, "a test").await.unwrap();
    let other = bellwether::Engine::builder()
        .store(Arc::new(store.clone()))
        .build()
        .await
        .unwrap();
    let error = other
        .resume(run.id(), ResumeOptions::new())
        .await
        .unwrap_err();
    assert!(matches!(error, ResumeError::Backend(_)), "{error}");
    assert_eq!(other.unfinished().await.unwrap(), [run.id()]);
}

/// The same script asks for another call when its backend is another one.
#[tokio::test]
async fn r06_another_command_at_the_same_place_is_an_error_and_leaves_the_run() {
    let store = MemoryStore::new();
    let body = "return [await agent('one'), await agent('hold two')]";
    let (engine, backend) = engine_on(Arc::new(store.clone())).await;
    let run = engine.start(script(body), options()).await.unwrap();
    backend.begun(2).await;
    run.kill("a test").await.unwrap();
    drop(engine);

    let mut other = Scripted::default();
    "another model".clone_into(&mut other.fingerprint);
    let other = Arc::new(other);
    let engine = builder(&other)
        .store(Arc::new(store.clone()))
        .build()
        .await
        .unwrap();
    let error = engine
        .resume(run.id(), ResumeOptions::new())
        .await
        .unwrap_err();
    assert!(matches!(error, ResumeError::Diverged(_)), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("a-0") && text.contains("options are others"),
        "{text}"
    );
    assert_eq!(engine.unfinished().await.unwrap(), [run.id()]);
    drop(engine);

    let (engine, backend) = engine_on(Arc::new(store)).await;
    backend.release();
    let run = engine.resume(run.id(), ResumeOptions::new()).await.unwrap();
    assert_eq!(
        run.result::<Vec<String>>().await.unwrap(),
        ["one", "hold two"]
    );
    assert_eq!(backend.prompts(), ["hold two"]);
}

/// A clock that panics once when it is told to, as nothing of ours should.
#[derive(Default)]
struct Brittle {
    now: AtomicU64,
    breaks: AtomicBool,
}

impl Clock for Brittle {
    fn now(&self) -> u64 {
        assert!(
            !self.breaks.swap(false, Ordering::AcqRel),
            "the clock is broken"
        );
        self.now.load(Ordering::Acquire)
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_supervisor_crashes_is_taken_up_again() {
    let clock = Arc::new(Brittle::default());
    let backend = Arc::new(Scripted::default());
    let engine = builder(&backend)
        .memory()
        .clock(Arc::clone(&clock) as Arc<_>)
        .build()
        .await
        .unwrap();
    let body = "return [await agent('one'), await agent('hold two')]";
    let run = engine.start(script(body), options()).await.unwrap();
    backend.begun(2).await;
    clock.breaks.store(true, Ordering::Release);
    backend.release();
    assert_eq!(
        run.result::<Vec<String>>().await.unwrap(),
        ["one", "hold two"]
    );
    assert_eq!(backend.prompts(), ["one", "hold two", "hold two"]);
    assert_eq!(engine.archive().view(run.id(), 0).unwrap().recoveries, 1);
}

#[tokio::test]
async fn the_clock_given_is_the_one_in_the_records() {
    let clock = Arc::new(Brittle::default());
    clock.now.store(1_700_000_000_000, Ordering::Release);
    let backend = Arc::new(Scripted::default());
    let engine = builder(&backend)
        .memory()
        .clock(clock as Arc<_>)
        .build()
        .await
        .unwrap();
    let run = engine
        .start(script("return [await agent('one'), now()]"), options())
        .await
        .unwrap();
    assert_eq!(
        run.result::<(String, u64)>().await.unwrap().1,
        1_700_000_000_000
    );
    let archive = engine.archive();
    let records = archive
        .dump(run.id(), bellwether::store::Position(0), 100)
        .unwrap();
    assert!(records.len() > 4);
    assert!(records.iter().all(|line| line.at.0 == 1_700_000_000_000));
}

/// A script that kept its limits once may break tighter ones in a recovery: that is no divergence, and costs nothing.
#[tokio::test]
async fn b07_a_recovery_under_tighter_limits_names_the_limit_and_leaves_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    let id = run_id(1);
    let body = "await agent('one')
        const large = Array.from({ length: 400000 }, (_, i) => 'item ' + i)
        await agent('two')
        await agent('hold three')
        return large.length";

    let (engine, backend) = reopen(&path).await;
    let run = engine
        .start(script(body), options().run_id(id))
        .await
        .unwrap();
    backend.begun(3).await;
    drop((run, engine));
    backend.idle().await;

    let (engine, backend) = reopen(&path).await;
    let mut tighter = ResumeOptions::new();
    tighter.script_limits.heap_bytes = Some(4 << 20);
    let error = engine.resume(id, tighter).await.unwrap_err();
    assert!(matches!(error, ResumeError::Limit(_)), "{error}");
    let message = error.to_string();
    assert!(
        message.contains("call a-1") && message.contains("heap"),
        "{message}"
    );
    assert!(backend.prompts().is_empty());

    backend.release();
    let run = engine.resume(id, ResumeOptions::new()).await.unwrap();
    assert_eq!(run.result::<u32>().await.unwrap(), 400_000);
    assert_eq!(backend.prompts(), ["hold three"]);
}
