//! What a plan has seen so far: its calls, and what became of them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use bellwether_actors::run::keys::Resolved;
use bellwether_journal::id::CallNumber;
use bellwether_journal::record::{CallKind, CallRefused, Level, Millis, Outcome, Record};
use bellwether_scripts::{Call, Phase, Target};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::PlanOptions;
use super::findings::Findings;
use super::made_up;
use super::report::{
    LongestPrompt, Plan, PlannedAgent, PlannedLog, PlannedMerge, PlannedPhase, PlannedWorkflow,
    RefusedCalls,
};

/// So many lines of the log are kept.
const LOGS_MAX: usize = 10_000;
/// So much is kept of each prompt, in characters.
const PROMPT_KEPT: usize = 80;
/// So many kinds of refusals are kept.
const REFUSED_MAX: usize = 100;
/// What phases of nested workflows begin with, as the prelude writes them, and what stands between them.
const NESTED: &str = "▸ ";
const BETWEEN_PHASES: &str = " › ";
/// What is said of an agent that was refused, and in the end is not listed.
const REFUSED: &str = "refused";

/// A call of the script.
struct Seen {
    resolved: Arc<Resolved>,
    /// Where it is listed.
    place: Place,
    line: u32,
    /// The script that makes it, as it is shown.
    path: String,
}

/// A place in the plan's lists.
#[derive(Clone, Copy)]
enum Place {
    Agent {
        phase: usize,
        index: usize,
    },
    Merge(usize),
    Workflow(usize),
    /// In none of them.
    None,
}

/// The options of `merge`, as the VM writes them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct MergeGiven {
    into: Option<String>,
    verify: Option<String>,
}

/// What a plan has seen so far.
pub(super) struct Tally {
    plan: Plan,
    findings: Findings,
    announced: Vec<Phase>,
    may_merge: bool,
    /// By their numbers, which are dense.
    calls: Vec<Seen>,
    phases: HashMap<Option<Arc<str>>, usize>,
    /// Nested workflows: their names, and their files as they are shown.
    nested: HashMap<String, String>,
    /// Names of agent types by the scripts that name them, and whether they are missing.
    types: HashMap<(String, String), bool>,
    /// Agents that were asked and have not answered.
    outstanding: u64,
    /// Agents that are at work.
    in_flight: u64,
    logs_left_out: usize,
}

impl Tally {
    pub(super) fn new(
        plan: Plan,
        findings: Findings,
        announced: Vec<Phase>,
        may_merge: bool,
    ) -> Self {
        Self {
            plan,
            findings,
            announced,
            may_merge,
            calls: Vec::new(),
            phases: HashMap::new(),
            nested: HashMap::new(),
            types: HashMap::new(),
            outstanding: 0,
            in_flight: 0,
            logs_left_out: 0,
        }
    }

    /// The script asks for something, before the machine decides about it.
    pub(super) fn called(&mut self, call: &Call, resolved: Arc<Resolved>) {
        let path = self.path_of(call.phase.as_deref());
        let phase = call.phase.as_ref().map(ToString::to_string);
        let place = match call.kind {
            CallKind::Agent => {
                self.outstanding += 1;
                if let Some(name) = &resolved.options.agent_type {
                    self.type_named(&path, call.line, name);
                }
                self.agent_asked(call, &resolved, &path)
            }
            CallKind::Merge => {
                if !self.may_merge {
                    self.findings.merge_not_allowed(&path, call.line);
                }
                // The VM writes both.
                let given: MergeGiven = serde_json::from_str(&call.options).unwrap_or_default();
                self.plan.merges.push(PlannedMerge {
                    branches: serde_json::from_str(&call.prompt).unwrap_or_default(),
                    into: given.into,
                    verify: given.verify,
                    line: call.line,
                    phase,
                });
                Place::Merge(self.plan.merges.len() - 1)
            }
            CallKind::Workflow => {
                self.plan.workflow_calls.push(PlannedWorkflow {
                    target: call.prompt.to_string(),
                    file: None,
                    line: call.line,
                    phase,
                });
                Place::Workflow(self.plan.workflow_calls.len() - 1)
            }
            CallKind::Ask => {
                let answer = made_up::answer(call.number, &call.options);
                self.findings.asks_person(&path, call.line, &answer);
                Place::None
            }
            _ => Place::None,
        };
        self.calls.push(Seen {
            resolved,
            place,
            line: call.line,
            path,
        });
    }

