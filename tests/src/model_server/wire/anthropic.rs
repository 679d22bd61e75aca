//! Anthropic Messages.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::cache::{Usage, cache_time};
use super::super::reply::{CallOut, Stop};
use super::super::request::{CacheTime, Part, Request, Role, Tool, ToolChoice};
use super::{Answer, Call, Failure, Format, Frame, Refusal, Wire, pieces, string, text_of};

/// What stands for the signature of a thought, which clients send back as it came.
const SIGNATURE: &str = "c2lnbmVkIGJ5IHRoZSBmYWtlIG1vZGVsIHNlcnZlcg==";
const REQUEST_ID: &str = "req_011fakefakefakefakefake01";

pub(super) struct Anthropic;

impl Format for Anthropic {
    fn request(&self, call: Call<'_>) -> Result<Request, String> {
        let body = call.body;
        if !call.headers.contains_key("anthropic-version") {
            return Err("anthropic-version: header is required".to_owned());
        }
        let mut request = Request::new(Wire::Anthropic, call.key, call.headers);
        body["model"]
            .as_str()
            .ok_or("model: Field required")?
            .clone_into(&mut request.model);
        request.max_tokens = Some(
            body["max_tokens"]
                .as_u64()
                .ok_or("max_tokens: Field required")?,
        );
        request.streaming = body["stream"] == true;
        request.push_system(&text_of(&body["system"]));
        request.cache_marks.system = blocks(&body["system"]).iter().rev().find_map(mark);
        let tools = blocks(&body["tools"]);
        request.cache_marks.tools = tools.iter().rev().find_map(mark);
        request.tools = tools.iter().map(tool).collect();
        for message in blocks(&body["messages"]) {
            read(message, &mut request)?;
        }
        if request.messages.is_empty() {
            return Err("messages: at least one message is required".to_owned());
        }
        // A mark on the request itself stands behind its last message.
        if let Some(time) = mark(body) {
            request
                .cache_marks
                .messages
                .insert(request.messages.len() - 1, time);
        }
        request.tool_choice = match body["tool_choice"]["type"].as_str() {
            Some("none") => ToolChoice::None,
            Some("any") => ToolChoice::Required,
            Some("tool") => ToolChoice::Named(string(&body["tool_choice"], "name")),
            _ => ToolChoice::Auto,
        };
        request.schema = body
            .pointer("/output_config/format/schema")
            .or_else(|| body.pointer("/output_format/schema"))
            .map(|schema| Arc::new(schema.clone()));
        let thinking = &body["thinking"];
        request.shows_reasoning = matches!(thinking["type"].as_str(), Some("enabled" | "adaptive"));
        request.effort = body["output_config"]["effort"]
            .as_str()
            .map(str::to_owned)
            .or_else(|| {
                thinking["budget_tokens"]
                    .as_u64()
                    .map(|budget| budget.to_string())
            });
        match request.unpaired() {
            Some(problem) => Err(format!("messages: {problem}")),
            None => Ok(request),
        }
    }

    fn whole(&self, answer: &Answer<'_>) -> Value {
        let output = answer.output;
        let mut content = Vec::new();
        if answer.request.shows_reasoning && !output.reasoning.is_empty() {
            content.push(
                json!({ "type": "thinking", "thinking": output.reasoning, "signature": SIGNATURE }),
            );
        }
        if !output.text.is_empty() {
            content.push(json!({ "type": "text", "text": output.text }));
        }
        for (nth, call) in output.calls.iter().enumerate() {
            content.push(tool_use(answer, nth, call, &call.input()));
        }
        json!({
            "model": answer.request.model,
            "id": answer.id("msg_01", 0),
            "type": "message",
            "role": "assistant",
            "content": content,
            "stop_reason": stop_reason(output.stop),
            "stop_sequence": null,
            "usage": usage(answer, answer.usage.output, true),
        })
    }

