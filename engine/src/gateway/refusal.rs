//! Errors of the gateway's own, in the shape that each wire's libraries read.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;

use super::meter::{RefusalKind, Refused};
use super::wire::Wire;

/// An error that the agent is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
    retry_after: Option<Duration>,
    /// `OpenAI`'s `code`, where libraries look at it.
    code: Option<&'static str>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            retry_after: None,
            code: None,
        }
    }

    pub(super) fn no_model(message: String) -> Self {
        Self {
            code: Some("model_not_found"),
            ..Self::new(StatusCode::NOT_FOUND, message)
        }
    }

    /// The answer's status. codex, which speaks responses, tries 402, 403, 404 and 422 five times more, and takes
    /// 400 for the last word.
    pub(super) fn status(&self, wire: Wire) -> StatusCode {
        let is_last_word = matches!(self.status.as_u16(), 402 | 403 | 404 | 405 | 413 | 415);
        if wire == Wire::Responses && is_last_word {
            return StatusCode::BAD_REQUEST;
        }
        self.status
    }

    /// Headers and body of the answer.
    pub(super) fn answer(&self, wire: Wire) -> (HeaderMap, Bytes) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(wait) = self.retry_after {
            // Whole seconds, rounded up: a client that comes too early is refused again.
            let seconds = wait.as_millis().div_ceil(1_000) as u64;
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if !self.may_be_retried() {
            // Anthropic's and OpenAI's libraries ask this before they look at the status.
            headers.insert("x-should-retry", HeaderValue::from_static("false"));
        }
        let body = match wire {
            Wire::Messages => json!({
                "type": "error",
                "error": { "type": self.anthropic_type(), "message": self.message },
            }),
            Wire::ChatCompletions | Wire::Responses => json!({
                "error": {
                    "message": self.message,
                    "type": self.openai_type(),
                    "param": null,
                    "code": self.code,
                },
            }),
            Wire::GenerateContent => json!({
                "error": {
                    "code": self.status.as_u16(),
                    "message": self.message,
                    "status": self.google_status(),
                },
            }),
        };
        (headers, body.to_string().into())
    }

    fn may_be_retried(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS || self.status.is_server_error()
    }

    fn anthropic_type(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "authentication_error",
            402 => "billing_error",
            403 | 421 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            500..=599 => "api_error",
            _ => "invalid_request_error",
        }
    }

    fn openai_type(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "authentication_error",
            402 => "insufficient_quota",
            403 | 421 => "permission_error",
            429 => "rate_limit_error",
            500..=599 => "server_error",
            _ => "invalid_request_error",
        }
    }

    fn google_status(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "UNAUTHENTICATED",
            402 | 412 => "FAILED_PRECONDITION",
            403 | 421 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            429 => "RESOURCE_EXHAUSTED",
            500..=599 => "UNAVAILABLE",
            _ => "INVALID_ARGUMENT",
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let mut refusal = Self::new(refused.status(), refused.message);
        match refused.kind {
            RefusalKind::Budget => refusal.code = Some("budget_exhausted"),
            RefusalKind::Closed { retry_after } => {
                refusal.code = Some("rate_limit_exceeded");
                refusal.retry_after = retry_after;
            }
            RefusalKind::NotAllowed => refusal.code = Some("not_allowed"),
        }
        refusal
    }
}

impl Refused {
    /// Anthropic's and `OpenAI`'s libraries try 408, 409, 429 and 5xx again, so a budget is none of these.
    fn status(&self) -> StatusCode {
        match self.kind {
            RefusalKind::Budget => StatusCode::PAYMENT_REQUIRED,
            RefusalKind::Closed { .. } => StatusCode::TOO_MANY_REQUESTS,
            RefusalKind::NotAllowed => StatusCode::FORBIDDEN,
        }
    }
}
