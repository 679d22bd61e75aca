//! Shell commands of the engine's own (a setup, a verification), started as agents are: nothing of them outlives their
//! end, or the engine's.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bellwether_launcher::{Exit, Launcher, Marker};
use tokio_util::sync::CancellationToken;

use crate::backend::command::process::{Over, describe};
use crate::backend::command::shell;

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
    let line = shell::Line {
        command,
        folder: folder.to_owned(),
        marker,
        environment: crate::git::LOCAL_VARIABLES
            .map(|variable| (variable.into(), None))
            .into(),
        timeout,
        grace: GRACE,
        rest_bytes: 16 * OUTPUT_BYTES,
    };
    // Whoever wants it ended drops it.
    let cancelled = CancellationToken::new();
    let take = |output: &mut Vec<u8>| keep_end(output, 16 * OUTPUT_BYTES);
    let ended = shell::run(launcher, line, &cancelled, take).await;
    let shell::Ended {
        over,
        is_late: late,
        mut output,
    } = ended.map_err(|error| error.to_string())?;
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
