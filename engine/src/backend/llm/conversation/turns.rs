//! The loop: the model is asked, its tool calls are made, and so on until it answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use genai::Client;
use tokio_util::sync::CancellationToken;

use super::answer::Wanted;
use super::calls::{Bench, ToolDefinition, Tools, not_made, sorted};
use super::compaction::{self, Keep};
use super::endpoint::{Endpoint, Wire};
use super::exchange::{Answer, End, Seen, exchange};
use super::fault::{Fault, FaultKind};
use super::gate::{self, Gate, Place, Prefix};
use super::history::{History, Message, tokens_of_bytes};
use super::job::{Effort, Finished, Job, StopKind, Stopped, Tokens};
use super::pace::Pace;
use super::request::{Ask, Shape, Thinking, Wish};
use super::retry::Retries;
use super::texts;
use super::watch::{Event, Watch};

/// The most answers of the model where a job sets no limit. An agent that has not found its way by then will not.
pub const TURNS_MAX: u32 = 200;
/// A summary has at most so many tokens, thoughts included.
const SUMMARY_TOKENS_MAX: u32 = 8_192;
/// The smallest window that is believed: a smaller one would be compacted at every turn.
const WINDOW_MIN: u64 = 4_096;

/// Makes agents work. One for all agents of an engine: what they share is here.
#[derive(Clone)]
pub struct Worker {
    client: Client,
    pace: Pace,
    gate: Gate,
    /// What models were found not to take, so that only the first request of each is refused.
    refused: Arc<Mutex<HashMap<(Wire, String), Refused>>>,
}

/// What a model does not take.
#[derive(Clone, Copy, Debug)]
struct Refused {
    /// The most effort that was not refused.
    effort: Option<Effort>,
    keeps_thoughts: bool,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Worker")
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker that talks by `client`, see [`super::client`].
    #[must_use]
    pub fn new(client: Client, pace: Pace) -> Self {
        Self {
            client,
            pace,
            gate: Gate::default(),
            refused: Arc::default(),
        }
    }

    /// Does `job` with the model at `endpoint`.
    ///
    /// The future may be dropped at any moment; connection and tool calls end with it. `cancelled` is the orderly way: the
    /// connection is dropped at once, and running tools are told and given [`Pace::grace`].
    ///
    /// # Errors
    /// [`Stopped`]: there is no answer, and its kind says what to do about that.
    pub async fn work(
        &self,
        endpoint: &Endpoint,
        job: &Job,
        tools: &dyn Tools,
        watch: &dyn Watch,
        cancelled: &CancellationToken,
    ) -> Result<Finished, Stopped> {
        Turns::new(self, endpoint, job, tools, watch, cancelled)
            .run()
            .await
    }

    /// How `endpoint` is asked to think, after all that was found of it.
    fn thinking(&self, endpoint: &Endpoint, effort: Option<Effort>) -> Thinking {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match refused.get(&(endpoint.wire, endpoint.model.clone())) {
            Some(found) => Thinking {
                effort: effort.and_then(|wish| found.effort.map(|most| wish.min(most))),
                is_kept: found.keeps_thoughts,
            },
            None => Thinking {
                effort,
                is_kept: true,
            },
        }
    }

    fn found(&self, endpoint: &Endpoint, thinking: Thinking) {
        let found = Refused {
            effort: thinking.effort,
            keeps_thoughts: thinking.is_kept,
        };
        self.refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((endpoint.wire, endpoint.model.clone()), found);
    }
}

/// One job under way.
struct Turns<'a> {
    worker: &'a Worker,
    endpoint: &'a Endpoint,
    job: &'a Job,
    tools: &'a dyn Tools,
    watch: &'a dyn Watch,
    cancelled: &'a CancellationToken,
    definitions: Vec<ToolDefinition>,
    system: String,
    prefix: Prefix,
    /// System prompt and tools, in tokens.
    fixed: u64,
    window: u64,
    wanted: Wanted<'a>,
    thinking: Thinking,
    history: History,
    turn: u32,
    tokens: Tokens,
    /// What the model said last.
    last_text: Option<String>,
    /// The beginning of an answer that the output limit cut off.
    begun: String,
    said_nothing: bool,
    asked_to_go_on: bool,
    asked_for_json: bool,
}

/// Why a request has no answer.
enum Halt {
    Cancelled,
    Fault(Fault),
}

