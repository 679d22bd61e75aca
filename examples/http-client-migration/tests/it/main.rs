//! The migration through the real program, and its agents by themselves.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agent;
mod bed;
mod faults;
mod own_rule;
mod service;
