//! Commands of the built-in agent: in the run's environment, and without the keys that are for the loop.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bellwether_actors::backend::Task;
use bellwether_launcher::{Exit, Launcher, Marker};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::tools::{End, Output, Ran, Shell};
use crate::backend::command::process::Over;
use crate::backend::command::{environment_for, marker_of, shell};
use crate::options::Environment;

/// How long a command may take to end when it is told to.
const GRACE: Duration = Duration::from_secs(2);

/// A shell behind the launcher.
pub(super) struct LaunchedShell {
    launcher: Arc<Launcher>,
    marker: Marker,
    /// What is set or removed in what commands inherit. Keys are for the loop, and not for what a model writes.
    environment: Vec<(OsString, Option<OsString>)>,
}

impl LaunchedShell {
    /// For the attempt of `task`, in the run's environment where that is another than the engine's.
    pub(super) fn new(
        launcher: &Arc<Launcher>,
        task: &Task,
        inherited: Option<&Environment>,
    ) -> Self {
        let mut environment = environment_for(task, &[], inherited);
        let hidden = task.models.iter().flat_map(|models| &models.environment);
        environment.extend(hidden.map(|(name, _)| (name.into(), None)));
        Self {
            launcher: Arc::clone(launcher),
            marker: marker_of(task),
            environment,
        }
    }
}

impl Shell for LaunchedShell {
    fn run(
        &self,
        command: String,
        directory: PathBuf,
        timeout: Duration,
        cancelled: CancellationToken,
    ) -> BoxFuture<'static, io::Result<Ran>> {
        let launcher = Arc::clone(&self.launcher);
        let (marker, environment) = (self.marker.clone(), self.environment.clone());
        async move {
            let line = shell::Line {
                command: &command,
                folder: directory,
                marker,
                environment,
                timeout,
                grace: GRACE,
                rest_bytes: usize::MAX,
            };
            let mut output = Output::default();
            let take = |read: &mut Vec<u8>| {
                output.push(read);
                read.clear();
            };
            let ended = shell::run(&launcher, line, &cancelled, take)
                .await
                .map_err(io::Error::other)?;
            output.push(&ended.output);
            let end = match ended.over {
                _ if ended.is_late => End::TimedOut,
                Over::Ended {
                    exit: Exit::Code(code),
                    ..
                } => End::Exited(code),
                Over::Ended {
                    exit: Exit::Signal(signal),
                    ..
                } => End::Signalled(signal),
                over => return Err(io::Error::other(over.reason("sh"))),
            };
            Ok(Ran { output, end })
        }
        .boxed()
    }
}
