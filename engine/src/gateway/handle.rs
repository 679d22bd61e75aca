//! One request of an agent, from its head to the head of its answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::answer::{self, Answer};
use super::body::{collect, small};
use super::call::OpenCall;
use super::failure::{self, Heard, Reported};
use super::headers;
use super::meter::{CallFailure, CallFailureKind, CallId, CallOutcome, ModelCall};
use super::pass::{Holder, Passes};
use super::provider::{Endpoint, Provider, ProviderKey};
use super::refusal::Refusal;
use super::request::Request;
use super::route::Route;
use super::serve::Bond;
use super::tap::{Content, Tap};
use super::upstream::{self, Upstream};
use super::wire::{self, InPath, Target, Wire};
use super::{Now, models};

/// The largest body that is taken, in bytes.
pub(super) const REQUEST_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What all requests share.
pub(super) struct Shared {
    pub(super) passes: Arc<Passes>,
    pub(super) providers: HashMap<Arc<str>, Arc<Provider>>,
    pub(super) route: Arc<dyn Route>,
    pub(super) upstream: Upstream,
    pub(super) now: Now,
    pub(super) calls: AtomicU64,
}

type AnswerBody = Either<Full<Bytes>, Answer<reqwest::Body>>;
type Response = http::Response<AnswerBody>;

/// Answers a request.
pub(super) async fn handle(
    shared: Arc<Shared>,
    bond: &Bond,
    request: http::Request<Incoming>,
) -> Response {
    let (head, body) = request.into_parts();
    let target = wire::target(&head.method, head.uri.path(), &head.headers);
    let mut body = Some(body);
    let answered = match admit_agent(&shared, &head) {
        Ok((holder, open)) => {
            bond.send_replace(Some(holder.revoked.clone()));
            let agent = Agent {
                shared: &shared,
                holder,
                head: &head,
                wire: target.wire,
            };
            agent.answer(target, &mut body, open).await
        }
        Err(refusal) => Err(refusal),
    };
    if let Some(body) = body {
        // An agent that is still sending would see a lost connection in place of the answer.
        let _ = collect(body, 0).await;
    }
    answered.unwrap_or_else(|refusal| {
        tracing::debug!(?refusal, "a model call is refused");
        let (headers, body) = refusal.answer(target.wire);
        whole(refusal.status(target.wire), headers, body)
    })
}

/// Who asks: only programs on this machine that hold a pass.
fn admit_agent(
    shared: &Shared,
    head: &http::request::Parts,
) -> Result<(Arc<Holder>, TaskTrackerToken), Refusal> {
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = head.uri.authority().map(http::uri::Authority::as_str);
    let is_here = |name: Option<&str>| name.is_some_and(headers::is_loopback);
    if !is_here(host) || (authority.is_some() && !is_here(authority)) {
        return Err(Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            "the model gateway is for programs on this machine: its host is 127.0.0.1",
        ));
    }
    headers::keys(&head.headers, head.uri.query())
        .find_map(|key| shared.passes.find(key))
        .ok_or_else(|| {
            Refusal::new(
                StatusCode::UNAUTHORIZED,
                "the key is none of the model gateway's, or its attempt is over",
            )
        })
}

/// A request of an agent that may ask.
struct Agent<'a> {
    shared: &'a Shared,
    holder: Arc<Holder>,
    head: &'a http::request::Parts,
    wire: Wire,
}

/// Where a call goes.
struct Destination<'a> {
    provider: &'a Arc<Provider>,
    endpoint: &'a Endpoint,
    model: String,
}

