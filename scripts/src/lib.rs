//! The script VM of Bellwether: a pure, synchronous, deterministic state machine around `QuickJS`.
//!
//! ```text
//! parse(source) -> Script      Vm::start(script, …) -> first Turn      vm.deliver(&[Settlement]) -> Turns
//! ```
//!
//! A [`Command`] is all that a script can ask for; a [`Settlement`] is one answer, and one settlement is one turn. Nothing
//! else crosses: no clock, no byte, no promise that the host did not resolve.

#![forbid(unsafe_code)]

pub mod check;
pub mod outline;
pub mod process;

mod command;
mod compiled;
mod context;
mod cpu;
mod duration;
mod flow;
mod header;
mod host;
mod library;
mod limits;
mod parse;
mod paths;
mod refusal;
mod rewrite;
mod rules;
mod script;
mod settle;
mod state;
mod trip;
mod vm;
mod waiting;
mod web;

pub use command::{About, Answer, Call, Command, Nothing, Settlement, Target, Turn, TurnStatus};
pub use duration::milliseconds as duration_milliseconds;
pub use limits::Limits;
pub use refusal::Refusal;
pub use script::{Meta, Phase, Script, parse};
pub use vm::{Start, Vm};
