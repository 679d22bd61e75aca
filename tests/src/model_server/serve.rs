//! The HTTP side: routes, keys, and answers that end as they should or on purpose do not.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use futures_util::stream;
use serde_json::{Value, json};

use super::books::{Books, Ticket};
use super::cache::Usage;
use super::line::Line;
use super::log::End;
use super::reply::{Fault, Output, Reply};
use super::request::Request;
use super::wire::{Answer, Call, Failure, Format, Frame, Refusal, Wire};

/// The longest request that is read.
const BODY_MAX: usize = 64 << 20;
/// The models that the server lists. It answers to any name.
const MODELS: &[&str] = &["fake-large", "fake-small"];

/// Parameters of the query.
type Parameters = Query<BTreeMap<String, String>>;

/// All routes of all wires.
pub(super) fn routes(books: Arc<Books>) -> Router {
    let wire = |wire: Wire| {
        post(
            move |books: State<Arc<Books>>,
                  line: ConnectInfo<Line>,
                  headers: HeaderMap,
                  body: Bytes| {
                exchange(wire, books.0, line.0, headers, None, None, body)
            },
        )
    };
    Router::new()
        .route("/v1/messages", wire(Wire::Anthropic))
        .route("/v1/messages/count_tokens", post(count_tokens))
        .route("/v1/chat/completions", wire(Wire::Chat))
        .route("/v1/responses", wire(Wire::Responses))
        .route("/api/chat", wire(Wire::Ollama))
        // Google's own client has gone from the one to the other.
        .route("/v1beta/models/{action}", post(gemini))
        .route("/v1/models/{action}", post(gemini))
        .route("/v1/models", get(models))
        .route("/v1beta/models", get(gemini_models))
        .route("/api/tags", get(ollama_models))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(books)
}

async fn gemini(
    books: State<Arc<Books>>,
    line: ConnectInfo<Line>,
    Path(action): Path<String>,
    Query(parameters): Parameters,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let refuse = |message: &str| {
        let failure = Failure::Invalid(message.to_owned());
        refusal(Wire::Gemini.format().failure(&failure))
    };
    let Some((model, verb)) = action.split_once(':') else {
        return refuse("the path names no method");
    };
    let sse = parameters.get("alt").is_some_and(|alt| alt == "sse");
    let key = parameters.get("key").cloned();
    let streaming = match verb {
        "generateContent" => false,
        "streamGenerateContent" if sse => true,
        "streamGenerateContent" => return refuse("this server streams with alt=sse alone"),
        "countTokens" => {
            return match read(Wire::Gemini, &headers, key, Some((model, false)), &body) {
                Ok((request, _)) => ordinary(&json!({ "totalTokens": request.input_tokens() })),
                Err(failure) => refusal(Wire::Gemini.format().failure(&failure)),
            };
        }
        _ => return refuse("the path names no method"),
    };
    let path = Some((model.to_owned(), streaming));
    exchange(Wire::Gemini, books.0, line.0, headers, path, key, body).await
}

async fn count_tokens(headers: HeaderMap, body: Bytes) -> Response {
    let format = Wire::Anthropic.format();
    // Counting needs no limit of the answer, which messages do.
    let body = match serde_json::from_slice::<Value>(&body) {
        Ok(Value::Object(mut body)) => {
            body.insert("max_tokens".to_owned(), json!(1));
            Bytes::from(Value::Object(body).to_string())
        }
        _ => body,
    };
    match read(Wire::Anthropic, &headers, None, None, &body) {
        Ok((request, _)) => ordinary(&json!({ "input_tokens": request.input_tokens() })),
        Err(failure) => refusal(format.failure(&failure)),
    }
}

async fn models(headers: HeaderMap) -> Response {
    if headers.contains_key("x-goog-api-key") {
        return gemini_models().await;
    }
    let anthropic = headers.contains_key("anthropic-version");
    let list: Vec<Value> = MODELS
        .iter()
        .map(|id| {
            if anthropic {
                json!({ "type": "model", "id": id, "display_name": id, "created_at": "2026-01-01T00:00:00Z" })
            } else {
                json!({ "id": id, "object": "model", "created": super::wire::CREATED, "owned_by": "bellwether" })
            }
        })
        .collect();
    ordinary(&if anthropic {
        json!({ "data": list, "has_more": false, "first_id": MODELS.first(), "last_id": MODELS.last() })
    } else {
        json!({ "object": "list", "data": list })
    })
}

