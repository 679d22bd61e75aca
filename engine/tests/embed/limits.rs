//! Limits of an engine and of a run.

use std::sync::Arc;
use std::time::Duration;

use bellwether::{Limits, ResumeOptions, RunError, Status};

use crate::bed::{Scripted, builder, engine, options, script};

#[tokio::test]
async fn two_runs_share_the_engines_agents_evenly() {
    let backend = Arc::new(Scripted::default());
    let limits = Limits::new().concurrency(2);
    let engine = builder(&backend)
        .memory()
        .limits(limits)
        .build()
        .await
        .unwrap();
    let body = |name: char| {
        let agents =
            format!("Array.from({{ length: 10 }}, (_, n) => () => agent(`hold {name}${{n}}`))");
        script(&format!("return (await parallel({agents})).length"))
    };
    let first = engine
        .start(body('a'), options().concurrency(0))
        .await
        .unwrap();
    backend.begun(2).await;
    let second = engine
        .start(body('b'), options().concurrency(0))
        .await
        .unwrap();
    // Both slots are the first run's, and both runs wait for more.
    while engine.archive().view(second.id(), 0).unwrap().agents.total < 10 {
        tokio::task::yield_now().await;
    }
    for prompt in 0..20 {
        let begun = backend.begun(prompt + 1).await;
        assert!(backend.alive() <= 2, "{begun:?}");
        backend.release_prompt(&begun[prompt]);
    }
    assert_eq!(first.result::<u8>().await.unwrap(), 10);
    assert_eq!(second.result::<u8>().await.unwrap(), 10);
    let begun = backend.prompts();
    let of_second = begun[..12]
        .iter()
        .filter(|prompt| prompt.starts_with("hold b"))
        .count();
    assert!((4..=6).contains(&of_second), "{begun:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_time_is_over_stops_and_can_be_resumed() {
    let (engine, backend) = engine().await;
    let limit = Duration::from_hours(1);
    let run = engine
        .start(script("return agent('hold')"), options().timeout(limit))
        .await
        .unwrap();
    assert_eq!(run.wait().await, Status::Stopped);
    let error = run.result::<String>().await.unwrap_err();
    assert!(matches!(error, RunError::Unfinished { .. }), "{error}");
    assert!(error.to_string().contains("time limit"), "{error}");
    backend.release();
    let run = engine.resume(run.id(), ResumeOptions::new()).await.unwrap();
    assert_eq!(run.result::<String>().await.unwrap(), "hold");
}

#[tokio::test]
async fn a_runs_own_limits_hold_and_can_be_changed_when_it_is_resumed() {
    let (engine, backend) = engine().await;
    let body = "return (await parallel([1, 2, 3, 4].map((n) => () => agent(`hold ${n}`)))).length";
    let run = engine
        .start(script(body), options().concurrency(1))
        .await
        .unwrap();
    backend.begun(1).await;
    run.stop(Duration::ZERO, "a test").await.unwrap();
    let wide = ResumeOptions::new().concurrency(0);
    let run = engine.resume(run.id(), wide).await.unwrap();
    assert_eq!(backend.begun(5).await.len(), 5, "all four at once");
    backend.release();
    assert_eq!(run.result::<u8>().await.unwrap(), 4);

    let few = options().max_agents(2);
    let run = engine.start(script(body), few).await.unwrap();
    assert!(
        run.result::<u8>()
            .await
            .unwrap_err()
            .to_string()
            .contains('2')
    );
    let few = options().max_items(3);
    let run = engine.start(script(body), few).await.unwrap();
    assert!(
        run.result::<u8>()
            .await
            .unwrap_err()
            .to_string()
            .contains('3')
    );
}
