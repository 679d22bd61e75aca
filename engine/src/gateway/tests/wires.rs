//! What passes on each wire, and what is counted.

use http::StatusCode;

use super::super::{Admitted, CallOutcome, Tokens, Wire};
use super::{Fake, REAL_KEY, Stand, answer, body, events, json, send, tokens};
use futures_util::FutureExt;

struct Case {
    wire: Wire,
    path: &'static str,
    request: &'static str,
    is_streamed: bool,
    answer: &'static str,
    tokens: Tokens,
}

const MESSAGES_STREAM: &str = "event: message_start\r\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":100,\"cache_read_input_tokens\":1000,\"output_tokens\":1}}}\r\n\r\nevent: ping\r\ndata: {\"type\": \"ping\"}\r\n\r\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Grüezi\"}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\ndata: \"usage\":{\"output_tokens\":57}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

const CHAT_STREAM: &str = ": keep-alive\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}],\"usage\":null}\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\ndata: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":230,\"completion_tokens\":40,\"total_tokens\":270,\"prompt_tokens_details\":{\"cached_tokens\":200},\"completion_tokens_details\":{\"reasoning_tokens\":30}}}\n\ndata: [DONE]\n\n";

const RESPONSES_STREAM: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"usage\":null,\"error\":null}}\n\nevent: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"error\":null,\"output\":[],\"usage\":{\"input_tokens\":300,\"input_tokens_details\":{\"cached_tokens\":256},\"output_tokens\":25,\"output_tokens_details\":{\"reasoning_tokens\":20},\"total_tokens\":325}}}\n\n";

const GEMINI_STREAM: &str = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}]}}],\"usageMetadata\":{\"promptTokenCount\":50,\"cachedContentTokenCount\":32}}\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"!\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":50,\"toolUsePromptTokenCount\":5,\"candidatesTokenCount\":7,\"thoughtsTokenCount\":11}}\r\n\r\n";

