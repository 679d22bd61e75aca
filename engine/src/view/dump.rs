//! Every record as it is: as JSON for programs, as a line for people.

use std::fmt::Write as _;

use bellwether_journal::codec::Entry;
use bellwether_journal::id::Attempt;
use bellwether_journal::record::{
    Actor, CallReused, CallScheduled, CallSettled, Cancellation, Failure, GenerationOpened,
    GenerationRewound, Order, Outcome, Policy, Record, RunEnded, RunStarted, Usage,
};
use bellwether_journal::text::Text;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::run::agent_id;
use super::time::Timestamp;

/// Characters of a text that a line shows.
const EXCERPT: usize = 60;

/// One record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DumpLine {
    /// Its place in the run.
    pub position: u64,
    /// When it was written.
    pub at: Timestamp,
    /// Its kind.
    pub kind: String,
    /// The hash over it and all before it.
    pub chain: String,
    /// What it says. A text that lies outside its record is `{"payload" | "shared": hash, "bytes": n}`.
    pub record: Value,
    /// The same as a line for people.
    pub text: String,
}

impl DumpLine {
    /// Shows a record.
    #[must_use]
    pub(crate) fn new(entry: &Entry) -> Self {
        let Entry {
            position,
            at,
            chain,
            record,
        } = entry;
        let kind = record.kind().name();
        Self {
            position: position.0,
            at: Timestamp(*at),
            kind: kind.to_owned(),
            chain: chain.to_hex(),
            record: value(record),
            text: printable(&format!(
                "{position:>6} {} {kind:<16} {}",
                Timestamp(*at),
                words(record)
            )),
        }
    }
}

fn value(record: &Record) -> Value {
    match record {
        Record::RunStarted(started) => started_value(started),
        Record::GenerationOpened(opened) => opened_value(opened),
        Record::CallScheduled(call) => call_value(call),
        Record::AttemptStarted(started) => {
            json!({ "agentId": agent_id(started.call), "attempt": started.attempt.0 })
        }
        Record::AttemptAdopted(adopted) => json!({
            "agentId": agent_id(adopted.call),
            "attempt": adopted.attempt.0,
            "generation": adopted.generation.0,
            "from": agent_id(adopted.from),
            "startedAt": Timestamp(adopted.started_at),
            "idempotencyKey": adopted.idempotency_key.to_hex(),
            "notes": adopted.notes.len(),
        }),
        Record::UsageCounted(used) => json!({
            "agentId": agent_id(used.call),
            "attempt": used.attempt.0,
            "counted": used.counted,
        }),
        Record::ModelAsked(asked) => json!({
            "agentId": agent_id(asked.call),
            "attempt": asked.attempt.0,
            "model": asked.model,
        }),
        Record::AttemptFailed(failed) => json!({
            "agentId": agent_id(failed.call),
            "attempt": failed.attempt.0,
            "failure": failure_value(&failed.failure),
            "usage": failed.usage,
            "retryAt": Timestamp(failed.retry_at),
        }),
        Record::CallSettled(settled) => settled_value(settled),
        Record::TimerFired(fired) => json!({ "timer": fired.timer.0 }),
        Record::CallRefused(refused) => json!({
            "agentId": agent_id(refused.call),
            "code": refused.code,
            "message": refused.message,
        }),
        Record::Logged(logged) => json!({
            "turn": logged.turn,
            "ordinal": logged.ordinal,
            "level": logged.level,
            "text": logged.text,
        }),
        Record::PhaseEntered(entered) => json!({
            "turn": entered.turn,
            "ordinal": entered.ordinal,
            "title": entered.title,
        }),
        Record::StatusChanged(changed) => json!({
            "status": changed.status,
            "by": actor(&changed.by),
            "reason": changed.reason,
        }),
        Record::Recovered(recovered) => json!({ "epoch": recovered.epoch.0 }),
        Record::OrchestratorLost(lost) => json!({ "at": lost.at.0, "message": lost.message }),
        Record::RunEnded(ended) => json!({
            "status": ended.status,
            "result": ended.result.as_ref().map(text_value),
            "error": ended.error,
            "by": actor(&ended.by),
        }),
        Record::ChangesKept(kept) => json!({
            "agentId": agent_id(kept.call),
            "attempt": kept.attempt.0,
            "branch": kept.branch,
            "base": kept.base,
            "commit": kept.commit,
            "files": kept.files,
            "fileCount": kept.file_count,
            "diff": text_value(&kept.diff),
        }),
        Record::StepNoted(noted) => json!({
            "agentId": agent_id(noted.call),
            "attempt": noted.attempt.0,
            "note": text_value(&noted.note),
        }),
        Record::Noticed(noticed) => json!({ "text": noticed.text }),
        Record::GenerationRewound(rewound) => rewound_value(rewound),
        Record::CallReused(reused) => reused_value(reused),
        Record::TimerElapsed(elapsed) => json!({
            "timer": elapsed.timer.0,
            "key": elapsed.key.to_hex(),
            "time": Timestamp(elapsed.time),
            "from": elapsed.from.map(|timer| timer.0),
        }),
        Record::TimerArmed(armed) => json!({ "timer": armed.timer.0, "at": Timestamp(armed.at) }),
        Record::Ordered(ordered) => json!({
            "order": order_value(&ordered.order),
            "by": actor(&ordered.by),
            "reason": ordered.reason,
        }),
    }
}

