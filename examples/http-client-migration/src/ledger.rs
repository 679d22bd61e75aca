//! What agents did, told by the agents themselves: a line when one begins and a line when one
//! ends, in a file that no engine knows of.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Begins or ends.
    pub event: Event,
    /// The call's key, the same for all its attempts.
    pub idempotency_key: String,
    /// The call's number as the engine shows it.
    pub agent_id: String,
    /// The attempt, from 1.
    pub attempt: u32,
    /// What was to be done.
    pub task: String,
    /// With which file.
    pub file: String,
    /// The agent's process.
    pub process: u32,
    /// When, in microseconds since 1970.
    pub at: u64,
}

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// An agent begins.
    Start,
    /// An agent has done its work and is about to answer.
    Finish,
}

/// Appends a line in one write, so that agents side by side never mix theirs.
///
/// # Errors
/// The file cannot be written.
pub fn append(path: &Path, entry: &Entry) -> io::Result<()> {
    let mut line = serde_json::to_string(entry)?;
    line.push('\n');
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?
        .write_all(line.as_bytes())
}

/// All lines so far; a file that is not there has none, a line cut off by a kill is left out.
///
/// # Errors
/// The file cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}
