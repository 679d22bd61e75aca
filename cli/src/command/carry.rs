//! Where a command's run is carried out: in this process, which holds the journal then, or in the one that does.

use std::path::Path;
use std::time::Duration;

use bellwether::view::RunView;
use bellwether::{Event, Lagged, RunId};
use serde::Deserialize;
use serde_json::json;

use super::attach::{self, Followed, Session, attach, starting};
use super::run::open;
use super::source::{Question, Source, none_there};
use super::{Place, caller, proposal};
use crate::args::{AttachFlags, Common, NotifyFlag};
use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;
use crate::host::client::{Client, LineStream, parse, segment};
use crate::host::daemon;
use crate::host::notify::Notify;
use crate::host::order::{Asked, Begun, Done, Order, Submitted, Verb, Wanted};
use crate::host::reach::{Reached, reach};
use crate::model::Outcome;
use crate::output::progress::Progress;
use crate::output::{self, Screen};
use crate::read::Reader;
use crate::signals::{Caught, Signals};

/// How often a host is asked again that leaves just then.
const TRIES: u32 = 20;
/// How long a host that was begun may take to answer.
const HOST_PATIENCE: Duration = Duration::from_secs(15);
/// How often that is looked at.
const HOST_LOOK: Duration = Duration::from_millis(3);

/// The way to who carries out.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    /// The journal.
    pub(super) journal: &'a Path,
    /// The place of the command.
    pub(super) place: &'a Place,
    /// The command.
    pub(super) purpose: &'a str,
    /// Whether this process does it where nobody else holds the journal; else a host is begun.
    pub(super) foreground: bool,
    /// What a shell is to do when the run has ended or waits.
    pub(super) notify: Option<&'a str>,
}

