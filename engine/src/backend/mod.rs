//! The agents that come with the engine.

#[cfg(feature = "command")]
pub mod command;
pub mod dry;

#[cfg(test)]
mod conformance;
