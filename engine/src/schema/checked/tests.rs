//! Agents that answer wrongly before they answer rightly.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::sync::Mutex;

use bellwether_actors::backend::{Notes, Progress, Word};
use serde_json::json;
use tokio::sync::mpsc;

use super::*;
use crate::backend::fixtures::{context, task};

/// Gives its answers one after the other, and keeps the tasks that it was given.
#[derive(Default)]
struct InTurn {
    answers: Mutex<VecDeque<Ended>>,
    tasks: Mutex<Vec<Arc<Task>>>,
}

impl AgentBackend for InTurn {
    fn run(&self, task: Arc<Task>, _: AttemptContext) -> BoxFuture<'static, Ended> {
        self.tasks.lock().unwrap().push(task);
        let answer = self.answers.lock().unwrap().pop_front().unwrap();
        Box::pin(async { answer })
    }

    fn fingerprint(&self) -> String {
        "in turn".to_owned()
    }
}

fn value(text: &str) -> Ended {
    let usage = Usage {
        input_tokens: 10,
        output_tokens: 1,
    };
    Ended::new(AgentOutcome::Completed(text.into()), usage)
}

/// A context whose notes are durable at once, and those notes.
fn noting() -> (AttemptContext, Arc<Mutex<Vec<Arc<str>>>>) {
    let kept: Arc<Mutex<Vec<Arc<str>>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let take = move |_, word: Word| {
        if let Word::Note(note, durable) = word {
            keep.lock().unwrap().push(note);
            durable.send(()).unwrap();
        }
    };
    let mut context = context();
    context.notes = Notes::new(task(0, None).token, Arc::new(take));
    (context, kept)
}

struct Asked {
    ended: Ended,
    tasks: Vec<Arc<Task>>,
    notes: Vec<Arc<str>>,
}

async fn ask(schema: Value, answers: impl IntoIterator<Item = Ended>, notes: &[&str]) -> Asked {
    let inner = Arc::new(InTurn {
        answers: Mutex::new(answers.into_iter().collect()),
        ..InTurn::default()
    });
    let checked = Checked::new(
        Arc::clone(&inner) as Arc<_>,
        Arc::new(Schema::compile(&schema).unwrap()),
    );
    assert_eq!(checked.fingerprint(), "in turn");
    let (context, kept) = noting();
    let mut first = Arc::unwrap_or_clone(task(0, None));
    first.notes = notes.iter().map(|&note| note.into()).collect();
    let ended = checked.run(Arc::new(first), context).await;
    let tasks = inner.tasks.lock().unwrap().clone();
    let notes = kept.lock().unwrap().clone();
    Asked {
        ended,
        tasks,
        notes,
    }
}

fn count() -> Value {
    json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}})
}