fn rewound_value(rewound: &GenerationRewound) -> Value {
    let mut value = opened_value(&rewound.opened);
    if let Some(fields) = value.as_object_mut() {
        fields.extend([
            ("keepFailed".to_owned(), json!(rewound.keep_failed)),
            ("options".to_owned(), text_value(&rewound.options)),
            ("scriptPath".to_owned(), json!(rewound.script_path)),
            ("epoch".to_owned(), json!(rewound.epoch.0)),
            ("by".to_owned(), json!(actor(&rewound.by))),
            ("reason".to_owned(), json!(rewound.reason)),
        ]);
    }
    value
}

fn reused_value(reused: &CallReused) -> Value {
    let settled = CallSettled {
        call: reused.call,
        attempt: Attempt(reused.attempts),
        outcome: reused.outcome.clone(),
        usage: reused.usage,
    };
    let mut value = settled_value(&settled);
    if let Some(fields) = value.as_object_mut() {
        fields.remove("attempt");
        fields.extend([
            ("from".to_owned(), json!(agent_id(reused.from))),
            ("attempts".to_owned(), json!(reused.attempts)),
            ("time".to_owned(), json!(Timestamp(reused.time))),
            ("version".to_owned(), json!(reused.version.to_hex())),
        ]);
    }
    value
}

fn order_value(order: &Order) -> Value {
    match order {
        Order::StopAgent(call) => json!({ "verb": "stop", "agentId": agent_id(*call) }),
        Order::SkipAgent(call) => json!({ "verb": "skip", "agentId": agent_id(*call) }),
        Order::RestartAgent(call) => json!({ "verb": "restart", "agentId": agent_id(*call) }),
        Order::Answer(call, answer) => json!({
            "verb": "answer",
            "agentId": agent_id(*call),
            "answer": text_value(answer),
        }),
        Order::SetLimits(limits) => json!({
            "verb": "set",
            "concurrency": limits.concurrency,
            "maxAgents": limits.agents,
        }),
        _ => json!({ "verb": "unknown" }),
    }
}

/// An order as people read it.
pub(crate) fn order_words(order: &Order) -> String {
    match order {
        Order::StopAgent(call) => format!("stop {}", agent_id(*call)),
        Order::SkipAgent(call) => format!("skip {}", agent_id(*call)),
        Order::RestartAgent(call) => format!("restart {}", agent_id(*call)),
        Order::Answer(call, answer) => format!("answer {}: {}", agent_id(*call), excerpt(answer)),
        Order::SetLimits(limits) => {
            let mut words = vec!["set".to_owned()];
            if let Some(limit) = limits.concurrency {
                words.push(format!("concurrency {limit}"));
            }
            if let Some(limit) = limits.agents {
                words.push(format!("max agents {limit}"));
            }
            words.join(" ")
        }
        _ => "an order of a newer version".to_owned(),
    }
}

fn started_value(started: &RunStarted) -> Value {
    json!({
        "name": started.name,
        "scriptPath": started.script_path,
        "options": text_value(&started.options),
        "workingDirectory": started.working_directory,
        "baseCommit": started.base_commit,
        "startedBy": started.started_by,
    })
}

