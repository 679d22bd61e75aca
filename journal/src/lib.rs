//! The memory of Bellwether and its rules: what is recorded, in which bytes, how a run's state follows from it, and what
//! keeps it. Knows no actor, no script and no clock.
//!
//! The way of a record: [`record::Record`] → [`codec`] (envelope, chain of hashes) → [`batch`] (group commit) →
//! [`store::Store`]; and back: [`store::Store`] → [`codec`] → [`state::RunState::apply`].

pub mod error;
pub mod id;
pub mod key;
pub mod record;
pub mod store;
pub mod text;
