//! A conversation as it is kept between turns, free of any wire's shape, and how long it is.

use genai::chat::{ContentPart, MessageContent};
use serde_json::Value;

/// So many bytes of text make about one token. It is rather too few bytes for prose, and about right for code and JSON.
const BYTES_PER_TOKEN: u64 = 4;
/// What a message costs besides its text, in tokens.
const TOKENS_PER_MESSAGE: u64 = 4;

/// About how many tokens so many bytes of text are.
pub(super) const fn tokens_of_bytes(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(BYTES_PER_TOKEN)
}

/// One message.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    /// The task, or what the loop says.
    User(String),
    /// What the model answered.
    Assistant(Assistant),
    /// The answers to the calls of the message before, in their order.
    Tools(Vec<ToolReply>),
}

impl Message {
    /// About how long it is, in tokens.
    pub(super) fn tokens(&self) -> u64 {
        let bytes = match self {
            Self::User(text) => text.len(),
            Self::Assistant(answer) => answer.content.size(),
            Self::Tools(replies) => replies.iter().map(|reply| reply.text.len()).sum(),
        };
        TOKENS_PER_MESSAGE + tokens_of_bytes(bytes)
    }
}

/// A model's answer: its text, its calls, and what the provider wants to have back unread (signed reasoning).
#[derive(Clone, Debug, Default)]
pub(crate) struct Assistant {
    /// What it says.
    pub(crate) text: String,
    /// What it asks for.
    pub(crate) calls: Vec<Call>,
    /// All of it, ready to be sent again.
    pub(super) content: MessageContent,
}

/// A tool that the model wants to be called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    /// The provider's name for this call.
    pub(crate) id: String,
    /// The tool.
    pub(crate) name: String,
    /// Its arguments, or what the model wrote instead of JSON.
    pub(crate) arguments: Result<Value, String>,
}

/// A tool's answer, as the model is given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToolReply {
    /// The call that it answers.
    pub(crate) call: String,
    /// The tool.
    pub(crate) name: String,
    /// The answer.
    pub(crate) text: String,
}

impl Assistant {
    /// An answer out of what a stream brought. `reasoning` is what providers want to have back beside the calls though it
    /// is no part of their content.
    pub(super) fn new(content: Option<MessageContent>, reasoning: Option<String>) -> Self {
        let mut answer = Self::default();
        let mut has_reasoning = false;
        for part in content.unwrap_or_default() {
            match part {
                // Anthropic refuses an empty text in a history, though its models sometimes write one.
                ContentPart::Text(text) if text.is_empty() => {}
                ContentPart::Text(text) => {
                    answer.text.push_str(&text);
                    answer.content.push(text);
                }
                ContentPart::ToolCall(mut call) => {
                    if call.call_id.is_empty() {
                        call.call_id = format!("call_{}", answer.calls.len());
                    }
                    let arguments = arguments(call.fn_arguments);
                    call.fn_arguments = sendable(&arguments);
                    answer.calls.push(Call {
                        id: call.call_id.clone(),
                        name: call.fn_name.clone(),
                        arguments,
                    });
                    answer.content.push(call);
                }
                part => {
                    has_reasoning |= matches!(part, ContentPart::ReasoningContent(_));
                    answer.content.push(part);
                }
            }
        }
        // Only beside calls: some providers refuse it elsewhere.
        if let Some(reasoning) = reasoning
            && !has_reasoning
            && !answer.calls.is_empty()
        {
            answer
                .content
                .push(ContentPart::ReasoningContent(reasoning));
        }
        answer
    }

    /// Whether it says and asks for nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.text.trim().is_empty()
    }
}

/// What a model wrote as arguments. Nothing at all means none, which some providers send for a tool without parameters;
/// a string is what could not be read as JSON.
fn arguments(written: Value) -> Result<Value, String> {
    match written {
        Value::Null => Ok(Value::Object(serde_json::Map::new())),
        Value::String(text) if text.trim().is_empty() => Ok(Value::Object(serde_json::Map::new())),
        Value::String(text) => Err(text),
        value => Ok(value),
    }
}

