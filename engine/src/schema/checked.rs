//! A backend whose answers are checked (S02): one that does not fit goes back to the agent with all that is wrong with it.

use std::sync::Arc;

use bellwether_actors::backend::{
    AgentBackend, AgentOutcome, AttemptContext, Changes, Ended, ProgressEvent, Task, Violation,
};
use bellwether_journal::record::{Failure, FailureKind, Usage};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Schema;

/// Answers that are asked for in all.
const ANSWERS_MAX: u32 = 5;
/// A longer answer, in bytes, is checked on a thread where that may take its time.
const BYTES_AT_ONCE: usize = 64 << 10;
/// Of an answer that does not fit so much is kept as evidence, in bytes.
const EVIDENCE_BYTES_MAX: usize = 2 << 10;

/// Asks `inner` until its answer fits the schema, five times in all.
///
/// That an answer was refused is noted before the next is asked for, so that five is also the number of answers of a call
/// whose engine died on the way.
pub(crate) struct Checked {
    inner: Arc<dyn AgentBackend>,
    schema: Arc<Schema>,
}

impl Checked {
    pub(crate) const fn new(inner: Arc<dyn AgentBackend>, schema: Arc<Schema>) -> Self {
        Self { inner, schema }
    }
}

impl AgentBackend for Checked {
    fn run(&self, task: Arc<Task>, context: AttemptContext) -> BoxFuture<'static, Ended> {
        let (inner, schema) = (Arc::clone(&self.inner), Arc::clone(&self.schema));
        ask(inner, schema, task, context).boxed()
    }

    fn fingerprint(&self) -> String {
        self.inner.fingerprint()
    }
}

async fn ask(
    inner: Arc<dyn AgentBackend>,
    schema: Arc<Schema>,
    mut task: Arc<Task>,
    context: AttemptContext,
) -> Ended {
    let mut spent = Spent::default();
    let mut refused = refused_before(&task.notes);
    loop {
        if context.cancelled.is_cancelled() || context.killed.is_cancelled() {
            return spent.ended(AgentOutcome::Cancelled);
        }
        let ended = inner.run(Arc::clone(&task), context.clone()).await;
        let outcome = spent.add(ended);
        let AgentOutcome::Completed(answer) = outcome else {
            return spent.ended(outcome);
        };
        let violations = match judge(&schema, &answer).await {
            Verdict::Fits(value) => return spent.ended(AgentOutcome::Completed(value)),
            Verdict::Violates(violations) => violations,
            Verdict::Broken(message) => {
                return spent.ended(failed(FailureKind::Other, message, None));
            }
        };
        refused += 1;
        if refused >= ANSWERS_MAX {
            return spent.ended(given_up(&violations, &answer));
        }
        let note = Note {
            schema: Refused { refused },
        };
        let noted = context
            .notes
            .note(serde_json::to_string(&note).unwrap_or_default())
            .await;
        if noted.is_err() {
            // Another attempt has taken its place, or the run is being stopped.
            return spent.ended(AgentOutcome::Cancelled);
        }
        context.progress.report(ProgressEvent {
            token: task.token,
            event: progress(refused, &violations),
        });
        let mut again = Task::clone(&task);
        again.violations = violations;
        again.previous_answer = Some(answer);
        task = Arc::new(again);
    }
}

/// What the answers of an attempt have come to together.
#[derive(Default)]
struct Spent {
    usage: Usage,
    changes: Vec<Changes>,
    written: Option<String>,
}

impl Spent {
    fn add(&mut self, ended: Ended) -> AgentOutcome {
        let Usage {
            input_tokens,
            output_tokens,
        } = ended.usage;
        self.usage.input_tokens = self.usage.input_tokens.saturating_add(input_tokens);
        self.usage.output_tokens = self.usage.output_tokens.saturating_add(output_tokens);
        self.changes.extend(ended.changes);
        self.written = ended.written;
        ended.outcome
    }

    fn ended(self, outcome: AgentOutcome) -> Ended {
        Ended {
            changes: self.changes,
            written: self.written,
            ..Ended::new(outcome, self.usage)
        }
    }
}

/// What an attempt notes of itself: `{"schema": {"refused": 2}}`.
#[derive(Serialize, Deserialize)]
struct Note {
    schema: Refused,
}

#[derive(Serialize, Deserialize)]
struct Refused {
    refused: u32,
}

