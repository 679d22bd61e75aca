//! What a built-in agent is seen to do, in the form in which programs report their progress (`docs/agents.md`).

use bellwether_actors::backend::{Progress, ProgressEvent};
use bellwether_journal::id::FencingToken;
use serde_json::json;

use super::conversation::{Event, Watch};

/// Reports an attempt's events.
#[derive(Clone)]
pub(super) struct Reported {
    token: FencingToken,
    progress: Progress,
    /// Whose they are within the attempt; `None` is its own agent.
    agent: Option<String>,
}

impl Reported {
    pub(super) const fn new(token: FencingToken, progress: Progress) -> Self {
        Self {
            token,
            progress,
            agent: None,
        }
    }

    /// The same for an agent within the attempt.
    pub(super) fn of_agent(&self, label: &str, number: u32) -> Self {
        let name = if label.is_empty() {
            format!("agent {number}")
        } else {
            label.to_owned()
        };
        Self {
            agent: Some(name),
            ..self.clone()
        }
    }
}

impl Watch for Reported {
    fn see(&self, event: Event<'_>) {
        let mut said = match event {
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
        if let Some(agent) = &self.agent {
            said["agent"] = json!(agent);
        }
        self.progress.report(ProgressEvent {
            token: self.token,
            event: json!({ "event": said }).to_string().into(),
        });
    }
}
