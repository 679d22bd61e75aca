//! A conversation as a request in a wire's own shape, as far as genai leaves that open.

use genai::chat::{
    CacheControl, ChatMessage, ChatOptions, ChatRequest, ChatResponseFormat, JsonSpec,
    MessageContent, ReasoningEffort, Tool, ToolChoice, ToolResponse,
};
use serde_json::Value;

use super::calls::ToolDefinition;
use super::endpoint::{Endpoint, Wire};
use super::history::Message;
use super::job::Effort;
use super::pace::Pace;

/// What the answer's shape is to be, as far as the provider sees to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape<'a> {
    /// Text.
    Free,
    /// JSON of any shape.
    Json,
    /// JSON of this schema.
    Schema(&'a Value),
}

/// How a model is asked to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Thinking {
    /// How hard.
    pub(super) effort: Option<Effort>,
    /// Whether what it thought is asked for, to be sent back beside its calls.
    pub(super) is_kept: bool,
}

/// One request.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) system: &'a str,
    pub(super) tools: &'a [ToolDefinition],
    /// Whether the model may call them.
    pub(super) may_call: bool,
    pub(super) messages: &'a [Message],
    pub(super) shape: Shape<'a>,
    pub(super) thinking: Thinking,
    pub(super) max_output_tokens: Option<u32>,
    /// What siblings with the same prefix have in common.
    pub(super) prefix_name: &'a str,
}

/// The request's content.
pub(super) fn content(ask: &Ask<'_>) -> ChatRequest {
    let wire = ask.endpoint.wire;
    let is_marked = wire == Wire::Anthropic;
    let mut messages = Vec::with_capacity(ask.messages.len() + 1);
    let mut request = ChatRequest::default();
    if is_marked {
        // The field of its own cannot be marked.
        messages.push(ChatMessage::system(ask.system).with_options(CacheControl::Ephemeral));
    } else {
        request = request.with_system(ask.system);
    }
    for message in ask.messages {
        push(&mut messages, message, wire);
    }
    if is_marked {
        // With system and tools these are the four marks that Anthropic takes. The last one is what the next turn finds; the one
        // before is what this turn finds, also where more lies between than Anthropic looks back.
        let ends = messages.iter_mut().rev().filter(|message| {
            matches!(
                message.role,
                genai::chat::ChatRole::User | genai::chat::ChatRole::Tool
            )
        });
        for message in ends.take(2) {
            message.options = Some(CacheControl::Ephemeral.into());
        }
    }
    request = request.append_messages(messages);
    let lists_tools = ask.may_call || wire.keeps_tools_listed();
    if lists_tools && !ask.tools.is_empty() {
        let mut tools: Vec<Tool> = ask.tools.iter().map(tool).collect();
        if is_marked && let Some(last) = tools.last_mut() {
            last.cache_control = Some(CacheControl::Ephemeral);
        }
        request = request.with_tools(tools);
    }
    request
}

fn tool(definition: &ToolDefinition) -> Tool {
    Tool::new(definition.name.as_str())
        .with_description(definition.description.as_str())
        .with_schema(definition.parameters.clone())
}

fn push(messages: &mut Vec<ChatMessage>, message: &Message, wire: Wire) {
    match message {
        Message::User(text) => messages.push(ChatMessage::user(text.as_str())),
        Message::Assistant(answer) => {
            messages.push(ChatMessage::assistant(answer.content.clone()));
        }
        Message::Tools(replies) => {
            let mut responses = replies.iter().map(|reply| {
                ToolResponse::new(reply.call.as_str(), reply.text.as_str())
                    .with_fn_name(reply.name.as_str())
            });
            if wire == Wire::Ollama {
                // Of several answers in one message genai sends Ollama the last.
                messages.extend(responses.map(ChatMessage::from));
            } else {
                // Anthropic and Gemini want all answers to one turn in one message.
                let all: Vec<ToolResponse> = responses.by_ref().collect();
                messages.push(ChatMessage::tool(MessageContent::from_tool_responses(all)));
            }
        }
    }
}

/// The request's options.
pub(super) fn options(ask: &Ask<'_>, pace: &Pace) -> ChatOptions {
    let wire = ask.endpoint.wire;
    let mut options = ChatOptions::default()
        .with_capture_content(true)
        .with_capture_tool_calls(true)
        .with_capture_usage(true)
        .with_capture_reasoning_content(keeps_thoughts(ask))
        .with_stream_header_timeout(pace.first_byte)
        .with_stream_read_timeout(pace.silence);
    options.max_tokens = ask.max_output_tokens;
    options.reasoning_effort = effort(ask);
    options.response_format = match ask.shape {
        Shape::Free => None,
        Shape::Json => Some(ChatResponseFormat::JsonMode),
        Shape::Schema(schema) => Some(JsonSpec::new("result", schema.clone()).into()),
    };
    if !ask.may_call && wire.keeps_tools_listed() && !ask.tools.is_empty() {
        options.tool_choice = Some(ToolChoice::None);
    }
    match wire {
        // Without a word about caching genai switches it off for the models that let it be chosen. This lifetime is the one that
        // it has no field for, so that servers which know nothing of caching are asked for nothing.
        Wire::OpenAiChat => options.cache_control = Some(CacheControl::Ephemeral5m),
        Wire::OpenAiResponses => options.prompt_cache_key = Some(ask.prefix_name.to_owned()),
        // It takes no key of its own accord.
        Wire::Ollama => {
            let bearer = format!("Bearer {}", ask.endpoint.key);
            options.extra_headers = Some(("authorization", bearer).into());
        }
        Wire::Anthropic | Wire::Gemini => {}
    }
    options
}