impl Agent<'_> {
    async fn answer(
        &self,
        target: Target<'_>,
        body: &mut Option<Incoming>,
        open: TaskTrackerToken,
    ) -> Result<Response, Refusal> {
        match target.endpoint {
            wire::Endpoint::Generate(in_path) => {
                self.generate(target.provider, in_path, body, open).await
            }
            wire::Endpoint::CountTokens(in_path) => {
                self.count_tokens(target.provider, in_path, body).await
            }
            wire::Endpoint::Models => {
                let list = models::list(self.wire, &self.shared.route.models());
                Ok(whole(StatusCode::OK, json_headers(), list))
            }
            wire::Endpoint::Model(name) => {
                let found = models::one(self.wire, &self.shared.route.models(), name);
                let found = found.ok_or_else(|| {
                    Refusal::no_model(format!(
                        "there is no model {name:?}; GET /v1/models lists them"
                    ))
                })?;
                Ok(whole(StatusCode::OK, json_headers(), found))
            }
            wire::Endpoint::Refused(why) => Err(Refusal::new(StatusCode::NOT_FOUND, why)),
            wire::Endpoint::WrongMethod => Err(Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("{} is not a method of this path", self.head.method),
            )),
            wire::Endpoint::Unknown => Err(Refusal::new(
                StatusCode::NOT_FOUND,
                format!(
                    "{} is not served; the model gateway serves /v1/messages, /v1/messages/count_tokens, \
                     /v1/chat/completions, /v1/responses, /v1/models and /v1beta/models/…, also under /to/<provider>",
                    self.head.uri.path()
                ),
            )),
        }
    }

    async fn generate(
        &self,
        provider: Option<&str>,
        in_path: Option<InPath<'_>>,
        body: &mut Option<Incoming>,
        open: TaskTrackerToken,
    ) -> Result<Response, Refusal> {
        let request = self.read(in_path, body).await?;
        let destination = self.destination(&request.model, provider)?;
        let provider = destination.provider;
        let id = CallId(self.shared.calls.fetch_add(1, Ordering::Relaxed));
        let admitted = self.holder.meter.admit(ModelCall {
            id,
            provider: provider.name.clone(),
            model: destination.model.clone(),
            asked_model: request.model.clone(),
            wire: self.wire,
            is_streaming: request.is_streaming,
            request_bytes: request.bytes(),
            choices: request.choices,
            max_output_tokens: request.max_output_tokens(),
        });
        let admitted = admitted.await?;
        let mut call = OpenCall::new(self.holder.clone(), id, open);
        // What is admitted is for all choices, and a limit is for each.
        let limit = admitted.max_output_tokens.map(|all| all / request.choices);
        if limit == Some(0) {
            let message =
                "the output that is left is less than a token for each answer that is asked for";
            call.fail(CallFailure {
                status: None,
                kind: CallFailureKind::Invalid,
                message: message.to_owned(),
                retry_after: None,
            });
            return Err(Refusal::new(StatusCode::PAYMENT_REQUIRED, message));
        }
        let (body, hides_usage) = request.edited(provider, &destination.model, limit);
        let response = match self.send(&destination, "", in_path, body).await {
            Ok(response) => response,
            Err(error) => {
                let (failure, refusal) = unreachable_provider(&provider.name, &error);
                if error.is_connect() || error.is_builder() {
                    call.fail(failure);
                } else {
                    // It may have been answered, and charged.
                    call.settle(None, CallOutcome::Failed(failure));
                }
                return Err(refusal);
            }
        };
        if !response.status().is_success() {
            return self.failed(provider, response, call).await;
        }
        let allowed = request.max_output_tokens().into_iter();
        let allowed = allowed.chain(admitted.max_output_tokens).min();
        Ok(self.answered(provider, response, call, allowed, hides_usage))
    }

    /// Passes a count on. It costs nothing, so nobody is asked.
    async fn count_tokens(
        &self,
        provider: Option<&str>,
        in_path: Option<InPath<'_>>,
        body: &mut Option<Incoming>,
    ) -> Result<Response, Refusal> {
        let request = self.read(in_path, body).await?;
        let destination = self.destination(&request.model, provider)?;
        let suffix = match self.wire {
            Wire::GenerateContent => ":countTokens",
            _ => "/count_tokens",
        };
        let (body, _) = request.edited(destination.provider, &destination.model, None);
        let name = &destination.provider.name;
        let response = self.send(&destination, suffix, in_path, body).await;
        let response = response.map_err(|error| unreachable_provider(name, &error).1)?;
        let (head, body) = response.into_parts();
        let body = small(body).await.map_err(|why| lost(name, &why))?;
        Ok(masked(
            destination.provider,
            head.status,
            &head.headers,
            body,
        ))
    }

    async fn read(
        &self,
        in_path: Option<InPath<'_>>,
        body: &mut Option<Incoming>,
    ) -> Result<Request, Refusal> {
        let encoding = self.head.headers.get(CONTENT_ENCODING);
        if encoding.is_some_and(|encoding| encoding != "identity") {
            return Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body is compressed: send it without content-encoding, the way is short",
            ));
        }
        let body = match body.take() {
            Some(body) => collect(body, REQUEST_BYTES_MAX).await?,
            None => Bytes::new(),
        };
        Request::read(self.wire, body, in_path)
            .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.to_string()))
    }

    fn destination(&self, model: &str, provider: Option<&str>) -> Result<Destination<'_>, Refusal> {
        let routed = self.shared.route.route(self.wire, model, provider);
        let routed = routed.map_err(|error| Refusal::no_model(error.to_string()))?;
        let provider = self.shared.providers.get(routed.provider.as_str());
        let found = provider.and_then(|provider| Some((provider, provider.endpoint(self.wire)?)));
        let (provider, endpoint) = found.ok_or_else(|| {
            Refusal::no_model(format!(
                "the model {model:?} is routed to {:?}, which does not speak {}",
                routed.provider, self.wire
            ))
        })?;
        Ok(Destination {
            provider,
            endpoint,
            model: routed.model,
        })
    }

    async fn send(
        &self,
        destination: &Destination<'_>,
        suffix: &str,
        in_path: Option<InPath<'_>>,
        body: Bytes,
    ) -> Result<http::Response<reqwest::Body>, reqwest::Error> {
        let endpoint = destination.endpoint;
        let in_path = in_path.map(|in_path| (destination.model.as_str(), in_path));
        let url = upstream::url(endpoint, suffix, in_path, self.head.uri.query());
        let traceparent = self.holder.traceparent.as_ref();
        let headers = upstream::headers(
            destination.provider,
            endpoint,
            &self.head.headers,
            traceparent,
        );
        self.shared
            .upstream
            .send(endpoint, url, headers, body)
            .await
    }

    /// Passes a provider's error on, read as a whole: it decides what is done next, and may repeat a key.
    async fn failed(
        &self,
        provider: &Provider,
        response: http::Response<reqwest::Body>,
        mut call: OpenCall,
    ) -> Result<Response, Refusal> {
        let (head, body) = response.into_parts();
        if head.status.is_redirection() {
            let to = head.headers.get(LOCATION).and_then(|to| to.to_str().ok());
            let message = format!(
                "provider {} answers with a redirect to {}: correct its base URL",
                provider.name,
                to.unwrap_or("nowhere")
            );
            call.fail(CallFailure {
                status: Some(head.status.as_u16()),
                kind: CallFailureKind::Invalid,
                message: message.clone(),
                retry_after: None,
            });
            return Err(Refusal::new(StatusCode::BAD_REQUEST, message));
        }
        // The meter is told the provider's words, so the key must be out of them by now.
        let key = provider.key.as_ref().map(ProviderKey::as_bytes);
        let body = small(body).await.map(|body| headers::masked(body, key));
        let text = body.as_deref().unwrap_or_default();
        call.first_byte();
        let heard = Heard {
            headers: &head.headers,
            now: (self.shared.now)(),
        };
        let status = Some(head.status.as_u16());
        call.fail(failure::sort(status, &Reported::read(text), Some(heard)));
        let body = body.map_err(|why| lost(&provider.name, &why))?;
        Ok(masked(provider, head.status, &head.headers, body))
    }

    /// Passes an answer on as it comes.
    fn answered(
        &self,
        provider: &Provider,
        response: http::Response<reqwest::Body>,
        call: OpenCall,
        allowed: Option<u64>,
        hides_usage: bool,
    ) -> Response {
        let (head, body) = response.into_parts();
        let content = content(&head.headers);
        let hides_usage = hides_usage && content == Content::Events;
        let key = provider.key.as_ref().map(ProviderKey::as_bytes);
        let mut headers = headers::returning(&head.headers, key);
        if hides_usage {
            headers.remove(CONTENT_LENGTH);
        }
        let tap = Tap::new(self.wire, content, allowed, hides_usage);
        let length = head.headers.get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let answer = Answer::new(body, length, tap, call, hides_usage);
        let mut response = http::Response::new(Either::Right(answer));
        *response.status_mut() = head.status;
        *response.headers_mut() = headers;
        response
    }
}

