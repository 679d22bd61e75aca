//! The end of an engine.

use std::sync::Arc;
use std::time::Duration;

use bellwether::store::MemoryStore;
use bellwether::{ResumeError, ResumeOptions, StartError, Status};

use crate::bed::{Commits, Told, engine_on, options, script};

#[tokio::test(start_paused = true)]
async fn a_shutdown_leaves_runs_resumable() {
    let store = MemoryStore::new();
    let (engine, backend) = engine_on(Arc::new(store.clone())).await;
    let body = "return [await agent('one'), await agent('hold two')]";
    let one = engine.start(script(body), options()).await.unwrap();
    let two = engine.start(script(body), options()).await.unwrap();
    backend.begun(4).await;
    engine.shutdown(Duration::from_secs(5)).await;
    assert_eq!(backend.alive(), 0);
    assert_eq!(
        (one.wait().await, two.wait().await),
        (Status::Stopped, Status::Stopped)
    );
    let refused = engine.start(script(body), options()).await.unwrap_err();
    assert!(matches!(refused, StartError::ShuttingDown), "{refused}");
    let refused = engine
        .resume(one.id(), ResumeOptions::new())
        .await
        .unwrap_err();
    assert!(matches!(refused, ResumeError::ShuttingDown), "{refused}");
    engine.shutdown(Duration::from_secs(5)).await;

    let (engine, backend) = engine_on(Arc::new(store)).await;
    let mut left = vec![one.id(), two.id()];
    left.sort_unstable();
    assert_eq!(engine.unfinished().await.unwrap(), left);
    backend.release();
    for run in left {
        let run = engine.resume(run, ResumeOptions::new()).await.unwrap();
        assert_eq!(
            run.result::<Vec<String>>().await.unwrap(),
            ["one", "hold two"]
        );
    }
    assert_eq!(backend.prompts(), ["hold two", "hold two"]);
}

/// A disk that hangs keeps nobody longer than the deadline, and what it had not acknowledged is not there afterwards.
#[tokio::test]
async fn a_shutdown_ends_at_its_deadline() {
    let store = Told::new();
    let (engine, backend) = engine_on(Arc::new(store.clone())).await;
    let body = "return [await agent('hold one'), await agent('two')]";
    let run = engine.start(script(body), options()).await.unwrap();
    backend.begun(1).await;
    store.tell(Commits::Held);
    engine.shutdown(Duration::from_millis(20)).await;
    assert_eq!(run.wait().await, Status::Interrupted);
    // As when its process dies: the commit that hangs never comes to pass.
    store.tell(Commits::Fail);
    drop(engine);

    let (engine, backend) = engine_on(store.memory()).await;
    backend.release();
    let run = engine.resume(run.id(), ResumeOptions::new()).await.unwrap();
    assert_eq!(
        run.result::<Vec<String>>().await.unwrap(),
        ["hold one", "two"]
    );
}

#[tokio::test]
async fn dropping_the_engine_ends_agents_and_whoever_waits_for_them() {
    let store = MemoryStore::new();
    let (engine, backend) = engine_on(Arc::new(store.clone())).await;
    let body = "return [await agent('one'), await agent('hold two')]";
    let run = engine.start(script(body), options()).await.unwrap();
    backend.begun(2).await;
    let clone = engine.clone();
    drop(engine);
    assert_eq!(backend.alive(), 1, "another clone has the engine still");
    let mut events = run.events();
    let waiting = tokio::spawn({
        let run = run.clone();
        async move { run.wait().await }
    });
    drop(clone);
    assert_eq!(waiting.await.unwrap(), Status::Interrupted);
    while events.next().await.is_some() {}
    backend.idle().await;

    let (engine, backend) = engine_on(Arc::new(store)).await;
    backend.release();
    let run = engine.resume(run.id(), ResumeOptions::new()).await.unwrap();
    assert_eq!(
        run.result::<Vec<String>>().await.unwrap(),
        ["one", "hold two"]
    );
    assert_eq!(
        backend.prompts(),
        ["hold two"],
        "what was acknowledged is not lost"
    );
}