/// How many answers of the call were refused already, by attempts before this one. One is asked for in any case.
fn refused_before(notes: &[Arc<str>]) -> u32 {
    let count = |note: &Arc<str>| {
        let note: Note = serde_json::from_str(note).ok()?;
        Some(note.schema.refused)
    };
    let before = notes.iter().filter_map(count).max();
    before.unwrap_or(0).min(ANSWERS_MAX - 1)
}

/// How a call ends whose agent answers `answer` whenever it is asked.
pub(crate) fn outcome_of(schema: &Schema, answer: &Arc<str>) -> AgentOutcome {
    match check(schema, answer) {
        Verdict::Fits(value) => AgentOutcome::Completed(value),
        Verdict::Violates(violations) => given_up(&violations, answer),
        Verdict::Broken(message) => failed(FailureKind::Other, message, None),
    }
}

enum Verdict {
    /// The value, which may be what was within a text.
    Fits(Arc<str>),
    Violates(Vec<Violation>),
    /// The check itself did not end.
    Broken(String),
}

async fn judge(schema: &Arc<Schema>, answer: &Arc<str>) -> Verdict {
    if answer.len() <= BYTES_AT_ONCE && !schema.has_patterns {
        return check(schema, answer);
    }
    let (schema, answer) = (Arc::clone(schema), Arc::clone(answer));
    let checking = tokio::task::spawn_blocking(move || check(&schema, &answer));
    checking
        .await
        .unwrap_or_else(|error| Verdict::Broken(format!("checking the answer met a bug: {error}")))
}

/// Whether an answer fits: as it is, or, if it is a text, by the JSON that the text is. Values keep their bytes (A08).
fn check(schema: &Schema, answer: &Arc<str>) -> Verdict {
    let value: Value = match serde_json::from_str(answer) {
        Ok(value) => value,
        Err(error) => return Verdict::Violates(vec![unreadable(&error)]),
    };
    let violations = schema.violations(&value);
    if violations.is_empty() {
        return Verdict::Fits(Arc::clone(answer));
    }
    let Value::String(text) = value else {
        return Verdict::Violates(violations);
    };
    let text = text.trim();
    match serde_json::from_str::<Value>(text) {
        Ok(within) => {
            let of_within = schema.violations(&within);
            if of_within.is_empty() {
                Verdict::Fits(text.into())
            } else if within.is_object() || within.is_array() {
                Verdict::Violates(of_within)
            } else {
                Verdict::Violates(violations)
            }
        }
        // It begins as a list or an object does: that it is none is what its author can mend.
        Err(error) if text.starts_with(['{', '[']) => Verdict::Violates(vec![unreadable(&error)]),
        Err(_) => Verdict::Violates(violations),
    }
}

fn unreadable(error: &serde_json::Error) -> Violation {
    Violation {
        path: String::new(),
        message: format!("it is no JSON that can be checked: {error}"),
    }
}

fn progress(refused: u32, violations: &[Violation]) -> Arc<str> {
    let event = serde_json::json!({
        "event": { "type": "schema", "refused": refused, "of": ANSWERS_MAX, "violations": violations },
    });
    event.to_string().into()
}

/// How a call fails whose last answer did not fit either.
fn given_up(violations: &[Violation], answer: &str) -> AgentOutcome {
    let lines: Vec<String> = violations.iter().map(line).collect();
    let message = format!(
        "none of {ANSWERS_MAX} answers fitted the schema; in the last one {}",
        lines
            .iter()
            .take(3)
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("; ")
    );
    let shown = &answer[..answer.floor_char_boundary(EVIDENCE_BYTES_MAX)];
    let rest = if shown.len() < answer.len() {
        "…"
    } else {
        ""
    };
    let evidence = format!("{}\nthe last answer: {shown}{rest}", lines.join("\n"));
    failed(FailureKind::Schema, message, Some(evidence))
}

fn line(violation: &Violation) -> String {
    let Violation { path, message } = violation;
    if path.is_empty() {
        message.clone()
    } else {
        format!("at {path}: {message}")
    }
}

fn failed(kind: FailureKind, message: String, evidence: Option<String>) -> AgentOutcome {
    AgentOutcome::Failed(Failure {
        kind,
        message,
        evidence,
        retry_after: None,
    })
}

#[cfg(test)]
mod tests;
