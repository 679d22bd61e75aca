//! A conversation that has grown too long, made shorter.

use super::super::compaction::{self, Keep};
use super::super::fault::FaultKind;
use super::super::history::Message;
use super::super::job::Stopped;
use super::super::request::{Ask, Shape, Thinking};
use super::super::texts;
use super::super::watch::Event;
use super::Turns;
use super::asking::Halt;

/// A summary has at most so many tokens, thoughts included.
const SUMMARY_TOKENS_MAX: u32 = 8_192;

impl Turns<'_> {
    /// Makes the conversation shorter. False when nothing could be left out.
    pub(super) async fn compact(&mut self, keep: Keep, is_forced: bool) -> Result<bool, Stopped> {
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
                _ => Err(self.stopped_by(&fault)),
            },
        }
    }
}
