//! Ollama's chat.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::reply::Stop;
use super::super::request::{Part, Request, Role, Tool};
use super::{
    Answer, CREATED_AT, Call, Failure, Format, Frame, Refusal, Wire, pieces, string, text_of,
};

/// Nanoseconds that everything takes.
const DURATION: u64 = 1_000_000;

pub(super) struct Ollama;

impl Format for Ollama {
    fn request(&self, call: Call<'_>) -> Result<Request, String> {
        let body = call.body;
        let mut request = Request::new(Wire::Ollama, call.key, call.headers);
        body["model"]
            .as_str()
            .filter(|model| !model.is_empty())
            .ok_or("model is required")?
            .clone_into(&mut request.model);
        // Unlike the others, it streams unless it is told not to.
        request.streaming = body["stream"] != false;
        for message in body["messages"].as_array().into_iter().flatten() {
            read(message, &mut request)?;
        }
        if request.messages.is_empty() {
            return Err("messages is required".to_owned());
        }
        request.tools = body["tools"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|tool| Tool {
                name: string(&tool["function"], "name"),
                description: string(&tool["function"], "description"),
                schema: tool["function"]["parameters"].clone(),
            })
            .collect();
        request.max_tokens = body["options"]["num_predict"].as_u64();
        request.schema = match &body["format"] {
            Value::String(word) if word == "json" => Some(Arc::new(json!({ "type": "object" }))),
            Value::Object(schema) => Some(Arc::new(Value::Object(schema.clone()))),
            _ => None,
        };
        let think = &body["think"];
        request.shows_reasoning = !think.is_null() && *think != json!(false);
        request.effort = think.as_str().map(str::to_owned);
        Ok(request)
    }

    fn whole(&self, answer: &Answer<'_>) -> Value {
        let mut message = json!({ "role": "assistant", "content": answer.output.text });
        if answer.request.shows_reasoning && !answer.output.reasoning.is_empty() {
            message["thinking"] = json!(answer.output.reasoning);
        }
        if !answer.output.calls.is_empty() {
            message["tool_calls"] = calls(answer).into();
        }
        last(answer, &message)
    }

    fn stream(&self, answer: &Answer<'_>) -> Vec<Frame> {
        let output = answer.output;
        let mut frames = Vec::new();
        let mut push = |message: Value, written: &str| {
            let part = json!({
                "model": answer.request.model,
                "created_at": CREATED_AT,
                "message": message,
                "done": false,
            });
            frames.push(line(&part).carrying(written));
        };
        if answer.request.shows_reasoning {
            for piece in pieces(&output.reasoning) {
                let message = json!({ "role": "assistant", "content": "", "thinking": piece });
                push(message, piece);
            }
        }
        for piece in pieces(&output.text) {
            push(json!({ "role": "assistant", "content": piece }), piece);
        }
        for (call, part) in output.calls.iter().zip(calls(answer)) {
            let message = json!({ "role": "assistant", "content": "", "tool_calls": [part] });
            push(message, &format!("{}{}", call.name, call.arguments));
        }
        let end = last(answer, &json!({ "role": "assistant", "content": "" }));
        frames.push(line(&end).telling_usage());
        frames
    }

    fn failure(&self, failure: &Failure) -> Refusal {
        let (status, message) = match failure {
            Failure::RateLimit(_) => (429, "too many requests".to_owned()),
            Failure::Quota => (
                429,
                "you've reached your usage limit, please upgrade to continue".to_owned(),
            ),
            Failure::Overloaded => (
                503,
                "server busy, please try again.  maximum pending requests exceeded".to_owned(),
            ),
            Failure::Server(status) => (
                *status,
                "llama runner process has terminated: exit status 2".to_owned(),
            ),
            Failure::ContextExceeded(_) => (
                400,
                "the input length exceeds the context length".to_owned(),
            ),
            Failure::Invalid(message) => (400, message.clone()),
            Failure::Unauthorized => (401, "unauthorized".to_owned()),
        };
        let refusal = Refusal::new(status, json!({ "error": message }));
        match failure {
            Failure::RateLimit(Some(wait)) => refusal.with("retry-after", wait),
            _ => refusal,
        }
    }

    fn late_failure(&self, failure: &Failure, _: &Answer<'_>, _: usize) -> Vec<Frame> {
        vec![line(&self.failure(failure).body)]
    }

    fn stream_type(&self) -> &'static str {
        "application/x-ndjson"
    }

    fn broken(&self) -> Frame {
        Frame::new("{\"model\":\"m\",\"message\":{\"role\":\"assis\n".to_owned())
    }
}

fn line(data: &Value) -> Frame {
    Frame::new(format!("{data}\n"))
}

fn calls(answer: &Answer<'_>) -> Vec<Value> {
    let calls = answer.output.calls.iter().enumerate();
    calls
        .map(|(nth, call)| {
            json!({
                "id": answer.id("call_", nth),
                "function": { "index": nth, "name": call.name, "arguments": call.input() },
            })
        })
        .collect()
}

fn last(answer: &Answer<'_>, message: &Value) -> Value {
    let usage = answer.usage;
    let mut last = json!({
        "model": answer.request.model,
        "created_at": CREATED_AT,
        "message": message,
        "done": true,
        "done_reason": if answer.output.stop == Stop::Limit { "length" } else { "stop" },
        "total_duration": 3 * DURATION,
        "load_duration": DURATION,
        "prompt_eval_count": usage.input,
        "prompt_eval_duration": DURATION,
        "eval_count": usage.output,
        "eval_duration": DURATION,
    });
    if usage.cached > 0 {
        last["prompt_eval_cached_count"] = json!(usage.cached);
    }
    last
}

fn read(message: &Value, request: &mut Request) -> Result<(), String> {
    let text = text_of(&message["content"]);
    match message["role"].as_str() {
        Some("system") => request.push_system(&text),
        Some("user") => request.push(Role::User, vec![Part::Text(text)]),
        Some("tool") => request.push(
            Role::User,
            vec![Part::Result {
                id: string(message, "tool_call_id"),
                text,
            }],
        ),
        Some("assistant") => {
            let mut parts = Vec::new();
            let thinking = string(message, "thinking");
            if !thinking.is_empty() {
                parts.push(Part::Reasoning(thinking));
            }
            if !text.is_empty() {
                parts.push(Part::Text(text));
            }
            let calls = message["tool_calls"].as_array().into_iter().flatten();
            parts.extend(calls.map(|call| Part::Call {
                id: string(call, "id"),
                name: string(&call["function"], "name"),
                input: call["function"]["arguments"].clone(),
            }));
            request.push(Role::Assistant, parts);
        }
        other => return Err(format!("invalid role: {other:?}")),
    }
    Ok(())
}
