//! What a method and a path ask for, and what the route table makes of a model.

use http::{HeaderMap, HeaderValue, Method};

use super::super::route::{NoRoute, Route, RouteTable, Routed, Rule};
use super::super::wire::{Endpoint, InPath, Wire, target};
use super::super::{Auth, Provider, ProviderError, ProviderKey};

#[test]
fn paths() {
    let generate = |model, is_streaming| {
        Endpoint::Generate(Some(InPath {
            model,
            is_streaming,
        }))
    };
    let posts = [
        (
            "/v1/messages",
            None,
            Wire::Messages,
            Endpoint::Generate(None),
        ),
        (
            "/to/x/v1/messages/",
            Some("x"),
            Wire::Messages,
            Endpoint::Generate(None),
        ),
        (
            "/to/x/messages/count_tokens",
            Some("x"),
            Wire::Messages,
            Endpoint::CountTokens(None),
        ),
        (
            "/v1/chat/completions",
            None,
            Wire::ChatCompletions,
            Endpoint::Generate(None),
        ),
        (
            "/responses",
            None,
            Wire::Responses,
            Endpoint::Generate(None),
        ),
        (
            "/v1/models",
            None,
            Wire::ChatCompletions,
            Endpoint::WrongMethod,
        ),
        (
            "/v1beta/models/a/b:7b:streamGenerateContent",
            None,
            Wire::GenerateContent,
            generate("a/b:7b", true),
        ),
        (
            "/v1alpha/models/m:generateContent",
            None,
            Wire::GenerateContent,
            generate("m", false),
        ),
        ("/", None, Wire::ChatCompletions, Endpoint::Unknown),
        ("/to/x", None, Wire::ChatCompletions, Endpoint::Unknown),
        (
            "/v1beta/files",
            None,
            Wire::GenerateContent,
            Endpoint::Unknown,
        ),
    ];
    for (path, provider, wire, endpoint) in posts {
        let target = target(&Method::POST, path, &HeaderMap::new());
        assert_eq!(
            (target.provider, target.wire, target.endpoint),
            (provider, wire, endpoint)
        );
    }
    for path in [
        "/v1/responses/resp_1/cancel",
        "/v1/messages/batches",
        "/v1/embeddings",
        "/v1/batches",
        "/v1beta/models/m:embedContent",
    ] {
        let target = target(&Method::POST, path, &HeaderMap::new());
        assert!(
            matches!(target.endpoint, Endpoint::Refused(_)),
            "{path}: {target:?}"
        );
    }
    let stored = target(&Method::GET, "/v1/responses/resp_1", &HeaderMap::new());
    assert!(matches!(stored.endpoint, Endpoint::Refused(_)));
    let mut headers = HeaderMap::new();
    headers.insert("x-goog-api-key", HeaderValue::from_static("k"));
    let v1 = target(&Method::POST, "/v1/models/m:generateContent", &headers);
    assert_eq!(
        (v1.wire, v1.endpoint),
        (Wire::GenerateContent, generate("m", false))
    );
}

#[test]
fn routes() {
    let rule = |model: &str, wire, provider: &str, sends: Option<&str>| Rule {
        model: model.to_owned(),
        wire,
        provider: provider.to_owned(),
        sends: sends.map(str::to_owned),
    };
    let table = RouteTable {
        rules: vec![
            rule("haiku", None, "anthropic", Some("claude-haiku-4-5")),
            rule("claude-*", None, "anthropic", None),
            rule(
                "haiku",
                Some(Wire::ChatCompletions),
                "proxy",
                Some("a/haiku"),
            ),
        ],
        providers: vec![
            ("anthropic".to_owned(), vec![Wire::Messages]),
            ("proxy".to_owned(), vec![Wire::ChatCompletions]),
        ],
    };
    let to = |provider: &str, model: &str| {
        Ok(Routed {
            provider: provider.to_owned(),
            model: model.to_owned(),
        })
    };
    assert_eq!(
        table.route(Wire::Messages, "haiku", None),
        to("anthropic", "claude-haiku-4-5")
    );
    assert_eq!(
        table.route(Wire::Messages, "claude-x", None),
        to("anthropic", "claude-x")
    );
    // The first rule's provider does not speak it.
    assert_eq!(
        table.route(Wire::ChatCompletions, "haiku", None),
        to("proxy", "a/haiku")
    );
    assert_eq!(
        table.route(Wire::ChatCompletions, "haiku", Some("proxy")),
        to("proxy", "a/haiku")
    );
    assert_eq!(
        table.route(Wire::ChatCompletions, "gpt", Some("proxy")),
        to("proxy", "gpt")
    );
    let nowhere = table.route(Wire::ChatCompletions, "gpt", None);
    let text = nowhere.as_ref().map_err(NoRoute::to_string);
    assert_eq!(
        text,
        Err("no provider serves the model \"gpt\" by chat completions; there is haiku, claude-*, haiku, any at /to/proxy/".to_owned())
    );
    assert!(
        table
            .route(Wire::Messages, "claude-x", Some("proxy"))
            .is_err()
    );
    assert_eq!(table.models(), ["haiku"]);
}

#[test]
fn providers_are_checked_and_never_show_their_key() {
    let url =
        |text: &str| -> reqwest::Url { text.parse().unwrap_or_else(|error| panic!("{error}")) };
    let provider = |name: &str, base: &str| {
        Provider::new(name)
            .with_endpoint(Wire::Messages, url(base))
            .with_key(ProviderKey::new(" sk-5ecret\n"))
    };
    let good = provider("a.b-c_1", "https://api.anthropic.com");
    assert_eq!(good.check(), Ok(()));
    assert_eq!(good.endpoints[0].auth, Auth::ApiKey);
    assert!(!format!("{good:?}").contains("5ecret"));
    let name = provider("a/b", "https://h").check();
    assert_eq!(name, Err(ProviderError::Name("a/b".to_owned())));
    assert!(matches!(
        provider("a", "ftp://h").check(),
        Err(ProviderError::BaseUrl { .. })
    ));
    assert!(matches!(
        provider("a", "https://h?x").check(),
        Err(ProviderError::BaseUrl { .. })
    ));
    let broken = provider("a", "https://h").with_key(ProviderKey::new("sk\nx"));
    assert_eq!(broken.check(), Err(ProviderError::Key("a".into())));
    assert_eq!(
        Provider::new("a").check(),
        Err(ProviderError::NoEndpoint("a".into()))
    );
}
