//! The script VM of Bellwether: a pure, synchronous, deterministic state machine around QuickJS.
//!
//! ```text
//! parse(source) -> Script      Vm::start(script, …) -> first Turn      vm.deliver(&[Settlement]) -> Turns
//! ```
//!
//! A [`Command`] is all that a script can ask for; a [`Settlement`] is one answer, and one settlement is one turn. Nothing
//! else crosses: no clock, no byte, no promise that the host did not resolve.

mod command;

pub use command::{Answer, Call, Command, Settlement, Target, Turn, TurnStatus};
