//! What a built-in agent is seen to do, in the form in which programs report their progress (`docs/agents.md`).

use bellwether_actors::backend::{Progress, ProgressEvent};
use bellwether_journal::id::FencingToken;
use serde_json::json;

use super::conversation::{Event, Watch};

/// Reports an attempt's events.
pub(super) struct Reported {
    token: FencingToken,
    progress: Progress,
}

impl Reported {
    pub(super) const fn new(token: FencingToken, progress: Progress) -> Self {
        Self { token, progress }
    }
}

impl Watch for Reported {
    fn see(&self, event: Event<'_>) {
        let said = match event {
            Event::TurnBegan { turn } => json!({ "turn": turn }),
            Event::Text(text) => json!({ "text": text }),
            // A sign of life, and nobody's to read.
            Event::Thought(_) => json!({ "thinking": true }),
            Event::TurnEnded { turn, tokens } => json!({
                "turn": turn,
                "inputTokens": tokens.input,
                "outputTokens": tokens.output,
            }),
            Event::ToolBegan { name, .. } => json!({ "state": "tool", "tool": name }),
            Event::ToolEnded { name, is_error, .. } => {
                json!({ "tool": name, "failed": is_error })
            }
            Event::Retrying { message, after, .. } => {
                json!({ "retrying": message, "afterMs": after.as_millis() })
            }
            Event::Compacted { before, after } => {
                json!({ "compacted": { "before": before, "after": after } })
            }
        };
        self.progress.report(ProgressEvent {
            token: self.token,
            event: json!({ "event": said }).to_string().into(),
        });
    }
}
