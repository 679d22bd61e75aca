//! What is told of a script: the findings of its check and of its plans, in one form.

use bellwether_journal::record::ScriptError;
use serde::Serialize;

use super::plans::Plans;
use crate::check::{Finding, Severity};
use crate::plan::{Plan, PlanStatus, RefusedCalls};

/// So many findings are told: whoever has more begins with these.
const TOLD_MAX: usize = 60;
/// A message, or a remedy, is cut after so many characters: it may repeat what the script says.
const TEXT_MAX: usize = 600;
/// What the caps throw; the rest of a fan-out goes with it.
const CAPS: [&str; 2] = ["AGENT_CAP", "BUDGET"];
/// What a mistake in a script throws, and no script means to.
const MISTAKES: [&str; 3] = ["TypeError", "ReferenceError", "RangeError"];

/// What is said of a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    /// No finding is an error, and the plan in which all goes well completed.
    pub(super) holds: bool,
    /// The workflow's name; null when its header cannot be read.
    pub(super) name: Option<String>,
    /// How many errors there are.
    pub(super) errors: usize,
    /// How many warnings.
    pub(super) warnings: usize,
    /// How many findings are not in the list.
    pub(super) left: usize,
    /// The errors, then the warnings, then the rest, each in the order of their places.
    pub(super) findings: Vec<Told>,
    /// The plan in which all goes well; null when the script never came so far.
    pub(super) plan: Option<Planned>,
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told {
    pub(super) severity: Severity,
    pub(super) code: String,
    pub(super) message: String,
    /// What helps; may be empty.
    pub(super) remedy: String,
    /// From 1; 0 is about the whole script.
    pub(super) line: u32,
    pub(super) column: u32,
    /// The line with its number, and a caret under the place.
    pub(super) excerpt: Option<String>,
    /// The other script in which it is; left out when it is this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
}

/// What the script would do when all goes well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Planned {
    /// `completed`, `failed` or `timeout`.
    pub(super) status: &'static str,
    /// How many agents it asks.
    pub(super) agents: u64,
    /// The most of them that are at work at one moment.
    pub(super) peak_at_once: u64,
    /// How many it asks by phase.
    pub(super) phases: Vec<PhaseAgents>,
    /// How many of them work in a worktree of their own.
    pub(super) isolated: usize,
    /// How often it merges.
    pub(super) merges: usize,
    /// The length of the longest prompt, in characters.
    pub(super) longest_prompt: u64,
}

/// A phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct PhaseAgents {
    /// Its title; null for agents outside of all phases.
    pub(super) title: Option<String>,
    /// How many agents it asks.
    pub(super) agents: usize,
}

impl Answer {
    /// What these plans say of `source`.
    pub(super) fn of(source: &str, without_args: bool, plans: &Plans) -> Self {
        let mut told = Findings::new(source);
        let well = &plans.well;
        told.checked(well);
        for refused in &well.refused {
            told.refused(refused);
        }
        if let Some(error) = &well.error {
            told.ended(well.status, error, without_args);
        }
        for (when, plan) in &plans.failing {
            told.failing(when, plan);
        }
        let is_there = !well.name.is_empty();
        Self::new(
            told.told,
            is_there.then(|| well.name.clone()),
            is_there.then(|| Planned::of(well)),
        )
    }

    /// What is said of a script that could not be stopped.
    pub(super) fn never_ends(source: &str) -> Self {
        let mut told = Findings::new(source);
        told.add(
            Severity::Error,
            "never-ends",
            0,
            "one step of the script computes without end, and could not be stopped",
            "look for a single call over a huge text or array, such as a search or a sort, and give it less",
        );
        Self::new(told.told, None, None)
    }

    fn new(mut findings: Vec<Told>, name: Option<String>, plan: Option<Planned>) -> Self {
        findings.sort_by_key(|told| (told.severity, told.line, told.column));
        let count = |severity| {
            let same = findings.iter().filter(|told| told.severity == severity);
            same.count()
        };
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let left = findings.len().saturating_sub(TOLD_MAX);
        findings.truncate(TOLD_MAX);
        let is_completed = plan
            .as_ref()
            .is_some_and(|plan| plan.status == PlanStatus::Completed.name());
        Self {
            holds: errors == 0 && is_completed,
            name,
            errors,
            warnings,
            left,
            findings,
            plan,
        }
    }
}

impl Planned {
    fn of(plan: &Plan) -> Self {
        let phase = |phase: &crate::plan::PlannedPhase| PhaseAgents {
            title: phase.title.clone(),
            agents: phase.agents.len(),
        };
        let agents = plan.phases.iter().flat_map(|phase| &phase.agents);
        Self {
            status: plan.status.name(),
            agents: plan.agent_calls,
            peak_at_once: plan.peak_in_flight,
            phases: plan.phases.iter().map(phase).collect(),
            isolated: agents.filter(|agent| agent.isolation.is_some()).count(),
            merges: plan.merges.len(),
            longest_prompt: plan
                .longest_prompt
                .as_ref()
                .map_or(0, |prompt| prompt.characters),
        }
    }
}

