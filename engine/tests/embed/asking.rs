//! X03: questions to people.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bellwether::backend::dry::Dry;
use bellwether::store::MemoryStore;
use bellwether::{
    Approver, CallNumber, Clock, ControlError, Engine, OrderError, Question, ResumeOptions,
    RewindOptions, RunHandle, StartOptions, Status,
};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::bed::{Scripted, builder, engine, engine_on, options, reopen, script};

async fn waits(run: &RunHandle) {
    while run.status() != Status::Waiting {
        assert!(!run.status().is_final(), "{:?}", run.reason());
        tokio::task::yield_now().await;
    }
}

/// The questions that are open, when there are so many.
async fn asked(run: &RunHandle, count: usize) -> Vec<Question> {
    loop {
        let questions = run.questions().await.unwrap();
        if questions.len() == count {
            return questions;
        }
        tokio::task::yield_now().await;
    }
}

const THREE: &str = "return await parallel([
    () => ask('Which?', { choices: ['a', 'b'], default: 'b', label: 'pick' }),
    () => ask('How many?', { schema: { type: 'integer', minimum: 1 } }),
    () => ask('Why?'),
])";

#[tokio::test]
async fn x03_several_questions_are_answered_in_any_order() {
    let (engine, backend) = engine().await;
    let run = engine.start(script(THREE), options()).await.unwrap();
    waits(&run).await;
    assert_eq!(run.reason().unwrap(), "a question: \"Which?\" (and 2 more)");
    let questions = run.questions().await.unwrap();
    let first = &questions[0];
    assert_eq!(
        (first.id.as_str(), first.call()),
        ("a-0", Some(CallNumber(0)))
    );
    assert_eq!(
        serde_json::to_value(first).unwrap(),
        json!({
            "runId": run.id().to_string(), "id": "a-0", "question": "Which?", "choices": ["a", "b"], "default": "b",
            "label": "pick", "line": 3, "since": first.since,
        })
    );
    assert_eq!(
        engine.archive().view(run.id(), 0).unwrap().questions,
        questions
    );

    // What may not be answered changes nothing.
    let refused = |answer: Value, call| {
        let run = run.clone();
        async move {
            run.answer(CallNumber(call), &answer, "ann")
                .await
                .unwrap_err()
        }
    };
    let choice = refused(json!("c"), 0).await;
    assert_eq!(
        choice.to_string(),
        "\"c\" is none of the choices of a-0: \"a\", \"b\""
    );
    let schema = refused(json!(0), 1).await;
    assert_eq!(
        schema.to_string(),
        "it does not fit the schema of a-1: 0 is less than the minimum of 1"
    );
    let unknown = refused(json!(0), 9).await;
    assert!(
        matches!(unknown, ControlError::Order(OrderError::Unknown(_))),
        "{unknown}"
    );

    run.answer(CallNumber(2), &json!({ "because": null }), "ann")
        .await
        .unwrap();
    run.answer(CallNumber(0), &json!("a"), "ben").await.unwrap();
    run.answer(CallNumber(0), &json!("a"), "ann").await.unwrap();
    let otherwise = refused(json!("b"), 0).await;
    assert!(
        matches!(otherwise, ControlError::Order(OrderError::Answered(_))),
        "{otherwise}"
    );
    assert_eq!(asked(&run, 1).await[0].id, "a-1");
    run.answer(CallNumber(1), &json!(3), "ann").await.unwrap();
    assert_eq!(
        run.result::<Value>().await.unwrap(),
        json!(["a", 3, { "because": null }])
    );
    let view = engine.archive().view(run.id(), 0).unwrap();
    assert_eq!(
        (view.agents.total, view.questions.len()),
        (0, 0),
        "a question is no agent"
    );
    let archive = engine.archive();
    let logs = archive.logs(run.id(), bellwether::store::Position(0));
    let logs: Vec<String> = logs.map(|line| line.unwrap().text).collect();
    assert!(
        logs.contains(&"answer a-0: \"a\" by ben".to_owned()),
        "{logs:?}"
    );
    assert!(backend.prompts().is_empty());
}