    /// Puts an agent into its phase.
    fn agent_asked(&mut self, call: &Call, resolved: &Resolved, path: &str) -> Place {
        let options = &resolved.options;
        let characters = call.prompt.chars().count() as u64;
        let id = format!("a-{}", call.number.0);
        let label = call.label.as_ref().map(ToString::to_string);
        let longest = self.plan.longest_prompt.as_ref();
        if longest.is_none_or(|longest| longest.characters < characters) {
            self.plan.longest_prompt = Some(LongestPrompt {
                characters,
                id: id.clone(),
                label: label.clone(),
                line: call.line,
            });
        }
        let agent = PlannedAgent {
            id,
            label,
            model: options.model.clone(),
            effort: options.effort.clone(),
            agent_type: options.agent_type.clone(),
            isolation: options.isolation.clone(),
            backend: options.backend.clone(),
            schema: options.schema.is_some(),
            prompt: beginning(&call.prompt),
            prompt_characters: characters,
            line: call.line,
            workflow: (path != self.findings.main).then(|| path.to_owned()),
            start_ms: None,
            outcome: "cancelled",
        };
        let phase = self.phase(call.phase.as_ref());
        let agents = &mut self.plan.phases[phase].agents;
        agents.push(agent);
        Place::Agent {
            phase,
            index: agents.len() - 1,
        }
    }

    /// The place of a phase in the plan, where it is put when it is new.
    fn phase(&mut self, title: Option<&Arc<str>>) -> usize {
        let title = title.cloned();
        if let Some(&known) = self.phases.get(&title) {
            return known;
        }
        let announced = self
            .announced
            .iter()
            .find(|phase| title.as_deref() == Some(phase.title.as_str()));
        self.plan.phases.push(PlannedPhase {
            title: title.as_ref().map(ToString::to_string),
            detail: announced.and_then(|phase| phase.detail.clone()),
            announced: announced.is_some(),
            agents: Vec::new(),
        });
        let place = self.plan.phases.len() - 1;
        self.phases.insert(title, place);
        place
    }

    /// The script that makes calls in this phase: those of nested workflows begin with the names of these.
    fn path_of(&self, phase: Option<&str>) -> String {
        let groups = phase.unwrap_or_default().split(BETWEEN_PHASES);
        let nested = groups
            .map_while(|group| self.nested.get(group.strip_prefix(NESTED)?))
            .last();
        nested.unwrap_or(&self.findings.main).clone()
    }

    fn type_named(&mut self, path: &str, line: u32, name: &str) {
        let key = (path.to_owned(), name.to_owned());
        // One that is missing is told with all its lines, one that is there is looked up once.
        if self.types.get(&key) != Some(&false) {
            let is_missing = self.findings.agent_type(path, line, name);
            self.types.insert(key, is_missing);
        }
    }

    /// A turn's commands are carried out.
    pub(super) fn turn_ended(&mut self) {
        let peak = &mut self.plan.peak_outstanding;
        *peak = (*peak).max(self.outstanding);
    }

    /// An attempt begins at this time.
    pub(super) fn started(&mut self, call: CallNumber, at: Millis) {
        if let Some(agent) = self.agent(call) {
            agent.start_ms.get_or_insert(at);
            self.in_flight += 1;
        }
        let peak = &mut self.plan.peak_in_flight;
        *peak = (*peak).max(self.in_flight);
    }

