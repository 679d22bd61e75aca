//! How a conversation that grows over the model's context is made shorter. Pure; the one model call it takes is made
//! elsewhere.
//!
//! First old tool answers go: they are the most of it, and most can be had again. If that is not enough, the middle goes and a
//! summary of it takes its place. The task itself stays, and so do the last turns; a turn is cut whole, so that no call is
//! ever without its answer.

use std::fmt::Write as _;

use super::history::{Message, tokens_of_bytes, total};
use super::texts;

/// An answer shorter than this, in bytes, is kept: the note in its place would be no shorter.
const SMALL_BYTES: usize = 400;
/// Of one answer so much goes into what is summarised, in bytes.
const TOLD_BYTES_MAX: usize = 3 << 10;

/// How much is kept as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    /// The answers of so many turns, the last ones.
    pub(super) answers: usize,
    /// So many turns, the last ones, where the middle goes.
    pub(super) turns: usize,
}

impl Keep {
    /// When the conversation has grown long.
    pub(super) const USUAL: Self = Self {
        answers: 3,
        turns: 3,
    };
    /// When the provider has refused it already.
    pub(super) const FORCED: Self = Self {
        answers: 1,
        turns: 1,
    };
}

/// The length from which a conversation is made shorter: four fifths of the window, and less where the model's longest
/// answer would not fit behind it.
pub(super) fn threshold(window: u64, output_max: Option<u32>) -> u64 {
    let room = u64::from(output_max.unwrap_or(0)).min(window / 2);
    (window / 5 * 4).min(window - room)
}

/// The length that it should have afterwards: half of the window, so that there is room for work before the next time.
pub(super) const fn target(window: u64) -> u64 {
    window / 2
}

/// Lets old tool answers go. The same messages in the same order otherwise.
pub(super) fn without_old_answers(messages: &[Message], keep: Keep) -> Vec<Message> {
    let turns = messages
        .iter()
        .filter(|message| matches!(message, Message::Tools(_)))
        .count();
    let mut old = turns.saturating_sub(keep.answers);
    let mut shorter = messages.to_vec();
    for message in &mut shorter {
        let Message::Tools(replies) = message else {
            continue;
        };
        if old == 0 {
            break;
        }
        old -= 1;
        for reply in replies {
            if reply.text.len() > SMALL_BYTES {
                reply.text = texts::let_go(reply.text.len());
            }
        }
    }
    shorter
}

/// What of a conversation a summary takes the place of: everything between the task and the last turns. `None` where there is
/// nothing in between.
pub(super) fn middle(messages: &[Message], keep: Keep) -> Option<std::ops::Range<usize>> {
    let first = 1;
    let mut turns = messages
        .iter()
        .enumerate()
        .filter(|(_, message)| matches!(message, Message::Assistant(_)))
        .map(|(at, _)| at)
        .rev();
    // A turn begins with the model's answer, so a cut before one parts no call from its answer.
    let end = turns.nth(keep.turns.saturating_sub(1))?;
    (end > first).then_some(first..end)
}

/// The conversation with `summary` instead of `middle`.
pub(super) fn with_summary(
    messages: &[Message],
    middle: &std::ops::Range<usize>,
    summary: &str,
) -> Vec<Message> {
    let mut shorter = messages[..middle.start].to_vec();
    shorter.push(Message::User(texts::summary(summary)));
    shorter.extend_from_slice(&messages[middle.end..]);
    shorter
}

/// Messages as text for whoever summarises, of at most about `tokens_max` tokens. Where it has to be shorter the beginning
/// goes, since what came later builds on it; but what the loop said stays, an earlier summary above all.
pub(super) fn transcript(messages: &[Message], tokens_max: u64) -> String {
    let texts: Vec<(bool, String)> = messages
        .iter()
        .map(|message| (matches!(message, Message::User(_)), told(message)))
        .collect();
    let length = |text: &str| tokens_of_bytes(text.len());
    let said = texts.iter().filter(|(is_said, _)| *is_said);
    let mut left = tokens_max.saturating_sub(said.map(|(_, text)| length(text)).sum());
    let mut parts: Vec<&str> = Vec::new();
    let mut skipped = 0;
    for (is_said, text) in texts.iter().rev() {
        if *is_said {
            parts.push(text);
        } else if skipped == 0 && length(text) <= left {
            left -= length(text);
            parts.push(text);
        } else {
            skipped += 1;
        }
    }
    let note = format!("({skipped} earlier messages are left out.)\n");
    if skipped > 0 {
        parts.push(&note);
    }
    parts.reverse();
    parts.concat()
}

