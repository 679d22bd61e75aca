//! The kinds of runtime, and that none of their threads is blocked.

use std::sync::Arc;

use bellwether::{StartOptions, Status};

use crate::bed::{Commits, Told, engine, engine_on, options, script};

const FAN_OUT: &str = "return await parallel([1, 2, 3].map((n) => () => agent(`n${n}`)))";

async fn runs_to_the_end() {
    let (engine, _) = engine().await;
    let run = engine.start(script(FAN_OUT), options()).await.unwrap();
    assert_eq!(
        run.result::<Vec<String>>().await.unwrap(),
        ["n1", "n2", "n3"]
    );
}

#[tokio::test(flavor = "current_thread")]
async fn a_run_goes_to_its_end_on_one_thread() {
    runs_to_the_end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_goes_to_its_end_on_several_threads() {
    runs_to_the_end().await;
}

/// The runtime's only thread runs this test: were it blocked, nothing behind the first line would happen.
#[tokio::test(flavor = "current_thread")]
async fn a_disk_that_hangs_blocks_no_runtime_thread() {
    let store = Told::new();
    let (engine, _) = engine_on(Arc::new(store.clone())).await;
    store.tell(Commits::Held);
    let starting = tokio::spawn({
        let engine = engine.clone();
        async move { engine.start(script("return agent('one')"), options()).await }
    });
    store.is_holding().await;
    assert!(
        !starting.is_finished(),
        "a start is not acknowledged before it is durable"
    );
    store.tell(Commits::Through);
    let run = starting.await.unwrap().unwrap();
    assert_eq!(run.result::<String>().await.unwrap(), "one");
}

/// A second run goes from start to result while the first computes: on the one thread it could not otherwise.
#[tokio::test(flavor = "current_thread")]
async fn a_script_that_computes_blocks_no_runtime_thread() {
    let (engine, _) = engine().await;
    let computing = "let n = 0; for (let i = 0; i < 2e7; i++) n += i; return agent('done')";
    let slow = engine.start(script(computing), options()).await.unwrap();
    let quick = engine
        .start(script("return agent('quick')"), options())
        .await
        .unwrap();
    assert_eq!(quick.result::<String>().await.unwrap(), "quick");
    assert_eq!(slow.status(), Status::Running);
    assert_eq!(slow.result::<String>().await.unwrap(), "done");
}

#[tokio::test]
async fn two_engines_live_in_one_process() {
    let ((one, one_backend), (two, two_backend)) = tokio::join!(engine(), engine());
    let id = crate::bed::run_id(7);
    let start = |options: StartOptions| options.run_id(id);
    let first = one
        .start(script("return agent('hold')"), start(options()))
        .await
        .unwrap();
    let second = two
        .start(script("return agent('b')"), start(options()))
        .await
        .unwrap();
    assert_eq!(second.result::<String>().await.unwrap(), "b");
    drop(two);
    one_backend.release();
    assert_eq!(first.result::<String>().await.unwrap(), "hold");
    assert_eq!(one_backend.prompts(), ["hold"]);
    assert_eq!(two_backend.prompts(), ["b"]);
}
