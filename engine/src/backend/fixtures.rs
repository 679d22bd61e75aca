//! Tasks and contexts for the tests of backends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use bellwether_actors::backend::{AgentOptions, AttemptContext, Notes, Pressure, Progress, Task};
use bellwether_actors::run::budget::Allowance;
use bellwether_journal::id::{Attempt, CallNumber, Epoch, FencingToken, Generation, RunId};
use bellwether_journal::key::Digest;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

/// A task for the call with this number.
pub(crate) fn task(call: u32, schema: Option<&str>) -> Arc<Task> {
    let mut options = AgentOptions::default();
    options.schema = schema.map(|schema| RawValue::from_string(schema.to_owned()).unwrap());
    Arc::new(Task {
        token: FencingToken {
            epoch: Epoch(3),
            run: RunId::from_entropy([1, 2, 3, 4, 5]),
            generation: Generation(1),
            call: CallNumber(call),
            attempt: Attempt(1),
        },
        idempotency_key: Digest::of("test", &[]),
        previous_attempts: Vec::new(),
        prompt: "Fix it.".into(),
        options,
        label: None,
        phase: None,
        working_directory: std::env::temp_dir(),
        journal: Digest::of("journal", &[&std::process::id().to_le_bytes()]),
        notes: Vec::new(),
        allowance: Allowance::default(),
        models: None,
        violations: Vec::new(),
        previous_answer: None,
    })
}

/// A context that nobody cancels.
pub(crate) fn context() -> AttemptContext {
    AttemptContext {
        cancelled: CancellationToken::new(),
        killed: CancellationToken::new(),
        grace: Duration::from_mins(1),
        progress: Progress::none(),
        notes: Notes::none(),
        pressure: Pressure::none(),
    }
}
