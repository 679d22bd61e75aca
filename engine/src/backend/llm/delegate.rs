//! The tool `agent` (X07): an agent hands a part of its task to an agent of its own, and waits for what that says.
//!
//! Such an agent is a conversation within the attempt of whoever called it: it asks the same model by the attempt's own key, so
//! that run, attempt and provider count and limit it with its parent; it may use what its parent may; it works while its parent
//! waits, in the same slot; and it ends with it. The attempt notes in the journal that it began, and how it ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bellwether_actors::backend::{NOTE_BYTES_MAX, Notes};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::conversation::{Endpoint, Job, StopKind, Worker};
use super::progress::Reported;
use super::tools::{Answer, Definition, Means, Name, Permitted, Tool, Toolbox, Workplace, parsed};

/// So many levels stand below the agent of a script.
const LEVELS_MAX: u32 = 5;
/// One attempt has so many in all, on all levels.
const AGENTS_MAX: u32 = 50;
/// As much of a label, a task and an answer stands in the journal, in bytes.
const NOTED_BYTES: usize = 400;

/// What agents within an attempt share.
#[derive(Clone)]
pub(super) struct Within {
    pub(super) worker: Worker,
    pub(super) endpoint: Endpoint,
    /// The job of the attempt; theirs differ in what is to be done.
    pub(super) job: Job,
    /// What marks what their commands start.
    pub(super) mark: String,
    pub(super) permitted: Permitted,
    pub(super) means: Means,
    pub(super) notes: Notes,
    pub(super) reported: Reported,
    /// How many there were so far.
    pub(super) begun: Arc<AtomicU32>,
    /// How many levels the agent that has this tool stands below the script's.
    pub(super) level: u32,
}

/// The tool.
struct Delegate(Within);

#[derive(Deserialize)]
struct Arguments {
    task: String,
    #[serde(default)]
    label: Option<String>,
}

impl Within {
    /// Whether an agent on this level may have agents of its own.
    const fn may_delegate(&self) -> bool {
        self.level < LEVELS_MAX
    }

    /// The tools of an agent on this level.
    ///
    /// # Errors
    /// Why its folder cannot be worked in.
    pub(super) async fn toolbox(&self) -> Result<Toolbox, String> {
        let (folder, mark) = (self.job.working_directory.clone(), self.mark.clone());
        let made = tokio::task::spawn_blocking(move || {
            Workplace::new(&folder, &mark)
                .map_err(|error| format!("{} cannot be worked in: {error}", folder.display()))
        });
        let workplace = made.await.map_err(|error| error.to_string())??;
        let mut toolbox = Toolbox::new(workplace, &self.permitted, &self.means);
        if self.may_delegate() && self.permitted.allows(Name::Agent) {
            // Permitted, and nobody else has the name: a test calls it.
            let _ = toolbox.add(Arc::new(Delegate(self.clone())));
        }
        Ok(toolbox)
    }

    async fn noted(&self, note: Value) -> bool {
        let text = json!({ "agent": note }).to_string();
        debug_assert!(text.len() <= NOTE_BYTES_MAX, "its texts are cut");
        self.notes.note(text).await.is_ok()
    }

    async fn carry_out(&self, arguments: Arguments, cancelled: CancellationToken) -> Answer {
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        if number > AGENTS_MAX {
            return Answer::error(format!(
                "this task has had its {AGENTS_MAX} agents: do the rest yourself"
            ));
        }
        let label = arguments.label.unwrap_or_default();
        let level = self.level + 1;
        let begins = json!({
            "number": number, "level": level, "label": noted(&label), "task": noted(&arguments.task),
        });
        // An attempt that was replaced begins nothing more.
        if !self.noted(begins).await {
            return Answer::cancelled();
        }
        let below = Self {
            job: Job {
                prompt: arguments.task,
                schema: None,
                earlier: Vec::new(),
                previous_answer: None,
                violations: Vec::new(),
                ..self.job.clone()
            },
            reported: self.reported.of_agent(&label, number),
            level,
            ..self.clone()
        };
        let toolbox = match below.toolbox().await {
            Ok(toolbox) => toolbox,
            Err(message) => return Answer::error(message),
        };
        let work = below.worker.work(
            &below.endpoint,
            &below.job,
            &toolbox,
            &below.reported,
            &cancelled,
        );
        let (end, answer) = match work.await {
            Ok(finished) => ("completed", Answer::done(finished.text)),
            Err(stopped) if stopped.kind == StopKind::Cancelled => {
                ("cancelled", Answer::cancelled())
            }
            Err(stopped) => {
                let text = match stopped.last_text {
                    Some(last) => format!("{}\nIts last words were:\n{last}", stopped.message),
                    None => stopped.message,
                };
                ("failed", Answer::error(text))
            }
        };
        let ended = json!({ "number": number, "ended": end, "said": noted(&answer.text) });
        self.noted(ended).await;
        answer
    }
}

/// The beginning of a text, for the journal. JSON may write a letter with six.
fn noted(text: &str) -> &str {
    let escaped = |letter: char| serde_json::to_string(&letter).map_or(6, |text| text.len() - 2);
    let mut bytes = 0;
    let end = text.char_indices().find(|(_, letter)| {
        bytes += escaped(*letter);
        bytes > NOTED_BYTES
    });
    &text[..end.map_or(text.len(), |(at, _)| at)]
}

impl Tool for Delegate {
    fn definition(&self) -> Definition {
        Definition {
            name: Name::Agent.as_str().into(),
            description: format!(
                "Hands a part of your task to an agent of its own, waits for it, and gives you what it says last. It has your tools, works in your folder and \
                 knows nothing of your conversation: the task has to say all that it needs, and what its answer should hold. For a part that would \
                 fill your context with what you need not keep. It costs what it uses; you may have {AGENTS_MAX}, one at a time."
            ),
            parameters: json!({
                "type": "object",
                "properties": {
                    "task": {"type": "string", "minLength": 1, "description": "What is to be done, with all that has to be known"},
                    "label": {"type": "string", "maxLength": 80, "description": "What to call it where people look on"}
                },
                "required": ["task"],
                "additionalProperties": false
            }),
        }
    }

    fn call(&self, arguments: Value, cancelled: CancellationToken) -> BoxFuture<'_, Answer> {
        async move {
            match parsed::<Arguments>(arguments) {
                Ok(arguments) => self.0.carry_out(arguments, cancelled).await,
                Err(answer) => answer,
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_fits_into_a_note_whatever_it_is_made_of() {
        for text in [
            "a".repeat(3_000),
            "\u{1}".repeat(3_000),
            "\"ä漢😀\\".repeat(700),
        ] {
            let [label, task] = [noted(&text), noted(&text)];
            let note = json!({ "agent": { "number": u32::MAX, "level": 5, "label": label, "task": task } });
            assert!(
                note.to_string().len() <= NOTE_BYTES_MAX,
                "{}",
                note.to_string().len()
            );
            assert!(text.starts_with(label) && label.len() > 60);
        }
        assert_eq!(noted("short"), "short");
    }
}