fn cases() -> Vec<Case> {
    let case = |wire, path, request, is_streamed, answer, tokens| Case {
        wire,
        path,
        request,
        is_streamed,
        answer,
        tokens,
    };
    vec![
        case(
            Wire::Messages,
            "/v1/messages?beta=true",
            r#"{ "model":"fake-1", "max_tokens":1024,"x":1e400 ,"stream":true}"#,
            true,
            MESSAGES_STREAM,
            tokens(1110, 57, 1000, 100, 0),
        ),
        case(
            Wire::Messages,
            "/v1/messages",
            r#"{"model":"fake-1","max_tokens":64,"temperature":0.10}"#,
            false,
            r#"{"type":"message","content":[{"type":"text","text":"Hi"}],"usage":{"input_tokens":8,"output_tokens":3,"cache_read_input_tokens":4,"output_tokens_details":{"thinking_tokens":2}}}"#,
            tokens(12, 3, 4, 0, 2),
        ),
        case(
            Wire::ChatCompletions,
            "/v1/chat/completions",
            r#"{"model":"fake-1","stream":true,"stream_options":{"include_usage":true}}"#,
            true,
            CHAT_STREAM,
            tokens(230, 40, 200, 0, 30),
        ),
        // One whose completion leaves reasoning out.
        case(
            Wire::ChatCompletions,
            "/chat/completions",
            r#"{"model":"fake-1"}"#,
            false,
            r#"{"choices":[],"usage":{"prompt_tokens":100,"completion_tokens":10,"total_tokens":150,"prompt_cache_hit_tokens":64,"completion_tokens_details":{"reasoning_tokens":40}}}"#,
            tokens(100, 50, 64, 0, 40),
        ),
        case(
            Wire::Responses,
            "/v1/responses",
            r#"{"model":"fake-1","stream":true}"#,
            true,
            RESPONSES_STREAM,
            tokens(300, 25, 256, 0, 20),
        ),
        case(
            Wire::Responses,
            "/to/fake/v1/responses",
            r#"{"model":"fake-1"}"#,
            false,
            r#"{"status":"completed","error":null,"output":[],"usage":{"input_tokens":9,"output_tokens":2}}"#,
            tokens(9, 2, 0, 0, 0),
        ),
        case(
            Wire::GenerateContent,
            "/v1beta/models/fake-1:streamGenerateContent?alt=sse",
            "{}",
            true,
            GEMINI_STREAM,
            tokens(55, 18, 32, 0, 11),
        ),
        case(
            Wire::GenerateContent,
            "/v1beta/models/fake-1:streamGenerateContent",
            "{}",
            false,
            r#"[{"candidates":[{"content":{"parts":[{"text":"a"}]}}]},
{"candidates":[],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":4}}]"#,
            tokens(3, 4, 0, 0, 0),
        ),
        case(
            Wire::GenerateContent,
            "/v1beta/models/fake-1:generateContent",
            "{}",
            false,
            r#"{"candidates":[],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":6}}"#,
            tokens(5, 6, 0, 0, 0),
        ),
    ]
}

#[tokio::test]
async fn every_wire_passes_byte_for_byte_and_is_counted() {
    for case in cases() {
        let fake = Fake::start(move |_| {
            if case.is_streamed {
                events(case.answer)
            } else {
                json(case.answer)
            }
        })
        .await;
        let mut stand = Stand::new(fake.provider()).await;

        let response = send(stand.post(case.path, case.request)).await;

        assert_eq!(response.status(), StatusCode::OK, "{}", case.path);
        assert_eq!(body(response).await, case.answer, "{}", case.path);
        let end = stand.end().await;
        assert_eq!(end.tokens, Some(case.tokens), "{}", case.path);
        assert!(end.is_exact, "{}", case.path);
        assert_eq!(end.outcome, CallOutcome::Answered, "{}", case.path);
        assert!(end.time_to_first_byte <= Some(end.duration));
        let sent = &fake.received()[0];
        assert_eq!(sent.body, case.request, "{}", case.path);
        let path = case.path.trim_start_matches("/to/fake");
        let path = path.replace("/chat", "/v1/chat").replace("/v1/v1", "/v1");
        assert_eq!(sent.path, path);
        let asked = &stand.asked()[0];
        assert_eq!((asked.wire, &*asked.model), (case.wire, "fake-1"));
        stand.nothing_else();
    }
}

#[tokio::test]
async fn usage_that_only_the_gateway_asks_for_is_taken_out_again() {
    let only_usage = CHAT_STREAM.find("data: {\"id\":\"c\",\"choices\":[],");
    let done = CHAT_STREAM.find("data: [DONE]");
    let (Some(from), Some(to)) = (only_usage, done) else {
        panic!("the stream has both")
    };
    let without = format!("{}{}", &CHAT_STREAM[..from], &CHAT_STREAM[to..]);
    for (request, sent) in [
        (
            r#"{"model":"fake-1", "stream":true}"#,
            r#"{"stream_options":{"include_usage":true},"model":"fake-1", "stream":true}"#,
        ),
        (
            r#"{"model":"fake-1","stream_options":{ },"stream":true}"#,
            r#"{"model":"fake-1","stream_options":{"include_usage":true },"stream":true}"#,
        ),
        (
            r#"{"stream_options":{"include_usage":false,"y":1},"model":"fake-1","stream":true}"#,
            r#"{"stream_options":{"include_usage":true,"y":1},"model":"fake-1","stream":true}"#,
        ),
    ] {
        let fake = Fake::start(|_| events(CHAT_STREAM)).await;
        let mut stand = Stand::new(fake.provider()).await;
        let response = send(stand.post("/v1/chat/completions", request)).await;
        assert_eq!(body(response).await, without);
        assert_eq!(fake.received()[0].body, sent);
        assert_eq!(stand.end().await.tokens, Some(tokens(230, 40, 200, 0, 30)));
    }
}

#[tokio::test]
async fn a_server_that_refuses_to_tell_usage_is_not_asked_and_estimated() {
    let fake = Fake::start(|_| {
        events("data: {\"choices\":[{\"delta\":{\"content\":\"ten letter\"}}]}\n\ndata: [DONE]\n\n")
    })
    .await;
    let mut provider = fake.provider();
    provider.asks_for_usage = false;
    let mut stand = Stand::new(provider).await;
    let request = r#"{"model":"fake-1","stream":true}"#;
    body(send(stand.post("/v1/chat/completions", request)).await).await;
    assert_eq!(fake.received()[0].body, request);
    let end = stand.end().await;
    assert_eq!(
        (end.tokens, end.is_exact),
        (Some(tokens(0, 3, 0, 0, 0)), false)
    );
    assert_eq!(end.outcome, CallOutcome::Answered);
}

#[tokio::test]
async fn what_is_compressed_all_the_same_passes_and_is_estimated() {
    let packed: &[u8] = &[0x1f, 0x8b, 0x08, 0, 0xff, 0x0a, 0x0a, 0x0d];
    let fake = Fake::start(move |_| {
        let mut response = answer(200, "text/event-stream", packed.into());
        let gzip = http::HeaderValue::from_static("gzip");
        response.headers_mut().insert("content-encoding", gzip);
        response
    })
    .await;
    let mut stand = Stand::new(fake.provider()).await;
    let request = r#"{"model":"fake-1","stream":true}"#;
    let response = send(stand.post("/v1/chat/completions", request)).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert_eq!(body(response).await, packed);
    let end = stand.end().await;
    assert_eq!(
        (end.tokens, end.is_exact),
        (Some(tokens(0, 2, 0, 0, 0)), false)
    );
    assert_eq!(end.outcome, CallOutcome::Answered);
}

#[tokio::test]
async fn what_is_admitted_cuts_the_limit_and_routing_maps_the_model() {
    let fake = Fake::start(|_| json(r#"{"usage":{"input_tokens":1,"output_tokens":1}}"#)).await;
    let stand = Stand::deciding(fake.provider(), |call| {
        let left = if call.model == "fake-1-mini" {
            600
        } else {
            5_000
        };
        async move {
            Ok(Admitted {
                max_output_tokens: Some(left),
            })
        }
        .boxed()
    })
    .await;
    let table = [
        (
            "/v1/messages",
            r#"{"max_tokens": 4096,"model":"small","big":123456789012345678901234567890}"#,
            r#"{"max_tokens": 600,"model":"fake-1-mini","big":123456789012345678901234567890}"#,
        ),
        (
            "/v1/messages",
            r#"{"max_tokens":8000,"model":"fake-1","thinking":{"type":"enabled","budget_tokens":7000}}"#,
            r#"{"max_tokens":5000,"model":"fake-1","thinking":{"type":"enabled","budget_tokens":4999}}"#,
        ),
        (
            "/v1/messages",
            r#"{"max_tokens":8000,"model":"small","thinking":{"type":"enabled","budget_tokens":7000}}"#,
            r#"{"max_tokens":600,"model":"fake-1-mini","thinking":{"type":"disabled"}}"#,
        ),
        (
            "/v1/chat/completions",
            r#"{"model":"fake-1","n":4}"#,
            r#"{"max_tokens":1250,"model":"fake-1","n":4}"#,
        ),
        (
            "/v1/chat/completions",
            r#"{"model":"fake-1","max_completion_tokens":100,"max_tokens":9000}"#,
            r#"{"model":"fake-1","max_completion_tokens":100,"max_tokens":5000}"#,
        ),
        (
            "/v1/responses",
            r#"{"model":"fake-1","max_output_tokens":null}"#,
            r#"{"model":"fake-1","max_output_tokens":5000}"#,
        ),
        (
            "/v1/responses",
            r#"{"model":"fake-1","max_output_tokens":16}"#,
            r#"{"model":"fake-1","max_output_tokens":16}"#,
        ),
        (
            "/v1beta/models/small:generateContent",
            "{}",
            r#"{"generationConfig":{"maxOutputTokens":600}}"#,
        ),
        (
            "/v1beta/models/fake-1:generateContent",
            r#"{"generation_config":{"candidateCount":2,"temperature":1.0}}"#,
            r#"{"generation_config":{"maxOutputTokens":2500,"candidateCount":2,"temperature":1.0}}"#,
        ),
        (
            "/v1beta/models/fake-1:generateContent",
            r#"{"generationConfig":{"max_output_tokens":"70000"}}"#,
            r#"{"generationConfig":{"max_output_tokens":5000}}"#,
        ),
    ];
    for (number, (path, request, sent)) in table.into_iter().enumerate() {
        body(send(stand.post(path, request)).await).await;
        assert_eq!(fake.received()[number].body, sent, "{request}");
    }
    let asked: Vec<_> = stand
        .asked()
        .iter()
        .map(|call| call.max_output_tokens)
        .collect();
    assert_eq!(
        asked[..5],
        [Some(4096), Some(8000), Some(8000), None, Some(9000)]
    );
    assert_eq!(asked[5..], [None, Some(16), None, None, Some(70_000)]);
    assert!(
        fake.received()[7]
            .path
            .contains("/models/fake-1-mini:generateContent")
    );
}

#[tokio::test]
async fn headers_pass_and_keys_do_not() {
    let fake = Fake::start(|sent| {
        let mut response = answer(
            400,
            "application/json",
            format!(
                r#"{{"error":{{"message":"{REAL_KEY} is no {}"}}}}"#,
                sent.path
            )
            .into(),
        );
        for (name, value) in [
            ("request-id", "req_1"),
            ("x-echo", REAL_KEY),
            ("keep-alive", "timeout=5"),
            ("anthropic-ratelimit-requests-remaining", "7"),
        ] {
            let value = http::HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        response
    })
    .await;
    let mut provider = fake.provider();
    provider
        .headers
        .insert("x-tenant", http::HeaderValue::from_static("ours"));
    let mut stand = Stand::new(provider).await;
    let key = stand.pass.key().to_owned();
    let path = format!("/v1/messages?beta=true&key={key}");
    let request = stand
        .agent
        .post(stand.url(&path))
        .header("x-api-key", &key)
        .header("anthropic-version", "2023-06-01")
        .header("anthropic-beta", "a-2025,b-2025")
        .header("x-tenant", "theirs")
        .header("accept-encoding", "br")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .body(r#"{"model":"fake-1","max_tokens":1}"#);

    let response = send(request).await;

    let headers = response.headers().clone();
    assert_eq!(headers["request-id"], "req_1");
    assert_eq!(headers["anthropic-ratelimit-requests-remaining"], "7");
    assert!(!headers.contains_key("x-echo") && !headers.contains_key("keep-alive"));
    let text = body(response).await;
    assert_eq!(
        text,
        r#"{"error":{"message":"************** is no /v1/messages?beta=true"}}"#
    );
    let end = stand.end().await;
    assert!(
        matches!(end.outcome, CallOutcome::Failed(_)) && !format!("{end:?}").contains(REAL_KEY)
    );
    let sent = &fake.received()[0].headers;
    assert_eq!(sent["x-api-key"], REAL_KEY);
    assert_eq!(sent["anthropic-version"], "2023-06-01");
    assert_eq!(sent["anthropic-beta"], "a-2025,b-2025");
    assert_eq!(sent["x-tenant"], "ours");
    assert_eq!(sent["accept-encoding"], "identity");
    assert_eq!(sent["traceparent"], "00-11-22-01");
    assert_eq!(sent["host"], fake.base.trim_start_matches("http://"));
    assert!(!sent.contains_key("x-hop"));
    assert!(!format!("{sent:?}").contains(&key));

    let own = stand.post("/v1/chat/completions", r#"{"model":"fake-1"}"#);
    send(own.header("traceparent", "00-33-44-01")).await;
    send(stand.post("/v1beta/models/fake-1:generateContent", "{}")).await;
    let sent = fake.received();
    assert_eq!(sent[1].headers["traceparent"], "00-33-44-01");
    assert_eq!(
        sent[1].headers["authorization"],
        format!("Bearer {REAL_KEY}")
    );
    assert_eq!(sent[2].headers["x-goog-api-key"], REAL_KEY);
    assert!(!sent[2].headers.contains_key("authorization"));
}

#[tokio::test]
async fn counting_a_prompt_is_free_and_models_are_listed() {
    let fake = Fake::start(|_| json(r#"{"input_tokens": 14}"#)).await;
    let mut stand = Stand::new(fake.provider()).await;
    let counted = send(stand.post("/v1/messages/count_tokens", r#"{"model":"small"}"#)).await;
    assert_eq!(body(counted).await, r#"{"input_tokens": 14}"#);
    let path = "/v1beta/models/small:countTokens";
    send(stand.post(path, r#"{"contents":[]}"#)).await;
    let sent = fake.received();
    assert_eq!(sent[0].path, "/v1/messages/count_tokens");
    assert_eq!(sent[0].body, r#"{"model":"fake-1-mini"}"#);
    assert_eq!(sent[1].path, "/v1beta/models/fake-1-mini:countTokens");
    assert!(stand.asked().is_empty());
    stand.nothing_else();

    let get = |path: &str| {
        stand
            .agent
            .get(stand.url(path))
            .bearer_auth(stand.pass.key())
    };
    let openai = body(send(get("/v1/models")).await).await;
    let anthropic = get("/v1/models").header("anthropic-version", "2023-06-01");
    let anthropic = body(send(anthropic).await).await;
    let gemini = body(send(get("/v1beta/models")).await).await;
    let names = |list: &[u8], at: &str, name: &str| -> Vec<String> {
        let list: serde_json::Value =
            serde_json::from_slice(list).unwrap_or_else(|error| panic!("{error}"));
        let models = list[at].as_array().cloned().unwrap_or_default();
        models.iter().map(|model| model[name].to_string()).collect()
    };
    assert_eq!(names(&openai, "data", "id"), ["\"small\"", "\"fake-1\""]);
    assert_eq!(
        names(&anthropic, "data", "display_name"),
        ["\"small\"", "\"fake-1\""]
    );
    assert_eq!(
        names(&gemini, "models", "name"),
        ["\"models/small\"", "\"models/fake-1\""]
    );
    let one = send(get("/v1/models/small")).await;
    assert_eq!(one.status(), StatusCode::OK);
    assert_eq!(
        send(get("/v1/models/none")).await.status(),
        StatusCode::NOT_FOUND
    );
}
