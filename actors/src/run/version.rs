//! What code that waited for an answer depends on (`docs/replay.md`, "Context, key, version").

use std::collections::HashMap;
use std::sync::Arc;

use bellwether_journal::id::CallNumber;
use bellwether_journal::key::{self, Context, Digest};
use bellwether_journal::record::{CallScheduled, Outcome, Record};
use bellwether_journal::state::RunState;
use bellwether_journal::text::{self, Text};
use bellwether_scripts::Target;
use serde::Deserialize;

/// The calls of a generation of which only the value counts (`pure`): an equal answer lets what waited for it be as before.
#[derive(Clone, Debug, Default)]
pub struct Pures {
    /// Each by its context and by how many before it there were in that, so that equal values of two are not confused.
    calls: HashMap<CallNumber, Digest>,
    issued: HashMap<Context, u32>,
    /// Whether options that lie outside their records are pure, by their hash: many calls share them.
    known: HashMap<Digest, bool>,
}

impl Pures {
    /// A call is issued, with these options as JSON text. Calls come in their order.
    pub fn issued(&mut self, call: CallNumber, context: Context, options: &str) {
        if is_pure(options) {
            self.add(call, context);
        }
    }

    /// The same, with the options as the call's record has them; `read` fetches those that lie elsewhere.
    ///
    /// # Errors
    /// What `read` says.
    pub fn recorded<E>(
        &mut self,
        scheduled: &CallScheduled,
        read: impl FnOnce() -> Result<Arc<str>, E>,
    ) -> Result<(), E> {
        let is_pure = match &scheduled.options {
            Text::Inline(options) => is_pure(options),
            Text::Payload(reference) | Text::Shared(reference) => {
                if let Some(known) = self.known.get(&reference.hash) {
                    *known
                } else {
                    let read = is_pure(&read()?);
                    self.known.insert(reference.hash, read);
                    read
                }
            }
        };
        if is_pure {
            self.add(scheduled.call, scheduled.context);
        }
        Ok(())
    }

    fn add(&mut self, call: CallNumber, context: Context) {
        let ordinal = self.issued.entry(context).or_default();
        let known = Digest::of("pure call", &[&context.0, &ordinal.to_le_bytes()]);
        *ordinal = ordinal.saturating_add(1);
        self.calls.insert(call, known);
    }
}

/// Whether the options say `pure: true`.
fn is_pure(options: &str) -> bool {
    #[derive(Deserialize)]
    struct Only {
        #[serde(default)]
        pure: bool,
    }
    // Nearly no call says so, and then nothing is parsed.
    options.contains("\"pure\"") && serde_json::from_str(options).is_ok_and(|Only { pure }| pure)
}

/// The version of an answer. Pure in the records, so that a replay gives the same. `None` when the call is not there.
#[must_use]
pub fn version_of(
    state: &RunState,
    pures: &Pures,
    record: &Record,
    target: Target,
) -> Option<Digest> {
    let number = match (target, record) {
        (Target::Timer(_), Record::TimerElapsed(elapsed)) => {
            return Some(Digest::of("timer", &[&elapsed.key.0]));
        }
        (Target::Timer(timer), _) => {
            return Some(Digest::of("timer", &[&timer.0.to_le_bytes()]));
        }
        (Target::Call(number), _) => number,
    };
    if let Record::CallReused(reused) = record {
        return Some(reused.version);
    }
    let call = state.call(number)?;
    let generation = state.generation.as_ref()?.number;
    let Record::CallSettled(settled) = record else {
        return Some(key::failed_version(call.key));
    };
    Some(match &settled.outcome {
        Outcome::Completed(value) => match pures.calls.get(&number) {
            Some(known) => Digest::of("pure", &[&known.0, &hash_of(value).0]),
            None => key::version(call.key, state.id, generation, settled.attempt),
        },
        Outcome::Failed(_) | Outcome::Skipped | Outcome::Cancelled(_) => {
            key::failed_version(call.key)
        }
    })
}

/// The hash of a text, wherever it lies.
#[must_use]
pub fn hash_of(text: &Text) -> Digest {
    match text {
        Text::Inline(text) => text::hash(text),
        Text::Payload(reference) | Text::Shared(reference) => reference.hash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x01_only_what_says_so_is_pure_and_each_is_told_from_the_others() {
        let mut pures = Pures::default();
        let context = key::root();
        for (call, options) in [
            (0, "{}"),
            (1, r#"{"pure":true}"#),
            (2, r#"{"model":"\"pure\": true"}"#),
            (3, r#"{"pure":true,"model":"m"}"#),
            (4, r#"{"pure":false}"#),
            (5, r#"{"pure":"yes"}"#),
        ] {
            pures.issued(CallNumber(call), context, options);
        }
        let mut calls: Vec<u32> = pures.calls.keys().map(|call| call.0).collect();
        calls.sort_unstable();
        assert_eq!(calls, [1, 3]);
        assert_ne!(pures.calls[&CallNumber(1)], pures.calls[&CallNumber(3)]);
    }
}
