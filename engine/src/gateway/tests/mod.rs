//! The gateway on real sockets: between it and a small provider of the test's own.

mod cuts;
mod failures;
mod flow;
mod properties;
mod refusals;
mod requests;
mod wires;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use reqwest::Url;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::{
    Admitted, CallEnd, CallId, ClientFamily, Config, Gateway, Meter, ModelCall, Pass, Provider,
    ProviderKey, Proxy, Refused, RouteTable, Rule, Tokens, Wire,
};

pub(super) const REAL_KEY: &str = "sk-real-5ecret";

/// What the provider was sent.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// A provider: it notes what it is sent and answers as the test says.
pub(super) struct Fake {
    pub(super) base: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Fake {
    pub(super) async fn start<F>(answer: F) -> Self
    where
        F: Fn(&Received) -> Response + Send + Sync + 'static,
    {
        let listener = listen().await;
        let address = listener
            .local_addr()
            .unwrap_or_else(|error| panic!("{error}"));
        let received = Arc::new(Mutex::new(Vec::new()));
        let notes = received.clone();
        let answer = Arc::new(answer);
        let service = axum::Router::new().fallback(move |request: http::Request<Body>| {
            let (notes, answer) = (notes.clone(), answer.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = body
                    .collect()
                    .await
                    .map(http_body_util::Collected::to_bytes);
                let one = Received {
                    path: head.uri.to_string(),
                    headers: head.headers,
                    body: body.unwrap_or_default(),
                };
                lock(&notes).push(one.clone());
                answer(&one)
            }
        });
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self {
            base: format!("http://{address}"),
            received,
        }
    }

    pub(super) fn received(&self) -> Vec<Received> {
        lock(&self.received).clone()
    }

    pub(super) fn provider(&self) -> Provider {
        provider(&self.base)
    }
}

pub(super) fn provider(base: &str) -> Provider {
    let url = |path: &str| -> Url {
        format!("{base}{path}")
            .parse()
            .unwrap_or_else(|error| panic!("{error}"))
    };
    Provider::new("fake")
        .with_endpoint(Wire::Messages, url(""))
        .with_endpoint(Wire::ChatCompletions, url("/v1"))
        .with_endpoint(Wire::Responses, url("/v1"))
        .with_endpoint(Wire::GenerateContent, url(""))
        .with_key(ProviderKey::new(REAL_KEY))
}

pub(super) async fn listen() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").await;
    listener.unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Decide = dyn Fn(ModelCall) -> BoxFuture<'static, Result<Admitted, Refused>> + Send + Sync;

/// A meter that decides as the test says and hands every end over.
pub(super) struct Ledger {
    decide: Box<Decide>,
    asked: Mutex<Vec<ModelCall>>,
    ends: mpsc::UnboundedSender<(CallId, CallEnd)>,
}

impl Meter for Ledger {
    fn admit(&self, call: ModelCall) -> BoxFuture<'static, Result<Admitted, Refused>> {
        lock(&self.asked).push(call.clone());
        (self.decide)(call)
    }

