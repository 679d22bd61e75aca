//! One answer of the model, whatever it takes to get it.

use super::super::compaction::Keep;
use super::super::exchange::{Answer, Seen, exchange};
use super::super::fault::{Fault, FaultKind};
use super::super::gate::{self, Place};
use super::super::history::Message;
use super::super::job::Stopped;
use super::super::request::{Ask, Shape, Wish};
use super::super::retry::Retries;
use super::super::texts;
use super::super::watch::Event;
use super::Turns;

/// Why a request has no answer.
pub(super) enum Halt {
    Cancelled,
    Fault(Fault),
}

impl Turns<'_> {
    /// Asks for the next answer, with what can be done about a refusal: less is wished for, or the conversation is made shorter.
    pub(super) async fn answer(&mut self, may_call: bool) -> Result<Answer, Stopped> {
        let mut place = match self.place().await {
            Ok(place) => place,
            Err(Halt::Cancelled) => return Err(self.cancelled()),
            Err(Halt::Fault(fault)) => return Err(self.stopped_by(&fault)),
        };
        let mut is_compacted = false;
        loop {
            let ask = Ask {
                endpoint: self.endpoint,
                system: &self.system,
                tools: &self.definitions,
                may_call,
                messages: &self.history.messages,
                shape: self.wanted.shape(may_call),
                thinking: self.thinking,
                max_output_tokens: self.job.max_output_tokens,
                prefix_name: &self.prefix.name(),
            };
            let has_shape = ask.shape != Shape::Free;
            let fault = match self.persist(&ask, place.take(), true).await {
                Ok(answer) => return Ok(answer),
                Err(Halt::Cancelled) => return Err(self.cancelled()),
                Err(Halt::Fault(fault)) => fault,
            };
            let goes_on = match fault.kind {
                FaultKind::Invalid => self.wish_less(&fault, has_shape, may_call),
                FaultKind::ContextTooLong if !is_compacted => {
                    is_compacted = true;
                    self.compact(Keep::FORCED, true).await?
                }
                _ => false,
            };
            if !goes_on {
                return Err(self.stopped_by(&fault));
            }
        }
    }

    /// Waits for a sibling that has the same long prefix, before the first request.
    async fn place(&self) -> Result<Option<Place>, Halt> {
        if self.turn > 1 || self.fixed < gate::TOKENS_MIN {
            return Ok(None);
        }
        let entered = self
            .worker
            .gate
            .enter(self.prefix, self.worker.pace.sibling);
        tokio::select! {
            biased;
            () = self.cancelled.cancelled() => Err(Halt::Cancelled),
            place = entered => Ok(Some(place)),
        }
    }

    /// Sends a request until it is answered, or it makes no sense to send it once more.
    pub(super) async fn persist(
        &self,
        ask: &Ask<'_>,
        mut place: Option<Place>,
        is_shown: bool,
    ) -> Result<Answer, Halt> {
        let pace = &self.worker.pace;
        let mut retries = Retries::default();
        loop {
            let see = |seen: Seen<'_>| match seen {
                Seen::Begun => {
                    if let Some(place) = &mut place {
                        place.begun();
                    }
                }
                Seen::Text(text) if is_shown => self.watch.see(Event::Text(text)),
                Seen::Thought(text) if is_shown => self.watch.see(Event::Thought(text)),
                Seen::Text(_) | Seen::Thought(_) => {}
            };
            let asked = exchange(&self.worker.client, pace, ask, see);
            let outcome = tokio::select! {
                biased;
                () = self.cancelled.cancelled() => return Err(Halt::Cancelled),
                outcome = asked => outcome,
            };
            let fault = match outcome {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            // Siblings need not wait for one that does not get through.
            place = None;
            let Some(after) = retries.after(&fault, pace.back_off, pace.jitter()) else {
                return Err(Halt::Fault(fault));
            };
            self.watch.see(Event::Retrying {
                kind: fault.kind,
                message: &fault.message,
                after,
            });
            tokio::select! {
                biased;
                () = self.cancelled.cancelled() => return Err(Halt::Cancelled),
                () = pace.sleep(after) => {}
            }
        }
    }

    /// Gives up a wish that the provider may have refused. False when there is none left.
    fn wish_less(&mut self, fault: &Fault, has_shape: bool, may_call: bool) -> bool {
        let wish = Wish::refused_by(&fault.message);
        if has_shape && wish != Wish::Thinking {
            self.wanted.give_up();
            // It may not have been told in words yet.
            if let Some(first) = self.history.messages.first_mut() {
                *first = Message::User(texts::task(self.job, self.wanted.in_words(may_call)));
            }
            return true;
        }
        let Some(less) = self
            .thinking
            .less(wish == Wish::Thinking, self.endpoint.wire)
        else {
            return false;
        };
        self.thinking = less;
        // A thought that is too long for this job's output is nothing that holds of the model.
        if wish == Wish::Thinking && !fault.message.contains("max_tokens") {
            self.worker.found(self.endpoint, less);
        }
        true
    }
}
