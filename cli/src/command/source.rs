//! A journal that a command only reads: from the process that holds it, or from its file.

use std::io;
use std::path::{Path, PathBuf};

use bellwether::view::CostFilter;
use serde::de::DeserializeOwned;

use crate::error::{CommandError, Result};
use crate::host::client::{Client, parse, segment};
use crate::host::lock::{self, Lock};
use crate::host::reach::{Reached, reach};
use crate::read::{self, Reader, json};

/// A journal to be read.
pub(crate) enum Source {
    /// Another process holds it.
    Held(Client),
    /// Nobody holds it: this process does, while it reads.
    Open {
        /// The journal.
        reader: Reader,
        /// Held until the answer is complete; the reader goes first.
        _lock: Lock,
    },
}

/// What is asked of a journal.
#[derive(Clone, Copy)]
pub(crate) enum Question<'a> {
    /// Its runs.
    Runs { all: bool },
    /// One run with its phases and agents.
    View(&'a str),
    /// One run as a list shows it.
    Row(&'a str),
    /// How one run ended, or where it stands.
    Outcome(&'a str),
    /// What the isolated agents of one run changed.
    Changes(&'a str),
    /// One run's log.
    Logs(&'a str),
    /// What one run cost, or those that a filter takes.
    Costs(Option<&'a str>, &'a CostFilter),
    /// Whether the records of one run, or of all, are as they were written.
    Verify(Option<&'a str>),
}

impl Source {
    /// Finds the journal; `None` when there is none. Nothing is created.
    ///
    /// # Errors
    /// When it cannot be used.
    pub(crate) async fn find(journal: &Path, purpose: &str) -> Result<Option<Self>> {
        if !is_there(journal)? {
            return Ok(None);
        }
        match reach(journal, purpose).await? {
            Reached::Held(client) => Ok(Some(Self::Held(client))),
            Reached::Free(lock) => {
                // A holder that made only its lock and socket before it was killed left no journal.
                if !journal.exists() {
                    return Ok(None);
                }
                let store = read::open(journal, false)?;
                Ok(Some(Self::Open {
                    reader: Reader::new(store, |_| false),
                    _lock: lock,
                }))
            }
        }
    }

    /// Finds the journal.
    ///
    /// # Errors
    /// When there is none, or it cannot be used.
    pub(crate) async fn require(journal: &Path, purpose: &str) -> Result<Self> {
        Self::find(journal, purpose)
            .await?
            .ok_or_else(|| none_there(journal))
    }

    /// The answer, as JSON text.
    ///
    /// # Errors
    /// When there is no such run, or the journal cannot be read.
    pub(crate) async fn ask(&self, question: Question<'_>) -> Result<String> {
        let named = match question {
            Question::Runs { .. } => None,
            Question::Verify(run) | Question::Costs(run, _) => run,
            Question::View(run)
            | Question::Row(run)
            | Question::Outcome(run)
            | Question::Changes(run)
            | Question::Logs(run) => Some(run),
        };
        if named.is_some_and(str::is_empty) {
            return Err(CommandError::usage(
                "a run has a name: its id, a beginning of it, or `last`",
            ));
        }
        match self {
            Self::Held(client) => {
                let path = match question {
                    Question::Runs { all } => format!("/v1/runs?all={all}"),
                    Question::View(run) => format!("/v1/runs/{}", segment(run)),
                    Question::Row(run) => format!("/v1/runs/{}/row", segment(run)),
                    Question::Outcome(run) => format!("/v1/runs/{}/outcome", segment(run)),
                    Question::Changes(run) => format!("/v1/runs/{}/changes", segment(run)),
                    Question::Logs(run) => format!("/v1/runs/{}/logs", segment(run)),
                    Question::Costs(run, filter) => costs_path(run, filter),
                    Question::Verify(None) => "/v1/verify".to_owned(),
                    Question::Verify(Some(run)) => format!("/v1/verify?run={}", segment(run)),
                };
                client.get(&path).await
            }
            Self::Open { reader, .. } => match question {
                Question::Runs { all } => reader.runs(all),
                Question::View(run) => reader.view_text(reader.find(run)?),
                Question::Row(run) => json(&reader.row(reader.find(run)?)?),
                Question::Outcome(run) => reader.outcome_text(reader.find(run)?),
                Question::Changes(run) => reader.changes(reader.find(run)?),
                Question::Logs(run) => reader.logs(reader.find(run)?),
                Question::Costs(run, filter) => {
                    reader.costs(run.map(|run| reader.find(run)).transpose()?, filter)
                }
                Question::Verify(run) => {
                    reader.verify(run.map(|run| reader.find(run)).transpose()?)
                }
            },
        }
    }

    /// The answer, read.
    ///
    /// # Errors
    /// As [`Source::ask`].
    pub(crate) async fn read<T: DeserializeOwned>(&self, question: Question<'_>) -> Result<T> {
        parse(&self.ask(question).await?)
    }

    /// Every record of a run, each as JSON text, until `line` says `false`.
    ///
    /// # Errors
    /// When there is no such run, or the journal cannot be read.
    pub(crate) async fn dump(&self, run: &str, line: &mut dyn FnMut(&str) -> bool) -> Result<()> {
        match self {
            Self::Held(client) => {
                client
                    .lines(&format!("/v1/runs/{}/journal", segment(run)), line)
                    .await
            }
            Self::Open { reader, .. } => reader.dump(reader.find(run)?, &mut |text| line(&text)),
        }
    }
}

/// How costs are asked for.
fn costs_path(run: Option<&str>, filter: &CostFilter) -> String {
    let limit = filter.limit.map(|limit| limit.to_string());
    let given = [
        ("run", run),
        ("name", filter.name.as_deref()),
        ("since", filter.since.as_deref()),
        ("limit", limit.as_deref()),
    ];
    let query: Vec<String> = given
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", segment(value?))))
        .collect();
    format!("/v1/costs?{}", query.join("&"))
}

/// Whether there is a journal, or a process that is about to make one.
///
/// # Errors
/// When that cannot be known, or something else is there.
fn is_there(journal: &Path) -> Result<bool> {
    match std::fs::metadata(journal) {
        Ok(metadata) if metadata.is_dir() => Err(is_a_folder(journal)),
        Ok(_) => Ok(true),
        Err(error) if is_missing(&error) => {
            Ok(lock::path_for(journal).is_ok_and(|lock: PathBuf| lock.exists()))
        }
        Err(error) => Err(CommandError::host(format!(
            "the journal {} cannot be used: {error}",
            journal.display()
        ))),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// The journal's place is taken.
pub(crate) fn is_a_folder(journal: &Path) -> CommandError {
    CommandError::host(format!(
        "the journal {} is a folder, not a file",
        journal.display()
    ))
}

/// There is no journal.
pub(crate) fn none_there(journal: &Path) -> CommandError {
    CommandError::usage(format!(
        "no journal at {}: no run was started here",
        journal.display()
    ))
    .help("start a run with `bellwether run SCRIPT`, or name its journal with `--journal FILE`")
}
