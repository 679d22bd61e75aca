//! One run: its rules ([`machine`] and what comes out of them, [`output`]), its recovery ([`replay`]), what a generation
//! reuses of the one before ([`rewind`]) and takes over from it at work ([`adopt`]), its calls' keys ([`keys`]), and the actor that performs ([`supervisor`]).

pub mod adopt;
pub mod budget;
mod calls;
mod changeover;
mod control;
pub mod keys;
pub mod machine;
pub mod message;
pub mod orders;
pub mod output;
mod perform;
pub mod questions;
mod queues;
pub mod replay;
pub mod rewind;
mod rewound;
pub mod supervisor;
#[cfg(test)]
mod tests;
pub mod version;