    fn stream(&self, answer: &Answer<'_>) -> Vec<Frame> {
        let output = answer.output;
        let mut blocks = Blocks::default();
        blocks.frames.push(event(&json!({
            "type": "message_start",
            "message": {
                "model": answer.request.model,
                "id": answer.id("msg_01", 0),
                "type": "message",
                "role": "assistant",
                "content": [],
                "stop_reason": null,
                "stop_sequence": null,
                "usage": usage(answer, answer.usage.output.min(1), true),
            }
        })));
        if answer.request.shows_reasoning && !output.reasoning.is_empty() {
            blocks.begin(&json!({ "type": "thinking", "thinking": "", "signature": "" }));
            for piece in pieces(&output.reasoning) {
                blocks.delta(
                    &json!({ "type": "thinking_delta", "thinking": piece }),
                    piece,
                );
            }
            blocks.delta(
                &json!({ "type": "signature_delta", "signature": SIGNATURE }),
                "",
            );
            blocks.end();
        }
        if !output.text.is_empty() {
            blocks.begin(&json!({ "type": "text", "text": "" }));
            for piece in pieces(&output.text) {
                blocks.delta(&json!({ "type": "text_delta", "text": piece }), piece);
            }
            blocks.end();
        }
        for (nth, call) in output.calls.iter().enumerate() {
            blocks.begin(&tool_use(answer, nth, call, &Value::Object(Map::new())));
            blocks.delta(
                &json!({ "type": "input_json_delta", "partial_json": "" }),
                &call.name,
            );
            for piece in pieces(&call.arguments) {
                blocks.delta(
                    &json!({ "type": "input_json_delta", "partial_json": piece }),
                    piece,
                );
            }
            // A block that the limit cuts off is not closed.
            if output.stop != Stop::Limit || nth + 1 < output.calls.len() {
                blocks.end();
            }
        }
        let mut frames = blocks.frames;
        frames.push(
            event(&json!({
                "type": "message_delta",
                "delta": { "stop_reason": stop_reason(output.stop), "stop_sequence": null },
                "usage": usage(answer, answer.usage.output, false),
            }))
            .telling_usage(),
        );
        frames.push(event(&json!({ "type": "message_stop" })));
        frames
    }

    fn failure(&self, failure: &Failure) -> Refusal {
        let (status, kind, message) = match failure {
            Failure::RateLimit(_) => (
                429,
                "rate_limit_error",
                "This request would exceed your organization's rate limit of 50 requests per minute.".to_owned(),
            ),
            Failure::Quota => (
                400,
                "invalid_request_error",
                "You have reached your specified API usage limits. You will regain access on 2026-02-01 at 00:00 UTC."
                    .to_owned(),
            ),
            Failure::Overloaded => (529, "overloaded_error", "Overloaded".to_owned()),
            Failure::Server(status) => (*status, "api_error", "Internal server error".to_owned()),
            Failure::ContextExceeded(tokens) => (
                400,
                "invalid_request_error",
                format!(
                    "prompt is too long: {tokens} tokens > {} maximum",
                    tokens.saturating_sub(1)
                ),
            ),
            Failure::Invalid(message) => (400, "invalid_request_error", message.clone()),
            Failure::Unauthorized => (
                401,
                "authentication_error",
                "x-api-key header is required".to_owned(),
            ),
        };
        let body = json!({
            "type": "error",
            "error": { "type": kind, "message": message },
            "request_id": REQUEST_ID,
        });
        let refusal = Refusal::new(status, body).with("request-id", REQUEST_ID);
        match failure {
            Failure::RateLimit(wait) => {
                let refusal = refusal
                    .with("anthropic-ratelimit-requests-limit", 50)
                    .with("anthropic-ratelimit-requests-remaining", 0)
                    .with("x-should-retry", true);
                match wait {
                    Some(wait) => refusal.with("retry-after", wait),
                    None => refusal,
                }
            }
            _ => refusal,
        }
    }

    fn late_failure(&self, failure: &Failure, _: &Answer<'_>, _: usize) -> Vec<Frame> {
        vec![Frame::event("error", &self.failure(failure).body)]
    }

    fn broken(&self) -> Frame {
        Frame::new("event: content_block_delta\ndata: {\"type\":\"content_block_del\n\n".to_owned())
    }
}

/// The events of content blocks, one block at a time.
#[derive(Default)]
struct Blocks {
    frames: Vec<Frame>,
    index: usize,
}

