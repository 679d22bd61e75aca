//! What comes out of the machine: records to make durable, and what to do when they are.

use std::sync::Arc;

use bellwether_journal::codec::Entry;
use bellwether_journal::id::{CallNumber, FencingToken, Position, TimerNumber};
use bellwether_journal::key::Digest;
use bellwether_journal::record::Millis;
use bellwether_journal::store::Row;
use bellwether_journal::text::{Packed, Text};
use bellwether_scripts::Settlement;

use super::keys::Resolved;
use super::rewind::Place;
use crate::backend::PreviousAttempt;

/// What the supervisor is to do.
#[derive(Debug)]
pub enum Action {
    /// Give the script an answer. At once: what it does next joins the same commit.
    Deliver(Settlement),
    /// Read what the base answers to a call. At once: nothing in the journal depends on it yet.
    Recall(CallNumber, Place),
    /// Start an attempt. Once durable, as are all those below.
    Start(Box<Start>),
    /// Read another workflow's script.
    Load(CallNumber, Source),
    /// Read a question, and what was answered to it already; then ask.
    Ask(CallNumber, Source, Option<Given>),
    /// The question's time is over then.
    ArmDeadline(CallNumber, Millis),
    /// The question is open no longer.
    DisarmDeadline(CallNumber),
    /// Let the call's next attempt wait so many milliseconds.
    RetryAfter(CallNumber, Millis),
    /// Wake the timer at this time.
    Arm(TimerNumber, Millis),
    /// The timer is wanted no longer.
    Disarm(TimerNumber),
    /// A call has the attempt that the pool knows by this name of a generation before.
    Adopted(FencingToken),
    /// No call has that attempt: tell it to end in order.
    Disowned(FencingToken),
    /// Tell one agent to end in order.
    CancelAgent(FencingToken),
    /// Tell all agents to end in order.
    CancelAgents,
    /// End all agents at once.
    KillAgents,
    /// The script is not wanted any more.
    DropScript,
    /// Make a new VM from the journal.
    RebuildScript,
    /// The run is over for this engine.
    Finish,
}

/// An attempt to start.
#[derive(Debug)]
pub struct Start {
    /// Names it.
    pub token: FencingToken,
    /// The call's idempotency key.
    pub idempotency_key: Digest,
    /// The attempts before it.
    pub previous_attempts: Vec<PreviousAttempt>,
    /// What they noted: JSON texts.
    pub notes: Vec<Arc<str>>,
    /// Where its prompt and options are.
    pub work: Work,
    /// The name to show.
    pub label: Option<Arc<str>>,
    /// Its phase.
    pub phase: Option<Arc<str>>,
}

/// Where an answer that was given to a question stands, and what it is.
pub type Given = (Position, Text);

/// Where another workflow's script, or a question, is.
#[derive(Clone, Debug)]
pub enum Source {
    /// In what the call names so, with these options.
    AtHand(Arc<str>, Arc<str>),
    /// In what the `CallScheduled` at this position names.
    InJournal(Position),
}

/// A call's prompt and options: at hand, or in the journal. A call that waits keeps no long prompt in memory.
#[derive(Clone)]
pub enum Work {
    /// At hand.
    AtHand(Arc<str>, Arc<Resolved>),
    /// In the `CallScheduled` at this position.
    InJournal(Position),
}

impl std::fmt::Debug for Work {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtHand(prompt, _) => formatter.debug_tuple("AtHand").field(prompt).finish(),
            Self::InJournal(position) => {
                formatter.debug_tuple("InJournal").field(position).finish()
            }
        }
    }
}

/// What came out: records first, then actions, each behind the records that it depends on.
#[derive(Debug, Default)]
pub struct Output {
    /// Records to make durable.
    pub rows: Vec<Row>,
    /// Texts that left their records.
    pub payloads: Vec<(Position, Arc<[u8]>)>,
    /// Texts that many records share.
    pub blobs: Vec<(Digest, Arc<[u8]>)>,
    /// The same as they were decoded, for those who watch.
    pub entries: Vec<Entry>,
    /// What to do, and up to which position the journal must be durable first.
    pub actions: Vec<(Position, Action)>,
}

impl Output {
    pub(super) fn act(&mut self, after: Position, action: Action) {
        self.actions.push((after, action));
    }

    /// Puts a text that left its record into the same commit.
    pub(super) fn attach(&mut self, position: Position, packed: &Packed) {
        let Some(bytes) = &packed.compressed else {
            return;
        };
        match &packed.stored {
            Text::Inline(_) => {}
            Text::Payload(_) => self.payloads.push((position, Arc::clone(bytes))),
            Text::Shared(reference) => self.blobs.push((reference.hash, Arc::clone(bytes))),
        }
    }
}