async fn gemini_models() -> Response {
    let methods = json!(["generateContent", "countTokens"]);
    let list = MODELS.iter().map(
        |id| json!({ "name": format!("models/{id}"), "displayName": id, "supportedGenerationMethods": methods }),
    );
    ordinary(&json!({ "models": list.collect::<Vec<Value>>() }))
}

async fn ollama_models() -> Response {
    let list = MODELS.iter().map(
        |id| json!({ "name": id, "model": id, "modified_at": super::wire::CREATED_AT, "size": 0 }),
    );
    ordinary(&json!({ "models": list.collect::<Vec<Value>>() }))
}

/// Reads a request of any wire.
fn read(
    wire: Wire,
    headers: &HeaderMap,
    key: Option<String>,
    path: Option<(&str, bool)>,
    body: &Bytes,
) -> Result<(Request, Value), Failure> {
    let key = key.or_else(|| key_of(headers));
    if key.is_none() && wire != Wire::Ollama {
        return Err(Failure::Unauthorized);
    }
    let headers = headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| Failure::Invalid(format!("the body is no JSON: {error}")))?;
    let call = Call {
        body: &body,
        headers,
        key,
        path,
    };
    let request = wire.format().request(call).map_err(Failure::Invalid)?;
    Ok((request, body))
}

fn key_of(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    text("x-api-key")
        .or_else(|| text("x-goog-api-key"))
        .or_else(|| text("authorization").and_then(|value| value.strip_prefix("Bearer ")))
        .filter(|key| !key.is_empty())
        .map(str::to_owned)
}

/// An exchange from the request to the beginning of its answer.
async fn exchange(
    wire: Wire,
    books: Arc<Books>,
    line: Line,
    headers: HeaderMap,
    path: Option<(String, bool)>,
    key: Option<String>,
    body: Bytes,
) -> Response {
    let format = wire.format();
    let path = path
        .as_ref()
        .map(|(model, streaming)| (model.as_str(), *streaming));
    let (request, body) = match read(wire, &headers, key, path, &body) {
        Ok(read) => read,
        Err(failure) => {
            books.reject();
            return refusal(format.failure(&failure));
        }
    };
    let mut ticket = Books::arrive(&books, request);
    let reply = books.reply(ticket.request());
    if !reply.delay.is_zero() {
        tokio::time::sleep(reply.delay).await;
    }
    if let Some(failure) = instead(&reply, ticket.request()) {
        let refused = format.failure(&failure);
        ticket.begin(refused.status, Usage::default(), 0);
        ticket.end(End::Whole);
        return refusal(refused);
    }
    let output = Output::of(&reply, ticket.request());
    let usage = Usage {
        output: output.tokens,
        reasoning: output.reasoning_tokens,
        ..books.read_cache(ticket.request())
    };
    let answer = Answer {
        request: ticket.request(),
        body: &body,
        output: &output,
        usage,
        id: id(ticket.request()),
    };
    if answer.request.streaming {
        let frames = format.stream(&answer);
        let written = frames.iter().map(|frame| frame.written).sum();
        let (frames, tail) = as_far_as(frames, &reply, format, &answer);
        ticket.begin(200, usage, written);
        let body = paced(frames, tail, reply.trickle, line, ticket);
        let mut response = respond(200, format.stream_type(), body);
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    } else {
        let whole = format.whole(&answer);
        at_once(&whole, &reply, line, ticket, usage)
    }
}

/// The error that a reply is instead of an answer.
fn instead(reply: &Reply, request: &Request) -> Option<Failure> {
    match reply.fault.as_ref()? {
        Fault::Status { late: true, .. } if request.streaming => None,
        Fault::Status {
            status,
            retry_after,
            ..
        } => Some(of_status(*status, *retry_after)),
        Fault::Quota => Some(Failure::Quota),
        Fault::ContextExceeded => Some(Failure::ContextExceeded(request.input_tokens())),
        Fault::Invalid(message) => Some(Failure::Invalid(message.clone())),
        Fault::Unauthorized => Some(Failure::Unauthorized),
        Fault::Cut | Fault::Stall | Fault::Malformed | Fault::Refusal => None,
    }
}

