//! What the gateway answers itself.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::handle::REQUEST_BYTES_MAX;
use super::super::{Admitted, CallFailureKind, CallOutcome, Proxy, RefusalKind, Refused};
use super::{Fake, Stand, answer, body, json, listen, provider, send, within};

const CALLS: [(&str, &str); 4] = [
    ("/v1/messages", r#"{"model":"fake-1","max_tokens":1}"#),
    ("/v1/chat/completions", r#"{"model":"fake-1"}"#),
    ("/v1/responses", r#"{"model":"fake-1","stream":true}"#),
    ("/v1beta/models/fake-1:generateContent", "{}"),
];

async fn read(response: reqwest::Response) -> Value {
    let text = body(response).await;
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
}

#[tokio::test]
async fn a_refusal_has_each_wires_shape_and_a_budgets_is_not_retried() {
    let fake = Fake::start(|_| json("{}")).await;
    for (kind, status, types) in [
        (
            RefusalKind::Budget,
            402,
            ["billing_error", "insufficient_quota", "FAILED_PRECONDITION"],
        ),
        (
            RefusalKind::Closed {
                retry_after: Some(Duration::from_millis(1_001)),
            },
            429,
            ["rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"],
        ),
        (
            RefusalKind::NotAllowed,
            403,
            ["permission_error", "permission_error", "PERMISSION_DENIED"],
        ),
    ] {
        let mut stand = Stand::deciding(fake.provider(), move |_| {
            let message = "the run has spent it".to_owned();
            async move { Err(Refused { kind, message }) }.boxed()
        })
        .await;
        for (number, (path, request)) in CALLS.into_iter().enumerate() {
            let response = send(stand.post(path, request)).await;
            // For responses the status that codex does not try again.
            let is_responses = number == 2 && status != 429;
            let shown = if is_responses { 400 } else { status };
            assert_eq!(response.status(), shown, "{path}");
            let may_retry = response.headers().get("x-should-retry").is_none();
            assert_eq!(may_retry, status == 429, "{path}");
            let wait = response.headers().get("retry-after").cloned();
            assert_eq!(wait, (status == 429).then(|| 2.into()));
            let body = read(response).await;
            let error = &body["error"];
            assert_eq!(error["message"], "the run has spent it");
            match number {
                0 => assert_eq!(
                    (&body["type"], &error["type"]),
                    (&json!("error"), &json!(types[0]))
                ),
                1 | 2 => assert_eq!(
                    (&error["type"], &error["param"]),
                    (&json!(types[1]), &Value::Null)
                ),
                _ => assert_eq!(
                    (&error["code"], &error["status"]),
                    (&json!(status), &json!(types[2]))
                ),
            }
        }
        stand.nothing_else();
    }
    assert!(fake.received().is_empty());
}

#[tokio::test]
async fn nobody_else_gets_in() {
    let fake = Fake::start(|_| json("{}")).await;
    let stand = Stand::new(fake.provider()).await;
    for (path, request) in CALLS {
        let stranger = stand
            .agent
            .post(stand.url(path))
            .bearer_auth("bw-0")
            .body(request);
        assert_eq!(send(stranger).await.status(), StatusCode::UNAUTHORIZED);
        let nobody = stand.agent.post(stand.url(path)).body(request);
        assert_eq!(send(nobody).await.status(), StatusCode::UNAUTHORIZED);
        let elsewhere = stand
            .post(path, request)
            .header("host", "models.example:80");
        assert_eq!(
            send(elsewhere).await.status(),
            StatusCode::MISDIRECTED_REQUEST
        );
    }
    assert!(fake.received().is_empty());
    // It comes to read why, however much it is sending.
    let stranger = stand
        .agent
        .post(stand.url("/v1/messages"))
        .bearer_auth("bw-0");
    let response = send(stranger.body(vec![b' '; 32 << 20])).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    // Every way to bring a key, placeholders beside it.
    let (path, request) = CALLS[1];
    let key = stand.pass.key();
    let plain = |path: &str| stand.agent.post(stand.url(path)).body(request);
    for request in [
        plain(path)
            .header("x-api-key", key)
            .bearer_auth("placeholder"),
        plain(path).header("authorization", format!("bearer {key}")),
        plain(path).header("x-goog-api-key", key),
        plain(path).header("api-key", key),
        plain(&format!("{path}?a=1&key={key}")),
        stand.post(path, request).header("host", "LOCALHOST"),
        stand.post(path, request).header("host", "[::1]:80"),
    ] {
        assert_eq!(send(request).await.status(), StatusCode::OK);
    }
    // A name in the request line counts too.
    let mut raw = TcpStream::connect(stand.gateway.address())
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let head = format!(
        "POST http://evil.example{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-api-key: {key}\r\ncontent-length: 0\r\n\r\n"
    );
    raw.write_all(head.as_bytes())
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let mut text = String::new();
    within(raw.read_to_string(&mut text))
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(text.starts_with("HTTP/1.1 421 "), "{text}");
}

#[tokio::test]
async fn requests_that_cannot_be_meant_do_not_go_out() {
    let fake = Fake::start(|_| json("{}")).await;
    let mut stand = Stand::new(fake.provider()).await;
    for (path, request, status, words) in [
        ("/v1/messages", "{", 400, "cannot be read as JSON"),
        ("/v1/messages", "{}", 400, "\"model\""),
        (
            "/v1/messages",
            r#"["model"]"#,
            400,
            "cannot be read as JSON",
        ),
        (
            "/v1/messages",
            r#"{"model":"fake-1","max_tokens":9,"max\u005ftokens":9000}"#,
            400,
            "twice",
        ),
        (
            "/v1/messages",
            r#"{"model":"fake-1","max_tokens":"many"}"#,
            400,
            "no count",
        ),
        (
            "/v1/responses",
            r#"{"model":"fake-1","background":true}"#,
            400,
            "background",
        ),
        (
            "/v1/chat/completions",
            r#"{"model":"gpt-9"}"#,
            404,
            "there is small, fake-1",
        ),
        (
            "/to/none/v1/chat/completions",
            r#"{"model":"fake-1"}"#,
            404,
            "at \"none\"",
        ),
        ("/v1/embeddings", "{}", 404, "cannot count"),
        ("/v1/responses/r/cancel", "{}", 400, "stored"),
        ("/v1/edits", "{}", 404, "/v1/chat/completions"),
        (
            "/v1beta/models/fake-1:embedContent",
            "{}",
            404,
            "generateContent",
        ),
        (
            "/v1beta/models/fake-1:generateContent",
            r#"{"generationConfig":{"maxOutputTokens":1,"max_output_tokens":2}}"#,
            400,
            "the same field",
        ),
    ] {
        let response = send(stand.post(path, request)).await;
        assert_eq!(response.status(), status, "{path} {request}");
        assert_eq!(response.headers()["x-should-retry"], "false");
        let body = read(response).await;
        let message = body["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(words), "{path} {request}: {message}");
    }
    let packed = stand
        .post("/v1/messages", "x")
        .header("content-encoding", "zstd");
    assert_eq!(
        send(packed).await.status(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    let large = stand.post("/v1/messages", vec![b' '; REQUEST_BYTES_MAX + 1]);
    assert_eq!(send(large).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let mut largest = br#"{"model":"fake-1","max_tokens":1}"#.to_vec();
    largest.resize(REQUEST_BYTES_MAX, b' ');
    assert_eq!(
        send(stand.post("/v1/messages", largest)).await.status(),
        StatusCode::OK
    );
    assert_eq!(fake.received().len(), 1);
    stand.end().await;
    stand.nothing_else();
}

#[tokio::test]
async fn providers_that_fail_are_passed_on_and_settled() {
    // Nobody listens any more.
    let address = listen()
        .await
        .local_addr()
        .unwrap_or_else(|error| panic!("{error}"));
    let mut stand = Stand::new(provider(&format!("http://{address}"))).await;
    for (path, request) in CALLS {
        let response = send(stand.post(path, request)).await;
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
        assert!(
            read(response).await["error"]["message"]
                .as_str()
                .is_some_and(|text| text.contains("fake"))
        );
        let end = stand.end().await;
        assert_eq!(
            (end.tokens, end.is_exact),
            (Some(super::Tokens::default()), true)
        );
        let CallOutcome::Failed(failure) = end.outcome else {
            panic!("{:?}", end.outcome)
        };
        assert_eq!(
            (failure.status, failure.kind),
            (None, CallFailureKind::Transport)
        );
    }

    let text = r#"{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"}}"#;
    let fake = Fake::start(move |_| {
        let mut response = answer(429, "application/json", text.into());
        response.headers_mut().insert("retry-after", 9.into());
        response
    })
    .await;
    let mut stand = Stand::new(fake.provider()).await;
    let response = send(stand.post(CALLS[0].0, CALLS[0].1)).await;
    assert_eq!(
        (
            response.status().as_u16(),
            &response.headers()["retry-after"]
        ),
        (429, &9.into())
    );
    assert_eq!(body(response).await, text);
    let end = stand.end().await;
    let CallOutcome::Failed(failure) = end.outcome else {
        panic!("{:?}", end.outcome)
    };
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (CallFailureKind::RateLimit, "Slow down")
    );
    assert_eq!(failure.retry_after, Some(Duration::from_secs(9)));

    // What listens there does not speak TLS.
    let base = fake.base.replace("http://127.0.0.1", "https://localhost");
    let mut stand = Stand::new(provider(&base)).await;
    let response = send(stand.post(CALLS[0].0, CALLS[0].1)).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert!(matches!(stand.end().await.outcome, CallOutcome::Failed(_)));

    // A key does not follow a redirect.
    let fake = Arc::new(
        Fake::start(|_| {
            let mut response = answer(307, "text/plain", "".into());
            let to = http::HeaderValue::from_static("/elsewhere");
            response.headers_mut().insert("location", to);
            response
        })
        .await,
    );
    let mut stand = Stand::new(fake.provider()).await;
    let response = send(stand.post(CALLS[0].0, CALLS[0].1)).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(fake.received().len(), 1);
    assert!(matches!(stand.end().await.outcome, CallOutcome::Failed(_)));
    stand.nothing_else();
}

#[tokio::test]
async fn a_proxy_leads_out_and_never_back_in() {
    let proxy = Fake::start(|_| json(r#"{"proxied":true}"#)).await;
    let here = Fake::start(|_| json(r#"{"proxied":false}"#)).await;
    for (base, proxied) in [
        ("http://models.invalid/api", true),
        (here.base.as_str(), false),
    ] {
        let fixed = Proxy::Fixed(proxy.base.parse().unwrap_or_else(|error| panic!("{error}")));
        let admit = |_| async { Ok(Admitted::default()) }.boxed();
        let stand = Stand::behind(fixed, provider(base), admit).await;
        let response = send(stand.post(CALLS[0].0, CALLS[0].1)).await;
        assert_eq!(read(response).await["proxied"], proxied);
    }
    assert_eq!(
        proxy.received()[0].path,
        "http://models.invalid/api/v1/messages"
    );
}
