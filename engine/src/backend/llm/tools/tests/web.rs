//! `web_fetch`, over pages that are made up.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::Url;
use serde_json::json;

use super::super::{Means, Page, Web, WebError};
use super::Agent;

struct Made;

impl Web for Made {
    fn get(&self, url: Url) -> BoxFuture<'static, Result<Page, WebError>> {
        let (status, content_type, body) = match url.path() {
            "/missing" => (404, "text/plain", "no such page".to_owned()),
            "/long" => (200, "text/plain", "é".repeat(40_000)),
            "/picture" => (200, "image/png", String::new()),
            "/private" => {
                return Box::pin(std::future::ready(Err(WebError::NotPublic(
                    "localhost".into(),
                ))));
            }
            _ => (200, "text/html", "<h1>Hello</h1>".to_owned()),
        };
        let page = Page {
            url,
            status,
            content_type: Some(content_type.to_owned()),
            body: body.into_bytes(),
            is_cut: false,
        };
        Box::pin(std::future::ready(Ok(page)))
    }
}

#[tokio::test]
async fn a_page_is_shown_as_text_and_in_parts() {
    let agent = Agent::with(&Means {
        shell: None,
        web: Some(Arc::new(Made)),
    });
    let text = agent
        .done("web_fetch", json!({"url": "https://example.org/"}))
        .await;
    assert_eq!(text, "https://example.org/ (status 200)\n\n# Hello\n");
    let text = agent
        .done("web_fetch", json!({"url": "https://example.org/long"}))
        .await;
    assert!(text.ends_with("(bytes 0 to 50000 of 80000; go on with offset 50000)\n"));
    // In the middle of a character: it is shown whole.
    let text = agent
        .done(
            "web_fetch",
            json!({"url": "https://example.org/long", "offset": 50_001}),
        )
        .await;
    assert_eq!(text.matches('é').count(), 15_000);
    for (url, part) in [
        (
            "https://example.org/missing",
            "(status 404)\n\nno such page",
        ),
        ("https://example.org/picture", "image/png of 0 bytes"),
        (
            "https://example.org/private",
            "no address of the public internet",
        ),
        ("example.org", "give a whole one"),
    ] {
        let text = agent.refused("web_fetch", json!({"url": url})).await;
        assert!(text.contains(part), "{text}");
    }
    let beyond = json!({"url": "https://example.org/", "offset": 100});
    let text = agent.refused("web_fetch", beyond).await;
    assert!(text.contains("only 7 bytes"), "{text}");
}
