//! Plans: what a script would do, found out by running it with made-up answers.
//!
//! The script runs in its real VM, under the real rules of a run ([`Machine`](bellwether_actors::run::machine::Machine)): caps,
//! budget, phases, refusals and the order of starts are a run's own. What surrounds both is made up: agents take a minute of
//! virtual time and answer as the backend `dry` does, timers fire when nothing is left to do before them, `merge` lands
//! whatever it is given. No clock, no randomness, no journal, no agent; of the disk only the scripts that `workflow()` names
//! are read. The same script, arguments and options give the same plan, byte for byte.
//!
//! `drive.rs` is the loop, `tally.rs` what it has seen, `events.rs` its virtual time, `made_up.rs` the answers, `rules.rs` what is more lenient than in a
//! run, `findings.rs` what is told of it, `report.rs` the plan itself.

mod drive;
pub(crate) mod events;
mod findings;
pub(crate) mod made_up;
pub mod outline;
mod report;
mod rules;
mod tally;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub use self::report::{
    LongestPrompt, Plan, PlanCaps, PlanFinding, PlanStatus, PlannedAgent, PlannedLog, PlannedMerge,
    PlannedPhase, PlannedWorkflow, RefusedCalls,
};

use self::drive::Drive;
use self::findings::Findings;
use crate::backend::dry;
use crate::options::{Script, StartOptions};

/// How a plan is made up.
///
/// ```
/// use bellwether::plan::{Fail, PlanOptions};
///
/// let options = PlanOptions::new().items(10).fail(Fail::Share(0.3));
/// assert_eq!(options.items, 10);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlanOptions {
    /// Items of a made-up array where its schema does not say how many.
    pub items: u64,
    /// Which agents fail.
    pub fail: Fail,
    /// Whether what cannot be found, or is not allowed, throws as in a run. Else it is only told.
    pub strict: bool,
    /// The backends that calls may name, beside the run's own.
    pub backends: Vec<String>,
    /// Where agent types were looked for, to be told of those that are not there.
    pub agent_folders: Vec<PathBuf>,
    /// Where workflows were looked for.
    pub workflow_folders: Vec<PathBuf>,
    /// When it is set, from whatever thread, the plan ends where it is: for a caller with a clock.
    pub stop: Arc<AtomicBool>,
}

/// Which made-up agents fail.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Fail {
    /// None.
    #[default]
    None,
    /// All.
    All,
    /// So large a part, from 0 to 1: always the same ones, by the numbers of their calls.
    Share(f64),
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            items: dry::ARRAY_ITEMS,
            fail: Fail::None,
            strict: false,
            backends: Vec::new(),
            agent_folders: Vec::new(),
            workflow_folders: Vec::new(),
            stop: Arc::default(),
        }
    }
}

impl PlanOptions {
    /// Three items an array, no agent fails, what is missing is told.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the length of made-up arrays.
    #[must_use]
    pub const fn items(mut self, items: u64) -> Self {
        self.items = items;
        self
    }

    /// Says which agents fail.
    #[must_use]
    pub const fn fail(mut self, fail: Fail) -> Self {
        self.fail = fail;
        self
    }

    /// Lets what cannot be found, or is not allowed, throw as in a run.
    #[must_use]
    pub const fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// Names backends that calls may name.
    #[must_use]
    pub fn backends<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.backends = names.into_iter().map(Into::into).collect();
        self
    }
}

/// Plans a run of `script`: runs it with made-up agents in virtual time, and tells what a run would do, what of it could not be
/// found, and what [`crate::check`] finds. A script that is refused, or throws, gives a plan that says so.
///
/// Of `start` counts what a run with made-up agents can show: arguments, caps, budget, script limits, agent types, workflows,
/// permissions. Blocks while the script computes.
///
/// ```
/// use bellwether::plan::{PlanOptions, PlanStatus, plan};
/// use bellwether::{Script, StartOptions};
///
/// let script = Script::text(
///     "export const meta = { name: 'review', description: 'Reviews files' }
///      phase('Review')
///      const found = await parallel(args.map((file) => () => agent(`Review ${file}.`, { label: file })))
///      return found.length",
/// );
/// let start = StartOptions::new().args(&["a.ts", "b.ts"])?.concurrency(8);
/// let plan = plan(&script, &start, &PlanOptions::new());
/// assert_eq!(plan.status, PlanStatus::Completed);
/// assert_eq!((plan.agent_calls, plan.peak_in_flight), (2, 2));
/// assert_eq!(plan.phases[0].title.as_deref(), Some("Review"));
/// assert_eq!(plan.result.as_ref().map(|result| result.get()), Some("2"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[must_use]
pub fn plan(script: &Script, start: &StartOptions, options: &PlanOptions) -> Plan {
    let findings = Findings::of(script, start);
    let name = findings.main.clone();
    let plan = match Drive::prepare(script, start, options) {
        Ok(drive) => drive.carry_out(findings),
        Err(refused) => Plan {
            findings: findings.told(options),
            ..*refused
        },
    };
    Plan {
        script: name,
        ..plan
    }
}
