//! Commands of the built-in agent, started as agents' programs are: nothing of them outlives their end, the attempt's or the
//! engine's.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bellwether_actors::backend::{Pressure, Task};
use bellwether_launcher::{Exit, Launcher, Marker, Order, Start};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::tools::{End, Output, Ran, Shell};
use crate::backend::command::environment_for;
use crate::backend::command::process::{Input, News, Over, Process};
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
        let token = task.token;
        let attempt = format!(
            "{}.{}.{}.{}",
            token.run, token.generation, token.call, token.attempt
        );
        let mut environment = environment_for(task, &[], inherited);
        let hidden = task.models.iter().flat_map(|models| &models.environment);
        environment.extend(hidden.map(|(name, _)| (name.into(), None)));
        Self {
            launcher: Arc::clone(launcher),
            marker: Marker::new(task.journal.to_hex(), token.epoch.0, attempt),
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
        let start = Start {
            program: "sh".into(),
            // One stream, so that what is written to both stands in its order.
            arguments: ["-c", &format!("exec 2>&1\n{command}")]
                .map(Into::into)
                .into(),
            working_directory: directory,
            marker: self.marker.clone(),
            environment: self.environment.clone(),
            stderr_bytes: 0,
        };
        let launcher = Arc::clone(&self.launcher);
        async move {
            let mut process = Process::start(&launcher, start)
                .await
                .map_err(io::Error::other)?;
            let mut input = Input::new(Vec::new(), true);
            let (mut read, mut output) = (Vec::new(), Output::default());
            let (mut is_late, mut is_told) = (false, false);
            let pressure = Pressure::none();
            let time = tokio::time::sleep(timeout);
            tokio::pin!(time);
            let over = loop {
                tokio::select! {
                    biased;
                    () = &mut time, if !is_late && !is_told => {
                        is_late = true;
                        process.order(Order::Terminate { grace: GRACE }).await;
                    }
                    () = cancelled.cancelled(), if !is_told => {
                        is_told = true;
                        process.order(Order::Terminate { grace: GRACE }).await;
                    }
                    news = process.next(&mut input, &mut read, &pressure) => match news {
                        News::Output => {
                            output.push(&read);
                            read.clear();
                        }
                        News::Closed => {}
                        News::Over(over) => break over,
                    },
                }
            };
            process.rest(&mut read, usize::MAX);
            output.push(&read);
            let end = match over {
                _ if is_late => End::TimedOut,
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
