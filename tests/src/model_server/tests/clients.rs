//! Round trips through genai, which reads and writes each wire by itself: the proof that the formats are the real ones.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use genai::adapter::AdapterKind;
use genai::chat::{
    ChatMessage, ChatOptions, ChatRequest, ChatStreamEvent, JsonSpec, StopReason, ToolCall,
    ToolResponse,
};
use genai::resolver::{AuthData, Endpoint, ServiceTargetResolver};
use genai::{Client, ModelIden, ServiceTarget};
use serde_json::{Value, json};

use super::super::{End, Exchange, ModelServer, Part, Role, Usage, Wire};
use super::scripted;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const MODEL: &str = "fake-small";

fn client(server: &ModelServer, wire: Wire) -> Outcome<Client> {
    let (kind, base) = match wire {
        Wire::Anthropic => (AdapterKind::Anthropic, "/v1/"),
        Wire::Chat => (AdapterKind::OpenAI, "/v1/"),
        Wire::Responses => (AdapterKind::OpenAIResp, "/v1/"),
        Wire::Gemini => (AdapterKind::Gemini, "/v1beta/"),
        Wire::Ollama => (AdapterKind::Ollama, "/"),
    };
    let base = format!("{}{base}", server.url());
    let resolver = ServiceTargetResolver::from_resolver_fn(
        move |target: ServiceTarget| -> Result<ServiceTarget, genai::resolver::Error> {
            Ok(ServiceTarget {
                endpoint: Endpoint::from_owned(base.clone()),
                auth: AuthData::from_single("key-1"),
                model: ModelIden::new(kind, target.model.model_name),
            })
        },
    );
    Ok(Client::builder()
        .with_service_target_resolver(resolver)
        .build()?)
}

/// What an answer was, streamed or not.
#[derive(Debug)]
struct Answer {
    text: String,
    calls: Vec<ToolCall>,
    stop: Option<StopReason>,
    usage: genai::chat::Usage,
    reasoning: Option<String>,
}

async fn ask(
    client: &Client,
    request: &ChatRequest,
    options: ChatOptions,
    streaming: bool,
) -> Outcome<Answer> {
    let options = options
        .with_capture_content(true)
        .with_capture_tool_calls(true)
        .with_capture_usage(true);
    if !streaming {
        let answer = client
            .exec_chat(MODEL, request.clone(), Some(&options))
            .await?;
        return Ok(Answer {
            text: answer.texts().concat(),
            calls: answer.tool_calls().into_iter().cloned().collect(),
            stop: answer.stop_reason,
            usage: answer.usage,
            reasoning: answer.reasoning_content,
        });
    }
    let answer = client
        .exec_chat_stream(MODEL, request.clone(), Some(&options))
        .await?;
    let mut events = answer.stream;
    let mut pieces = String::new();
    while let Some(event) = events.next().await {
        match event? {
            ChatStreamEvent::Chunk(chunk) => pieces.push_str(&chunk.content),
            ChatStreamEvent::End(end) => {
                let content = end.captured_content.unwrap_or_default();
                assert_eq!(content.texts().concat(), pieces);
                return Ok(Answer {
                    text: pieces,
                    calls: content.tool_calls().into_iter().cloned().collect(),
                    stop: end.captured_stop_reason,
                    usage: end.captured_usage.ok_or("no usage")?,
                    reasoning: end.captured_reasoning_content,
                });
            }
            _ => {}
        }
    }
    Err("the stream has no end".into())
}

/// What genai made of the usage, in the server's terms.
fn counted(usage: &genai::chat::Usage) -> Usage {
    let number = |number: Option<i32>| u64::try_from(number.unwrap_or(0)).unwrap_or(0);
    let prompt = usage.prompt_tokens_details.clone().unwrap_or_default();
    let completion = usage.completion_tokens_details.clone().unwrap_or_default();
    Usage {
        input: number(usage.prompt_tokens),
        cached: number(prompt.cached_tokens),
        cache_written: number(prompt.cache_creation_tokens),
        output: number(usage.completion_tokens),
        reasoning: number(completion.reasoning_tokens),
    }
}

