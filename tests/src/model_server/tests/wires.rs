//! Each wire, word for word: one small exchange, streamed and not, as the providers' own servers would have it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::{ModelServer, Reply, Wire};
use super::{ask, http};

/// Says a few words and calls a tool.
fn server() -> std::io::Result<ModelServer> {
    ModelServer::start_with(Arc::new(|_| Reply {
        text: "I look at it first.".to_owned(),
        ..Reply::call("read_file", json!({ "file_path": "a" }))
    }))
}

/// The answer's JSON, its made-up ids put down as `ID`.
fn plain(answer: &str) -> String {
    let mut text = String::with_capacity(answer.len());
    let mut digits = String::new();
    for character in answer.chars().chain(Some('\n')) {
        if character.is_ascii_hexdigit() && !character.is_ascii_uppercase() {
            digits.push(character);
            continue;
        }
        match digits.len() {
            // Sixteen of the request and two of the place; Anthropic has 01 in front.
            18 => text.extend(["ID", &digits[16..]]),
            20 => text.extend([&digits[..2], "ID", &digits[18..]]),
            _ => text.push_str(&digits),
        }
        digits.clear();
        text.push(character);
    }
    text.pop();
    text
}

fn whole(wire: Wire) -> std::io::Result<Value> {
    let answer = ask(&server()?, wire, "Hi", false)?;
    assert_eq!((answer.status, answer.complete), (200, true));
    assert_eq!(answer.headers["content-type"], "application/json");
    Ok(serde_json::from_str(&plain(&answer.body))?)
}

fn stream(wire: Wire) -> std::io::Result<String> {
    let answer = ask(&server()?, wire, "Hi", true)?;
    assert_eq!((answer.status, answer.complete), (200, true));
    Ok(plain(&answer.body))
}

#[test]
fn anthropic_messages() -> std::io::Result<()> {
    assert_eq!(
        whole(Wire::Anthropic)?,
        json!({
            "model": "fake-small",
            "id": "msg_01ID00",
            "type": "message",
            "role": "assistant",
            "content": [
                { "type": "text", "text": "I look at it first." },
                {
                    "type": "tool_use",
                    "id": "toolu_01ID00",
                    "name": "read_file",
                    "input": { "file_path": "a" },
                },
            ],
            "stop_reason": "tool_use",
            "stop_sequence": null,
            "usage": {
                "input_tokens": 26,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": 0,
                    "ephemeral_1h_input_tokens": 0,
                },
                "output_tokens": 12,
                "service_tier": "standard",
            },
        })
    );
    assert_eq!(
        stream(Wire::Anthropic)?,
        r#"event: message_start
data: {"type":"message_start","message":{"model":"fake-small","id":"msg_01ID00","type":"message","role":"assistant","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":26,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":1,"service_tier":"standard"}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type":"ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"I look at it fir"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"st."}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_01ID00","name":"read_file","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"file_path\":\"a\""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":26,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":12}}

event: message_stop
data: {"type":"message_stop"}

"#
    );
    Ok(())
}

#[test]
fn chat_completions() -> std::io::Result<()> {
    assert_eq!(
        whole(Wire::Chat)?,
        json!({
            "id": "chatcmpl-ID00",
            "object": "chat.completion",
            "created": 1_767_225_600,
            "model": "fake-small",
            "choices": [{
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "I look at it first.",
                    "refusal": null,
                    "annotations": [],
                    "tool_calls": [{
                        "id": "call_ID00",
                        "type": "function",
                        "function": { "name": "read_file", "arguments": "{\"file_path\":\"a\"}" },
                    }],
                },
                "logprobs": null,
                "finish_reason": "tool_calls",
            }],
            "usage": {
                "prompt_tokens": 26,
                "completion_tokens": 12,
                "total_tokens": 38,
                "prompt_tokens_details": { "cached_tokens": 0, "audio_tokens": 0 },
                "completion_tokens_details": {
                    "reasoning_tokens": 0,
                    "audio_tokens": 0,
                    "accepted_prediction_tokens": 0,
                    "rejected_prediction_tokens": 0,
                },
            },
            "service_tier": "default",
            "system_fingerprint": null,
        })
    );
    let head = r#"data: {"id":"chatcmpl-ID00","object":"chat.completion.chunk","created":1767225600,"model":"fake-small","service_tier":"default","system_fingerprint":null,"choices":"#;
    let choices = [
        r#"[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null"#,
        r#"[{"index":0,"delta":{"content":"I look at it fir"},"logprobs":null,"finish_reason":null}],"usage":null"#,
        r#"[{"index":0,"delta":{"content":"st."},"logprobs":null,"finish_reason":null}],"usage":null"#,
        r#"[{"index":0,"delta":{"tool_calls":[{"id":"call_ID00","type":"function","function":{"name":"read_file","arguments":""},"index":0}]},"logprobs":null,"finish_reason":null}],"usage":null"#,
        r#"[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"file_path\":\"a\""}}]},"logprobs":null,"finish_reason":null}],"usage":null"#,
        r#"[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]},"logprobs":null,"finish_reason":null}],"usage":null"#,
        r#"[{"index":0,"delta":{},"logprobs":null,"finish_reason":"tool_calls"}],"usage":null"#,
        r#"[],"usage":{"prompt_tokens":26,"completion_tokens":12,"total_tokens":38,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}"#,
    ];
    let mut expected = String::new();
    for choices in choices {
        expected.extend([head, choices, "}\n\n"]);
    }
    expected.push_str("data: [DONE]\n\n");
    assert_eq!(stream(Wire::Chat)?, expected);
    Ok(())
}