/// An answer that was read as a whole, without the key.
fn masked(provider: &Provider, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Response {
    let key = provider.key.as_ref().map(ProviderKey::as_bytes);
    let headers = headers::returning(headers, key);
    whole(status, headers, headers::masked(body, key))
}

fn content(headers: &HeaderMap) -> Content {
    if headers
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| encoding != "identity")
    {
        return Content::Compressed;
    }
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let is_events = kind.is_some_and(|kind| {
        kind.trim_start()
            .get(..17)
            .is_some_and(|kind| kind.eq_ignore_ascii_case("text/event-stream"))
    });
    if is_events {
        Content::Events
    } else {
        Content::Document
    }
}

fn unreachable_provider(name: &str, error: &reqwest::Error) -> (CallFailure, Refusal) {
    let message = format!(
        "provider {name} cannot be reached: {}",
        answer::chain(error)
    );
    let failure = CallFailure {
        status: None,
        kind: CallFailureKind::Transport,
        message: message.clone(),
        retry_after: None,
    };
    (failure, Refusal::new(StatusCode::BAD_GATEWAY, message))
}

fn lost(name: &str, why: &str) -> Refusal {
    Refusal::new(
        StatusCode::BAD_GATEWAY,
        format!("the answer of provider {name} cannot be read: {why}"),
    )
}

fn json_headers() -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))])
}

fn whole(status: StatusCode, mut headers: HeaderMap, body: Bytes) -> Response {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    headers.remove(CONTENT_LENGTH);
    let mut response = http::Response::new(Either::Left(Full::new(body)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
