//! Staying with a run until this process is done with it.

use std::sync::Arc;
use std::time::Duration;

use bellwether::{Engine, RunHandle, Status};

use super::proposal;
use crate::args::{AttachFlags, Common};
use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;
use crate::host::Serving;
use crate::host::daemon::Presence;
use crate::host::notify::Notifier;
use crate::model::Outcome;
use crate::output::progress::Progress;
use crate::output::{self, Screen, human};
use crate::read::{Reader, json};
use crate::signals::{Caught, Signals};

/// How long the engine may take to drain once its last run has ended.
const SHUTDOWN: Duration = Duration::from_secs(10);
/// How long the last events of a run that has ended are waited for.
const LAST_EVENTS: Duration = Duration::from_secs(2);

/// A journal that this process holds, with its engine.
pub(super) struct Session {
    /// What keeps this process besides its own run.
    pub(super) presence: Arc<Presence>,
    /// Who tells that runs have ended.
    pub(super) notifier: Notifier,
    /// The engine.
    pub(super) engine: Engine,
    /// The journal, to read.
    pub(super) reader: Reader,
    /// The socket.
    pub(super) serving: Serving,
    /// How long agents may take to end when a run is stopped.
    pub(super) grace: Duration,
}

impl Session {
    /// Leaves the journal: answers what was asked, ends the engine, closes, releases.
    pub(super) async fn leave(self) {
        let Self {
            engine,
            reader,
            serving,
            notifier,
            ..
        } = self;
        let lock = serving.leave().await;
        engine.shutdown(SHUTDOWN).await;
        notifier.finish().await;
        drop((engine, reader, notifier));
        drop(lock);
    }

    /// Leaves the journal because of an error.
    ///
    /// # Errors
    /// That one.
    pub(super) async fn give_up<T>(self, error: CommandError) -> Result<T> {
        self.leave().await;
        Err(error)
    }
}

/// Waits for something that comes before the run, unless a signal comes first: then the command ends
/// at once. What was acknowledged is in the journal already.
///
/// # Errors
/// What the work says, or the signal.
pub(super) async fn starting<T, E: Into<CommandError>>(
    signals: &mut Signals,
    work: impl Future<Output = std::result::Result<T, E>>,
) -> Result<T> {
    tokio::select! {
        done = work => done.map_err(Into::into),
        caught = signals.next() => Err(CommandError::exit(
            caught.exit_code(),
            format!("{} before the run was at work", caught.name()),
        )),
    }
}

/// How a command is done with the run that it followed.
pub(super) enum Followed {
    /// The run has ended, or stands still; how the command ends.
    Ended(Box<Outcome>, ExitCode),
    /// It goes on without this command.
    Left(ExitCode),
}

impl Followed {
    /// Prints the outcome, when there is one.
    ///
    /// # Errors
    /// Never but for a bug.
    pub(super) fn show(
        self,
        screen: Screen,
        flags: AttachFlags,
        common: &Common,
    ) -> Result<ExitCode> {
        match self {
            Self::Ended(outcome, code) => {
                show(&outcome, screen, flags, common)?;
                Ok(code)
            }
            Self::Left(code) => Ok(code),
        }
    }
}

