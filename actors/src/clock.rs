//! The time of day, as an argument. Delays are tokio's, so that a paused runtime skips them; this is for what is written
//! into records.

/// Where records have their time from.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> u64;
}
