//! The tools of the built-in agent loop: files, search, commands, web pages, a list.
//!
//! A [`Toolbox`] is one agent's. What a model does wrong is told to the model ([`Answer::is_error`]), in words that
//! say what to do instead; nothing that it asks for is an error of the engine. Files are those of a [`Workplace`] and
//! nothing else. Which tools there are at all is said by [`Permitted`].

mod address;
mod answer;
mod content;
mod edit;
mod fetch;
mod fetcher;
mod glob;
mod grep;
mod memory;
pub mod names;
mod page;
mod permitted;
mod put;
mod read;
mod refusal;
mod replace;
mod search;
mod shell;
#[cfg(test)]
mod tests;
mod todo;
mod tool;
mod toolbox;
mod walk;
mod workplace;
mod write;
mod writing;

pub use answer::{Answer, Definition};
pub use fetch::{Page, Web, WebError};
pub use fetcher::{Addresses, Fetcher};
pub use names::Name;
pub use permitted::{Permitted, Reason, Switches, Warning};
pub use shell::{End, Output, Ran, Shell};
pub use tool::Tool;
pub use toolbox::{Means, NotAdded, Toolbox};
pub use workplace::Workplace;