fn told(message: &Message) -> String {
    let mut text = String::new();
    match message {
        Message::User(said) => {
            let _ = writeln!(text, "[workflow] {said}");
        }
        Message::Assistant(answer) => {
            if !answer.text.trim().is_empty() {
                let _ = writeln!(text, "[agent] {}", ends(answer.text.trim()));
            }
            for call in &answer.calls {
                let arguments = match &call.arguments {
                    Ok(arguments) => arguments.to_string(),
                    Err(written) => written.clone(),
                };
                let _ = writeln!(text, "[call {}] {}", call.name, ends(&arguments));
            }
        }
        Message::Tools(replies) => {
            for reply in replies {
                let _ = writeln!(text, "[answer {}] {}", reply.name, ends(&reply.text));
            }
        }
    }
    text
}

/// Both ends of a text that is long.
fn ends(text: &str) -> String {
    if text.len() <= TOLD_BYTES_MAX {
        return text.to_owned();
    }
    let head = text.floor_char_boundary(TOLD_BYTES_MAX * 2 / 3);
    let tail = text.ceil_char_boundary(text.len() - TOLD_BYTES_MAX / 3);
    let between = tail - head;
    format!("{} … {between} bytes … {}", &text[..head], &text[tail..])
}

/// A summary without a model: which tools were called with what. For a model that answers the request for one with nothing.
pub(super) fn bare_summary(messages: &[Message]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for message in messages {
        if let Message::Assistant(answer) = message {
            for call in &answer.calls {
                let arguments = call
                    .arguments
                    .as_ref()
                    .map_or_else(Clone::clone, ToString::to_string);
                let end = arguments.floor_char_boundary(200);
                lines.push(format!("- called {} with {}", call.name, &arguments[..end]));
            }
        }
    }
    let skipped = lines.len().saturating_sub(100);
    lines.drain(..skipped);
    if lines.is_empty() {
        return "Nothing but thinking.".into();
    }
    lines.join("\n")
}

