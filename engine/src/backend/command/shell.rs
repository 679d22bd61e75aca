//! A line for a shell, started as agents are: nothing of it outlives its end, or the engine's.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bellwether_actors::backend::Pressure;
use bellwether_launcher::{Launcher, Marker, Order, Start, StartError};
use tokio_util::sync::CancellationToken;

use super::process::{Input, News, Over, Process};

/// What is run, with `sh -c` and nothing on stdin.
pub(crate) struct Line<'a> {
    pub(crate) command: &'a str,
    pub(crate) folder: PathBuf,
    pub(crate) marker: Marker,
    /// What is set or removed in what it inherits.
    pub(crate) environment: Vec<(OsString, Option<OsString>)>,
    /// When it is told to end.
    pub(crate) timeout: Duration,
    /// How long it may take to end then.
    pub(crate) grace: Duration,
    /// As much is read at its end of what it wrote and nobody has read yet, in bytes.
    pub(crate) rest_bytes: usize,
}

/// How it ended.
pub(crate) struct Ended {
    pub(crate) over: Over,
    /// Its time was over.
    pub(crate) is_late: bool,
    /// What is left of what it wrote to stdout and stderr, after `take`.
    pub(crate) output: Vec<u8>,
}

/// Runs a line until it has ended: by itself, after its time, or because `cancelled` is. `take` may take off, or cut, what was
/// read so far. Dropping the future ends the line with all that it started.
///
/// # Errors
/// It could not be started.
pub(crate) async fn run(
    launcher: &Arc<Launcher>,
    line: Line<'_>,
    cancelled: &CancellationToken,
    mut take: impl FnMut(&mut Vec<u8>),
) -> Result<Ended, StartError> {
    let start = Start {
        program: "sh".into(),
        // One stream, so that the two are in order.
        arguments: ["-c", &format!("exec 2>&1\n{}", line.command)]
            .map(Into::into)
            .into(),
        working_directory: line.folder,
        marker: line.marker,
        environment: line.environment,
        stderr_bytes: 0,
    };
    let mut process = Process::start(launcher, start).await?;
    let mut input = Input::new(Vec::new(), true);
    let (mut output, pressure) = (Vec::new(), Pressure::none());
    let (mut is_late, mut is_told) = (false, false);
    let time = tokio::time::sleep(line.timeout);
    tokio::pin!(time);
    let over = loop {
        tokio::select! {
            biased;
            () = &mut time, if !is_told => {
                (is_late, is_told) = (true, true);
                process.order(Order::Terminate { grace: line.grace }).await;
            }
            () = cancelled.cancelled(), if !is_told => {
                is_told = true;
                process.order(Order::Terminate { grace: line.grace }).await;
            }
            news = process.next(&mut input, &mut output, &pressure) => match news {
                News::Output => take(&mut output),
                News::Closed => {}
                News::Over(over) => break over,
            },
        }
    };
    process.rest(&mut output, line.rest_bytes);
    Ok(Ended {
        over,
        is_late,
        output,
    })
}
