//! What the prompt cache has, wire by wire.

use serde_json::{Value, json};

use super::super::{ModelServer, Wire};
use super::{body, http, path};

/// A long text of a letter, of so many tokens.
fn long(letter: &str, tokens: usize) -> String {
    letter.repeat(tokens * 4)
}

/// A conversation that grows: the first prompt, or with an answer and a second one behind it.
fn grown(wire: Wire, longer: bool) -> Value {
    let mut body = body(wire, &long("a", 100), false);
    if longer {
        let field = if wire == Wire::Responses {
            "input"
        } else {
            "messages"
        };
        let messages = body[field].as_array_mut();
        let messages = messages.unwrap_or_else(|| panic!("no messages"));
        messages.push(json!({ "role": "assistant", "content": "Yes." }));
        messages.push(json!({ "role": "user", "content": long("b", 100) }));
    }
    body
}

#[test]
fn a_beginning_that_was_read_before_is_cached() -> std::io::Result<()> {
    for (wire, pointer) in [
        (Wire::Chat, "/usage/prompt_tokens_details/cached_tokens"),
        (Wire::Responses, "/usage/input_tokens_details/cached_tokens"),
        (Wire::Ollama, "/prompt_eval_cached_count"),
    ] {
        let server = ModelServer::start()?;
        let cached = |body: &Value| -> std::io::Result<u64> {
            let answer = http::post(&server, path(wire, false), body)?.json();
            Ok(answer.pointer(pointer).and_then(Value::as_u64).unwrap_or(0))
        };
        assert_eq!(cached(&grown(wire, false))?, 0);
        // The tools and a prompt of 100 tokens are about 126: one step of 64.
        assert_eq!(cached(&grown(wire, true))?, 64, "{wire:?}");
        assert_eq!(cached(&grown(wire, true))?, 192, "{wire:?}");
        // Another model knows nothing of it.
        let mut other = grown(wire, true);
        other["model"] = json!("fake-large");
        assert_eq!(cached(&other)?, 0);
        // A different beginning is a different prompt, however alike the end.
        let mut other = grown(wire, true);
        other["tools"][0]["description"] = json!("Changed.");
        other["tools"][0]["function"]["description"] = json!("Changed.");
        assert_eq!(cached(&other)?, 0);
        let sums = server.ledger();
        let cached: Vec<u64> = sums.values().map(|sum| sum.reported.cached).collect();
        assert_eq!(cached, [0, 256]);
    }
    Ok(())
}

#[test]
fn gemini_counts_the_cache_within_the_prompt() -> std::io::Result<()> {
    let server = ModelServer::start()?;
    let body = body(Wire::Gemini, &long("a", 100), false);
    let path = path(Wire::Gemini, false);
    let first = http::post(&server, path, &body)?.json()["usageMetadata"].take();
    assert_eq!(first.get("cachedContentTokenCount"), None);
    let second = http::post(&server, path, &body)?.json()["usageMetadata"].take();
    assert_eq!(second["cachedContentTokenCount"], 64);
    assert_eq!(second["promptTokenCount"], first["promptTokenCount"]);
    Ok(())
}

#[test]
fn anthropic_caches_what_is_marked_and_counts_it_apart() -> std::io::Result<()> {
    let server = ModelServer::start()?;
    let usage = |body: &Value| -> std::io::Result<[u64; 3]> {
        let usage = http::post(&server, "/v1/messages", body)?.json()["usage"].take();
        let count = |name: &str| usage[name].as_u64().unwrap_or_else(|| panic!("{usage}"));
        Ok([
            count("input_tokens"),
            count("cache_creation_input_tokens"),
            count("cache_read_input_tokens"),
        ])
    };
    // Nothing is marked, so nothing is kept.
    let unmarked = grown(Wire::Anthropic, true);
    let [all, 0, 0] = usage(&unmarked)? else {
        panic!("a cache without a mark");
    };
    assert_eq!(usage(&unmarked)?, [all, 0, 0]);
    // System text of 200 tokens, marked for an hour, with the tools of 25 before it: 192 of them.
    let mut marked = unmarked.clone();
    marked["system"] = json!([{
        "type": "text",
        "text": long("s", 200),
        "cache_control": { "type": "ephemeral", "ttl": "1h" },
    }]);
    assert_eq!(usage(&marked)?, [all + 200 - 192, 192, 0]);
    assert_eq!(usage(&marked)?, [all + 200 - 192, 0, 192]);
    let hour = http::post(&server, "/v1/messages", &marked)?.json()["usage"].take();
    assert_eq!(hour["cache_creation"]["ephemeral_1h_input_tokens"], 0);
    // A mark further on reads the first one's part and writes the rest.
    marked["messages"][2]["content"] = json!([{
        "type": "text",
        "text": long("b", 100),
        "cache_control": { "type": "ephemeral" },
    }]);
    let [rest, written, read] = usage(&marked)?;
    assert_eq!((rest + written + read, read), (all + 200, 192));
    assert_eq!(written, (all + 200) / 64 * 64 - 192);
    assert_eq!(usage(&marked)?, [rest, 0, written + read]);
    // Another key shares it, another model does not.
    marked["model"] = json!("fake-large");
    assert_eq!(usage(&marked)?[2], 0);
    Ok(())
}