/// Who carries out.
pub(super) enum Carrier<'a> {
    /// This process.
    Here(Box<Session>, Way<'a>),
    /// The one that holds the journal.
    There(Box<Client>, Way<'a>),
}

/// A run that has begun.
pub(super) enum Carried {
    /// In this process.
    Here(Box<Session>, bellwether::RunHandle),
    /// In the one that holds the journal.
    There(Box<Client>, Begun),
}

impl<'a> Way<'a> {
    /// For a command that attaches to its run: the journal is taken here when a flag, or the configuration, says so.
    pub(super) fn of(
        journal: &'a Path,
        place: &'a Place,
        purpose: &'a str,
        attach: AttachFlags,
        notify: &'a NotifyFlag,
    ) -> Self {
        Self {
            journal,
            place,
            purpose,
            foreground: attach.foreground || place.config.foreground(),
            notify: place.config.notify(notify.notify.as_deref()),
        }
    }

    /// An order, with what is to be done at its end.
    fn submit(self, order: Order) -> Submitted {
        let notify = self.notify.map(|command| Notify {
            command: command.to_owned(),
            directory: self.place.directory.clone(),
        });
        Submitted { order, notify }
    }

    /// Finds who holds the journal, or begins a host that does.
    ///
    /// # Errors
    /// When there is none and none can be begun.
    async fn host(self) -> Result<Client> {
        let (mut begun, mut waited) = (None::<daemon::Begun>, Duration::ZERO);
        loop {
            match reach(self.journal, self.purpose).await? {
                Reached::Held(client) => return Ok(client),
                // Who is begun takes the lock itself.
                Reached::Free(lock) => drop(lock),
            }
            match &mut begun {
                None => {
                    begun = Some(daemon::begin(self.journal, &self.place.directory).map_err(
                        |error| {
                            CommandError::host(format!("no host process can be begun: {error}"))
                        },
                    )?);
                }
                Some(host) => {
                    if let Some(why) = host.failed() {
                        let log = daemon::log_file(self.journal);
                        return Err(CommandError::host(format!(
                            "the host process ended before it answered: {}",
                            why.trim_start_matches("error: ")
                        ))
                        .help(format!(
                            "it wrote {}; `--foreground` does without a host",
                            log.display()
                        )));
                    }
                    if host.has_ended() {
                        begun = None;
                    }
                }
            }
            if waited >= HOST_PATIENCE {
                return Err(CommandError::host(
                    "the host process that was begun does not answer",
                ));
            }
            tokio::time::sleep(HOST_LOOK).await;
            waited += HOST_LOOK;
        }
    }
}

impl<'a> Carrier<'a> {
    /// Takes the journal, or finds who has it. Only `run` makes a journal where there is none.
    ///
    /// # Errors
    /// When it cannot be used.
    pub(super) async fn reach(way: Way<'a>, signals: &mut Signals) -> Result<Self> {
        let Way {
            journal,
            place,
            purpose,
            foreground,
            ..
        } = way;
        if purpose != "run" && !journal.is_file() {
            return Err(none_there(journal));
        }
        if !foreground {
            let client = starting(signals, way.host()).await?;
            return Ok(Self::There(Box::new(client), way));
        }
        Ok(match starting(signals, reach(journal, purpose)).await? {
            Reached::Free(lock) => Self::Here(
                Box::new(open(lock, journal, &place.config, purpose, signals).await?),
                way,
            ),
            Reached::Held(client) => Self::There(Box::new(client), way),
        })
    }

    /// The run that a selector names, as the journal has it.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub(super) async fn view(&self, selector: &str) -> Result<RunView> {
        match self {
            Self::Here(session, _) => look(&session.reader, selector.to_owned()).await,
            Self::There(client, _) => parse(
                &client
                    .get(&format!("/v1/runs/{}", segment(selector)))
                    .await?,
            ),
        }
    }

    /// What a rewind would do.
    ///
    /// # Errors
    /// Why it cannot be said.
    pub(super) async fn explain(&self, asked: &Asked) -> Result<bellwether::explain::Explanation> {
        match self {
            Self::Here(session, _) => asked.explain(&session.engine).await,
            Self::There(client, _) => {
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
            Self::Here(session, way) => {
                let submitted = way.submit(order);
                let begun = submitted.carry_out(&session.engine, &session.notifier);
                let begun = starting(signals, Box::pin(begun)).await;
                match begun {
                    Ok(handle) => Ok(Carried::Here(session, handle)),
                    Err(error) => session.give_up(error).await,
                }
            }
            Self::There(client, way) => submit(*client, way, &way.submit(order)).await,
        }
    }

    /// Leaves the journal.
    pub(super) async fn leave(self) {
        if let Self::Here(session, _) = self {
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

/// Gives an order to a host. One that is just leaving has begun nothing, and a start that was not answered is begun once, by
/// its id: both are given to who holds the journal next.
async fn submit(mut client: Client, way: Way<'_>, submitted: &Submitted) -> Result<Carried> {
    let text = serde_json::to_value(submitted).map_err(CommandError::bug)?;
    for _ in 0..TRIES {
        match client.post("/v1/orders", &text).await {
            Ok(begun) => return Ok(Carried::There(Box::new(client), parse(&begun)?)),
            Err(error) => {
                let is_start = matches!(submitted.order, Order::Start { .. });
                let is_gone = error.exit_code() == ExitCode::Host && is_start;
                if !error.is_to_be_asked_again() && !is_gone {
                    return Err(error);
                }
            }
        }
        client = way.host().await?;
    }
    Err(CommandError::host(
        "no host process stays for long enough to be asked",
    ))
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
        journal: &Path,
        signals: Signals,
        screen: Screen,
        flags: AttachFlags,
        common: &Common,
    ) -> Result<ExitCode> {
        let followed = self.followed(journal, signals, screen, flags, common);
        followed.await?.show(screen, flags, common)
    }

    /// Shows the run until it has ended or was stopped, and leaves its outcome to the caller.
    ///
    /// # Errors
    /// When the journal cannot be read, or its host goes.
    pub(super) async fn followed(
        self,
        journal: &Path,
        signals: Signals,
        screen: Screen,
        flags: AttachFlags,
        common: &Common,
    ) -> Result<Followed> {
        match self {
            Self::Here(session, handle) => {
                attach(*session, handle, signals, screen, flags, common).await
            }
            Self::There(client, begun) if flags.detach => {
                detached(&client, &begun, screen, common);
                Ok(Followed::Left(ExitCode::Success))
            }
            Self::There(client, begun) => {
                let pid = client.host.claim.pid;
                screen.note(&screen.err.dim(&format!("  carried out by process {pid}")));
                followed(
                    &client,
                    journal,
                    &begun.run_id,
                    signals,
                    screen,
                    flags,
                    common,
                )
                .await
            }
        }
    }
}

/// Says how to come back to a run.
fn detached(client: &Client, begun: &Begun, screen: Screen, common: &Common) {
    let run = &begun.run_id;
    if common.json {
        let pid = client.host.claim.pid;
        let text = json!({ "runId": run, "name": begun.name, "host": pid });
        output::line(&text.to_string());
    } else {
        output::line(run);
    }
    screen.note(&format!(
        "see it with `{}`, wait for it with `{}`",
        proposal(&format!("attach {run}"), &common.journal),
        proposal(&format!("wait {run}"), &common.journal)
    ));
}

/// A line of a host's events.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Event(Box<Event>),
    Lagged { missed: u64 },
    Failed { failed: String },
}

/// Shows a run that another process carries out, until that is done with it; then its outcome.
///
/// # Errors
/// When its host goes.
pub(super) async fn follow(
    client: &Client,
    journal: &Path,
    run: &str,
    signals: Signals,
    screen: Screen,
    flags: AttachFlags,
    common: &Common,
) -> Result<ExitCode> {
    let followed = followed(client, journal, run, signals, screen, flags, common);
    followed.await?.show(screen, flags, common)
}

async fn followed(
    client: &Client,
    journal: &Path,
    run: &str,
    mut signals: Signals,
    screen: Screen,
    flags: AttachFlags,
    common: &Common,
) -> Result<Followed> {
    let answer = proposal(&format!("answer {run} VALUE"), &common.journal);
    let mut progress = Progress::new(screen, flags.events).answered_by(answer);
    let path = format!("/v1/runs/{}/events", segment(run));
    let mut lines = match client.stream(&path).await {
        Ok(lines) => lines,
        // It has left: the journal says how far the run came.
        Err(error) if error.is_gone() => {
            let outcome = outcome_of(client, journal, run).await?;
            let code = ExitCode::of(outcome.status);
            return Ok(Followed::Ended(Box::new(outcome), code));
        }
        Err(error) => return Err(error),
    };
    let mut caught = None;
    loop {
        tokio::select! {
            biased;
            signal = signals.next() => {
                let leave = caught.is_some() || signal == Caught::Hangup;
                let wish = match signal {
                    _ if leave => Wish::Detach,
                    Caught::Interrupt if screen.live => {
                        Progress::hide();
                        wish(run, &mut signals, screen, &mut lines, &mut progress).await
                    }
                    _ => Wish::Stop,
                };
                match wish {
                    Wish::GoOn => continue,
                    Wish::Ended => break,
                    Wish::Detach => {
                        progress.finish();
                        let attach = proposal(&format!("attach {run}"), &common.journal);
                        screen.note(&format!(
                            "detached: run {run} goes on; see it with `{attach}`"
                        ));
                        let is_asked = signal == Caught::Interrupt && screen.live;
                        return Ok(Followed::Left(if is_asked {
                            ExitCode::Success
                        } else {
                            signal.exit_code()
                        }));
                    }
                    Wish::Stop => {}
                }
                caught = Some(signal);
                screen.note(&screen.err.yellow(&format!(
                    "{}: stopping run {run}; once more to leave it to its host",
                    signal.name()
                )));
                let wanted = Wanted {
                    verb: Verb::Stop,
                    by: caller(),
                    reason: Some(signal.name().to_owned()),
                };
                let (client, run) = (client.clone(), run.to_owned());
                // Its end is seen in the events; an error is that it has ended.
                tokio::spawn(async move { verb(&client, &run, &wanted).await });
            }
            () = progress.tick() => {}
            line = lines.next() => match line {
                Ok(Some(line)) => {
                    if let Some(reason) = show_line(&line, &mut progress) {
                        progress.finish();
                        let resume = proposal(&format!("resume {run}"), &common.journal);
                        return Err(CommandError::host(format!(
                            "run {run} is paused: {reason}"
                        ))
                        .help(format!("what had ended is in the journal; then go on with `{resume}`")));
                    }
                }
                // A holder that went: the journal says how far the run came.
                Ok(None) | Err(_) => break,
            },
        }
    }
    progress.finish();
    let outcome = outcome_of(client, journal, run).await?;
    let code = attach::exit_code(outcome.status, false, caught);
    Ok(Followed::Ended(Box::new(outcome), code))
}

/// Shows an event; gives why the journal takes nothing any more, when that is what the line says.
fn show_line(line: &str, progress: &mut Progress) -> Option<String> {
    match serde_json::from_str(line) {
        Ok(Line::Failed { failed }) => return Some(failed),
        Ok(Line::Event(event)) => progress.event(&Ok(*event)),
        Ok(Line::Lagged { missed }) => progress.event(&Err(Lagged(missed))),
        // One of a newer host.
        Err(_) => {}
    }
    None
}

/// How a run ended that its holder is done with: that one says so, or, when it has left, the journal.
///
/// # Errors
/// When the journal cannot be read.
pub(super) async fn outcome_of(client: &Client, journal: &Path, run: &str) -> Result<Outcome> {
    let path = format!("/v1/runs/{}/outcome", segment(run));
    match client.get(&path).await {
        Ok(outcome) => parse(&outcome),
        Err(error) if error.is_gone() => {
            let source = Source::require(journal, "attach").await?;
            source.read(Question::Outcome(run)).await
        }
        Err(error) => Err(error),
    }
}

/// What a person wants who pressed Ctrl-C.
enum Wish {
    Detach,
    Stop,
    GoOn,
    /// The run has ended meanwhile.
    Ended,
}

/// Asks what Ctrl-C means. A second one leaves.
async fn wish(
    run: &str,
    signals: &mut Signals,
    screen: Screen,
    lines: &mut LineStream,
    progress: &mut Progress,
) -> Wish {
    screen.note(&screen.err.yellow(&format!(
        "run {run}: [d]etach and let it go on, [s]top it, [Esc] back"
    )));
    let key = tokio::task::spawn_blocking(|| {
        let terminal = console::Term::stderr();
        loop {
            match terminal.read_key() {
                Ok(console::Key::Char('s' | 'S')) => return Wish::Stop,
                Ok(console::Key::Escape | console::Key::Enter) => return Wish::GoOn,
                // Without a key: Ctrl-C once more, or no terminal any longer.
                Ok(console::Key::Char('d' | 'D' | 'q')) | Err(_) => return Wish::Detach,
                Ok(_) => {}
            }
        }
    });
    tokio::pin!(key);
    loop {
        tokio::select! {
            key = &mut key => return key.unwrap_or(Wish::Detach),
            _ = signals.next() => return Wish::Detach,
            line = lines.next() => match line {
                Ok(Some(line)) => drop(show_line(&line, progress)),
                Ok(None) | Err(_) => return Wish::Ended,
            },
        }
    }
}

/// Tells the holder of the journal what is wanted of a live run.
///
/// # Errors
/// What it says, or that it is gone.
pub(super) async fn verb(client: &Client, run: &str, wanted: &Wanted) -> Result<Done> {
    let wanted = serde_json::to_value(wanted).map_err(CommandError::bug)?;
    parse(
        &client
            .post(&format!("/v1/runs/{}/verb", segment(run)), &wanted)
            .await?,
    )
}