fn opened_value(opened: &GenerationOpened) -> Value {
    let base = opened.base.map(|base| {
        json!({
            "runId": base.run.to_string(),
            "generation": base.generation.0,
            "cut": base.cut.0,
        })
    });
    let mut seed = String::with_capacity(64);
    for byte in opened.seed {
        // Writing to a String cannot fail.
        let _ = write!(seed, "{byte:02x}");
    }
    json!({
        "number": opened.number.0,
        "base": base,
        "script": text_value(&opened.script),
        "args": opened.args.as_ref().map(text_value),
        "vmIdentity": opened.vm_identity.to_hex(),
        "seed": seed,
        "time": Timestamp(opened.time),
        "dirty": opened.dirty.iter().copied().map(agent_id).collect::<Vec<_>>(),
        "policy": policy(opened.policy),
        "budgetTotal": opened.budget_total,
    })
}

fn call_value(call: &CallScheduled) -> Value {
    json!({
        "agentId": agent_id(call.call),
        "kind": call.kind.name(),
        "turn": call.turn,
        "content": call.content.to_hex(),
        "context": call.context.to_hex(),
        "key": call.key.to_hex(),
        "label": call.label,
        "phase": call.phase,
        "prompt": text_value(&call.prompt),
        "options": text_value(&call.options),
        "line": call.line,
    })
}

fn settled_value(settled: &CallSettled) -> Value {
    let CallSettled {
        call,
        attempt,
        outcome,
        usage,
    } = settled;
    let (status, value, failure, reason) = match outcome {
        Outcome::Completed(text) => ("completed", Some(text_value(text)), None, None),
        Outcome::Failed(failure) => ("failed", None, Some(failure_value(failure)), None),
        Outcome::Skipped => ("skipped", None, None, None),
        Outcome::Cancelled(why) => ("cancelled", None, None, Some(cancellation(*why))),
    };
    json!({
        "agentId": agent_id(*call),
        "attempt": attempt.0,
        "outcome": status,
        "value": value,
        "failure": failure,
        "reason": reason,
        "usage": usage,
    })
}

fn failure_value(failure: &Failure) -> Value {
    json!({
        "kind": failure.kind,
        "message": failure.message,
        "evidence": failure.evidence,
        "retryAfterMs": failure.retry_after,
    })
}

fn text_value(text: &Text) -> Value {
    match text {
        Text::Inline(text) => json!(text),
        Text::Payload(reference) => {
            json!({ "payload": reference.hash.to_hex(), "bytes": reference.bytes })
        }
        Text::Shared(reference) => {
            json!({ "shared": reference.hash.to_hex(), "bytes": reference.bytes })
        }
    }
}

pub(crate) fn actor(actor: &Actor) -> &str {
    match actor {
        Actor::Engine => "engine",
        Actor::Script => "script",
        Actor::Caller(name) => name,
    }
}

const fn policy(policy: Policy) -> &'static str {
    match policy {
        Policy::Causal => "causal",
        Policy::Prefix => "prefix",
        Policy::ReuseAll => "reuse-all",
    }
}

const fn cancellation(why: Cancellation) -> &'static str {
    match why {
        Cancellation::Person => "person",
        Cancellation::ScriptEnded => "script ended",
    }
}

