//! Time, as agents and the demonstration see it: nothing else in this example reads a clock.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970, by which lines of different processes are compared.
pub fn microseconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |passed| passed.as_micros() as u64)
}

/// A moment from which durations are measured.
pub fn now() -> Instant {
    Instant::now()
}

/// Waits.
pub fn pause(duration: Duration) {
    thread::sleep(duration);
}
