//! Usage as the wire formats report it, and what it means in one vocabulary.

use serde::Deserialize;

use super::meter::Tokens;

/// Anthropic's: `input_tokens` leaves out what the cache was read and written for. Counts in a stream are cumulative.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct MessagesUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens_details: Option<ThinkingDetails>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct ThinkingDetails {
    thinking_tokens: Option<u64>,
}

impl MessagesUsage {
    /// Takes what a later event says; what it leaves out stays.
    pub(super) fn update(&mut self, later: Self) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
        self.cache_creation_input_tokens = later
            .cache_creation_input_tokens
            .or(self.cache_creation_input_tokens);
        self.cache_read_input_tokens = later
            .cache_read_input_tokens
            .or(self.cache_read_input_tokens);
        self.output_tokens_details = later.output_tokens_details.or(self.output_tokens_details);
    }

    pub(super) fn tokens(&self) -> Tokens {
        let cached_read = self.cache_read_input_tokens.unwrap_or(0);
        let cache_written = self.cache_creation_input_tokens.unwrap_or(0);
        let details = self.output_tokens_details.unwrap_or_default();
        Tokens {
            input: (self.input_tokens.unwrap_or(0))
                .saturating_add(cached_read)
                .saturating_add(cache_written),
            output: self.output_tokens.unwrap_or(0),
            cached_read,
            cache_written,
            reasoning: details.thinking_tokens.unwrap_or(0),
        }
    }
}

/// The part of an input that came from or went to a cache, as `OpenAI` and those compatible with it write it.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct InputDetails {
    cached_tokens: Option<u64>,
    /// `OpenRouter`'s.
    cache_write_tokens: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct OutputDetails {
    reasoning_tokens: Option<u64>,
}

/// That of chat completions: prompt and completion include their details.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct ChatUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    prompt_tokens_details: Option<InputDetails>,
    completion_tokens_details: Option<OutputDetails>,
    /// `DeepSeek`'s.
    prompt_cache_hit_tokens: Option<u64>,
}

impl ChatUsage {
    pub(super) fn tokens(&self) -> Tokens {
        let input = self.prompt_tokens.unwrap_or(0);
        let completion = self.completion_tokens.unwrap_or(0);
        let read = self.prompt_tokens_details.unwrap_or_default();
        let details = self.completion_tokens_details.unwrap_or_default();
        let reasoning = details.reasoning_tokens.unwrap_or(0);
        // Some servers leave reasoning out of the completion; their total tells.
        let with_reasoning = completion.saturating_add(reasoning);
        let is_apart = self.total_tokens == Some(input.saturating_add(with_reasoning));
        Tokens {
            input,
            output: if is_apart { with_reasoning } else { completion },
            cached_read: read
                .cached_tokens
                .or(self.prompt_cache_hit_tokens)
                .unwrap_or(0),
            cache_written: read.cache_write_tokens.unwrap_or(0),
            reasoning,
        }
    }
}

/// That of responses: input and output include their details.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct ResponsesUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    input_tokens_details: Option<InputDetails>,
    output_tokens_details: Option<OutputDetails>,
}

impl ResponsesUsage {
    pub(super) fn tokens(&self) -> Tokens {
        let input = self.input_tokens_details.unwrap_or_default();
        let output = self.output_tokens_details.unwrap_or_default();
        Tokens {
            input: self.input_tokens.unwrap_or(0),
            output: self.output_tokens.unwrap_or(0),
            cached_read: input.cached_tokens.unwrap_or(0),
            cache_written: input.cache_write_tokens.unwrap_or(0),
            reasoning: output.reasoning_tokens.unwrap_or(0),
        }
    }
}

/// Gemini's: candidates leave out thoughts, the prompt leaves out what tools have put into it.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct GeminiUsage {
    #[serde(rename = "promptTokenCount")]
    prompt: Option<u64>,
    #[serde(rename = "toolUsePromptTokenCount")]
    tool_use_prompt: Option<u64>,
    #[serde(rename = "cachedContentTokenCount")]
    cached_content: Option<u64>,
    #[serde(rename = "candidatesTokenCount")]
    candidates: Option<u64>,
    #[serde(rename = "thoughtsTokenCount")]
    thoughts: Option<u64>,
}

impl GeminiUsage {
    /// Takes what a later chunk says; what it leaves out stays.
    pub(super) fn update(&mut self, later: Self) {
        self.prompt = later.prompt.or(self.prompt);
        self.tool_use_prompt = later.tool_use_prompt.or(self.tool_use_prompt);
        self.cached_content = later.cached_content.or(self.cached_content);
        self.candidates = later.candidates.or(self.candidates);
        self.thoughts = later.thoughts.or(self.thoughts);
    }

    pub(super) fn tokens(&self) -> Tokens {
        let reasoning = self.thoughts.unwrap_or(0);
        Tokens {
            input: (self.prompt.unwrap_or(0)).saturating_add(self.tool_use_prompt.unwrap_or(0)),
            output: (self.candidates.unwrap_or(0)).saturating_add(reasoning),
            cached_read: self.cached_content.unwrap_or(0),
            cache_written: 0,
            reasoning,
        }
    }
}
