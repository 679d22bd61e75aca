//! Reads from an answer what it costs, whether it is over, and what went wrong in it. Pure.

use std::borrow::Cow;

use serde::Deserialize;

use super::failure::{self, Reported};
use super::letters::Letters;
use super::meter::{CallFailure, Tokens};
use super::usage::{ChatUsage, GeminiUsage, MessagesUsage, ResponsesUsage};
use super::wire::Wire;

/// Letters to a token, for output that no usage tells of.
const LETTERS_PER_TOKEN: u64 = 4;

/// What an answer has said so far.
#[derive(Debug)]
pub(super) struct Count {
    wire: Wire,
    seen: Seen,
    /// Letters of output that have passed.
    letters: u64,
    /// The most output that was allowed, which bounds every estimate.
    limit: Option<u64>,
    /// Something passed that could not be read.
    has_unread: bool,
    /// The usage that has been seen is that of the whole answer.
    is_final: bool,
    is_over: bool,
    failure: Option<CallFailure>,
}

#[derive(Debug)]
enum Seen {
    Nothing,
    Messages(MessagesUsage),
    Chat(ChatUsage),
    Responses(ResponsesUsage),
    Gemini(GeminiUsage),
}

/// What an event is to the one who asked for usage in the agent's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventKind {
    /// Nothing but usage.
    OnlyUsage,
    /// Anything else.
    Other,
}

impl Count {
    pub(super) fn new(wire: Wire, limit: Option<u64>) -> Self {
        Self {
            wire,
            seen: Seen::Nothing,
            letters: 0,
            limit,
            has_unread: false,
            is_final: false,
            is_over: false,
            failure: None,
        }
    }

    /// Whether the answer has said itself that nothing follows that counts.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// What the provider has reported within the answer.
    pub(super) fn failure(&self) -> Option<&CallFailure> {
        self.failure.as_ref()
    }

    /// Whether something passed that could not be read, the answer's end perhaps.
    pub(super) fn has_unread(&self) -> bool {
        self.has_unread
    }

    /// Bytes passed that could not be read.
    pub(super) fn unread(&mut self, bytes: usize) {
        self.has_unread = true;
        self.letters = self.letters.saturating_add(bytes as u64);
    }

    /// The tokens, and whether they are the provider's own count of all of the answer.
    pub(super) fn tokens(&self) -> (Tokens, bool) {
        let mut tokens = match &self.seen {
            Seen::Nothing => Tokens::default(),
            Seen::Messages(usage) => usage.tokens(),
            Seen::Chat(usage) => usage.tokens(),
            Seen::Responses(usage) => usage.tokens(),
            Seen::Gemini(usage) => usage.tokens(),
        };
        if !self.is_final {
            let estimate = self.letters.div_ceil(LETTERS_PER_TOKEN);
            let bounded = estimate.min(self.limit.unwrap_or(u64::MAX));
            tokens.output = tokens.output.max(bounded);
        }
        (tokens, self.is_final)
    }

    /// Takes the data of an event.
    pub(super) fn event(&mut self, data: &[u8]) -> EventKind {
        if data.trim_ascii() == b"[DONE]" {
            self.is_over = true;
            return EventKind::Other;
        }
        let read = match self.wire {
            Wire::Messages => self.messages_event(data),
            Wire::ChatCompletions => self.chat_event(data),
            Wire::Responses => self.responses_event(data),
            Wire::GenerateContent => self.gemini_chunk(data),
        };
        read.unwrap_or_else(|_| {
            self.unread(data.len());
            EventKind::Other
        })
    }

    fn messages_event(&mut self, data: &[u8]) -> Result<EventKind, serde_json::Error> {
        let event: MessagesEvent<'_> = serde_json::from_slice(data)?;
        let usage = event
            .usage
            .or(event.message.and_then(|message| message.usage));
        if let Some(usage) = usage {
            if let Seen::Messages(seen) = &mut self.seen {
                seen.update(usage);
            } else {
                self.seen = Seen::Messages(usage);
            }
        }
        match &*event.kind {
            "content_block_delta" | "content_block_start" => {
                let delta = event.delta.or(event.content_block).unwrap_or_default();
                self.passed(&[
                    delta.text,
                    delta.thinking,
                    delta.partial_json,
                    delta.name,
                    delta.signature,
                ]);
            }
            "message_delta" => self.is_final |= usage.is_some(),
            "message_stop" => self.is_over = true,
            "error" => self.failed(data),
            _ => {}
        }
        Ok(EventKind::Other)
    }