#[tokio::test]
async fn x03_a_run_with_an_agent_at_work_does_not_wait_for_people() {
    let (engine, backend) = engine().await;
    let body = "return await Promise.all([ask('Go?'), agent('hold one')])";
    let run = engine.start(script(body), options()).await.unwrap();
    backend.begun(1).await;
    asked(&run, 1).await;
    assert_eq!(run.decided_status().await.unwrap(), Status::Running);
    backend.release();
    waits(&run).await;
    run.pause("ann").await.unwrap();
    assert_eq!(run.status(), Status::Paused);
    run.resume("ann").await.unwrap();
    waits(&run).await;
    run.answer(CallNumber(0), &json!(true), "ann")
        .await
        .unwrap();
    assert_eq!(
        run.result::<Value>().await.unwrap(),
        json!([true, "hold one"])
    );
}

/// A clock that shows what it is told.
struct Told(AtomicU64);

impl Clock for Told {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

const NOW: u64 = 1_700_000_000_000;

#[tokio::test]
async fn x03_a_deadline_holds_over_restarts() {
    let body = "const asked = [ask('a', { timeout: 'PT1H', default: 'late' }), ask('b', { timeout: 'PT2H' }), ask('c')]
        return [await asked[0], await asked[1], await asked[2]]";
    let store = Arc::new(MemoryStore::new());
    let at = |now| {
        let backend = Arc::new(Scripted::default());
        let clock = Arc::new(Told(AtomicU64::new(now)));
        builder(&backend)
            .store(Arc::clone(&store) as Arc<_>)
            .clock(clock)
            .build()
    };
    let hour = 3_600_000;
    let engine = at(NOW).await.unwrap();
    let run = engine.start(script(body), options()).await.unwrap();
    waits(&run).await;
    let before = run.questions().await.unwrap();
    run.kill("a test").await.unwrap();
    drop(engine);

    let engine = at(NOW + hour / 2).await.unwrap();
    let run = engine.resume(run.id(), ResumeOptions::new()).await.unwrap();
    waits(&run).await;
    assert_eq!(
        run.questions().await.unwrap(),
        before,
        "the same questions and deadlines"
    );
    run.kill("a test").await.unwrap();
    drop(engine);

    let engine = at(NOW + 3 * hour).await.unwrap();
    let run = engine.resume(run.id(), ResumeOptions::new()).await.unwrap();
    assert_eq!(asked(&run, 1).await[0].id, "a-2");
    let over = run
        .answer(CallNumber(0), &json!("x"), "ann")
        .await
        .unwrap_err();
    assert!(
        matches!(over, ControlError::Order(OrderError::Over(_))),
        "{over}"
    );
    run.answer(CallNumber(2), &json!(1), "ann").await.unwrap();
    assert_eq!(
        run.result::<Value>().await.unwrap(),
        json!(["late", null, 1])
    );
    assert_eq!(
        run.status(),
        Status::Completed,
        "a question that nobody answered is no failure"
    );
    let archive = engine.archive();
    let logs = archive.logs(run.id(), bellwether::store::Position(0));
    let told = logs
        .map(|line| line.unwrap().text)
        .filter(|text| text.starts_with("nobody answered"));
    assert_eq!(
        told.collect::<Vec<_>>(),
        ["nobody answered \"b\" (a-1) in time, and it has no default: its answer is null"]
    );
}

#[tokio::test]
async fn x03_a_deadline_passes_while_the_run_goes_on() {
    let (engine, _) = engine().await;
    let body = "return await Promise.all([ask('a', { timeout: 20, default: [1] }), ask('b', { timeout: 1 })])";
    let run = engine.start(script(body), options()).await.unwrap();
    assert_eq!(run.result::<Value>().await.unwrap(), json!([[1], null]));
}

#[tokio::test]
async fn x03_an_answer_that_was_acknowledged_outlives_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.redb");
    let (engine, _) = reopen(&path).await;
    let body = "const given = await ask('a'); return [given, await ask('b'), given]";
    let run = engine.start(script(body), options()).await.unwrap();
    let id = run.id();
    waits(&run).await;
    let long = "x".repeat(100_000);
    run.answer(CallNumber(0), &json!(long), "ann")
        .await
        .unwrap();
    drop((run, engine));

