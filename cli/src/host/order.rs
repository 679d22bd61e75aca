//! What the holder of a journal is asked to begin, by itself or over its socket.

use bellwether::explain::Explanation;
use bellwether::{
    CallNumber, Engine, ResumeOptions, RewindOptions, RunHandle, RunId, Script, StartOptions,
};
use serde::{Deserialize, Serialize};

use crate::error::{CommandError, Result};

/// Something to begin. Each is asked for with the run's id, so that asking twice begins one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Order {
    /// A new run, under an id that the caller has chosen.
    Start {
        /// The id.
        run: String,
        /// The script.
        script: Script,
        /// All else.
        options: Box<StartOptions>,
    },
    /// An unfinished run goes on.
    Resume {
        /// The run.
        run: String,
        /// What changes.
        options: ResumeOptions,
    },
    /// A new generation of a run.
    Rewind {
        /// The run.
        run: String,
        /// What changes.
        options: Box<RewindOptions>,
    },
    /// A new run with what another one has done.
    Fork {
        /// The run.
        run: String,
        /// The call before which it ends.
        before: Option<CallNumber>,
        /// What changes.
        options: Box<RewindOptions>,
    },
}

/// What is asked of a rewind before.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Asked {
    /// The run.
    pub(crate) run: String,
    /// For a fork: the call before which it ends.
    pub(crate) before: Option<CallNumber>,
    /// What changes.
    pub(crate) options: RewindOptions,
}

/// What has begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Begun {
    /// The run.
    pub(crate) run_id: String,
    /// Its name.
    pub(crate) name: String,
}

impl Order {
    /// Begins it.
    ///
    /// # Errors
    /// Why it cannot be begun; nothing has changed then.
    pub(crate) async fn carry_out(self, engine: &Engine) -> Result<RunHandle> {
        Ok(match self {
            Self::Start {
                run,
                script,
                mut options,
            } => {
                options.run_id = Some(parsed(&run)?);
                options.watched = true;
                engine.start(script, *options).await?
            }
            Self::Resume { run, mut options } => {
                options.watched = true;
                engine.resume(parsed(&run)?, options).await?
            }
            Self::Rewind { run, mut options } => {
                options.resume.watched = true;
                engine.rewind(parsed(&run)?, *options).await?
            }
            Self::Fork {
                run,
                before,
                mut options,
            } => {
                options.resume.watched = true;
                engine.fork(parsed(&run)?, before, *options).await?
            }
        })
    }
}

impl Asked {
    /// Answers it.
    ///
    /// # Errors
    /// Why it cannot be answered.
    pub(crate) async fn explain(&self, engine: &Engine) -> Result<Explanation> {
        let run = parsed(&self.run)?;
        Ok(engine.explain(run, self.before, &self.options).await?)
    }
}

fn parsed(run: &str) -> Result<RunId> {
    run.parse().map_err(|error: bellwether::InvalidRunId| CommandError::usage(error.to_string()))
}
