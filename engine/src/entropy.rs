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

fn fill(bytes: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(bytes)
        .map_err(|error| StoreError::Io(format!("the system gives no random bytes: {error}")))
}