#[test]
fn chat_completions_streams_usage_only_when_asked() -> std::io::Result<()> {
    let server = server()?;
    let mut body = super::body(Wire::Chat, "Hi", true);
    body["stream_options"].take();
    let events = http::post(&server, "/v1/chat/completions", &body)?.events();
    assert!(events.iter().all(|event| event.get("usage").is_none()));
    assert_eq!(events.last(), Some(&json!("[DONE]")));
    let exchange = &server.requests()[0];
    assert_eq!((exchange.reported, exchange.spent.output), (None, 12));
    Ok(())
}

/// What a response says of itself, with its status, output and usage.
fn response(status: &str, output: &Value, usage: &Value) -> Value {
    json!({
        "id": "resp_ID00",
        "object": "response",
        "created_at": 1_767_225_600,
        "status": status,
        "background": false,
        "error": null,
        "incomplete_details": null,
        "instructions": null,
        "max_output_tokens": null,
        "max_tool_calls": null,
        "model": "fake-small",
        "output": output,
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "prompt_cache_key": null,
        "prompt_cache_retention": null,
        "reasoning": { "effort": null, "summary": null },
        "safety_identifier": null,
        "service_tier": if status == "in_progress" { "auto" } else { "default" },
        "store": true,
        "temperature": 1.0,
        "text": { "format": { "type": "text" }, "verbosity": "medium" },
        "tool_choice": "auto",
        "tools": [{
            "type": "function",
            "name": "read_file",
            "description": "Reads.",
            "parameters": {
                "type": "object",
                "properties": { "file_path": { "type": "string" } },
                "required": ["file_path"],
            },
        }],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage,
        "user": null,
        "metadata": {},
    })
}

