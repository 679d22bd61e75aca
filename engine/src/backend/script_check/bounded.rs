//! Bounds of time for work that may not hear of them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long work may take, and how it is told to end.
pub(super) struct Bounded {
    /// When so much is over, `stop` is set.
    pub(super) time: Duration,
    /// When the work has not ended so much later, nobody waits for it any longer.
    pub(super) grace: Duration,
    /// Tells the work to end.
    pub(super) stop: Arc<AtomicBool>,
}

impl Bounded {
    /// Does `work` on a thread of its own and waits for it, which blocks. None: it does not end, and keeps the thread. What it
    /// holds is given back when the thread ends, however late.
    ///
    /// # Errors
    /// There is no thread for it, or the work panicked.
    pub(super) fn carry_out<T: Send + 'static>(
        &self,
        holds: impl Send + 'static,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Option<T>> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("bellwether-check".to_owned());
        thread.spawn(move || {
            let done = work();
            // Before whoever waits goes on.
            drop(holds);
            // Nobody may wait any longer.
            let _ = sender.send(done);
        })?;
        let mut done = receiver.recv_timeout(self.time);
        if matches!(done, Err(mpsc::RecvTimeoutError::Timeout)) {
            self.stop.store(true, Ordering::Relaxed);
            done = receiver.recv_timeout(self.grace);
        }
        match done {
            Ok(done) => Ok(Some(done)),
            Err(mpsc::RecvTimeoutError::Timeout) => Ok(None),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                Err(io::Error::other("the thread that planned it met a bug"))
            }
        }
    }
}
