//! The way out to the providers.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Url};

use super::headers;
use super::provider::{Endpoint, Provider};
use super::wire::{InPath, Wire};

/// A provider that cannot be connected to in this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection that is silent for so long is probed: a model may think for many minutes, and no answer is given up
/// because it is slow.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Shorter than providers keep idle connections, so that calls do not meet one that is being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// Which proxy leads out. A provider on this machine is never reached by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proxy {
    /// None, whatever the environment says.
    #[default]
    Direct,
    /// What `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
    Environment,
    /// This one.
    Fixed(Url),
}

/// Sends calls. Connections are HTTP/1.1, one for each call that is under way. With HTTP/2 all calls to a provider
/// would share one: providers allow about 100 streams on it, further calls would wait unseen, and a few agents that
/// do not read would fill its window and stop all others.
pub(super) struct Upstream {
    proxy: Proxy,
    /// Made when first used: reading the system's certificates takes some milliseconds.
    outside: OnceLock<Client>,
    here: OnceLock<Client>,
}

impl Upstream {
    pub(super) fn new(proxy: Proxy) -> Self {
        Self {
            proxy,
            outside: OnceLock::new(),
            here: OnceLock::new(),
        }
    }

    pub(super) fn client(&self, endpoint: &Endpoint) -> Result<&Client, reqwest::Error> {
        let host = endpoint.base_url.host_str().unwrap_or_default();
        let is_here = headers::is_loopback(host);
        let client = if is_here { &self.here } else { &self.outside };
        if let Some(client) = client.get() {
            return Ok(client);
        }
        let proxy = if is_here { &Proxy::Direct } else { &self.proxy };
        let made = build(proxy)?;
        Ok(client.get_or_init(|| made))
    }

    pub(super) async fn send(
        &self,
        endpoint: &Endpoint,
        url: Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<http::Response<reqwest::Body>, reqwest::Error> {
        let mut request = reqwest::Request::new(Method::POST, url);
        *request.headers_mut() = headers;
        *request.body_mut() = Some(body.into());
        Ok(self.client(endpoint)?.execute(request).await?.into())
    }
}

fn build(proxy: &Proxy) -> Result<Client, reqwest::Error> {
    let builder = Client::builder()
        .http1_only()
        // A key must not follow a redirect to wherever it leads.
        .redirect(Policy::none())
        // Others of the program may have turned these features on; what an agent gets is what the provider sent.
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .referer(false)
        .tcp_nodelay(true)
        .tcp_keepalive(KEEPALIVE)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT);
    let builder = match proxy {
        Proxy::Direct => builder.no_proxy(),
        Proxy::Environment => builder,
        Proxy::Fixed(url) => builder.no_proxy().proxy(reqwest::Proxy::all(url.clone())?),
    };
    builder.build()
}

/// Where a call goes: the endpoint's base URL, the wire's path, the agent's query without its key.
pub(super) fn url(
    endpoint: &Endpoint,
    suffix: &str,
    in_path: Option<(&str, InPath<'_>)>,
    query: Option<&str>,
) -> Url {
    let mut url = endpoint.base_url.clone();
    let base = url.path().trim_end_matches('/').to_owned();
    let path = match in_path {
        Some((model, in_path)) => {
            let method = if !suffix.is_empty() {
                suffix
            } else if in_path.is_streaming {
                ":streamGenerateContent"
            } else {
                ":generateContent"
            };
            format!("{base}{}{model}{method}", Wire::GenerateContent.path())
        }
        None => format!("{base}{}{suffix}", endpoint.wire.path()),
    };
    url.set_path(&path);
    url.set_query(headers::query_without_key(query).as_deref());
    url
}

/// The headers of a call, with the provider's key in place of the agent's.
pub(super) fn headers(
    provider: &Provider,
    endpoint: &Endpoint,
    incoming: &HeaderMap,
    traceparent: Option<&HeaderValue>,
) -> HeaderMap {
    let mut headers = headers::outgoing(incoming, &provider.headers, traceparent);
    headers
        .entry(CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("application/json"));
    // A provider whose key makes no header has been refused at the start.
    if let Ok(Some((name, value))) = provider.auth(endpoint) {
        headers.insert(name, value);
    }
    headers
}
