//! The task: the prompt as JSON.

use std::io;
use std::path::PathBuf;

use serde::Deserialize;

/// How many quotations one task may ask for. More are split over several calls.
pub(super) const CHECKS_MAX: usize = 2_000;

/// What an attempt is to do.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Job {
    /// Say which texts there are.
    List(List),
    /// Say which quotations stand in their sources.
    Check(Vec<Item>),
}

/// Which files are meant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    /// Globs, files and folders, from the working directory.
    #[serde(default = "everything")]
    pub(super) files: Vec<String>,
}

fn everything() -> Vec<String> {
    vec!["**".to_owned()]
}

/// A quotation and where it is said to stand.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Item {
    /// The file, from the working directory.
    pub(super) source: String,
    pub(super) quotation: String,
}

/// Why a task was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum TaskError {
    #[error("the sources' task: {0}")]
    Task(String),
    #[error("the folder of the sources {} cannot be read: {error}", path.display())]
    Folder { path: PathBuf, error: io::Error },
    #[error("stopped")]
    Stopped,
}

impl Job {
    pub(super) fn parse(prompt: &str) -> Result<Self, TaskError> {
        let job = serde_json::from_str(prompt).map_err(|error| {
            TaskError::Task(format!(
                "{error}: the prompt has to be JSON.stringify({{list: {{files: […]}}}}) or \
                 JSON.stringify({{check: [{{source, quotation}}, …]}})"
            ))
        })?;
        match &job {
            Self::List(list) if list.files.is_empty() => Err(TaskError::Task(
                "`files` names nothing: give globs, or leave it out for all files".to_owned(),
            )),
            Self::Check(items) if items.len() > CHECKS_MAX => Err(TaskError::Task(format!(
                "{} quotations are to be checked, and {CHECKS_MAX} at most at once: split them over several calls",
                items.len()
            ))),
            _ => Ok(job),
        }
    }
}
