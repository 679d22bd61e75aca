//! Scripts, and what holds for every answer: that nothing is remembered, that names are the client's, that limits hold.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::fit::fit;
use super::super::{End, Fault, ModelServer, Part, Reply, Settings, Usage, Wire};
use super::{ask, http, scripted};

/// A conversation in Anthropic's format, with tools by the names of its own client.
fn conversation(messages: &Value) -> Value {
    json!({
        "model": "fake-small",
        "max_tokens": 1000,
        "messages": messages,
        "tools": [
            {
                "name": "Read",
                "input_schema": {
                    "type": "object",
                    "properties": { "file_path": { "type": "string" } },
                    "required": ["file_path"],
                },
            },
            {
                "name": "developer__shell",
                "input_schema": {
                    "type": "object",
                    "properties": {
                        "command": { "type": "array", "items": { "type": "string" } },
                        "timeout": { "type": "integer", "minimum": 10 },
                    },
                    "required": ["command", "timeout"],
                },
            },
        ],
    })
}

/// The content of the answer to a conversation.
fn content(server: &ModelServer, messages: &Value) -> std::io::Result<Value> {
    let answer = http::post(server, "/v1/messages", &conversation(messages))?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    Ok(answer.json()["content"].take())
}

#[test]
fn the_step_follows_from_the_conversation_alone() -> std::io::Result<()> {
    let server = ModelServer::start()?;
    let prompt = scripted(&[
        json!({ "tool": "read", "input": { "path": "a" } }),
        json!({ "tools": [
            { "tool": "shell", "input": { "command": "make" } },
            { "tool": "Nothing", "input": { "a": 1 } },
            { "tool": "read", "input": { "path": "b" }, "exact": true },
        ] }),
        json!({ "text": "Wrong." }),
        json!({ "text": "Right." }),
    ]);
    let mut messages = json!([{ "role": "user", "content": prompt }]);
    let say = |messages: &mut Value, role: &str, content: Value| {
        if let Some(messages) = messages.as_array_mut() {
            messages.push(json!({ "role": role, "content": content }));
        }
    };
    let results = |calls: &Value| {
        let calls = calls.as_array().into_iter().flatten();
        let calls = calls.filter(|call| call["type"] == "tool_use");
        calls
            .map(
                |call| json!({ "type": "tool_result", "tool_use_id": call["id"], "content": "ok" }),
            )
            .collect::<Vec<Value>>()
    };

    let first = content(&server, &messages)?;
    assert_eq!(
        (&first[0]["name"], &first[0]["input"]),
        (&json!("Read"), &json!({ "file_path": "a" }))
    );
    // The same request again: the same answer, to the last byte.
    assert_eq!(content(&server, &messages)?, first);
    // Another server: nothing was kept in the first.
    assert_eq!(content(&ModelServer::start()?, &messages)?, first);

    // goose adds words of its own behind a tool's result. They are no prompt.
    say(&mut messages, "assistant", first.clone());
    let mut behind = results(&first);
    behind.push(json!({ "type": "text", "text": "<info>It is ten o'clock.</info>" }));
    say(&mut messages, "user", json!(behind));
    let second = content(&server, &messages)?;
    let called: Vec<(&Value, &Value)> = second
        .as_array()
        .into_iter()
        .flatten()
        .map(|call| (&call["name"], &call["input"]))
        .collect();
    assert_eq!(
        called,
        [
            (
                &json!("developer__shell"),
                &json!({ "command": ["bash", "-lc", "make"], "timeout": 10 })
            ),
            (&json!("Nothing"), &json!({ "a": 1 })),
            (&json!("read"), &json!({ "path": "b" })),
        ]
    );

    // Words step by step, as when a client says that an answer was wrong.
    say(&mut messages, "assistant", second.clone());
    say(&mut messages, "user", json!(results(&second)));
    say(&mut messages, "user", json!("<info>It is eleven.</info>"));
    assert_eq!(content(&server, &messages)?[0]["text"], "Wrong.");
    say(&mut messages, "assistant", json!("Wrong."));
    say(
        &mut messages,
        "user",
        json!("That does not fit, try again."),
    );
    assert_eq!(content(&server, &messages)?[0]["text"], "Right.");
    say(&mut messages, "assistant", json!("Right."));
    say(&mut messages, "user", json!("Thank you."));
    assert_eq!(content(&server, &messages)?[0]["text"], "Right.");

    // A new prompt with a script begins anew.
    say(
        &mut messages,
        "user",
        json!(scripted(&[json!({ "text": "New." })])),
    );
    assert_eq!(content(&server, &messages)?[0]["text"], "New.");
    Ok(())
}