impl<'a> Turns<'a> {
    fn new(
        worker: &'a Worker,
        endpoint: &'a Endpoint,
        job: &'a Job,
        tools: &'a dyn Tools,
        watch: &'a dyn Watch,
        cancelled: &'a CancellationToken,
    ) -> Self {
        let definitions = sorted(tools);
        let system = texts::system(job);
        let listed: Vec<String> = definitions
            .iter()
            .map(|tool| format!("{}\n{}\n{}", tool.name, tool.description, tool.parameters))
            .collect();
        let prefix = Prefix::of(
            [&endpoint.base_url, &endpoint.model, &system]
                .into_iter()
                .chain(&listed)
                .map(String::as_str),
        );
        let bytes = system.len() + listed.iter().map(String::len).sum::<usize>();
        let fixed = tokens_of_bytes(bytes);
        let wanted = Wanted::new(job.schema.as_ref(), endpoint);
        let may_call = !definitions.is_empty() && job.max_turns != Some(1);
        let task = texts::task(job, wanted.in_words(may_call));
        Self {
            history: History::new(vec![Message::User(task)], fixed),
            thinking: worker.thinking(endpoint, job.effort),
            window: job.context_window.max(WINDOW_MIN),
            worker,
            endpoint,
            job,
            tools,
            watch,
            cancelled,
            definitions,
            system,
            prefix,
            fixed,
            wanted,
            turn: 0,
            tokens: Tokens::default(),
            last_text: None,
            begun: String::new(),
            said_nothing: false,
            asked_to_go_on: false,
            asked_for_json: false,
        }
    }

    async fn run(mut self) -> Result<Finished, Stopped> {
        let most = self.job.max_turns.unwrap_or(TURNS_MAX).max(1);
        while self.turn < most {
            self.turn += 1;
            let is_last = self.turn == most;
            if is_last && most > 1 {
                let words = texts::last_turn(self.wanted.schema());
                self.history.push(Message::User(words));
            }
            let limit = compaction::threshold(self.window, self.job.max_output_tokens);
            if self.history.tokens() > limit {
                self.compact(Keep::USUAL, false).await?;
            }
            self.watch.see(Event::TurnBegan { turn: self.turn });
            // A model that is asked for its JSON once more has no reason to call anything.
            let may_call = !is_last && !self.asked_for_json && !self.definitions.is_empty();
            let answer = self.answer(may_call).await?;
            let used = answer.tokens.unwrap_or_default();
            self.tokens += used;
            self.watch.see(Event::TurnEnded {
                turn: self.turn,
                tokens: used,
            });
            if let Some(finished) = self.take(answer, may_call, is_last).await? {
                return Ok(finished);
            }
        }
        Err(self.turns_used_up(most))
    }

    /// What follows from an answer: it is the last one, or there is more to ask.
    async fn take(
        &mut self,
        answer: Answer,
        may_call: bool,
        is_last: bool,
    ) -> Result<Option<Finished>, Stopped> {
        let Answer { said, tokens, end } = answer;
        let text = said.text.clone();
        if !text.trim().is_empty() {
            self.last_text = Some(text.clone());
        }
        if let End::Refused(word) = end {
            return Err(self.stopped(
                StopKind::Refused,
                format!("the model or its provider refused to go on ({word}): change the task, or use another model"),
            ));
        }
        let (calls, is_empty) = (said.calls.clone(), said.is_empty());
        if !is_empty {
            self.history.push(Message::Assistant(said));
        }
        if let Some(tokens) = tokens.filter(|tokens| tokens.input > 0) {
            self.history.count(tokens.input + tokens.output);
        }
        if !calls.is_empty() && may_call {
            self.said_nothing = false;
            let names: Vec<&str> = self.definitions.iter().map(|tool| tool.name.as_str()).collect();
            let bench = Bench {
                tools: self.tools,
                names: &names,
                watch: self.watch,
                cancelled: self.cancelled,
                grace: self.worker.pace.grace,
                // A quarter of the window, at four bytes a token.
                bytes_max: usize::try_from(self.window).unwrap_or(usize::MAX),
                was_cut: end == End::Cut,
            };
            let replies = bench.make(&calls).await;
            self.history.push(Message::Tools(replies));
            if self.cancelled.is_cancelled() {
                return Err(self.cancelled());
            }
            return Ok(None);
        }
        if !calls.is_empty() {
            self.history.push(Message::Tools(not_made(&calls, texts::NO_MORE_CALLS)));
        }
        if end == End::Cut {
            return self.go_on(&text, is_last);
        }
        if text.trim().is_empty() {
            return self.ask_again(is_last);
        }
        self.said_nothing = false;
        let text = std::mem::take(&mut self.begun) + &text;
        let value = self.wanted.value(&text);
        if let (Some(schema), None) = (self.wanted.schema(), &value)
            && !is_last
            && !self.asked_for_json
        {
            self.asked_for_json = true;
            self.history.push(Message::User(texts::no_json(schema)));
            return Ok(None);
        }
        Ok(Some(Finished {
            text,
            value,
            turns: self.turn,
            tokens: self.tokens,
            messages: std::mem::take(&mut self.history.messages),
        }))
    }