/// What was found so far.
struct Findings<'a> {
    source: &'a str,
    told: Vec<Told>,
}

impl<'a> Findings<'a> {
    const fn new(source: &'a str) -> Self {
        let told = Vec::new();
        Self { source, told }
    }

    /// What a check says, of the script and of those that it calls.
    fn checked(&mut self, plan: &Plan) {
        for found in &plan.findings {
            let Finding {
                line,
                column,
                code,
                severity,
                ref message,
                ref remedy,
                ..
            } = found.finding;
            // Whether it is allowed is for the person to say who runs the script, and no fault of the script.
            let severity = if code == "not-allowed" {
                Severity::Info
            } else {
                severity
            };
            self.told.push(Told {
                severity,
                code: code.to_owned(),
                message: cut(message),
                remedy: cut(remedy),
                line,
                column,
                excerpt: found.finding.excerpt(),
                file: (found.path != plan.script).then(|| found.path.clone()),
            });
        }
    }

    /// Calls that a run would refuse as well. In a fan-out their error is a null among others, and would be missed.
    fn refused(&mut self, refused: &RefusedCalls) {
        let code = refused.code.to_lowercase().replace('_', "-");
        if self.has_error_at(refused.line) {
            return;
        }
        let count = refused.count;
        let message = match count {
            1 => refused.message.clone(),
            _ => format!("{} ({count} calls)", refused.message),
        };
        let remedy = if CAPS.contains(&refused.code.as_str()) {
            "ask fewer agents: give each fan-out and each loop a bound"
        } else {
            "an agent's options are those of the types file; leave out what you do not need"
        };
        self.add(Severity::Error, &code, refused.line, &message, remedy);
    }

    /// The plan did not complete.
    fn ended(&mut self, status: PlanStatus, error: &ScriptError, without_args: bool) {
        let code = error.code.as_deref().unwrap_or_default();
        let is_refused = code == "SCRIPT_REFUSED" && self.told.iter().any(Told::is_error);
        // What is thrown where the check found an error is that error.
        if is_refused || error.line > 0 && self.has_error_at(error.line) {
            return;
        }
        let message = format!(
            "the plan {}: {}: {}",
            verb(status),
            error.name,
            error.message
        );
        let remedy = match code {
            "ARGS" if without_args => {
                "the plan was made without `args`: give example `args` that fit `meta.args`"
            }
            "ARGS" => "give example `args` that fit `meta.args`, or correct `meta.args`",
            _ if without_args && names_args(self.source) => {
                "the plan was made without `args`: give example `args` if the script needs them, and let it throw an Error that \
                 says what is missing"
            }
            _ if status == PlanStatus::Timeout => {
                "give each loop a bound that does not depend on what agents say"
            }
            _ => {
                "the plan's agents answer with any value that fits their schema, arrays with three items, texts without meaning: \
                 the script must stand that"
            }
        };
        let code = match status {
            PlanStatus::Timeout => "plan-timeout",
            _ => "plan-failed",
        };
        self.add(Severity::Error, code, error.line, &message, remedy);
    }

    /// What a plan with failing agents brings to light.
    fn failing(&mut self, when: &str, plan: &Plan) {
        let Some(error) = &plan.error else { return };
        let code = error.code.as_deref().unwrap_or_default();
        let (code, remedy) = if plan.status == PlanStatus::Timeout || CAPS.contains(&code) {
            let remedy = "give the loop a bound of its own that counts failed agents too";
            ("unbounded-when-agents-fail", remedy)
        } else if MISTAKES.contains(&error.name.as_str()) {
            let remedy = "an agent that failed gives null: leave it out and log that, or throw an Error that says what could not be done";
            ("null-not-handled", remedy)
        } else {
            // A script may well say that it can do nothing without its agents.
            return;
        };
        let is_known = |told: &Told| told.code == code && told.line == error.line;
        if self.told.iter().any(is_known) {
            return;
        }
        let message = format!("when {when}: {}: {}", error.name, error.message);
        self.add(Severity::Warning, code, error.line, &message, remedy);
    }

    fn has_error_at(&self, line: u32) -> bool {
        let mut told = self.told.iter();
        told.any(|told| told.is_error() && told.line == line && told.file.is_none())
    }

    fn add(&mut self, severity: Severity, code: &str, line: u32, message: &str, remedy: &str) {
        let at = Finding::at_line(
            self.source,
            line,
            &["agent", "attempt"],
            "",
            severity,
            "",
            "",
        );
        self.told.push(Told {
            severity,
            code: code.to_owned(),
            message: cut(message),
            remedy: cut(remedy),
            line: at.line,
            column: at.column,
            excerpt: at.excerpt(),
            file: None,
        });
    }
}

impl Told {
    fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

const fn verb(status: PlanStatus) -> &'static str {
    match status {
        PlanStatus::Timeout => "did not end",
        _ => "failed",
    }
}

/// Whether a script speaks of its arguments at all.
fn names_args(source: &str) -> bool {
    let mut words = source.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
    words.any(|word| word == "args")
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
