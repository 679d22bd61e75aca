//! Checks of scripts, without running them: what a run would refuse or throw, and what is probably not meant.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bellwether_scripts::check::{Caps, Problem, Surroundings};
use serde_json::Value;

use crate::options::{ResumeOptions, Script, StartOptions};
use crate::resolve::{RunRules, Steps};
use crate::run::{caps, unknown_workflow, vm_limits};
use crate::schema::Schema;

pub use bellwether_scripts::check::{Finding, Related, Severity};

/// Checks a script for a run with these options: its header, its syntax, what is forbidden, and what it names and gives.
/// All findings at once, in the order of their places. Nothing of the script is executed; files are only looked for.
///
/// ```
/// use bellwether::check::{Severity, check};
/// use bellwether::{Script, StartOptions};
///
/// let script = Script::text(
///     "export const meta = { name: 'n', description: 'd' }
///      return await agent('Look', { agentType: 'Explorer', schema: { type: 'obejct' } })",
/// );
/// let found = check(&script, &StartOptions::new());
/// let told: Vec<_> = found.iter().map(|it| (it.line, it.code, it.severity)).collect();
/// assert_eq!(told, [
///     (2, "unknown-agent-type", Severity::Error),
///     (2, "malformed-schema", Severity::Error),
/// ]);
/// ```
#[must_use]
pub fn check(script: &Script, options: &StartOptions) -> Vec<Finding> {
    Here::new(script, options).check(script, options)
}

/// Where relative paths in a script lead from (W02).
fn folder(script: &Script, options: &StartOptions) -> PathBuf {
    let directory = options.working_directory.clone().unwrap_or_default();
    let file = script.path.as_ref().map(|path| directory.join(path));
    file.and_then(|file| Some(file.parent()?.to_path_buf()))
        .unwrap_or(directory)
}

/// The place for which a script is checked.
pub(crate) struct Here {
    rules: RunRules,
    caps: Caps,
    folder: PathBuf,
    /// Names and files.
    workflows: BTreeMap<String, PathBuf>,
}

impl Here {
    /// What a run of `script` with these options would find.
    pub(crate) fn new(script: &Script, options: &StartOptions) -> Self {
        let unchanged = ResumeOptions::new();
        let make = |_: &_, _: &[String]| Err("a check makes no backend".to_owned());
        Self {
            rules: RunRules::new(
                bellwether_actors::run::keys::Backends::default(),
                &options.agent_types,
                options.isolate,
                Steps::default(),
                &make,
            ),
            caps: Caps {
                agents: caps(options, &unchanged).agents,
                items: vm_limits(options, &unchanged).items_max.into(),
            },
            folder: folder(script, options),
            workflows: options.workflows.clone(),
        }
    }

    /// The findings of `script` here.
    pub(crate) fn check(&self, script: &Script, options: &StartOptions) -> Vec<Finding> {
        let limits = vm_limits(options, &ResumeOptions::new());
        bellwether_scripts::check::check(&script.source, &limits, self)
    }
}

impl Surroundings for Here {
    fn option(&self, name: &str, value: &Value) -> Option<Problem> {
        if name == "schema" {
            return self.schema(value);
        }
        let refusal = self.rules.refusal_of(name, value)?;
        let code = match refusal.code {
            "UNKNOWN_AGENT_TYPE" => "unknown-agent-type",
            "UNKNOWN_EFFORT" => "unknown-effort",
            "UNKNOWN_ISOLATION" => "unknown-isolation",
            _ => "options",
        };
        let text = refusal.message.trim_start_matches("agent(): ");
        let (message, remedy) = text
            .split_once("; ")
            .or_else(|| text.split_once('\n'))
            .unwrap_or((text, ""));
        Some(problem(code, message, &remedy.replace('\n', "; ")))
    }

    fn schema(&self, schema: &Value) -> Option<Problem> {
        let malformed = Schema::compile(schema).err()?;
        let message = format!("the schema is malformed {malformed}");
        let remedy = "write it as JSON Schema: draft 2020-12 or draft-07";
        Some(Problem {
            pointer: Some(malformed.path),
            ..problem("malformed-schema", &message, remedy)
        })
    }

    fn workflow(&self, name: &str) -> Option<Problem> {
        if self.workflows.contains_key(name) {
            return None;
        }
        let text = unknown_workflow(name, &self.workflows);
        let text = text.trim_start_matches("workflow(): ");
        let (message, remedy) = text.split_once('\n').unwrap_or((text, ""));
        Some(problem(
            "unknown-workflow",
            message,
            &remedy.replace('\n', "; "),
        ))
    }

    fn script(&self, path: &str) -> Option<Problem> {
        let file = self.folder.join(path);
        (!file.is_file()).then(|| {
            let message = format!("there is no script at {path}");
            let remedy = format!(
                "a relative path begins at the script's folder; looked for {}",
                file.display()
            );
            problem("missing-script", &message, &remedy)
        })
    }

    fn caps(&self) -> Caps {
        self.caps
    }
}

pub(crate) fn problem(code: &'static str, message: &str, remedy: &str) -> Problem {
    Problem {
        code,
        message: message.to_owned(),
        remedy: remedy.to_owned(),
        pointer: None,
    }
}
