//! The built-in agent: a model that is asked, whose tool calls are made, until it answers.
//!
//! ```text
//! Job ──► texts ──► History ──► request ──► exchange (genai) ──► Answer ──► calls ──► History …
//!                      ▲                        │ Fault
//!                  compaction                 retry
//! ```
//!
//! It knows nothing of runs, journals and budgets. It talks to one [`Endpoint`], which is an address of the gateway: that is
//! where calls are admitted, counted and cut off. What it says to a model stands in `texts`, what it decides in pure functions
//! (`fault`, `retry`, `compaction`, `schema`, `json`), and when it asks for time or chance it does so through [`Pace`].
//!
//! An answer is asked for in the schema's shape where the provider can see to it, and is otherwise the last JSON in the text
//! (S03); whether it fits is the caller's to check (S02). Its bytes stay as they were (A08).

mod answer;
mod calls;
mod compaction;
mod endpoint;
mod exchange;
mod fault;
mod gate;
mod history;
mod job;
mod json;
mod notes;
mod pace;
mod refusal;
mod request;
mod retry;
mod schema;
#[cfg(test)]
mod tests;
mod texts;
mod turns;
mod watch;
mod worker;

pub(crate) use calls::{ToolAnswer, ToolDefinition, Tools};
pub(crate) use endpoint::{Endpoint, NativeSchema, Wire, client};
pub(crate) use job::{Effort, Finished, Job, StopKind, Stopped, Tokens};
pub(crate) use notes::{ProjectNote, project_notes};
pub(crate) use pace::Pace;
pub(crate) use watch::{Event, Watch};
pub(crate) use worker::Worker;
