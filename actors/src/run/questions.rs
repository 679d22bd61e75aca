//! The machine's rules for questions to people (X03): a question waits, over restarts and pauses, until somebody answers or
//! its time is over. While a run waits for nothing else, its status says so.
//!
//! ```text
//! scheduled ──► read ──► open ─┬─ answered ─────────► CallSettled (the answer)
//!                              └─ deadline ─────────► CallSettled (the default, else null)
//! ```

use std::sync::Arc;

use bellwether_journal::id::{Attempt, CallNumber};
use bellwether_journal::record::{
    Actor, CallKind, Millis, Noticed, Order, Ordered, Outcome, Record, Status, Usage,
};
use bellwether_journal::state::CallStatus;
use bellwether_journal::text::{self, Packed, Text};
use bellwether_scripts::Answer;
use serde_json::value::RawValue;

use super::calls::Came;
use super::machine::{Machine, Stage};
use super::orders::OrderError;
use super::output::{Action, Output, Source};
use super::version::hash_of;

/// As much of a question stands in a status or a notice, in characters.
const SHOWN_MAX: usize = 120;

/// A question that is open.
#[derive(Debug)]
pub(super) struct Open {
    text: Arc<str>,
    /// When it is answered without a person.
    deadline: Option<Millis>,
    /// What its answer is then; `None` is null.
    default: Option<Arc<str>>,
}

/// A question as its record has it, read back whole.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What is asked.
    pub question: Arc<str>,
    /// The call's options: JSON text.
    pub options: Arc<str>,
    /// What a person has answered, where the script was not given that yet: JSON text.
    pub given: Option<Arc<str>>,
}

/// What of a question's options matters here.
#[derive(serde::Deserialize)]
struct Waiting {
    /// In milliseconds.
    #[serde(default)]
    timeout: Option<Millis>,
    #[serde(default)]
    default: Option<Box<RawValue>>,
}

impl Machine {
    /// Lets a question be read, and asked when it is durable.
    pub(super) fn ask(&mut self, call: CallNumber, source: Source, out: &mut Output) {
        self.reading.insert(call);
        let given = self.state.answers.get(&call).cloned();
        out.act(self.state.next, Action::Ask(call, source, given));
    }

    /// A question has been read: it is open. `false` when nobody needs to be asked.
    pub fn asked(&mut self, call: CallNumber, asked: Asked, now: Millis, out: &mut Output) -> bool {
        let is_read = self.reading.remove(&call);
        if !is_read || !self.wants_script() || !self.is_open(call) {
            return false;
        }
        // Whoever wrote the options is the VM; what cannot be read of them asks for nothing.
        let waiting = serde_json::from_str::<Waiting>(&asked.options).ok();
        let scheduled_at = self.state.call(call).map_or(now, |call| call.scheduled_at);
        let open = Open {
            text: asked.question,
            deadline: waiting
                .as_ref()
                .and_then(|waiting| Some(scheduled_at.saturating_add(waiting.timeout?))),
            default: waiting.and_then(|waiting| Some(waiting.default?.get().into())),
        };
        let deadline = open.deadline;
        self.questions.insert(call, open);
        if let Some(given) = asked.given {
            self.settle_question(call, given, now, out);
            return false;
        }
        if let Some(deadline) = deadline {
            out.act(self.state.next, Action::ArmDeadline(call, deadline));
        }
        true
    }

    /// A question's time is over.
    pub fn deadline_due(&mut self, call: CallNumber, now: Millis, out: &mut Output) {
        // While the run is paused, nothing is decided for a person either.
        if !matches!(self.stage, Stage::Live | Stage::Pausing(_)) || !self.is_open(call) {
            return;
        }
        let Some(open) = self.questions.get(&call) else {
            return;
        };
        let Some(deadline) = open.deadline else {
            return;
        };
        if now < deadline {
            // The time of day went back meanwhile.
            out.act(self.state.next, Action::ArmDeadline(call, deadline));
            return;
        }
        let answer = if let Some(default) = &open.default {
            Arc::clone(default)
        } else {
            let shown = shown(&open.text);
            let text = format!(
                "nobody answered {shown} (a-{call}) in time, and it has no default: its answer is null"
            );
            let noticed = Noticed { text };
            self.append(Record::Noticed(Box::new(noticed)), now, out);
            "null".into()
        };
        self.settle_question(call, answer, now, out);
        self.rewind_on(now, out);
    }

    /// Arms the deadlines of all open questions anew.
    pub(super) fn arm_deadlines(&self, out: &mut Output) {
        for (&call, open) in &self.questions {
            if let Some(deadline) = open.deadline {
                out.act(self.state.next, Action::ArmDeadline(call, deadline));
            }
        }
    }

