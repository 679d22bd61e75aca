//! What an agent reads: the task as JSON, or the prompt as text and a command with its placeholders filled.

use std::borrow::Cow;
use std::fmt::Write as _;

use bellwether_actors::backend::{PreviousAttempt, Task, Violation};
use serde::Serialize;
use serde_json::value::RawValue;

/// Of an answer that did not fit so much is repeated in a text, in bytes. In JSON it is all there.
const ANSWER_BYTES_MAX: usize = 16 << 10;
const SYSTEM_PROMPT: &str = "{systemPrompt}";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    run_id: String,
    agent_id: String,
    idempotency_key: String,
    attempt: u32,
    previous_attempts: &'a [PreviousAttempt],
    prompt: &'a str,
    schema: Option<&'a RawValue>,
    model: Option<&'a str>,
    effort: Option<&'a str>,
    agent_type: Option<&'a str>,
    label: Option<&'a str>,
    phase: Option<&'a str>,
    cwd: Cow<'a, str>,
    system_prompt: Option<&'a str>,
    tools: Option<&'a [String]>,
    disallowed_tools: &'a [String],
    max_turns: Option<u32>,
    violations: &'a [Violation],
    previous_answer: Option<&'a RawValue>,
    models: Option<Models<'a>>,
}

/// Where the agent finds models, and the key that is good for this attempt alone.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Models<'a> {
    address: &'a str,
    key: &'a str,
}

/// The task as one line of JSON, with its newline.
///
/// # Errors
/// When the previous answer is no JSON, which no checked one is.
pub(super) fn line(task: &Task) -> Result<Vec<u8>, serde_json::Error> {
    let options = &task.options;
    let previous_answer = task.previous_answer.as_deref();
    let previous_answer: Option<&RawValue> =
        previous_answer.map(serde_json::from_str).transpose()?;
    let mut line = serde_json::to_vec(&Line {
        run_id: task.token.run.to_string(),
        agent_id: agent_id(task),
        idempotency_key: task.idempotency_key.to_hex(),
        attempt: task.token.attempt.0,
        previous_attempts: &task.previous_attempts,
        prompt: &task.prompt,
        schema: options.schema.as_deref(),
        model: options.model.as_deref(),
        effort: options.effort.as_deref(),
        agent_type: options.agent_type.as_deref(),
        label: task.label.as_deref(),
        phase: task.phase.as_deref(),
        cwd: task.working_directory.to_string_lossy(),
        system_prompt: options.system_prompt.as_deref(),
        tools: options.tools.as_deref(),
        disallowed_tools: &options.disallowed_tools,
        max_turns: options.max_turns,
        violations: &task.violations,
        previous_answer,
        models: task.models.as_ref().map(|models| Models {
            address: &models.address,
            key: &models.key,
        }),
    })?;
    // Schemas and answers are passed on as they were written. Inside JSON strings no newline stands as such, so those that are left
    // are only layout.
    for byte in &mut line {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    line.push(b'\n');
    Ok(line)
}

/// `a-<call's number>`, as people see it.
pub(super) fn agent_id(task: &Task) -> String {
    format!("a-{}", task.token.call)
}

/// The command with `{prompt}`, `{systemPrompt}`, `{model}` and `{cwd}` filled in. What is filled in is not looked at again.
pub(super) fn fill(command: &[String], task: &Task) -> Vec<String> {
    let options = &task.options;
    let cwd = task.working_directory.to_string_lossy();
    let values = [
        ("{prompt}", &*text(command, task)),
        (
            SYSTEM_PROMPT,
            options.system_prompt.as_deref().unwrap_or_default(),
        ),
        ("{model}", options.model.as_deref().unwrap_or_default()),
        ("{cwd}", &*cwd),
    ];
    command
        .iter()
        .map(|word| fill_word(word, &values))
        .collect()
}

/// The task as one text, for a program that is given nothing else: the prompt, and around it what else there is to say.
/// A command that takes the system prompt by its placeholder is not told it twice.
pub(super) fn text<'a>(command: &[String], task: &'a Task) -> Cow<'a, str> {
    let options = &task.options;
    let told_apart = command.iter().any(|word| word.contains(SYSTEM_PROMPT));
    let system_prompt = options.system_prompt.as_deref().filter(|_| !told_apart);
    if system_prompt.is_none() && options.schema.is_none() {
        return Cow::Borrowed(&task.prompt);
    }
    let mut text = String::new();
    if let Some(system_prompt) = system_prompt {
        text.push_str(system_prompt);
        text.push_str("\n\n---\n\n");
    }
    text.push_str(&task.prompt);
    if let Some(schema) = &options.schema {
        text.push_str(
            "\n\n---\n\nAnswer with one JSON value and nothing else: no text around it, no code fence. \
             It must fit this JSON Schema:\n\n",
        );
        text.push_str(schema.get());
    }
    if let Some(answer) = &task.previous_answer {
        let shown = &answer[..answer.floor_char_boundary(ANSWER_BYTES_MAX)];
        let rest = if shown.len() < answer.len() {
            "…"
        } else {
            ""
        };
        text.push_str("\n\nYour last answer did not fit:\n\n");
        text.push_str(shown);
        text.push_str(rest);
        text.push_str("\n\nWhat is wrong with it, by its place in the answer:\n");
        for Violation { path, message } in &task.violations {
            let path = if path.is_empty() { "(root)" } else { path };
            // Writing to a String cannot fail.
            let _ = write!(text, "\n- {path}: {message}");
        }
        text.push_str("\n\nGive the whole answer again.");
    }
    Cow::Owned(text)
}

fn fill_word(word: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(brace) = rest.find('{') {
        let (before, from_brace) = rest.split_at(brace);
        filled.push_str(before);
        let found = values
            .iter()
            .find_map(|(name, value)| Some((from_brace.strip_prefix(name)?, value)));
        rest = if let Some((after, value)) = found {
            filled.push_str(value);
            after
        } else {
            filled.push('{');
            from_brace.get(1..).unwrap_or_default()
        };
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_once_and_other_braces_stay() {
        let values = [("{prompt}", "say {model}"), ("{model}", "m")];
        assert_eq!(
            fill_word("{prompt}-{model}{{model}}", &values),
            "say {model}-m{m}"
        );
        assert_eq!(
            fill_word(r#"{"a": {}} {promp} {"#, &values),
            r#"{"a": {}} {promp} {"#
        );
    }
}
