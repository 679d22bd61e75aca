//! `scripts/library/write.js`: a run in which an agent writes a script, and the backend `script-check` says what is wrong with it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bed;
mod documents;

use std::sync::Arc;

use bellwether::store::MemoryStore;
use bellwether::{CallNumber, RunHandle, Status};
use serde_json::{Value, json};

use crate::bed::{Answers, bed, bed_on, decision, options, script, written};

#[cfg(feature = "command")]
bellwether::child_main_before_tests!();

/// Holds, and names its command.
const GOOD: &str = "phase('Fix')
const done = await parallel(['a', 'b'].map((file) => () => agent(`Fix ${file}.`, { label: file, phase: 'Fix' })))
const proof = await agent('Run `npm test` and report its exit code.', { label: 'verify' })
return { fixed: done.filter(Boolean).length, proof }";

#[tokio::test]
async fn findings_go_back_until_the_script_holds() {
    let misspelt = script(&GOOD.replace("label: 'verify'", "lable: 'verify'"));
    let answers = Answers::new(decision("workflow")).then([
        written(&script("return await agent('x'")),
        written(&misspelt),
        written(&script(GOOD)),
    ]);
    let (engine, backend) = bed(answers).await;
    let args = json!({ "task": "Fix all.", "verify": "npm test", "shape": "7 files", "guide": "THE RULES", "types": "THE TYPES" });
    let result = engine.result(options(&args)).await.unwrap();
    assert_eq!(result["script"], script(GOOD));
    assert_eq!(
        json!([
            result["holds"],
            result["rounds"],
            result["kind"],
            result["name"],
            result["verify"],
            result["confirmed"],
            result["findings"],
            result["plan"]["agents"],
            result["args"],
        ]),
        json!([
            true,
            3,
            "workflow",
            "fix-all",
            "npm test",
            true,
            [],
            3,
            null
        ])
    );
    let prompts = backend.prompts();
    let labels: Vec<&str> = prompts.iter().map(|(label, _)| label.as_str()).collect();
    assert_eq!(labels, ["decide", "write 1", "write 2", "write 3"]);
    for (label, prompt) in &prompts {
        assert!(
            prompt.contains("Fix all.") && prompt.contains("7 files"),
            "{label}: {prompt}"
        );
        assert_eq!(prompt.contains("THE RULES"), label != "decide");
        assert_eq!(prompt.contains("THE TYPES"), label != "decide");
    }
    assert!(!prompts[1].1.contains("checks say"), "{}", prompts[1].1);
    for (index, wanted) in [
        (
            2,
            ["error [syntax] line 2, column", "return await agent('x'"],
        ),
        (
            3,
            [
                "warning [unknown-option] line 4, column",
                "did you mean `label`?",
            ],
        ),
    ] {
        let (label, prompt) = &prompts[index];
        for wanted in wanted {
            assert!(prompt.contains(wanted), "{label}: {wanted}: {prompt}");
        }
    }
    // Of the findings those of the last round alone are told.
    assert!(!prompts[3].1.contains("[syntax]"), "{}", prompts[3].1);
    assert!(prompts[3].1.contains(&misspelt));
}

#[tokio::test]
async fn a_script_that_never_holds_ends_after_five_rounds_with_the_best() {
    let bad = |clocks: usize, round: usize| {
        let body = "Date.now();\n".repeat(clocks) + &format!("return {round}");
        written(&script(&body))
    };
    // What cannot be read has a single error, and is the worst all the same.
    let unreadable = written(&script("return ("));
    let rounds = [
        unreadable,
        bad(4, 2),
        bad(2, 3),
        bad(3, 4),
        bad(2, 5),
        bad(0, 6),
    ];
    let (engine, backend) = bed(Answers::new(decision("workflow")).then(rounds)).await;
    let result = engine
        .result(options(&json!({ "task": "Fix all." })))
        .await
        .unwrap();
    assert_eq!(
        result["script"],
        script("Date.now();\nDate.now();\nreturn 3")
    );
    assert_eq!(
        json!([result["holds"], result["rounds"]]),
        json!([false, 5])
    );
    assert_eq!(result["findings"][0]["code"], "clock");
    assert_eq!(backend.prompts().len(), 6, "one decides, five write");
}

