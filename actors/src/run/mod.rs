//! One run: its rules ([`machine`] and what comes out of them, [`output`]), its recovery ([`replay`]), its calls' keys ([`keys`]), and the actor that performs
//! ([`supervisor`]).

mod calls;
mod control;
pub mod keys;
pub mod machine;
pub mod message;
pub mod output;
mod perform;
pub mod replay;
pub mod supervisor;
#[cfg(test)]
mod tests;
