//! A live run is rewound: its agents at work go on.

use bellwether::explain::Fate;
use bellwether::{CallNumber, Engine, Event, ResumeOptions, RewindOptions, RunHandle};

use crate::bed::{Scripted, engine, options, script};

const LANES: &str = "const first = await agent('first')
const lanes = await parallel(['hold a', 'hold b', 'quick'].map((prompt) => () => agent(prompt)))
return [first, ...lanes, await agent('join')]";

/// A run of [`LANES`] whose `quick` has ended and whose other lanes are at work.
async fn at_work(engine: &Engine, backend: &Scripted) -> RunHandle {
    let options = options().concurrency(8);
    let run = engine.start(script(LANES), options).await.unwrap();
    ended(engine, &run, "a-3").await;
    backend.begun(4).await;
    run
}

/// Waits until the journal says that an agent has ended.
async fn ended(engine: &Engine, run: &RunHandle, agent: &str) {
    let mut events = run.events();
    let view = engine.archive().view(run.id(), 0).unwrap();
    let known = view.calls.iter().find(|call| call.agent_id == agent);
    if known.is_some_and(|call| call.status == "completed") {
        return;
    }
    while let Some(event) = events.next().await {
        if matches!(event.unwrap(), Event::AgentEnded { agent: who, .. } if who == agent) {
            return;
        }
    }
}

fn quick_again() -> RewindOptions {
    RewindOptions::new().again([CallNumber(3)])
}

fn times(backend: &Scripted, prompt: &str) -> usize {
    let prompts = backend.prompts();
    prompts.iter().filter(|begun| *begun == prompt).count()
}

#[tokio::test]
async fn r03_agents_at_work_go_on_when_their_run_is_rewound() {
    let (engine, backend) = engine().await;
    let run = at_work(&engine, &backend).await;
    let mut events = run.events();

    let foretold = engine
        .explain(run.id(), None, &quick_again())
        .await
        .unwrap();
    let fates: Vec<Fate> = foretold.calls.iter().map(|call| call.fate).collect();
    let expected = [
        Fate::Reused,
        Fate::Adopted,
        Fate::Adopted,
        Fate::Again,
        Fate::New,
    ];
    assert_eq!(fates, expected);
    assert_eq!((foretold.totals.adopted, foretold.totals.again), (2, 1));

    let rewound = engine.rewind(run.id(), quick_again()).await.unwrap();
    // The same run goes on: it was not stopped for it.
    assert_eq!(rewound.id(), run.id());
    assert!(engine.run(run.id()).is_some());
    assert_eq!(backend.begun(5).await[4], "quick");
    assert_eq!(backend.alive(), 2);
    backend.release();
    let result: Vec<String> = run.result().await.unwrap();
    assert_eq!(result, ["first", "hold a", "hold b", "quick", "join"]);
    assert_eq!(backend.prompts().len(), 6);
    assert_eq!(
        (times(&backend, "hold a"), times(&backend, "hold b")),
        (1, 1)
    );

    let view = engine.archive().view(run.id(), 0).unwrap();
    assert_eq!(view.generation, 2);
    assert_eq!((view.agents.completed, view.agents.reused), (5, 1));
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        if let Event::Status { status, .. } = event.unwrap() {
            seen.push(status.name());
        }
    }
    assert_eq!(seen, ["running", "completed"]);
}

#[tokio::test]
async fn r03_an_agent_that_is_not_asked_for_any_more_is_ended() {
    let (engine, backend) = engine().await;
    let run = at_work(&engine, &backend).await;
    let edited = script(&LANES.replace("'hold b', ", ""));
    let change = RewindOptions::new().script(edited);
    engine.rewind(run.id(), change).await.unwrap();
    backend.alive_are(1).await;
    assert_eq!(backend.prompts().len(), 4);
    backend.release();
    let result: Vec<String> = run.result().await.unwrap();
    assert_eq!(result, ["first", "hold a", "quick", "join"]);
    assert_eq!(times(&backend, "hold a"), 1);
}

#[tokio::test]
async fn r03_an_agent_goes_on_through_two_rewinds_and_has_its_end_in_the_second() {
    let (engine, backend) = engine().await;
    let run = at_work(&engine, &backend).await;
    engine.rewind(run.id(), quick_again()).await.unwrap();
    backend.begun(5).await;
    ended(&engine, &run, "a-3").await;
    engine.rewind(run.id(), quick_again()).await.unwrap();
    backend.begun(6).await;
    backend.release();
    let result: Vec<String> = run.result().await.unwrap();
    assert_eq!(result.len(), 5);
    assert_eq!(
        (times(&backend, "hold a"), times(&backend, "quick")),
        (1, 3)
    );
}

#[tokio::test]
async fn r03_what_is_refused_leaves_a_live_run_as_it_was() {
    let (engine, backend) = engine().await;
    let run = at_work(&engine, &backend).await;
    let broken = RewindOptions::new().script(script("return ("));
    engine.rewind(run.id(), broken).await.unwrap_err();
    assert_eq!(backend.alive(), 2);
    backend.release();
    run.result::<Vec<String>>().await.unwrap();
    assert_eq!(backend.prompts().len(), 5);
    assert_eq!(engine.archive().view(run.id(), 0).unwrap().generation, 1);
}

#[tokio::test]
async fn r03_orders_and_a_stop_reach_an_agent_that_went_on() {
    let (engine, backend) = engine().await;
    let run = at_work(&engine, &backend).await;
    engine.rewind(run.id(), quick_again()).await.unwrap();
    backend.begun(5).await;
    // Its number is the same here; what the pool knows it by is not.
    run.stop_agent(CallNumber(1), "a person").await.unwrap();
    backend.alive_are(1).await;
    run.restart_agent(CallNumber(2), "a person").await.unwrap();
    assert_eq!(backend.begun(6).await[5], "hold b");
    run.stop(std::time::Duration::from_secs(5), "a person")
        .await
        .unwrap();
    assert_eq!(backend.alive(), 0);
    backend.release();
    let resumed = engine.resume(run.id(), ResumeOptions::new()).await.unwrap();
    let result: Vec<Option<String>> = resumed.result().await.unwrap();
    assert_eq!(result[1], None);
    assert_eq!(result[2].as_deref(), Some("hold b"));
    assert_eq!(times(&backend, "hold a"), 1);
}
