//! From the engine's errors to answers.

use std::fmt::Display;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bellwether::store::StoreError;
use bellwether::view::ArchiveError;
use bellwether::{ControlError, StartError};

/// Why a request is not served: the answer's status, and a sentence.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, why: &dyn Display) -> Self {
        Self {
            status,
            message: why.to_string(),
        }
    }

    pub(crate) fn not_live(run: &str) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            &format_args!("run {run} is not live here"),
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (
            self.status,
            Json(serde_json::json!({ "error": self.message })),
        )
            .into_response()
    }
}

impl From<StartError> for Refusal {
    fn from(error: StartError) -> Self {
        let status = match &error {
            StartError::Refused(_) | StartError::Args(_) | StartError::Backend(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            StartError::Conflict { .. } => StatusCode::CONFLICT,
            StartError::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, &error)
    }
}

impl From<ArchiveError> for Refusal {
    fn from(error: ArchiveError) -> Self {
        let status = match &error {
            ArchiveError::UnknownRun { .. } | ArchiveError::NoRuns => StatusCode::NOT_FOUND,
            ArchiveError::AmbiguousRun { .. } => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, &error)
    }
}

impl From<ControlError> for Refusal {
    fn from(error: ControlError) -> Self {
        Self::new(StatusCode::CONFLICT, &error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, &error)
    }
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, &error)
    }
}

impl From<tokio::task::JoinError> for Refusal {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, &error)
    }
}
