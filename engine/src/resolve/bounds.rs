//! Time limits and retries as calls and files of agent types write them (X01).

use std::time::Duration;

use bellwether_actors::restart::Retries;
use bellwether_journal::record::FailureKind;
use serde_json::{Map, Value};

use super::limited::Stall;

/// Above this, whole numbers of JSON are not exact any more.
const TOKENS_MAX: f64 = 9_007_199_254_740_991.0;
/// More dollars than anybody pays for an agent.
const DOLLARS_MAX: f64 = 1e9;
/// What an agent can fail of and be tried again.
const RETRIED: [FailureKind; 7] = [
    FailureKind::RateLimit,
    FailureKind::Quota,
    FailureKind::Transport,
    FailureKind::Timeout,
    FailureKind::Refused,
    FailureKind::Crash,
    FailureKind::Other,
];
/// What an agent may be at when it gives no sign of life.
const AT: [&str; 3] = ["silent", "tool", "person"];

/// A number for whatever the agent fails of, or an object with one for each of some kinds.
///
/// # Errors
/// What it is instead, and what to give: the rest of a sentence about it.
pub(crate) fn retries(value: &Value) -> Result<Retries, String> {
    let Value::Object(kinds) = value else {
        return count(value, 0).map(Retries::all);
    };
    let mut retries = Retries::default();
    for (kind, value) in given(kinds) {
        let Some(known) = RETRIED.iter().find(|known| known.name() == kind) else {
            return Err(unknown(kind, &RETRIED.map(FailureKind::name)));
        };
        let count = count(value, 0).map_err(|error| within(kind, &error))?;
        retries = retries.of(*known, count);
    }
    Ok(retries)
}

/// A time for whatever the agent is at, or an object with one for each of what it may be at, as `duration` reads times.
///
/// # Errors
/// As [`retries`].
pub(crate) fn stall(
    value: &Value,
    duration: impl Fn(&Value) -> Result<Duration, String>,
) -> Result<Stall, String> {
    let Value::Object(times) = value else {
        return duration(value).map(Stall::all);
    };
    let mut stall = Stall::default();
    for (at, value) in given(times) {
        let time = match at.as_str() {
            "silent" => &mut stall.silent,
            "tool" => &mut stall.tool,
            "person" => &mut stall.person,
            _ => return Err(unknown(at, &AT)),
        };
        *time = Some(duration(value).map_err(|error| within(at, &error))?);
    }
    Ok(stall)
}

/// A number of tokens, from 1.
///
/// # Errors
/// As [`retries`].
pub(crate) fn tokens(value: &Value) -> Result<u64, String> {
    let count = value
        .as_f64()
        .filter(|count| *count >= 1.0 && count.fract() == 0.0);
    let count = count.filter(|count| *count <= TOKENS_MAX);
    // It is whole and small enough to be the same number.
    #[expect(clippy::cast_sign_loss, reason = "it is at least 1")]
    count.map(|count| count as u64).ok_or_else(|| {
        format!(
            "is {}; give a whole number of tokens from 1 on",
            kind(value)
        )
    })
}

/// A sum of money in dollars, in millionths of one.
///
/// # Errors
/// As [`retries`].
pub(crate) fn dollars(value: &Value) -> Result<u64, String> {
    let dollars = value
        .as_f64()
        .filter(|dollars| *dollars >= 1e-6 && *dollars <= DOLLARS_MAX);
    #[expect(clippy::cast_sign_loss, reason = "it is above 0")]
    dollars
        .map(|dollars| (dollars * 1e6).round() as u64)
        .ok_or_else(|| {
            format!(
                "is {}; give a number of dollars above 0, such as 0.5",
                kind(value)
            )
        })
}

/// Milliseconds, or an ISO 8601 duration.
///
/// # Errors
/// As [`retries`].
pub(crate) fn duration(value: &Value) -> Result<Duration, String> {
    let milliseconds = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => bellwether_scripts::duration_milliseconds(text),
        _ => None,
    };
    milliseconds
        .filter(|milliseconds| *milliseconds >= 1.0)
        .and_then(|milliseconds| Duration::try_from_secs_f64(milliseconds / 1_000.0).ok())
        .ok_or_else(|| {
            let kind = kind(value);
            format!("is {kind}; give milliseconds, or an ISO 8601 duration such as 'PT10M'")
        })
}

