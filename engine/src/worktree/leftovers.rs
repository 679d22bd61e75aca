//! Patches of attempts that were cut off: found when the pool is opened, handed to the next attempt of the same call.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bellwether_actors::backend::{Changes, PreviousAttempt};
use bellwether_journal::id::{Attempt, FencingToken, RunId};
use bellwether_journal::record::ChangedFile;
use serde::{Deserialize, Serialize};

use super::{WorktreeError, slot};

/// How an attempt ended whose engine died.
pub(super) const INTERRUPTED: &str = "interrupted";

/// The folder of a pool's leftovers.
#[derive(Clone, Debug)]
pub(super) struct Leftovers(PathBuf);

/// [`Changes`] on the disk.
#[derive(Serialize, Deserialize)]
struct Kept {
    base: String,
    files: Vec<ChangedFile>,
    diff: Arc<str>,
}

impl Leftovers {
    pub(super) fn of(pool: &Path) -> Self {
        Self(pool.join("leftovers"))
    }

    fn of_call(&self, token: FencingToken) -> PathBuf {
        let FencingToken {
            run,
            generation,
            call,
            ..
        } = token;
        self.0.join(format!("{run}.{generation}.{call}"))
    }

    fn file(&self, token: FencingToken) -> PathBuf {
        self.of_call(token).join(format!("{}.json", token.attempt))
    }

    /// Keeps what the attempt changed until the call's next one asks for it.
    pub(super) fn put(&self, token: FencingToken, changes: &Changes) -> Result<(), WorktreeError> {
        let folder = self.of_call(token);
        fs::create_dir_all(&folder).map_err(|error| WorktreeError::io(&folder, error))?;
        let kept = Kept {
            base: changes.base.clone(),
            files: changes.files.clone(),
            diff: Arc::clone(&changes.diff),
        };
        let path = self.file(token);
        let json =
            serde_json::to_vec(&kept).map_err(|error| WorktreeError::io(&path, error.into()))?;
        slot::write(&path, &json)
    }

    /// What earlier attempts of the call left that nobody has journaled yet, oldest first. One that is there already has
    /// gone into the journal with the end of a later attempt, unless that was cut off, too.
    pub(super) fn of_earlier(
        &self,
        token: FencingToken,
        earlier: &[PreviousAttempt],
    ) -> Vec<Changes> {
        let last_known = earlier
            .iter()
            .filter(|attempt| attempt.ended != INTERRUPTED)
            .map(|attempt| attempt.attempt)
            .max();
        let is_new = |attempt: u32| last_known.is_none_or(|last| attempt >= last);
        let attempts = (1..token.attempt.0).filter(|attempt| is_new(*attempt));
        let read = |attempt: u32| {
            let attempt = Attempt(attempt);
            let bytes = fs::read(self.file(FencingToken { attempt, ..token })).ok()?;
            let kept: Kept = serde_json::from_slice(&bytes).ok()?;
            Some(Changes {
                attempt,
                branch: None,
                base: kept.base,
                commit: None,
                files: kept.files,
                diff: kept.diff,
            })
        };
        attempts.filter_map(read).collect()
    }

    /// Forgets what is left of a run.
    pub(super) fn forget(&self, run: RunId) -> Result<(), WorktreeError> {
        let beginning = format!("{run}.");
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let is_of_run = |name: &str| name.starts_with(&beginning);
            if entry.file_name().to_str().is_some_and(is_of_run) {
                super::disk::remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use bellwether_journal::id::{CallNumber, Epoch, Generation};

    use super::*;

    #[test]
    fn leftovers_are_handed_on_until_an_end_is_journaled() {
        let folder = tempfile::tempdir().unwrap();
        let leftovers = Leftovers::of(folder.path());
        let token = |attempt| FencingToken {
            epoch: Epoch(1),
            run: RunId::from_entropy([0; 5]),
            generation: Generation(1),
            call: CallNumber(1),
            attempt: Attempt(attempt),
        };
        let changes = |attempt| Changes {
            attempt: Attempt(attempt),
            branch: None,
            base: "b".to_owned(),
            commit: None,
            files: Vec::new(),
            diff: format!("patch {attempt}").into(),
        };
        for attempt in 1..=3 {
            leftovers.put(token(attempt), &changes(attempt)).unwrap();
        }
        let handed = |ends: &[&str]| -> Vec<u32> {
            let earlier: Vec<PreviousAttempt> = (1..)
                .zip(ends)
                .map(|(attempt, ended)| PreviousAttempt {
                    attempt,
                    ended: (*ended).to_owned(),
                    message: String::new(),
                })
                .collect();
            let next = u32::try_from(ends.len()).unwrap() + 1;
            let found = leftovers.of_earlier(token(next), &earlier);
            found.iter().map(|changes| changes.attempt.0).collect()
        };
        assert_eq!(handed(&[]), [0; 0]);
        assert_eq!(handed(&["interrupted"]), [1]);
        assert_eq!(handed(&["interrupted", "interrupted"]), [1, 2]);
        assert_eq!(
            handed(&["interrupted", "crash"]),
            [2],
            "1 came with the end of 2"
        );
        assert_eq!(handed(&["interrupted", "crash", "interrupted"]), [2, 3]);
        leftovers.forget(token(1).run).unwrap();
        assert_eq!(handed(&["interrupted"]), [0; 0]);
    }
}
