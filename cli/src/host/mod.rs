//! One process holds a journal; whoever holds it serves its socket, and everybody else asks there.
//!
//! Taking a journal: lock, unlink what an old holder left, bind, open. Leaving it: unlink, answer what
//! was asked, close, release.

pub(crate) mod answer;
pub(crate) mod client;
pub(crate) mod daemon;
pub(crate) mod lock;
pub(crate) mod notify;
pub(crate) mod order;
pub(crate) mod reach;
pub(crate) mod server;
pub(crate) mod socket;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bellwether::Engine;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::error::{CommandError, Result};
use crate::read::Reader;
use daemon::Presence;
use lock::{Claim, Lock};
use notify::Notifier;

/// How long answers that are on their way may take when the host leaves.
const DRAIN: Duration = Duration::from_secs(5);

/// A journal that this process holds and is about to open.
#[derive(Debug)]
pub(crate) struct Host {
    lock: Lock,
    claim: Claim,
    socket: PathBuf,
    listener: socket::SameUser,
}

impl Host {
    /// Makes a held lock known: binds the socket and writes into the lock's file who holds it. From
    /// here on others connect, and wait until [`Host::serve`] answers them.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub(crate) fn announce(mut lock: Lock, mut claim: Claim) -> Result<Self> {
        let unusable = |path: &Path, error: std::io::Error| {
            CommandError::host(format!("the journal's socket cannot be made: {error}"))
                .help(format!("it belongs to the lock {}", path.display()))
        };
        let socket = socket::path_for(&lock).map_err(|error| unusable(lock.path(), error))?;
        let listener = socket::bind(&socket).map_err(|error| unusable(lock.path(), error))?;
        claim.socket = Some(socket.clone());
        lock.describe(&claim).map_err(|error| {
            CommandError::host(format!(
                "{} cannot be written: {error}",
                lock.path().display()
            ))
        })?;
        Ok(Self {
            lock,
            claim,
            socket,
            listener,
        })
    }

    /// Answers on the socket until [`Serving::leave`].
    pub(crate) fn serve(
        self,
        engine: Engine,
        reader: Reader,
        grace: Duration,
        presence: Arc<Presence>,
        notifier: Notifier,
    ) -> Serving {
        let Self {
            lock,
            claim,
            socket,
            listener,
        } = self;
        let (leave, left) = oneshot::channel::<()>();
        let router = server::router(server::Shared {
            engine,
            reader,
            claim,
            grace,
            presence,
            notifier,
        });
        let task = tokio::spawn(async move {
            let left = async {
                // A sender that is gone is a host that leaves.
                let _ = left.await;
            };
            if let Err(error) = axum::serve(listener, router)
                .with_graceful_shutdown(left)
                .await
            {
                tracing::error!(%error, "the journal's socket is not served any more");
            }
        });
        Serving {
            lock,
            socket,
            leave,
            task,
        }
    }
}

/// A journal that is served.
#[derive(Debug)]
pub(crate) struct Serving {
    lock: Lock,
    socket: PathBuf,
    leave: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Serving {
    /// Lets nobody in any more and answers what was asked. The journal may be closed then, and its lock,
    /// which this gives back, released.
    pub(crate) async fn leave(self) -> Lock {
        if let Err(error) = socket::unlink(&self.socket) {
            tracing::warn!(%error, "the journal's socket was not removed");
        }
        let _ = self.leave.send(());
        let mut task = self.task;
        if tokio::time::timeout(DRAIN, &mut task).await.is_err() {
            task.abort();
        }
        self.lock
    }
}
