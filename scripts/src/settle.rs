//! What a promise of the script comes to: a settlement in the form that its function of the contract gives.

use std::borrow::Cow;

use bellwether_journal::record::FailureKind;
use rquickjs::{Ctx, Value};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::command::{About, Answer, Nothing, Settlement, Target};
use crate::state::{Form, Pending};
use crate::vm::{Entry, call};
use crate::waiting;

/// Settles the promise of `pending`.
pub(crate) fn settle(
    ctx: &Ctx<'_>,
    pending: Pending,
    settlement: &Settlement,
) -> rquickjs::Result<()> {
    let (Some(resolve), reject) = waiting::take(ctx, pending.slot) else {
        return Err(rquickjs::Error::Unknown);
    };
    let refuse = |code: &str, message: &str, is_cap: bool| {
        let name = error_name(code);
        call(
            ctx,
            Entry::Refuse,
            (reject.clone(), code, name, message, is_cap),
        )
    };
    let parsed = |text: &str| match ctx.json_parse(text) {
        Ok(value) => resolve.call((value,)),
        Err(_) => call(ctx, Entry::RefuseValue, (reject.clone(), ctx.catch())),
    };
    match (&settlement.answer, pending.form) {
        (Answer::Fired, _) => resolve.call((Value::new_undefined(ctx.clone()),)),
        (Answer::Refused { code, message }, _) => {
            let is_cap = matches!(code.as_str(), "AGENT_CAP" | "BUDGET");
            refuse(code, message, is_cap)
        }
        // That money or tokens are used up is no failure of the agent, which is to be told from `null` (P04).
        (
            Answer::Nothing(Nothing::Failed {
                kind: FailureKind::Budget,
                message,
            }),
            _,
        ) => refuse("BUDGET", message, true),
        // Of an empty text the prelude says what it says of any value that is no JSON.
        (Answer::Value(text), Form::Attempt) => {
            parsed(&attempted(settlement, Ok(text.as_ref())).unwrap_or_default())
        }
        (Answer::Nothing(nothing), Form::Attempt) => {
            parsed(&attempted(settlement, Err(nothing)).unwrap_or_default())
        }
        (Answer::Value(text), Form::Value | Form::Landing) => match plain_string(text) {
            Some(plain) => resolve.call((plain.as_ref(),)),
            None => parsed(text),
        },
        (Answer::Nothing(nothing), Form::Landing) => refuse("MERGE", why(nothing).1, false),
        (Answer::Nothing(nothing), Form::Value) => match nothing {
            Nothing::Failed {
                kind: FailureKind::Schema,
                message,
            } => refuse("SCHEMA", message, false),
            _ => resolve.call((Value::new_null(ctx.clone()),)),
        },
    }
}

/// What `attempt()` gives.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Attempted<'a> {
    ok: bool,
    value: Option<&'a RawValue>,
    error: Option<Error<'a>>,
    usage: Used,
    agent_id: String,
    worktree: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Error<'a> {
    kind: &'a str,
    message: &'a str,
    attempts: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Used {
    input_tokens: u64,
    output_tokens: u64,
    /// In dollars.
    cost: Option<f64>,
}

/// A record of how it went, as JSON text.
fn attempted(settlement: &Settlement, came: Result<&str, &Nothing>) -> serde_json::Result<String> {
    let About {
        usage,
        cost,
        attempts,
        worktree,
    } = &settlement.about;
    let error = came.err().map(|nothing| {
        let (kind, message) = why(nothing);
        Error {
            kind,
            message,
            attempts: *attempts,
        }
    });
    let number = match settlement.target {
        Target::Call(number) => number.0,
        Target::Timer(timer) => timer.0,
    };
    serde_json::to_string(&Attempted {
        ok: error.is_none(),
        value: came.ok().map(serde_json::from_str).transpose()?,
        error,
        usage: Used {
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            cost: cost.map(|millionths| millionths as f64 / 1e6),
        },
        agent_id: format!("a-{number}"),
        worktree: worktree.as_deref().map(serde_json::from_str).transpose()?,
    })
}

/// Kind and message of a missing value.
fn why(nothing: &Nothing) -> (&str, &str) {
    match nothing {
        Nothing::Failed { kind, message } => (kind.name(), message),
        Nothing::Skipped => ("skipped", "a person skipped it"),
        Nothing::Cancelled => ("cancelled", "it was stopped"),
    }
}

/// The text of a JSON string, the most frequent answer, without a way through the interpreter's parser.
fn plain_string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if inner
        .bytes()
        .all(|byte| byte != b'\\' && byte != b'"' && byte >= b' ')
    {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(json).ok().map(Cow::Owned)
}

/// `AGENT_CAP` -> `AgentCapError`.
fn error_name(code: &str) -> String {
    let mut name = String::with_capacity(code.len() + 5);
    for word in code.split('_') {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(&letters.as_str().to_ascii_lowercase());
    }
    name + "Error"
}
