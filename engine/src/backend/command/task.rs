//! What an agent reads: the task as JSON, or the prompt and a command with its placeholders filled.

use bellwether_actors::backend::{PreviousAttempt, Task};
use serde::Serialize;
use serde_json::value::RawValue;

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
    cwd: std::borrow::Cow<'a, str>,
}

/// The task as one line of JSON, with its newline.
///
/// # Errors
/// None that can come from a task; JSON writers are typed so.
pub(super) fn line(task: &Task) -> Result<Vec<u8>, serde_json::Error> {
    let options = &task.options;
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
    })?;
    // A schema is passed on as it was written. Inside JSON strings no newline stands as such, so those that are left
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

/// The command with `{prompt}`, `{model}` and `{cwd}` filled in. What is filled in is not looked at again.
pub(super) fn fill(command: &[String], task: &Task) -> Vec<String> {
    let cwd = task.working_directory.to_string_lossy();
    let values = [
        ("{prompt}", &*task.prompt),
        ("{model}", task.options.model.as_deref().unwrap_or_default()),
        ("{cwd}", &*cwd),
    ];
    command
        .iter()
        .map(|word| fill_word(word, &values))
        .collect()
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
