//! One attempt's work, file after file, on a thread that may block.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bellwether_actors::backend::{Progress, ProgressEvent, Task as AgentTask};
use serde_json::json;

use super::answer::{Answer, Done, Status};
use super::compile::Rewriter;
use super::files::{Selected, Selection};
use super::language::Language;
use super::place::TaskError;
use super::rewrite::{RewriteError, Rewritten};
use super::task::Task;
use super::write::replace;

/// Files that are larger are made by machines, and are left to them. In bytes.
const FILE_BYTES_MAX: u64 = 2 << 20;
/// After how many files progress is reported.
const BATCH: usize = 25;

/// Stands before every write. Once it is closed nothing is written any more.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<bool>);

impl Gate {
    /// Closes it, and waits for a write that is under way: that of one file.
    pub(super) fn close(&self) {
        *self.lock() = true;
    }

    fn is_closed(&self) -> bool {
        *self.lock()
    }

    /// Does `write` unless it is closed.
    fn pass<T>(&self, write: impl FnOnce() -> T) -> Option<T> {
        let closed = self.lock();
        (!*closed).then(write)
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Carries the task out. None: it was stopped on the way.
///
/// # Errors
/// [`TaskError`] when the task is wrong; then nothing was changed.
pub(super) fn carry_out(
    task: &AgentTask,
    progress: &Progress,
    gate: &Gate,
) -> Result<Option<Answer>, TaskError> {
    let Task { rules, files } = Task::parse(&task.prompt)?;
    let selection = Selection::find(&task.working_directory, &files)?;
    let mut rewriters: HashMap<Language, Rewriter> = HashMap::new();
    let of_files = selection.files.keys();
    let of_files = of_files.filter_map(|path| Language::of(Path::new(path)));
    // All of them before the first file: a pattern that is wrong in any language changes nothing.
    for language in rules.languages().chain(of_files) {
        if language.is_built() && !rewriters.contains_key(&language) {
            rewriters.insert(language, Rewriter::new(&rules, language)?);
        }
    }
    let mark = format!("a-{}", task.token.call);
    let work = Work {
        rewriters,
        gate,
        mark,
    };
    let mut answer = Answer::new(selection.unmatched);
    let count = selection.files.len();
    for (index, (path, selected)) in selection.files.into_iter().enumerate() {
        if gate.is_closed() {
            return Ok(None);
        }
        let Some(done) = work.file(path, selected) else {
            return Ok(None);
        };
        answer.add(done);
        if (index + 1) % BATCH == 0 || index + 1 == count {
            let event = json!({ "done": index + 1, "files": count, "changed": answer.changed });
            progress.report(ProgressEvent {
                token: task.token,
                event: event.to_string().into(),
            });
        }
    }
    Ok(Some(answer))
}

struct Work<'g> {
    rewriters: HashMap<Language, Rewriter>,
    gate: &'g Gate,
    mark: String,
}

/// Why a file was not rewritten.
type Verdict = (Status, String);

impl Work<'_> {
    /// None: stopped.
    fn file(&self, path: String, selected: Selected) -> Option<Done> {
        let language = Language::of(Path::new(&path));
        let (status, rewritten, reason) = match self.rewrite(&path, selected, language) {
            Ok(rewritten) if rewritten.edits.is_empty() => (Status::Unchanged, None, None),
            Ok(rewritten) => (Status::Changed, Some(rewritten), None),
            Err(None) => return None,
            Err(Some((status, reason))) => (status, None, Some(reason)),
        };
        Some(Done {
            path,
            status,
            language,
            rewritten,
            reason,
        })
    }

    fn rewrite(
        &self,
        path: &str,
        selected: Selected,
        language: Option<Language>,
    ) -> Result<Rewritten, Option<Verdict>> {
        let failed = |reason: String| Some((Status::Failed, reason));
        let skipped = |reason: String| Some((Status::Skipped, reason));
        let file = selected.path.map_err(failed)?;
        // Of a file that was named, more is expected than of one that a glob happened to match.
        let unfit = |reason| {
            if selected.named {
                failed(reason)
            } else {
                skipped(reason)
            }
        };
        let Some(language) = language else {
            return Err(unfit("its language is not known by its ending".to_owned()));
        };
        let Some(rewriter) = self.rewriters.get(&language) else {
            return Err(unfit(language.missing()));
        };
        if !rewriter.covers(Path::new(path)) {
            return Err(skipped(format!(
                "no rule is for it, a file in {language}: see the rules' `language`, `files` and `ignores`"
            )));
        }
        let old = read(&file)?;
        let source = std::str::from_utf8(&old)
            .map_err(|error| skipped(format!("byte {} is not UTF-8", error.valid_up_to() + 1)))?;
        let stopped = || self.gate.is_closed();
        // What a library of many thousand lines does with a file of somebody's is not for us to promise.
        let rewritten = catch_unwind(AssertUnwindSafe(|| {
            rewriter.rewrite_until(Path::new(path), source, &stopped)
        }));
        let rewritten = match rewritten {
            Ok(Ok(rewritten)) => rewritten,
            Ok(Err(RewriteError::Stopped)) => return Err(None),
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(_) => return Err(failed("rewriting it met a bug".to_owned())),
        };
        if rewritten.edits.is_empty() {
            return Ok(rewritten);
        }
        let write = || replace(&file, &old, rewritten.source.as_bytes(), &self.mark);
        match self.gate.pass(write) {
            None => Err(None),
            Some(Ok(())) => Ok(rewritten),
            Some(Err(error)) => Err(failed(format!("it cannot be written: {error}"))),
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Option<Verdict>> {
    let unread = |error: io::Error| Some((Status::Failed, format!("it cannot be read: {error}")));
    let metadata = fs::metadata(file).map_err(unread)?;
    if !metadata.is_file() {
        return Err(Some((Status::Failed, "it is no file".to_owned())));
    }
    if metadata.len() > FILE_BYTES_MAX {
        let reason = format!(
            "it has {} bytes, and at most {FILE_BYTES_MAX} are looked at",
            metadata.len()
        );
        return Err(Some((Status::Skipped, reason)));
    }
    fs::read(file).map_err(unread)
}
