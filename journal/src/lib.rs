//! The memory of Bellwether and its rules: what is recorded, in which bytes, how a run's state follows from it, and what
//! keeps it. Knows no actor, no script and no clock.
//!
//! The way of a record: [`record::Record`] → [`codec`] (envelope, chain of hashes) → [`batch`] (group commit) →
//! [`store::Store`]; and back: [`store::Store`] → [`read`] → [`codec`] → [`state::RunState::apply`].
//!
//! | module | what it is |
//! |---|---|
//! | [`record`] | the vocabulary: all that can happen in a run |
//! | [`usage`] | what models have used, in tokens and money |
//! | [`id`], [`key`], [`text`] | names, hashes, and texts that lie outside their record |
//! | [`codec`] | records and summaries in bytes; the chain of hashes |
//! | [`state`] | the fold: what a run's records make of it |
//! | [`store`] | what keeps a journal; [`redb`] on a disk, [`memory`] in memory, [`suite`] for your own |
//! | [`batch`] | which submissions go to the disk together |
//! | [`read`] | runs from a store, a page at a time |
//! | [`error`] | what can go wrong, sorted by what the caller does next |

#![forbid(unsafe_code)]

pub mod batch;
pub mod codec;
pub mod error;
pub mod id;
pub mod key;
pub mod memory;
pub mod read;
pub mod record;
pub mod redb;
pub mod state;
pub mod store;
pub mod suite;
pub mod text;
pub mod transfer;
pub mod usage;
