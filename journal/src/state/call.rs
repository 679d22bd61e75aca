//! A call of a run. There may be a million of them, so this is kept small: texts are shared or left in the store.

use std::sync::Arc;

use crate::id::{Attempt, CallNumber, Position};
use crate::key::Digest;
use crate::record::{CallKind, Failure, FailureKind, Millis, Usage};
use crate::usage::Counted;

/// What is known of a call.
///
/// ```text
/// Waiting ──AttemptStarted──► Running ──CallSettled──► Completed, Failed, Cancelled, Skipped
///    ▲  │                       │  ▲
///    │  ├──CallRefused──► Refused  │ AttemptStarted
///    │  └──CallReused───► as the base's
///    │                          │  │
///    └──Recovered───────────────┤  │
///                               └──AttemptFailed──► Backoff
/// ```
/// A call that waits (also in back-off) may be settled without another attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct CallState {
    /// What it asks for.
    pub kind: CallKind,
    /// How it stands.
    pub status: CallStatus,
    /// What it is known by in a rewind; zero when it was refused without being scheduled.
    pub key: Digest,
    /// The name to show.
    pub label: Option<Arc<str>>,
    /// The phase that it belongs to.
    pub phase: Option<Arc<str>>,
    /// Where its prompt is; the position of its refusal when it was refused without being scheduled.
    pub scheduled: Position,
    /// When the script asked for it.
    pub scheduled_at: Millis,
    /// The author's line, from 1; 0 when it is not known.
    pub line: u32,
    /// How many attempts were started; also the number of the newest.
    pub attempts: u32,
    /// Attempts that ended without settling it. None for nearly all calls, so it costs a pointer.
    #[expect(
        clippy::box_collection,
        reason = "16 bytes less in each of a million calls"
    )]
    pub(super) past: Option<Box<Vec<PastAttempt>>>,
    /// When the newest attempt started; `None` while none has, and while it waits for another.
    pub started_at: Option<Millis>,
    /// When it was settled.
    pub ended_at: Option<Millis>,
    /// What all its attempts used.
    pub usage: Usage,
    /// The same as far as the engine counted it, with the money. `None` for calls that no model was seen to work on.
    pub counted: Option<Box<Counted>>,
    /// Why it failed or was refused.
    pub failure: Option<Box<Failure>>,
    /// Where its answer is.
    pub settled: Option<Position>,
    /// The call of the generation before that gave its answer; `None` when its own attempt did.
    pub reused_from: Option<CallNumber>,
}

/// How a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallStatus {
    /// For its slot.
    Waiting,
    /// An attempt is at work.
    Running,
    /// An attempt failed and another follows.
    Backoff {
        /// The earliest time for it.
        until: Millis,
    },
    /// It gave its value.
    Completed,
    /// It failed after its retries.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// A person skipped it.
    Skipped,
    /// It was refused before anything was spent.
    Refused,
}

impl CallStatus {
    /// Whether the call has its answer.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        match self {
            Self::Waiting | Self::Running | Self::Backoff { .. } => false,
            Self::Completed | Self::Failed | Self::Cancelled | Self::Skipped | Self::Refused => {
                true
            }
        }
    }

    /// The status as people read it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Backoff { .. } => "backoff",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
            Self::Refused => "refused",
        }
    }
}

/// An attempt that ended without settling its call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastAttempt {
    /// Which.
    pub attempt: Attempt,
    /// How it ended.
    pub end: PastEnd,
    /// What a person reads first.
    pub message: String,
    /// When it started.
    pub started_at: Millis,
    /// When it failed; of an interrupted one, when that was noticed.
    pub ended_at: Millis,
}

/// How an attempt ended without settling its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PastEnd {
    /// It failed.
    Failed(FailureKind),
    /// Its engine went away.
    Interrupted,
}

impl PastEnd {
    /// The end as people read it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failed(kind) => kind.name(),
            Self::Interrupted => "interrupted",
        }
    }
}

impl CallState {
    pub(super) fn new(kind: CallKind, scheduled: Position, scheduled_at: Millis) -> Self {
        Self {
            kind,
            status: CallStatus::Waiting,
            key: Digest::default(),
            label: None,
            phase: None,
            scheduled,
            scheduled_at,
            line: 0,
            attempts: 0,
            past: None,
            started_at: None,
            ended_at: None,
            usage: Usage::default(),
            counted: None,
            failure: None,
            settled: None,
            reused_from: None,
        }
    }

    /// Attempts that ended without settling it, oldest first.
    pub fn past(&self) -> &[PastAttempt] {
        self.past.as_deref().map_or(&[], Vec::as_slice)
    }

    /// The number of the newest attempt; 0 when none has started.
    pub fn attempt(&self) -> Attempt {
        Attempt(self.attempts)
    }

    /// When its first attempt started.
    pub fn first_started_at(&self) -> Option<Millis> {
        self.past()
            .first()
            .map(|past| past.started_at)
            .or(self.started_at)
    }

    /// Ends the running attempt without settling the call.
    pub(super) fn put_by(&mut self, end: PastEnd, message: String, at: Millis) {
        let started_at = self.started_at.take().unwrap_or(at);
        let attempt = Attempt(self.attempts);
        let past = PastAttempt {
            attempt,
            end,
            message,
            started_at,
            ended_at: at,
        };
        self.past.get_or_insert_default().push(past);
    }
}
