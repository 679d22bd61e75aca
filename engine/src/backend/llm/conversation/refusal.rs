//! A model's refusal in `OpenAI`'s wires, which have a field of their own for it that genai passes over.

use std::sync::{Mutex, PoisonError};

use genai::chat::{ChatFrameSink, FrameCtx, RawFrameRef};
use serde_json::Value;

/// Of a refusal so much is kept, in bytes.
const BYTES_MAX: usize = 600;

/// Puts a refusal together while its stream comes.
#[derive(Default)]
pub(super) struct Refusal(Mutex<String>);

impl Refusal {
    /// What the model said, if it refused.
    pub(super) fn words(&self) -> Option<String> {
        let words = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(words.trim())
            .filter(|words| !words.is_empty())
            .map(str::to_owned)
    }

    fn read(&self, data: &str) {
        // Nearly all frames are something else, and are read once already.
        if !data.contains("refusal") {
            return;
        }
        let Ok(frame) = serde_json::from_str::<Value>(data) else {
            return;
        };
        let of_responses = frame.get("delta").filter(|_| {
            frame
                .get("type")
                .is_some_and(|kind| kind == "response.refusal.delta")
        });
        let piece = frame.pointer("/choices/0/delta/refusal").or(of_responses);
        let Some(piece) = piece.and_then(Value::as_str) else {
            return;
        };
        let mut words = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = BYTES_MAX.saturating_sub(words.len());
        words.push_str(&piece[..piece.floor_char_boundary(room)]);
    }
}

impl ChatFrameSink for Refusal {
    fn on_frame(&self, _: &FrameCtx, frame: RawFrameRef<'_>) {
        self.read(frame.data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_wires() {
        for (frames, words) in [
            (
                [
                    r#"{"choices":[{"delta":{"refusal":"I can"}}]}"#,
                    r#"{"choices":[{"delta":{"refusal":"not."}}]}"#,
                ],
                Some("I cannot."),
            ),
            (
                [
                    r#"{"type":"response.refusal.delta","delta":"No."}"#,
                    r#"{"type":"response.refusal.done","refusal":"No."}"#,
                ],
                Some("No."),
            ),
            (
                [
                    r#"{"choices":[{"delta":{"content":"a refusal","refusal":null}}]}"#,
                    r#"{"type":"response.output_text.delta","delta":"refusal"}"#,
                ],
                None,
            ),
            (["refusal", "[DONE]"], None),
        ] {
            let refusal = Refusal::default();
            for frame in frames {
                refusal.read(frame);
            }
            assert_eq!(refusal.words().as_deref(), words);
        }
    }
}
