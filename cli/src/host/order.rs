//! What the holder of a journal is asked to begin, by itself or over its socket.

use std::time::Duration;

use bellwether::explain::Explanation;
use bellwether::{
    CallNumber, Caller, ControlError, Engine, Environment, ResumeOptions, RewindOptions, RunHandle,
    RunId, Script, StartOptions, Status,
};
use serde::{Deserialize, Serialize};

use super::notify::{Notifier, Notify};
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
        /// The environment of its agents.
        environment: Environment,
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

/// Something to begin, and whom to tell of its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Submitted {
    /// What.
    #[serde(flatten)]
    pub(crate) order: Order,
    /// What to do when it has ended, or waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) notify: Option<Notify>,
}

impl Submitted {
    /// Begins it.
    ///
    /// # Errors
    /// Why it cannot be begun; nothing has changed then.
    pub(crate) async fn carry_out(self, engine: &Engine, notifier: &Notifier) -> Result<RunHandle> {
        let Self { order, notify } = self;
        // Before it begins, so that a crash in between loses no end; a fork's id is known only then.
        let (entrusted, later) = match (order.run(), notify) {
            (Some(run), Some(notify)) => (Some(notifier.entrust(run, notify)?), None),
            (_, notify) => (None, notify),
        };
        let begun = order.carry_out(engine).await;
        match (&begun, entrusted, later) {
            (Err(_), Some(entrusted), _) => notifier.withdraw(entrusted),
            (Ok(handle), _, Some(notify)) => {
                notifier.entrust(&handle.id().to_string(), notify)?;
            }
            _ => {}
        }
        let handle = begun?;
        notifier.watch(handle.clone()).await;
        Ok(handle)
    }
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
    /// The run that it begins, when that is known before.
    fn run(&self) -> Option<&str> {
        match self {
            Self::Start { run, .. } | Self::Resume { run, .. } | Self::Rewind { run, .. } => {
                Some(run)
            }
            Self::Fork { .. } => None,
        }
    }

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
                environment,
            } => {
                options.environment = Some(environment);
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
    run.parse()
        .map_err(|error: bellwether::InvalidRunId| CommandError::usage(error.to_string()))
}

/// What is wanted of a live run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Wanted {
    /// What.
    pub(crate) verb: Verb,
    /// Who wants it.
    pub(crate) by: String,
    /// Why.
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

/// What can be wanted of a live run. Each may be asked for twice.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Verb {
    /// No new agents; with `now` those at work end, too.
    Pause {
        /// Whether they end.
        now: bool,
    },
    /// It goes on.
    Resume,
    /// It ends in order, and can be resumed.
    Stop,
    /// It ends at once.
    Kill,
    /// These agents end.
    StopAgents(Vec<CallNumber>),
    /// These never start.
    SkipAgents(Vec<CallNumber>),
    /// These begin anew.
    RestartAgents(Vec<CallNumber>),
    /// Other limits.
    Set {
        /// Agents at once.
        concurrency: Option<u32>,
        /// Agents in all.
        agents: Option<u64>,
    },
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Done {
    /// The run.
    pub(crate) run_id: String,
    /// How it stands now.
    pub(crate) status: Status,
    /// Whether the run was live and did it; else nobody works on it.
    #[serde(rename = "done")]
    pub(crate) was_live: bool,
}

impl Wanted {
    /// Carries it out. `false` when the run has just ended.
    ///
    /// # Errors
    /// Why it cannot be carried out.
    pub(crate) async fn carry_out(self, run: &RunHandle, grace: Duration) -> Result<bool> {
        let by = match self.reason {
            Some(reason) => Caller::new(self.by).because(reason),
            None => Caller::new(self.by),
        };
        let done = match self.verb {
            Verb::Pause { now: false } => run.pause(by).await,
            Verb::Pause { now: true } => run.pause_now(by).await,
            Verb::Resume => run.resume(by).await,
            Verb::Stop => run.stop(grace, by).await,
            Verb::Kill => run.kill(by).await,
            Verb::StopAgents(calls) => each(calls, |call| run.stop_agent(call, by.clone())).await,
            Verb::SkipAgents(calls) => each(calls, |call| run.skip_agent(call, by.clone())).await,
            Verb::RestartAgents(calls) => {
                each(calls, |call| run.restart_agent(call, by.clone())).await
            }
            Verb::Set {
                concurrency,
                agents,
            } => run.set_limits(concurrency, agents, by).await,
        };
        match done {
            Ok(()) => Ok(true),
            Err(ControlError::NotLive) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

async fn each<F: Future<Output = std::result::Result<(), ControlError>>>(
    calls: Vec<CallNumber>,
    order: impl Fn(CallNumber) -> F,
) -> std::result::Result<(), ControlError> {
    for call in calls {
        order(call).await?;
    }
    Ok(())
}
