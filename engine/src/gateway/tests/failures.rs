//! Providers' errors, sorted.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::super::CallFailureKind::{
    self as Kind, Auth, Invalid, Overloaded, Quota, RateLimit, Server,
};
use super::super::failure::{Heard, Reported, sort};
use super::super::wait;

/// 2023-11-14T22:13:20Z.
const NOW: u64 = 1_700_000_000_000;

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect()
}

type Case<'a> = (
    u16,
    &'a [(&'static str, &'static str)],
    &'a str,
    Kind,
    Option<f64>,
);

#[test]
fn errors_by_status_headers_and_words() {
    let table: &[Case<'_>] = &[
        // Anthropic.
        (
            429,
            &[("retry-after", "7")],
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed"}}"#,
            RateLimit,
            Some(7.0),
        ),
        (
            400,
            &[],
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}"#,
            Quota,
            None,
        ),
        (
            400,
            &[],
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits. You will regain access on 2023-11-16 at 00:00 UTC."}}"#,
            Quota,
            Some(92_800.0),
        ),
        (
            529,
            &[],
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            Overloaded,
            None,
        ),
        (
            400,
            &[("retry-after", "7")],
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: required"}}"#,
            Invalid,
            None,
        ),
        (
            429,
            &[
                ("anthropic-ratelimit-tokens-remaining", "0"),
                ("anthropic-ratelimit-tokens-reset", "2023-11-14T22:14:20Z"),
                ("anthropic-ratelimit-requests-remaining", "9"),
                ("anthropic-ratelimit-requests-reset", "2023-11-14T23:13:20Z"),
            ],
            "{}",
            RateLimit,
            Some(60.0),
        ),
        // OpenAI.
        (
            429,
            &[("retry-after-ms", "1500"), ("retry-after", "2")],
            r#"{"error":{"message":"Rate limit reached","type":"tokens","code":"rate_limit_exceeded"}}"#,
            RateLimit,
            Some(1.5),
        ),
        (
            429,
            &[],
            r#"{"error":{"message":"Rate limit reached. Please try again in 1m3.5s. Visit","type":"requests","code":"rate_limit_exceeded"}}"#,
            RateLimit,
            Some(63.5),
        ),
        (
            429,
            &[],
            r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            Quota,
            None,
        ),
        (
            400,
            &[],
            r#"{"error":{"message":"Billing hard limit has been reached","type":"billing_limit","code":"billing_hard_limit_reached"}}"#,
            Quota,
            None,
        ),
        (
            429,
            &[
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "6m0s"),
                ("x-ratelimit-remaining-tokens", "100"),
                ("x-ratelimit-reset-tokens", "120ms"),
            ],
            "",
            RateLimit,
            Some(360.0),
        ),
        (
            429,
            &[
                ("x-ratelimit-reset-requests", "6m0s"),
                ("x-ratelimit-reset-tokens", "120ms"),
            ],
            "",
            RateLimit,
            Some(0.12),
        ),
        (
            429,
            &[
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1700000042000"),
            ],
            "",
            RateLimit,
            Some(42.0),
        ),
        (
            429,
            &[],
            r#"{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","resets_in_seconds":3600}}"#,
            Quota,
            Some(3600.0),
        ),
        (
            429,
            &[],
            r#"{"error":{"type":"usage_limit_reached","message":"","resets_at":1700000100}}"#,
            Quota,
            Some(100.0),
        ),
        (
            401,
            &[],
            r#"{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}"#,
            Auth,
            None,
        ),
        (
            503,
            &[("retry-after", "Tue, 14 Nov 2023 22:14:00 GMT")],
            r#"{"error":{"message":"The engine is currently overloaded"}}"#,
            Overloaded,
            Some(40.0),
        ),
        // The provider's clock, not ours.
        (
            503,
            &[
                ("date", "Tue, 14 Nov 2023 20:00:00 GMT"),
                ("retry-after", "Tue, 14 Nov 2023 20:00:09 GMT"),
            ],
            "",
            Overloaded,
            Some(9.0),
        ),
        (
            402,
            &[],
            r#"{"error":{"message":"Insufficient credits","code":402}}"#,
            Quota,
            None,
        ),
        // Gemini.
        (
            429,
            &[],
            r#"{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.5s"}]}}"#,
            RateLimit,
            Some(34.5),
        ),
        (
            429,
            &[],
            r#"[{"error":{"code":429,"message":"You exceeded your current quota","status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}]}}]"#,
            Quota,
            None,
        ),
        (
            503,
            &[],
            r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#,
            Overloaded,
            None,
        ),
        (
            403,
            &[],
            r#"{"error":{"code":403,"message":"denied","status":"PERMISSION_DENIED"}}"#,
            Auth,
            None,
        ),
        // Nothing to read.
        (500, &[], "<html>", Server, None),
        (408, &[], "", Server, None),
        (418, &[], "null", Invalid, None),
        (
            429,
            &[("retry-after", "soon"), ("retry-after-ms", "-1")],
            "[]",
            RateLimit,
            None,
        ),
        // Within an answer that had begun well.
        (
            200,
            &[],
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            Overloaded,
            None,
        ),
        (
            200,
            &[],
            r#"{"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded","message":"Please try again in 2s."}}}"#,
            RateLimit,
            Some(2.0),
        ),
        (
            200,
            &[],
            r#"{"error":{"code":400,"message":"x","status":"INVALID_ARGUMENT"}}"#,
            Invalid,
            None,
        ),
        (200, &[], r#"{"error":"boom"}"#, Server, None),
    ];
    for (status, lines, body, kind, wait) in table {
        let headers = headers(lines);
        let heard = Heard {
            headers: &headers,
            now: NOW,
        };
        let failure = sort(Some(*status), &Reported::read(body.as_bytes()), Some(heard));
        let wait = wait.map(Duration::from_secs_f64);
        assert_eq!(
            (failure.kind, failure.retry_after),
            (*kind, wait),
            "{status} {lines:?} {body}"
        );
    }
}

#[test]
fn messages_are_the_providers_words_and_bounded() {
    let long = format!(r#"{{"error":{{"message":"{}"}}}}"#, "ä".repeat(5_000));
    let message = |body: &str| sort(Some(400), &Reported::read(body.as_bytes()), None).message;
    assert_eq!(
        message(r#"{"error":{"message":"max_tokens: required"}}"#),
        "max_tokens: required"
    );
    assert_eq!(message(r#"{"detail":"Not Found"}"#), "Not Found");
    assert_eq!(
        message(" upstream connect error "),
        "upstream connect error"
    );
    assert_eq!(message(&long).chars().count(), 1_001);
}

#[test]
fn durations() {
    for (text, millis) in [
        ("6m0s", Some(360_000)),
        ("1h2m3.5s", Some(3_723_500)),
        ("120ms", Some(120)),
        ("34s", Some(34_000)),
        ("", None),
        ("-5s", None),
        ("99999999h", None),
        ("5 parsecs", None),
    ] {
        assert_eq!(
            wait::duration(text),
            millis.map(Duration::from_millis),
            "{text:?}"
        );
    }
}
