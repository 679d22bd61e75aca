//! Errors, by what the caller does next.

pub use bellwether_actors::run::orders::OrderError;
use bellwether_journal::id::{CallNumber, RunId};
use bellwether_journal::record::{ScriptError, Status};

/// Why an engine could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] bellwether_journal::error::StoreError),
    /// The builder was told things that do not go together.
    #[error("{0}")]
    Setting(String),
}

/// Why a run was not started. Nothing was journaled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The script was refused; the text shows where and what is allowed.
    #[error("{0}")]
    Refused(String),
    /// The arguments are no JSON, or not what `meta.args` asks for.
    #[error("args: {0}")]
    Args(String),
    /// No backend is named, or none of that name is there.
    #[error("{0}")]
    Backend(String),
    /// A run of this id is there with another script or other arguments.
    #[error("run {run} is there already, with {what}")]
    Conflict {
        /// The run.
        run: RunId,
        /// What differs.
        what: &'static str,
    },
    /// The engine is shutting down.
    #[error("the engine is shutting down")]
    ShuttingDown,
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] bellwether_journal::error::StoreError),
}

/// Why a run was not resumed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// No run of this id.
    #[error("there is no run {0}")]
    Unknown(RunId),
    /// The run has ended: there is nothing to resume.
    #[error("run {run} is {}: nothing is left to do", .status.name())]
    Ended {
        /// The run.
        run: RunId,
        /// How it ended.
        status: Status,
    },
    /// The run was to be rewound, and could not be.
    #[error(transparent)]
    Rewind(#[from] RewindError),
    /// Another VM wrote the journal (R06).
    #[error(
        "run {run} was recorded by another version of the script VM ({recorded}, and this one is {known}); resume it with the bellwether that recorded it"
    )]
    OtherVm {
        /// The run.
        run: RunId,
        /// The VM that recorded it.
        recorded: String,
        /// The VM of this program.
        known: String,
    },
    /// The replay went another way than the journal (R06). The run is as it was.
    #[error("{0}")]
    Diverged(String),
    /// The script breaks a limit that it kept before (B07): resume it with the limit that it had. The run is as it was.
    #[error("{0}")]
    Limit(String),
    /// Its backend is not there.
    #[error("{0}")]
    Backend(String),
    /// The engine is shutting down.
    #[error("the engine is shutting down")]
    ShuttingDown,
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] bellwether_journal::error::StoreError),
}

/// Why a run was not rewound. It is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RewindError {
    /// There is no such run in this journal, or it never began.
    #[error("there is no run {0} in this journal that could be rewound")]
    Unknown(RunId),
    /// The run has no such agent.
    #[error("run {run} has no agent a-{call}; `bellwether show {run}` lists them")]
    NoSuchAgent {
        /// The run.
        run: RunId,
        /// The agent.
        call: CallNumber,
    },
    /// The script or its arguments are refused.
    #[error("{0}")]
    Refused(String),
    /// What the run did to the world would be done again.
    #[error("{}", repeats(.0))]
    Repeats(Vec<String>),
    /// Its backend is not there.
    #[error("{0}")]
    Backend(String),
    /// The engine is shutting down.
    #[error("the engine is shutting down")]
    ShuttingDown,
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] bellwether_journal::error::StoreError),
}

fn repeats(steps: &[String]) -> String {
    format!(
        "the rewind would do again what was done to the repository already:\n{}\nallow it with `--repeat-merges`, or take these \
         steps out of the script",
        steps
            .iter()
            .map(|step| format!("  {step}"))
            .collect::<Vec<_>>()
            .join("\n")
    )
}

/// Why a run has no value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The script threw, or a limit ended it.
    #[error("{}: {}", .0.name, .0.message)]
    Failed(Box<ScriptError>),
    /// The run was stopped, paused or killed before its end and can be resumed.
    #[error("the run is {} and can be resumed{}", .status.name(), .reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
    Unfinished {
        /// What it is now.
        status: Status,
        /// Why, if that was said.
        reason: Option<String>,
    },
    /// The value is another shape than the one asked for.
    #[error("the run's value has another shape: {0}")]
    Shape(#[from] serde_json::Error),
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] bellwether_journal::error::StoreError),
}

/// Why a verb was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The run has ended or its engine is gone: nothing to control.
    #[error("the run is not live")]
    NotLive,
    /// The order cannot be carried out.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// The question may not be answered so; what may be answered.
    #[error("{0}")]
    Answer(String),
    /// What is asked cannot be read from the journal.
    #[error(transparent)]
    Journal(#[from] bellwether_journal::error::StoreError),
}
