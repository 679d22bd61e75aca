//! From records to what the watchers of a run are told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bellwether_actors::backend::ProgressEvent;
use bellwether_actors::observe::{Observer, Report};
use bellwether_journal::codec::Entry;
use bellwether_journal::id::{CallNumber, RunId};
use bellwether_journal::record::{CallKind, Level, Outcome, Record, Status, Usage};
use bellwether_journal::state::RunState;
use tokio::sync::{broadcast, watch};

use crate::event::{Event, Events};
use crate::view::Money;

/// A run's watchers.
pub(crate) struct Watch {
    run: RunId,
    events: Mutex<Channel>,
    /// Kept from the beginning for the first who asks for events.
    first: Mutex<Option<Events>>,
    report: watch::Sender<Report>,
}

/// A run's events on their way. A channel has its memory from the beginning, some 50 KiB, so most runs do without: those that
/// nobody asks for events.
enum Channel {
    /// Nobody has asked yet; the channel will keep so many events.
    Unasked(usize),
    Open(broadcast::Sender<Arc<Event>>),
    /// The run is done, and those who read to the end find one.
    Closed,
}

impl Watch {
    pub(crate) fn new(run: RunId, status: Status, done: bool, capacity: usize) -> Self {
        let events = if done {
            Channel::Closed
        } else {
            Channel::Unasked(capacity.max(1))
        };
        let report = Report {
            status,
            reason: None,
            done,
            journal_failed: false,
        };
        let first = Mutex::default();
        Self {
            run,
            events: Mutex::new(events),
            first,
            report: watch::Sender::new(report),
        }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Report> {
        self.report.subscribe()
    }

    /// Keeps events from here on until somebody asks for them.
    pub(crate) fn keep_for_the_first(&self) {
        let events = self.events();
        *self.first.lock().unwrap_or_else(PoisonError::into_inner) = Some(events);
    }

    pub(crate) fn events(&self) -> Events {
        if let Some(first) = self
            .first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            return first;
        }
        let mut channel = self.channel();
        Events(match &*channel {
            Channel::Open(sender) => sender.subscribe(),
            Channel::Unasked(capacity) => {
                let (sender, receiver) = broadcast::channel(*capacity);
                *channel = Channel::Open(sender);
                receiver
            }
            Channel::Closed => broadcast::channel(1).1,
        })
    }

    fn channel(&self) -> MutexGuard<'_, Channel> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run has ended so, as its journal says.
    pub(crate) fn ended(&self, status: Status) {
        self.report(Report {
            status,
            reason: None,
            done: true,
            journal_failed: false,
        });
    }

    /// This engine cannot go on with the run.
    pub(crate) fn abandoned(&self, reason: String) {
        let status = Status::Interrupted;
        self.report(Report {
            status,
            reason: Some(reason),
            done: true,
            journal_failed: false,
        });
    }

    fn send(&self, event: Event) {
        if let Channel::Open(sender) = &*self.channel() {
            // Nobody may be looking any more.
            let _ = sender.send(Arc::new(event));
        }
    }
}

impl Observer for Watch {
    fn is_watching(&self) -> bool {
        matches!(&*self.channel(), Channel::Open(sender) if sender.receiver_count() > 0)
    }

    fn durable(&self, state: &RunState, entries: &[Entry]) {
        for entry in entries {
            if let Some(event) = event_of(self.run, state, entry) {
                self.send(event);
            }
        }
    }

    fn progress(&self, event: ProgressEvent) {
        if self.is_watching() {
            let text = &event.event;
            let shown = serde_json::from_str(text)
                .unwrap_or_else(|_| serde_json::Value::String(text.to_string()));
            self.send(Event::AgentProgress {
                run_id: self.run.to_string(),
                agent: agent(event.token.call),
                event: shown,
            });
        }
    }

