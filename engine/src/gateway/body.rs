//! Reads bodies that are needed as a whole.

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::answer;
use super::refusal::Refusal;

/// As much of a larger body is read on, so that the agent comes to read why it is refused.
const DISCARDED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The largest error or count that is taken from a provider, in bytes.
const SMALL_ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Reads a body of the agent's. One that is too large is read on for a while, but not kept.
pub(super) async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, Refusal> {
    let announced = body.size_hint().lower();
    let mut chunks = Vec::new();
    let mut bytes = 0;
    while bytes <= DISCARDED_BYTES_MAX {
        let Some(frame) = body.frame().await else {
            break;
        };
        let frame = frame.map_err(|error| {
            Refusal::new(
                StatusCode::BAD_REQUEST,
                format!("the body is broken off: {error}"),
            )
        })?;
        let Ok(chunk) = frame.into_data() else {
            continue;
        };
        bytes += chunk.len();
        if bytes > limit || announced > limit as u64 {
            chunks.clear();
        } else {
            chunks.push(chunk);
        }
    }
    if bytes > limit {
        return Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is larger than {} MiB", limit / (1024 * 1024)),
        ));
    }
    Ok(match chunks.pop() {
        None => Bytes::new(),
        Some(only) if chunks.is_empty() => only,
        Some(last) => {
            chunks.push(last);
            chunks.concat().into()
        }
    })
}

/// Reads a provider's small answer.
pub(super) async fn small(mut body: reqwest::Body) -> Result<Bytes, String> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| answer::chain(&error))?;
        let Ok(chunk) = frame.into_data() else {
            continue;
        };
        if bytes.len() + chunk.len() > SMALL_ANSWER_BYTES_MAX {
            return Err(format!("it is larger than {SMALL_ANSWER_BYTES_MAX} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.into())
}