    /// A person answers. The same answer twice is one.
    pub(super) fn answer(
        &mut self,
        call: CallNumber,
        answer: &Text,
        given: &Ordered,
        now: Millis,
        out: &mut Output,
    ) -> Result<(), OrderError> {
        let known = self.state.call(call).ok_or(OrderError::Unknown(call))?;
        if known.kind != CallKind::Ask {
            return Err(OrderError::NoQuestion(call, known.kind.name()));
        }
        let Text::Inline(answer) = answer else {
            return Err(OrderError::Unreadable(call));
        };
        let answer = text::pack(Arc::clone(answer));
        if let Some((_, earlier)) = self.state.answers.get(&call) {
            return if hash_of(earlier) == text::hash(&answer.text) {
                Ok(())
            } else {
                Err(OrderError::Answered(call))
            };
        }
        if known.status.is_settled() {
            return Err(OrderError::Over(call));
        }
        // One that is being read is in the journal: others may have seen it there.
        if !self.questions.contains_key(&call) && !self.reading.contains(&call) {
            return Err(OrderError::NotAsked(call));
        }
        let position = self.state.next;
        let ordered = Ordered {
            order: Order::Answer(call, answer.stored.clone()),
            ..given.clone()
        };
        if self.append(Record::Ordered(Box::new(ordered)), now, out) {
            out.attach(position, &answer);
            self.settle_packed(call, answer, now, out);
        }
        Ok(())
    }

    fn settle_question(
        &mut self,
        call: CallNumber,
        answer: Arc<str>,
        now: Millis,
        out: &mut Output,
    ) {
        self.settle_packed(call, text::pack(answer), now, out);
    }

    fn settle_packed(&mut self, call: CallNumber, answer: Packed, now: Millis, out: &mut Output) {
        self.reading.remove(&call);
        let open = self.questions.remove(&call);
        if open.is_some_and(|open| open.deadline.is_some()) {
            out.act(self.state.next, Action::DisarmDeadline(call));
        }
        let token = self.token(call, Attempt(0));
        let outcome = Outcome::Completed(answer.stored.clone());
        let heard = Answer::Value(Arc::clone(&answer.text));
        let came = Came {
            outcome,
            usage: Usage::default(),
            answer: heard,
            value: Some(answer),
        };
        self.settle_call(token, came, now, out);
    }

    fn is_open(&self, call: CallNumber) -> bool {
        self.state
            .call(call)
            .is_some_and(|known| known.kind == CallKind::Ask && !known.status.is_settled())
    }

    /// Says `waiting` when all that is open are questions, and `running` when something goes on again. To be told after
    /// every decision.
    pub fn tell_waiting(&mut self, now: Millis, out: &mut Output) {
        let is_thinking =
            !self.owed.is_empty() || !self.backlog.is_empty() || !self.reading.is_empty();
        // What the script does next is not known yet; a question that is open stays so meanwhile.
        if self.stage != Stage::Live || (is_thinking && !self.questions.is_empty()) {
            return;
        }
        let reason = match self.state.status {
            Status::Running | Status::Waiting => self.waits_for(),
            _ => return,
        };
        match reason {
            Some(reason) if self.state.status_reason.as_ref() != Some(&reason) => {
                self.status(Status::Waiting, Actor::Engine, Some(reason), now, out);
            }
            None if self.state.status == Status::Waiting => {
                self.status(Status::Running, Actor::Engine, None, now, out);
            }
            Some(_) | None => {}
        }
    }

    /// What the run waits for when that is people alone, or a quota.
    fn waits_for(&self) -> Option<String> {
        let is_busy = self.running() > 0
            || self.next_open().is_some()
            || !self.loading.is_empty()
            || self.base_comes_first();
        if is_busy {
            return None;
        }
        let Some((_, first)) = self.questions.first_key_value() else {
            return self.waits_for_quota();
        };
        if !self.waiting.is_empty() {
            return None;
        }
        let is_busy = self
            .state
            .unsettled()
            .any(|(_, call)| matches!(call.status, CallStatus::Backoff { .. }));
        (!is_busy).then(|| match self.questions.len() - 1 {
            0 => format!("a question: {}", shown(&first.text)),
            more => format!("a question: {} (and {more} more)", shown(&first.text)),
        })
    }

    /// When all that is open are agents whose quota is used up: until when the first of them waits.
    fn waits_for_quota(&self) -> Option<String> {
        if !self.owed.is_empty() || !self.backlog.is_empty() || !self.timers.is_empty() {
            return None;
        }
        let mut first = None::<Millis>;
        for (number, call) in self.state.unsettled() {
            let until = self.waits_for_quota_until(number, call)?;
            first = Some(first.map_or(until, |first| first.min(until)));
        }
        let until = jiff::Timestamp::from_millisecond(i64::try_from(first?).ok()?).ok()?;
        Some(format!("quota until {until:.0}"))
    }
}

/// A question in one short line.
fn shown(question: &str) -> String {
    let mut line = question.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(SHOWN_MAX) {
        line.truncate(end);
        line.push('…');
    }
    format!("{line:?}")
}
