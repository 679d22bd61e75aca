//! A run's handle.

use std::time::Duration;

use bellwether::{ControlError, ResumeOptions, RunError, Status};

use crate::bed::{engine, options, script};

const TWO_STEPS: &str = "return [await agent('hold one'), await agent('two')]";

#[tokio::test]
async fn a_paused_run_starts_nothing_and_goes_on_when_told() {
    let (engine, backend) = engine().await;
    let run = engine.start(script(TWO_STEPS), options()).await.unwrap();
    backend.begun(1).await;
    run.pause("a test").await.unwrap();
    assert_eq!(run.decided_status().await.unwrap(), Status::Pausing);
    backend.release();
    backend.idle().await;
    while run.status() != Status::Paused {
        tokio::task::yield_now().await;
    }
    assert_eq!(backend.prompts(), ["hold one"]);
    run.resume("a test").await.unwrap();
    assert_eq!(
        run.result::<Vec<String>>().await.unwrap(),
        ["hold one", "two"]
    );
}

#[tokio::test]
async fn a_stopped_run_keeps_its_results_and_can_be_resumed() {
    for killed in [false, true] {
        let (engine, backend) = engine().await;
        let body = "return [await agent('one'), await agent('hold two')]";
        let run = engine.start(script(body), options()).await.unwrap();
        backend.begun(2).await;
        let status = if killed {
            run.kill("a test").await.unwrap();
            Status::Killed
        } else {
            run.stop(Duration::from_mins(1), "a test").await.unwrap();
            Status::Stopped
        };
        assert_eq!(backend.alive(), 0, "it said that nothing runs any more");
        assert_eq!(run.wait().await, status);
        let unfinished = run.result::<Vec<String>>().await.unwrap_err();
        assert!(
            matches!(&unfinished, RunError::Unfinished { status: found, .. } if *found == status),
            "{unfinished}"
        );
        let not_live = run.pause("a test").await;
        assert!(
            matches!(not_live, Err(ControlError::NotLive)),
            "{not_live:?}"
        );

        // The very next line may resume it, under a handle of its own.
        backend.release();
        let resumed = engine.resume(run.id(), ResumeOptions::new()).await.unwrap();
        assert_eq!(
            resumed.result::<Vec<String>>().await.unwrap(),
            ["one", "hold two"]
        );
        assert_eq!(backend.prompts(), ["one", "hold two", "hold two"]);
        assert_eq!(run.status(), status, "the old handle shows what it showed");
    }
}

#[tokio::test]
async fn dropping_handles_changes_nothing() {
    let (engine, backend) = engine().await;
    let run = engine.start(script(TWO_STEPS), options()).await.unwrap();
    let id = run.id();
    drop((run.events(), run.clone(), run));
    backend.begun(1).await;
    let found = engine.run(id).unwrap();
    backend.release();
    assert_eq!(
        found.result::<Vec<String>>().await.unwrap(),
        ["hold one", "two"]
    );
}

#[tokio::test]
async fn a_result_has_the_callers_type_or_an_error_that_says_why_not() {
    let (engine, _) = engine().await;
    let run = engine
        .start(script("return { n: 1 }"), options())
        .await
        .unwrap();
    let value = run.result::<serde_json::Value>().await.unwrap();
    assert_eq!(value, serde_json::json!({ "n": 1 }));
    let shape = run.result::<Vec<u8>>().await.unwrap_err();
    assert!(matches!(shape, RunError::Shape(_)), "{shape}");

    let throws = "await agent('one')\nthrow new TypeError('no such thing')";
    let run = engine.start(script(throws), options()).await.unwrap();
    assert_eq!(run.wait().await, Status::Failed);
    let failed = run.result::<()>().await.unwrap_err();
    let RunError::Failed(error) = &failed else {
        panic!("{failed}")
    };
    assert_eq!((error.name.as_str(), error.line), ("TypeError", 3));

    let fails = "return await agent('fail')";
    let run = engine.start(script(fails), options()).await.unwrap();
    assert_eq!(run.result::<Option<String>>().await.unwrap(), None);
    assert_eq!(run.status(), Status::Degraded);
}