impl Blocks {
    fn begin(&mut self, block: &Value) {
        self.frames.push(event(
            &json!({ "type": "content_block_start", "index": self.index, "content_block": block }),
        ));
        if self.index == 0 {
            self.frames.push(event(&json!({ "type": "ping" })));
        }
    }

    fn delta(&mut self, delta: &Value, written: &str) {
        let delta = json!({ "type": "content_block_delta", "index": self.index, "delta": delta });
        self.frames.push(event(&delta).carrying(written));
    }

    fn end(&mut self) {
        self.frames.push(event(
            &json!({ "type": "content_block_stop", "index": self.index }),
        ));
        self.index += 1;
    }
}

/// An event named as its data is typed.
fn event(data: &Value) -> Frame {
    Frame::event(data["type"].as_str().unwrap_or_default(), data)
}

fn tool_use(answer: &Answer<'_>, nth: usize, call: &CallOut, input: &Value) -> Value {
    json!({ "type": "tool_use", "id": answer.id("toolu_01", nth), "name": call.name, "input": input })
}

const fn stop_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::End => "end_turn",
        Stop::Calls => "tool_use",
        Stop::Limit => "max_tokens",
        Stop::Refusal => "refusal",
    }
}

/// Tokens in Anthropic's sense: what the cache had or got is not in `input_tokens`.
fn usage(answer: &Answer<'_>, output: u64, at_start: bool) -> Value {
    let Usage {
        input,
        cached,
        cache_written,
        reasoning,
        ..
    } = answer.usage;
    let mut usage = json!({
        "input_tokens": input - cached - cache_written,
        "cache_creation_input_tokens": cache_written,
        "cache_read_input_tokens": cached,
    });
    if at_start {
        let (five_minutes, hour) = match cache_time(answer.request) {
            CacheTime::FiveMinutes => (cache_written, 0),
            CacheTime::Hour => (0, cache_written),
        };
        usage["cache_creation"] = json!({
            "ephemeral_5m_input_tokens": five_minutes,
            "ephemeral_1h_input_tokens": hour,
        });
    }
    usage["output_tokens"] = json!(output);
    if reasoning > 0 && output == answer.usage.output {
        usage["output_tokens_details"] = json!({ "thinking_tokens": reasoning });
    }
    if at_start {
        usage["service_tier"] = json!("standard");
    }
    usage
}

fn blocks(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn mark(block: &Value) -> Option<CacheTime> {
    let mark = block.get("cache_control")?.as_object()?;
    Some(match mark.get("ttl").and_then(Value::as_str) {
        Some("1h") => CacheTime::Hour,
        _ => CacheTime::FiveMinutes,
    })
}

fn tool(tool: &Value) -> Tool {
    Tool {
        name: string(tool, "name"),
        description: string(tool, "description"),
        schema: tool["input_schema"].clone(),
    }
}

fn read(message: &Value, request: &mut Request) -> Result<(), String> {
    let role = match message["role"].as_str() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => {
            request.push_system(&text_of(&message["content"]));
            return Ok(());
        }
        other => return Err(format!("messages: unexpected role {other:?}")),
    };
    let parts = match &message["content"] {
        Value::String(text) => vec![Part::Text(text.clone())],
        content => blocks(content).iter().filter_map(part).collect(),
    };
    request.push(role, parts);
    if let Some(time) = blocks(&message["content"]).iter().rev().find_map(mark) {
        let place = request.messages.len() - 1;
        request.cache_marks.messages.insert(place, time);
    }
    Ok(())
}

fn part(block: &Value) -> Option<Part> {
    match block["type"].as_str()? {
        "text" => Some(Part::Text(string(block, "text"))),
        "thinking" => Some(Part::Reasoning(string(block, "thinking"))),
        "tool_use" => Some(Part::Call {
            id: string(block, "id"),
            name: string(block, "name"),
            input: block["input"].clone(),
        }),
        "tool_result" => Some(Part::Result {
            id: string(block, "tool_use_id"),
            text: text_of(&block["content"]),
        }),
        _ => None,
    }
}
