//! Connections from agents: one task each, which ends when the pass of its calls is revoked.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::handle::{Shared, handle};

/// As much of a request's head is read, and as much of an answer is gathered before it is written, in bytes.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// How long to wait when the system gives no more connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Whose calls a connection carries at the moment.
pub(super) type Bond = watch::Sender<Option<CancellationToken>>;

/// Accepts until `stopped`. When it returns, all connections are closed and all calls settled.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, stopped: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopped.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = connection(stream, shared.clone());
                let stopped = stopped.clone();
                connections.spawn(async move {
                    tokio::select! {
                        () = stopped.cancelled() => {}
                        () = connection => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the model gateway cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Carries one connection. A revoked pass ends it from outside: an agent that has stopped reading would otherwise
/// keep its answer open, since nobody asks for more of it.
async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection to the model gateway was lost at its beginning");
        return;
    }
    let (bond, mut bound) = watch::channel(None::<CancellationToken>);
    let bond = Arc::new(bond);
    let service = service_fn(move |request| {
        let (shared, bond) = (shared.clone(), bond.clone());
        async move { Ok::<_, Infallible>(handle(shared, &bond, request).await) }
    });
    let connection = http1::Builder::new()
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut holder: Option<CancellationToken> = None;
    loop {
        let revoked = async {
            match &holder {
                Some(holder) => holder.cancelled().await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = revoked => return,
            result = &mut connection => {
                if let Err(error) = result {
                    tracing::debug!(%error, "a connection to the model gateway ended");
                }
                return;
            }
            Ok(()) = bound.changed() => {
                holder.clone_from(&bound.borrow_and_update());
            }
        }
    }
}