/// About how long a conversation is, in tokens, counted with what is not in its messages.
pub(super) fn length(messages: &[Message], fixed: u64) -> u64 {
    fixed + total(messages)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::history::{Assistant, Call, ToolReply};
    use super::*;

    fn call(number: usize) -> Call {
        Call {
            id: format!("c{number}"),
            name: "read".into(),
            arguments: Ok(json!({"n": number})),
        }
    }

    fn reply(number: usize, bytes: usize) -> ToolReply {
        ToolReply {
            call: format!("c{number}"),
            name: "read".into(),
            text: "x".repeat(bytes),
        }
    }

    /// A task and turns with so many calls each, each of them answered.
    fn conversation(turns: &[usize], bytes: usize) -> Vec<Message> {
        let mut messages = vec![Message::User("task".into())];
        let mut number = 0;
        for calls in turns {
            let numbers: Vec<usize> = (number..number + calls).collect();
            number += calls;
            messages.push(Message::Assistant(Assistant {
                text: String::new(),
                calls: numbers.iter().copied().map(call).collect(),
                ..Assistant::default()
            }));
            if *calls == 0 {
                messages.push(Message::User("go on".into()));
            } else {
                messages.push(Message::Tools(
                    numbers.into_iter().map(|n| reply(n, bytes)).collect(),
                ));
            }
        }
        messages
    }

    /// Every call is answered by the very next message, and nothing else is.
    fn pairs_hold(messages: &[Message]) -> bool {
        let calls = |message: &Message| match message {
            Message::Assistant(answer) => answer.calls.iter().map(|call| call.id.clone()).collect(),
            _ => Vec::new(),
        };
        let replies = |message: Option<&Message>| match message {
            Some(Message::Tools(replies)) => {
                replies.iter().map(|reply| reply.call.clone()).collect()
            }
            _ => Vec::new(),
        };
        replies(messages.first()).is_empty()
            && messages
                .iter()
                .enumerate()
                .all(|(at, message)| calls(message) == replies(messages.get(at + 1)))
    }

    #[test]
    fn old_answers_go_and_the_last_stay() {
        let messages = conversation(&[1, 2, 1, 1], 1_000);
        let shorter = without_old_answers(
            &messages,
            Keep {
                answers: 2,
                turns: 1,
            },
        );
        let lengths: Vec<Vec<usize>> = shorter
            .iter()
            .filter_map(|message| match message {
                Message::Tools(replies) => {
                    Some(replies.iter().map(|reply| reply.text.len()).collect())
                }
                _ => None,
            })
            .collect();
        let note = texts::let_go(1_000).len();
        assert_eq!(
            lengths,
            [vec![note], vec![note, note], vec![1_000], vec![1_000]]
        );
        assert!(total(&shorter) < total(&messages));
        let small = conversation(&[1, 1, 1], 100);
        assert_eq!(
            total(&without_old_answers(
                &small,
                Keep {
                    answers: 0,
                    turns: 1
                }
            )),
            total(&small)
        );
    }

    #[test]
    fn thresholds() {
        assert_eq!(threshold(100_000, None), 80_000);
        assert_eq!(threshold(100_000, Some(8_000)), 80_000);
        assert_eq!(threshold(100_000, Some(32_000)), 68_000);
        assert_eq!(threshold(100_000, Some(900_000)), 50_000);
        assert_eq!(threshold(0, Some(1)), 0);
    }

    #[test]
    fn nothing_between_is_no_middle() {
        let keep = Keep {
            answers: 1,
            turns: 2,
        };
        assert_eq!(middle(&conversation(&[], 1), keep), None);
        assert_eq!(middle(&conversation(&[1], 1), keep), None);
        assert_eq!(middle(&conversation(&[1, 1], 1), keep), None);
        assert_eq!(middle(&conversation(&[1, 1, 1], 1), keep), Some(1..3));
    }

    #[test]
    fn a_transcript_keeps_the_end_and_both_ends_of_what_is_long() {
        let messages = conversation(&[1, 1], 20_000);
        let whole = transcript(&messages, 10_000);
        assert!(whole.contains("[workflow] task") && whole.contains(r#"[call read] {"n":0}"#));
        assert!(whole.len() < 8_000 && whole.contains(" bytes … "));
        let mut again = messages.clone();
        again.insert(1, Message::User("summary ".repeat(1_000)));
        let short = transcript(&again, 3_000);
        assert!(
            short.starts_with("(2 earlier messages are left out.)\n[workflow] task\n"),
            "{short}"
        );
        assert!(
            short.contains(&"summary ".repeat(1_000)),
            "an earlier summary stays whole"
        );
        assert!(short.contains("[answer read] xxx") && !short.contains("{\"n\":0}"));
        assert!(bare_summary(&messages).ends_with("- called read with {\"n\":1}"));
    }

    proptest! {
        #[test]
        fn calls_keep_their_answers(turns in prop::collection::vec(0usize..4, 0..12), answers in 0usize..5, kept in 0usize..5) {
            let keep = Keep { answers, turns: kept };
            let messages = conversation(&turns, 900);
            prop_assert!(pairs_hold(&messages));
            let shorter = without_old_answers(&messages, keep);
            prop_assert!(pairs_hold(&shorter));
            prop_assert!(total(&shorter) <= total(&messages));
            if let Some(middle) = middle(&shorter, keep) {
                let cut = with_summary(&shorter, &middle, "s");
                prop_assert!(pairs_hold(&cut));
                prop_assert!(matches!(&cut[0], Message::User(text) if text == "task"));
                prop_assert_eq!(cut.len(), shorter.len() - middle.len() + 1);
            }
        }
    }
}
