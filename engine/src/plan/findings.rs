//! What is told of a plan: what a check finds in its scripts, and what was not found when it was asked for.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use bellwether_journal::record::CallKind;
use bellwether_scripts::check::{Finding, Problem, Related, Severity, Surroundings as _};

use super::PlanOptions;
use super::report::PlanFinding;
use crate::check::{Here, problem};
use crate::options::{Script, StartOptions};
use crate::resolve::COME_FROM;
use crate::run;

/// So many workflows are checked besides the script; a script that makes names up could have any number.
const CHECKED_MAX: usize = 50;
/// So much that is missing is told; a script could make names up for ever.
const MISSING_MAX: usize = 200;
/// So many other lines are named at which the same is missing.
const RELATED_MAX: usize = 5;

/// The findings so far.
pub(super) struct Findings {
    /// How the script itself is named.
    pub(super) main: String,
    here: Here,
    start: StartOptions,
    told: Vec<Told>,
    /// The scripts, by their names, for places in them.
    sources: Vec<(String, String)>,
    /// How much is missing that is told, and that is not.
    missing: usize,
    left_out: usize,
}

struct Told {
    finding: PlanFinding,
    /// Whether a check has found it: it names the value's place, and that is enough.
    by_check: bool,
}

impl Findings {
    /// What a check finds in the script.
    pub(super) fn of(script: &Script, start: &StartOptions) -> Self {
        let main = run::file_name(script.path.as_deref());
        let mut findings = Self {
            here: Here::new(script, start),
            start: start.clone(),
            told: Vec::new(),
            sources: Vec::new(),
            missing: 0,
            left_out: 0,
            main,
        };
        let name = findings.main.clone();
        findings.check(name, script);
        findings
    }

    fn check(&mut self, path: String, script: &Script) {
        let found = Here::new(script, &self.start).check(script, &self.start);
        self.told.extend(found.into_iter().map(|finding| Told {
            finding: PlanFinding {
                path: path.clone(),
                finding,
            },
            by_check: true,
        }));
        self.sources.push((path, script.source.clone()));
    }

    /// A workflow that was called: its file, as it is named, and its text.
    pub(super) fn nested(&mut self, path: &str, source: &str) {
        let is_known = self.sources.iter().any(|(known, _)| known == path);
        if !is_known && self.sources.len() <= CHECKED_MAX {
            let script = Script::file(path, source);
            self.check(path.to_owned(), &script);
        }
    }

    /// No agent type of this name is there.
    pub(super) fn agent_type(&mut self, path: &str, line: u32, name: &str) -> bool {
        let value = serde_json::Value::from(name);
        let problem = self.here.option("agentType", &value);
        let is_missing = problem.is_some();
        if let Some(problem) = problem {
            self.tell(path, line, CallKind::Agent, Severity::Error, problem);
        }
        is_missing
    }

    /// A workflow could not be read: what a run says of it, and by what it was named.
    pub(super) fn workflow(
        &mut self,
        path: &str,
        line: u32,
        target: &str,
        by_name: bool,
        why: &str,
    ) {
        let known = if by_name {
            self.here.workflow(target)
        } else {
            self.here.script(target)
        };
        let problem = known.unwrap_or_else(|| problem("unreadable-workflow", why, ""));
        self.tell(path, line, CallKind::Workflow, Severity::Error, problem);
    }

    /// The script merges, and a run here would not let it.
    pub(super) fn merge_not_allowed(&mut self, path: &str, line: u32) {
        let message = "merge() is not allowed in a run here, where it throws";
        let remedy = "allow it with `--allow merge`, or with `merge = true` under `[permissions]` in the settings";
        let problem = problem("not-allowed", message, remedy);
        self.tell(path, line, CallKind::Merge, Severity::Warning, problem);
    }

