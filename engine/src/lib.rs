//! The engine of Bellwether: durable dynamic workflows inside a Rust program.
//!
//! An [`Engine`] holds one journal. [`Engine::start`] runs a script; its agents are [`AgentBackend`]s; [`RunHandle`]
//! waits, watches and steers; [`Engine::resume`] goes on with what a crash left.
//!
//! ```
//! use std::sync::Arc;
//! use bellwether::{Engine, Script, StartOptions, backend::dry::Dry};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::builder().memory().backend("dry", Arc::new(Dry)).build().await?;
//! let script = Script::text(
//!     "export const meta = { name: 'review', description: 'Reviews files' }
//!      return await parallel(args.map((file) => () => agent(`Review ${file}.`, { label: file })))",
//! );
//! let options = StartOptions::new().backend("dry").args(&["a.ts", "b.ts"])?;
//! let run = engine.start(script, options).await?;
//! let reviews: Vec<String> = run.result().await?;
//! assert_eq!(reviews, ["agent text output 1", "agent text output 2"]);
//! # Ok(())
//! # }
//! ```

pub mod agent_type;
pub mod backend;
pub mod check;
#[cfg(feature = "gateway")]
pub mod gateway;
#[cfg(feature = "worktree")]
pub mod landing;
#[cfg(feature = "gateway")]
pub mod models;
pub mod plan;
pub mod store;
pub mod view;
#[cfg(feature = "agent-files")]
pub mod workflow;
#[cfg(feature = "worktree")]
pub mod worktree;

mod approve;
mod builder;
mod bundled;
#[cfg(feature = "command")]
mod child;
mod clock;
mod engine;
mod entropy;
mod error;
mod event;
pub mod explain;
#[cfg(feature = "worktree")]
mod git;
mod handle;
#[cfg(feature = "worktree")]
mod isolation;
mod observe;
mod options;
#[cfg(feature = "command")]
mod processes;
mod resolve;
mod resume;
mod rewind;
mod run;
mod schema;
mod start;
mod vm;

pub use approve::Approver;
pub use bellwether_actors::backend::{
    AgentBackend, AgentOptions, AgentOutcome, AttemptContext, Changes, Ended, ModelAccess,
    NoteError, Notes, Pressure, PreviousAttempt, Progress, ProgressEvent, TakeWord, Task, Used,
    Violation, Word,
};
pub use bellwether_actors::restart::Retries;
pub use bellwether_actors::run::budget::Allowance;
pub use bellwether_journal::id::{
    Attempt, CallNumber, Epoch, FencingToken, Generation, InvalidRunId, RunId,
};
pub use bellwether_journal::key::Digest;
pub use bellwether_journal::record::{
    ChangedFile, Failure, FailureKind, FileChange, Level, ScriptError, Status, Usage,
};
pub use bellwether_journal::store::Store;
pub use bellwether_journal::usage::Counted;
#[cfg(feature = "command")]
#[doc(hidden)]
pub use bellwether_launcher::child_main_before_tests as before_main;
pub use builder::Builder;
#[cfg(feature = "command")]
pub use child::{child_main, child_main_from_c};
pub use clock::{Clock, SystemClock};
pub use engine::Engine;
pub use error::{
    BuildError, ControlError, OrderError, ResumeError, RewindError, RunError, StartError,
};
pub use event::{Event, Events, Lagged};
pub use handle::{Caller, RunHandle};
pub use options::{
    AgentInput, Environment, Isolate, Limits, Permissions, ResumeOptions, Script, ScriptLimits,
    StartOptions, WorktreeOptions, default_concurrency,
};

pub use rewind::{Reuse, RewindOptions};
pub use view::Question;

/// A run's id that nobody has used, for a caller who wants to name its run before it is started.
///
/// # Errors
/// The system gives no random bytes.
pub fn new_run_id() -> Result<RunId, bellwether_journal::error::StoreError> {
    entropy::run_id()
}

/// The blocks of `docs/embedding.md`, compiled and run.
#[cfg(all(doctest, feature = "command"))]
#[doc = include_str!("../../docs/embedding.md")]
pub struct Embedding;