#[test]
fn calls_that_were_made_together_may_come_back_one_by_one() -> std::io::Result<()> {
    let server = ModelServer::start()?;
    let prompt = scripted(&[
        json!({ "tools": [{ "tool": "a" }, { "tool": "b" }] }),
        json!({ "text": "Both." }),
    ]);
    let call =
        |id: &str| json!({ "type": "function_call", "call_id": id, "name": id, "arguments": "{}" });
    let output =
        |id: &str| json!({ "type": "function_call_output", "call_id": id, "output": "ok" });
    let body = json!({
        "model": "fake-small",
        "input": [
            { "role": "user", "content": [{ "type": "input_text", "text": prompt }] },
            call("a"), output("a"), call("b"), output("b"),
        ],
    });
    let answer = http::post(&server, "/v1/responses", &body)?.json();
    assert_eq!(answer["output"][0]["content"][0]["text"], "Both.");
    Ok(())
}

#[test]
fn a_script_that_ends_with_calls_comes_to_an_end() -> std::io::Result<()> {
    let server = ModelServer::start()?;
    let prompt = scripted(&[json!({ "tool": "read", "input": { "path": "a" } })]);
    let messages = json!([
        { "role": "user", "content": prompt },
        { "role": "assistant", "content": [{ "type": "tool_use", "id": "t", "name": "Read", "input": {} }] },
        { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t", "content": "ok" }] },
    ]);
    assert_eq!(
        content(&server, &messages)?[0]["text"],
        "The script has no step left."
    );
    // A client that wants a title, and declares no tools for it.
    let mut title = conversation(&json!([messages[0]]));
    title["tools"].take();
    let answer = http::post(&server, "/v1/messages", &title)?.json();
    assert_eq!(answer["content"][0]["text"], "There is no tool to call.");
    title["output_config"] =
        json!({ "format": { "type": "json_schema", "schema": { "const": 7 } } });
    let answer = http::post(&server, "/v1/messages", &title)?.json();
    assert_eq!(answer["content"][0]["text"], "7");
    Ok(())
}

#[test]
fn a_default_script_is_for_prompts_without_one() -> std::io::Result<()> {
    let server = Settings::default()
        .script("// A comment.\n{\"text\": \"By default.\"}\n")?
        .start()?;
    let plain = ask(&server, Wire::Ollama, "Hi", false)?.json();
    assert_eq!(plain["message"]["content"], "By default.");
    let own = scripted(&[json!({ "text": "Own." })]);
    let own = ask(&server, Wire::Ollama, &own, false)?.json();
    assert_eq!(own["message"]["content"], "Own.");
    let error = Settings::default().script("{}").err();
    let error = error.map(|error| error.to_string());
    assert_eq!(
        error.as_deref(),
        Some("line 1 of the script: it names neither an answer nor a fault")
    );
    let none = ask(&ModelServer::start()?, Wire::Ollama, "Hi", false)?.json();
    assert_eq!(
        none["message"]["content"],
        "The prompt carries no script for this model."
    );
    Ok(())
}

#[test]
fn the_limit_cuts_words_and_calls_and_says_so() -> std::io::Result<()> {
    let server = ModelServer::start()?;
    let cut = |steps: Value, limit: u64, streaming: bool| {
        let mut body = super::body(Wire::Anthropic, &scripted(&[steps]), streaming);
        body["max_tokens"] = json!(limit);
        http::post(&server, "/v1/messages", &body)
    };
    let answer = cut(json!({ "text": "äöüäöüäöüäöü" }), 4, false)?.json();
    assert_eq!(answer["stop_reason"], "max_tokens");
    assert_eq!(answer["usage"]["output_tokens"], 4);
    assert_eq!(answer["content"][0]["text"], "äöüäöüäö");
    // A number that the script names counts, and so much less is written.
    let answer = cut(
        json!({ "text": "0123456789", "outputTokens": 100 }),
        50,
        false,
    )?
    .json();
    assert_eq!(answer["usage"]["output_tokens"], 50);
    assert_eq!(answer["content"][0]["text"], "01234");
    // Thinking counts first.
    let answer = cut(
        json!({ "text": "Never said.", "reasoningTokens": 90 }),
        50,
        false,
    )?
    .json();
    assert_eq!(answer["usage"]["output_tokens"], 50);
    assert_eq!(
        answer["usage"]["output_tokens_details"]["thinking_tokens"],
        50
    );
    assert_eq!(answer["content"], json!([]));
    // A call breaks off in its arguments, and its block is not closed.
    let step = json!({ "tool": "write", "input": { "path": "a", "content": "x".repeat(100) } });
    let events = cut(step, 10, true)?.events();
    let written: String = events
        .iter()
        .filter_map(|event| event.pointer("/delta/partial_json")?.as_str())
        .collect();
    assert_eq!(written, r#"{"path":"a","content":"xxxxxxxxxxxxx"#[..35]);
    assert!(
        events
            .iter()
            .all(|event| event["type"] != "content_block_stop")
    );
    let exact = cut(json!({ "text": "12345678" }), 2, false)?.json();
    assert_eq!(exact["stop_reason"], "end_turn");
    Ok(())
}

#[test]
fn a_function_answers_in_the_place_of_scripts() -> std::io::Result<()> {
    let server = ModelServer::start_with(Arc::new(|request| match request.last_result() {
        None if request.key.as_deref() == Some("key-1") => Reply::call("read_file", json!({})),
        None => Reply::fault(Fault::Unauthorized),
        Some(result) => Reply::text(format!("It says {result}.")),
    }))?;
    let mut body = super::body(Wire::Chat, "Hi", false);
    let answer = http::post(&server, "/v1/chat/completions", &body)?.json();
    let message = answer["choices"][0]["message"].clone();
    let result =
        json!({ "role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "so" });
    body["messages"] = json!([{ "role": "user", "content": "Hi" }, message, result]);
    let answer = http::post(&server, "/v1/chat/completions", &body)?.json();
    assert_eq!(answer["choices"][0]["message"]["content"], "It says so.");
    let requests = server.requests();
    assert_eq!(
        requests[1].request.headers["content-type"],
        "application/json"
    );
    assert_eq!(requests[1].request.last_prompt().as_deref(), Some("Hi"));
    let call = &requests[1].request.messages[1].parts[0];
    assert!(matches!(call, Part::Call { name, .. } if name == "read_file"));
    Ok(())
}

#[test]
fn a_forced_tool_takes_the_place_of_a_schema() -> std::io::Result<()> {
    let server = ModelServer::start()?;
    let mut body = super::body(Wire::Anthropic, "Hi", false);
    body["tool_choice"] = json!({ "type": "tool", "name": "read_file" });
    let answer = http::post(&server, "/v1/messages", &body)?.json();
    assert_eq!(
        answer["content"][0]["input"],
        json!({ "file_path": "file_path" })
    );
    let prompt = scripted(&[json!({ "json": { "file_path": "mine" } })]);
    body["messages"][0]["content"] = json!(prompt);
    let answer = http::post(&server, "/v1/messages", &body)?.json();
    assert_eq!(
        answer["content"][0]["input"],
        json!({ "file_path": "mine" })
    );
    Ok(())
}

#[test]
fn a_value_fits_its_schema() {
    for schema in [
        json!({ "type": "object", "properties": {
            "id": { "type": "string", "format": "uuid" },
            "at": { "type": "string", "format": "date-time" },
            "name": { "type": "string", "minLength": 12, "maxLength": 14 },
            "short": { "type": "string", "maxLength": 2 },
            "code": { "type": "string", "pattern": "^[A-Z]{3}-(\\d{2,4}|x)$" },
            "score": { "type": "number", "exclusiveMinimum": 0, "maximum": 0.5 },
            "count": { "type": "integer", "minimum": 7, "multipleOf": 5 },
            "below": { "type": "integer", "exclusiveMaximum": -3 },
            "many": { "type": "array", "items": { "type": "integer", "minimum": 4 }, "minItems": 3, "uniqueItems": true },
            "set": { "type": "array", "items": { "enum": ["a", "b", "c"] }, "minItems": 2, "uniqueItems": true },
            "pair": { "type": "array", "prefixItems": [{ "type": "boolean" }, { "type": "null" }], "items": false },
            "maybe": { "anyOf": [{ "type": "null" }, { "$ref": "#/$defs/leaf" }] },
            "either": { "type": ["null", "string"] },
        }, "required": ["id", "code", "maybe", "unknown"], "$defs": { "leaf": { "const": { "leaf": 1 } } } }),
        // A tree of itself.
        json!({ "$ref": "#/$defs/node", "$defs": { "node": {
            "type": "object",
            "properties": {
                "label": { "type": "string" },
                "children": { "type": "array", "items": { "$ref": "#/$defs/node" } },
            },
            "required": ["label", "children"],
            "additionalProperties": false,
        } } }),
        json!({ "allOf": [
            { "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"] },
            { "properties": { "b": { "type": "integer", "maximum": 0 } }, "required": ["b"] },
        ] }),
        json!({ "type": "object", "minProperties": 2, "additionalProperties": { "type": "boolean" } }),
        json!({ "oneOf": [{ "type": "integer" }, { "type": "string" }], "description": "one" }),
        json!({}),
        json!(true),
    ] {
        let value = fit(&schema);
        let problem = jsonschema::validate(&schema, &value).err();
        assert!(
            problem.is_none(),
            "{value} does not fit {schema}: {problem:?}"
        );
        assert_eq!(fit(&schema), value);
    }
    // Gemini's own dialect.
    let gemini =
        json!({ "type": "OBJECT", "properties": { "n": { "type": "INTEGER", "minimum": 3 } } });
    assert_eq!(fit(&gemini), json!({ "n": 3 }));
    // One that has no end stops.
    let endless =
        json!({ "type": "object", "properties": { "a": { "$ref": "#" } }, "required": ["a"] });
    assert!(fit(&endless).is_object());
    let wide = json!({
        "type": "object",
        "properties": { "a": { "$ref": "#" }, "b": { "$ref": "#" } },
        "required": ["a", "b"],
    });
    assert!(fit(&wide).is_object());
    let long = fit(&json!({ "type": "string", "pattern": "((a{1000}){1000}){1000}" }));
    assert!(long.as_str().is_some_and(|long| long.len() < 20_000));
}

#[test]
fn two_hundred_agents_are_counted_to_the_last_token() -> std::io::Result<()> {
    const AGENTS: usize = 200;
    const CALLS: usize = 5;
    let server = ModelServer::start()?;
    let told: Vec<std::io::Result<Usage>> = std::thread::scope(|scope| {
        let agents: Vec<_> = (0..AGENTS)
            .map(|agent| {
                let server = &server;
                scope.spawn(move || {
                    let mut told = Usage::default();
                    for call in 0..CALLS {
                        let prompt = scripted(&[json!({ "text": format!("{agent} {call}") })]);
                        let usage = ask(server, Wire::Ollama, &prompt, call % 2 == 0)?;
                        let usage = usage.events().pop().unwrap_or_default();
                        let count = |name: &str| usage[name].as_u64().unwrap_or(0);
                        told = told.plus(Usage {
                            input: count("prompt_eval_count"),
                            cached: count("prompt_eval_cached_count"),
                            output: count("eval_count"),
                            ..Usage::default()
                        });
                    }
                    Ok(told)
                })
            })
            .collect();
        let joined = agents.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined
            .map(|told| told.unwrap_or_else(|_| panic!("an agent panicked")))
            .collect()
    });
    let mut sum = Usage::default();
    for told in told {
        sum = sum.plus(told?);
    }
    let ledger: Vec<_> = server.ledger().into_values().collect();
    assert_eq!(ledger[0].requests, (AGENTS * CALLS) as u64);
    assert_eq!((ledger[0].reported, ledger[0].spent), (sum, sum));
    let requests = server.requests();
    assert!(requests.iter().all(|each| each.end == End::Whole));
    assert!(requests.is_sorted_by_key(|each| each.number));
    // What they have in common is kept once.
    assert!(Arc::ptr_eq(
        &requests[0].request.tools,
        &requests[999].request.tools
    ));
    assert_eq!(server.traffic().in_flight, 0);
    Ok(())
}
