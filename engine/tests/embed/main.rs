//! The engine as a program embeds it: through `bellwether` alone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adopting;
mod asking;
mod bed;
mod ending;
mod limits;
#[cfg(feature = "command")]
mod processes;
mod quiet;
mod resuming;
mod runtimes;
mod starting;
mod stores;
mod verbs;
mod watching;

#[cfg(feature = "command")]
bellwether::child_main_before_tests!();
