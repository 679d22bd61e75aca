//! The task: the prompt as JSON.

use serde_json::Value;

use super::place::{Place, TaskError};
use super::rules::Rules;

/// What an attempt is to do.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) rules: Rules,
    /// Paths, folders and globs, from the working directory, as they were written.
    pub(super) files: Vec<String>,
}

impl Task {
    pub(super) fn parse(prompt: &str) -> Result<Self, TaskError> {
        let whole = Place::default();
        let value: Value = serde_json::from_str(prompt).map_err(|error| {
            whole.wrong(format!(
                "it is no JSON ({error}): the prompt has to be JSON.stringify({{rules: […], files: […]}})"
            ))
        })?;
        let map = whole.object(&value, &["rules", "files"])?;
        let field = |name: &str, what: &str| {
            let missing = || whole.wrong(format!("`{name}` is missing: {what}"));
            map.get(name).ok_or_else(missing)
        };
        let rules = field("rules", "an array of {pattern, rewrite}")?;
        let files = field("files", "an array of paths and globs")?;
        let place = whole.field("files");
        let texts = place.texts(files)?;
        if texts.is_empty() {
            return Err(place.wrong("no files are named: give paths or globs"));
        }
        Ok(Self {
            rules: Rules::read(rules, &whole.field("rules"))?,
            files: texts.into_iter().map(|(_, text)| text.to_owned()).collect(),
        })
    }
}
