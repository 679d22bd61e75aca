//! Which texts there are.

use globset::{GlobBuilder, GlobMatcher};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::folder::{Folder, Unread};
use super::task::{List, TaskError};
use super::title::title;

/// How many files an answer names. Of more, nobody could say in one prompt what matters.
const FILES_MAX: usize = 10_000;
/// How many of those that are no sources are named; the others are counted.
const LEFT_OUT_MAX: usize = 200;

/// The answer.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listing {
    /// By their paths.
    files: Vec<Source>,
    left_out: Vec<LeftOut>,
    #[serde(skip_serializing_if = "is_zero")]
    more_left_out: usize,
    /// Globs that no file matches.
    unmatched: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Source {
    path: String,
    bytes: usize,
    lines: usize,
    title: Option<String>,
}

#[derive(Debug, Serialize)]
struct LeftOut {
    path: String,
    reason: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "what serde calls it with"
)]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

pub(super) fn carry_out(
    list: &List,
    folder: &Folder,
    stop: &CancellationToken,
) -> Result<Listing, TaskError> {
    let wanted = list
        .files
        .iter()
        .map(|text| Wanted::read(text, folder))
        .collect::<Result<Vec<_>, _>>()?;
    let mut found = vec![false; wanted.len()];
    let mut listing = Listing::default();
    for entry in folder.below(stop) {
        let (path, entry) = entry?;
        let mut is_wanted = false;
        for (wanted, found) in wanted.iter().zip(&mut found) {
            if wanted.is_match(&path) {
                *found = true;
                is_wanted = true;
            }
        }
        if is_wanted {
            listing.add(path, entry.path_is_symlink(), folder)?;
        }
    }
    let unmatched = list.files.iter().zip(found);
    listing.unmatched = unmatched
        .filter(|(_, found)| !found)
        .map(|(text, _)| text.clone())
        .collect();
    listing.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(listing)
}

impl Listing {
    fn add(&mut self, path: String, is_link: bool, folder: &Folder) -> Result<(), TaskError> {
        if is_link {
            let reason = if folder.leads_inside(&path) {
                "it is a link: what it leads to counts by its own path"
            } else {
                "it is a link that leads out of the folder, or nowhere"
            };
            self.leave_out(path, reason.to_owned());
            return Ok(());
        }
        match folder.text(&path) {
            // It was removed just now.
            Err(Unread::Missing) => {}
            Err(reason) => self.leave_out(path, reason.to_string()),
            Ok(text) => {
                if self.files.len() == FILES_MAX {
                    return Err(TaskError::Task(format!(
                        "more than {FILES_MAX} files are named: give narrower globs in `files`"
                    )));
                }
                self.files.push(Source {
                    path,
                    bytes: text.len(),
                    lines: text.lines().count(),
                    title: title(&text),
                });
            }
        }
        Ok(())
    }

    fn leave_out(&mut self, path: String, reason: String) {
        if self.left_out.len() < LEFT_OUT_MAX {
            self.left_out.push(LeftOut { path, reason });
        } else {
            self.more_left_out += 1;
        }
    }
}

/// One entry of `files`.
struct Wanted {
    matcher: GlobMatcher,
    /// It names something hidden itself.
    takes_hidden: bool,
}

/// Whether a path or a glob has a part that begins with a dot.
fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('.'))
}

impl Wanted {
    fn read(text: &str, folder: &Folder) -> Result<Self, TaskError> {
        let wrong = |problem: String| TaskError::Task(format!("`files`: `{text}` {problem}"));
        if text.is_empty() || text.starts_with('/') || text.split('/').any(|part| part == "..") {
            return Err(wrong(
                "leads out of the folder: give it from there, without `..`".to_owned(),
            ));
        }
        let inner = text
            .strip_prefix("./")
            .unwrap_or(text)
            .trim_end_matches('/');
        let pattern = match inner {
            "" | "." => "**".to_owned(),
            inner if folder.has_folder(inner) => format!("{}/**", globset::escape(inner)),
            inner => inner.to_owned(),
        };
        let glob = GlobBuilder::new(&pattern)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|error| wrong(format!("is no glob: {}", error.kind())))?;
        let matcher = glob.compile_matcher();
        Ok(Self {
            matcher,
            takes_hidden: is_hidden(inner) && inner != ".",
        })
    }

    /// Hidden files are settings more often than sources.
    fn is_match(&self, path: &str) -> bool {
        self.matcher.is_match(path) && (self.takes_hidden || !is_hidden(path))
    }
}
