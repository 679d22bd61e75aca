//! Which quotations stand in their sources.

use std::collections::HashMap;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::folder::{self, Folder, Unread};
use super::quotation::{self, Folded, NotFound, Passage};
use super::task::{Item, TaskError};

/// The answer: one entry for each item, in their order.
#[derive(Debug, Serialize)]
pub(super) struct Checks<'i> {
    checked: Vec<Checked<'i>>,
}

#[derive(Debug, Serialize)]
struct Checked<'i> {
    source: &'i str,
    found: bool,
    /// The lines and text of the quotation, as it stands there.
    #[serde(flatten)]
    place: Option<Passage>,
    /// Why it is not found, in words that a script compares.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The same for people, with what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nearest: Option<Passage>,
}

impl<'i> Checked<'i> {
    fn found(source: &'i str, place: Passage) -> Self {
        Self {
            source,
            found: true,
            place: Some(place),
            reason: None,
            message: None,
            nearest: None,
        }
    }

    fn not_found(source: &'i str, reason: &'static str, message: String) -> Self {
        Self {
            source,
            found: false,
            place: None,
            reason: Some(reason),
            message: Some(message),
            nearest: None,
        }
    }
}

pub(super) fn carry_out<'i>(
    items: &'i [Item],
    folder: &Folder,
    stop: &CancellationToken,
) -> Result<Checks<'i>, TaskError> {
    // Source by source, so that one text at a time is in memory.
    let mut by_source: Vec<(&str, Vec<usize>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        let source = item.source.as_str();
        let place = *places.entry(source).or_insert_with(|| {
            by_source.push((source, Vec::new()));
            by_source.len() - 1
        });
        by_source[place].1.push(index);
    }
    let mut paths = None;
    let mut checked: Vec<(usize, Checked<'i>)> = Vec::with_capacity(items.len());
    for (source, indices) in by_source {
        let text = match folder.text(source) {
            Ok(text) => text,
            Err(unread) => {
                let (reason, message) = unreadable(source, &unread, folder, &mut paths, stop)?;
                let of_all = indices.into_iter();
                checked.extend(of_all.map(|index| {
                    let entry = Checked::not_found(source, reason, message.clone());
                    (index, entry)
                }));
                continue;
            }
        };
        let folded = Folded::new(&text);
        for index in indices {
            if stop.is_cancelled() {
                return Err(TaskError::Stopped);
            }
            checked.push((index, one(source, &items[index].quotation, &folded)));
        }
    }
    checked.sort_by_key(|(index, _)| *index);
    Ok(Checks {
        checked: checked.into_iter().map(|(_, checked)| checked).collect(),
    })
}

fn one<'i>(source: &'i str, quotation: &str, folded: &Folded<'_>) -> Checked<'i> {
    match quotation::find_in(quotation, folded) {
        Ok(found) => Checked::found(source, found.passage),
        Err(NotFound::TooShort(short)) => {
            Checked::not_found(source, "too short", short.to_string())
        }
        Err(NotFound::Absent { nearest }) => {
            let message = "it does not stand there word for word: copy it from the source".into();
            Checked {
                nearest,
                ..Checked::not_found(source, "not in it", message)
            }
        }
    }
}

/// Why a file is no source. Its folder's paths are kept in `paths` once they are needed.
fn unreadable(
    source: &str,
    unread: &Unread,
    folder: &Folder,
    paths: &mut Option<Vec<String>>,
    stop: &CancellationToken,
) -> Result<(&'static str, String), TaskError> {
    if !matches!(unread, Unread::Missing) {
        return Ok(("not readable", format!("`{source}`: {unread}")));
    }
    let paths = match paths {
        Some(paths) => paths,
        None => paths.insert(folder.paths(stop)?),
    };
    let meant = folder::near(source, paths);
    let meant = meant.map_or_else(String::new, |path| format!("; did you mean `{path}`?"));
    Ok((
        "no such source",
        format!("there is no file `{source}` in the folder{meant}"),
    ))
}