    fn settle(&self, call: CallId, end: CallEnd) {
        self.ends
            .send((call, end))
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

/// A gateway with one pass.
pub(super) struct Stand {
    pub(super) gateway: Gateway,
    pub(super) pass: Pass,
    pub(super) ledger: Arc<Ledger>,
    pub(super) ends: mpsc::UnboundedReceiver<(CallId, CallEnd)>,
    pub(super) agent: reqwest::Client,
}

impl Stand {
    /// Admits everything.
    pub(super) async fn new(provider: Provider) -> Self {
        Self::deciding(provider, |_| async { Ok(Admitted::default()) }.boxed()).await
    }

    pub(super) async fn deciding<D>(provider: Provider, decide: D) -> Self
    where
        D: Fn(ModelCall) -> BoxFuture<'static, Result<Admitted, Refused>> + Send + Sync + 'static,
    {
        Self::behind(Proxy::Direct, provider, decide).await
    }

    pub(super) async fn behind<D>(proxy: Proxy, provider: Provider, decide: D) -> Self
    where
        D: Fn(ModelCall) -> BoxFuture<'static, Result<Admitted, Refused>> + Send + Sync + 'static,
    {
        let wires = provider
            .endpoints
            .iter()
            .map(|endpoint| endpoint.wire)
            .collect();
        let rule = |model: &str, sends: Option<&str>| Rule {
            model: model.to_owned(),
            wire: None,
            provider: "fake".to_owned(),
            sends: sends.map(str::to_owned),
        };
        let route = RouteTable {
            rules: vec![rule("small", Some("fake-1-mini")), rule("fake-1", None)],
            providers: vec![("fake".to_owned(), wires)],
        };
        let config = Config {
            providers: vec![provider],
            route: Arc::new(route),
            proxy,
            now: Arc::new(|| 1_700_000_000_000),
        };
        let gateway = Gateway::start(config)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let (sender, ends) = mpsc::unbounded_channel();
        let ledger = Arc::new(Ledger {
            decide: Box::new(decide),
            asked: Mutex::default(),
            ends: sender,
        });
        let pass = gateway.open(ledger.clone(), Some("00-11-22-01"));
        let agent = reqwest::Client::builder().no_proxy().no_gzip().build();
        Self {
            gateway,
            pass: pass.unwrap_or_else(|error| panic!("{error}")),
            ledger,
            ends,
            agent: agent.unwrap_or_else(|error| panic!("{error}")),
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.pass.base_url(ClientFamily::Host))
    }

    /// A call with the pass's key.
    pub(super) fn post(
        &self,
        path: &str,
        body: impl Into<reqwest::Body>,
    ) -> reqwest::RequestBuilder {
        let request = self.agent.request(Method::POST, self.url(path));
        request.bearer_auth(self.pass.key()).body(body)
    }

    pub(super) fn asked(&self) -> Vec<ModelCall> {
        lock(&self.ledger.asked).clone()
    }

    /// The next end that the meter is told of.
    pub(super) async fn end(&mut self) -> CallEnd {
        let end = within(self.ends.recv()).await;
        end.map_or_else(|| panic!("the ledger is gone"), |(_, end)| end)
    }

    /// That the meter was told of nothing else.
    pub(super) fn nothing_else(&mut self) {
        if let Ok((call, end)) = self.ends.try_recv() {
            panic!("call {call} is settled again or unasked: {end:?}");
        }
    }
}

/// Waits for what is sure to come, and says where it has not.
#[track_caller]
pub(super) fn within<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let place = std::panic::Location::caller();
    async move {
        let result = tokio::time::timeout(Duration::from_secs(30), future).await;
        result.unwrap_or_else(|_| panic!("{place}: it has not come in 30 s"))
    }
}

pub(super) async fn send(request: reqwest::RequestBuilder) -> reqwest::Response {
    let response = within(request.send()).await;
    response.unwrap_or_else(|error| panic!("{error:?}"))
}

pub(super) async fn body(response: reqwest::Response) -> Bytes {
    let bytes = within(response.bytes()).await;
    bytes.unwrap_or_else(|error| panic!("{error:?}"))
}

pub(super) fn json(text: &str) -> Response {
    answer(200, "application/json", Body::from(text.to_owned()))
}

pub(super) fn events(text: &str) -> Response {
    answer(200, "text/event-stream", Body::from(text.to_owned()))
}

pub(super) fn answer(status: u16, kind: &str, body: Body) -> Response {
    let response = Response::builder()
        .status(status)
        .header("content-type", kind);
    response
        .body(body)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A streamed answer that the test writes piece by piece; it ends when the sender is dropped.
pub(super) fn written(mut pieces: mpsc::Receiver<Bytes>) -> Response {
    let stream = futures_util::stream::poll_fn(move |context| {
        pieces
            .poll_recv(context)
            .map(|piece| piece.map(Ok::<_, Infallible>))
    });
    answer(200, "text/event-stream", Body::from_stream(stream))
}

pub(super) fn tokens(input: u64, output: u64, read: u64, written: u64, reasoning: u64) -> Tokens {
    Tokens {
        input,
        output,
        cached_read: read,
        cache_written: written,
        reasoning,
    }
}
