//! A model that says what a test tells it to, over real sockets, in Anthropic's wire format and in that of chat completions.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::Response;
use futures_util::{Stream, StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::super::{Endpoint, Wire};

/// What the model does with one request.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// It answers.
    Say(Say),
    /// It refuses: status, headers, body.
    Refuse(u16, &'static [(&'static str, &'static str)], Value),
    /// It begins to answer with this text, and the connection breaks.
    Break(&'static str),
    /// It begins to answer with this text, and ends the stream in good order there.
    Leave(&'static str),
    /// It answers once the test lets it, see [`Server::release`].
    Hold(Say),
    /// It begins to answer with this text, and then nothing comes any more.
    Stall(&'static str),
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Say {
    text: String,
    /// Id, name and arguments, the latter as they are written.
    calls: Vec<(String, String, String)>,
    stop: Option<&'static str>,
    input: u64,
    cached: u64,
}

pub(super) fn say(text: &str) -> Say {
    Say {
        text: text.into(),
        input: 10,
        ..Say::default()
    }
}

impl Say {
    /// With a call of a tool.
    pub(super) fn call(self, name: &str, arguments: &Value) -> Self {
        self.call_raw(name, &arguments.to_string())
    }

    /// With a call whose arguments are written so.
    pub(super) fn call_raw(mut self, name: &str, arguments: &str) -> Self {
        let id = format!("{name}-{}", self.calls.len());
        self.calls.push((id, name.into(), arguments.into()));
        self
    }

    /// Cut at the output limit.
    pub(super) fn cut(mut self) -> Self {
        self.stop = Some("max_tokens");
        self
    }

    /// Ended by the provider's filter.
    pub(super) fn refused(mut self) -> Self {
        self.stop = Some("refusal");
        self
    }

    /// With so many input tokens, of which so many came from the cache.
    pub(super) fn input(mut self, tokens: u64, cached: u64) -> Self {
        (self.input, self.cached) = (tokens, cached);
        self
    }
}

impl From<Say> for Reply {
    fn from(say: Say) -> Self {
        Self::Say(say)
    }
}

type Script = dyn Fn(usize, &Value) -> Reply + Send + Sync;

struct Shared {
    script: Box<Script>,
    wire: Wire,
    seen: Mutex<Vec<Seen>>,
    /// How many answers the client did not read to their end.
    dropped: watch::Sender<usize>,
    /// How many requests came.
    asked: watch::Sender<usize>,
    is_released: watch::Sender<bool>,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) key: String,
    pub(super) body: Value,
}

pub(super) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// A server whose answers `script` makes, given how many requests there were before and the request.
    pub(super) async fn start(
        wire: Wire,
        script: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            script: Box::new(script),
            wire,
            seen: Mutex::default(),
            dropped: watch::Sender::new(0),
            asked: watch::Sender::new(0),
            is_released: watch::Sender::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let address = listener
            .local_addr()
            .unwrap_or_else(|error| panic!("{error}"));
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self {
            address,
            shared,
            task,
        }
    }

    /// A server that answers so, one after the other, and knows nothing more then.
    pub(super) async fn list(wire: Wire, replies: Vec<Reply>) -> Self {
        Self::start(wire, move |number, _| {
            replies.get(number).cloned().unwrap_or_else(|| {
                Reply::Refuse(
                    418,
                    &[],
                    json!({"error": {"message": "the script is over"}}),
                )
            })
        })
        .await
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint::new(
            format!("http://{}", self.address),
            "the-key",
            self.shared.wire,
            "model-1",
        )
    }

    /// The requests so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.shared
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The bodies of the requests so far.
    pub(super) fn bodies(&self) -> Vec<Value> {
        self.seen().into_iter().map(|seen| seen.body).collect()
    }

    /// Waits until so many requests have come.
    pub(super) async fn asked(&self, number: usize) {
        let mut asked = self.shared.asked.subscribe();
        let _ = asked.wait_for(|so_far| *so_far >= number).await;
    }

    /// Lets the held answers go.
    pub(super) fn release(&self) {
        self.shared.is_released.send_replace(true);
    }

    /// Waits until the client has let go of so many answers.
    pub(super) async fn dropped(&self, number: usize) {
        let mut dropped = self.shared.dropped.subscribe();
        let _ = dropped.wait_for(|so_far| *so_far >= number).await;
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let key = ["x-api-key", "authorization"]
        .iter()
        .find_map(|name| request.headers().get(*name))
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let bytes = axum::body::to_bytes(request.into_body(), 64 << 20)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{error}"));
    let number = {
        let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push(Seen {
            path,
            key,
            body: body.clone(),
        });
        seen.len() - 1
    };
    shared.asked.send_modify(|asked| *asked += 1);
    let mut reply = (shared.script)(number, &body);
    if let Reply::Hold(say) = reply {
        let mut released = shared.is_released.subscribe();
        let _ = released.wait_for(|is_released| *is_released).await;
        reply = Reply::Say(say);
    }
    let events = |say: &Say| match shared.wire {
        Wire::Anthropic => anthropic(say),
        _ => chat(say),
    };
    let builder = Response::builder().header("content-type", "text/event-stream");
    let body = match reply {
        Reply::Say(say) | Reply::Hold(say) => Body::from(events(&say).concat()),
        Reply::Refuse(status, headers, body) => {
            let mut builder = Response::builder()
                .status(status)
                .header("content-type", "application/json");
            for (name, value) in headers {
                builder = builder.header(*name, *value);
            }
            return builder
                .body(Body::from(body.to_string()))
                .unwrap_or_else(|error| panic!("{error}"));
        }
        Reply::Leave(text) => Body::from(beginning(&events(&say(text)))),
        Reply::Break(text) => {
            let begun = beginning(&events(&say(text)));
            let end = stream::once(async {
                // What has begun goes out first.
                tokio::task::yield_now().await;
                Err(io::Error::other("broken"))
            });
            Body::from_stream(stream::iter([Ok(begun)]).chain(end))
        }
        Reply::Stall(text) => {
            let begun = beginning(&events(&say(text)));
            let silence = Silence(Arc::clone(&shared));
            let begun = stream::iter([Ok::<_, Infallible>(begun)]);
            Body::from_stream(begun.chain(silence))
        }
    };
    builder.body(body).unwrap_or_else(|error| panic!("{error}"))
}

/// The events up to the first piece of text.
fn beginning(events: &[String]) -> Bytes {
    let end = events
        .iter()
        .position(|event| event.contains("text_delta") || event.contains("\"delta\":{\"content\""))
        .map_or(events.len(), |at| at + 1);
    events[..end].concat().into()
}

/// Says nothing, and takes note of when it is let go.
struct Silence(Arc<Shared>);

impl Stream for Silence {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Pending
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        self.0.dropped.send_modify(|number| *number += 1);
    }
}

/// A text in pieces, so that a client has something to put together.
fn pieces(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters
        .chunks(7)
        .map(|piece| piece.iter().collect())
        .collect()
}

fn anthropic(say: &Say) -> Vec<String> {
    let event = |value: Value| {
        let name = value["type"].as_str().unwrap_or_default();
        format!("event: {name}\ndata: {value}\n\n")
    };
    let mut events = vec![event(json!({
        "type": "message_start",
        "message": {"id": "m", "role": "assistant", "content": [], "usage": {
            "input_tokens": say.input - say.cached, "cache_read_input_tokens": say.cached, "output_tokens": 1
        }}
    }))];
    let mut index = 0;
    let mut block = |start: Value, deltas: Vec<Value>, events: &mut Vec<String>| {
        events.push(event(
            json!({"type": "content_block_start", "index": index, "content_block": start}),
        ));
        for delta in deltas {
            events.push(event(
                json!({"type": "content_block_delta", "index": index, "delta": delta}),
            ));
        }
        events.push(event(json!({"type": "content_block_stop", "index": index})));
        index += 1;
    };
    if !say.text.is_empty() {
        let deltas = pieces(&say.text)
            .into_iter()
            .map(|text| json!({"type": "text_delta", "text": text}))
            .collect();
        block(json!({"type": "text", "text": ""}), deltas, &mut events);
    }
    for (id, name, arguments) in &say.calls {
        let deltas = pieces(arguments)
            .into_iter()
            .map(|text| json!({"type": "input_json_delta", "partial_json": text}))
            .collect();
        let start = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
        block(start, deltas, &mut events);
    }
    let stop = say.stop.unwrap_or(if say.calls.is_empty() {
        "end_turn"
    } else {
        "tool_use"
    });
    events.push(event(json!({
        "type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 5}
    })));
    events.push(event(json!({"type": "message_stop"})));
    events
}

fn chat(say: &Say) -> Vec<String> {
    let event = |value: Value| format!("data: {value}\n\n");
    let delta =
        |delta: Value| json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]});
    let mut events = vec![event(delta(json!({"role": "assistant"})))];
    for text in pieces(&say.text) {
        events.push(event(delta(json!({"content": text}))));
    }
    for (index, (id, name, arguments)) in say.calls.iter().enumerate() {
        let start = json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}});
        events.push(event(delta(json!({"tool_calls": [start]}))));
        for text in pieces(arguments) {
            let more = json!({"index": index, "function": {"arguments": text}});
            events.push(event(delta(json!({"tool_calls": [more]}))));
        }
    }
    let stop = match say.stop {
        Some("max_tokens") => "length",
        Some("refusal") => "content_filter",
        _ if say.calls.is_empty() => "stop",
        _ => "tool_calls",
    };
    events.push(event(
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": stop}]}),
    ));
    events.push(event(json!({"choices": [], "usage": {
        "prompt_tokens": say.input, "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": say.cached}
    }})));
    events.push("data: [DONE]\n\n".into());
    events
}