    /// An attempt is over. To be told before what follows from that.
    pub(super) fn ended(&mut self, call: CallNumber) {
        if self.agent(call).is_some() {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
    }

    /// The script gets an answer.
    pub(super) fn settled(&mut self, target: Target) {
        if let Target::Call(call) = target
            && self.agent(call).is_some()
        {
            self.outstanding = self.outstanding.saturating_sub(1);
        }
    }

    /// The script has returned this value.
    pub(super) fn returned(&mut self, value: &str) {
        self.plan.result = RawValue::from_string(value.to_owned()).ok();
    }

    /// What the machine has put on record.
    pub(super) fn recorded(&mut self, record: Record) {
        match record {
            Record::Logged(logged) => self.log(logged.level, logged.text),
            Record::Noticed(noticed) => self.log(Level::Warning, noticed.text),
            Record::PhaseEntered(entered) => {
                self.phase(Some(&entered.title));
            }
            Record::CallRefused(refused) => self.refused(*refused),
            Record::CallSettled(settled) => {
                if let Some(agent) = self.agent(settled.call) {
                    agent.outcome = match settled.outcome {
                        Outcome::Completed(_) => "completed",
                        Outcome::Failed(_) => "failed",
                        Outcome::Skipped | Outcome::Cancelled(_) => "cancelled",
                    };
                }
            }
            _ => {}
        }
    }

    fn refused(&mut self, refused: CallRefused) {
        if let Some(agent) = self.agent(refused.call) {
            agent.outcome = REFUSED;
        }
        let line = self.call(refused.call).map_or(0, |call| call.line);
        let refusals = &mut self.plan.refused;
        let mut known = refusals.iter_mut();
        if let Some(known) = known.find(|it| it.code == refused.code && it.line == line) {
            known.count += 1;
        } else if refusals.len() < REFUSED_MAX {
            refusals.push(RefusedCalls {
                code: refused.code,
                message: refused.message,
                line,
                count: 1,
            });
        }
    }

    fn log(&mut self, level: Level, text: String) {
        if self.plan.logs.len() < LOGS_MAX {
            self.plan.logs.push(PlannedLog { level, text });
        } else {
            self.logs_left_out += 1;
        }
    }

    fn call(&self, number: CallNumber) -> Option<&Seen> {
        self.calls.get(number.0 as usize)
    }

    fn agent(&mut self, number: CallNumber) -> Option<&mut PlannedAgent> {
        let Place::Agent { phase, index } = self.call(number)?.place else {
            return None;
        };
        self.plan.phases.get_mut(phase)?.agents.get_mut(index)
    }

    /// What a call's options mean.
    pub(super) fn options(&self, number: CallNumber) -> Option<Arc<Resolved>> {
        self.call(number).map(|call| Arc::clone(&call.resolved))
    }

    /// What a call of `merge` asks for, if it is one.
    pub(super) fn merge(&self, number: CallNumber) -> Option<&PlannedMerge> {
        match self.call(number)?.place {
            Place::Merge(index) => self.plan.merges.get(index),
            _ => None,
        }
    }

    /// A workflow was found, with its name if its script can be read.
    pub(super) fn workflow_found(
        &mut self,
        number: CallNumber,
        name: Option<String>,
        file: &Path,
        source: &str,
    ) {
        let shown = file.to_string_lossy().into_owned();
        self.findings.nested(&shown, source);
        if let Some(Place::Workflow(index)) = self.call(number).map(|call| call.place)
            && let Some(listed) = self.plan.workflow_calls.get_mut(index)
        {
            listed.file = Some(file.to_path_buf());
        }
        self.nested.extend(name.map(|name| (name, shown)));
    }

    /// A workflow was not found, or cannot be read.
    pub(super) fn workflow_missing(
        &mut self,
        number: CallNumber,
        target: &str,
        by_name: bool,
        why: &str,
    ) {
        if let Some(Seen { path, line, .. }) = self.calls.get(number.0 as usize) {
            self.findings.workflow(path, *line, target, by_name, why);
        }
    }

    /// The line that asks what was refused with this message.
    pub(super) fn line_of(&self, message: &str) -> u32 {
        let refused = self.plan.refused.iter().rev();
        let mut same = refused.filter(|refused| refused.message == message);
        same.next().map_or(0, |refused| refused.line)
    }

    /// The plan, as far as it can be told from this.
    pub(super) fn report(mut self, options: &PlanOptions) -> Plan {
        if self.logs_left_out > 0 {
            let text = format!("{} lines more are not listed", self.logs_left_out);
            let level = Level::Warning;
            self.plan.logs.push(PlannedLog { level, text });
        }
        for phase in self.announced.clone() {
            self.phase(Some(&phase.title.into()));
        }
        for phase in &mut self.plan.phases {
            // What was refused is told once for all.
            phase.agents.retain(|agent| agent.outcome != REFUSED);
        }
        self.plan
            .phases
            .retain(|phase| phase.title.is_some() || !phase.agents.is_empty());
        let agents = self.plan.phases.iter().map(|phase| phase.agents.len());
        self.plan.agent_calls = agents.sum::<usize>() as u64;
        Plan {
            findings: self.findings.told(options),
            ..self.plan
        }
    }
}

/// How a prompt begins, on one line.
fn beginning(prompt: &str) -> String {
    let mut begun = String::new();
    let mut count = 0;
    for word in prompt.split_whitespace() {
        let space = usize::from(count > 0);
        if space > 0 {
            begun.push(' ');
        }
        let left = PROMPT_KEPT.saturating_sub(count + space);
        begun.extend(word.chars().take(left));
        count += space + word.chars().count();
        if count > PROMPT_KEPT {
            begun.truncate(begun.trim_end().len());
            begun.push('…');
            break;
        }
    }
    begun
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_prompt_is_one_line() {
        assert_eq!(beginning("  Look at\n\n it "), "Look at it");
        let long = "word ".repeat(40);
        let begun = beginning(&long);
        assert_eq!(begun, format!("{}word…", "word ".repeat(15)));
        assert_eq!(beginning(&"é".repeat(81)), format!("{}…", "é".repeat(80)));
        assert_eq!(beginning(&"é".repeat(80)), "é".repeat(80));
    }
}
