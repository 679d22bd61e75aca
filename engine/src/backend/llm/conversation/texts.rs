//! All that the loop says to a model. One place, so that it can be read, and changed, as a whole.

use std::fmt::Write as _;

use serde_json::Value;

use super::job::{Job, Violation};
use super::notes::ProjectNote;

/// Earlier attempts that are told of; the newest ones.
const EARLIER_MAX: usize = 5;
/// Of an answer that did not fit so much is shown, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

const SYSTEM: &str = "\
You are an agent. You do one task of a larger workflow, which a script coordinates. No person is there to ask: where the task \
leaves something open, decide as its author would and go on.

- Work with the tools you have. Look before you change something, and check afterwards what you have done.
- Call several tools at once where no call needs the answer of another.
- If a tool refuses, read why and do what it says, or find another way. Do not repeat a call that has failed in the same way.
- Do what is asked and no more.
- If the task cannot be done, say so and why. Never make up a result.

Your last message, the one without a tool call, is the return value of your task: a program reads it. It holds the result \
and nothing else: no greeting, no account of how you came to it, no offer to do more.";

const SYSTEM_WITH_SCHEMA: &str = "\
The return value of this task is JSON. Your last message is that JSON alone: no other text, no code fence.";

const NOTES: &str = "\
What this repository tells agents, from its root to where you work. Where two differ, the later one holds. Your task goes \
before all of them.";

/// The system prompt. It is the same for siblings of one kind, whatever their task and place, so that their providers' cache
/// serves them all.
pub(super) fn system(job: &Job) -> String {
    let mut text = SYSTEM.to_owned();
    if job.schema.is_some() {
        text.push_str("\n\n");
        text.push_str(SYSTEM_WITH_SCHEMA);
    }
    if let Some(own) = job.system_prompt.as_deref().map(str::trim)
        && !own.is_empty()
    {
        text.push_str("\n\n# Your role\n\n");
        text.push_str(own);
    }
    if !job.project_notes.is_empty() {
        text.push_str("\n\n# Notes of the project\n\n");
        text.push_str(NOTES);
        for note in &job.project_notes {
            text.push_str("\n\n");
            push_note(&mut text, note);
        }
    }
    text
}

fn push_note(text: &mut String, note: &ProjectNote) {
    let _ = write!(
        text,
        "<note path=\"{}\">\n{}\n",
        note.path.display(),
        note.text
    );
    if note.is_cut {
        text.push_str("(It goes on; read the file where you need the rest.)\n");
    }
    if note.names_others() {
        text.push_str("(Lines that begin with @ name other files. They are not shown here; read those that you need.)\n");
    }
    text.push_str("</note>");
}

/// The first message: the task, and what is known of earlier tries at it. `schema` is given where the model has to be told of
/// it in words.
pub(super) fn task(job: &Job, schema: Option<&Value>) -> String {
    let mut text = String::new();
    if !job.working_directory.as_os_str().is_empty() {
        let _ = writeln!(text, "You work in {}.\n", job.working_directory.display());
    }
    text.push_str(&job.prompt);
    if let Some(schema) = schema {
        let _ = write!(text, "\n\n{}", fit(schema));
    }
    let skipped = job.earlier.len().saturating_sub(EARLIER_MAX);
    if !job.earlier.is_empty() {
        text.push_str(
            "\n\nThis task was tried before. What was done then may still be there: look before you do it again.",
        );
        for (number, end) in job.earlier.iter().enumerate().skip(skipped) {
            let _ = write!(text, "\n- Attempt {}: {end}", number + 1);
        }
    }
    if !job.violations.is_empty() {
        text.push_str("\n\nYour last answer did not fit. Give it again as a whole, with these faults put right:");
        for Violation { path, message } in &job.violations {
            let place = if path.is_empty() { "the whole" } else { path };
            let _ = write!(text, "\n- {place}: {message}");
        }
        if let Some(answer) = &job.previous_answer {
            let shown = &answer[..answer.floor_char_boundary(ANSWER_BYTES_MAX)];
            let _ = write!(text, "\n\nIt was:\n{shown}");
            if shown.len() < answer.len() {
                let _ = write!(text, "\n({} more bytes)", answer.len() - shown.len());
            }
        }
    }
    text
}

fn fit(schema: &Value) -> String {
    format!("Your last message is JSON that fits this JSON Schema, and nothing else:\n{schema}")
}

/// Instead of a tool's answer that was let go.
pub(super) fn let_go(bytes: usize) -> String {
    format!(
        "(This answer of {bytes} bytes was let go to save space. Call the tool again if you need it.)"
    )
}

/// Behind a tool's answer that was cut.
pub(super) fn cut(bytes: usize) -> String {
    format!(
        "\n({bytes} more bytes were left out: the answers of one turn together are limited. Ask for less at once.)"
    )
}

/// What stands in the place of the middle of a conversation.
pub(super) fn summary(text: &str) -> String {
    format!(
        "The conversation was too long and was cut here. What you did up to now, in your own words:\n\n{text}\n\nGo on from there. \
         Files may look different from how you remember them: read them again before you change them."
    )
}

/// The system prompt of the call that summarises.
pub(super) const SUMMARISE_SYSTEM: &str = "\
You write the notes that an agent goes on with when the middle of its conversation is cut out. You get its task and what it \
did. You answer with the notes only.";