#[test]
fn responses() -> std::io::Result<()> {
    let text = |text: &str| json!({ "type": "output_text", "annotations": [], "logprobs": [], "text": text });
    let message = |status: &str, content: Value| json!({ "id": "msg_ID00", "type": "message", "status": status, "content": content, "role": "assistant" });
    let call = |status: &str, arguments: &str| json!({ "id": "fc_ID00", "type": "function_call", "status": status, "arguments": arguments, "call_id": "call_ID00", "name": "read_file" });
    let said = message("completed", json!([text("I look at it first.")]));
    let called = call("completed", r#"{"file_path":"a"}"#);
    let usage = json!({
        "input_tokens": 26,
        "input_tokens_details": { "cached_tokens": 0 },
        "output_tokens": 12,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": 38,
    });
    let completed = response("completed", &json!([said, called]), &usage);
    let begun = response("in_progress", &json!([]), &Value::Null);
    assert_eq!(whole(Wire::Responses)?, completed);

    let in_message = |kind: &str, name: &str, value: Value| json!({ "type": kind, "item_id": "msg_ID00", "output_index": 0, "content_index": 0, name: value });
    let in_call = |kind: &str, name: &str, value: Value| json!({ "type": kind, "item_id": "fc_ID00", "output_index": 1, name: value });
    let item = |kind: &str, index: usize, item: Value| json!({ "type": kind, "output_index": index, "item": item });
    let logged = |mut event: Value| {
        event["logprobs"] = json!([]);
        event
    };
    let mut expected = vec![
        json!({ "type": "response.created", "response": begun }),
        json!({ "type": "response.in_progress", "response": begun }),
        item(
            "response.output_item.added",
            0,
            message("in_progress", json!([])),
        ),
        in_message("response.content_part.added", "part", text("")),
        logged(in_message(
            "response.output_text.delta",
            "delta",
            json!("I look at it fir"),
        )),
        logged(in_message(
            "response.output_text.delta",
            "delta",
            json!("st."),
        )),
        logged(in_message(
            "response.output_text.done",
            "text",
            json!("I look at it first."),
        )),
        in_message(
            "response.content_part.done",
            "part",
            text("I look at it first."),
        ),
        item("response.output_item.done", 0, said.clone()),
        item("response.output_item.added", 1, call("in_progress", "")),
        in_call(
            "response.function_call_arguments.delta",
            "delta",
            json!("{\"file_path\":\"a\""),
        ),
        in_call(
            "response.function_call_arguments.delta",
            "delta",
            json!("}"),
        ),
        in_call(
            "response.function_call_arguments.done",
            "arguments",
            json!(r#"{"file_path":"a"}"#),
        ),
        item("response.output_item.done", 1, called.clone()),
        json!({ "type": "response.completed", "response": completed }),
    ];
    for (number, event) in expected.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
    let streamed = stream(Wire::Responses)?;
    let mut events = Vec::new();
    for event in streamed.split_terminator("\n\n") {
        let (name, data) = event.split_once("\ndata: ").unwrap_or_default();
        let data: Value = serde_json::from_str(data)?;
        assert_eq!(
            Some(name),
            data["type"]
                .as_str()
                .map(|kind| format!("event: {kind}"))
                .as_deref()
        );
        events.push(data);
    }
    assert_eq!(events, expected);
    Ok(())
}

#[test]
fn gemini() -> std::io::Result<()> {
    let prompt = json!([{ "modality": "TEXT", "tokenCount": 26 }]);
    assert_eq!(
        whole(Wire::Gemini)?,
        json!({
            "candidates": [{
                "content": {
                    "parts": [
                        { "text": "I look at it first." },
                        { "functionCall": { "name": "read_file", "args": { "file_path": "a" } } },
                    ],
                    "role": "model",
                },
                "finishReason": "STOP",
                "index": 0,
            }],
            "usageMetadata": {
                "promptTokenCount": 26,
                "candidatesTokenCount": 12,
                "totalTokenCount": 38,
                "promptTokensDetails": prompt,
            },
            "modelVersion": "fake-small",
            "responseId": "ID00",
        })
    );
    let tail = r#""modelVersion":"fake-small","responseId":"ID00"}"#;
    let under_way = r#""index":0}],"usageMetadata":{"promptTokenCount":26,"totalTokenCount":26,"promptTokensDetails":[{"modality":"TEXT","tokenCount":26}]}"#;
    let part = |part: &str| {
        format!(
            "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{part}],\"role\":\"model\"}},{under_way},{tail}\r\n\r\n"
        )
    };
    let last = r#""finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":26,"candidatesTokenCount":12,"totalTokenCount":38,"promptTokensDetails":[{"modality":"TEXT","tokenCount":26}]}"#;
    assert_eq!(
        stream(Wire::Gemini)?,
        [
            part(r#"{"text":"I look at it fir"}"#),
            part(r#"{"text":"st."}"#),
            part(r#"{"functionCall":{"name":"read_file","args":{"file_path":"a"}}}"#),
            format!(
                "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\"\"}}],\"role\":\"model\"}},{last},{tail}\r\n\r\n"
            ),
        ]
        .concat()
    );
    Ok(())
}

#[test]
fn ollama() -> std::io::Result<()> {
    let call = json!({
        "id": "call_ID00",
        "function": { "index": 0, "name": "read_file", "arguments": { "file_path": "a" } },
    });
    let done = |message: Value| {
        json!({
            "model": "fake-small",
            "created_at": "2026-01-01T00:00:00.000000Z",
            "message": message,
            "done": true,
            "done_reason": "stop",
            "total_duration": 3_000_000,
            "load_duration": 1_000_000,
            "prompt_eval_count": 26,
            "prompt_eval_duration": 1_000_000,
            "eval_count": 12,
            "eval_duration": 1_000_000,
        })
    };
    assert_eq!(
        whole(Wire::Ollama)?,
        done(
            json!({ "role": "assistant", "content": "I look at it first.", "tool_calls": [call] })
        )
    );
    let part = |message: Value| json!({ "model": "fake-small", "created_at": "2026-01-01T00:00:00.000000Z", "message": message, "done": false });
    let expected = [
        part(json!({ "role": "assistant", "content": "I look at it fir" })),
        part(json!({ "role": "assistant", "content": "st." })),
        part(json!({ "role": "assistant", "content": "", "tool_calls": [call] })),
        done(json!({ "role": "assistant", "content": "" })),
    ];
    let lines = expected.map(|line| line.to_string());
    assert_eq!(stream(Wire::Ollama)?, lines.join("\n") + "\n");
    Ok(())
}

#[test]
fn errors_in_each_providers_words() -> std::io::Result<()> {
    for (wire, status, pointer, word) in [
        (
            Wire::Anthropic,
            529,
            "/error/type",
            json!("overloaded_error"),
        ),
        (Wire::Chat, 503, "/error/type", json!("server_error")),
        (Wire::Responses, 503, "/error/type", json!("server_error")),
        (Wire::Gemini, 503, "/error/status", json!("UNAVAILABLE")),
        (
            Wire::Ollama,
            503,
            "/error",
            json!("server busy, please try again.  maximum pending requests exceeded"),
        ),
    ] {
        let server = ModelServer::start_with(Arc::new(|_| Reply::status(529)))?;
        let answer = ask(&server, wire, "Hi", true)?;
        assert_eq!(answer.status, status, "{wire:?}");
        assert_eq!(answer.json().pointer(pointer), Some(&word), "{wire:?}");
    }
    for (wire, code) in [
        (Wire::Anthropic, 400),
        (Wire::Chat, 429),
        (Wire::Responses, 429),
        (Wire::Gemini, 429),
        (Wire::Ollama, 429),
    ] {
        let prompt = super::scripted(&[json!({ "quota": true })]);
        let answer = ask(&ModelServer::start()?, wire, &prompt, false)?;
        assert_eq!(answer.status, code, "{wire:?}");
        let words = match wire {
            Wire::Anthropic => "You have reached your specified API usage limits.",
            Wire::Chat | Wire::Responses => "\"code\":\"insufficient_quota\"",
            Wire::Gemini => "RESOURCE_EXHAUSTED",
            Wire::Ollama => "usage limit",
        };
        assert!(answer.body.contains(words), "{wire:?}: {}", answer.body);
    }
    for (wire, words) in [
        (Wire::Anthropic, "prompt is too long: "),
        (Wire::Chat, "\"code\":\"context_length_exceeded\""),
        (Wire::Responses, "\"code\":\"context_length_exceeded\""),
        (Wire::Gemini, "exceeds the maximum number of tokens allowed"),
        (Wire::Ollama, "exceeds the context length"),
    ] {
        let prompt = super::scripted(&[json!({ "contextExceeded": true })]);
        let answer = ask(&ModelServer::start()?, wire, &prompt, false)?;
        assert_eq!(answer.status, 400, "{wire:?}");
        assert!(answer.body.contains(words), "{wire:?}: {}", answer.body);
    }
    Ok(())
}

#[test]
fn what_a_provider_refuses_is_refused() -> std::io::Result<()> {
    let server = ModelServer::start()?;
    // A call without a result behind it.
    let mut body = super::body(Wire::Anthropic, "Hi", false);
    body["messages"] = json!([
        { "role": "user", "content": "Hi" },
        { "role": "assistant", "content": [{ "type": "tool_use", "id": "t1", "name": "x", "input": {} }] },
        { "role": "user", "content": "And?" },
    ]);
    let answer = http::post(&server, "/v1/messages", &body)?;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("t1"), "{}", answer.body);
    body["messages"][2]["content"] =
        json!([{ "type": "tool_result", "tool_use_id": "t1", "content": "ok" }]);
    assert_eq!(http::post(&server, "/v1/messages", &body)?.status, 200);
    body["max_tokens"].take();
    assert_eq!(http::post(&server, "/v1/messages", &body)?.status, 400);
    let nonsense = json!("not a request");
    assert_eq!(http::post(&server, "/v1/responses", &nonsense)?.status, 400);
    // A script that is none says which line is wrong.
    let answer = ask(
        &server,
        Wire::Chat,
        "```model\n\n{\"texd\":\"a\"}\n```",
        false,
    )?;
    assert_eq!(answer.status, 400);
    assert!(
        answer.body.contains("line 2 of the script"),
        "{}",
        answer.body
    );
    // No key.
    for wire in [Wire::Anthropic, Wire::Chat, Wire::Responses, Wire::Gemini] {
        let body = super::body(wire, "Hi", false);
        let mut stream = http::begin(
            &server,
            super::path(wire, false),
            "anthropic-version: 1\r\n",
            &body,
        )?;
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut bytes)?;
        let expected = if wire == Wire::Gemini {
            "HTTP/1.1 403"
        } else {
            "HTTP/1.1 401"
        };
        assert!(bytes.starts_with(expected.as_bytes()), "{wire:?}");
    }
    assert_eq!(server.traffic().rejected, 7);
    Ok(())
}
