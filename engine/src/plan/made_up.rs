//! How made-up agents end.

use std::collections::HashMap;
use std::sync::Arc;

use bellwether_actors::backend::AgentOutcome;
use bellwether_actors::pool::{End, Kept};
use bellwether_journal::id::{CallNumber, FencingToken};
use bellwether_journal::key::Digest;
use bellwether_journal::record::{
    ChangedFile, ChangesKept, Failure, FailureKind, FileChange, Millis, Usage,
};
use bellwether_journal::text::{self, Packed};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Fail;
use crate::backend::dry;
use crate::schema::{Schema, outcome_of};

/// How long each takes, in virtual time.
pub(crate) const AGENT_MS: Millis = 60_000;
/// What each writes, so that a script which looks at its budget sees it go down.
pub(super) const OUTPUT_TOKENS: u64 = 2_000;
/// The commit that made-up work begins from.
const BASE: &str = "0000000000000000000000000000000000000000";

/// Makes answers up. The same schema gives the same, so each is made once.
pub(crate) struct MadeUp {
    items: u64,
    fail: Fail,
    of_schemas: HashMap<String, Made>,
}

/// An answer, ready to be given any number of times.
#[derive(Clone)]
enum Made {
    Value(Packed),
    Failure(Failure),
}

impl MadeUp {
    pub(crate) fn new(items: u64, fail: Fail) -> Self {
        Self {
            items,
            fail,
            of_schemas: HashMap::new(),
        }
    }

    /// How an agent ends that is to fit this schema.
    pub(crate) fn agent(&mut self, call: CallNumber, schema: Option<&RawValue>) -> End {
        if self.fails(call) {
            return End::Failed(failed("made to fail by the plan"), Usage::default());
        }
        let made = match schema {
            None => {
                let text = format!("agent text output {}", u64::from(call.0) + 1);
                Made::Value(packed(&Value::from(text)))
            }
            Some(schema) => self.of_schema(schema.get()),
        };
        let usage = Usage {
            input_tokens: 0,
            output_tokens: OUTPUT_TOKENS,
        };
        match made {
            Made::Value(value) => End::Completed(value, usage),
            Made::Failure(failure) => End::Failed(failure, usage),
        }
    }

    fn of_schema(&mut self, schema: &str) -> Made {
        if let Some(known) = self.of_schemas.get(schema) {
            return known.clone();
        }
        let made = self.make(schema);
        self.of_schemas.insert(schema.to_owned(), made.clone());
        made
    }

    fn make(&self, schema: &str) -> Made {
        let read = |schema: &str| {
            let schema: Value = serde_json::from_str(schema).map_err(|error| error.to_string())?;
            let compiled = Schema::compile(&schema).map_err(|malformed| malformed.to_string())?;
            Ok::<_, String>((schema, compiled))
        };
        let (schema, compiled) = match read(schema) {
            Ok(read) => read,
            // A run has refused it before.
            Err(why) => return Made::Failure(failed(format!("the schema: {why}"))),
        };
        let value: Arc<str> = dry::value_of(&schema, self.items).to_string().into();
        // One that cannot be made to fit fails as that of any agent does whose answers never fit (A04).
        match outcome_of(&compiled, &value) {
            AgentOutcome::Failed(failure) => Made::Failure(failure),
            _ => Made::Value(text::pack(value)),
        }
    }

    fn fails(&self, call: CallNumber) -> bool {
        match self.fail {
            Fail::None => false,
            Fail::All => true,
            Fail::Share(share) => {
                let Digest(digest) = Digest::of("plan: fails", &[&call.0.to_le_bytes()]);
                let [a, b, c, d, ..] = digest;
                f64::from(u32::from_le_bytes([a, b, c, d])) < share * (f64::from(u32::MAX) + 1.0)
            }
        }
    }
}

/// What an isolated agent leaves, so that there is something to merge.
pub(crate) fn changes(token: FencingToken) -> Kept {
    let call = token.call.0;
    let diff = text::pack("".into());
    Kept {
        record: ChangesKept {
            call: token.call,
            attempt: token.attempt,
            branch: Some(format!("bellwether/{}/a-{call}", token.run)),
            base: BASE.to_owned(),
            commit: Some(format!("{:040x}", u64::from(call) + 1)),
            files: vec![ChangedFile {
                path: format!("made-up-{call}.txt"),
                change: FileChange::Modified,
                added: 1,
                removed: 1,
            }],
            file_count: 1,
            diff: diff.stored.clone(),
        },
        diff,
    }
}

