//! Agents in worktrees of their own, on repositories in every state that people and agents leave them in.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bed;
mod crash;
mod disk;
mod extras;
mod hostile;
mod isolated;
mod landing;
mod places;
mod work;

bellwether::child_main_before_tests!();
