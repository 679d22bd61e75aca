//! The agents that come with the engine.

#[cfg(feature = "codemod")]
pub mod codemod;
#[cfg(feature = "command")]
pub mod command;
pub mod dry;
#[cfg(feature = "llm")]
pub(crate) mod llm;
pub mod script_check;
#[cfg(feature = "sources")]
pub mod sources;

#[cfg(all(test, feature = "command"))]
mod conformance;
#[cfg(test)]
pub(crate) mod fixtures;
