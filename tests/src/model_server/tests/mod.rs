//! The server, by raw sockets and by a client that knows all wires.

mod caching;
mod clients;
mod faults;
mod http;
mod scripts;
mod wires;

use super::{ModelServer, Wire};
use serde_json::{Value, json};

/// A prompt with a script.
fn scripted(steps: &[Value]) -> String {
    let lines: Vec<String> = steps.iter().map(Value::to_string).collect();
    format!("Do this:\n```model\n{}\n```\n", lines.join("\n"))
}

/// Where a wire's requests go.
fn path(wire: Wire, streaming: bool) -> &'static str {
    match (wire, streaming) {
        (Wire::Anthropic, _) => "/v1/messages",
        (Wire::Chat, _) => "/v1/chat/completions",
        (Wire::Responses, _) => "/v1/responses",
        (Wire::Gemini, false) => "/v1beta/models/fake-small:generateContent",
        (Wire::Gemini, true) => "/v1beta/models/fake-small:streamGenerateContent?alt=sse",
        (Wire::Ollama, _) => "/api/chat",
    }
}

/// A request with one message of the user and a tool `read_file`.
fn body(wire: Wire, prompt: &str, streaming: bool) -> Value {
    let schema = json!({
        "type": "object",
        "properties": { "file_path": { "type": "string" } },
        "required": ["file_path"],
    });
    let function = json!({ "name": "read_file", "description": "Reads.", "parameters": schema });
    let messages = json!([{ "role": "user", "content": prompt }]);
    match wire {
        Wire::Anthropic => json!({
            "model": "fake-small",
            "max_tokens": 4096,
            "stream": streaming,
            "messages": messages,
            "tools": [{ "name": "read_file", "description": "Reads.", "input_schema": schema }],
        }),
        Wire::Chat => json!({
            "model": "fake-small",
            "stream": streaming,
            "stream_options": if streaming { json!({ "include_usage": true }) } else { Value::Null },
            "messages": messages,
            "tools": [{ "type": "function", "function": function }],
        }),
        Wire::Responses => json!({
            "model": "fake-small",
            "stream": streaming,
            "input": messages,
            "tools": [{
                "type": "function",
                "name": "read_file",
                "description": "Reads.",
                "parameters": schema,
            }],
        }),
        Wire::Gemini => json!({
            "contents": [{ "role": "user", "parts": [{ "text": prompt }] }],
            "tools": [{ "functionDeclarations": [function] }],
        }),
        Wire::Ollama => json!({
            "model": "fake-small",
            "stream": streaming,
            "messages": messages,
            "tools": [{ "type": "function", "function": function }],
        }),
    }
}

/// Sends a request of [`body`]'s kind.
fn ask(
    server: &ModelServer,
    wire: Wire,
    prompt: &str,
    streaming: bool,
) -> std::io::Result<http::Answer> {
    let body = body(wire, prompt, streaming);
    http::post(server, path(wire, streaming), &body)
}