    let (engine, _) = reopen(&path).await;
    let run = engine.resume(id, ResumeOptions::new()).await.unwrap();
    waits(&run).await;
    assert_eq!(run.questions().await.unwrap()[0].id, "a-1");
    run.answer(CallNumber(0), &json!(long), "ann")
        .await
        .unwrap();
    run.answer(CallNumber(1), &json!(2), "ann").await.unwrap();
    assert_eq!(run.result::<Value>().await.unwrap(), json!([long, 2, long]));
}

/// Answers what it knows an answer to, and remembers what it was asked.
#[derive(Default)]
struct Known {
    answers: Vec<(&'static str, Value)>,
    asked: Mutex<Vec<String>>,
    count: AtomicUsize,
}

impl Approver for Known {
    fn ask(&self, question: Question) -> BoxFuture<'static, Option<Value>> {
        self.asked
            .lock()
            .unwrap()
            .push(question.question.to_string());
        self.count.fetch_add(1, Ordering::AcqRel);
        let known = self
            .answers
            .iter()
            .find(|(text, _)| **text == *question.question);
        let answer = known.map(|(_, answer)| answer.clone());
        Box::pin(async move { answer })
    }
}

#[tokio::test]
async fn x03_an_approver_is_asked_once_an_engine() {
    let store = Arc::new(MemoryStore::new());
    let known = |answers| {
        Arc::new(Known {
            answers,
            ..Known::default()
        })
    };
    let build = |approver: &Arc<Known>| {
        let backend = Arc::new(Scripted::default());
        let approver = Arc::clone(approver);
        builder(&backend)
            .store(Arc::clone(&store) as Arc<_>)
            .approver(approver)
            .build()
    };
    // Of two it knows one, and to the third it gives what may not be one.
    let first = known(vec![("b", json!("B")), ("c", json!("C"))]);
    let engine = build(&first).await.unwrap();
    let body = "return await Promise.all([ask('a'), ask('b'), ask('c', { choices: ['D'] })])";
    let run = engine.start(script(body), options()).await.unwrap();
    while first.count.load(Ordering::Acquire) < 3 {
        tokio::task::yield_now().await;
    }
    asked(&run, 2).await;
    let mut heard = first.asked.lock().unwrap().clone();
    heard.sort();
    assert_eq!(heard, ["a", "b", "c"]);
    run.kill("a test").await.unwrap();
    drop(engine);

    let second = known(vec![("a", json!("A"))]);
    let engine = build(&second).await.unwrap();
    let run = engine.resume(run.id(), ResumeOptions::new()).await.unwrap();
    while second.count.load(Ordering::Acquire) < 2 {
        tokio::task::yield_now().await;
    }
    asked(&run, 1).await;
    run.answer(CallNumber(2), &json!("D"), "ann").await.unwrap();
    assert_eq!(run.result::<Value>().await.unwrap(), json!(["A", "B", "D"]));
    let mut heard = second.asked.lock().unwrap().clone();
    heard.sort();
    assert_eq!(heard, ["a", "c"], "what was answered is not asked again");
}