/// Shows the run until it ends, is stopped, or signals end it.
///
/// # Errors
/// When the journal cannot be read.
pub(super) async fn attach(
    session: Session,
    handle: RunHandle,
    mut signals: Signals,
    screen: Screen,
    flags: AttachFlags,
    common: &Common,
) -> Result<Followed> {
    let run = handle.id();
    let resume = proposal(&format!("resume {run}"), &common.journal);
    let answer = proposal(&format!("answer {run} VALUE"), &common.journal);
    let mut progress = Progress::new(screen, flags.events).answered_by(answer);
    let mut events = handle.events();
    let mut caught: Option<Caught> = None;
    let ended = handle.wait();
    tokio::pin!(ended);
    let mut open = true;
    let status = loop {
        tokio::select! {
            biased;
            signal = signals.next() => {
                if caught.is_some() {
                    leave_at_once(signal, screen, &resume);
                }
                caught = Some(signal);
                screen.note(&screen.err.yellow(&format!(
                    "{}: stopping run {run}; once more to leave at once",
                    signal.name()
                )));
                let (handle, grace) = (handle.clone(), session.grace);
                // A run that has just ended needs no stop.
                tokio::spawn(async move { handle.stop(grace, signal.name()).await });
            }
            // Before the events, or a flood of them would stop the drawing.
            () = progress.tick() => {}
            event = events.next(), if open => match event {
                Some(event) => progress.event(&event),
                None => open = false,
            },
            status = &mut ended => break status,
        }
    };
    // Past this time events that are missing were never sent; the journal has them all the same.
    while open && let Ok(Some(event)) = tokio::time::timeout(LAST_EVENTS, events.next()).await {
        progress.event(&event);
    }
    progress.finish();

    if session.presence.is_busy() || !session.engine.live().is_empty() {
        let others = session.engine.live();
        let others: Vec<String> = others.iter().map(|run| run.id().to_string()).collect();
        if !others.is_empty() {
            screen.note(&screen.err.yellow(&format!(
                "this process carries out {} for others: it stays until they have ended; Ctrl-C stops them",
                others.join(", ")
            )));
        }
        let engine = session.engine.clone();
        tokio::select! {
            () = session.presence.until_idle(1, || engine.live().is_empty()) => {}
            _ = signals.next() => {}
        }
    }
    let reader = session.reader.clone();
    let closing = async {
        let read = tokio::task::spawn_blocking(move || reader.outcome(run)).await;
        session.leave().await;
        read
    };
    let read = tokio::select! {
        read = closing => read,
        signal = signals.next() => leave_at_once(signal, screen, &resume),
    };
    let mut outcome =
        read.unwrap_or_else(|_| Err(CommandError::host("reading the outcome met a bug")))?;
    if handle.journal_failed() {
        // The journal could not be told that it paused the run, nor why.
        outcome.status = status;
        outcome.reason = handle.reason();
    }
    // Somebody may have gone on with it here meanwhile.
    let code = exit_code(outcome.status, handle.journal_failed(), caught);
    Ok(Followed::Ended(Box::new(outcome), code))
}

/// Prints a run's outcome.
///
/// # Errors
/// Never but for a bug.
pub(super) fn show(
    outcome: &Outcome,
    screen: Screen,
    flags: AttachFlags,
    common: &Common,
) -> Result<()> {
    if flags.events || common.json {
        output::line(&json(outcome)?);
    } else if outcome.status.is_final() && outcome.error.is_none() {
        output::line(&human::value(outcome.result.as_deref()));
    }
    let proposal = |command: &str| proposal(command, &common.journal);
    for line in human::outcome(outcome, screen.err, &proposal) {
        screen.note(&line);
    }
    Ok(())
}

/// How the command ends: as the run did, unless a signal or the journal ended it.
pub(super) fn exit_code(status: Status, journal_failed: bool, caught: Option<Caught>) -> ExitCode {
    match (status, caught) {
        _ if journal_failed => ExitCode::Host,
        (Status::Stopped | Status::Stopping, Some(caught)) => caught.exit_code(),
        _ => ExitCode::of(status),
    }
}

/// The second signal: nothing acknowledged is lost, agents' processes end with this one.
fn leave_at_once(signal: Caught, screen: Screen, resume: &str) -> ! {
    let _ = output::bars().clear();
    screen.note(&format!("left at once; go on with `{resume}`"));
    std::process::exit(i32::from(signal.exit_code().number()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_and_the_journal_decide_over_the_status() {
        let table = [
            (Status::Stopped, false, Some(Caught::Interrupt), 130),
            (Status::Stopped, false, Some(Caught::Terminate), 143),
            (Status::Stopped, false, None, 3),
            (Status::Completed, false, Some(Caught::Interrupt), 0),
            (Status::Paused, true, None, 5),
            (Status::Paused, false, None, 3),
            (Status::Degraded, false, None, 4),
        ];
        for (status, journal_failed, caught, number) in table {
            assert_eq!(
                exit_code(status, journal_failed, caught).number(),
                number,
                "{status:?} {caught:?}"
            );
        }
    }
}
