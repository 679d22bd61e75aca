//! The journal's one writer. Appending is a send, its acknowledgement a message: no handler waits for a disk.
//!
//! While one commit is on its way, everything that arrives waits for the next (group commit). The commit itself runs on a
//! thread where blocking is allowed; it is started per batch rather than parked, so that a paused runtime clock waits for
//! it too.

use std::collections::BTreeSet;
use std::sync::Arc;

use bellwether_journal::batch::{Queue, Submission};
use bellwether_journal::error::StoreError;
use bellwether_journal::id::{Position, RunId};
use bellwether_journal::store::Store;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};

use crate::scheduler::Scheduler;

/// Above this many bytes that are not durable yet nothing new is started; below half of it things go on.
const UNDURABLE_BYTES_MAX: usize = 64 << 20;

/// Tells a run what became of its submission.
pub type Acknowledge = Arc<dyn Fn(Acknowledgement) + Send + Sync>;

/// What became of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acknowledgement {
    /// All records of the run below this position are durable.
    Durable(Position),
    /// Nothing more will be: the journal failed, for this reason.
    Failed(String),
}

/// Up to which position a submission goes, and who is told of it.
pub type Ticket = (Position, Acknowledge);

/// A ticket with its number in the order of arrival.
type Numbered = (u64, Ticket);

/// What the writer is told.
pub enum Message {
    /// Make this durable.
    Append(Submission<Ticket>),
    /// A commit is through; after one that failed, those whom it concerned are still to be told.
    Committed(Vec<u64>, Result<(), (StoreError, Vec<Ticket>)>),
    /// Answer when everything before this is durable (or has failed).
    Drain(RpcReplyPort<()>),
}

/// The writer's arguments.
pub struct Arguments {
    /// Where to write.
    pub store: Arc<dyn Store>,
    /// Held back while too much is not durable.
    pub scheduler: Scheduler,
}

/// The writer.
pub struct Journal;

/// What the writer keeps.
pub struct State {
    store: Arc<dyn Store>,
    scheduler: Scheduler,
    queue: Queue<Numbered>,
    /// The number of the next submission.
    next: u64,
    /// Submissions that are neither durable nor failed.
    outstanding: BTreeSet<u64>,
    committing: bool,
    committing_bytes: usize,
    held_back: bool,
    failed: Option<String>,
    /// Who waits for everything below a number.
    drains: Vec<(u64, RpcReplyPort<()>)>,
}

impl Actor for Journal {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        _myself: ActorRef<Message>,
        Arguments { store, scheduler }: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State {
            store,
            scheduler,
            queue: Queue::default(),
            next: 0,
            outstanding: BTreeSet::new(),
            committing: false,
            committing_bytes: 0,
            held_back: false,
            failed: None,
            drains: Vec::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Append(submission) => {
                if let Some(reason) = &state.failed {
                    let (_, acknowledge) = submission.ticket;
                    acknowledge(Acknowledgement::Failed(reason.clone()));
                } else {
                    state.push(submission);
                }
            }
            Message::Committed(numbers, result) => {
                for number in numbers {
                    state.outstanding.remove(&number);
                }
                state.committed(result);
            }
            Message::Drain(reply) => state.drains.push((state.next, reply)),
        }
        state.commit_next(&myself);
        state.hold_back();
        // Only what came before a drain counts: on a busy engine the writer is never idle.
        let oldest = state.outstanding.first().copied().unwrap_or(u64::MAX);
        let ready = state.drains.extract_if(.., |(below, _)| oldest >= *below);
        for (_, reply) in ready {
            // Whoever asked may be gone.
            let _ = reply.send(());
        }
        Ok(())
    }
}

impl State {
    fn push(&mut self, submission: Submission<Ticket>) {
        let number = self.next;
        self.next += 1;
        self.outstanding.insert(number);
        let Submission {
            run,
            rows,
            payloads,
            blobs,
            summary,
            ticket,
        } = submission;
        self.queue.push(Submission {
            run,
            rows,
            payloads,
            blobs,
            summary,
            ticket: (number, ticket),
        });
    }

    fn commit_next(&mut self, myself: &ActorRef<Message>) {
        if self.committing || self.failed.is_some() {
            return;
        }
        let Some((batch, waiters)) = self.queue.next_batch() else {
            return;
        };
        let (numbers, waiters): (Vec<u64>, Vec<Ticket>) = waiters.into_iter().unzip();
        self.committing = true;
        self.committing_bytes = batch.bytes();
        let store = Arc::clone(&self.store);
        let myself = myself.clone();
        tokio::task::spawn_blocking(move || {
            // A store that panics is a store that failed: its runs must hear of it.
            let commit = std::panic::AssertUnwindSafe(|| store.commit(&batch));
            let result = std::panic::catch_unwind(commit)
                .unwrap_or_else(|_| Err(StoreError::Io("the store panicked".to_owned())));
            let result = match result {
                // From here and not from the writer: a step of a script waits for nothing but this.
                Ok(()) => {
                    for (up_to, acknowledge) in waiters {
                        acknowledge(Acknowledgement::Durable(up_to));
                    }
                    Ok(())
                }
                Err(error) => Err((error, waiters)),
            };
            // The writer is gone only when the engine is.
            let _ = myself.cast(Message::Committed(numbers, result));
        });
    }

    fn committed(&mut self, result: Result<(), (StoreError, Vec<Ticket>)>) {
        self.committing = false;
        self.committing_bytes = 0;
        let Err((error, mut concerned)) = result else {
            return;
        };
        let reason = error.to_string();
        tracing::error!(%error, "the journal failed: nothing more is acknowledged");
        self.failed = Some(reason.clone());
        self.outstanding.clear();
        while let Some((_, waiting)) = self.queue.next_batch() {
            concerned.extend(waiting.into_iter().map(|(_, ticket)| ticket));
        }
        for (_, acknowledge) in concerned {
            acknowledge(Acknowledgement::Failed(reason.clone()));
        }
    }

    fn hold_back(&mut self) {
        let pending = self.queue.pending_bytes() + self.committing_bytes;
        let limit = if self.held_back {
            UNDURABLE_BYTES_MAX / 2
        } else {
            UNDURABLE_BYTES_MAX
        };
        let held_back = pending > limit && self.failed.is_none();
        if held_back != self.held_back {
            self.held_back = held_back;
            self.scheduler.hold_back(held_back);
        }
    }
}

/// A run's way to the writer.
#[derive(Clone)]
pub struct Handle {
    writer: ActorRef<Message>,
    run: RunId,
}

impl Handle {
    /// The way to `writer` for `run`.
    #[must_use]
    pub const fn new(writer: ActorRef<Message>, run: RunId) -> Self {
        Self { writer, run }
    }

    /// Sends `submission`; its ticket is called once, later.
    pub fn append(&self, submission: Submission<Ticket>) {
        let (_, failed) = &submission.ticket;
        let failed = Arc::clone(failed);
        if self.writer.cast(Message::Append(submission)).is_err() {
            tracing::error!(run = %self.run, "the journal's writer is gone");
            failed(Acknowledgement::Failed(
                "the journal's writer is gone".to_owned(),
            ));
        }
    }
}
