//! The loop: the model is asked, its tool calls are made, and so on until it answers.

mod asking;
mod shortening;

use tokio_util::sync::CancellationToken;

use super::answer::Wanted;
use super::calls::{Bench, ToolDefinition, Tools, not_made, sorted};
use super::compaction::{self, Keep};
use super::endpoint::Endpoint;
use super::exchange::{Answer, End};
use super::fault::{Fault, FaultKind};
use super::gate::Prefix;
use super::history::{History, Message, tokens_of_bytes};
use super::job::{Finished, Job, StopKind, Stopped, Tokens};
use super::request::Thinking;
use super::texts;
use super::watch::{Event, Watch};
use super::worker::Worker;

/// The most answers of the model where a job sets no limit. An agent that has not found its way by then will not.
pub(crate) const TURNS_MAX: u32 = 200;
/// The smallest window that is believed: a smaller one would be compacted at every turn.
const WINDOW_MIN: u64 = 4_096;

/// One job under way.
pub(super) struct Turns<'a> {
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

impl<'a> Turns<'a> {
    pub(super) fn new(
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

    pub(super) async fn run(mut self) -> Result<Finished, Stopped> {
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
            let names: Vec<&str> = self
                .definitions
                .iter()
                .map(|tool| tool.name.as_str())
                .collect();
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
            self.history
                .push(Message::Tools(not_made(&calls, texts::NO_MORE_CALLS)));
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
                "the model answered twice with neither text nor a tool call: try another model"
                    .into(),
            ));
        }
        self.said_nothing = true;
        self.history.push(Message::User(texts::NOTHING.into()));
        Ok(None)
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
            format!(
                "no answer within {most} turns: raise `maxTurns`, or give the agent less to do"
            ),
        )
    }

    fn stopped_by(&self, fault: &Fault) -> Stopped {
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