/// An ISO 8601 duration: in a file a number could be seconds as well.
///
/// # Errors
/// As [`retries`].
#[cfg(feature = "agent-files")]
pub(crate) fn spoken_duration(value: &Value) -> Result<Duration, String> {
    let known = matches!(value, Value::String(_)).then(|| duration(value).ok());
    known.flatten().ok_or_else(|| {
        let kind = kind(value);
        format!("is {kind}; give an ISO 8601 duration such as PT10M")
    })
}

/// A whole number.
///
/// # Errors
/// As [`retries`].
pub(crate) fn count(value: &Value, least: u32) -> Result<u32, String> {
    let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
    count
        .filter(|count| *count >= least)
        .ok_or_else(|| format!("is {}; give a whole number from {least}", kind(value)))
}

/// What a value is, for an error about it.
pub(crate) fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(is) => is.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.is_empty() => "an empty string".to_owned(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "such an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// The members that say something.
fn given(members: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    members.iter().filter(|(_, value)| !value.is_null())
}

fn unknown(member: &str, known: &[&str]) -> String {
    format!("has no `{member}`; there is: {}", known.join(", "))
}

fn within(member: &str, error: &str) -> String {
    format!("has a `{member}` that {error}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn x01_tokens_are_whole_and_money_is_in_dollars() {
        assert_eq!(tokens(&json!(50_000)), Ok(50_000));
        assert_eq!(tokens(&json!(2e6)), Ok(2_000_000));
        assert_eq!(dollars(&json!(0.5)), Ok(500_000));
        assert_eq!(dollars(&json!(12)), Ok(12_000_000));
        for wrong in [json!(0), json!(-5), json!(1.5), json!("9"), json!(1e300)] {
            let error = tokens(&wrong).err();
            assert!(
                error.is_some_and(|error| error.contains("tokens from 1 on")),
                "{wrong}"
            );
        }
        for wrong in [json!(0), json!(-0.5), json!("$5"), json!(1e300)] {
            let error = dollars(&wrong).err();
            assert!(
                error.is_some_and(|error| error.contains("such as 0.5")),
                "{wrong}"
            );
        }
    }

    #[test]
    fn x01_retries_are_one_number_or_one_a_kind() {
        assert_eq!(retries(&json!(2)), Ok(Retries::all(2)));
        let by_kind = json!({ "crash": 1, "rate_limit": 9, "timeout": null });
        let expected = Retries::default()
            .of(FailureKind::Crash, 1)
            .of(FailureKind::RateLimit, 9);
        assert_eq!(retries(&by_kind), Ok(expected));
        for (value, expected) in [
            (json!(-1), "is -1; give a whole number from 0"),
            (json!("2"), "is a string; give a whole number from 0"),
            (
                json!({ "schema": 1 }),
                "has no `schema`; there is: rate_limit, quota, transport, timeout, refused, crash, other",
            ),
            (
                json!({ "crash": 1.5 }),
                "has a `crash` that is 1.5; give a whole number from 0",
            ),
        ] {
            assert_eq!(retries(&value), Err(expected.to_owned()));
        }
    }

    #[test]
    fn x01_a_stall_is_one_time_or_one_for_what_the_agent_is_at() {
        let minute = Duration::from_mins(1);
        assert_eq!(stall(&json!("PT1M"), duration), Ok(Stall::all(minute)));
        let by_class = json!({ "silent": 60_000, "tool": "PT1H" });
        let expected = Stall {
            silent: Some(minute),
            tool: Some(60 * minute),
            person: None,
        };
        assert_eq!(stall(&by_class, duration), Ok(expected));
        for (value, expected) in [
            (
                json!({ "model": 1 }),
                "has no `model`; there is: silent, tool, person",
            ),
            (
                json!({ "tool": 0 }),
                "has a `tool` that is 0; give milliseconds, or an ISO 8601 duration such as 'PT10M'",
            ),
        ] {
            assert_eq!(stall(&value, duration), Err(expected.to_owned()));
        }
    }
}
