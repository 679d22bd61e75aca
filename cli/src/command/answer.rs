//! `bellwether answer`

use bellwether::view::RunRow;
use serde_json::Value;

use super::source::{Question, Source};
use super::{Place, caller, proposal};
use crate::args::Answer;
use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;
use crate::host::answer::{Answered, Given};
use crate::host::client::{parse, segment};
use crate::output::{self, Screen};
use crate::read::json;

pub(super) async fn execute(flags: Answer, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &flags.common.journal, None, None)?;
    let (journal, _) = place.config.journal();
    let source = Source::require(&journal, "answer").await?;
    let client = match &source {
        Source::Held(client) => client,
        Source::Open { .. } => {
            let row: RunRow = source.read(Question::Row(&flags.run)).await?;
            let (run, status) = (row.run_id, row.status);
            if status.is_final() {
                let message = format!("run {run} is {}: it asks nothing any more", status.name());
                return Err(CommandError::usage(message));
            }
            let message = format!(
                "run {run} is {}, and no process works on it that could take the answer",
                status.name()
            );
            let resume = proposal(&format!("resume {run}"), &flags.common.journal);
            let error = CommandError::exit(ExitCode::Unfinished, message);
            return Err(error.help(format!("resume it first: `{resume}`")));
        }
    };
    let given = Given {
        question: flags.question,
        value: value(flags.value),
        by: caller(),
    };
    let given = serde_json::to_value(&given).map_err(CommandError::bug)?;
    let path = format!("/v1/runs/{}/answer", segment(&flags.run));
    let answered: Answered = parse(&client.post(&path, &given).await?)?;
    if flags.common.json {
        output::line(&json(&answered)?);
    }
    screen.note(&format!(
        "run {}: {} is answered with {}",
        answered.run_id, answered.question, answered.value
    ));
    Ok(ExitCode::Success)
}

/// What is no JSON is a text.
fn value(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn x03_a_value_is_json_if_it_can_be_else_a_text() {
        for (text, expected) in [
            ("yes", json!("yes")),
            ("\"yes\"", json!("yes")),
            ("3", json!(3)),
            ("true", json!(true)),
            ("{\"a\":[null]}", json!({ "a": [null] })),
            ("{a: 1}", json!("{a: 1}")),
            ("", json!("")),
        ] {
            assert_eq!(value(text.to_owned()), expected, "{text}");
        }
    }
}