/// Arguments as they go back to the provider: Anthropic and Gemini refuse a history whose arguments are no object.
fn sendable(arguments: &Result<Value, String>) -> Value {
    match arguments {
        Ok(value @ Value::Object(_)) => value.clone(),
        Ok(other) => serde_json::json!({ "not_an_object": other }),
        Err(text) => serde_json::json!({ "not_json": text }),
    }
}

/// A conversation, and how much of the model's context it fills.
#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) messages: Vec<Message>,
    /// System prompt and tools, in tokens; an estimate.
    fixed: u64,
    /// The provider's own count of the first so many messages, with all that is fixed.
    counted: Option<(usize, u64)>,
}

impl History {
    pub(super) const fn new(messages: Vec<Message>, fixed: u64) -> Self {
        Self {
            messages,
            fixed,
            counted: None,
        }
    }

    pub(super) fn push(&mut self, message: Message) {
        self.messages.push(message);
    }

    /// The provider has counted everything up to here.
    pub(super) const fn count(&mut self, tokens: u64) {
        self.counted = Some((self.messages.len(), tokens));
    }

    /// Puts others in the place of its messages, whom nobody has counted.
    pub(super) fn replace(&mut self, messages: Vec<Message>) {
        self.messages = messages;
        self.counted = None;
    }

    /// About how many tokens the next request will be.
    pub(super) fn tokens(&self) -> u64 {
        let (known, tokens) = match self.counted {
            Some((known, tokens)) if known <= self.messages.len() => (known, tokens),
            _ => (0, self.fixed),
        };
        tokens + total(&self.messages[known..])
    }

    /// The same by estimate only, to be compared with an estimate of something else.
    pub(super) fn estimate(&self) -> u64 {
        self.fixed + total(&self.messages)
    }
}

/// About how long messages are, in tokens.
pub(super) fn total(messages: &[Message]) -> u64 {
    messages.iter().map(Message::tokens).sum()
}

#[cfg(test)]
mod tests {
    use genai::chat::ToolCall;
    use serde_json::json;

    use super::*;

    fn call(arguments: Value) -> ContentPart {
        ContentPart::ToolCall(ToolCall {
            call_id: String::new(),
            fn_name: "read".into(),
            fn_arguments: arguments,
            thought_signatures: None,
        })
    }

    #[test]
    fn what_a_model_wrote_as_arguments_is_told_apart() {
        for (written, read, sent) in [
            (
                json!({"path": "a"}),
                Ok(json!({"path": "a"})),
                json!({"path": "a"}),
            ),
            (json!(null), Ok(json!({})), json!({})),
            (json!(" "), Ok(json!({})), json!({})),
            (json!([1]), Ok(json!([1])), json!({"not_an_object": [1]})),
            (
                json!("{\"path"),
                Err("{\"path".to_owned()),
                json!({"not_json": "{\"path"}),
            ),
        ] {
            let content =
                MessageContent::from_parts(vec![call(written), ContentPart::Text(String::new())]);
            let answer = Assistant::new(Some(content), None);
            assert_eq!(answer.calls[0].arguments, read);
            assert_eq!(answer.calls[0].id, "call_0");
            assert_eq!(answer.content.tool_calls()[0].fn_arguments, sent);
            assert_eq!(answer.content.len(), 1, "an empty text is not sent again");
        }
    }

    #[test]
    fn reasoning_goes_back_beside_calls_only() {
        let with = |part: ContentPart| {
            let content = MessageContent::from_parts(vec![part]);
            Assistant::new(Some(content), Some("hm".into()))
                .content
                .contains_reasoning_content()
        };
        assert!(with(call(json!({}))));
        assert!(!with(ContentPart::Text("done".into())));
        assert!(Assistant::new(None, Some("hm".into())).is_empty());
    }

    #[test]
    fn the_providers_count_stands_in_for_what_it_covers() {
        let mut history = History::new(vec![Message::User("x".repeat(400))], 50);
        assert_eq!(history.tokens(), 50 + 104);
        history.push(Message::Assistant(Assistant::default()));
        history.count(1_000);
        history.push(Message::User("x".repeat(40)));
        assert_eq!(history.tokens(), 1_014);
        assert_eq!(history.estimate(), 50 + 104 + 4 + 14);
        history.replace(vec![Message::User(String::new())]);
        assert_eq!(history.tokens(), 54);
    }
}
