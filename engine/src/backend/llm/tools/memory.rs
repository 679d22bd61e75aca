//! Which files the agent has seen, and what they said then.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::refusal::Refusal;
use super::workplace::Place;

/// What a file said: a hash over its bytes. Times of files are too coarse: two writes may have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version(blake3::Hash);

impl Version {
    pub(super) fn of(content: &[u8]) -> Self {
        Self(blake3::hash(content))
    }
}

/// One agent's memory of files.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<PathBuf, Version>>);

impl Memory {
    /// The agent has seen, or written, this file.
    pub(super) fn keep(&self, place: &Place<'_>, version: Version) {
        self.lock().insert(place.key(), version);
    }

    /// That the agent knows what the file says, which is `now`.
    pub(super) fn check(&self, place: &Place<'_>, now: Version) -> Result<(), Refusal> {
        match self.lock().get(&place.key()) {
            Some(known) if *known == now => Ok(()),
            Some(_) => Err(Refusal::Changed {
                path: place.shown(),
            }),
            None => Err(Refusal::NotRead {
                path: place.shown(),
            }),
        }
    }

    /// Why a file that is not there is not: it was, or it never was.
    pub(super) fn missing(&self, place: &Place<'_>) -> Refusal {
        if self.lock().contains_key(&place.key()) {
            return Refusal::Gone {
                path: place.shown(),
            };
        }
        place.not_found()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Version>> {
        // One insertion is all that happens under it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