    /// After an answer that the output limit cut off: it is asked for once more, where there is room.
    fn go_on(&mut self, text: &str, is_last: bool) -> Result<Option<Finished>, Stopped> {
        let has_room = self.history.tokens() < self.window / 10 * 9;
        let whole = format!("{}{text}", self.begun);
        if self.asked_to_go_on || is_last || !has_room {
            if !whole.trim().is_empty() {
                self.last_text = Some(whole);
            }
            return Err(self.stopped(
                StopKind::MaxTokens,
                "the answer does not fit the output limit: raise it, or ask for less".into(),
            ));
        }
        self.asked_to_go_on = true;
        let has_schema = self.wanted.schema().is_some();
        let words = if text.trim().is_empty() {
            texts::THOUGHT_TOO_LONG
        } else {
            // JSON is given again as a whole: a model seldom finds the very byte where it stopped.
            if !has_schema {
                self.begun = whole;
            }
            texts::go_on(has_schema)
        };
        self.history.push(Message::User(words.into()));
        Ok(None)
    }

    /// After an answer with nothing in it.
    fn ask_again(&mut self, is_last: bool) -> Result<Option<Finished>, Stopped> {
        if is_last {
            return Err(self.turns_used_up(self.turn));
        }
        if self.said_nothing {
            return Err(self.stopped(
                StopKind::Other,
                "the model answered twice with neither text nor a tool call: try another model".into(),
            ));
        }
        self.said_nothing = true;
        self.history.push(Message::User(texts::NOTHING.into()));
        Ok(None)
    }

