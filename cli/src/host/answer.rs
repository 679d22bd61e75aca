//! A person's answer to a question of a live run, as it comes over the socket.

use bellwether::{CallNumber, Engine, Question, RunId, Status};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;

/// So many questions are listed in an error.
const LISTED_MAX: usize = 10;

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Given {
    /// Which question: its id or its label; without one there must be just one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) question: Option<String>,
    /// The answer.
    pub(crate) value: Value,
    /// Who gives it.
    pub(crate) by: String,
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answered {
    /// The run.
    pub(crate) run_id: String,
    /// The question's id.
    pub(crate) question: String,
    /// The answer.
    pub(crate) value: Value,
    /// How the run stands now.
    pub(crate) status: Status,
}

impl Given {
    /// Gives the answer to the run.
    ///
    /// # Errors
    /// Which question is meant is not clear, or it may not be answered so.
    pub(crate) async fn carry_out(self, engine: &Engine, run: RunId) -> Result<Answered> {
        let handle = engine.run(run).ok_or_else(|| {
            let message = format!("run {run} is not live: nobody here could take the answer");
            CommandError::exit(ExitCode::Unfinished, message)
                .help(format!("`bellwether resume {run}`, unless it has ended"))
        })?;
        let questions = handle.questions().await;
        let questions = questions.map_err(|error| CommandError::host(error.to_string()))?;
        let call = meant(&questions, self.question.as_deref(), run)?;
        handle.answer(call, &self.value, &self.by).await?;
        Ok(Answered {
            run_id: run.to_string(),
            question: format!("a-{call}"),
            value: self.value,
            status: handle.decided_status().await.unwrap_or(handle.status()),
        })
    }
}

/// The call that is meant. One that is named by its id may have its answer already: the run knows what to say then.
fn meant(questions: &[Question], named: Option<&str>, run: RunId) -> Result<CallNumber> {
    let Some(named) = named else {
        return match questions {
            [] => Err(CommandError::usage(format!("run {run} asks nothing"))),
            [only] => only.call().ok_or_else(|| unknown(&only.id, questions)),
            several => Err(CommandError::usage(format!(
                "run {run} asks {} questions; say which one with --question",
                several.len()
            ))
            .help(list(several))),
        };
    };
    let number = named
        .strip_prefix("a-")
        .and_then(|digits| digits.parse().ok());
    if let Some(number) = number {
        return Ok(CallNumber(number));
    }
    let mut labelled = questions
        .iter()
        .filter(|question| question.label.as_deref() == Some(named));
    match (labelled.next().and_then(Question::call), labelled.next()) {
        (Some(call), None) => Ok(call),
        _ => Err(unknown(named, questions)),
    }
}

fn unknown(named: &str, questions: &[Question]) -> CommandError {
    CommandError::usage(format!("`{named}` is not one question that is open"))
        .help(format!("open are:\n{}", list(questions)))
}

fn list(questions: &[Question]) -> String {
    let shown = questions.iter().take(LISTED_MAX).map(|question| {
        let text: String = question.question.chars().take(100).collect();
        format!("{}  {}", question.id, text.replace(char::is_control, " "))
    });
    let mut lines: Vec<String> = shown.collect();
    if questions.len() > LISTED_MAX {
        lines.push(format!("… and {} more", questions.len() - LISTED_MAX));
    }
    lines.join("\n")
}
