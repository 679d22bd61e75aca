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
pub(crate) mod names;
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

pub(crate) use answer::{Answer, Definition};
pub(crate) use fetch::Web;
#[cfg(test)]
pub(crate) use fetch::{Page, WebError};
pub(crate) use fetcher::{Addresses, Fetcher};
pub(crate) use names::Name;
#[cfg(test)]
pub(crate) use permitted::Reason;
pub(crate) use permitted::{Permitted, Switches, Warning};
pub(crate) use shell::{End, Output, Ran, Shell};
pub(crate) use tool::{Tool, parsed};
#[cfg(test)]
pub(crate) use toolbox::NotAdded;
pub(crate) use toolbox::{Means, Toolbox};
pub(crate) use workplace::Workplace;
