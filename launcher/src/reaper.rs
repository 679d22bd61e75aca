//! Takes leave of launchers that have ended, so that no zombie stays and nobody waits for one on a runtime's thread.

use std::io;
use std::process::Child;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_secs(1);

/// The way to a thread that lives as long as this value and the launchers handed to it.
#[derive(Debug, Default)]
pub(crate) struct Reaper {
    thread: Mutex<Option<Sender<Child>>>,
}

impl Reaper {
    /// A sender to the thread, which is started when there is none yet.
    pub(crate) fn sender(&self) -> io::Result<Sender<Child>> {
        let mut thread = self
            .thread
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(sender) = &*thread {
            return Ok(sender.clone());
        }
        let (sender, receiver) = channel();
        std::thread::Builder::new()
            .name("bellwether-reaper".to_owned())
            .stack_size(128 * 1024)
            .spawn(move || reap(&receiver))?;
        *thread = Some(sender.clone());
        Ok(sender)
    }
}

/// Launchers come here when they have ended or are about to: a short wait, then longer ones, for one that hangs in the
/// kernel behind an agent that does.
fn reap(receiver: &Receiver<Child>) {
    let mut dying: Vec<Child> = Vec::new();
    let mut pause = FIRST_LOOK;
    loop {
        let arrived = if dying.is_empty() {
            receiver.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            receiver.recv_timeout(pause)
        };
        match arrived {
            Ok(child) => {
                dying.push(child);
                pause = FIRST_LOOK;
            }
            Err(RecvTimeoutError::Timeout) => pause = (pause * 2).min(LAST_LOOK),
            // None will come any more.
            Err(RecvTimeoutError::Disconnected) => break,
        }
        // An error means that it is reaped already, which is as good.
        dying.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }
    for mut child in dying {
        // As above.
        let _ = child.wait();
    }
}