/// The task of the call that summarises.
pub(super) fn summarise(prompt: &str, transcript: &str) -> String {
    format!(
        "<task>\n{prompt}\n</task>\n\n<done>\n{transcript}\n</done>\n\nWrite down what the agent needs to go on without seeing this again: \
         \n- where it stands: what is done and proved, what is tried and failed, with the reason;\
         \n- what it decided, and why;\
         \n- each file it read or changed, with what matters in it: names, lines, exact values;\
         \n- commands and their results as far as they matter;\
         \n- what is left to do, next step first.\
         \nKeep exact names, paths, numbers and error texts. Leave out what no longer matters. At most 800 words."
    )
}

/// Before the last turn.
pub(super) fn last_turn(schema: Option<&Value>) -> String {
    let mut text = "This is your last turn and no tool can be called any more. Answer now with the best result you have; say what is \
                    missing only if the result has a place for it."
        .to_owned();
    if let Some(schema) = schema {
        let _ = write!(text, "\n{}", fit(schema));
    }
    text
}

/// After an answer that was nothing.
pub(super) const NOTHING: &str =
    "You answered with nothing. Go on with the task, or give its result as your last message.";

/// After an answer without the JSON that it should have been.
pub(super) fn no_json(schema: &Value) -> String {
    format!(
        "Your last message has no JSON in it. Give the result again. {}",
        fit(schema)
    )
}

/// After an answer that the output limit cut off.
pub(super) fn go_on(has_schema: bool) -> &'static str {
    if has_schema {
        "Your answer was cut off at the output limit. Give it again, whole and shorter: the JSON alone."
    } else {
        "Your answer was cut off at the output limit. Go on exactly where it stopped, without repeating anything."
    }
}

/// After an answer of which the output limit left nothing to see.
pub(super) const THOUGHT_TOO_LONG: &str = "Your thoughts used up the output limit before there was an answer. Answer now, with less thought.";

/// For arguments that are no JSON.
pub(super) fn not_json(text: &str, was_cut: bool) -> String {
    let shown = &text[text.floor_char_boundary(text.len().saturating_sub(200))..];
    if was_cut {
        format!(
            "The arguments were cut off at the output limit, so the tool was not called. They ended in: {shown}\nDo it in smaller steps."
        )
    } else {
        format!(
            "The arguments are no valid JSON, so the tool was not called. They ended in: {shown}\nCall it again with arguments that fit its schema."
        )
    }
}

/// For a tool that there is not.
pub(super) fn no_such_tool(name: &str, tools: &[&str]) -> String {
    if tools.is_empty() {
        return format!("There is no tool `{name}`; you have no tools.");
    }
    format!(
        "There is no tool `{name}`. There are: {}.",
        tools.join(", ")
    )
}

/// For calls beyond what one turn may have.
pub(super) fn too_many_calls(most: usize) -> String {
    format!(
        "Not called: a turn has at most {most} calls. Call it again in the next turn if it is still needed."
    )
}

/// For a call in a turn that may have none.
pub(super) const NO_MORE_CALLS: &str = "Not called: this was the last turn.";

/// For a call that the attempt's end came before.
pub(super) const NOT_ENDED: &str = "The call had not ended when the attempt was cancelled.";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn siblings_have_the_same_system_prompt() {
        let job = |prompt: &str, directory: &str| Job {
            prompt: prompt.into(),
            working_directory: directory.into(),
            earlier: vec![prompt.into()],
            schema: Some(json!({"const": prompt})),
            project_notes: vec![ProjectNote {
                path: "AGENTS.md".into(),
                text: "Use tabs.\n@docs/style.md".into(),
                is_cut: true,
            }],
            ..Job::default()
        };
        let text = system(&job("a", "/one"));
        assert_eq!(text, system(&job("b", "/two")));
        assert!(text.contains("<note path=\"AGENTS.md\">\nUse tabs."));
        assert!(text.contains("(It goes on") && text.contains("(Lines that begin with @"));
    }

    #[test]
    fn the_task_tells_of_what_was_before() {
        let job = Job {
            prompt: "Count.".into(),
            working_directory: "/w".into(),
            earlier: (1..=7).map(|number| format!("end {number}")).collect(),
            violations: vec![
                Violation {
                    path: String::new(),
                    message: "no object".into(),
                },
                Violation {
                    path: "/n".into(),
                    message: "too small".into(),
                },
            ],
            previous_answer: Some("[ä]".into()),
            ..Job::default()
        };
        let text = task(&job, Some(&json!({"type": "object"})));
        assert_eq!(
            text,
            "You work in /w.\n\nCount.\n\nYour last message is JSON that fits this JSON Schema, and nothing else:\n{\"type\":\"object\"}\n\n\
             This task was tried before. What was done then may still be there: look before you do it again.\n\
             - Attempt 3: end 3\n- Attempt 4: end 4\n- Attempt 5: end 5\n- Attempt 6: end 6\n- Attempt 7: end 7\n\n\
             Your last answer did not fit. Give it again as a whole, with these faults put right:\n\
             - the whole: no object\n- /n: too small\n\nIt was:\n[ä]"
        );
    }
}
