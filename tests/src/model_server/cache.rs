//! The prompt cache: which beginnings of prompts this server has read before.
//!
//! A prompt is a row of segments, tools, then system text, then each message, and each beginning of it has a hash. OpenAI,
//! Gemini and Ollama remember every beginning of what they answer. Anthropic remembers those that the client marks.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::request::{CacheTime, Request, Tool, tokens};
use super::wire::Wire;

/// Providers report cached tokens in steps.
const STEP: u64 = 64;

/// Beginnings that are remembered before all are forgotten. Far above what 200 agents with 50 calls each leave.
const PREFIXES_MAX: usize = 1 << 20;

/// The tokens of an exchange, as all wires mean them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The whole prompt, what the cache had included.
    pub input: u64,
    /// What of it came from the cache.
    pub cached: u64,
    /// What of it was written to the cache (Anthropic alone).
    pub cache_written: u64,
    /// All that was written, thinking included.
    pub output: u64,
    /// What of that was thinking.
    pub reasoning: u64,
}

impl Usage {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            input: self.input + other.input,
            cached: self.cached + other.cached,
            cache_written: self.cache_written + other.cache_written,
            output: self.output + other.output,
            reasoning: self.reasoning + other.reasoning,
        }
    }
}

/// The beginnings that were read before.
#[derive(Debug, Default)]
pub(super) struct Cache {
    prefixes: HashSet<u64>,
}

impl Cache {
    /// What the cache has of a prompt, and remembers it: the usage of its input.
    pub(super) fn read(&mut self, request: &Request) -> Usage {
        let segments = segments(request);
        let input = request.input_tokens();
        let marked_only = request.wire == Wire::Anthropic;
        let last = if marked_only {
            segments.iter().rposition(|segment| segment.mark.is_some())
        } else {
            segments.len().checked_sub(1)
        };
        let Some(last) = last else {
            return Usage {
                input,
                ..Usage::default()
            };
        };
        let in_steps = |segment: &Segment| tokens(segment.bytes) / STEP * STEP;
        let cached = segments[..=last]
            .iter()
            .rev()
            .find(|segment| self.prefixes.contains(&segment.hash))
            .map_or(0, in_steps);
        let cache_written = if marked_only {
            in_steps(&segments[last]).saturating_sub(cached)
        } else {
            0
        };
        if self.prefixes.len() > PREFIXES_MAX {
            self.prefixes.clear();
        }
        let kept = segments
            .iter()
            .filter(|segment| !marked_only || segment.mark.is_some());
        self.prefixes.extend(kept.map(|segment| segment.hash));
        Usage {
            input,
            cached,
            cache_written,
            ..Usage::default()
        }
    }
}

/// How long the last mark keeps what it marks.
pub(super) fn cache_time(request: &Request) -> CacheTime {
    segments(request)
        .iter()
        .rev()
        .find_map(|segment| segment.mark)
        .unwrap_or(CacheTime::FiveMinutes)
}

/// A beginning of a prompt, up to the end of a segment.
struct Segment {
    hash: u64,
    bytes: u64,
    mark: Option<CacheTime>,
}

fn segments(request: &Request) -> Vec<Segment> {
    let mut hasher = DefaultHasher::new();
    request.wire.hash(&mut hasher);
    request.model.hash(&mut hasher);
    let mut bytes = 0;
    let mut segments = Vec::with_capacity(request.messages.len() + 2);
    let mut end = |hasher: &DefaultHasher, length: u64, mark| {
        bytes += length;
        segments.push(Segment {
            hash: hasher.finish(),
            bytes,
            mark,
        });
    };
    request.tools.hash(&mut hasher);
    end(
        &hasher,
        request.tools.iter().map(Tool::bytes).sum(),
        request.cache_marks.tools,
    );
    request.system.hash(&mut hasher);
    end(
        &hasher,
        request.system.len() as u64,
        request.cache_marks.system,
    );
    for (place, message) in request.messages.iter().enumerate() {
        message.hash(&mut hasher);
        end(
            &hasher,
            message.bytes(),
            request.cache_marks.messages.get(&place).copied(),
        );
    }
    segments
}