#[tokio::test]
async fn x03_a_rewind_reuses_answers_by_key_and_proposes_those_to_the_same_words() {
    let (engine, backend) = engine_on(Arc::new(MemoryStore::new())).await;
    let body = |first: &str| {
        script(&format!(
            "const kept = await ask('Keep it?', {{ choices: ['yes', 'no'] }})
             const a = await agent('{first}')
             return [kept, a, await ask('Deploy?', {{ choices: [true, false] }})]"
        ))
    };
    let run = engine.start(body("one"), options()).await.unwrap();
    waits(&run).await;
    run.answer(CallNumber(0), &json!("yes"), "ann")
        .await
        .unwrap();
    asked(&run, 1).await;
    while run.questions().await.unwrap()[0].id != "a-2" {
        tokio::task::yield_now().await;
    }
    assert_eq!(run.questions().await.unwrap()[0].proposed, None);
    run.answer(CallNumber(2), &json!(true), "ann")
        .await
        .unwrap();
    assert_eq!(
        run.result::<Value>().await.unwrap(),
        json!(["yes", "one", true])
    );

    // Nothing has changed: nobody is asked.
    let again = engine.rewind(run.id(), RewindOptions::new()).await.unwrap();
    assert_eq!(
        again.result::<Value>().await.unwrap(),
        json!(["yes", "one", true])
    );
    assert_eq!(backend.prompts(), ["one"]);

    // What the second waits for has: it is asked again, and the old answer is no more than a proposal.
    let edited = || RewindOptions::new().script(body("two"));
    let told = engine.explain(run.id(), None, &edited()).await.unwrap();
    let fates: Vec<(String, String)> = told
        .calls
        .iter()
        .map(|call| (call.kind.clone(), format!("{:?}", call.fate)))
        .collect();
    let fate = |kind: &str, fate: &str| (kind.to_owned(), fate.to_owned());
    assert_eq!(
        fates,
        [
            fate("ask", "Reused"),
            fate("agent", "Again"),
            fate("ask", "Again")
        ]
    );
    let edited = engine.rewind(run.id(), edited()).await.unwrap();
    waits(&edited).await;
    let open = edited.questions().await.unwrap();
    assert_eq!((open.len(), open[0].id.as_str()), (1, "a-2"));
    assert_eq!(open[0].proposed, Some(json!(true)));
    edited
        .answer(CallNumber(2), &json!(false), "ann")
        .await
        .unwrap();
    assert_eq!(
        edited.result::<Value>().await.unwrap(),
        json!(["yes", "two", false])
    );
    assert_eq!(backend.prompts(), ["one", "two"]);
}

#[tokio::test]
async fn x03_a_question_that_is_to_be_asked_again_is_with_the_old_answer_proposed() {
    let (engine, backend) = engine().await;
    let body = "const go = await ask('Go?'); return [go, await agent('then ' + go)]";
    let run = engine.start(script(body), options()).await.unwrap();
    waits(&run).await;
    run.answer(CallNumber(0), &json!("left"), "ann")
        .await
        .unwrap();
    run.wait().await;
    let again = RewindOptions::new().again([CallNumber(0)]);
    let again = engine.rewind(run.id(), again).await.unwrap();
    waits(&again).await;
    assert_eq!(asked(&again, 1).await[0].proposed, Some(json!("left")));
    // The same answer is another one all the same: what waited for it runs again.
    again
        .answer(CallNumber(0), &json!("left"), "ann")
        .await
        .unwrap();
    assert_eq!(
        again.result::<Value>().await.unwrap(),
        json!(["left", "then left"])
    );
    assert_eq!(backend.prompts(), ["then left", "then left"]);
}

#[tokio::test]
async fn x03_a_question_that_nobody_can_answer_is_refused() {
    let (engine, _) = engine().await;
    let body = "const tried = []
        for (const options of [{ schema: { type: 'nothing' } }, { schema: { type: 'string' }, default: 5 }]) {
            try { await ask('x', options) } catch (error) { tried.push(error.code) }
        }
        return tried";
    let run = engine.start(script(body), options()).await.unwrap();
    assert_eq!(
        run.result::<Value>().await.unwrap(),
        json!(["SCHEMA_MALFORMED", "DEFAULT"])
    );
}

#[tokio::test]
async fn x03_the_dry_backend_answers_for_people() {
    let engine = Engine::builder()
        .memory()
        .backend("dry", Arc::new(Dry))
        .build()
        .await
        .unwrap();
    let body = "return [
        await ask('a', { default: 7 }), await ask('b', { choices: ['x', 'y'] }),
        await ask('c', { schema: { type: 'boolean' } }), await ask('d'),
    ]";
    let run = engine
        .start(script(body), StartOptions::new().backend("dry"))
        .await
        .unwrap();
    assert_eq!(
        run.result::<Value>().await.unwrap(),
        json!([7, "x", true, "a person's answer"])
    );
}
