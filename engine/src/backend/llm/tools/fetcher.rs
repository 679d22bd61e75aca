//! Pages over HTTP, by reqwest.

use std::error::Error as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Resolve, Resolving};
use reqwest::redirect::{self, Attempt};
use reqwest::{Client, Url};

use super::address;
use super::fetch::{Page, Web, WebError};

/// How long a page may take, from the first name that is looked up to its last byte.
const SECONDS_MAX: u64 = 30;
/// How much of a page is kept, in bytes.
const BODY_BYTES_MAX: usize = 4 << 20;
/// How often a page may lead on to another.
const REDIRECTS_MAX: usize = 8;

/// Which servers may be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addresses {
    /// Those of the public internet. A name counts by the address that is connected to, at each redirect anew.
    #[default]
    Public,
    /// This machine and its network, too.
    All,
}

/// The web, over HTTP.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: Client,
    addresses: Addresses,
}

impl Fetcher {
    /// With connections that all its users share.
    ///
    /// No proxy of the environment is used: it would look names up itself, and nobody would see where they lead.
    ///
    /// # Errors
    /// TLS cannot be set up, for instance because there are no certificates.
    pub fn new(addresses: Addresses) -> Result<Self, WebError> {
        let mut builder = Client::builder()
            .user_agent(concat!("bellwether/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .referer(false)
            .timeout(Duration::from_secs(SECONDS_MAX))
            .redirect(redirect::Policy::custom(move |attempt| follow(attempt, addresses)));
        if addresses == Addresses::Public {
            builder = builder.dns_resolver(Arc::new(PublicNames));
        }
        let client = builder.build().map_err(|error| WebError::Failed(error.to_string()))?;
        Ok(Self { client, addresses })
    }
}

impl Web for Fetcher {
    fn get(&self, url: Url) -> BoxFuture<'static, Result<Page, WebError>> {
        let (client, addresses) = (self.client.clone(), self.addresses);
        Box::pin(async move {
            check(&url, addresses)?;
            let mut response = client.get(url).send().await.map_err(reason)?;
            let mut page = Page {
                url: response.url().clone(),
                status: response.status().as_u16(),
                content_type: response
                    .headers()
                    .get(reqwest::header::CONTENT_TYPE)
                    .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
                body: Vec::new(),
                is_cut: false,
            };
            while let Some(piece) = response.chunk().await.map_err(reason)? {
                let room = BODY_BYTES_MAX - page.body.len();
                page.is_cut = piece.len() > room;
                page.body.extend_from_slice(&piece[..piece.len().min(room)]);
                if page.is_cut {
                    break;
                }
            }
            Ok(page)
        })
    }
}

fn follow(attempt: Attempt<'_>, addresses: Addresses) -> redirect::Action {
    // Those before include the first page, which is no redirect.
    if attempt.previous().len() > REDIRECTS_MAX {
        return attempt.error(WebError::Redirects(REDIRECTS_MAX));
    }
    match check(attempt.url(), addresses) {
        Ok(()) => attempt.follow(),
        Err(error) => attempt.error(error),
    }
}

/// What can be said before a name is looked up. A host that is an address is never looked up.
fn check(url: &Url, addresses: Addresses) -> Result<(), WebError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(WebError::Scheme(url.to_string()));
    }
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match literal {
        Ok(literal) if addresses == Addresses::Public && !address::is_public(literal) => {
            Err(WebError::NotPublic(host.to_owned()))
        }
        _ => Ok(()),
    }
}

/// Looks names up, and forgets addresses that are not public. What is left is what is connected to, so that a name which
/// means another address a moment later gains nothing.
struct PublicNames;

impl Resolve for PublicNames {
    fn resolve(&self, name: reqwest::dns::Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let public: Vec<_> = found.filter(|found| address::is_public(found.ip())).collect();
            if public.is_empty() {
                return Err(WebError::NotPublic(host).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// What lies under reqwest's error: ours, or its last cause, which says the most.
fn reason(error: reqwest::Error) -> WebError {
    if error.is_timeout() {
        return WebError::TimedOut(SECONDS_MAX);
    }
    // The URL may carry what is nobody's business in a log, and the model knows it.
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(ours) = inner.downcast_ref::<WebError>() {
            return ours.clone();
        }
        text = inner.to_string();
        cause = inner.source();
    }
    WebError::Failed(text)
}