fn tools() -> Vec<genai::chat::Tool> {
    vec![
        genai::chat::Tool::new("read_file")
            .with_description("Reads a file.")
            .with_schema(json!({
                "type": "object",
                "properties": { "file_path": { "type": "string" } },
                "required": ["file_path"],
            })),
        genai::chat::Tool::new("Bash").with_description("Runs.").with_schema(json!({
            "type": "object",
            "properties": { "command": { "type": "string" }, "description": { "type": "string" } },
            "required": ["command", "description"],
        })),
    ]
}

/// A conversation of tools, an answer of a schema, and an answer that the limit cuts.
async fn conversation(wire: Wire, streaming: bool) -> Outcome<Vec<Exchange>> {
    let server = ModelServer::start()?;
    let client = client(&server, wire)?;
    let prompt = scripted(&[
        json!({ "text": "I read two things.", "tools": [
            { "tool": "read", "input": { "path": "a.txt" } },
            { "tool": "shell", "input": { "command": "ls" } },
        ] }),
        json!({ "json": { "files": 2 }, "outputTokens": 100, "reasoningTokens": 40 }),
    ]);
    let request = ChatRequest::from_system("You are careful. ".repeat(40))
        .append_message(ChatMessage::user(prompt))
        .with_tools(tools());
    let first = ask(&client, &request, ChatOptions::default(), streaming).await?;
    assert_eq!(first.text, "I read two things.");
    let calls: BTreeMap<&str, &Value> = first
        .calls
        .iter()
        .map(|call| (call.fn_name.as_str(), &call.fn_arguments))
        .collect();
    let expected = json!({ "command": "ls", "description": "description" });
    assert_eq!(calls["Bash"], &expected);
    assert_eq!(calls["read_file"], &json!({ "file_path": "a.txt" }));
    // Gemini, Ollama and the responses have no word of their own for calls.
    let expects_calls = matches!(wire, Wire::Anthropic | Wire::Chat);
    let says_calls = matches!(first.stop, Some(StopReason::ToolCall(_)));
    assert_eq!(says_calls, expects_calls, "{first:?}");

    let mut request = request.append_message(first.calls.clone());
    for call in &first.calls {
        let response = ToolResponse::from_tool_call(call, format!("{} gave this", call.fn_name));
        request = request.append_message(response);
    }
    let second = ask(&client, &request, ChatOptions::default(), streaming).await?;
    assert_eq!(second.text, r#"{"files":2}"#);
    assert!(second.calls.is_empty());
    assert!(
        matches!(second.stop, Some(StopReason::Completed(_))),
        "{second:?}"
    );

    let cut = ChatRequest::from_user(scripted(&[json!({ "text": "word", "tokens": 50 })]));
    let options = ChatOptions::default().with_max_tokens(20);
    let third = ask(&client, &cut, options, streaming).await?;
    // genai trims what is not streamed.
    assert_eq!(third.text.trim_end(), "word ".repeat(16).trim_end());
    assert!(
        matches!(third.stop, Some(StopReason::MaxTokens(_))),
        "{third:?}"
    );

    let exchanges = server.requests();
    let told = [first.usage, second.usage, third.usage];
    assert_eq!(exchanges.len(), told.len());
    for (exchange, told) in exchanges.iter().zip(&told) {
        assert_eq!((exchange.status, exchange.end), (200, End::Whole));
        assert_eq!(exchange.request.streaming, streaming);
        assert_eq!(exchange.reported, Some(exchange.spent));
        let mut counted = counted(told);
        // What each wire, or genai, has no field for.
        if wire == Wire::Ollama || (wire == Wire::Anthropic && streaming) {
            counted.reasoning = exchange.spent.reasoning;
        }
        assert_eq!(counted, exchange.spent, "{wire:?}");
    }
    assert_eq!(
        (exchanges[1].spent.output, exchanges[1].spent.reasoning),
        (100, 40)
    );
    assert_eq!(exchanges[2].spent.output, 20);
    Ok(exchanges)
}

/// A conversation without the ids that its wire gave it.
fn neutral(exchange: &Exchange) -> Vec<(Role, Vec<Part>)> {
    let messages = exchange.request.messages.iter();
    messages
        .map(|message| {
            let parts = message.parts.iter().cloned().map(|part| match part {
                Part::Call { name, input, .. } => Part::Call {
                    id: String::new(),
                    name,
                    input,
                },
                Part::Result { text, .. } => Part::Result {
                    id: String::new(),
                    text,
                },
                other => other,
            });
            (message.role, parts.collect())
        })
        .collect()
}

#[tokio::test]
async fn every_wire_says_the_same_to_a_client_that_knows_them_all() -> Outcome {
    let mut seen: Option<Vec<Exchange>> = None;
    for wire in Wire::ALL {
        for streaming in [false, true] {
            let exchanges = conversation(wire, streaming)
                .await
                .map_err(|error| format!("{wire:?}, streaming {streaming}: {error}"))?;
            let first = seen.get_or_insert_with(|| exchanges.clone());
            for (one, other) in first.iter().zip(&exchanges) {
                assert_eq!(neutral(one), neutral(other), "{wire:?}");
                assert_eq!(one.request.system, other.request.system, "{wire:?}");
                assert_eq!(one.request.tools, other.request.tools, "{wire:?}");
                assert_eq!(one.spent.input, other.spent.input, "{wire:?}");
                assert_eq!(other.request.key.is_some(), wire != Wire::Ollama);
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_schema_is_answered_by_a_value_that_fits() -> Outcome {
    let schema = json!({
        "type": "object",
        "properties": {
            "verdict": { "type": "string", "enum": ["good", "bad"] },
            "findings": { "type": "array", "items": { "type": "string" } },
        },
        "required": ["verdict", "findings"],
        "additionalProperties": false,
    });
    for wire in Wire::ALL {
        for streaming in [false, true] {
            let server = ModelServer::start()?;
            let client = client(&server, wire)?;
            let options = match wire {
                // genai has no schema for Ollama, only the word `json`.
                Wire::Ollama => ChatOptions::default()
                    .with_response_format(genai::chat::ChatResponseFormat::JsonMode),
                _ => ChatOptions::default()
                    .with_response_format(JsonSpec::new("review", schema.clone())),
            };
            let request = ChatRequest::from_user("Review it.");
            let answer = ask(&client, &request, options, streaming).await?;
            let value: Value = serde_json::from_str(&answer.text)?;
            let expected = match wire {
                Wire::Ollama => json!({}),
                _ => json!({ "verdict": "good", "findings": ["finding"] }),
            };
            assert_eq!(value, expected, "{wire:?}, streaming {streaming}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn thoughts_come_to_those_who_ask_for_them() -> Outcome {
    let prompt = scripted(&[json!({ "reasoning": "Let me think about it.", "text": "Yes." })]);
    for wire in Wire::ALL {
        for streaming in [false, true] {
            let server = ModelServer::start()?;
            let client = client(&server, wire)?;
            let options = ChatOptions::default()
                .with_capture_reasoning_content(true)
                .with_reasoning_effort(genai::chat::ReasoningEffort::High);
            let request = ChatRequest::from_user(prompt.clone());
            let answer = ask(&client, &request, options, streaming).await?;
            assert_eq!(answer.text, "Yes.");
            // OpenAI's chat completions keep them to themselves.
            let expected = (wire != Wire::Chat).then(|| "Let me think about it.".to_owned());
            assert_eq!(
                answer.reasoning, expected,
                "{wire:?}, streaming {streaming}"
            );
            let exchange = &server.requests()[0];
            assert_eq!((exchange.spent.output, exchange.spent.reasoning), (7, 6));
            assert!(exchange.request.effort.is_some(), "{wire:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn models_are_listed_in_each_form() -> Outcome {
    let server = ModelServer::start()?;
    for (kind, base) in [
        (AdapterKind::Anthropic, "/v1/"),
        (AdapterKind::OpenAI, "/v1/"),
        (AdapterKind::Gemini, "/v1beta/"),
        (AdapterKind::Ollama, "/"),
    ] {
        let endpoint = Endpoint::from_owned(format!("{}{base}", server.url()));
        let config = (endpoint, AuthData::from_single("key-1"));
        let names = Client::new()?
            .all_model_names(kind, Some(config.into()))
            .await?;
        assert_eq!(names, ["fake-large", "fake-small"], "{kind:?}");
    }
    Ok(())
}