    fn chat_event(&mut self, data: &[u8]) -> Result<EventKind, serde_json::Error> {
        let chunk: ChatChunk = serde_json::from_slice(data)?;
        for choice in &chunk.choices {
            let Some(delta) = &choice.delta else { continue };
            let reasoning = delta.reasoning_content.or(delta.reasoning);
            self.passed(&[delta.content, reasoning, delta.refusal]);
            for call in &delta.tool_calls.0 {
                self.passed(&[call.function]);
            }
        }
        if chunk.error.is_some() {
            self.failed(data);
        }
        let Some(usage) = chunk.usage else {
            return Ok(EventKind::Other);
        };
        self.seen = Seen::Chat(usage);
        if chunk.choices.is_empty() {
            self.is_final = true;
            return Ok(EventKind::OnlyUsage);
        }
        // Some servers tell the usage with the last choice, and some with each.
        self.is_final |= chunk
            .choices
            .iter()
            .any(|choice| choice.finish_reason.is_some());
        Ok(EventKind::Other)
    }

    fn responses_event(&mut self, data: &[u8]) -> Result<EventKind, serde_json::Error> {
        let event: ResponsesEvent<'_> = serde_json::from_slice(data)?;
        match &*event.kind {
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.is_over = true;
                let answer = event.response.unwrap_or_default();
                if let Some(usage) = answer.usage {
                    self.seen = Seen::Responses(usage);
                    self.is_final = true;
                }
                if answer.error.is_some() {
                    self.failed(data);
                }
            }
            "error" => self.failed(data),
            _ => self.passed(&[event.delta]),
        }
        Ok(EventKind::Other)
    }

    fn gemini_chunk(&mut self, data: &[u8]) -> Result<EventKind, serde_json::Error> {
        let chunk: GeminiChunk = serde_json::from_slice(data)?;
        let is_finished = chunk
            .candidates
            .iter()
            .any(|candidate| candidate.finish_reason.is_some());
        for candidate in &chunk.candidates {
            let Some(content) = &candidate.content else {
                continue;
            };
            for part in &content.parts {
                self.passed(&[part.text, part.function_call]);
            }
        }
        if let Some(usage) = chunk.usage_metadata {
            if let Seen::Gemini(seen) = &mut self.seen {
                seen.update(usage);
            } else {
                self.seen = Seen::Gemini(usage);
            }
            // A prompt that is blocked has no candidates, and nothing follows either.
            self.is_final |= is_finished || chunk.prompt_feedback.is_some();
        }
        if chunk.error.is_some() {
            self.failed(data);
        }
        Ok(EventKind::Other)
    }

    /// Takes an answer that was not streamed as events.
    pub(super) fn document(&mut self, body: &[u8]) {
        let read = match self.wire {
            Wire::Messages => self.whole_message(body),
            Wire::ChatCompletions => self.whole_chat(body),
            Wire::Responses => self.whole_response(body),
            Wire::GenerateContent => self.whole_gemini(body),
        };
        self.is_over = read.is_ok();
        if read.is_err() {
            self.unread(body.len());
        }
    }

    fn whole_message(&mut self, body: &[u8]) -> Result<(), serde_json::Error> {
        let answer: WholeMessage = serde_json::from_slice(body)?;
        self.letters = answer.content.0;
        if let Some(usage) = answer.usage {
            self.seen = Seen::Messages(usage);
            self.is_final = true;
        }
        Ok(())
    }

    fn whole_chat(&mut self, body: &[u8]) -> Result<(), serde_json::Error> {
        let answer: WholeChat = serde_json::from_slice(body)?;
        self.letters = answer.choices.0;
        if let Some(usage) = answer.usage {
            self.seen = Seen::Chat(usage);
            self.is_final = true;
        }
        if answer.error.is_some() {
            self.failed(body);
        }
        Ok(())
    }

    fn whole_response(&mut self, body: &[u8]) -> Result<(), serde_json::Error> {
        let answer: ResponsesAnswer = serde_json::from_slice(body)?;
        self.letters = answer.output.0;
        if let Some(usage) = answer.usage {
            self.seen = Seen::Responses(usage);
            self.is_final = true;
        }
        if answer.error.is_some() {
            self.failed(body);
        }
        Ok(())
    }

    /// One answer, or a list of chunks where a stream was asked for without `alt=sse`.
    fn whole_gemini(&mut self, body: &[u8]) -> Result<(), serde_json::Error> {
        if body.trim_ascii_start().starts_with(b"[") {
            let chunks: Vec<&serde_json::value::RawValue> = serde_json::from_slice(body)?;
            for chunk in chunks {
                self.gemini_chunk(chunk.get().as_bytes())?;
            }
        } else {
            self.gemini_chunk(body)?;
        }
        self.is_final = matches!(self.seen, Seen::Gemini(_));
        Ok(())
    }

    fn passed(&mut self, texts: &[Option<Letters>]) {
        for Letters(letters) in texts.iter().flatten() {
            self.letters = self.letters.saturating_add(*letters);
        }
    }

    fn failed(&mut self, data: &[u8]) {
        let reported = Reported::read(data);
        self.failure = Some(failure::sort(Some(200), &reported, None));
    }
}

