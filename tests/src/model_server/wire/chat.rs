//! OpenAI chat completions.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::reply::{CallOut, Stop};
use super::super::request::{Part, Request, Role, Tool};
use super::{
    Answer, CREATED, Call, Failure, Format, Frame, Refusal, Wire, arguments, openai_failure,
    pieces, string, text_of, tool_choice,
};

pub(super) struct Chat;

impl Format for Chat {
    fn request(&self, call: Call<'_>) -> Result<Request, String> {
        let body = call.body;
        let mut request = Request::new(Wire::Chat, call.key, call.headers);
        body["model"]
            .as_str()
            .ok_or("you must provide a model parameter")?
            .clone_into(&mut request.model);
        request.streaming = body["stream"] == true;
        request.max_tokens = body["max_completion_tokens"]
            .as_u64()
            .or_else(|| body["max_tokens"].as_u64());
        for message in body["messages"].as_array().into_iter().flatten() {
            read(message, &mut request)?;
        }
        if request.messages.is_empty() {
            return Err("[] is too short - 'messages'".to_owned());
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
        request.tool_choice = tool_choice(&body["tool_choice"]);
        let format = &body["response_format"];
        request.schema = match format["type"].as_str() {
            Some("json_schema") => Some(Arc::new(format["json_schema"]["schema"].clone())),
            Some("json_object") => Some(Arc::new(json!({ "type": "object" }))),
            _ => None,
        };
        request.effort = body["reasoning_effort"].as_str().map(str::to_owned);
        match request.unpaired() {
            Some(problem) => Err(format!(
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id': {problem}"
            )),
            None => Ok(request),
        }
    }

    fn whole(&self, answer: &Answer<'_>) -> Value {
        let output = answer.output;
        let refused = output.stop == Stop::Refusal;
        let shown = (!output.text.is_empty()).then_some(&output.text);
        let mut message = json!({
            "role": "assistant",
            "content": shown.filter(|_| !refused),
            "refusal": shown.filter(|_| refused),
            "annotations": [],
        });
        if !output.calls.is_empty() {
            let calls = output.calls.iter().enumerate();
            message["tool_calls"] = calls
                .map(|(nth, call)| tool_call(answer, nth, call, &call.arguments))
                .collect();
        }
        json!({
            "id": answer.id("chatcmpl-", 0),
            "object": "chat.completion",
            "created": CREATED,
            "model": answer.request.model,
            "choices": [{
                "index": 0,
                "message": message,
                "logprobs": null,
                "finish_reason": finish_reason(output.stop),
            }],
            "usage": usage(answer),
            "service_tier": "default",
            "system_fingerprint": null,
        })
    }

    fn stream(&self, answer: &Answer<'_>) -> Vec<Frame> {
        let output = answer.output;
        let with_usage = answer.body["stream_options"]["include_usage"] == true;
        let chunk = |choices: Value, usage: Option<Value>| {
            let mut chunk = json!({
                "id": answer.id("chatcmpl-", 0),
                "object": "chat.completion.chunk",
                "created": CREATED,
                "model": answer.request.model,
                "service_tier": "default",
                "system_fingerprint": null,
                "choices": choices,
            });
            if with_usage {
                chunk["usage"] = usage.unwrap_or_default();
            }
            Frame::data(&chunk)
        };
        let delta = |delta: Value, finish: Option<&str>| {
            let choice =
                json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }]);
            chunk(choice, None)
        };
        let only_calls = output.text.is_empty() && !output.calls.is_empty();
        let content = if only_calls { Value::Null } else { json!("") };
        let mut frames = vec![delta(
            json!({ "role": "assistant", "content": content, "refusal": null }),
            None,
        )];
        let field = match output.stop {
            Stop::Refusal => "refusal",
            _ => "content",
        };
        for piece in pieces(&output.text) {
            frames.push(delta(json!({ field: piece }), None).carrying(piece));
        }
        for (nth, call) in output.calls.iter().enumerate() {
            let mut begun = tool_call(answer, nth, call, "");
            begun["index"] = json!(nth);
            frames.push(delta(json!({ "tool_calls": [begun] }), None).carrying(&call.name));
            for piece in pieces(&call.arguments) {
                let more = json!({ "index": nth, "function": { "arguments": piece } });
                frames.push(delta(json!({ "tool_calls": [more] }), None).carrying(piece));
            }
        }
        frames.push(delta(json!({}), Some(finish_reason(output.stop))));
        if with_usage {
            frames.push(chunk(json!([]), Some(usage(answer))).telling_usage());
        }
        frames.push(Frame::new("data: [DONE]\n\n".to_owned()));
        frames
    }

    fn failure(&self, failure: &Failure) -> Refusal {
        openai_failure(failure, &json!("messages"))
    }
}

fn tool_call(answer: &Answer<'_>, nth: usize, call: &CallOut, arguments: &str) -> Value {
    json!({
        "id": answer.id("call_", nth),
        "type": "function",
        "function": { "name": call.name, "arguments": arguments },
    })
}

const fn finish_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Refusal => "stop",
        Stop::Calls => "tool_calls",
        Stop::Limit => "length",
    }
}

fn usage(answer: &Answer<'_>) -> Value {
    let usage = answer.usage;
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": { "cached_tokens": usage.cached, "audio_tokens": 0 },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

fn read(message: &Value, request: &mut Request) -> Result<(), String> {
    let text = text_of(&message["content"]);
    match message["role"].as_str() {
        Some("system" | "developer") => request.push_system(&text),
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
            let reasoning = string(message, "reasoning_content");
            if !reasoning.is_empty() {
                parts.push(Part::Reasoning(reasoning));
            }
            if !text.is_empty() {
                parts.push(Part::Text(text));
            }
            let calls = message["tool_calls"].as_array().into_iter().flatten();
            parts.extend(calls.map(|call| Part::Call {
                id: string(call, "id"),
                name: string(&call["function"], "name"),
                input: arguments(&call["function"]["arguments"]),
            }));
            request.push(Role::Assistant, parts);
        }
        other => return Err(format!("Invalid value for 'messages.role': {other:?}")),
    }
    Ok(())
}
