//! What a failed model call means: read from its status, its headers and its body.
//!
//! A streamed call hides both: a status that is no success arrives as `Error::WebStream` around a boxed error, so the
//! inner one is looked for. What fails within an answer that had begun with status 200 has a body only.

use std::time::Duration;

use genai::Error;
use genai::webc::StreamTimeout;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// A fault's text is cut after so many bytes: some providers send the request back.
const MESSAGE_BYTES_MAX: usize = 600;

/// Why a model call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    pub(super) message: String,
    pub(super) retry_after: Option<Duration>,
    /// The provider says that the same call will fail again.
    pub(super) is_final: bool,
}

/// The kinds of faults, by what is to be done about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FaultKind {
    /// Too many requests or tokens at once.
    RateLimit,
    /// Credit, plan or daily quota is used up.
    Quota,
    /// The provider has too much to do.
    Overloaded,
    /// The provider's own fault.
    Server,
    /// It was not reached, the connection was lost, or what came is no answer.
    Transport,
    /// It fell silent.
    Timeout,
    /// Key or rights.
    Denied,
    /// The attempt's budget is spent.
    Budget,
    /// The request is longer than the model's context.
    ContextTooLong,
    /// The provider will not do this.
    Refused,
    /// The request is at fault in another way.
    Invalid,
    /// Anything else.
    Other,
}

impl Fault {
    pub(super) fn new(kind: FaultKind, message: impl AsRef<str>) -> Self {
        Self {
            kind,
            message: clip(message.as_ref()),
            retry_after: None,
            is_final: false,
        }
    }

    /// What `error`, of a call or of its stream, means.
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::HttpError {
                status,
                body,
                headers,
                ..
            } => Self::of_status(*status, headers, body),
            Error::WebStream { error, cause, .. } => {
                if let Some(inner) = error.downcast_ref::<Error>() {
                    return Self::of(inner);
                }
                if let Some(timeout) = error.downcast_ref::<StreamTimeout>() {
                    return Self::new(FaultKind::Timeout, timeout.to_string());
                }
                Self::new(FaultKind::Transport, with_sources(error.as_ref(), cause))
            }
            Error::WebModelCall { webc_error, .. } | Error::WebAdapterCall { webc_error, .. } => {
                match (webc_error.status(), webc_error.headers()) {
                    (Some(status), Some(headers)) => {
                        Self::of_status(status, headers, &webc_error.to_string())
                    }
                    _ => Self::new(FaultKind::Transport, webc_error.to_string()),
                }
            }
            // An error within a stream that had begun well.
            Error::ChatResponse { body, .. } => Self::of_body(body),
            // A stream that ends in `response.failed` comes like this too: its text is all there is of it.
            Error::StreamParse { serde_error, .. } => {
                let text = serde_error.to_string();
                let kind = told(&text.to_lowercase()).unwrap_or(FaultKind::Transport);
                Self::new(kind, format!("the stream is no answer: {text}"))
            }
            Error::JsonValueExt(error) => Self::new(
                FaultKind::Transport,
                format!("the stream is no answer: {error}"),
            ),
            other => Self::new(FaultKind::Other, other.to_string()),
        }
    }

    fn of_status(status: StatusCode, headers: &HeaderMap, body: &str) -> Self {
        let json: Option<Value> = serde_json::from_str(body).ok();
        let words = body.to_lowercase();
        let kind = match status.as_u16() {
            // Only the gateway speaks of budgets; providers speak of balance and credits.
            402 if is_quota(&words) => FaultKind::Quota,
            402 => FaultKind::Budget,
            401 | 403 => FaultKind::Denied,
            408 => FaultKind::Transport,
            413 => FaultKind::ContextTooLong,
            429 => told(&words).unwrap_or(FaultKind::RateLimit),
            400 | 422 => told(&words).unwrap_or(FaultKind::Invalid),
            503 | 529 => FaultKind::Overloaded,
            500..=599 => told(&words)
                .filter(|kind| *kind != FaultKind::Invalid)
                .unwrap_or(FaultKind::Server),
            // A model that there is not, an address that is wrong: not what the request says, but that it is sent there.
            _ => told(&words)
                .filter(|kind| *kind != FaultKind::Invalid)
                .unwrap_or(FaultKind::Other),
        };
        let text = json.as_ref().and_then(message).unwrap_or(body);
        Self {
            kind,
            message: clip(&format!("HTTP {}: {text}", status.as_u16())),
            retry_after: retry_after(headers).or_else(|| json.as_ref().and_then(retry_delay)),
            is_final: headers
                .get("x-should-retry")
                .is_some_and(|value| value == "false"),
        }
    }

    fn of_body(body: &Value) -> Self {
        let words = body.to_string().to_lowercase();
        let kind = told(&words).unwrap_or(FaultKind::Server);
        Self {
            retry_after: retry_delay(body),
            ..Self::new(kind, message(body).unwrap_or(&words))
        }
    }
}