#[tokio::test]
async fn s02_a_wrong_answer_goes_back_with_all_that_is_wrong_with_it() {
    let right = r#"{"n": 2, "a": 1}"#;
    let answers = [value(r#"{"m": 1}"#), value(r#"{"n": "two"}"#), value(right)];
    let asked = ask(count(), answers, &[]).await;
    // Byte for byte (A08), and all three answers were paid for.
    let usage = Usage {
        input_tokens: 30,
        output_tokens: 3,
    };
    assert_eq!(
        asked.ended,
        Ended::new(AgentOutcome::Completed(right.into()), usage)
    );
    let seen: Vec<(Option<&str>, Vec<&str>)> = asked
        .tasks
        .iter()
        .map(|task| {
            let paths = task.violations.iter().map(|violation| &*violation.path);
            (task.previous_answer.as_deref(), paths.collect())
        })
        .collect();
    assert_eq!(
        seen,
        [
            (None, vec![]),
            (Some(r#"{"m": 1}"#), vec![""]),
            (Some(r#"{"n": "two"}"#), vec!["/n"]),
        ]
    );
    assert_eq!(
        asked.tasks[2].violations[0].message,
        "\"two\" is not of type \"integer\""
    );
    assert_eq!(asked.tasks[2].prompt, asked.tasks[0].prompt);
}

#[tokio::test]
async fn s02_the_fifth_wrong_answer_is_the_last() {
    let asked = ask(count(), (0..9).map(|n| value(&n.to_string())), &[]).await;
    assert_eq!(asked.tasks.len(), 5);
    assert_eq!(asked.ended.usage.output_tokens, 5);
    let AgentOutcome::Failed(failure) = asked.ended.outcome else {
        panic!("{:?}", asked.ended)
    };
    assert_eq!(failure.kind, FailureKind::Schema);
    assert_eq!(
        failure.message,
        "none of 5 answers fitted the schema; in the last one 4 is not of type \"object\""
    );
    assert!(failure.evidence.unwrap().ends_with("the last answer: 4"));
}

#[tokio::test]
async fn s02_five_is_the_number_of_answers_of_a_call_over_its_attempts() {
    let asked = ask(count(), [value("1"), value("2"), value("{\"n\": 1}")], &[]).await;
    let notes: Vec<&str> = asked.notes.iter().map(|note| &**note).collect();
    assert_eq!(
        notes,
        [r#"{"schema":{"refused":1}}"#, r#"{"schema":{"refused":2}}"#]
    );
    // An attempt that takes over asks only as often as there is left to ask, and knows its notes from those of others.
    let notes = [r#"{"land":1}"#, notes[0], notes[1]];
    let asked = ask(count(), (0..9).map(|n| value(&n.to_string())), &notes).await;
    assert_eq!(asked.tasks.len(), 3);
    let last = r#"{"schema":{"refused":9}}"#;
    assert_eq!(ask(count(), [value("1")], &[last]).await.tasks.len(), 1);
}

#[tokio::test]
async fn s02_only_answers_are_checked() {
    let failed = Ended::failed(FailureKind::Transport, "gone");
    let asked = ask(count(), [value("1"), failed.clone()], &[]).await;
    assert_eq!(asked.ended.outcome, failed.outcome);
    assert_eq!(asked.ended.usage.output_tokens, 1);
    let asked = ask(count(), [Ended::cancelled()], &[]).await;
    assert_eq!(asked.ended, Ended::cancelled());
}

#[tokio::test]
async fn s02_what_every_answer_changed_is_told() {
    let changing = |answer: &str, base: &str| Ended {
        changes: vec![Changes {
            attempt: task(0, None).token.attempt,
            branch: None,
            base: base.to_owned(),
            commit: None,
            files: Vec::new(),
            diff: "".into(),
        }],
        ..value(answer)
    };
    let answers = [changing("1", "one"), changing("{\"n\": 1}", "two")];
    let ended = ask(count(), answers, &[]).await.ended;
    let bases: Vec<&str> = ended.changes.iter().map(|changes| &*changes.base).collect();
    assert_eq!(bases, ["one", "two"]);
}

#[tokio::test]
async fn s02_a_text_that_is_json_is_the_json() {
    let text = |text: &str| value(&Value::from(text).to_string());
    for (schema, answer, expected) in [
        (count(), text(" {\"n\": 1.0}\n"), "{\"n\": 1.0}"),
        (json!({"type": "integer"}), text("7"), "7"),
        // A text that is asked for stays one.
        (json!({"type": "string"}), text("7"), "\"7\""),
        (json!({}), text("{}"), "\"{}\""),
    ] {
        let ended = ask(schema, [answer], &[]).await.ended;
        assert_eq!(ended.outcome, AgentOutcome::Completed(expected.into()));
    }
    for (schema, answer, message) in [
        (
            count(),
            text("Sorry."),
            "\"Sorry.\" is not of type \"object\"",
        ),
        (count(), text("{\"m\": 1}"), "\"n\" is a required property"),
        (count(), text("{n: 1}"), "it is no JSON that can be checked"),
        (
            json!({"type": "string", "minLength": 3}),
            text("7"),
            "shorter than 3",
        ),
        (
            count(),
            value("{\"n\": 1e400}"),
            "it is no JSON that can be checked",
        ),
    ] {
        let asked = ask(schema, [answer, Ended::cancelled()], &[]).await;
        let told = &asked.tasks[1].violations[0].message;
        assert!(told.contains(message), "{told}, not {message}");
    }
}

#[tokio::test]
async fn s02_an_attempt_that_is_cancelled_or_replaced_asks_no_more() {
    // Whoever takes notes says that the attempt was replaced.
    let inner = Arc::new(InTurn::default());
    inner
        .answers
        .lock()
        .unwrap()
        .extend([value("1"), value("2")]);
    let schema = Arc::new(Schema::compile(&count()).unwrap());
    let checked = Checked::new(Arc::clone(&inner) as Arc<_>, schema);
    let ended = checked.run(task(0, None), context()).await;
    assert_eq!(ended.outcome, AgentOutcome::Cancelled);
    assert_eq!(inner.tasks.lock().unwrap().len(), 1);

    // Cancelled while it answers: that answer may still do, but no other is asked for.
    let (mut context, _) = noting();
    let (sender, mut progress) = mpsc::channel(4);
    context.progress = Progress::new(sender);
    let token = context.cancelled.clone();
    let take = move |_, word: Word| {
        token.cancel();
        if let Word::Note(_, durable) = word {
            durable.send(()).unwrap();
        }
    };
    context.notes = Notes::new(task(0, None).token, Arc::new(take));
    let ended = checked.run(task(0, None), context.clone()).await;
    assert_eq!(ended.outcome, AgentOutcome::Cancelled);
    assert_eq!(ended.usage.output_tokens, 1);
    let event: Value = serde_json::from_str(&progress.recv().await.unwrap().event).unwrap();
    assert_eq!(
        (&event["event"]["refused"], &event["event"]["of"]),
        (&json!(1), &json!(5))
    );
    let ended = checked.run(task(0, None), context).await;
    assert_eq!(ended, Ended::cancelled());
}

#[tokio::test]
async fn s02_a_long_answer_is_checked_without_holding_up_others() {
    let long = format!("{{\"n\": 1, \"x\": \"{}\"}}", "x".repeat(BYTES_AT_ONCE));
    let ended = ask(count(), [value(&long)], &[]).await.ended;
    assert_eq!(ended.outcome, AgentOutcome::Completed(long.into()));
    // A pattern that would take for ever ends, and counts as one that does not match.
    let schema = json!({"pattern": "^(a|aa)+(?=b)$"});
    let hard = value(&Value::from("a".repeat(60) + "c").to_string());
    let asked = ask(schema, [hard, Ended::cancelled()], &[]).await;
    assert_eq!(asked.tasks.len(), 2);
}