#[derive(Deserialize)]
struct MessagesEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    message: Option<StartedMessage>,
    usage: Option<MessagesUsage>,
    delta: Option<MessagesDelta>,
    content_block: Option<MessagesDelta>,
}

#[derive(Deserialize)]
struct StartedMessage {
    usage: Option<MessagesUsage>,
}

#[derive(Default, Deserialize)]
struct MessagesDelta {
    text: Option<Letters>,
    thinking: Option<Letters>,
    partial_json: Option<Letters>,
    name: Option<Letters>,
    signature: Option<Letters>,
}

#[derive(Deserialize)]
struct WholeMessage {
    #[serde(default)]
    content: Letters,
    usage: Option<MessagesUsage>,
}

/// A list that some servers write as null.
#[derive(Deserialize)]
#[serde(from = "Option<Vec<T>>", bound(deserialize = "T: Deserialize<'de>"))]
struct List<T>(Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> From<Option<Vec<T>>> for List<T> {
    fn from(items: Option<Vec<T>>) -> Self {
        Self(items.unwrap_or_default())
    }
}

#[derive(Deserialize)]
struct ChatChunk {
    #[serde(default)]
    choices: Vec<ChatChoice>,
    usage: Option<ChatUsage>,
    error: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct ChatChoice {
    delta: Option<ChatDelta>,
    finish_reason: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct ChatDelta {
    content: Option<Letters>,
    reasoning_content: Option<Letters>,
    reasoning: Option<Letters>,
    refusal: Option<Letters>,
    #[serde(default)]
    tool_calls: List<ChatToolCall>,
}

#[derive(Deserialize)]
struct ChatToolCall {
    function: Option<Letters>,
}

#[derive(Deserialize)]
struct WholeChat {
    #[serde(default)]
    choices: Letters,
    usage: Option<ChatUsage>,
    error: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct ResponsesEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    response: Option<ResponsesAnswer>,
    delta: Option<Letters>,
}

#[derive(Default, Deserialize)]
struct ResponsesAnswer {
    #[serde(default)]
    output: Letters,
    usage: Option<ResponsesUsage>,
    error: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GeminiChunk {
    #[serde(default)]
    candidates: Vec<GeminiCandidate>,
    usage_metadata: Option<GeminiUsage>,
    prompt_feedback: Option<serde::de::IgnoredAny>,
    error: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GeminiCandidate {
    content: Option<GeminiContent>,
    finish_reason: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct GeminiContent {
    #[serde(default)]
    parts: Vec<GeminiPart>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GeminiPart {
    text: Option<Letters>,
    function_call: Option<Letters>,
}
