//! The counts of `docs/replay.md`, "Worked example": each exact.

use bellwether::{CallNumber, Reuse, RewindOptions, Status};

use crate::bed::{Bed, script};

const PIPELINE: &str = "const items = Array.from({ length: 100 }, (_, i) => i)
    const checked = await pipeline(items, i => agent('fix ' + i), (v, i) => agent('check ' + i))
    return agent('report')";

#[tokio::test]
async fn r03_nothing_changed_runs_nothing() {
    let bed = Bed::new().await;
    let run = bed.run(PIPELINE).await;
    let result = bed.result(run);
    assert!(bed.rewind(run, RewindOptions::new()).await.is_empty());
    assert_eq!(bed.result(run), result);
    let view = bed.engine.archive().view(run, 0).unwrap();
    assert_eq!((view.agents.completed, view.agents.reused), (201, 201));
    // And again, from the generation that only reused.
    assert!(bed.rewind(run, RewindOptions::new()).await.is_empty());
}

#[tokio::test]
async fn r05_a_failed_item_runs_again_with_what_follows_it() {
    let bed = Bed::new().await;
    bed.backend.fail(&["fix 3"]);
    let run = bed.run(PIPELINE).await;
    bed.backend.fail(&[]);
    let ran = bed.rewind(run, RewindOptions::new()).await;
    assert_eq!(ran, ["check 3", "fix 3", "report"]);
}

#[tokio::test]
async fn r05_an_item_that_fails_again_changes_nothing_else() {
    let bed = Bed::new().await;
    bed.backend.fail(&["fix 3"]);
    let run = bed.run(PIPELINE).await;
    let ran = bed.rewind(run, RewindOptions::new()).await;
    assert_eq!(ran, ["fix 3"]);
    let keeping = RewindOptions::new().keep_failed();
    assert!(bed.rewind(run, keeping).await.is_empty());
}

#[tokio::test]
async fn r03_an_edited_prompt_runs_with_what_joins_it() {
    let parallel = |forty: &str| {
        format!(
            "const prompts = Array.from({{ length: 100 }}, (_, i) => i === 40 ? '{forty}' : 'do ' + i)
            const all = await parallel(prompts.map(p => () => agent(p)))
            return agent('sum up')"
        )
    };
    let bed = Bed::new().await;
    let run = bed.run(&parallel("do 40")).await;
    let edited = RewindOptions::new().script(script(&parallel("do it well")));
    assert_eq!(bed.rewind(run, edited).await, ["do it well", "sum up"]);
}

#[tokio::test]
async fn r03_a_call_inserted_first_and_awaited_runs_all_and_unawaited_itself() {
    let body = |first: &str| {
        format!("{first}\nconst a = await agent('a')\nconst b = await agent('b')\nreturn [a, b]")
    };
    let bed = Bed::new().await;
    let run = bed.run(&body("")).await;
    let awaited = RewindOptions::new().script(script(&body("await agent('new')")));
    assert_eq!(bed.rewind(run, awaited).await, ["a", "b", "new"]);

    let run = bed.run(&body("")).await;
    let unawaited = RewindOptions::new().script(script(&body("agent('new')")));
    let ran = bed.rewind(run, unawaited).await;
    assert_eq!(ran, ["new"]);
}

