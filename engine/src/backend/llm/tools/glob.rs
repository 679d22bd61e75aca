//! `glob`: files by their names.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::future::BoxFuture;
use globset::{GlobBuilder, GlobMatcher};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Definition};
use super::names::Name;
use super::refusal::Refusal;
use super::tool::{Tool, look};
use super::walk;
use super::workplace::{Kind, Workplace};

/// How many paths are named.
const PATHS_MAX: usize = 200;

/// The tool.
pub(super) struct Glob(pub(super) Arc<Workplace>);

#[derive(Deserialize)]
struct Arguments {
    pattern: String,
    #[serde(default = "here")]
    path: String,
}

/// The agent's own folder.
pub(super) fn here() -> String {
    ".".to_owned()
}

impl Tool for Glob {
    fn definition(&self) -> Definition {
        Definition {
            name: Name::Glob.as_str().into(),
            description: format!(
                "Finds files by name, newest first: `src/**/*.rs`, `*.{{js,ts}}`. `*` stays in one folder, `**` goes into all below. Without \
                 `**` folders are named too, with `/` at the end. What .gitignore names is left out, and `.git`. Shows at most {PATHS_MAX}."
            ),
            parameters: json!({
                "type": "object",
                "properties": {
                    "pattern": {"type": "string", "minLength": 1, "description": "The glob, from `path`"},
                    "path": {"type": "string", "description": "The folder to look in (default: the working directory)"}
                },
                "required": ["pattern"],
                "additionalProperties": false
            }),
        }
    }

    fn call(&self, arguments: Value, cancelled: CancellationToken) -> BoxFuture<'_, Answer> {
        let workplace = self.0.clone();
        Box::pin(look(
            arguments,
            cancelled,
            move |arguments: &Arguments, stop| glob(&workplace, arguments, stop),
        ))
    }
}

fn glob(
    workplace: &Workplace,
    wanted: &Arguments,
    stop: &CancellationToken,
) -> Result<Answer, Refusal> {
    let pattern = workplace.inner_text(&wanted.pattern);
    let matcher = match matcher(pattern) {
        Ok(matcher) => matcher,
        Err(reason) => return Ok(Answer::error(reason)),
    };
    let place = workplace.place(&wanted.path)?;
    match place.kind()? {
        Kind::Folder => {}
        Kind::Nothing => return Err(place.not_found()),
        _ => {
            return Err(Refusal::NoFolder {
                path: place.shown(),
            });
        }
    }
    let folder = place.real();
    let with_folders = !pattern.contains("**");
    // The newest so far; the oldest of them is on top.
    let mut newest = BinaryHeap::new();
    let mut found = 0_usize;
    for entry in walk::below(&folder, stop) {
        let Ok(entry) = entry else {
            return Err(Refusal::Cancelled);
        };
        let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        let Ok(inner) = entry.path().strip_prefix(&folder) else {
            continue;
        };
        if (is_folder && !with_folders) || !matcher.is_match(inner) {
            continue;
        }
        found += 1;
        let modified = entry
            .metadata()
            .ok()
            .and_then(|metadata| metadata.modified().ok());
        newest.push(Reverse(Found {
            modified: modified.unwrap_or(SystemTime::UNIX_EPOCH),
            path: Reverse(entry.into_path()),
            is_folder,
        }));
        if newest.len() > PATHS_MAX {
            newest.pop();
        }
    }
    if found == 0 {
        return Ok(Answer::done(nothing(pattern, &place.shown())));
    }
    let mut answer = String::new();
    for Reverse(one) in newest.into_sorted_vec() {
        answer.push_str(&place.shown_below(&one.path.0));
        answer.push_str(if one.is_folder { "/\n" } else { "\n" });
    }
    if found > PATHS_MAX {
        let left_out = found - PATHS_MAX;
        // Writing to a text cannot fail.
        let _ = writeln!(
            answer,
            "(the newest {PATHS_MAX}; {left_out} more match: narrow the pattern)"
        );
    }
    Ok(Answer::done(answer))
}

/// Newer is more; of the same time, what comes first by name.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    modified: SystemTime,
    path: Reverse<PathBuf>,
    is_folder: bool,
}

fn matcher(pattern: &str) -> Result<GlobMatcher, String> {
    if pattern.starts_with('/') || pattern.split('/').any(|part| part == "..") {
        return Err(format!(
            "the pattern `{pattern}` leads out of the working directory: give it from there, or from `path`"
        ));
    }
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher())
        .map_err(|error| format!("the pattern cannot be used: {error}"))
}

fn nothing(pattern: &str, folder: &str) -> String {
    let mut text = format!("no file matches `{pattern}` in {folder}");
    if !pattern.contains('/') {
        let _ = write!(text, "; `**/{pattern}` looks in the folders below, too");
    }
    text
}
