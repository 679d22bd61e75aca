//! An HTTP service that embeds the engine.
//!
//! | request | answer |
//! |---|---|
//! | `POST /runs` `{"script": "…", "args": …}` | 202 with the run's id; the same `Idempotency-Key` again is the same run |
//! | `GET /runs` | the newest runs |
//! | `GET /runs/{id}` | one run with its phases, agents, failures and result |
//! | `GET /runs/{id}/events` | what happens in it from now on, as server-sent events |
//! | `POST /runs/{id}/stop` | 204 when nothing of it runs any more; it can be resumed |

mod error;

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event as Line, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bellwether::view::{RunRow, RunView};
use bellwether::{
    Builder, Clock as _, Digest, Engine, ResumeOptions, RunId, Script, StartOptions, Status,
    SystemClock,
};
use futures_util::stream::{self, Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

pub use error::Refusal;

const RUNS_SHOWN: usize = 100;
const STOP_GRACE: Duration = Duration::from_secs(10);
const SHUTDOWN: Duration = Duration::from_secs(15);

/// What the routes share.
#[derive(Clone)]
struct Service {
    engine: Engine,
    backend: String,
}

/// Builds the engine and, when told, goes on with the runs that an engine before it left. Nothing resumes by itself.
///
/// # Errors
/// When the journal cannot be used or a run cannot be resumed.
pub async fn open(builder: Builder, resume: bool) -> anyhow::Result<Engine> {
    let engine = builder.build().await?;
    if resume {
        for run in engine.unfinished().await? {
            engine
                .resume(run, ResumeOptions::new().by("axum-service"))
                .await?;
        }
    }
    Ok(engine)
}

/// Serves until `stop` is over, then stops the runs so that they can be resumed.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    engine: Engine,
    backend: &str,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let routes = routes(engine.clone(), backend);
    // The engine first: with the runs their streams end, and with these the connections.
    let stopping = async move {
        stop.await;
        engine.shutdown(SHUTDOWN).await;
    };
    axum::serve(listener, routes)
        .with_graceful_shutdown(stopping)
        .await
}

/// The service's routes; agents of its runs are of the backend with this name.
pub fn routes(engine: Engine, backend: &str) -> Router {
    Router::new()
        .route("/runs", post(start).get(list))
        .route("/runs/{id}", get(show))
        .route("/runs/{id}/events", get(events))
        .route("/runs/{id}/stop", post(stop))
        .with_state(Service {
            engine,
            backend: backend.to_owned(),
        })
}

#[derive(Deserialize)]
struct StartRequest {
    script: String,
    args: Option<serde_json::Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Accepted {
    run_id: String,
    status: Status,
}

async fn start(
    State(service): State<Service>,
    headers: HeaderMap,
    Json(request): Json<StartRequest>,
) -> Result<Response, Refusal> {
    let mut options = StartOptions::new()
        .backend(&service.backend)
        .started_by("axum-service");
    if let Some(args) = &request.args {
        options = options.args(args)?;
    }
    if let Some(key) = headers.get("idempotency-key") {
        options = options.run_id(id_of(key.as_bytes()));
    }
    let run = service
        .engine
        .start(Script::text(request.script), options)
        .await?;
    let accepted = Accepted {
        run_id: run.id().to_string(),
        status: run.status(),
    };
    let location = [(header::LOCATION, format!("/runs/{}", run.id()))];
    Ok((StatusCode::ACCEPTED, location, Json(accepted)).into_response())
}

/// A run's id from the key of a request, so that the request sent twice starts one run.
fn id_of(key: &[u8]) -> RunId {
    let digest = Digest::of("idempotency key", &[key]).0;
    RunId::from_entropy([digest[0], digest[1], digest[2], digest[3], digest[4]])
}

async fn list(State(service): State<Service>) -> Result<Json<Vec<RunRow>>, Refusal> {
    let archive = service.engine.archive();
    let rows =
        tokio::task::spawn_blocking(move || archive.runs(RUNS_SHOWN, SystemClock.now())).await??;
    Ok(Json(rows))
}

async fn show(
    State(service): State<Service>,
    Path(id): Path<String>,
) -> Result<Json<RunView>, Refusal> {
    let archive = service.engine.archive();
    let view = tokio::task::spawn_blocking(move || {
        let run = archive.find(&id)?;
        archive.view(run, SystemClock.now())
    });
    Ok(Json(view.await??))
}

async fn events(
    State(service): State<Service>,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Line, Infallible>>>, Refusal> {
    let run = service
        .engine
        .run(parse(&id)?)
        .ok_or_else(|| Refusal::not_live(&id))?;
    // Listening begins before the first line is sent: whoever has that line misses nothing behind it.
    let events = run.events();
    let listening = Line::default().event("listening").data(run.status().name());
    let told = stream::unfold(events, async |mut events| {
        let line = match events.next().await? {
            Ok(event) => Line::default().json_data(&event),
            Err(lagged) => Ok(Line::default().event("lagged").data(lagged.0.to_string())),
        };
        Some((line, events))
    });
    let told = told.filter_map(async |line| line.ok().map(Ok));
    let lines = stream::once(async { Ok(listening) }).chain(told);
    Ok(Sse::new(lines.boxed()).keep_alive(KeepAlive::default()))
}

async fn stop(
    State(service): State<Service>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let run = service
        .engine
        .run(parse(&id)?)
        .ok_or_else(|| Refusal::not_live(&id))?;
    run.stop(STOP_GRACE, "axum-service").await?;
    Ok(StatusCode::NO_CONTENT)
}

fn parse(id: &str) -> Result<RunId, Refusal> {
    id.parse()
        .map_err(|invalid| Refusal::new(StatusCode::NOT_FOUND, &invalid))
}
