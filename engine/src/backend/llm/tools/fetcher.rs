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
pub(crate) enum Addresses {
    /// Those of the public internet. A name counts by the address that is connected to, at each redirect anew.
    #[default]
    Public,
    /// This machine and its network, too.
    #[cfg_attr(not(test), expect(dead_code, reason = "no setting permits it yet"))]
    All,
}

/// The web, over HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Fetcher {
    client: Client,
    may_ask: Judge,
}

/// Whether a server at this address may be asked.
type Judge = fn(IpAddr) -> bool;

impl Fetcher {
    /// With connections that all its users share.
    ///
    /// No proxy of the environment is used: it would look names up itself, and nobody would see where they lead.
    ///
    /// # Errors
    /// TLS cannot be set up, for instance because there are no certificates.
    pub(crate) fn new(addresses: Addresses) -> Result<Self, WebError> {
        Self::judging(match addresses {
            Addresses::Public => address::is_public,
            Addresses::All => |_| true,
        })
    }

    fn judging(may_ask: Judge) -> Result<Self, WebError> {
        let client = Client::builder()
            .user_agent(concat!("bellwether/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .referer(false)
            .timeout(Duration::from_secs(SECONDS_MAX))
            .redirect(redirect::Policy::custom(move |attempt| {
                follow(attempt, may_ask)
            }))
            .dns_resolver(Arc::new(LookUp { may_ask }))
            .build()
            .map_err(|error| WebError::Failed(error.to_string()))?;
        Ok(Self { client, may_ask })
    }
}

impl Web for Fetcher {
    fn get(&self, url: Url) -> BoxFuture<'static, Result<Page, WebError>> {
        let (client, may_ask) = (self.client.clone(), self.may_ask);
        Box::pin(async move {
            check(&url, may_ask)?;
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

fn follow(attempt: Attempt<'_>, may_ask: Judge) -> redirect::Action {
    // Those before include the first page, which is no redirect.
    if attempt.previous().len() > REDIRECTS_MAX {
        return attempt.error(WebError::Redirects(REDIRECTS_MAX));
    }
    match check(attempt.url(), may_ask) {
        Ok(()) => attempt.follow(),
        Err(error) => attempt.error(error),
    }
}

/// What can be said before a name is looked up. A host that is an address is never looked up.
fn check(url: &Url, may_ask: Judge) -> Result<(), WebError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(WebError::Scheme(url.to_string()));
    }
    let host = url.host_str().unwrap_or_default();
    let literal = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    match literal {
        Ok(literal) if !may_ask(literal) => Err(WebError::NotPublic(host.to_owned())),
        _ => Ok(()),
    }
}

/// Looks names up, and forgets addresses that may not be asked. What is left is what is connected to, so that a name
/// which means another address a moment later gains nothing.
struct LookUp {
    may_ask: Judge,
}

impl Resolve for LookUp {
    fn resolve(&self, name: reqwest::dns::Name) -> Resolving {
        let may_ask = self.may_ask;
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let left: Vec<_> = found.filter(|found| may_ask(found.ip())).collect();
            if left.is_empty() {
                return Err(WebError::NotPublic(host).into());
            }
            Ok(Box::new(left.into_iter()) as Addrs)
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers every request with what `answer` makes of its path. Its port.
    async fn server(address: Ipv4Addr, port: u16, answer: fn(&str, u16) -> Vec<u8>) -> u16 {
        let listener = TcpListener::bind((address, port)).await;
        let listener = listener.unwrap_or_else(|error| panic!("{error}"));
        let local = listener
            .local_addr()
            .unwrap_or_else(|error| panic!("{error}"));
        let port = local.port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        let read = stream.read_buf(&mut request).await;
                        if read.map_or(0, |read| read) == 0 {
                            return;
                        }
                    }
                    let request = String::from_utf8_lossy(&request).into_owned();
                    let path = request.split(' ').nth(1).unwrap_or("/");
                    // Whoever has enough goes away in the middle.
                    let _ = stream.write_all(&answer(path, port)).await;
                });
            }
        });
        port
    }

    fn pages(path: &str, port: u16) -> Vec<u8> {
        let leads =
            |to: &str| format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
        match path {
            "/round" => leads("/round"),
            "/file" => leads("file:///etc/passwd"),
            "/aside" => leads(&format!("http://127.0.0.2:{port}/")),
            "/on" => leads("/page"),
            "/endless" => format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(BODY_BYTES_MAX + 100_000)),
            "/broken" => "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort".to_owned(),
            _ => "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<p>hi\n".to_owned(),
        }
        .into_bytes()
    }

    fn fetcher(may_ask: Judge) -> Fetcher {
        Fetcher::judging(may_ask).unwrap_or_else(|error| panic!("{error}"))
    }

    async fn got(fetcher: &Fetcher, url: &str) -> Result<Page, WebError> {
        let url = Url::parse(url).unwrap_or_else(|error| panic!("{error}"));
        fetcher.get(url).await
    }

    #[tokio::test]
    async fn a_page_comes_with_where_it_is_from() {
        let port = server(Ipv4Addr::LOCALHOST, 0, pages).await;
        let all = Fetcher::new(Addresses::All).unwrap_or_else(|error| panic!("{error}"));
        let page = got(&all, &format!("http://localhost:{port}/on")).await;
        let page = page.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(page.url.path(), "/page");
        assert_eq!(
            (page.status, page.content_type.as_deref()),
            (200, Some("text/html"))
        );
        assert_eq!(page.body, b"<p>hi\n");

        let page = got(&all, &format!("http://127.0.0.1:{port}/endless")).await;
        let page = page.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((page.body.len(), page.is_cut), (BODY_BYTES_MAX, true));
        let broken = got(&all, &format!("http://127.0.0.1:{port}/broken")).await;
        assert!(matches!(broken, Err(WebError::Failed(_))), "{broken:?}");
    }

    #[tokio::test]
    async fn addresses_are_judged_at_each_redirect_and_after_the_name_is_looked_up() {
        let port = server(Ipv4Addr::LOCALHOST, 0, pages).await;
        server(Ipv4Addr::new(127, 0, 0, 2), port, |_, _| {
            panic!("it was asked")
        })
        .await;
        let first = fetcher(|address| address == Ipv4Addr::LOCALHOST);
        let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
        assert!(got(&first, &url("/on")).await.is_ok());
        assert_eq!(
            got(&first, &url("/aside")).await,
            Err(WebError::NotPublic("127.0.0.2".into()))
        );
        // It is not followed at all.
        let file = got(&first, &url("/file")).await;
        assert!(file.is_ok_and(|page| page.status == 302 && page.body.is_empty()));
        assert_eq!(
            got(&first, "file:///etc/passwd").await,
            Err(WebError::Scheme("file:///etc/passwd".into()))
        );
        assert_eq!(
            got(&first, &url("/round")).await,
            Err(WebError::Redirects(REDIRECTS_MAX))
        );

        let public = Fetcher::new(Addresses::Public).unwrap_or_else(|error| panic!("{error}"));
        for host in [
            "127.0.0.1",
            "localhost",
            "[::1]",
            "0x7f.1",
            "[::ffff:127.0.0.1]",
        ] {
            let refused = got(&public, &format!("http://{host}:{port}/")).await;
            assert!(
                matches!(refused, Err(WebError::NotPublic(_))),
                "{host}: {refused:?}"
            );
        }
    }
}
