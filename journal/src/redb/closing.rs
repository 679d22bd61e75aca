//! Waits for a file that its last holder is still closing.

use std::time::Duration;

use crate::error::StoreError;

/// The first wait for a file that is open elsewhere; each next one is twice as long, up to [`LOOK_MAX`].
const LOOK_MIN: Duration = Duration::from_millis(1);
const LOOK_MAX: Duration = Duration::from_millis(100);

/// Tries until nobody else has the file, for `patience` at most.
///
/// # Errors
/// What the last try said.
pub(super) fn when_closed<T>(
    patience: Duration,
    mut open: impl FnMut() -> Result<T, StoreError>,
    mut wait: impl FnMut(Duration),
) -> Result<T, StoreError> {
    let (mut look, mut waited) = (LOOK_MIN, Duration::ZERO);
    loop {
        match open() {
            Err(StoreError::InUse { .. }) if waited < patience => {}
            done => return done,
        }
        wait(look);
        waited += look;
        look = (look * 2).min(LOOK_MAX);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::super::{Options, RedbStore};
    use super::*;

    #[test]
    fn a_file_that_is_being_closed_is_waited_for_and_one_that_stays_open_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.redb");
        let open = || RedbStore::open(&path, Options::default().patience(Duration::ZERO));
        let patience = Duration::from_secs(3);
        let mut holder = Some(open().unwrap());
        let mut waits = 0;
        let store = when_closed(patience, open, |_| {
            waits += 1;
            if waits == 3 {
                holder = None;
            }
        });
        assert_eq!(waits, 3);
        let _holder = store.unwrap();

        let mut waited = Duration::ZERO;
        let refused = when_closed(patience, open, |look| waited += look);
        assert!(matches!(refused, Err(StoreError::InUse { .. })));
        assert!(
            (patience..patience + LOOK_MAX).contains(&waited),
            "{waited:?}"
        );
    }
}
