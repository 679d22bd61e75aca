//! Starting a run, once and again.

use bellwether::{Engine, StartError, StartOptions, Status};
use serde_json::json;

use crate::bed::{Commits, Told, engine, engine_on, options, run_id, script};

#[tokio::test]
async fn the_same_id_is_the_same_run() {
    let (engine, backend) = engine().await;
    let given = || options().run_id(run_id(5)).args(&json!({"n": 1})).unwrap();
    let body = "return (await agent('hold')) + args.n";
    let first = engine.start(script(body), given()).await.unwrap();
    let again = engine.start(script(body), given()).await.unwrap();
    assert_eq!(first.id(), again.id());
    backend.begun(1).await;
    backend.release();
    assert_eq!(again.result::<String>().await.unwrap(), "hold1");

    // After its end too.
    let ended = engine.start(script(body), given()).await.unwrap();
    assert_eq!(ended.status(), Status::Completed);
    assert_eq!(ended.result::<String>().await.unwrap(), "hold1");
    assert_eq!(backend.prompts(), ["hold"]);

    let other_script = engine.start(script("return 1"), given()).await;
    assert!(
        matches!(other_script, Err(StartError::Conflict { .. })),
        "{other_script:?}"
    );
    let other_args = engine
        .start(script(body), given().args(&json!({"n": 2})).unwrap())
        .await;
    assert!(
        matches!(other_args, Err(StartError::Conflict { .. })),
        "{other_args:?}"
    );
    let no_args = engine
        .start(script(body), options().run_id(run_id(5)))
        .await;
    assert!(
        matches!(no_args, Err(StartError::Conflict { .. })),
        "{no_args:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_starts_at_once_with_one_id_are_one_run() {
    let (engine, backend) = engine().await;
    let starts = (0..50).map(|_| {
        let engine = engine.clone();
        tokio::spawn(async move {
            let run = engine.start(script("return agent('once')"), options().run_id(run_id(9)));
            run.await.unwrap().result::<String>().await.unwrap()
        })
    });
    for start in starts.collect::<Vec<_>>() {
        assert_eq!(start.await.unwrap(), "once");
    }
    assert_eq!(backend.prompts(), ["once"]);
}

#[tokio::test]
async fn a_start_whose_caller_goes_away_is_whole_all_the_same() {
    let store = Told::new();
    let (engine, backend) = engine_on(std::sync::Arc::new(store.clone())).await;
    store.tell(Commits::Held);
    let starting = tokio::spawn({
        let engine = engine.clone();
        async move {
            engine
                .start(script("return agent('one')"), options().run_id(run_id(3)))
                .await
        }
    });
    store.is_holding().await;
    starting.abort();
    assert!(starting.await.unwrap_err().is_cancelled());
    store.tell(Commits::Through);
    let again = engine.start(script("return agent('one')"), options().run_id(run_id(3)));
    assert_eq!(
        again.await.unwrap().result::<String>().await.unwrap(),
        "one"
    );
    assert_eq!(backend.prompts(), ["one"]);
}

#[tokio::test]
async fn what_cannot_start_says_why_and_journals_nothing() {
    let (engine, _) = engine().await;
    let refused = engine
        .start(script("import 'fs'"), options())
        .await
        .unwrap_err();
    assert!(matches!(refused, StartError::Refused(_)), "{refused}");
    assert!(refused.to_string().contains("import"), "{refused}");

    let no_backend = engine
        .start(script("return 1"), StartOptions::new())
        .await
        .unwrap_err();
    assert!(matches!(no_backend, StartError::Backend(_)), "{no_backend}");
    let unknown = StartOptions::new().backend("nobody");
    let unknown = engine
        .start(script("return 1"), unknown)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        unknown.contains("nobody") && unknown.contains("scripted"),
        "{unknown}"
    );

    let no_json = engine
        .start(script("return 1"), options().args_json("{"))
        .await
        .unwrap_err();
    assert!(matches!(no_json, StartError::Args(_)), "{no_json}");

    let unset = Engine::builder().build().await.unwrap_err().to_string();
    assert!(unset.contains("journal"), "{unset}");
    assert!(engine.archive().runs(10, 0).unwrap().is_empty());
}

#[tokio::test]
async fn g01_args_are_checked_against_the_header_before_the_run() {
    let (engine, _) = engine().await;
    let script = || {
        bellwether::Script::text(
            "export const meta = { name: 'typed', description: 'Takes files', args: {
               type: 'object', required: ['files'],
               properties: { files: { type: 'array', items: { type: 'string' } } } } }
             return args.files.length",
        )
    };
    let fits = options().args(&json!({"files": ["a", "b"]})).unwrap();
    assert_eq!(
        engine
            .start(script(), fits)
            .await
            .unwrap()
            .result::<u8>()
            .await
            .unwrap(),
        2
    );
    // A text that parses to an object is given, and checked, parsed.
    let text = options().args(r#"{"files": ["a"]}"#).unwrap();
    assert_eq!(
        engine
            .start(script(), text)
            .await
            .unwrap()
            .result::<u8>()
            .await
            .unwrap(),
        1
    );

    for (args, place) in [
        (json!({"files": [1]}), "args/files/0"),
        (json!({}), "files"),
    ] {
        let error = engine
            .start(script(), options().args(&args).unwrap())
            .await
            .unwrap_err();
        assert!(matches!(error, StartError::Args(_)), "{error}");
        assert!(error.to_string().contains(place), "{error}");
    }
    let none = engine.start(script(), options()).await.unwrap_err();
    assert!(matches!(none, StartError::Args(_)), "{none}");
    assert_eq!(engine.archive().runs(10, 0).unwrap().len(), 2);
}