#[tokio::test]
async fn a_task_for_one_agent_becomes_a_script_with_one_agent() {
    let two = "await agent('Look.')\nreturn await agent('Fix it, then run `npm test`.')";
    let one = "return await agent('Look, fix it, then run `npm test`.')";
    let answers =
        Answers::new(decision("one agent")).then([written(&script(two)), written(&script(one))]);
    let (engine, backend) = bed(answers).await;
    let result = engine
        .result(options(
            &json!({ "task": "Fix one.", "verify": "npm test" }),
        ))
        .await
        .unwrap();
    assert_eq!(
        json!([
            result["holds"],
            result["kind"],
            result["why"],
            result["rounds"],
            result["plan"]["agents"],
            result["script"]
        ]),
        json!([true, "one agent", "because", 2, 1, script(one)])
    );
    let (_, again) = &backend.prompts()[2];
    assert!(
        again.contains("warning [one-agent]: this is a task for one agent, and the plan asks 2"),
        "{again}"
    );
}

async fn waits(run: &RunHandle) {
    while run.status() != Status::Waiting {
        assert!(!run.status().is_final(), "{:?}", run.reason());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_person_says_which_command_proves_success() {
    let without = script("return await agent('Fix it.', { label: 'fix' })");
    let with = script("return await agent('Fix it, then run `make check`.', { label: 'fix' })");
    let answers = Answers::new(decision("one agent")).then([written(&without), written(&with)]);
    let (engine, backend) = bed(answers).await;
    let run = engine
        .start(options(&json!({ "task": "Fix it.", "asks": true })))
        .await;
    waits(&run).await;
    let questions = run.questions().await.unwrap();
    let asked = serde_json::to_value(&questions).unwrap();
    assert_eq!(
        asked[0]["choices"],
        json!(["npm test", "make check", "none: no command proves it"])
    );
    run.answer(CallNumber(1), &json!("make check"), "ann")
        .await
        .unwrap();
    let result: Value = run.result().await.unwrap();
    assert_eq!(
        json!([
            result["verify"],
            result["confirmed"],
            result["script"],
            result["rounds"]
        ]),
        json!(["make check", true, with, 2])
    );
    let prompts = backend.prompts();
    assert!(
        prompts[1]
            .1
            .contains("# The command that proves success\n\nmake check"),
        "{}",
        prompts[1].1
    );
    assert!(
        prompts[2].1.contains("warning [verify-missing]"),
        "{}",
        prompts[2].1
    );
}

#[tokio::test]
async fn one_that_is_cut_off_goes_on_where_it_was() {
    let store = Arc::new(MemoryStore::new());
    let (engine, _) = bed_on(Arc::clone(&store) as _, Answers::new(decision("workflow"))).await;
    let args = json!({ "task": "Fix all.", "asks": true });
    let run = engine.start(options(&args)).await;
    waits(&run).await;
    let id = run.id();
    drop(run);
    engine.shutdown().await;
    // Nobody decides again: the first that is asked writes.
    let (engine, backend) = bed_on(store, Answers::new(written(&script(GOOD)))).await;
    let run = engine.resume(id).await;
    waits(&run).await;
    run.answer(CallNumber(1), &json!("npm test"), "ann")
        .await
        .unwrap();
    let result: Value = run.result().await.unwrap();
    assert_eq!(
        json!([result["holds"], result["confirmed"]]),
        json!([true, true])
    );
    assert_eq!(backend.prompts()[0].0, "write 1");
}

#[tokio::test]
async fn without_a_person_the_proposal_counts_and_says_so() {
    let answers = Answers::new(decision("workflow")).then([written(&script(GOOD))]);
    let (engine, _) = bed(answers).await;
    let run = engine.start(options(&json!({ "task": "Fix all." }))).await;
    let result: Value = run.result().await.unwrap();
    assert_eq!(
        json!([result["verify"], result["confirmed"]]),
        json!(["npm test", false])
    );
    let logs = engine.logs(&run);
    assert!(
        logs.contains(
            &"nobody has confirmed that this command proves success: npm test".to_owned()
        ),
        "{logs:?}"
    );
}

#[tokio::test]
async fn the_same_script_again_ends_it() {
    let bad = written(&script("return Date.now()"));
    let (engine, backend) = bed(Answers::new(decision("workflow")).then([bad.clone(), bad])).await;
    let result = engine
        .result(options(&json!({ "task": "Fix all." })))
        .await
        .unwrap();
    assert_eq!(
        json!([result["holds"], result["rounds"]]),
        json!([false, 2])
    );
    assert_eq!(backend.prompts().len(), 3);
}

#[tokio::test]
async fn a_warning_goes_back_once() {
    let warned = |word: &str| {
        written(&script(
            &format!("{GOOD} // {word}").replace("label: 'verify'", "lable: 'verify'"),
        ))
    };
    let answers = Answers::new(decision("workflow")).then([warned("first"), warned("second")]);
    let (engine, backend) = bed(answers).await;
    let result = engine
        .result(options(&json!({ "task": "Fix all." })))
        .await
        .unwrap();
    assert_eq!(
        json!([
            result["holds"],
            result["rounds"],
            result["findings"][0]["code"]
        ]),
        json!([true, 2, "unknown-option"])
    );
    assert_eq!(backend.prompts().len(), 3);
}

#[tokio::test]
async fn example_arguments_are_those_of_the_plan() {
    let body = "return await parallel(args.files.map((file) => () => agent(`Fix ${file}, run npm test.`)))";
    let with = |args: &str| {
        let mut given = written(&script(body));
        given["args"] = json!(args);
        given
    };
    let scripts = [
        with("{ files: ["),
        with(r#"{ "files": ["a", "b", "c", "d"] }"#),
    ];
    let (engine, backend) = bed(Answers::new(decision("workflow")).then(scripts)).await;
    let args = json!({ "task": "Fix all.", "size": "small" });
    let result = engine.result(options(&args)).await.unwrap();
    assert_eq!(
        json!([
            result["holds"],
            result["rounds"],
            result["plan"]["agents"],
            result["args"]["files"]
        ]),
        json!([true, 2, 4, ["a", "b", "c", "d"]])
    );
    let (_, again) = &backend.prompts()[2];
    for said in [
        "error [args]: the example arguments are no JSON",
        "# Its example arguments\n\n{ files: [",
    ] {
        assert!(again.contains(said), "{said}: {again}");
    }
}

#[tokio::test]
async fn agents_that_fail_are_named() {
    let (engine, _) = bed(Answers::new(Value::Null)).await;
    let error = engine
        .result(options(&json!({ "task": "Fix all." })))
        .await
        .unwrap_err();
    assert!(
        error.contains("the agent that decides how to do the task failed"),
        "{error}"
    );

    let (engine, _) = bed(Answers::new(decision("workflow"))).await;
    let error = engine
        .result(options(&json!({ "task": "Fix all." })))
        .await
        .unwrap_err();
    assert!(
        error.contains("the script could not be written: the agent `write 1` failed"),
        "{error}"
    );

    // A script that is there is kept, whether the agent fails or its answers never fit.
    let bad = written(&script("return Date.now()"));
    let never_fit = vec![json!({ "script": 1 }); 5];
    let answers = Answers::new(decision("workflow")).then([bad.clone()]);
    let (engine, _) = bed(answers.then(never_fit)).await;
    let result = engine
        .result(options(&json!({ "task": "Fix all." })))
        .await
        .unwrap();
    assert_eq!(
        json!([result["holds"], result["rounds"]]),
        json!([false, 2])
    );
    let answers = Answers::new(decision("workflow")).then([bad]);
    let (engine, _) = bed(answers).await;
    let result = engine
        .result(options(&json!({ "task": "Fix all." })))
        .await
        .unwrap();
    assert_eq!(
        json!([result["holds"], result["rounds"]]),
        json!([false, 2])
    );

    let (engine, _) = bed(Answers::new(Value::Null)).await;
    let refused = engine
        .try_start(options(&json!({ "task": " " })))
        .await
        .unwrap_err();
    assert!(refused.contains("/task"), "{refused}");
}
