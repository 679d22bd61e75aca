//! OpenAI responses.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::reply::{CallOut, Stop};
use super::super::request::{Part, Request, Role, Tool};
use super::{
    Answer, CREATED, Call, Failure, Format, Frame, Refusal, Wire, arguments, openai_failure,
    pieces, string, text_of, tool_choice,
};

/// What stands for encrypted thoughts, which clients send back as they came.
const ENCRYPTED: &str = "Z0FBQUFBZmFrZS1yZWFzb25pbmctY29udGVudA==";

pub(super) struct Responses;

impl Format for Responses {
    fn request(&self, call: Call<'_>) -> Result<Request, String> {
        let body = call.body;
        let mut request = Request::new(Wire::Responses, call.key, call.headers);
        body["model"]
            .as_str()
            .ok_or("Missing required parameter: 'model'.")?
            .clone_into(&mut request.model);
        if let Some(id) = body["previous_response_id"].as_str() {
            return Err(format!("Previous response with id '{id}' not found."));
        }
        request.streaming = body["stream"] == true;
        request.max_tokens = body["max_output_tokens"].as_u64();
        request.push_system(&text_of(&body["instructions"]));
        match &body["input"] {
            Value::String(text) => request.push(Role::User, vec![Part::Text(text.clone())]),
            items => {
                for item in items.as_array().into_iter().flatten() {
                    read(item, &mut request)?;
                }
            }
        }
        if request.messages.is_empty() {
            return Err("Missing required parameter: 'input'.".to_owned());
        }
        request.tools = body["tools"]
            .as_array()
            .into_iter()
            .flatten()
            .map(tool)
            .collect();
        request.tool_choice = tool_choice(&body["tool_choice"]);
        let format = &body["text"]["format"];
        request.schema = match format["type"].as_str() {
            Some("json_schema") => Some(Arc::new(format["schema"].clone())),
            Some("json_object") => Some(Arc::new(json!({ "type": "object" }))),
            _ => None,
        };
        request.effort = body["reasoning"]["effort"].as_str().map(str::to_owned);
        request.shows_reasoning = body["reasoning"]["summary"].is_string();
        match request.unpaired() {
            Some(problem) => Err(format!("No tool output found for function call: {problem}")),
            None => Ok(request),
        }
    }

    fn whole(&self, answer: &Answer<'_>) -> Value {
        let (status, _) = end(answer.output.stop);
        response(answer, status, &items(answer))
    }

    fn stream(&self, answer: &Answer<'_>) -> Vec<Frame> {
        let mut events = Events::default();
        for kind in ["response.created", "response.in_progress"] {
            events.push(
                kind,
                &json!({ "response": response(answer, "in_progress", &[]) }),
                "",
            );
        }
        let items = items(answer);
        for (index, item) in items.iter().enumerate() {
            let id = item["id"].clone();
            match item["type"].as_str() {
                Some("reasoning") => reasoning(&mut events, index, &id, item),
                Some("message") => message(&mut events, index, &id, item),
                _ => function_call(&mut events, index, &id, item),
            }
            events.push(
                "response.output_item.done",
                &json!({ "output_index": index, "item": item }),
                "",
            );
        }
        let (status, kind) = end(answer.output.stop);
        events.push(
            kind,
            &json!({ "response": response(answer, status, &items) }),
            "",
        );
        let last = events.frames.pop().map(Frame::telling_usage);
        events.frames.extend(last);
        events.frames
    }

    fn failure(&self, failure: &Failure) -> Refusal {
        openai_failure(failure, &json!("input"))
    }

    fn late_failure(&self, failure: &Failure, answer: &Answer<'_>, behind: usize) -> Vec<Frame> {
        let error = self.failure(failure).body["error"].take();
        let mut events = Events {
            number: behind,
            ..Events::default()
        };
        events.push("error", &json!({ "error": error }), "");
        let mut failed = response(answer, "failed", &[]);
        failed["error"] = json!({ "code": error["code"], "message": error["message"] });
        failed["usage"] = Value::Null;
        events.push("response.failed", &json!({ "response": failed }), "");
        events.frames
    }

    fn broken(&self) -> Frame {
        Frame::new(
            "event: response.output_text.delta\ndata: {\"type\":\"response.outp\n\n".to_owned(),
        )
    }
}

/// Events with their numbers.
#[derive(Default)]
struct Events {
    frames: Vec<Frame>,
    /// The number of the next one.
    number: usize,
}