    /// The script asks a person. `answer` is what the plan assumes, as JSON text.
    pub(super) fn asks_person(&mut self, path: &str, line: u32, answer: &str) {
        let message = format!("it asks a person, and waits; the plan assumes the answer {answer}");
        let remedy = "give `timeout` and `default` where it must go on without anybody";
        let problem = problem("asks-a-person", &message, remedy);
        self.tell(path, line, CallKind::Ask, Severity::Info, problem);
    }

    /// Tells of a place in a script once; the same at other lines is added to it.
    fn tell(&mut self, path: &str, line: u32, kind: CallKind, severity: Severity, told: Problem) {
        let same = self.told.iter_mut().find(|known| {
            let PlanFinding { path: of, finding } = &known.finding;
            let is_there = known.by_check && finding.line == line && line > 0;
            of == path && finding.code == told.code && (finding.message == told.message || is_there)
        });
        match same {
            Some(Told { by_check: true, .. }) => {}
            Some(known) => {
                let Finding {
                    line: first,
                    related,
                    ..
                } = &mut known.finding.finding;
                let is_new = *first != line && related.iter().all(|other| other.line != line);
                if is_new && line > 0 && related.len() < RELATED_MAX {
                    related.push(Related::new(line, 1, "and here"));
                }
            }
            None if self.missing >= MISSING_MAX => self.left_out += 1,
            None => {
                self.missing += 1;
                let source = self.sources.iter().find(|(known, _)| known == path);
                let source = source.map_or("", |(_, source)| source.as_str());
                let words: &[&str] = match kind {
                    CallKind::Workflow => &["workflow"],
                    CallKind::Merge => &["merge"],
                    CallKind::Ask => &["ask"],
                    _ => &["agent", "attempt", "patterns"],
                };
                let Problem {
                    code,
                    message,
                    remedy,
                    ..
                } = told;
                let finding =
                    Finding::at_line(source, line, words, code, severity, message, remedy);
                self.told.push(Told {
                    finding: PlanFinding {
                        path: path.to_owned(),
                        finding,
                    },
                    by_check: false,
                });
            }
        }
    }

    /// All of them: script by script in the order in which they were met, each in the order of its places.
    pub(super) fn told(self, options: &PlanOptions) -> Vec<PlanFinding> {
        let order: HashMap<&str, usize> = self
            .sources
            .iter()
            .enumerate()
            .map(|(place, (path, _))| (path.as_str(), place))
            .collect();
        let mut told: Vec<PlanFinding> = self.told.into_iter().map(|told| told.finding).collect();
        for PlanFinding { finding, .. } in &mut told {
            match finding.code {
                "unknown-agent-type" => looked_in(&mut finding.remedy, &options.agent_folders),
                "unknown-workflow" => looked_in(&mut finding.remedy, &options.workflow_folders),
                _ => {}
            }
        }
        told.sort_by_key(|told| {
            let Finding { line, column, .. } = told.finding;
            (order.get(told.path.as_str()).copied(), line, column)
        });
        if self.left_out > 0 {
            let message = format!("{} findings more are not listed", self.left_out);
            let (code, remedy) = ("more", "begin with these");
            let finding = Finding::at_line("", 0, &[], code, Severity::Warning, message, remedy);
            let path = self.main;
            told.push(PlanFinding { path, finding });
        }
        told
    }
}

/// Says where something was looked for, in place of where such things are looked for in general.
fn looked_in(remedy: &mut String, folders: &[PathBuf]) {
    if folders.is_empty() {
        return;
    }
    if let Some(general) = remedy.find(COME_FROM) {
        remedy.truncate(general);
    }
    let between = if remedy.is_empty() || remedy.ends_with("; ") {
        ""
    } else {
        "; "
    };
    let mut seen = HashSet::new();
    // A project may lie in the person's own folder.
    let folders = folders.iter().filter(|folder| seen.insert(*folder));
    let folders: Vec<String> = folders.map(|folder| folder.display().to_string()).collect();
    for part in [between, "looked in ", &folders.join(", ")] {
        remedy.push_str(part);
    }
}
