//! Where a command's run is carried out: in this process, which holds the journal then, or in the one that does.

use std::path::Path;

use bellwether::view::RunView;
use bellwether::{Event, Lagged, RunId};
use serde::Deserialize;
use serde_json::json;

use super::attach::{self, Session, attach, starting};
use super::proposal;
use super::run::open;
use super::source::none_there;
use super::stop::caller;
use crate::args::{AttachFlags, Common};
use crate::config::Config;
use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;
use crate::host::client::{Client, parse, segment};
use crate::host::order::{Asked, Begun, Order};
use crate::host::reach::{Reached, reach};
use crate::model::Outcome;
use crate::output::Screen;
use crate::output::progress::Progress;
use crate::read::Reader;
use crate::signals::Signals;

/// Who carries out.
pub(super) enum Carrier {
    /// This process.
    Here(Box<Session>),
    /// The one that holds the journal.
    There(Client),
}

/// A run that has begun.
pub(super) enum Carried {
    /// In this process.
    Here(Box<Session>, bellwether::RunHandle),
    /// In the one that holds the journal.
    There(Client, Begun),
}

impl Carrier {
    /// Takes the journal, or finds who has it. Only `run` makes a journal where there is none.
    ///
    /// # Errors
    /// When it cannot be used.
    pub(super) async fn reach(
        journal: &Path,
        config: &Config,
        purpose: &str,
        signals: &mut Signals,
    ) -> Result<Self> {
        if purpose != "run" && !journal.is_file() {
            return Err(none_there(journal));
        }
        Ok(match starting(signals, reach(journal, purpose)).await? {
            Reached::Free(lock) => {
                Self::Here(Box::new(open(lock, journal, config, purpose, signals).await?))
            }
            Reached::Held(client) => Self::There(client),
        })
    }

    /// The run that a selector names, as the journal has it.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub(super) async fn view(&self, selector: &str) -> Result<RunView> {
        match self {
            Self::Here(session) => look(&session.reader, selector.to_owned()).await,
            Self::There(client) => {
                parse(&client.get(&format!("/v1/runs/{}", segment(selector))).await?)
            }
        }
    }

    /// What a rewind would do.
    ///
    /// # Errors
    /// Why it cannot be said.
    pub(super) async fn explain(
        &self,
        asked: &Asked,
    ) -> Result<bellwether::explain::Explanation> {
        match self {
            Self::Here(session) => asked.explain(&session.engine).await,
            Self::There(client) => {
                let asked = serde_json::to_value(asked).map_err(CommandError::bug)?;
                parse(&client.post("/v1/explain", &asked).await?)
            }
        }
    }

    /// Begins something.
    ///
    /// # Errors
    /// Why it cannot be begun. The journal is left then.
    pub(super) async fn carry_out(self, order: Order, signals: &mut Signals) -> Result<Carried> {
        match self {
            Self::Here(session) => {
                let begun = starting(signals, Box::pin(order.carry_out(&session.engine))).await;
                match begun {
                    Ok(handle) => Ok(Carried::Here(session, handle)),
                    Err(error) => session.give_up(error).await,
                }
            }
            Self::There(client) => {
                let order = serde_json::to_value(&order).map_err(CommandError::bug)?;
                let begun = client.post("/v1/orders", &order).await?;
                Ok(Carried::There(client, parse(&begun)?))
            }
        }
    }

    /// Leaves the journal.
    pub(super) async fn leave(self) {
        if let Self::Here(session) = self {
            session.leave().await;
        }
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

/// The run as the journal has it.
async fn look(reader: &Reader, selector: String) -> Result<RunView> {
    let reader = reader.clone();
    let read = tokio::task::spawn_blocking(move || reader.view(reader.find(&selector)?)).await;
    read.unwrap_or_else(|_| Err(CommandError::host("reading the journal met a bug")))
}

impl Carried {
    /// The run.
    ///
    /// # Errors
    /// When its host speaks otherwise than this program.
    pub(super) fn run(&self) -> Result<RunId> {
        match self {
            Self::Here(_, handle) => Ok(handle.id()),
            Self::There(_, begun) => begun
                .run_id
                .parse()
                .map_err(|error: bellwether::InvalidRunId| CommandError::host(error.to_string())),
        }
    }

    /// The run's name.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Here(session, handle) => session
                .reader
                .row(handle.id())
                .map(|row| row.name)
                .unwrap_or_default(),
            Self::There(_, begun) => begun.name.clone(),
        }
    }

    /// Shows the run until it has ended or was stopped; then its outcome.
    ///
    /// # Errors
    /// When the journal cannot be read, or its host goes.
    pub(super) async fn follow(
        self,
        signals: Signals,
        screen: Screen,
        flags: AttachFlags,
        common: &Common,
    ) -> Result<ExitCode> {
        match self {
            Self::Here(session, handle) => {
                attach(*session, handle, signals, screen, flags, common).await
            }
            Self::There(client, begun) => {
                let pid = client.host.claim.pid;
                screen.note(&screen.err.dim(&format!("  carried out by process {pid}")));
                follow(&client, &begun.run_id, signals, screen, flags, common).await
            }
        }
    }
}

/// A line of a host's events.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Event(Box<Event>),
    Lagged { missed: u64 },
}

/// Shows a run that another process carries out, until that is done with it; then its outcome.
///
/// # Errors
/// When its host goes.
pub(super) async fn follow(
    client: &Client,
    run: &str,
    mut signals: Signals,
    screen: Screen,
    flags: AttachFlags,
    common: &Common,
) -> Result<ExitCode> {
    let answer = proposal(&format!("answer {run} VALUE"), &common.journal);
    let mut progress = Progress::new(screen, flags.events).answered_by(answer);
    let path = format!("/v1/runs/{}/events", segment(run));
    let mut lines = client.stream(&path).await?;
    let mut caught = None;
    loop {
        tokio::select! {
            biased;
            signal = signals.next() => {
                let detach = proposal(&format!("attach {run}"), &common.journal);
                if caught.is_some() || signal == crate::signals::Caught::Hangup {
                    progress.finish();
                    screen.note(&format!("detached: run {run} goes on; see it with `{detach}`"));
                    return Ok(signal.exit_code());
                }
                caught = Some(signal);
                screen.note(&screen.err.yellow(&format!(
                    "{}: stopping run {run}; once more to leave it to its host",
                    signal.name()
                )));
                let (client, path) = (client.clone(), format!("/v1/runs/{}/stop", segment(run)));
                let body = json!({ "by": caller(), "reason": signal.name() });
                // Its end is seen in the events; an error is that it has ended.
                tokio::spawn(async move { client.post(&path, &body).await });
            }
            () = progress.tick() => {}
            line = lines.next() => match line? {
                None => break,
                Some(line) => match serde_json::from_str(&line) {
                    Ok(Line::Event(event)) => progress.event(&Ok(*event)),
                    Ok(Line::Lagged { missed }) => progress.event(&Err(Lagged(missed))),
                    // One of a newer host.
                    Err(_) => {}
                },
            },
        }
    }
    progress.finish();
    let outcome = client.get(&format!("/v1/runs/{}/outcome", segment(run))).await?;
    let outcome: Outcome = parse(&outcome)?;
    attach::show(&outcome, screen, flags, common)?;
    Ok(attach::exit_code(outcome.status, false, caught))
}
