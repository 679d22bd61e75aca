//! What the holder of a journal answers on its socket.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bellwether::view::CostFilter;
use bellwether::{Engine, Lagged, RunHandle};
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::answer::Given;
use super::client::{ErrorBody, HostInfo, LiveRun};
use super::daemon::{Busy, Presence};
use super::lock::Claim;
use super::notify::Notifier;
use super::order::{Asked, Begun, Done, Submitted, Wanted};
use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;
use crate::read::Reader;

/// Lines of a long answer that wait for a slow reader.
const LINES_AHEAD: usize = 256;

/// How long the last events of a run that has ended are waited for.
const LAST_EVENTS: Duration = Duration::from_secs(1);
/// A script with its arguments, at the longest.
const ORDER_BYTES_MAX: usize = 1 << 30;

/// What all answers are made from.
pub(crate) struct Shared {
    /// The engine whose runs are live.
    pub(crate) engine: Engine,
    /// The journal.
    pub(crate) reader: Reader,
    /// Who this is.
    pub(crate) claim: Claim,
    /// How long agents may take to end when a run is stopped.
    pub(crate) grace: Duration,
    /// What keeps this process.
    pub(crate) presence: Arc<Presence>,
    /// Who tells that runs have ended.
    pub(crate) notifier: Notifier,
}

type Answer = std::result::Result<Response, Refusal>;

/// The router of the socket.
pub(crate) fn router(shared: Shared) -> Router {
    Router::new()
        .route("/v1/host", get(host))
        .route("/v1/runs", get(runs))
        .route("/v1/runs/{run}", get(view))
        .route("/v1/runs/{run}/row", get(row))
        .route("/v1/runs/{run}/outcome", get(outcome))
        .route("/v1/runs/{run}/changes", get(changes))
        .route("/v1/runs/{run}/logs", get(logs))
        .route("/v1/runs/{run}/journal", get(journal))
        .route("/v1/runs/{run}/events", get(events))
        .route("/v1/runs/{run}/verb", post(verb))
        .route("/v1/host/leave", post(leave))
        .route("/v1/verify", get(verify))
        .route("/v1/costs", get(costs))
        .route("/v1/runs/{run}/export", post(export))
        .route("/v1/runs/{run}/answer", post(answer))
        .route("/v1/orders", post(order))
        .route("/v1/explain", post(explain))
        .layer(DefaultBodyLimit::max(ORDER_BYTES_MAX))
        .fallback(|| async {
            Refusal(
                CommandError::host(
                    "the process that holds the journal does not know this question",
                )
                .help("it may be an older version of bellwether: `bellwether --version`"),
            )
        })
        .with_state(Arc::new(shared))
}

/// An error on its way over the socket.
struct Refusal(CommandError);

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self.0.exit_code() {
            ExitCode::Usage => StatusCode::NOT_FOUND,
            ExitCode::Unfinished | ExitCode::Failed => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let body = ErrorBody {
            exit: self.0.exit_code().number(),
            message: self.0.message().to_owned(),
            help: self.0.help_text().map(str::to_owned),
            again: self.0.is_to_be_asked_again(),
        };
        (status, Json(body)).into_response()
    }
}

async fn host(State(shared): State<Arc<Shared>>) -> Answer {
    let live = shared.engine.live();
    let claim = shared.claim.clone();
    let attached = shared.presence.attached();
    let info = blocking(&shared, move |reader| {
        let rows = reader.rows()?.into_iter();
        let runs = rows
            .filter(|row| live.iter().any(|handle| handle.id() == row.run_id))
            .map(|row| LiveRun {
                run_id: row.run_id.to_string(),
                name: row.name,
                status: row.status,
            })
            .collect();
        Ok(HostInfo {
            claim,
            runs,
            attached,
        })
    })
    .await?;
    Ok(Json(info).into_response())
}

#[derive(Deserialize)]
struct Runs {
    #[serde(default)]
    all: bool,
}

async fn runs(State(shared): State<Arc<Shared>>, Query(query): Query<Runs>) -> Answer {
    let text = blocking(&shared, move |reader| reader.runs(query.all)).await?;
    Ok(json_text(text))
}

