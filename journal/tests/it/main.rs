//! The journal as others use it: bytes, folds and stores together.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bytes;
mod golden;
mod history;
mod kill;
mod queue;
mod stores;
