//! Shell commands of the engine's own (a setup, a verification), started as agents are: nothing of them outlives their
//! end, or the engine's.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bellwether_actors::backend::Pressure;
use bellwether_launcher::{Exit, Launcher, Marker, Order, Start};

use crate::backend::command::process::{Input, News, Over, Process, describe};

/// How much of the end of what a command writes is kept, in bytes.
const OUTPUT_BYTES: usize = 4096;
/// How long a command may take to end after its time is over.
const GRACE: Duration = Duration::from_secs(5);

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    /// With exit code 0.
    pub(crate) success: bool,
    /// How, in words that follow its name.
    pub(crate) ended: String,
    /// The end of what it wrote, to stdout and stderr.
    pub(crate) output: String,
}

/// Runs `command` with `sh -c` in `folder`, with nothing on stdin. Dropping the future ends it with all that it started.
///
/// # Errors
/// It could not be started: why.
pub(crate) async fn run(
    launcher: &Arc<Launcher>,
    command: &str,
    folder: &Path,
    marker: Marker,
    timeout: Duration,
) -> Result<Ran, String> {
    let start = Start {
        program: "sh".into(),
        // One stream, so that the two are in order.
        arguments: ["-c", &format!("exec 2>&1\n{command}")]
            .map(Into::into)
            .into(),
        working_directory: folder.to_owned(),
        marker,
        environment: crate::git::LOCAL_VARIABLES
            .map(|variable| (variable.into(), None))
            .into(),
        stderr_bytes: 0,
    };
    let started = Process::start(launcher, start).await;
    let mut process = started.map_err(|error| error.to_string())?;
    let mut input = Input::new(Vec::new(), true);
    let mut output = Vec::new();
    let (mut late, pressure) = (false, Pressure::none());
    let time = tokio::time::sleep(timeout);
    tokio::pin!(time);
    let over = loop {
        tokio::select! {
            biased;
            () = &mut time, if !late => {
                late = true;
                process.order(Order::Terminate { grace: GRACE }).await;
            }
            news = process.next(&mut input, &mut output, &pressure) => match news {
                News::Output => keep_end(&mut output, 16 * OUTPUT_BYTES),
                News::Closed => {}
                News::Over(over) => break over,
            },
        }
    };
    process.rest(&mut output, 16 * OUTPUT_BYTES);
    keep_end(&mut output, OUTPUT_BYTES);
    let ended = match &over {
        _ if late => format!("took longer than {timeout:?} and was ended"),
        Over::Ended { exit, .. } => describe(*exit),
        over => over.reason("sh"),
    };
    let success = |over: &Over| matches!(over, Over::Ended { exit: Exit::Code(0), survivors, .. } if survivors.is_empty());
    Ok(Ran {
        success: !late && success(&over),
        ended,
        output: String::from_utf8_lossy(&output).trim_end().to_owned(),
    })
}

/// Cuts off the beginning of what is longer than `max`, at a line's end where one is near.
fn keep_end(output: &mut Vec<u8>, max: usize) {
    let surplus = output.len().saturating_sub(max);
    if surplus > 0 {
        let rest = output.get(surplus..).unwrap_or_default();
        let line = rest.iter().position(|byte| *byte == b'\n');
        let line = line
            .filter(|line| *line < max / 2)
            .map_or(0, |line| line + 1);
        output.drain(..surplus + line);
    }
}