async fn view(State(shared): State<Arc<Shared>>, Path(run): Path<String>) -> Answer {
    let text = blocking(&shared, move |reader| reader.view_text(reader.find(&run)?)).await?;
    Ok(json_text(text))
}

async fn row(State(shared): State<Arc<Shared>>, Path(run): Path<String>) -> Answer {
    let row = blocking(&shared, move |reader| reader.row(reader.find(&run)?)).await?;
    Ok(Json(row).into_response())
}

async fn outcome(State(shared): State<Arc<Shared>>, Path(run): Path<String>) -> Answer {
    if let Some(reason) = shared.presence.failed() {
        let error = CommandError::host(format!("the journal cannot be written: {reason}"));
        return Err(Refusal(error.help(
            "what had ended is in it; make room, then go on with `bellwether resume`",
        )));
    }
    let text = blocking(&shared, move |reader| {
        reader.outcome_text(reader.find(&run)?)
    })
    .await?;
    Ok(json_text(text))
}

async fn changes(State(shared): State<Arc<Shared>>, Path(run): Path<String>) -> Answer {
    let text = blocking(&shared, move |reader| reader.changes(reader.find(&run)?)).await?;
    Ok(json_text(text))
}

async fn logs(State(shared): State<Arc<Shared>>, Path(run): Path<String>) -> Answer {
    let text = blocking(&shared, move |reader| reader.logs(reader.find(&run)?)).await?;
    Ok(json_text(text))
}

async fn journal(State(shared): State<Arc<Shared>>, Path(run): Path<String>) -> Answer {
    let run = blocking(&shared, move |reader| reader.find(&run)).await?;
    let (sender, receiver) =
        mpsc::channel::<std::result::Result<Bytes, std::io::Error>>(LINES_AHEAD);
    let reader = shared.reader.clone();
    tokio::task::spawn_blocking(move || {
        let read = reader.dump(run, &mut |mut line| {
            line.push('\n');
            sender.blocking_send(Ok(Bytes::from(line))).is_ok()
        });
        if let Err(error) = read {
            // The answer's head is gone already: cutting the body off is all that can be said.
            let error = std::io::Error::other(error.message().to_owned());
            let _ = sender.blocking_send(Err(error));
        }
    });
    let lines = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|line| (line, receiver))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

#[derive(Deserialize)]
struct Verify {
    run: Option<String>,
}

async fn verify(State(shared): State<Arc<Shared>>, Query(query): Query<Verify>) -> Answer {
    let text = blocking(&shared, move |reader| {
        reader.verify(query.run.map(|run| reader.find(&run)).transpose()?)
    })
    .await?;
    Ok(json_text(text))
}

#[derive(Deserialize)]
struct CostQuery {
    run: Option<String>,
    name: Option<String>,
    since: Option<String>,
    limit: Option<usize>,
}

async fn costs(State(shared): State<Arc<Shared>>, Query(query): Query<CostQuery>) -> Answer {
    let CostQuery {
        run,
        name,
        since,
        limit,
    } = query;
    let filter = CostFilter { name, since, limit };
    let text = blocking(&shared, move |reader| {
        reader.costs(run.map(|run| reader.find(&run)).transpose()?, &filter)
    })
    .await?;
    Ok(json_text(text))
}

#[derive(Deserialize)]
struct Export {
    file: PathBuf,
}

/// Writes a run to a file of its own, where the caller says.
async fn export(
    State(shared): State<Arc<Shared>>,
    Path(run): Path<String>,
    Json(export): Json<Export>,
) -> Answer {
    let done = blocking(&shared, move |reader| {
        reader.export(reader.find(&run)?, &export.file)
    })
    .await?;
    Ok(Json(done).into_response())
}

