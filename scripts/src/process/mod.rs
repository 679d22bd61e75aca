//! The VM in a process of its own: what a script can do to its interpreter it does there, not to the engine.
//!
//! ```text
//! engine: Process ── Request frames ──► serve() in the child: one Vm a number, a thread a turn under way
//!            ▲ ◄───── Reply frames ────┘
//! ```
//!
//! One child serves many runs. What the in-process VM promises holds here too, and besides: a turn that never looks up
//! (one native call of the interpreter) is ended by ending the child (B07), and a crash of the interpreter is the child's.
//! [`Lost`] says whom it is charged to; whoever lost a VM makes it anew from the journal.
//!
//! Nothing in here starts a program: the pipe's two ends and the [`Peer`] behind them come as arguments.

mod client;
mod frame;
mod serve;
#[cfg(test)]
mod tests;

pub use client::{Peer, Process, RemoteVm, ThreadState};
pub use serve::serve;

use crate::command::{Settlement, Turn};
use crate::vm::Vm;

/// A running script, wherever its interpreter is.
pub trait ScriptVm: Send {
    /// Gives settlements to the script, each its own turn, until one ends it.
    ///
    /// # Errors
    /// [`Lost`]: there is no VM any more, and what the settlements led to is not known.
    fn deliver(&mut self, settlements: &[Settlement]) -> Result<Vec<Turn>, Lost>;
}

impl ScriptVm for Vm {
    fn deliver(&mut self, settlements: &[Settlement]) -> Result<Vec<Turn>, Lost> {
        Ok(Self::deliver(self, settlements))
    }
}

/// A VM is gone with its process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// While it was at work on this script, which may be why.
    #[error("{0}")]
    AtWork(String),
    /// While it was at work on another's, or on none: this script has no part in it.
    #[error("{0}")]
    Elsewhere(String),
}