impl Events {
    fn push(&mut self, kind: &str, fields: &Value, written: &str) {
        let mut data = json!({ "type": kind, "sequence_number": self.number });
        self.number += 1;
        for (name, value) in fields.as_object().into_iter().flatten() {
            data[name] = value.clone();
        }
        self.frames
            .push(Frame::event(kind, &data).carrying(written));
    }
}

fn reasoning(events: &mut Events, index: usize, id: &Value, item: &Value) {
    let mut begun = item.clone();
    begun["summary"] = json!([]);
    let added = json!({ "output_index": index, "item": begun });
    events.push("response.output_item.added", &added, "");
    for (nth, part) in item["summary"].as_array().into_iter().flatten().enumerate() {
        let at = |field: &str, value: Value| json!({ "item_id": id, "output_index": index, "summary_index": nth, field: value });
        let empty = json!({ "type": "summary_text", "text": "" });
        events.push(
            "response.reasoning_summary_part.added",
            &at("part", empty),
            "",
        );
        let text = part["text"].as_str().unwrap_or_default();
        for piece in pieces(text) {
            let delta = at("delta", json!(piece));
            events.push("response.reasoning_summary_text.delta", &delta, piece);
        }
        let done = at("text", json!(text));
        events.push("response.reasoning_summary_text.done", &done, "");
        let done = at("part", part.clone());
        events.push("response.reasoning_summary_part.done", &done, "");
    }
}

fn message(events: &mut Events, index: usize, id: &Value, item: &Value) {
    let mut begun = item.clone();
    begun["status"] = json!("in_progress");
    begun["content"] = json!([]);
    let added = json!({ "output_index": index, "item": begun });
    events.push("response.output_item.added", &added, "");
    let part = &item["content"][0];
    let (field, kind) = match part["type"].as_str() {
        Some("refusal") => ("refusal", "response.refusal"),
        _ => ("text", "response.output_text"),
    };
    let text = part[field].as_str().unwrap_or_default();
    let at = |name: &str, value: Value| json!({ "item_id": id, "output_index": index, "content_index": 0, name: value });
    let mut empty = part.clone();
    empty[field] = json!("");
    events.push("response.content_part.added", &at("part", empty), "");
    for piece in pieces(text) {
        let mut delta = at("delta", json!(piece));
        if field == "text" {
            delta["logprobs"] = json!([]);
        }
        events.push(&format!("{kind}.delta"), &delta, piece);
    }
    let mut done = at(field, json!(text));
    if field == "text" {
        done["logprobs"] = json!([]);
    }
    events.push(&format!("{kind}.done"), &done, "");
    events.push("response.content_part.done", &at("part", part.clone()), "");
}

fn function_call(events: &mut Events, index: usize, id: &Value, item: &Value) {
    let mut begun = item.clone();
    begun["status"] = json!("in_progress");
    begun["arguments"] = json!("");
    let name = item["name"].as_str().unwrap_or_default();
    let added = json!({ "output_index": index, "item": begun });
    events.push("response.output_item.added", &added, name);
    let arguments = item["arguments"].as_str().unwrap_or_default();
    for piece in pieces(arguments) {
        let delta = json!({ "item_id": id, "output_index": index, "delta": piece });
        events.push("response.function_call_arguments.delta", &delta, piece);
    }
    let done = json!({ "item_id": id, "output_index": index, "arguments": arguments });
    events.push("response.function_call_arguments.done", &done, "");
}

/// What was written, item by item.
fn items(answer: &Answer<'_>) -> Vec<Value> {
    let output = answer.output;
    let mut items = Vec::new();
    let cut = output.stop == Stop::Limit;
    if output.reasoning_tokens > 0 {
        let shown = answer.request.shows_reasoning && !output.reasoning.is_empty();
        let summary = shown.then(|| json!({ "type": "summary_text", "text": output.reasoning }));
        let mut item = json!({
            "id": answer.id("rs_", 0),
            "type": "reasoning",
            "summary": summary.into_iter().collect::<Vec<Value>>(),
        });
        let include = answer.body["include"].as_array();
        if include.is_some_and(|all| all.iter().any(|each| each == "reasoning.encrypted_content")) {
            item["encrypted_content"] = json!(ENCRYPTED);
        }
        items.push(item);
    }
    if !output.text.is_empty() {
        let part = match output.stop {
            Stop::Refusal => json!({ "type": "refusal", "refusal": output.text }),
            _ => {
                json!({ "type": "output_text", "annotations": [], "logprobs": [], "text": output.text })
            }
        };
        let last = output.calls.is_empty();
        items.push(json!({
            "id": answer.id("msg_", 0),
            "type": "message",
            "status": if cut && last { "incomplete" } else { "completed" },
            "content": [part],
            "role": "assistant",
        }));
    }
    for (nth, call) in output.calls.iter().enumerate() {
        let CallOut { name, arguments } = call;
        let last = nth + 1 == output.calls.len();
        items.push(json!({
            "id": answer.id("fc_", nth),
            "type": "function_call",
            "status": if cut && last { "incomplete" } else { "completed" },
            "arguments": arguments,
            "call_id": answer.id("call_", nth),
            "name": name,
        }));
    }
    items
}

