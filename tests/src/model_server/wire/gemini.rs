//! Gemini's `generateContent`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::reply::Stop;
use super::super::request::{Part, Request, Role, Tool, ToolChoice};
use super::{Answer, Call, Failure, Format, Frame, Refusal, Wire, pieces, string};

/// What stands for the signature of a thought, which clients send back as it came.
const SIGNATURE: &str = "c2lnbmVkIGJ5IHRoZSBmYWtlIG1vZGVsIHNlcnZlcg==";

pub(super) struct Gemini;

impl Format for Gemini {
    fn request(&self, call: Call<'_>) -> Result<Request, String> {
        let body = call.body;
        let mut request = Request::new(Wire::Gemini, call.key, call.headers);
        let (model, streaming) = call.path.ok_or("the path names no model")?;
        model.clone_into(&mut request.model);
        request.streaming = streaming;
        let system = either(body, "systemInstruction", "system_instruction");
        for part in parts(system) {
            request.push_system(&string(part, "text"));
        }
        for content in body["contents"].as_array().into_iter().flatten() {
            let role = match content["role"].as_str() {
                Some("model") => Role::Assistant,
                None | Some("user" | "function") => Role::User,
                Some(_) => return Err("Please use a valid role: user, model.".to_owned()),
            };
            request.push(role, parts(content).iter().filter_map(part).collect());
        }
        if request.messages.is_empty() {
            return Err("* GenerateContentRequest.contents: contents is not specified".to_owned());
        }
        request.tools = body["tools"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|tool| {
                either(tool, "functionDeclarations", "function_declarations")
                    .as_array()
                    .into_iter()
                    .flatten()
            })
            .map(|tool| Tool {
                name: string(tool, "name"),
                description: string(tool, "description"),
                schema: either(tool, "parametersJsonSchema", "parameters").clone(),
            })
            .collect();
        let calling = &body["toolConfig"]["functionCallingConfig"];
        let allowed = &calling["allowedFunctionNames"];
        request.tool_choice = match (calling["mode"].as_str(), allowed[0].as_str()) {
            (Some("NONE"), _) => ToolChoice::None,
            (Some("ANY"), Some(name)) if allowed[1].is_null() => ToolChoice::Named(name.to_owned()),
            (Some("ANY"), _) => ToolChoice::Required,
            _ => ToolChoice::Auto,
        };
        let config = either(body, "generationConfig", "generation_config");
        request.max_tokens = config["maxOutputTokens"].as_u64();
        request.schema = match (
            either(config, "responseJsonSchema", "responseSchema"),
            config["responseMimeType"].as_str(),
        ) {
            (Value::Null, Some("application/json")) => Some(Arc::new(json!({ "type": "object" }))),
            (Value::Null, _) => None,
            (schema, _) => Some(Arc::new(schema.clone())),
        };
        let thinking = &config["thinkingConfig"];
        request.shows_reasoning = thinking["includeThoughts"] == true;
        request.effort = thinking["thinkingLevel"]
            .as_str()
            .map(str::to_owned)
            .or_else(|| {
                thinking["thinkingBudget"]
                    .as_i64()
                    .map(|budget| budget.to_string())
            });
        Ok(request)
    }

    fn whole(&self, answer: &Answer<'_>) -> Value {
        let output = answer.output;
        let mut parts = Vec::new();
        if answer.request.shows_reasoning && !output.reasoning.is_empty() {
            parts.push(json!({ "text": output.reasoning, "thought": true }));
        }
        if !output.text.is_empty() && output.stop != Stop::Refusal {
            parts.push(json!({ "text": output.text }));
        }
        parts.extend(calls(answer));
        chunk(answer, &parts, true)
    }

    fn stream(&self, answer: &Answer<'_>) -> Vec<Frame> {
        let output = answer.output;
        let mut frames = Vec::new();
        let mut push = |part: Value, written: &str| {
            frames.push(frame(&chunk(answer, &[part], false)).carrying(written));
        };
        if answer.request.shows_reasoning {
            for piece in pieces(&output.reasoning) {
                push(json!({ "text": piece, "thought": true }), piece);
            }
        }
        if output.stop != Stop::Refusal {
            for piece in pieces(&output.text) {
                push(json!({ "text": piece }), piece);
            }
        }
        for (call, part) in output.calls.iter().zip(calls(answer)) {
            push(part, &format!("{}{}", call.name, call.arguments));
        }
        let last = if output.stop == Stop::Refusal {
            Vec::new()
        } else {
            vec![json!({ "text": "" })]
        };
        frames.push(frame(&chunk(answer, &last, true)).telling_usage());
        frames
    }