    fn report(&self, report: Report) {
        let done = report.done;
        // What was said to be done stays so: an actor that was given up may still have something to say.
        self.report.send_if_modified(|known| {
            let news = !known.done;
            if news {
                *known = report;
            }
            news
        });
        if done {
            *self.channel() = Channel::Closed;
        }
    }
}

pub(crate) fn agent(call: CallNumber) -> String {
    format!("a-{call}")
}

fn event_of(run: RunId, state: &RunState, entry: &Entry) -> Option<Event> {
    let run_id = run.to_string();
    let at = crate::view::Timestamp(entry.at).to_string();
    let call_of = |call: CallNumber| {
        state
            .call(call)
            .filter(|state| state.kind == CallKind::Agent)
    };
    let ended = |number, outcome: &str, failure: Option<(&str, &str)>, usage: Usage| {
        let call = call_of(number)?;
        Some(Event::AgentEnded {
            run_id: run.to_string(),
            at: crate::view::Timestamp(entry.at).to_string(),
            agent: agent(number),
            label: call.label.as_deref().map(str::to_owned),
            phase: call.phase.as_deref().map(str::to_owned),
            outcome: outcome.to_owned(),
            kind: failure.map(|(kind, _)| kind.to_owned()),
            message: failure.map(|(_, message)| message.to_owned()),
            usage,
        })
    };
    match &entry.record {
        Record::StatusChanged(changed) => Some(Event::Status {
            run_id,
            at,
            status: changed.status,
            reason: changed.reason.clone(),
        }),
        Record::RunEnded(ended) => Some(Event::Status {
            run_id,
            at,
            status: ended.status,
            reason: ended
                .error
                .as_ref()
                .map(|error| format!("{}: {}", error.name, error.message)),
        }),
        Record::PhaseEntered(entered) => Some(Event::Phase {
            run_id,
            at,
            title: entered.title.to_string(),
        }),
        Record::Logged(logged) => Some(Event::Log {
            run_id,
            at,
            level: logged.level,
            text: logged.text.clone(),
        }),
        Record::Noticed(noticed) => Some(Event::Log {
            run_id,
            at,
            level: Level::Warning,
            text: noticed.text.clone(),
        }),
        Record::CallScheduled(call) if call.kind == CallKind::Agent => {
            Some(Event::AgentScheduled {
                run_id,
                at,
                agent: agent(call.call),
                label: call.label.as_deref().map(str::to_owned),
                phase: call.phase.as_deref().map(str::to_owned),
            })
        }
        Record::AttemptStarted(started) => Some(Event::AgentStarted {
            run_id,
            at,
            agent: agent(started.call),
            attempt: started.attempt.0,
        }),
        Record::AttemptAdopted(adopted) => Some(Event::AgentStarted {
            run_id,
            at,
            agent: agent(adopted.call),
            attempt: adopted.attempt.0,
        }),
        Record::UsageCounted(used) if used.attempt.0 > 0 => Some(Event::Spent {
            run_id,
            at,
            agent: agent(used.call),
            usage: state.usage,
            cost: Money::of(&state.counted),
        }),
        Record::AttemptFailed(failed) => Some(Event::AgentRetrying {
            run_id,
            at,
            agent: agent(failed.call),
            attempt: failed.attempt.0,
            kind: failed.failure.kind.name().to_owned(),
            message: failed.failure.message.clone(),
        }),
        Record::CallSettled(settled) => match &settled.outcome {
            Outcome::Completed(_) => ended(settled.call, "completed", None, settled.usage),
            Outcome::Failed(failure) => {
                let failure = (failure.kind.name(), failure.message.as_str());
                ended(settled.call, "failed", Some(failure), settled.usage)
            }
            Outcome::Skipped => ended(settled.call, "skipped", None, settled.usage),
            Outcome::Cancelled(_) => ended(settled.call, "cancelled", None, settled.usage),
        },
        Record::CallRefused(refused) => {
            let failure = (refused.code.as_str(), refused.message.as_str());
            ended(refused.call, "failed", Some(failure), Usage::default())
        }
        _ => None,
    }
}
