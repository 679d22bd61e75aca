//! A turn's tool calls: which are made together, and how much of their answers the model is given.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::history::{Call, ToolReply};
use super::texts;
use super::watch::{Event, Watch};
pub(crate) use crate::backend::llm::tools::{Answer as ToolAnswer, Definition as ToolDefinition};

/// One turn may ask for so many calls; the rest are told so.
const CALLS_MAX: usize = 64;
/// So many are made at once.
const AT_ONCE_MAX: usize = 8;

/// The tools of one agent.
pub(crate) trait Tools: Send + Sync {
    /// All of them, each name once.
    fn definitions(&self) -> Vec<ToolDefinition>;

    /// Calls the tool `name`, one of [`definitions`](Self::definitions), with what the model wrote as arguments: any JSON.
    ///
    /// When `cancelled` is, the tool ends what it started and answers soon; where it does not, its future is dropped, and all
    /// that it started must end with it.
    fn call(
        &self,
        name: &str,
        arguments: Value,
        cancelled: CancellationToken,
    ) -> BoxFuture<'_, ToolAnswer>;

    /// Whether the tool changes nothing that another one sees, so that its calls run beside each other.
    fn is_parallel(&self, name: &str) -> bool;
}

/// What a turn's calls are made with.
pub(super) struct Bench<'a> {
    pub(super) tools: &'a dyn Tools,
    pub(super) names: &'a [&'a str],
    pub(super) watch: &'a dyn Watch,
    pub(super) cancelled: &'a CancellationToken,
    /// How long tools may take to end once they are cancelled.
    pub(super) grace: Duration,
    /// The answers of one turn together have at most so many bytes.
    pub(super) bytes_max: usize,
    /// Whether the output limit cut the model's answer off, and with it perhaps its last call.
    pub(super) was_cut: bool,
}

impl Bench<'_> {
    /// Makes the calls of one turn, neighbours that may run beside each other together, the others in their order. Answers
    /// stand in the order of the calls.
    pub(super) async fn make(&self, calls: &[Call]) -> Vec<ToolReply> {
        let mut replies = Vec::with_capacity(calls.len());
        let made = &calls[..calls.len().min(CALLS_MAX)];
        for group in made.chunk_by(|one, next| self.is_parallel(one) && self.is_parallel(next)) {
            // A closure over borrowed calls would make the whole loop's future one that no task can hold.
            let mut answers = Vec::with_capacity(group.len());
            for call in group {
                answers.push(self.answer(call));
            }
            let answers: Vec<ToolAnswer> =
                stream::iter(answers).buffered(AT_ONCE_MAX).collect().await;
            replies.extend(
                group
                    .iter()
                    .zip(answers)
                    .map(|(call, answer)| reply(call, answer)),
            );
        }
        for call in &calls[made.len()..] {
            replies.push(reply(call, refused(texts::too_many_calls(CALLS_MAX))));
        }
        cap(&mut replies, self.bytes_max);
        replies
    }

    fn is_parallel(&self, call: &Call) -> bool {
        self.tools.is_parallel(&call.name)
    }

    async fn answer(&self, call: &Call) -> ToolAnswer {
        let arguments = match &call.arguments {
            Ok(arguments) => arguments,
            Err(text) => return refused(texts::not_json(text, self.was_cut)),
        };
        if !self.names.contains(&call.name.as_str()) {
            return refused(texts::no_such_tool(&call.name, self.names));
        }
        if self.cancelled.is_cancelled() {
            return refused(texts::NOT_ENDED.into());
        }
        self.watch.see(Event::ToolBegan {
            call: &call.id,
            name: &call.name,
            arguments,
        });
        let work = self
            .tools
            .call(&call.name, arguments.clone(), self.cancelled.clone());
        let too_late = self
            .cancelled
            .cancelled()
            .then(|()| tokio::time::sleep(self.grace));
        let answer = tokio::select! {
            biased;
            answer = work => answer,
            () = too_late => refused(texts::NOT_ENDED.into()),
        };
        self.watch.see(Event::ToolEnded {
            call: &call.id,
            name: &call.name,
            is_error: answer.is_error,
            bytes: answer.text.len(),
        });
        answer
    }
}