/// How a merge ends: all branches land.
pub(crate) fn merge(token: FencingToken, branches: &[String], into: Option<&str>) -> End {
    let commit = |number: u64| format!("{number:040x}");
    // Far from the numbers of agents' commits.
    let first = (u64::from(token.call.0) + 1) << 32;
    let into = into.map_or_else(|| format!("bellwether/{}/landed", token.run), str::to_owned);
    let landed: Vec<Value> = branches
        .iter()
        .zip(1..)
        .map(|(branch, number)| {
            let number: u64 = number;
            let file = branch.rsplit('/').next().unwrap_or_default();
            let file = format!("made-up-{}.txt", file.trim_start_matches("a-"));
            json!({ "branch": branch, "commit": commit(first + number), "files": [file] })
        })
        .collect();
    let landing = json!({
        "into": into,
        "before": BASE,
        "after": commit(first + branches.len() as u64),
        "landed": landed,
        "left": [],
    });
    End::Completed(packed(&landing), Usage::default())
}

/// So many items have arrays in answers of people.
const ITEMS: u64 = 3;

/// What a person is assumed to answer: the default, else the first choice, else what fits the schema, else a text. `options`
/// are those of `ask`, as JSON text.
pub(crate) fn answer(call: CallNumber, options: &str) -> Arc<str> {
    #[derive(Default, serde::Deserialize)]
    struct Given {
        #[serde(default)]
        default: Option<Box<RawValue>>,
        #[serde(default)]
        choices: Vec<Box<RawValue>>,
        #[serde(default)]
        schema: Option<Box<RawValue>>,
    }
    let given: Given = serde_json::from_str(options).unwrap_or_default();
    if let Some(value) = given.default.as_ref().or(given.choices.first()) {
        return value.get().into();
    }
    let made = given
        .schema
        .map(|schema| MadeUp::new(ITEMS, Fail::None).agent(call, Some(&schema)));
    match made {
        Some(End::Completed(value, _)) => value.text,
        _ => Value::from("a person's answer").to_string().into(),
    }
}

fn packed(value: &Value) -> Packed {
    text::pack(value.to_string().into())
}

fn failed(message: impl Into<String>) -> Failure {
    Failure {
        kind: FailureKind::Other,
        message: message.into(),
        evidence: None,
        retry_after: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_agents_fails_always_the_same() {
        for (share, least, most) in [(0.0, 0, 0), (0.3, 250, 350), (1.0, 1_000, 1_000)] {
            let made_up = MadeUp::new(3, Fail::Share(share));
            let fails = || (0..1_000).filter(|&number| made_up.fails(CallNumber(number)));
            let count = fails().count();
            assert!((least..=most).contains(&count), "{share}: {count}");
            assert!(fails().eq(fails()));
        }
    }

    #[cfg(feature = "worktree")]
    #[test]
    fn a_made_up_landing_has_the_shape_of_a_real_one() {
        use crate::landing::{Landed, LandedBranch};

        let token = FencingToken {
            epoch: bellwether_journal::id::Epoch(1),
            run: bellwether_journal::id::RunId::from_entropy([0; 5]),
            generation: bellwether_journal::id::Generation(1),
            call: CallNumber(7),
            attempt: bellwether_journal::id::Attempt(1),
        };
        let End::Completed(value, _) = merge(token, &["bellwether/r-1/a-3".to_owned()], None)
        else {
            unreachable!("made-up merges succeed")
        };
        let text = |text: &str| text.to_owned();
        let real = Landed {
            into: format!("bellwether/{}/landed", token.run),
            before: text(BASE),
            after: format!("{:040x}", (8_u64 << 32) + 1),
            landed: vec![LandedBranch {
                branch: text("bellwether/r-1/a-3"),
                commit: format!("{:040x}", (8_u64 << 32) + 1),
                files: vec![text("made-up-3.txt")],
            }],
            left: Vec::new(),
        };
        let real = serde_json::to_string(&real).unwrap_or_default();
        assert_eq!(value.text.as_ref(), real);
    }
}
