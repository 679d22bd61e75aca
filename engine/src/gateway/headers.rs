//! Which headers pass, and what is taken out of a query. Pure.

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use memchr::memmem;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
const AZURE_API_KEY: HeaderName = HeaderName::from_static("api-key");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// They are about one connection, and each has its own (RFC 9110, 7.6.1).
static HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    PROXY_CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Where a key may stand.
static KEYS: [HeaderName; 4] = [API_KEY, GOOG_API_KEY, AZURE_API_KEY, AUTHORIZATION];

/// All keys that a request brings: libraries send some header or other although its key is empty or a placeholder.
pub(super) fn keys<'a>(
    headers: &'a HeaderMap,
    query: Option<&'a str>,
) -> impl Iterator<Item = &'a str> {
    let in_headers = KEYS
        .iter()
        .flat_map(move |name| headers.get_all(name))
        .filter_map(|value| value.to_str().ok())
        .map(|value| {
            let bearer = value
                .get(..7)
                .filter(|scheme| scheme.eq_ignore_ascii_case("bearer "));
            bearer.map_or(value, |_| &value[7..]).trim()
        });
    let in_query = pairs(query).filter_map(|pair| pair.strip_prefix("key="));
    in_headers.chain(in_query)
}

/// A query without its key.
pub(super) fn query_without_key(query: Option<&str>) -> Option<String> {
    let rest: Vec<&str> = pairs(query)
        .filter(|pair| *pair != "key" && !pair.starts_with("key="))
        .collect();
    (!rest.is_empty()).then(|| rest.join("&"))
}

fn pairs(query: Option<&str>) -> impl Iterator<Item = &str> {
    query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
}

/// The headers of the call that goes out, without the key.
pub(super) fn outgoing(
    incoming: &HeaderMap,
    provider: &HeaderMap,
    traceparent: Option<&HeaderValue>,
) -> HeaderMap {
    let mut headers = passing(incoming);
    for name in KEYS.iter().chain(&[HOST, CONTENT_LENGTH, EXPECT]) {
        headers.remove(name);
    }
    // The answer is read as it passes. Agents that ask for compression take what is not compressed.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(traceparent) = traceparent {
        headers
            .entry(TRACEPARENT)
            .or_insert_with(|| traceparent.clone());
    }
    for name in provider.keys() {
        headers.remove(name);
    }
    for (name, value) in provider {
        headers.append(name, value.clone());
    }
    headers
}

/// The headers of the answer. Whichever holds the provider's key does not come back.
pub(super) fn returning(answer: &HeaderMap, key: Option<&[u8]>) -> HeaderMap {
    let mut headers = passing(answer);
    if let Some(key) = key.filter(|key| !key.is_empty()) {
        let finder = memmem::Finder::new(key);
        let leaks: Vec<HeaderName> = headers
            .iter()
            .filter(|(_, value)| finder.find(value.as_bytes()).is_some())
            .map(|(name, _)| name.clone())
            .collect();
        for name in leaks {
            headers.remove(name);
        }
    }
    headers
}

/// All but those about the connection, and those that `connection` names.
fn passing(headers: &HeaderMap) -> HeaderMap {
    let mut passing = headers.clone();
    let named = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    for name in named {
        passing.remove(name.trim());
    }
    for name in &HOP_BY_HOP {
        passing.remove(name);
    }
    passing
}

/// Whether a `host` is this machine itself. A page in a browser whose name has been made to mean this machine
/// (DNS rebinding) says its own name here.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => host.split(':').next(),
    };
    let name = name.unwrap_or_default();
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Puts stars in a key's place; as many, so that no length changes.
pub(super) fn masked(body: bytes::Bytes, key: Option<&[u8]>) -> bytes::Bytes {
    let Some(key) = key.filter(|key| !key.is_empty()) else {
        return body;
    };
    let at: Vec<usize> = memmem::find_iter(&body, key).collect();
    if at.is_empty() {
        return body;
    }
    let mut masked = body.to_vec();
    for start in at {
        masked[start..start + key.len()].fill(b'*');
    }
    masked.into()
}