/// What an error's words, in lower case, say for certain.
fn told(words: &str) -> Option<FaultKind> {
    let says = |any: &[&str]| any.iter().any(|phrase| words.contains(phrase));
    if says(&[
        "context_length_exceeded",
        "context length",
        "prompt is too long",
        "exceed context limit",
        "context window",
        "context size",
        "exceeds the maximum number of tokens",
        "model_context_window_exceeded",
        "request_too_large",
    ]) {
        Some(FaultKind::ContextTooLong)
    } else if is_quota(words) {
        Some(FaultKind::Quota)
    } else if says(&["overloaded", "currently overloaded", "model is busy"]) {
        Some(FaultKind::Overloaded)
    } else if says(&[
        "rate_limit",
        "rate limit",
        "resource_exhausted",
        "too many requests",
    ]) {
        Some(FaultKind::RateLimit)
    } else if says(&[
        "content_filter",
        "content policy",
        "usage policy",
        "safety_check",
        "invalid_prompt",
    ]) {
        Some(FaultKind::Refused)
    } else if says(&[
        "authentication_error",
        "permission_error",
        "invalid_api_key",
        "api key not valid",
    ]) {
        Some(FaultKind::Denied)
    } else if says(&["invalid_request_error", "invalid_argument"]) {
        Some(FaultKind::Invalid)
    } else {
        None
    }
}

fn is_quota(words: &str) -> bool {
    [
        "insufficient_quota",
        "billing_hard_limit",
        "billing_not_active",
        "exceeded your current quota, please check your plan",
        "credit balance",
        "insufficient balance",
        "insufficient credits",
        "usage limits",
        "regain access on",
        // Gemini's quota of a day, which its `RetryInfo` plays down.
        "perday",
    ]
    .iter()
    .any(|phrase| words.contains(phrase))
}

/// The sentence in an error's body: each wire puts it in `message`, some of them two levels down.
fn message(body: &Value) -> Option<&str> {
    let error = body.get("error").unwrap_or(body);
    error
        .get("message")
        .or_else(|| error.get("error").and_then(|inner| inner.get("message")))
        .and_then(Value::as_str)
        .or_else(|| error.as_str())
}

/// When to try again, by the headers. A date is counted from the answer's own, so no clock is asked.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    if let Some(milliseconds) = text("retry-after-ms").and_then(|value| value.parse::<f64>().ok()) {
        return seconds(milliseconds / 1_000.0);
    }
    let value = text("retry-after")?;
    if let Ok(number) = value.parse::<f64>() {
        return seconds(number);
    }
    let then = httpdate::parse_http_date(value).ok()?;
    let date = httpdate::parse_http_date(text("date")?).ok()?;
    Some(then.duration_since(date).unwrap_or_default())
}

/// Gemini's `RetryInfo`: `"retryDelay": "34.5s"` somewhere in `details`.
fn retry_delay(body: &Value) -> Option<Duration> {
    let error = body.get("error").unwrap_or(body);
    let delay = error
        .get("details")?
        .as_array()?
        .iter()
        .find_map(|detail| detail.get("retryDelay")?.as_str())?;
    seconds(delay.strip_suffix('s')?.parse().ok()?)
}

fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number).ok()
}

