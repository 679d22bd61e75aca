//! Stores: files, memory, and an embedder's own.

use std::sync::Arc;

use bellwether::store::{RedbOptions, RedbStore, StoreError, check};
use bellwether::{BuildError, ResumeOptions, StartError, Status};

use crate::bed::{Commits, Scripted, Told, builder, engine_on, options, script};

#[test]
fn the_suite_checks_a_store_of_the_embedders_own() {
    check(|| {
        let store = Told::new();
        move || store.clone()
    })
    .unwrap();
}

#[test]
fn the_suite_checks_the_files_store() {
    check(|| {
        let folder = tempfile::tempdir().unwrap();
        move || RedbStore::open(folder.path().join("journal"), RedbOptions::default()).unwrap()
    })
    .unwrap();
}

#[tokio::test]
async fn a_file_has_one_engine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.redb");
    let backend = Arc::new(Scripted::default());
    let engine = builder(&backend).journal(&path).build().await.unwrap();
    let second = builder(&backend).journal(&path).build().await.unwrap_err();
    assert!(
        matches!(second, BuildError::Journal(StoreError::InUse { .. })),
        "{second}"
    );
    assert!(second.to_string().contains("journal.redb"), "{second}");
    let run = engine
        .start(script("return agent('one')"), options())
        .await
        .unwrap();
    assert_eq!(run.result::<String>().await.unwrap(), "one");
}

#[tokio::test]
async fn a_disk_that_fails_pauses_the_run_and_refuses_the_start() {
    let store = Told::new();
    let (engine, backend) = engine_on(Arc::new(store.clone())).await;
    let run = engine
        .start(script("return agent('hold')"), options())
        .await
        .unwrap();
    backend.begun(1).await;
    store.tell(Commits::Fail);
    backend.release();
    assert_eq!(run.wait().await, Status::Paused);
    assert!(run.journal_failed());
    assert!(run.reason().unwrap().contains("no space left"));
    let refused = engine
        .start(script("return 1"), options())
        .await
        .unwrap_err();
    assert!(matches!(refused, StartError::Journal(_)), "{refused}");
    drop(engine);

    let (engine, backend) = engine_on(store.memory()).await;
    assert_eq!(engine.unfinished().await.unwrap(), [run.id()]);
    backend.release();
    let run = engine.resume(run.id(), ResumeOptions::new()).await.unwrap();
    assert_eq!(run.result::<String>().await.unwrap(), "hold");
}