/// Gemini signs its thoughts unasked, and Ollama wants none back.
fn keeps_thoughts(ask: &Ask<'_>) -> bool {
    ask.thinking.is_kept && !matches!(ask.endpoint.wire, Wire::Gemini | Wire::Ollama)
}

fn effort(ask: &Ask<'_>) -> Option<ReasoningEffort> {
    let wire = ask.endpoint.wire;
    let Some(effort) = ask.thinking.effort else {
        // Where no effort is given genai takes one from the end of the model's name and sends the rest of it: `mistral-medium`
        // would become `mistral`. An effort that puts nothing into the request keeps the name whole.
        let (in_name, _) = ReasoningEffort::from_model_name(&ask.endpoint.model);
        return in_name.and(match wire {
            Wire::OpenAiChat | Wire::OpenAiResponses => Some(ReasoningEffort::Budget(0)),
            Wire::Anthropic | Wire::Gemini => Some(ReasoningEffort::Zero),
            Wire::Ollama => None,
        });
    };
    Some(match effort {
        Effort::Low => ReasoningEffort::Low,
        Effort::Medium => ReasoningEffort::Medium,
        Effort::High => ReasoningEffort::High,
        Effort::XHigh => ReasoningEffort::XHigh,
        Effort::Max => ReasoningEffort::Max,
    })
}

impl Thinking {
    /// What is asked for next after a request was refused, `None` if there is nothing left to give up. Where the refusal is
    /// `about` this, less is tried step by step, so that the most that there is gets found.
    pub(super) fn less(self, about: bool, wire: Wire) -> Option<Self> {
        let effort = match self.effort {
            Some(Effort::Max) if about => Some(Effort::XHigh),
            Some(Effort::XHigh) if about => Some(Effort::High),
            Some(_) => None,
            // On the other wires it is no part of the request.
            None if self.is_kept && wire == Wire::OpenAiResponses => {
                return Some(Self {
                    effort: None,
                    is_kept: false,
                });
            }
            None => return None,
        };
        Some(Self { effort, ..self })
    }
}

/// Which wish a provider's refusal is about, as far as its words tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Thinking,
    Shape,
    Unknown,
}

impl Wish {
    pub(super) fn refused_by(message: &str) -> Self {
        let words = message.to_lowercase();
        let says = |any: &[&str]| any.iter().any(|word| words.contains(word));
        if says(&["reasoning", "effort", "thinking", "thought"]) {
            Self::Thinking
        } else if says(&["schema", "format", "grammar", "structured", "mime"]) {
            Self::Shape
        } else {
            Self::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_is_asked_for_step_by_step() {
        let thinking = |effort, is_kept| Thinking { effort, is_kept };
        let mut steps = vec![thinking(Some(Effort::Max), true)];
        while let Some(next) = steps[steps.len() - 1].less(true, Wire::OpenAiResponses) {
            steps.push(next);
        }
        assert_eq!(
            steps[1..],
            [
                thinking(Some(Effort::XHigh), true),
                thinking(Some(Effort::High), true),
                thinking(None, true),
                thinking(None, false),
            ]
        );
        assert_eq!(
            steps[0].less(false, Wire::Anthropic),
            Some(thinking(None, true))
        );
        assert_eq!(thinking(None, true).less(true, Wire::Anthropic), None);
    }

    #[test]
    fn refusals_are_told_apart() {
        for (message, wish) in [
            ("Unsupported parameter: 'reasoning_effort'", Wish::Thinking),
            (
                "`max_tokens` must be greater than `thinking.budget_tokens`",
                Wish::Thinking,
            ),
            (
                "Your organization must be verified to generate reasoning summaries",
                Wish::Thinking,
            ),
            ("Invalid schema for response_format 'result'", Wish::Shape),
            (
                "Cannot use custom grammar constraints with tools.",
                Wish::Shape,
            ),
            (
                "Function calling with a response mime type: 'application/json' is unsupported",
                Wish::Shape,
            ),
            ("no", Wish::Unknown),
        ] {
            assert_eq!(Wish::refused_by(message), wish, "{message}");
        }
    }
}
