//! What an agent wrote to stdout, read: an answer object, an error object, or text.

use std::fmt;

use bellwether_journal::record::{Failure, FailureKind, Millis, Usage};
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::time;

/// An agent's answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// The value as JSON text, as the agent wrote it.
    Value(String, Usage),
    /// What went wrong, as far as the agent says.
    Error(Failure, Usage),
}

/// The parts of a JSON object that mean something here, unread. Of several parts with one name the last counts.
#[derive(Default)]
pub(super) struct Parts<'a> {
    value: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    usage: Option<&'a RawValue>,
    event: bool,
    /// `runId`, `agentId`, `attempt`, `idempotencyKey`.
    names: [Option<&'a RawValue>; 4],
}

impl<'de> Deserialize<'de> for Parts<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Parts<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parts<'de>, A::Error> {
                let mut parts = Parts::default();
                while let Some(name) = map.next_key::<String>()? {
                    let part = match name.as_str() {
                        "value" => &mut parts.value,
                        "error" => &mut parts.error,
                        "usage" => &mut parts.usage,
                        "runId" => &mut parts.names[0],
                        "agentId" => &mut parts.names[1],
                        "attempt" => &mut parts.names[2],
                        "idempotencyKey" => &mut parts.names[3],
                        other => {
                            parts.event |= other == "event";
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *part = Some(map.next_value()?);
                }
                Ok(parts)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl<'a> Parts<'a> {
    /// The parts of `text`, if it is one JSON object and nothing else.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        // Most output is not JSON; this look is cheaper than a parser's error.
        let looks_like_it = text.starts_with('{') && text.ends_with('}');
        looks_like_it.then(|| serde_json::from_str(text).ok())?
    }

    /// Is it progress?
    pub(super) fn is_event(&self) -> bool {
        self.event && self.value.is_none() && self.error.is_none()
    }

    /// Does it name another task than the one with these names? Names that are not given fit.
    pub(super) fn names_another(&self, run: &str, agent: &str, attempt: u32, key: &str) -> bool {
        let [named_run, named_agent, named_attempt, named_key] = self.names;
        let differs = |named: Option<&RawValue>, name: Value| {
            named.is_some_and(|named| {
                serde_json::from_str::<Value>(named.get())
                    .ok()
                    .is_none_or(|named| named != name)
            })
        };
        differs(named_run, run.into())
            || differs(named_agent, agent.into())
            || differs(named_attempt, attempt.into())
            || differs(named_key, key.into())
    }

    /// The answer in it, if it is one.
    pub(super) fn answer(&self, now: &dyn Fn() -> Millis) -> Option<Answer> {
        let usage = self.usage.map(usage).unwrap_or_default();
        match (self.error.filter(|error| error.get() != "null"), self.value) {
            (Some(error), _) => Some(Answer::Error(failure(error, now), usage)),
            (None, Some(value)) => Some(Answer::Value(value.get().to_owned(), usage)),
            (None, None) => None,
        }
    }
}

/// The answer in all that an agent wrote (without its progress).
pub(super) fn read(output: &str, now: &dyn Fn() -> Millis) -> Answer {
    let trimmed = output.trim_start_matches('\u{feff}').trim();
    let object = if trimmed.starts_with('{') {
        Parts::of(trimmed)
    } else {
        None
    };
    let answer = match object {
        // One object is one answer or one text: its lines are not looked at.
        Some(object) => object.answer(now),
        None => trimmed
            .lines()
            .rev()
            .find_map(|line| Parts::of(line.trim())?.answer(now)),
    };
    answer.unwrap_or_else(|| {
        let text = output.strip_suffix('\n').unwrap_or(output);
        let text = text.strip_suffix('\r').unwrap_or(text);
        Answer::Value(json_string(text), Usage::default())
    })
}

fn json_string(text: &str) -> String {
    Value::from(text).to_string()
}

fn usage(raw: &RawValue) -> Usage {
    let counts: Value = serde_json::from_str(raw.get()).unwrap_or_default();
    let count = |name: &str| counts.get(name).and_then(Value::as_u64).unwrap_or(0);
    Usage {
        input_tokens: count("inputTokens"),
        output_tokens: count("outputTokens"),
    }
}

fn failure(raw: &RawValue, now: &dyn Fn() -> Millis) -> Failure {
    let error: Value = serde_json::from_str(raw.get()).unwrap_or_default();
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    let kind = text("kind").and_then(|kind| serde_json::from_value(Value::from(kind)).ok());
    // `{"error": "text"}` and objects without a message are shown as they came.
    let message = text("message")
        .or(error.as_str())
        .unwrap_or(raw.get())
        .to_owned();
    let retry_after = error.get("retryAfter").and_then(time::wait).or_else(|| {
        let resets_at = error.get("resetsAt").and_then(time::moment)?;
        Some(resets_at.saturating_sub(now()))
    });
    Failure {
        kind: kind.unwrap_or(FailureKind::Other),
        message,
        evidence: None,
        retry_after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Millis {
        1_000
    }

    fn value(output: &str) -> String {
        match read(output, &now) {
            Answer::Value(value, _) => value,
            Answer::Error(failure, _) => panic!("{failure:?}"),
        }
    }

    fn error(output: &str) -> Failure {
        match read(output, &now) {
            Answer::Error(failure, _) => failure,
            Answer::Value(value, _) => panic!("{value}"),
        }
    }

    #[test]
    fn a08_values_are_kept_byte_for_byte() {
        for text in [
            r#"{"z":1,"a":{"y":[1e400,12345678901234567890,-0.0,1.50]},"":"\ud800\u0000"}"#,
            "null",
            "[ 1,\t2 ]",
            r#""{\"value\": 2}""#,
        ] {
            assert_eq!(
                value(&format!("{{\"usage\": {{}}, \"value\": {text} }}\n")),
                text
            );
        }
        assert_eq!(
            value("{\n  \"value\": [\n    {\"value\": 1}\n  ]\n}\n"),
            "[\n    {\"value\": 1}\n  ]"
        );
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(value(&format!("{{\"value\":{deep}}}")), deep);
    }

    #[test]
    fn the_last_answer_counts() {
        assert_eq!(value("working\n{\"value\": 1}\n{\"value\": 2}\nbye\n"), "2");
        assert_eq!(value("{\"value\": 1, \"value\": 2}"), "2");
        assert_eq!(value("{\"value\": 1, \"error\": null}"), "1");
    }

    #[test]
    fn everything_else_is_text() {
        for (output, text) in [
            ("", ""),
            ("\n", ""),
            ("two\nlines\n\n", "two\nlines\n"),
            ("dos\r\n", "dos"),
            ("{\"result\": 1}", "{\"result\": 1}"),
            ("{\"value\": }", "{\"value\": }"),
            ("{\"value\": 1} trailing", "{\"value\": 1} trailing"),
            ("{", "{"),
            ("}", "}"),
            ("{\"value\": 01}", "{\"value\": 01}"),
        ] {
            assert_eq!(value(output), json_string(text), "{output}");
        }
    }

    #[test]
    fn errors_say_what_can_be_done_about_them() {
        let failure = error(
            r#"{"error": {"kind": "rate_limit", "message": "slow down", "retryAfter": "500ms"}}"#,
        );
        assert_eq!(
            (failure.kind, failure.retry_after),
            (FailureKind::RateLimit, Some(500))
        );
        assert_eq!(failure.message, "slow down");
        let failure = error(
            r#"{"error": {"kind": "quota", "resetsAt": "1970-01-01T00:00:03Z"}, "value": 1}"#,
        );
        assert_eq!(
            (failure.kind, failure.retry_after),
            (FailureKind::Quota, Some(2000))
        );
        for name in [
            "rate_limit",
            "quota",
            "transport",
            "timeout",
            "refused",
            "crash",
            "other",
        ] {
            let kind = error(&format!(
                r#"{{"error": {{"kind": "{name}", "message": ""}}}}"#
            ))
            .kind;
            assert_eq!(kind.name(), name);
        }
        for (output, message) in [
            (r#"{"error": "no"}"#, "no"),
            (r#"{"error": {"kind": 7}}"#, r#"{"kind": 7}"#),
            (r#"{"error": 1e400}"#, "1e400"),
        ] {
            let failure = error(output);
            assert_eq!(
                (failure.kind, failure.message.as_str()),
                (FailureKind::Other, message)
            );
        }
    }

    #[test]
    fn usage_is_read_where_it_makes_sense() {
        let used = |usage: &str| match read(&format!("{{\"value\": 1, \"usage\": {usage}}}"), &now)
        {
            Answer::Value(_, usage) | Answer::Error(_, usage) => {
                (usage.input_tokens, usage.output_tokens)
            }
        };
        assert_eq!(used(r#"{"inputTokens": 3, "outputTokens": 4}"#), (3, 4));
        for usage in [
            "null",
            "[]",
            r#"{"inputTokens": -1, "outputTokens": "4"}"#,
            "1e400",
        ] {
            assert_eq!(used(usage), (0, 0));
        }
    }

    #[test]
    fn another_tasks_answer_is_known() {
        let names = |text: &'static str| {
            Parts::of(text).is_some_and(|parts| parts.names_another("r-1", "a-2", 3, "k"))
        };
        assert!(!names(r#"{"value": 1}"#));
        assert!(!names(
            r#"{"agentId": "a-2", "attempt": 3, "runId": "r-1", "idempotencyKey": "k"}"#
        ));
        for other in [
            r#"{"agentId": "a-1"}"#,
            r#"{"attempt": 2}"#,
            r#"{"runId": null}"#,
            r#"{"idempotencyKey": 1e400}"#,
        ] {
            assert!(names(other), "{other}");
        }
    }
}