fn of_status(status: u16, retry_after: Option<u64>) -> Failure {
    match status {
        429 => Failure::RateLimit(retry_after),
        503 | 529 => Failure::Overloaded,
        401 => Failure::Unauthorized,
        400 => Failure::Invalid("the script wants this request to be refused".to_owned()),
        other => Failure::Server(other),
    }
}

/// The same for equal requests.
fn id(request: &Request) -> u64 {
    let mut hasher = DefaultHasher::new();
    request.model.hash(&mut hasher);
    request.system.hash(&mut hasher);
    request.tools.hash(&mut hasher);
    request.messages.hash(&mut hasher);
    hasher.finish()
}

/// What comes behind the last piece of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    End,
    Reset,
    Silence,
}

/// The pieces of an answer as far as its fault lets them come, and what comes behind them.
fn as_far_as(
    mut frames: Vec<Frame>,
    reply: &Reply,
    format: &dyn Format,
    answer: &Answer<'_>,
) -> (Vec<Frame>, Tail) {
    let half = (frames.len() / 2).max(1);
    let tail = match &reply.fault {
        Some(Fault::Cut) => {
            frames.truncate(half);
            Tail::Reset
        }
        Some(Fault::Stall) => {
            let first = frames.iter().position(|frame| frame.written > 0);
            frames.truncate(first.map_or(1, |first| first + 1));
            Tail::Silence
        }
        Some(Fault::Malformed) => {
            frames.truncate(half);
            frames.push(format.broken());
            Tail::End
        }
        Some(Fault::Status {
            status,
            retry_after,
            ..
        }) => {
            frames.truncate(half);
            let failure = of_status(*status, *retry_after);
            frames.extend(format.late_failure(&failure, answer, half));
            Tail::End
        }
        _ => Tail::End,
    };
    (frames, tail)
}

/// An answer that is not streamed, as far as its fault lets it come.
fn at_once(whole: &Value, reply: &Reply, line: Line, mut ticket: Ticket, usage: Usage) -> Response {
    let text = Bytes::from(whole.to_string());
    let length = text.len();
    let part = |end: usize| Frame {
        bytes: text.slice(..end),
        written: end as u64,
        tells_usage: end == length,
    };
    ticket.begin(200, usage, length as u64);
    let (frame, tail) = match reply.fault {
        Some(Fault::Cut) => (part(length / 2), Tail::Reset),
        Some(Fault::Stall) => (part(length.min(16)), Tail::Silence),
        Some(Fault::Malformed) => (part(length / 2), Tail::End),
        _ => (part(length), Tail::End),
    };
    // A broken connection promises more than it brings. Broken JSON is all there is.
    let promised = match tail {
        Tail::End => frame.bytes.len(),
        Tail::Reset | Tail::Silence => length,
    };
    let body = paced(vec![frame], tail, Duration::ZERO, line, ticket);
    let mut response = respond(200, "application/json", body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(promised));
    response
}

/// The pieces one after the other, and what comes behind them.
fn paced(frames: Vec<Frame>, tail: Tail, trickle: Duration, line: Line, ticket: Ticket) -> Body {
    let state = (frames.into_iter().peekable(), ticket);
    Body::from_stream(stream::unfold(state, move |(mut frames, mut ticket)| {
        let line = line.clone();
        async move {
            let Some(frame) = frames.next() else {
                return match tail {
                    Tail::End => None,
                    Tail::Silence => std::future::pending().await,
                    Tail::Reset => {
                        // What was written goes out first.
                        tokio::task::yield_now().await;
                        line.reset_at_end();
                        ticket.end(End::CutByServer);
                        let error = io::Error::from(io::ErrorKind::ConnectionReset);
                        Some((Err(error), (frames, ticket)))
                    }
                };
            };
            if !trickle.is_zero() {
                tokio::time::sleep(trickle).await;
            }
            ticket.hand_out(&frame);
            if tail == Tail::End && frames.peek().is_none() {
                ticket.end(End::Whole);
            }
            Some((Ok(frame.bytes), (frames, ticket)))
        }
    }))
}

fn refusal(refusal: Refusal) -> Response {
    let body = Body::from(refusal.body.to_string());
    let mut response = respond(refusal.status, "application/json", body);
    for (name, value) in refusal.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn ordinary(body: &Value) -> Response {
    respond(200, "application/json", Body::from(body.to_string()))
}

fn respond(status: u16, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert("x-request-id", HeaderValue::from_static("req_fake"));
    response
}
