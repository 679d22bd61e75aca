//! Rewinds through the engine: what runs again, and that nothing else does.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bed;
mod counts;
mod generate;
mod properties;
