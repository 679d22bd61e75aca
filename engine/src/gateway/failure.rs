//! Sorts providers' errors by what is to be done about them. Pure.

use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;

use super::meter::{CallFailure, CallFailureKind as Kind};
use super::wait;

/// As much of a provider's words is kept, in letters.
const MESSAGE_LETTERS_MAX: usize = 1_000;

/// What an error says, whichever wire it came by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reported {
    /// `code`, `type` and `status`, where they are words.
    words: Vec<String>,
    message: String,
    /// Gemini's names of the quotas that are used up.
    quotas: Vec<String>,
    /// Gemini's `retryDelay`.
    delay: Option<Duration>,
    /// The seconds until a plan's limit is lifted, and the moment in seconds since 1970.
    resets_in: Option<u64>,
    resets_at: Option<u64>,
}

/// Where the time of an error's headers stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard<'a> {
    pub(super) headers: &'a HeaderMap,
    /// Milliseconds since 1970 where the answer has no `date` of its own.
    pub(super) now: u64,
}

impl Reported {
    /// Reads an error's body or event. Whatever it is, it is read.
    pub(super) fn read(body: &[u8]) -> Self {
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            let text = String::from_utf8_lossy(body);
            return Self {
                message: shortened(text.trim()),
                ..Self::default()
            };
        };
        // Gemini answers a stream that is no event stream with a list.
        let value = value.get(0).unwrap_or(&value);
        let error = value
            .get("error")
            .or_else(|| value.pointer("/response/error"))
            .unwrap_or(value);
        let text = |name: &str| error.get(name).and_then(Value::as_str);
        let message = match error {
            Value::String(message) => message.as_str(),
            _ => text("message")
                .or_else(|| text("detail"))
                .unwrap_or_default(),
        };
        let mut reported = Self {
            words: ["code", "type", "status"]
                .iter()
                .filter_map(|name| text(name))
                .map(str::to_ascii_lowercase)
                .collect(),
            message: shortened(message),
            resets_in: error.get("resets_in_seconds").and_then(Value::as_u64),
            resets_at: error.get("resets_at").and_then(Value::as_u64),
            ..Self::default()
        };
        if reported.message.is_empty() {
            reported.message = shortened(&error.to_string());
        }
        for detail in error
            .get("details")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            if let Some(delay) = detail.get("retryDelay").and_then(Value::as_str) {
                reported.delay = wait::duration(delay);
            }
            let violations = detail.get("violations").and_then(Value::as_array);
            for violation in violations.into_iter().flatten() {
                if let Some(quota) = violation.get("quotaId").and_then(Value::as_str) {
                    reported.quotas.push(quota.to_ascii_lowercase());
                }
            }
        }
        reported
    }

    fn says(&self, words: &[&str]) -> bool {
        self.words.iter().any(|word| words.contains(&word.as_str()))
    }

    fn reads(&self, phrases: &[&str]) -> bool {
        let message = self.message.to_lowercase();
        phrases.iter().any(|phrase| message.contains(phrase))
    }
}

/// Credit or plan, in providers' own words.
const QUOTA_WORDS: &[&str] = &[
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "billing_error",
    "quota_exceeded",
    "usage_limit_reached",
    "usage_not_included",
    "insufficient_balance",
    "insufficient_credits",
    "account_deactivated",
];
const QUOTA_PHRASES: &[&str] = &[
    "usage limits",
    "regain access",
    "credit balance is too low",
    "insufficient balance",
    "insufficient credits",
    "billing hard limit",
    "exceeded your current quota, please check your plan and billing",
    "monthly spend",
];
const RATE_WORDS: &[&str] = &[
    "rate_limit_error",
    "rate_limit_exceeded",
    "tokens",
    "requests",
];
const OVERLOADED_WORDS: &[&str] = &[
    "overloaded_error",
    "server_is_overloaded",
    "slow_down",
    "engine_overloaded",
    "unavailable",
];
const AUTH_WORDS: &[&str] = &[
    "authentication_error",
    "invalid_api_key",
    "permission_error",
    "permission_denied",
    "unauthenticated",
];
const INVALID_WORDS: &[&str] = &[
    "invalid_request_error",
    "invalid_prompt",
    "invalid_argument",
    "not_found_error",
    "request_too_large",
    "context_length_exceeded",
];

/// Sorts an error. `status` is 200 where the error stands within an answer that had begun well.
pub(super) fn sort(
    status: Option<u16>,
    reported: &Reported,
    heard: Option<Heard<'_>>,
) -> CallFailure {
    let kind = kind(status, reported);
    let retry_after = if matches!(kind, Kind::RateLimit | Kind::Quota | Kind::Overloaded) {
        retry_after(reported, heard)
    } else {
        None
    };
    CallFailure {
        status,
        kind,
        message: reported.message.clone(),
        retry_after,
    }
}

fn kind(status: Option<u16>, reported: &Reported) -> Kind {
    // Gemini calls both a rate and a day's quota RESOURCE_EXHAUSTED; the quota's name tells them apart.
    let is_daily = reported.quotas.iter().any(|quota| quota.contains("perday"));
    if status == Some(402)
        || is_daily
        || reported.says(QUOTA_WORDS)
        // Gemini says the same of a rate, and names the quota.
        || (reported.quotas.is_empty() && reported.delay.is_none() && reported.reads(QUOTA_PHRASES))
    {
        return Kind::Quota;
    }
    match status {
        Some(429) => Kind::RateLimit,
        Some(401 | 403) => Kind::Auth,
        Some(503 | 529) => Kind::Overloaded,
        Some(408) => Kind::Server,
        Some(400..=499) => Kind::Invalid,
        _ if reported.says(OVERLOADED_WORDS) => Kind::Overloaded,
        _ if reported.says(RATE_WORDS) || reported.says(&["resource_exhausted"]) => Kind::RateLimit,
        _ if reported.says(AUTH_WORDS) => Kind::Auth,
        _ if reported.says(INVALID_WORDS) => Kind::Invalid,
        _ => Kind::Server,
    }
}

/// When it may be tried again: what is said to be so first, then what can be concluded.
fn retry_after(reported: &Reported, heard: Option<Heard<'_>>) -> Option<Duration> {
    let now = heard.map(|heard| wait::now(heard.headers, heard.now));
    let until = |seconds: u64| {
        let moment = seconds.saturating_mul(1_000);
        now.map(|now| Duration::from_millis(moment.saturating_sub(now)))
    };
    heard
        .and_then(|heard| wait::said(heard.headers, heard.now))
        .or(reported.delay)
        .or(reported.resets_in.map(Duration::from_secs))
        .or_else(|| reported.resets_at.and_then(until))
        .or_else(|| wait::try_again_in(&reported.message))
        // A day that has passed renewed nothing: when that comes is not known.
        .or_else(|| until(wait::access_again_on(&reported.message)?).filter(|wait| !wait.is_zero()))
        .or_else(|| heard.and_then(|heard| wait::reset(heard.headers, heard.now)))
        .filter(|wait| *wait <= wait::WAIT_MAX)
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_LETTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