fn words(record: &Record) -> String {
    match record {
        Record::RunStarted(started) => {
            format!("{} in {}", started.name, started.working_directory)
        }
        Record::GenerationOpened(opened) => format!(
            "{} {} script {}",
            opened.number,
            policy(opened.policy),
            excerpt(&opened.script)
        ),
        Record::CallScheduled(call) => format!(
            "{} {} turn {} key {} {}",
            agent_id(call.call),
            call.label.as_deref().unwrap_or_else(|| call.kind.name()),
            call.turn,
            &call.key.to_hex()[..8],
            excerpt(&call.prompt)
        ),
        Record::AttemptStarted(started) => {
            format!("{} attempt {}", agent_id(started.call), started.attempt)
        }
        Record::AttemptAdopted(adopted) => format!(
            "{} attempt {} goes on, {} of generation {}",
            agent_id(adopted.call),
            adopted.attempt,
            agent_id(adopted.from),
            adopted.generation
        ),
        Record::UsageCounted(used) => format!(
            "{} attempt {} has read {} and written {} tokens in {} calls of a model",
            agent_id(used.call),
            used.attempt,
            used.counted.input_tokens,
            used.counted.output_tokens,
            used.counted.requests
        ),
        Record::ModelAsked(asked) => format!(
            "{} attempt {} asks {}",
            agent_id(asked.call),
            asked.attempt,
            asked.model
        ),
        Record::AttemptFailed(failed) => format!(
            "{} attempt {} {}; again at {}",
            agent_id(failed.call),
            failed.attempt,
            failure_words(&failed.failure),
            Timestamp(failed.retry_at)
        ),
        Record::CallSettled(settled) => settled_words(settled),
        Record::TimerFired(fired) => format!("timer {}", fired.timer),
        Record::CallRefused(refused) => {
            let call = agent_id(refused.call);
            format!("{call} {}: {}", refused.code, one_line(&refused.message))
        }
        Record::Logged(logged) => format!(
            "turn {} ordinal {} {}",
            logged.turn,
            logged.ordinal,
            one_line(&logged.text)
        ),
        Record::PhaseEntered(entered) => {
            format!(
                "turn {} ordinal {} {}",
                entered.turn, entered.ordinal, entered.title
            )
        }
        Record::StatusChanged(changed) => {
            let reason = changed.reason.as_deref().unwrap_or_default();
            let words = format!(
                "{} by {} {reason}",
                changed.status.name(),
                actor(&changed.by)
            );
            words.trim_end().to_owned()
        }
        Record::Recovered(recovered) => format!("epoch {}", recovered.epoch),
        Record::OrchestratorLost(lost) => format!("at {}: {}", lost.at, one_line(&lost.message)),
        Record::RunEnded(ended) => ended_words(ended),
        Record::ChangesKept(kept) => {
            let place = kept.branch.as_deref().unwrap_or("a patch");
            format!(
                "{} attempt {} {} files in {place}",
                agent_id(kept.call),
                kept.attempt,
                kept.file_count
            )
        }
        Record::StepNoted(noted) => format!(
            "{} attempt {} {}",
            agent_id(noted.call),
            noted.attempt,
            excerpt(&noted.note)
        ),
        Record::Noticed(noticed) => one_line(&noticed.text),
        Record::GenerationRewound(rewound) => {
            let opened = &rewound.opened;
            let base = opened.base.map_or_else(String::new, |base| {
                format!(" from generation {} of {}", base.generation, base.run)
            });
            format!(
                "generation {}{base} by {}",
                opened.number,
                actor(&rewound.by)
            )
        }
        Record::CallReused(reused) => format!(
            "{} has the answer of {} of the generation before",
            agent_id(reused.call),
            agent_id(reused.from)
        ),
        Record::TimerElapsed(elapsed) => match elapsed.from {
            Some(_) => format!("timer {} as before", elapsed.timer),
            None => format!("timer {}", elapsed.timer),
        },
        Record::TimerArmed(armed) => {
            format!("timer {} wakes at {}", armed.timer, Timestamp(armed.at))
        }
        Record::Ordered(ordered) => {
            let reason = ordered.reason.as_deref().unwrap_or_default();
            let order = order_words(&ordered.order);
            let words = format!("{order} by {} {reason}", actor(&ordered.by));
            words.trim_end().to_owned()
        }
    }
}

fn settled_words(settled: &CallSettled) -> String {
    let CallSettled {
        call,
        attempt,
        outcome,
        usage,
    } = settled;
    let Usage {
        input_tokens,
        output_tokens,
    } = usage;
    let outcome = match outcome {
        Outcome::Completed(text) => format!("completed {}", excerpt(text)),
        Outcome::Failed(failure) => format!("failed {}", failure_words(failure)),
        Outcome::Skipped => "skipped".to_owned(),
        Outcome::Cancelled(why) => format!("cancelled ({})", cancellation(*why)),
    };
    let call = agent_id(*call);
    format!("{call} attempt {attempt} {outcome} ({input_tokens} in, {output_tokens} out)")
}

fn ended_words(ended: &RunEnded) -> String {
    let mut words = format!("{} by {}", ended.status.name(), actor(&ended.by));
    if let Some(error) = &ended.error {
        words = format!("{words} {}: {}", error.name, one_line(&error.message));
    }
    if let Some(result) = &ended.result {
        words = format!("{words} {}", excerpt(result));
    }
    words
}

fn failure_words(failure: &Failure) -> String {
    format!("{}: {}", failure.kind.name(), one_line(&failure.message))
}

/// The beginning of a text, or where it lies.
fn excerpt(text: &Text) -> String {
    match text {
        Text::Inline(text) => one_line(text),
        Text::Payload(reference) | Text::Shared(reference) => {
            format!(
                "<{} bytes, {}>",
                reference.bytes,
                &reference.hash.to_hex()[..8]
            )
        }
    }
}

/// The beginning of a text.
fn one_line(text: &str) -> String {
    let mut characters = text.chars();
    let mut line: String = characters.by_ref().take(EXCERPT).collect();
    if characters.next().is_some() {
        line.push('…');
    }
    line
}

/// Without anything that would break the line or drive a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