    /// Asks for the next answer, with what can be done about a refusal: less is wished for, or the conversation is made shorter.
    async fn answer(&mut self, may_call: bool) -> Result<Answer, Stopped> {
        let mut place = match self.place().await {
            Ok(place) => place,
            Err(Halt::Cancelled) => return Err(self.cancelled()),
            Err(Halt::Fault(fault)) => return Err(self.stopped_by(fault)),
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
                return Err(self.stopped_by(fault));
            }
        }
    }

    /// Waits for a sibling that has the same long prefix, before the first request.
    async fn place(&self) -> Result<Option<Place>, Halt> {
        if self.turn > 1 || self.fixed < gate::TOKENS_MIN {
            return Ok(None);
        }
        let entered = self.worker.gate.enter(self.prefix, self.worker.pace.sibling);
        tokio::select! {
            biased;
            () = self.cancelled.cancelled() => Err(Halt::Cancelled),
            place = entered => Ok(Some(place)),
        }
    }

    /// Sends a request until it is answered, or it makes no sense to send it once more.
    async fn persist(
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
                Seen::Text(_) => {}
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
        let Some(less) = self.thinking.less(wish == Wish::Thinking) else {
            return false;
        };
        self.thinking = less;
        if wish == Wish::Thinking {
            self.worker.found(self.endpoint, less);
        }
        true
    }

    /// Makes the conversation shorter. False when nothing could be left out.
    async fn compact(&mut self, keep: Keep, is_forced: bool) -> Result<bool, Stopped> {
        let (before, estimate) = (self.history.tokens(), self.history.estimate().max(1));
        // Where the provider counts more than is estimated, estimates are low for what is left, too.
        let scaled = |tokens: u64| tokens.saturating_mul(before.max(estimate)) / estimate;
        let mut messages = compaction::without_old_answers(&self.history.messages, keep);
        let is_enough = |messages: &[Message]| {
            scaled(compaction::length(messages, self.fixed)) <= compaction::target(self.window)
        };
        if (is_forced || !is_enough(&messages))
            && let Some(middle) = compaction::middle(&messages, keep)
        {
            let summary = self.summary(&messages[middle.clone()]).await?;
            messages = compaction::with_summary(&messages, &middle, &summary);
        }
        if is_forced && compaction::length(&messages, self.fixed) >= estimate {
            // There is no old turn: what is too long is the last answer of a tool.
            messages = compaction::without_old_answers(&messages, Keep { answers: 0, ..keep });
        }
        let after = compaction::length(&messages, self.fixed);
        if after >= estimate {
            return Ok(false);
        }
        self.history.replace(messages);
        self.history.count(scaled(after));
        self.watch.see(Event::Compacted {
            before,
            after: scaled(after),
        });
        Ok(true)
    }

    /// What a part of the conversation comes to, in the model's words.
    async fn summary(&mut self, messages: &[Message]) -> Result<String, Stopped> {
        let transcript = compaction::transcript(messages, self.window / 2);
        let prompt = &self.job.prompt;
        // An eighth of the window, at four bytes a token.
        let most = usize::try_from(self.window / 2).unwrap_or(usize::MAX);
        let prompt = &prompt[..prompt.floor_char_boundary(most)];
        let task = [Message::User(texts::summarise(prompt, &transcript))];
        let limit = self.job.max_output_tokens.unwrap_or(SUMMARY_TOKENS_MAX);
        let ask = Ask {
            endpoint: self.endpoint,
            system: texts::SUMMARISE_SYSTEM,
            tools: &[],
            may_call: false,
            messages: &task,
            shape: Shape::Free,
            thinking: Thinking {
                effort: None,
                ..self.thinking
            },
            max_output_tokens: Some(limit.min(SUMMARY_TOKENS_MAX)),
            prefix_name: &self.prefix.name(),
        };
        match self.persist(&ask, None, false).await {
            Ok(answer) => {
                self.tokens += answer.tokens.unwrap_or_default();
                let text = answer.said.text.trim();
                Ok(if text.is_empty() {
                    compaction::bare_summary(messages)
                } else {
                    text.to_owned()
                })
            }
            Err(Halt::Cancelled) => Err(self.cancelled()),
            Err(Halt::Fault(fault)) => match fault.kind {
                // It is the request for the summary that is at fault, and the work can go on without it.
                FaultKind::ContextTooLong | FaultKind::Invalid | FaultKind::Refused => {
                    Ok(compaction::bare_summary(messages))
                }
                _ => Err(self.stopped_by(fault)),
            },
        }
    }

    fn stopped(&self, kind: StopKind, message: String) -> Stopped {
        Stopped {
            kind,
            message,
            retry_after: None,
            turns: self.turn,
            tokens: self.tokens,
            last_text: self.last_text.clone(),
        }
    }

    fn cancelled(&self) -> Stopped {
        self.stopped(StopKind::Cancelled, "the attempt was cancelled".into())
    }

    fn turns_used_up(&self, most: u32) -> Stopped {
        self.stopped(
            StopKind::TurnsUsedUp,
            format!("no answer within {most} turns: raise `maxTurns`, or give the agent less to do"),
        )
    }

    fn stopped_by(&self, fault: Fault) -> Stopped {
        let (kind, remedy) = match fault.kind {
            FaultKind::RateLimit => (StopKind::RateLimit, ""),
            FaultKind::Quota => (StopKind::Quota, ""),
            FaultKind::Overloaded | FaultKind::Server | FaultKind::Transport => {
                (StopKind::Transport, "")
            }
            FaultKind::Timeout => (StopKind::Timeout, ""),
            FaultKind::Denied => (
                StopKind::Denied,
                ": check the provider's key, and what it may do",
            ),
            FaultKind::Budget => (StopKind::BudgetUsedUp, ""),
            FaultKind::ContextTooLong => (
                StopKind::ContextTooLong,
                ": the task is longer than the model's context; split it, or use a model with a larger one",
            ),
            FaultKind::Refused => (StopKind::Refused, ""),
            FaultKind::Invalid | FaultKind::Other => (StopKind::Other, ""),
        };
        Stopped {
            retry_after: fault.retry_after,
            ..self.stopped(kind, format!("{}{remedy}", fault.message))
        }
    }
}
