//! The wire formats. Each file knows one: how a request is read, how an answer is written whole and piece by piece, how an
//! error looks.

mod anthropic;
mod chat;
mod gemini;
mod ollama;
mod responses;

use std::collections::BTreeMap;

use axum::body::Bytes;
use serde_json::{Value, json};

use super::cache::Usage;
use super::reply::Output;
use super::request::{Request, ToolChoice};

/// When every answer was made, in seconds since 1970, so that equal requests have equal answers.
pub(super) const CREATED: u64 = 1_767_225_600;
/// The same as a date.
pub(super) const CREATED_AT: &str = "2026-01-01T00:00:00.000000Z";

/// Bytes of a streamed piece of text, unless the text is so long that there would be more than 256 of them.
const PIECE: usize = 16;
const PIECES_MAX: usize = 256;

/// The format of a request and of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wire {
    /// Anthropic Messages, `POST /v1/messages`.
    Anthropic,
    /// OpenAI chat completions, `POST /v1/chat/completions`.
    Chat,
    /// OpenAI responses, `POST /v1/responses`.
    Responses,
    /// Gemini, `POST /v1beta/models/{model}:generateContent`.
    Gemini,
    /// Ollama, `POST /api/chat`.
    Ollama,
}

impl Wire {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Anthropic,
        Self::Chat,
        Self::Responses,
        Self::Gemini,
        Self::Ollama,
    ];

    pub(super) fn format(self) -> &'static dyn Format {
        match self {
            Self::Anthropic => &anthropic::Anthropic,
            Self::Chat => &chat::Chat,
            Self::Responses => &responses::Responses,
            Self::Gemini => &gemini::Gemini,
            Self::Ollama => &ollama::Ollama,
        }
    }
}

/// A request as it came over HTTP.
pub(super) struct Call<'a> {
    pub(super) body: &'a Value,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) key: Option<String>,
    /// What the path says, for those wires that name the model there: the model, and whether to stream.
    pub(super) path: Option<(&'a str, bool)>,
}

/// All that an answer is made of.
pub(super) struct Answer<'a> {
    pub(super) request: &'a Request,
    /// The body of the request, for what an answer repeats of it.
    pub(super) body: &'a Value,
    pub(super) output: &'a Output,
    pub(super) usage: Usage,
    /// Made from the request alone, so that equal requests have equal answers.
    pub(super) id: u64,
}

impl Answer<'_> {
    /// An id in the provider's manner.
    pub(super) fn id(&self, prefix: &str, nth: usize) -> String {
        format!("{prefix}{:016x}{nth:02}", self.id)
    }
}

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) bytes: Bytes,
    /// How many bytes of what the model wrote it carries.
    pub(super) written: u64,
    /// Whether it says what all was used.
    pub(super) tells_usage: bool,
}

impl Frame {
    pub(super) fn new(text: String) -> Self {
        Self {
            bytes: Bytes::from(text),
            written: 0,
            tells_usage: false,
        }
    }

    /// An event of a stream.
    pub(super) fn event(name: &str, data: &Value) -> Self {
        Self::new(format!("event: {name}\ndata: {data}\n\n"))
    }

    /// An event without a name.
    pub(super) fn data(data: &Value) -> Self {
        Self::new(format!("data: {data}\n\n"))
    }

    pub(super) fn carrying(mut self, written: &str) -> Self {
        self.written = written.len() as u64;
        self
    }

    pub(super) const fn telling_usage(mut self) -> Self {
        self.tells_usage = true;
        self
    }
}

/// An error of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Too many requests, with the seconds to wait where they are said.
    RateLimit(Option<u64>),
    /// No money, or the account's limit.
    Quota,
    /// Too much to do.
    Overloaded,
    /// Something of the provider's own, by its status.
    Server(u16),
    /// The prompt has so many tokens, too many.
    ContextExceeded(u64),
    /// The request is wrong.
    Invalid(String),
    /// There is no key.
    Unauthorized,
}

/// An error as it goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Value,
}

impl Refusal {
    pub(super) const fn new(status: u16, body: Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
        }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl std::fmt::Display) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