const fn refused(text: String) -> ToolAnswer {
    ToolAnswer {
        text,
        is_error: true,
    }
}

fn reply(call: &Call, answer: ToolAnswer) -> ToolReply {
    // No wire but Anthropic's knows failed calls, so the text says it on all of them. None of them likes an empty one.
    let text = match (answer.is_error, answer.text.trim().is_empty()) {
        (true, true) => "Error: it failed and does not say why.".to_owned(),
        (true, false) if !answer.text.starts_with("Error") => format!("Error: {}", answer.text),
        (false, true) => "(no output)".to_owned(),
        _ => answer.text,
    };
    ToolReply {
        call: call.id.clone(),
        name: call.name.clone(),
        text,
    }
}

/// The answers to calls that are not made.
pub(super) fn not_made(calls: &[Call], why: &str) -> Vec<ToolReply> {
    calls
        .iter()
        .map(|call| reply(call, refused(why.into())))
        .collect()
}

/// Cuts the longest answers until all together have at most `bytes_max`, each of them to the same length.
fn cap(replies: &mut [ToolReply], bytes_max: usize) {
    let mut lengths: Vec<usize> = replies.iter().map(|reply| reply.text.len()).collect();
    lengths.sort_unstable();
    // The short ones keep what they have; what they leave is shared by the rest.
    let mut left = bytes_max;
    let mut share = usize::MAX;
    for (at, length) in lengths.iter().enumerate() {
        let even = left / (lengths.len() - at);
        if *length > even {
            share = even;
            break;
        }
        left -= length;
    }
    for reply in replies {
        if reply.text.len() > share {
            let kept = reply.text.floor_char_boundary(share);
            let more = reply.text.len() - kept;
            reply.text.truncate(kept);
            reply.text.push_str(&texts::cut(more));
        }
    }
}

/// The tools in a stable order, one of each name: the beginning of every request of every sibling.
pub(super) fn sorted(tools: &dyn Tools) -> Vec<ToolDefinition> {
    let mut definitions = tools.definitions();
    definitions.sort_by(|one, other| one.name.cmp(&other.name));
    let mut seen = HashSet::new();
    definitions.retain(|definition| seen.insert(definition.name.clone()));
    definitions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(texts: &[usize], bytes_max: usize) -> Vec<usize> {
        let mut replies: Vec<ToolReply> = texts
            .iter()
            .map(|length| ToolReply {
                call: String::new(),
                name: String::new(),
                text: "x".repeat(*length),
            })
            .collect();
        cap(&mut replies, bytes_max);
        let kept = |text: &str| text.find('\n').unwrap_or(text.len());
        replies.iter().map(|reply| kept(&reply.text)).collect()
    }

    #[test]
    fn the_longest_answers_are_cut_first() {
        assert_eq!(lengths(&[10, 20, 30], 60), [10, 20, 30]);
        assert_eq!(lengths(&[10, 1_000, 30], 100), [10, 60, 30]);
        assert_eq!(lengths(&[1_000, 10, 1_000], 110), [50, 10, 50]);
        assert_eq!(lengths(&[5, 5], 0), [0, 0]);
        assert_eq!(lengths(&[], 10), Vec::<usize>::new());
    }

    #[test]
    fn a_cut_goes_through_no_character_and_says_how_much() {
        let mut replies = vec![ToolReply {
            call: String::new(),
            name: String::new(),
            text: "ää".into(),
        }];
        cap(&mut replies, 3);
        assert!(
            replies[0].text.starts_with("ä\n(2 more bytes"),
            "{}",
            replies[0].text
        );
    }
}
