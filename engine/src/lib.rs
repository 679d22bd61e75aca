//! The engine of Bellwether: durable dynamic workflows inside a Rust program.

pub mod view;

mod clock;
mod engine;
mod error;
mod event;
mod handle;
mod options;

pub use bellwether_actors::backend::{
    AgentBackend, AgentOptions, AgentOutcome, AttemptContext, Ended, PreviousAttempt, Progress,
    ProgressEvent, Task,
};
pub use bellwether_journal::id::{Attempt, CallNumber, Generation, RunId};
pub use bellwether_journal::record::{Failure, FailureKind, ScriptError, Status, Usage};
pub use bellwether_journal::store::Store;
pub use clock::{Clock, SystemClock};
pub use engine::{Builder, Engine};
pub use error::{BuildError, ControlError, ResumeError, RunError, StartError};
pub use event::{Event, Events, Lagged};
pub use handle::RunHandle;
pub use options::{AgentInput, Limits, ResumeOptions, Script, StartOptions};