/// An error with what caused it: of a lost connection the outermost says little.
fn with_sources(error: &(dyn std::error::Error + 'static), cause: &str) -> String {
    let mut text = cause.to_owned();
    let mut source = error.source();
    while let Some(inner) = source {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = inner.source();
    }
    text
}

fn clip(text: &str) -> String {
    let text = text.trim();
    if text.len() <= MESSAGE_BYTES_MAX {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MESSAGE_BYTES_MAX);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};
    use serde_json::json;

    use super::*;

    fn fault(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Fault {
        let status = StatusCode::from_u16(status).unwrap_or_else(|error| panic!("{error}"));
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        Fault::of_status(status, &headers, body)
    }

    #[test]
    fn kinds_by_status_and_words() {
        use FaultKind::*;
        for (status, body, kind) in [
            (
                429,
                r#"{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed"}}"#,
                RateLimit,
            ),
            (
                429,
                r#"{"error":{"code":"rate_limit_exceeded","message":"Rate limit reached for gpt"}}"#,
                RateLimit,
            ),
            (
                429,
                r#"{"error":{"code":"insufficient_quota","message":"You exceeded your current quota, please check your plan"}}"#,
                Quota,
            ),
            (
                429,
                r#"{"error":{"status":"RESOURCE_EXHAUSTED","message":"Quota exceeded for metric"}}"#,
                RateLimit,
            ),
            (
                429,
                r#"{"error":{"status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"GenerateRequestsPerDayPerProject"}]}]}}"#,
                Quota,
            ),
            (
                429,
                r#"{"error":{"message":"You have reached your specified API usage limits. You will regain access on 2026-12-01"}}"#,
                Quota,
            ),
            (429, "", RateLimit),
            (
                400,
                r#"{"error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}"#,
                Quota,
            ),
            (
                400,
                r#"{"error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
                ContextTooLong,
            ),
            (
                400,
                r#"{"error":{"code":"context_length_exceeded","message":"maximum context length is 8192"}}"#,
                ContextTooLong,
            ),
            (
                400,
                r#"{"error":{"status":"INVALID_ARGUMENT","message":"The input token count (9) exceeds the maximum number of tokens allowed (8)."}}"#,
                ContextTooLong,
            ),
            (
                413,
                r#"{"error":{"type":"request_too_large"}}"#,
                ContextTooLong,
            ),
            (
                400,
                r#"{"error":{"code":"content_filter","message":"no"}}"#,
                Refused,
            ),
            (
                400,
                r#"{"error":{"message":"Unsupported parameter: reasoning_effort"}}"#,
                Invalid,
            ),
            (
                400,
                r#"{"error":"the input length exceeds the context length"}"#,
                ContextTooLong,
            ),
            (422, "{}", Invalid),
            (
                404,
                r#"{"error":{"type":"invalid_request_error","message":"The model does not exist"}}"#,
                Other,
            ),
            (
                402,
                r#"{"error":{"message":"The budget of this agent is spent."}}"#,
                Budget,
            ),
            (
                402,
                r#"{"error":{"message":"Insufficient Balance"}}"#,
                Quota,
            ),
            (401, "", Denied),
            (
                403,
                r#"{"error":{"message":"may not use this model"}}"#,
                Denied,
            ),
            (529, r#"{"error":{"type":"overloaded_error"}}"#, Overloaded),
            (503, "", Overloaded),
            (
                500,
                r#"{"error":{"message":"Internal server error"}}"#,
                Server,
            ),
            (502, "bad gateway", Server),
            (302, "", Other),
        ] {
            assert_eq!(fault(status, &[], body).kind, kind, "{status} {body}");
        }
    }

    #[test]
    fn when_to_try_again() {
        let after = |headers: &[(&'static str, &'static str)], body: &str| {
            fault(429, headers, body).retry_after
        };
        assert_eq!(
            after(&[("retry-after", "7")], ""),
            Some(Duration::from_secs(7))
        );
        assert_eq!(
            after(&[("retry-after", "1.5"), ("retry-after-ms", "250")], ""),
            Some(Duration::from_millis(250))
        );
        let dates = [
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("retry-after", "Sun, 06 Nov 1994 08:50:00 GMT"),
        ];
        assert_eq!(after(&dates, ""), Some(Duration::from_secs(23)));
        assert_eq!(after(&dates[1..], ""), None);
        for bad in ["-1", "NaN", "inf", "1e300", "soon"] {
            assert_eq!(after(&[("retry-after", bad)], ""), None, "{bad}");
        }
        let body = r#"{"error":{"details":[{"@type":"QuotaFailure"},{"retryDelay":"34.5s"}]}}"#;
        assert_eq!(after(&[], body), Some(Duration::from_millis(34_500)));
        assert!(fault(500, &[("x-should-retry", "false")], "").is_final);
    }

    #[test]
    fn what_fails_within_a_stream() {
        let of = |body| Fault::of_body(&body).kind;
        assert_eq!(
            of(
                json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
            ),
            FaultKind::Overloaded
        );
        assert_eq!(
            of(json!({"message": "Error in input stream", "type": "server_error"})),
            FaultKind::Server
        );
        assert_eq!(
            of(json!({"code": "rate_limit_exceeded", "message": "slow down"})),
            FaultKind::RateLimit
        );
    }

    #[test]
    fn the_sentence_is_found_and_bounded() {
        let told = fault(
            400,
            &[],
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"no such thing"}}"#,
        );
        assert_eq!(told.message, "HTTP 400: no such thing");
        assert_eq!(
            fault(404, &[], r#"{"error":"model not found"}"#).message,
            "HTTP 404: model not found"
        );
        let long = fault(400, &[], &"ä".repeat(2_000)).message;
        assert!(long.len() < 700 && long.ends_with('…'));
    }
}