/// Begins something; answers when it is durable.
async fn order(State(shared): State<Arc<Shared>>, Json(submitted): Json<Submitted>) -> Answer {
    let _busy = enter(&shared)?;
    let handle = submitted
        .carry_out(&shared.engine, &shared.notifier)
        .await?;
    let (watched, presence) = (handle.clone(), Arc::clone(&shared.presence));
    tokio::spawn(async move {
        watched.wait().await;
        if watched.journal_failed() {
            let reason = watched.reason().unwrap_or_default();
            presence.fail(format!("run {}: {reason}", watched.id()));
        }
    });
    let row = blocking(&shared, move |reader| reader.row(handle.id())).await?;
    let begun = Begun {
        run_id: row.run_id.to_string(),
        name: row.name,
    };
    Ok(Json(begun).into_response())
}

async fn explain(State(shared): State<Arc<Shared>>, Json(asked): Json<Asked>) -> Answer {
    let _busy = enter(&shared)?;
    let explanation = asked.explain(&shared.engine).await?;
    Ok(Json(explanation).into_response())
}

/// A run's events, one a line, until this process is done with it. The first who asks gets them from the beginning.
async fn events(State(shared): State<Arc<Shared>>, Path(run): Path<String>) -> Answer {
    let run = blocking(&shared, move |reader| reader.find(&run)).await?;
    let busy = enter(&shared)?;
    let events = shared
        .engine
        .run(run)
        .map(|handle| (handle.events(), handle, busy));
    let lines = stream::unfold(events, |events| async move {
        let (mut events, handle, busy) = events?;
        let next = tokio::select! {
            biased;
            next = events.next() => next,
            // What is missing past this time was never sent.
            () = done(&handle) => None,
        };
        let line = match next {
            None if handle.journal_failed() => {
                // The last line: nothing of it is in the journal, so that only this says it.
                let reason = handle.reason().unwrap_or_default();
                let line = json!({ "failed": reason }).to_string();
                return Some((Ok(Bytes::from(line + "\n")), None));
            }
            None => return None,
            Some(Ok(event)) => serde_json::to_string(&event).unwrap_or_default(),
            Some(Err(Lagged(missed))) => json!({ "type": "lagged", "missed": missed }).to_string(),
        };
        let line = Ok::<_, std::convert::Infallible>(Bytes::from(line + "\n"));
        Some((line, Some((events, handle, busy))))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

/// Keeps the host while it answers.
fn enter(shared: &Shared) -> Result<Busy> {
    shared.presence.enter().ok_or_else(|| {
        CommandError::host("the process that holds the journal is leaving").asked_again()
    })
}

/// Lets the host leave; its runs are stopped.
async fn leave(State(shared): State<Arc<Shared>>) -> Answer {
    shared.presence.told_to_leave.notify_one();
    Ok(Json(json!({ "pid": shared.claim.pid })).into_response())
}

/// Waits until the engine is done with a run, and a moment for its last events.
async fn done(run: &RunHandle) {
    run.wait().await;
    tokio::time::sleep(LAST_EVENTS).await;
}

/// Carries out what is wanted of a live run; answers when it is durable.
async fn verb(
    State(shared): State<Arc<Shared>>,
    Path(run): Path<String>,
    Json(wanted): Json<Wanted>,
) -> Answer {
    let run = blocking(&shared, move |reader| reader.find(&run)).await?;
    let done = match shared.engine.run(run) {
        Some(handle) => wanted.carry_out(&handle, shared.grace).await?,
        None => false,
    };
    let row = blocking(&shared, move |reader| reader.row(run)).await?;
    let answer = Done {
        run_id: run.to_string(),
        status: row.status,
        was_live: done,
    };
    Ok(Json(answer).into_response())
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    Path(run): Path<String>,
    Json(given): Json<Given>,
) -> Answer {
    let run = blocking(&shared, move |reader| reader.find(&run)).await?;
    let answered = given.carry_out(&shared.engine, run).await?;
    Ok(Json(answered).into_response())
}

/// Reads the journal on a thread that may wait for the disk.
async fn blocking<T: Send + 'static>(
    shared: &Shared,
    read: impl FnOnce(&Reader) -> Result<T> + Send + 'static,
) -> Result<T> {
    let reader = shared.reader.clone();
    match tokio::task::spawn_blocking(move || read(&reader)).await {
        Ok(answer) => answer,
        Err(_) => Err(CommandError::host("the question met a bug in bellwether")),
    }
}

fn json_text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