    fn failure(&self, failure: &Failure) -> Refusal {
        let none = json!([]);
        let (status, name, message, details) = match failure {
            Failure::RateLimit(wait) => (
                429,
                "RESOURCE_EXHAUSTED",
                "Resource has been exhausted (e.g. check quota).".to_owned(),
                wait.map_or(none, |seconds| json!([retry_info(seconds)])),
            ),
            Failure::Quota => (
                429,
                "RESOURCE_EXHAUSTED",
                "You exceeded your current quota, please check your plan and billing details.".to_owned(),
                json!([{
                    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                    "violations": [{
                        "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
                        "quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
                    }],
                }]),
            ),
            Failure::Overloaded => (
                503,
                "UNAVAILABLE",
                "The model is overloaded. Please try again later.".to_owned(),
                none,
            ),
            Failure::Server(status) => (
                *status,
                "INTERNAL",
                "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting".to_owned(),
                none,
            ),
            Failure::ContextExceeded(tokens) => (
                400,
                "INVALID_ARGUMENT",
                format!(
                    "The input token count ({tokens}) exceeds the maximum number of tokens allowed ({}).",
                    tokens.saturating_sub(1)
                ),
                none,
            ),
            Failure::Invalid(message) => (400, "INVALID_ARGUMENT", message.clone(), none),
            Failure::Unauthorized => (
                403,
                "PERMISSION_DENIED",
                "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API.".to_owned(),
                none,
            ),
        };
        let mut error = json!({ "code": status, "message": message, "status": name });
        if details != json!([]) {
            error["details"] = details;
        }
        Refusal::new(status, json!({ "error": error }))
    }

    fn late_failure(&self, failure: &Failure, _: &Answer<'_>, _: usize) -> Vec<Frame> {
        vec![frame(&self.failure(failure).body)]
    }

    fn stream_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn broken(&self) -> Frame {
        Frame::new("data: {\"candidates\": [{\"content\": {\"par\r\n\r\n".to_owned())
    }
}

/// An event, with the line ends that Google sends.
fn frame(data: &Value) -> Frame {
    Frame::new(format!("data: {data}\r\n\r\n"))
}

fn retry_info(seconds: u64) -> Value {
    json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s") })
}

fn calls(answer: &Answer<'_>) -> Vec<Value> {
    // The third generation gives calls ids, and wants the first one's signature back.
    let signed = answer.request.model.contains("gemini-3");
    let calls = answer.output.calls.iter().enumerate();
    calls
        .map(|(nth, call)| {
            let mut part = json!({ "functionCall": { "name": call.name, "args": call.input() } });
            if signed {
                part["functionCall"]["id"] = json!(answer.id("call_", nth));
            }
            if signed && nth == 0 {
                part["thoughtSignature"] = json!(SIGNATURE);
            }
            part
        })
        .collect()
}

fn chunk(answer: &Answer<'_>, parts: &[Value], last: bool) -> Value {
    let mut candidate = json!({ "content": { "parts": parts, "role": "model" } });
    if parts.is_empty() {
        candidate["content"] = json!({ "role": "model" });
    }
    if last {
        candidate["finishReason"] = json!(match answer.output.stop {
            Stop::End | Stop::Calls => "STOP",
            Stop::Limit => "MAX_TOKENS",
            Stop::Refusal => "SAFETY",
        });
    }
    candidate["index"] = json!(0);
    json!({
        "candidates": [candidate],
        "usageMetadata": usage(answer, last),
        "modelVersion": answer.request.model,
        "responseId": answer.id("", 0),
    })
}

/// Tokens in Gemini's sense: thoughts are not in `candidatesTokenCount`.
fn usage(answer: &Answer<'_>, last: bool) -> Value {
    let all = answer.usage;
    let text = |tokens: u64| json!([{ "modality": "TEXT", "tokenCount": tokens }]);
    let mut usage = json!({ "promptTokenCount": all.input });
    if last {
        usage["candidatesTokenCount"] = json!(all.output - all.reasoning);
    }
    usage["totalTokenCount"] = json!(all.input + if last { all.output } else { 0 });
    if all.cached > 0 {
        usage["cachedContentTokenCount"] = json!(all.cached);
    }
    usage["promptTokensDetails"] = text(all.input);
    if all.cached > 0 {
        usage["cacheTokensDetails"] = text(all.cached);
    }
    if last && all.reasoning > 0 {
        usage["thoughtsTokenCount"] = json!(all.reasoning);
    }
    usage
}

fn either<'a>(value: &'a Value, name: &str, other: &str) -> &'a Value {
    match &value[name] {
        Value::Null => &value[other],
        found => found,
    }
}

fn parts(content: &Value) -> &[Value] {
    content["parts"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn part(part: &Value) -> Option<Part> {
    if let Some(call) = part.get("functionCall") {
        return Some(Part::Call {
            id: string(call, "id"),
            name: string(call, "name"),
            input: call["args"].clone(),
        });
    }
    if let Some(result) = part.get("functionResponse") {
        let response = &result["response"];
        let text = ["output", "result", "content", "error"]
            .into_iter()
            .find_map(|name| response[name].as_str().map(str::to_owned));
        return Some(Part::Result {
            id: string(result, "id"),
            text: text.unwrap_or_else(|| response.to_string()),
        });
    }
    let text = part["text"].as_str()?.to_owned();
    Some(if part["thought"] == true {
        Part::Reasoning(text)
    } else {
        Part::Text(text)
    })
}
