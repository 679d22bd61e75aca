//! A run's events.

use std::sync::Arc;

use bellwether::{Event, Lagged, Limits, Status};

use crate::bed::{Scripted, builder, engine, options, script};

#[tokio::test]
async fn events_tell_what_became_durable_and_end_with_the_run() {
    let (engine, backend) = engine().await;
    let body = "await agent('hold'); phase('Second'); log('line');
                return agent('two', { label: 'the second' })";
    let run = engine.start(script(body), options()).await.unwrap();
    backend.begun(1).await;
    let mut events = run.events();
    backend.release();
    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        told.push(match event.unwrap() {
            Event::Phase { title, .. } => format!("phase {title}"),
            Event::Log { text, .. } => format!("log {text}"),
            Event::AgentScheduled { agent, .. } => format!("scheduled {agent}"),
            Event::AgentStarted { agent, .. } => format!("started {agent}"),
            Event::AgentEnded {
                agent,
                label,
                outcome,
                ..
            } => {
                format!("{outcome} {}", label.unwrap_or(agent))
            }
            Event::Status { status, .. } => status.name().to_owned(),
            other => panic!("{other:?}"),
        });
    }
    let expected = [
        "completed a-0",
        "phase Second",
        "log line",
        "scheduled a-1",
        "started a-1",
        "completed the second",
        "completed",
    ];
    assert_eq!(told, expected);
    assert_eq!(
        run.events().next().await,
        None,
        "nothing more comes of a run that is done"
    );
}

#[tokio::test]
async fn a_slow_reader_is_told_how_much_it_missed_and_the_run_does_not_wait() {
    let backend = Arc::new(Scripted::default());
    let limits = Limits::new().events(4);
    let engine = builder(&backend)
        .memory()
        .limits(limits)
        .build()
        .await
        .unwrap();
    let body = "await agent('hold'); for (let n = 0; n < 100; n++) log(n); return 'done'";
    let run = engine.start(script(body), options()).await.unwrap();
    backend.begun(1).await;
    let mut events = run.events();
    backend.release();
    assert_eq!(run.result::<String>().await.unwrap(), "done");

    // The agent's end, the lines and the run's end; some may have been told before somebody listened.
    let missed = events.next().await.unwrap().unwrap_err();
    assert_eq!(missed, Lagged(98));
    let mut left = Vec::new();
    while let Some(event) = events.next().await {
        left.push(event.unwrap());
    }
    assert_eq!(left.len(), 4);
    assert!(
        matches!(
            left.last(),
            Some(Event::Status {
                status: Status::Completed,
                ..
            })
        ),
        "{left:?}"
    );
}