#[tokio::test]
async fn r03_equal_calls_of_two_lanes_are_not_confused() {
    let bed = Bed::new().await;
    bed.backend.fail(&["fix b"]);
    let body = "return pipeline(['a', 'b'], x => agent('fix ' + x), () => agent('verify'))";
    let run = bed.run(body).await;
    assert_eq!(bed.result(run), r#"["verify #1",null]"#);
    bed.backend.fail(&[]);
    let (handle, _) = bed.rewound(run, RewindOptions::new()).await;
    assert_eq!(bed.backend.ran(), ["fix b", "verify"]);
    let value: Vec<String> = handle.result().await.unwrap();
    assert_eq!(value, ["verify #1", "verify #2"]);
}

#[tokio::test]
async fn r03_sixty_failures_of_six_hundred_run_with_their_own_later_stages() {
    let bed = Bed::new().await;
    let failing: Vec<String> = (0..60).map(|i| format!("one {}", i * 10)).collect();
    let names: Vec<&str> = failing.iter().map(String::as_str).collect();
    bed.backend.fail(&names);
    let body = "const items = Array.from({ length: 600 }, (_, i) => i)
        const all = await pipeline(items, i => agent('one ' + i), (v, i) => agent('two ' + i), (v, i) => agent('three ' + i))
        return agent('report')";
    let run = bed.run(body).await;
    bed.backend.fail(&[]);
    let ran = bed.rewind(run, RewindOptions::new()).await;
    assert_eq!(ran.len(), 60 * 3 + 1);
}

#[tokio::test]
async fn r03_a_restarted_agent_runs_with_what_waited_for_it() {
    let bed = Bed::new().await;
    let run = bed.run(PIPELINE).await;
    let ran = bed
        .rewind(run, RewindOptions::new().again([CallNumber(7)]))
        .await;
    assert_eq!(ran, ["check 7", "fix 7", "report"]);
}

#[tokio::test]
async fn r03_the_rules_of_other_runtimes_are_there_when_asked_for() {
    let bed = Bed::new().await;
    let body = |second: &str| {
        format!("for (const p of ['a', '{second}', 'c', 'd']) await agent(p)\nreturn 1")
    };
    let run = bed.run(&body("b")).await;
    let edited = || RewindOptions::new().script(script(&body("x")));
    let ran = bed.rewind(run, edited().reuse(Reuse::Prefix)).await;
    assert_eq!(ran, ["c", "d", "x"]);
    let run = bed.run(&body("b")).await;
    let ran = bed.rewind(run, edited().reuse(Reuse::All)).await;
    assert_eq!(ran, ["x"]);
}

#[tokio::test]
async fn r03_a_timer_of_the_base_counts_while_no_call_runs() {
    let bed = Bed::new().await;
    let body = |prompt: &str| {
        format!(
            "const slow = await Promise.race([agent('{prompt}'), sleep(60000).then(() => 'late')])
            await sleep(1)
            return slow"
        )
    };
    let run = bed.run(&body("fast")).await;
    assert!(bed.rewind(run, RewindOptions::new()).await.is_empty());
    let edited = RewindOptions::new().script(script(&body("faster")));
    let (handle, status) = bed.rewound(run, edited).await;
    assert_eq!(status, Status::Completed);
    assert_eq!(handle.result::<String>().await.unwrap(), "faster #1");
}

#[tokio::test]
async fn r03_a_fork_leaves_its_base_alone() {
    let bed = Bed::new().await;
    let run = bed.run(PIPELINE).await;
    let fork = bed
        .engine
        .fork(run, Some(CallNumber(200)), RewindOptions::new())
        .await
        .unwrap();
    assert_ne!(fork.id(), run);
    fork.wait().await;
    assert_eq!(bed.backend.ran(), ["report"]);
    let view = bed.engine.archive().view(run, 0).unwrap();
    assert_eq!(view.agents.reused, 0);
    // The fork is rewound by itself.
    assert!(bed.rewind(fork.id(), RewindOptions::new()).await.is_empty());
}

#[tokio::test]
async fn x01_a_pure_call_that_answers_the_same_lets_what_waited_for_it_be() {
    let body = |forty: &str, pure: &str| {
        format!(
            "const prompts = Array.from({{ length: 100 }}, (_, i) => i === 40 ? '{forty}' : 'do ' + i)
            await parallel(prompts.map(p => () => agent(p, {pure})))
            return agent('sum up')"
        )
    };
    let bed = Bed::new().await;
    let pure = "{ pure: true }";
    let run = bed.run(&body("do 40 => yes", pure)).await;
    let edited = |text: &str| RewindOptions::new().script(script(&body(text, pure)));
    let ran = bed.rewind(run, edited("do it well => yes")).await;
    assert_eq!(ran, ["do it well => yes"]);
    let ran = bed.rewind(run, edited("do it well => no")).await;
    assert_eq!(ran, ["do it well => no", "sum up"]);
    // Without the word an equal answer is another one: agents change files.
    let run = bed.run(&body("do 40 => yes", "{}")).await;
    let edited = RewindOptions::new().script(script(&body("do it well => yes", "{}")));
    assert_eq!(
        bed.rewind(run, edited).await,
        ["do it well => yes", "sum up"]
    );
}

#[tokio::test]
async fn x01_a_key_of_its_own_stands_for_the_prompt() {
    let body = |prompt: &str| format!("return agent('{prompt}', {{ key: 'the task' }})");
    let bed = Bed::new().await;
    let run = bed.run(&body("do it")).await;
    let edited = RewindOptions::new().script(script(&body("do it well")));
    assert!(bed.rewind(run, edited).await.is_empty());
}
