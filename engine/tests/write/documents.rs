//! What writers are told, and the script itself, hold by their own measure.

use std::sync::Arc;

use bellwether::backend::script_check::{Project, ScriptCheck};
use bellwether::{Engine, Script, StartOptions};
use serde_json::{Value, json};

use crate::bed::WRITE;

const GUIDE: &str = include_str!("../../../scripts/library/writing.md");

/// What is said of each of these tasks.
async fn checked(tasks: Vec<Value>) -> Vec<Value> {
    let check = ScriptCheck::new(Project::new(StartOptions::new(), ["script-check"]));
    let engine = Engine::builder()
        .memory()
        .backend("script-check", Arc::new(check));
    let engine = engine.build().await.unwrap();
    let all = Script::text(
        "export const meta = { name: 'check', description: 'd' }
         return await parallel(args.map((task) => () => agent(JSON.stringify(task))))",
    );
    let start = StartOptions::new().backend("script-check");
    let run = engine.start(all, start.args(&tasks).unwrap()).await;
    run.unwrap().result().await.unwrap()
}

fn told(checked: &Value) -> Value {
    json!([
        checked["holds"],
        checked["warnings"],
        checked["name"],
        checked["plan"]["agents"]
    ])
}

#[tokio::test]
async fn the_script_that_writes_scripts_holds() {
    let task = |asks| json!({ "script": WRITE, "args": { "task": "x", "asks": asks } });
    for checked in checked(vec![task(true), task(false)]).await {
        // Made-up answers are all the same, so the second round ends it.
        assert_eq!(told(&checked), json!([true, 0, "write", 4]), "{checked:#}");
    }
}

#[tokio::test]
async fn the_examples_of_the_guide_hold() {
    let examples = GUIDE.split("```js\n").skip(1);
    let examples = examples.filter_map(|rest| rest.split("```").next());
    let tasks = examples
        .map(|example| json!({ "script": example }))
        .collect();
    let checked: Vec<Value> = checked(tasks).await.iter().map(told).collect();
    assert_eq!(
        checked,
        [
            json!([true, 0, "document-modules", 10]),
            json!([true, 0, "fix-date-parser", 1]),
        ]
    );
}
