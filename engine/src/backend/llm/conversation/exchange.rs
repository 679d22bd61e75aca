//! One request and its streamed answer.

use std::sync::Arc;

use futures_util::StreamExt as _;
use genai::Client;
use genai::chat::{ChatStreamEvent, StopReason, StreamEnd, Usage};

use super::endpoint::Wire;
use super::fault::{Fault, FaultKind};
use super::history::Assistant;
use super::job::Tokens;
use super::pace::Pace;
use super::refusal::Refusal;
use super::request::{self, Ask};

/// A model's answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) said: Assistant,
    /// What it used; `None` where the provider does not say.
    pub(super) tokens: Option<Tokens>,
    pub(super) end: End,
}

/// Why an answer ends where it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The model was done.
    Done,
    /// It reached the output limit or the end of its context.
    Cut,
    /// The model or its provider will not go on; in the provider's words.
    Refused(String),
}

/// What is seen of an answer while it comes.
pub(super) enum Seen<'a> {
    /// It has begun.
    Begun,
    /// A piece of its text.
    Text(&'a str),
    /// A piece of what the model thinks before it.
    Thought(&'a str),
}

/// Sends a request and reads its answer to the end. To drop the future is to drop the connection.
pub(super) async fn exchange(
    client: &Client,
    pace: &Pace,
    ask: &Ask<'_>,
    mut see: impl FnMut(Seen<'_>) + Send,
) -> Result<Answer, Fault> {
    let refusal = Arc::new(Refusal::default());
    let options = request::options(ask, pace).with_raw_frame_sink_arc(refusal.clone());
    let response = client
        .exec_chat_stream(ask.endpoint.target(), request::content(ask), Some(&options))
        .await
        .map_err(|error| Fault::of(&error))?;
    let mut stream = response.stream;
    let mut has_begun = false;
    while let Some(event) = stream.next().await {
        let event = event.map_err(|error| Fault::of(&error))?;
        // `Start` comes before the request has even gone out.
        if !matches!(event, ChatStreamEvent::Start) && !std::mem::replace(&mut has_begun, true) {
            see(Seen::Begun);
        }
        match event {
            ChatStreamEvent::Chunk(chunk) => see(Seen::Text(&chunk.content)),
            ChatStreamEvent::ReasoningChunk(chunk) => see(Seen::Thought(&chunk.content)),
            ChatStreamEvent::End(end) => return answer(end, ask.endpoint.wire, refusal.words()),
            _ => {}
        }
    }
    Err(was_cut())
}

fn was_cut() -> Fault {
    Fault::new(
        FaultKind::Transport,
        "the stream was cut off before its end",
    )
}

fn answer(end: StreamEnd, wire: Wire, refusal: Option<String>) -> Result<Answer, Fault> {
    // genai makes up an end where these wires' streams have none.
    let is_whole = match wire {
        Wire::Gemini => end.captured_stop_reason.is_some(),
        Wire::Ollama | Wire::OpenAiResponses => {
            end.captured_stop_reason.is_some() || end.captured_usage.is_some()
        }
        Wire::Anthropic | Wire::OpenAiChat => true,
    };
    if !is_whole {
        return Err(was_cut());
    }
    let why = match (refusal, end.captured_stop_reason) {
        (Some(words), _) | (None, Some(StopReason::ContentFilter(words))) => End::Refused(words),
        (None, Some(StopReason::MaxTokens(_))) => End::Cut,
        (None, _) => End::Done,
    };
    // `OpenAI`-compatible providers that show their model's reasoning want it back. On the other wires what has to go back is
    // part of the content already.
    let reasoning = end
        .captured_reasoning_content
        .filter(|_| wire == Wire::OpenAiChat);
    Ok(Answer {
        said: Assistant::new(end.captured_content, reasoning),
        tokens: end.captured_usage.as_ref().and_then(tokens),
        end: why,
    })
}

fn tokens(usage: &Usage) -> Option<Tokens> {
    let count = |number: Option<i32>| number.map_or(0, |number| u64::try_from(number).unwrap_or(0));
    usage.prompt_tokens.or(usage.completion_tokens)?;
    let input = usage.prompt_tokens_details.as_ref();
    let output = usage.completion_tokens_details.as_ref();
    Some(Tokens {
        input: count(usage.prompt_tokens),
        output: count(usage.completion_tokens),
        cached_read: count(input.and_then(|details| details.cached_tokens)),
        cache_written: count(input.and_then(|details| details.cache_creation_tokens)),
        reasoning: count(output.and_then(|details| details.reasoning_tokens)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is made of an end with this stop reason and usage: its kind, or the fault's.
    fn made(wire: Wire, stop: Option<&str>, has_usage: bool) -> Result<End, FaultKind> {
        let end = StreamEnd {
            captured_stop_reason: stop.map(|word| StopReason::from(word.to_owned())),
            captured_usage: has_usage.then(Usage::default),
            ..StreamEnd::default()
        };
        answer(end, wire, None)
            .map(|answer| answer.end)
            .map_err(|fault| fault.kind)
    }

    #[test]
    fn an_end_that_genai_made_up_is_none() {
        let cut = Err(FaultKind::Transport);
        assert_eq!(made(Wire::Gemini, None, true), cut);
        assert_eq!(made(Wire::Ollama, None, false), cut);
        assert_eq!(made(Wire::OpenAiResponses, None, false), cut);
        assert_eq!(made(Wire::Gemini, Some("STOP"), true), Ok(End::Done));
        assert_eq!(made(Wire::Ollama, None, true), Ok(End::Done));
        assert_eq!(
            made(Wire::OpenAiResponses, Some("incomplete"), true),
            Ok(End::Cut)
        );
        assert_eq!(made(Wire::OpenAiChat, None, false), Ok(End::Done));
        assert_eq!(
            made(Wire::Anthropic, Some("refusal"), true),
            Ok(End::Refused("refusal".into()))
        );
    }

    #[test]
    fn tokens_are_none_where_nobody_counted() {
        assert_eq!(tokens(&Usage::default()), None);
        let usage = Usage {
            prompt_tokens: Some(7),
            completion_tokens: Some(-1),
            ..Usage::default()
        };
        let counted = Tokens {
            input: 7,
            ..Tokens::default()
        };
        assert_eq!(tokens(&usage), Some(counted));
    }
}