/// The status of a response that ends so, and the event that says it.
const fn end(stop: Stop) -> (&'static str, &'static str) {
    match stop {
        Stop::Limit => ("incomplete", "response.incomplete"),
        Stop::End | Stop::Calls | Stop::Refusal => ("completed", "response.completed"),
    }
}

fn response(answer: &Answer<'_>, status: &str, output: &[Value]) -> Value {
    let body = answer.body;
    let asked = |name: &str, default: Value| match &body[name] {
        Value::Null => default,
        value => value.clone(),
    };
    let ended = status != "in_progress";
    let details = (status == "incomplete").then(|| json!({ "reason": "max_output_tokens" }));
    let mut text = match &body["text"] {
        Value::Object(text) => Value::Object(text.clone()),
        _ => json!({}),
    };
    for (name, default) in [
        ("format", json!({ "type": "text" })),
        ("verbosity", json!("medium")),
    ] {
        if text[name].is_null() {
            text[name] = default;
        }
    }
    json!({
        "id": answer.id("resp_", 0),
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": false,
        "error": null,
        "incomplete_details": details,
        "instructions": body["instructions"],
        "max_output_tokens": body["max_output_tokens"],
        "max_tool_calls": null,
        "model": answer.request.model,
        "output": output,
        "parallel_tool_calls": asked("parallel_tool_calls", json!(true)),
        "previous_response_id": null,
        "prompt_cache_key": body["prompt_cache_key"],
        "prompt_cache_retention": body["prompt_cache_retention"],
        "reasoning": {
            "effort": body["reasoning"]["effort"],
            "summary": body["reasoning"]["summary"],
        },
        "safety_identifier": null,
        "service_tier": if ended { "default" } else { "auto" },
        "store": asked("store", json!(true)),
        "temperature": asked("temperature", json!(1.0)),
        "text": text,
        "tool_choice": asked("tool_choice", json!("auto")),
        "tools": asked("tools", json!([])),
        "top_logprobs": 0,
        "top_p": asked("top_p", json!(1.0)),
        "truncation": "disabled",
        "usage": ended.then(|| usage(answer)),
        "user": null,
        "metadata": asked("metadata", json!({})),
    })
}

fn usage(answer: &Answer<'_>) -> Value {
    let usage = answer.usage;
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": { "cached_tokens": usage.cached },
        "output_tokens": usage.output,
        "output_tokens_details": { "reasoning_tokens": usage.reasoning },
        "total_tokens": usage.input + usage.output,
    })
}

/// A function, or what else the provider has, by its type.
fn tool(tool: &Value) -> Tool {
    let name = tool["name"].as_str().or_else(|| tool["type"].as_str());
    Tool {
        name: name.unwrap_or_default().to_owned(),
        description: string(tool, "description"),
        schema: tool["parameters"].clone(),
    }
}

fn read(item: &Value, request: &mut Request) -> Result<(), String> {
    match item["type"].as_str() {
        None | Some("message") => {
            let text = text_of(&item["content"]);
            match item["role"].as_str() {
                Some("system" | "developer") => request.push_system(&text),
                Some("user") => request.push(Role::User, vec![Part::Text(text)]),
                Some("assistant") => request.push(Role::Assistant, vec![Part::Text(text)]),
                other => return Err(format!("Invalid value for 'input.role': {other:?}")),
            }
        }
        Some("reasoning") => {
            let text = text_of(&item["summary"]);
            request.push(Role::Assistant, vec![Part::Reasoning(text)]);
        }
        Some("function_call" | "custom_tool_call") => {
            let input = match &item["input"] {
                Value::Null => arguments(&item["arguments"]),
                input => input.clone(),
            };
            request.push(
                Role::Assistant,
                vec![Part::Call {
                    id: string(item, "call_id"),
                    name: string(item, "name"),
                    input,
                }],
            );
        }
        Some("function_call_output" | "custom_tool_call_output") => request.push(
            Role::User,
            vec![Part::Result {
                id: string(item, "call_id"),
                text: text_of(&item["output"]),
            }],
        ),
        // What else clients send back of an answer says nothing to a scripted model.
        Some(_) => {}
    }
    Ok(())
}