/// A wire format.
pub(super) trait Format: Sync {
    /// Reads a request.
    ///
    /// # Errors
    /// What a provider would say is wrong with it.
    fn request(&self, call: Call<'_>) -> Result<Request, String>;
    /// An answer that is not streamed.
    fn whole(&self, answer: &Answer<'_>) -> Value;
    /// The pieces of one that is.
    fn stream(&self, answer: &Answer<'_>) -> Vec<Frame>;
    /// An error instead of an answer.
    fn failure(&self, failure: &Failure) -> Refusal;
    /// An error in the middle of a stream, behind so many events.
    fn late_failure(&self, failure: &Failure, _: &Answer<'_>, _: usize) -> Vec<Frame> {
        vec![Frame::data(&self.failure(failure).body)]
    }
    /// What a stream's content type is.
    fn stream_type(&self) -> &'static str {
        "text/event-stream; charset=utf-8"
    }
    /// A piece of a stream that is no JSON.
    fn broken(&self) -> Frame {
        Frame::new("data: {\"type\": \"cont\n\n".to_owned())
    }
}

/// A text in pieces, in which streams send it.
pub(super) fn pieces(text: &str) -> Vec<&str> {
    let size = PIECE.max(text.len().div_ceil(PIECES_MAX));
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = size.min(rest.len());
        while !rest.is_char_boundary(end) {
            end += 1;
        }
        let (piece, behind) = rest.split_at(end);
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

/// A string, or the texts of a list of blocks, a line break between.
pub(super) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts: Vec<&str> = blocks
                .iter()
                .filter_map(|block| block["text"].as_str().or_else(|| block.as_str()))
                .collect();
            texts.join("\n")
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A string of an object, empty when it has none.
pub(super) fn string(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

/// What a call's arguments say, which OpenAI sends as text.
pub(super) fn arguments(text: &Value) -> Value {
    match text {
        Value::String(text) => {
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()))
        }
        other => other.clone(),
    }
}

/// OpenAI's word for the choice of tools: a word, or an object with a name in it.
pub(super) fn tool_choice(choice: &Value) -> ToolChoice {
    match choice {
        Value::String(word) if word == "none" => ToolChoice::None,
        Value::String(word) if word == "required" => ToolChoice::Required,
        Value::Object(object) => object
            .get("name")
            .or_else(|| {
                object
                    .get("function")
                    .and_then(|function| function.get("name"))
            })
            .and_then(Value::as_str)
            .map_or(ToolChoice::Auto, |name| ToolChoice::Named(name.to_owned())),
        _ => ToolChoice::Auto,
    }
}

/// OpenAI's errors, which both of its wires have.
pub(super) fn openai_failure(failure: &Failure, context: &Value) -> Refusal {
    let error = |message: &str, kind: &str, param: &Value, code: Value| json!({ "error": { "message": message, "type": kind, "param": param, "code": code } });
    let none = Value::Null;
    match failure {
        Failure::RateLimit(wait) => {
            let seconds = wait.unwrap_or(1);
            let refusal = Refusal::new(
                429,
                error(
                    &format!(
                        "Rate limit reached for requests per min (RPM): Limit 500, Used 500, Requested 1. Please try again in {seconds}s."
                    ),
                    "requests",
                    &none,
                    json!("rate_limit_exceeded"),
                ),
            )
            .with("x-ratelimit-limit-requests", 500)
            .with("x-ratelimit-remaining-requests", 0)
            .with("x-ratelimit-reset-requests", format!("{seconds}s"));
            match wait {
                Some(wait) => refusal
                    .with("retry-after", wait)
                    .with("retry-after-ms", wait.saturating_mul(1000)),
                None => refusal,
            }
        }
        Failure::Quota => Refusal::new(
            429,
            error(
                "You exceeded your current quota, please check your plan and billing details.",
                "insufficient_quota",
                &none,
                json!("insufficient_quota"),
            ),
        ),
        Failure::Overloaded => Refusal::new(
            503,
            error(
                "The engine is currently overloaded, please try again later",
                "server_error",
                &none,
                json!("server_overloaded"),
            ),
        ),
        Failure::Server(status) => Refusal::new(
            *status,
            error(
                "The server had an error while processing your request. Sorry about that!",
                "server_error",
                &none,
                json!("server_error"),
            ),
        ),
        Failure::ContextExceeded(tokens) => Refusal::new(
            400,
            error(
                &format!(
                    "This model's maximum context length is {} tokens. However, your messages resulted in {tokens} tokens. Please reduce the length of the messages.",
                    tokens.saturating_sub(1)
                ),
                "invalid_request_error",
                context,
                json!("context_length_exceeded"),
            ),
        ),
        Failure::Invalid(message) => Refusal::new(
            400,
            error(message, "invalid_request_error", &none, Value::Null),
        ),
        Failure::Unauthorized => Refusal::new(
            401,
            error(
                "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
                "invalid_request_error",
                &none,
                Value::Null,
            ),
        ),
    }
}
