//! The moving parts of Bellwether: one tree of actors an engine (`ARCHITECTURE.md` draws it).
//!
//! ```text
//! Root ─┬─ journal::Journal
//!       └─ run::supervisor::RunSupervisor (one a run) ─┬─ pool::AgentPool ── agent::Agent (one an attempt)
//!                                                      └─ orchestrator::Orchestrator (owns the VM)
//! ```
//!
//! What is decided stands in pure modules ([`run::machine`], [`restart`], the queue inside [`scheduler`]); the actors
//! perform it. Knows agents only as [`backend::AgentBackend`].

pub mod agent;
pub mod backend;
mod child;
pub mod clock;
pub mod journal;
pub mod observe;
pub mod orchestrator;
pub mod pool;
pub mod restart;
pub mod root;
pub mod run;
pub mod scheduler;
pub mod tree;
