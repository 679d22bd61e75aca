//! The one place that asks for chance: new runs' ids and the seeds of their random numbers.

use bellwether_journal::error::StoreError;
use bellwether_journal::id::RunId;

/// A new run's id.
pub(crate) fn run_id() -> Result<RunId, StoreError> {
    let mut bytes = [0; 5];
    fill(&mut bytes)?;
    Ok(RunId::from_entropy(bytes))
}

/// A new run's seed.
pub(crate) fn seed() -> Result<[u8; 32], StoreError> {
    let mut bytes = [0; 32];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// Spreads what would come at the same time: from 0 to 1. Where the system gives no chance it is in the middle.
#[cfg(feature = "llm")]
pub(crate) fn jitter() -> f64 {
    let mut bytes = [0; 4];
    match fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

fn fill(bytes: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(bytes)
        .map_err(|error| StoreError::Io(format!("the system gives no random bytes: {error}")))
}
