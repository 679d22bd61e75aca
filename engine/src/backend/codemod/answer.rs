//! The answer: file by file, what was done, as JSON of a bounded size.

use serde::Serialize;

use super::language::Language;
use super::rewrite::{Edit, Rewritten};
use super::text::cut;

/// How much of a replaced and of a new text is shown, in bytes.
const TEXT_BYTES_MAX: usize = 400;
/// How many edits are listed for one file.
const FILE_EDITS_MAX: usize = 100;
/// How many edits are listed in all: an answer is kept in the journal.
const EDITS_MAX: usize = 2_000;

/// What an attempt answers.
#[derive(Debug, Default, Serialize)]
pub(super) struct Answer {
    pub(super) changed: usize,
    unchanged: usize,
    skipped: usize,
    failed: usize,
    files: Vec<FileAnswer>,
    /// Globs and folders without files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unmatched: Vec<String>,
    #[serde(skip)]
    listed: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// Written anew.
    Changed,
    /// No rule had anything to do.
    Unchanged,
    /// Not looked at.
    Skipped,
    /// It should have been rewritten and could not be; it is as it was.
    Failed,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FileAnswer {
    path: String,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'static str>,
    edits: Vec<EditAnswer>,
    /// Edits beyond those that are listed.
    #[serde(skip_serializing_if = "is_zero")]
    more_edits: usize,
    imports: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EditAnswer {
    rule: String,
    line: usize,
    column: usize,
    before: String,
    after: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dropped_comments: Vec<String>,
}

/// What became of one file.
pub(super) struct Done {
    pub(super) path: String,
    pub(super) status: Status,
    pub(super) language: Option<Language>,
    pub(super) rewritten: Option<Rewritten>,
    pub(super) reason: Option<String>,
}

impl Answer {
    /// One without files yet.
    pub(super) fn new(unmatched: Vec<String>) -> Self {
        Self {
            unmatched,
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, done: Done) {
        *match done.status {
            Status::Changed => &mut self.changed,
            Status::Unchanged => &mut self.unchanged,
            Status::Skipped => &mut self.skipped,
            Status::Failed => &mut self.failed,
        } += 1;
        let (edits, imports) = done.rewritten.map_or_else(Default::default, |rewritten| {
            (rewritten.edits, rewritten.imports)
        });
        let room = FILE_EDITS_MAX.min(EDITS_MAX - self.listed);
        let listed = edits.len().min(room);
        self.listed += listed;
        self.files.push(FileAnswer {
            path: done.path,
            status: done.status,
            language: done.language.map(Language::name),
            more_edits: edits.len() - listed,
            edits: edits.into_iter().take(listed).map(EditAnswer::of).collect(),
            imports,
            reason: done.reason,
        });
    }
}

impl EditAnswer {
    fn of(edit: Edit) -> Self {
        let short = |text: &str| cut(text, TEXT_BYTES_MAX).into_owned();
        Self {
            rule: edit.rule,
            line: edit.line,
            column: edit.column,
            before: short(&edit.before),
            after: short(&edit.after),
            dropped_comments: edit
                .dropped_comments
                .iter()
                .map(|text| short(text))
                .collect(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}
