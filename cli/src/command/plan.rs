//! `bellwether plan`

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use bellwether::check::Severity;
use bellwether::models::Forecast;
use bellwether::plan::outline::outline;
use bellwether::plan::{Plan, PlanOptions, plan};
use bellwether::{Script, StartOptions, agent_type, workflow};
use serde::Serialize;
use serde_json::json;

use super::confirm::{self, Expected};
use super::run::agent_types;
use super::{Place, check, list, script};
use crate::args::Plan as Flags;
use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;
use crate::output::{self, Lines, Screen, plan as drawing};
use crate::read::json;

/// A plan that computes for longer is given up.
const PLAN_TIME: Duration = Duration::from_mins(1);
/// And when it does not hear of that within this time, the program ends.
const GRACE: Duration = Duration::from_secs(10);
/// The backends that this program's runs have and that ask no models.
pub(super) const BACKENDS: [&str; 4] = ["dry", "codemod", "sources", "script-check"];
const STDIN: &str = "-";

pub(super) async fn execute(flags: &Flags, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(
        screen,
        &flags.common.journal,
        Some(&flags.agents),
        Some(&flags.limits),
    )?;
    let root = root(flags.root.as_deref(), &place)?;
    let (name, script) = read(flags, &root, &place)?;
    if flags.outline {
        return draw(&script, &place, flags.common.json, screen);
    }
    let args = script::arguments(&flags.given)?;
    let start = start_options(&place, &root, args, screen);
    let mut options = options(&root, &place);
    options.strict = flags.strict;
    options.items = flags.items.unwrap_or(options.items);
    options.fail = flags.fail.unwrap_or(options.fail);
    give_up_after(&options, PLAN_TIME);
    let mut plan = plan(&script, &start, &options);
    name_as(&mut plan, &name);
    let is_good = plan.is_good();
    let expected = confirm::expected(&plan, &start, &place).await;
    if flags.common.json {
        let shown = Shown {
            plan: &plan,
            forecast: expected.as_ref().map(|expected| &expected.forecast),
        };
        output::line(&json(&shown)?);
    } else {
        let expected = expected.as_ref().map(Expected::lines);
        print(&plan, &expected.unwrap_or_default(), screen);
    }
    Ok(if is_good {
        ExitCode::Success
    } else {
        ExitCode::Failed
    })
}

/// How scripts are planned for who works in `root`.
pub(super) fn options(root: &Path, place: &Place) -> PlanOptions {
    let mut options = PlanOptions::new().backends(BACKENDS);
    options.agent_folders = agent_type::folders(root, &place.config.home);
    options.workflow_folders = workflow::folders(root, &place.config.home);
    options
}

/// A plan as JSON.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    /// What the run is expected to use; `null` when no agent asks a model.
    forecast: Option<&'a Forecast>,
}

/// The folder from which agent types and workflows are looked up.
fn root(given: Option<&Path>, place: &Place) -> Result<PathBuf> {
    let Some(given) = given else {
        return Ok(place.directory.clone());
    };
    let root = place.directory.join(given);
    if root.is_dir() {
        return Ok(root);
    }
    let shown = given.display();
    Err(
        CommandError::usage(format!("--root {shown}: there is no such folder"))
            .help("give the folder in or above which .bellwether or .claude lies"),
    )
}

/// The script and how it is named.
fn read(flags: &Flags, root: &Path, place: &Place) -> Result<(String, Script)> {
    if flags.script.as_os_str() == STDIN {
        if flags
            .given
            .args_file
            .as_ref()
            .is_some_and(|file| file.as_os_str() == STDIN)
        {
            return Err(
                CommandError::usage("script and args cannot both come from stdin")
                    .help("give one of them as a file"),
            );
        }
        return check::read(&flags.script);
    }
    let file = list::script_file(&flags.script, root, &place.config.home)?;
    // Named as whoever works here would name it.
    let file = file.strip_prefix(&place.directory).unwrap_or(&file);
    check::read(file)
}

/// What a run would be started with.
fn start_options(place: &Place, root: &Path, args: Option<String>, screen: Screen) -> StartOptions {
    let mut options = place.start_options();
    options.args = args;
    options.agent_types = agent_types(place, root, screen);
    options.workflows = workflow::discover(root, &place.config.home).files();
    options
}

/// Stops the plan from a thread of its own, which nobody waits for, when its time is over. A native call of the interpreter
/// that never looks up (a regular expression, say) hears nothing, and ends with the program.
fn give_up_after(options: &PlanOptions, time: Duration) {
    let stop = Arc::clone(&options.stop);
    thread::spawn(move || {
        thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        thread::sleep(GRACE);
        output::error_line(
            "error: the plan does not end: one step of the script computes without end, such as a regular expression over a long text",
        );
        std::process::exit(ExitCode::Failed.number().into());
    });
}

/// Names the script as it is named here: on stdin it has no path.
fn name_as(plan: &mut Plan, name: &str) {
    let own = std::mem::replace(&mut plan.script, name.to_owned());
    for told in plan.findings.iter_mut().filter(|told| told.path == own) {
        name.clone_into(&mut told.path);
    }
}

fn print(plan: &Plan, expected: &[String], screen: Screen) {
    let mut lines = Lines::new();
    for line in drawing::plan(plan, expected, screen.out) {
        lines.line(&line);
    }
    if !plan.findings.is_empty() {
        lines.line("");
        for told in &plan.findings {
            for line in check::shown(&told.path, &told.finding, screen.out) {
                lines.line(&line);
            }
        }
        let count = |severity| {
            let findings = plan.findings.iter();
            findings
                .filter(|told| told.finding.severity == severity)
                .count()
        };
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        lines.line(&drawing::found(errors, warnings, screen.out));
    }
    lines.finish();
}

/// The script's shape.
fn draw(script: &Script, place: &Place, as_json: bool, screen: Screen) -> Result<ExitCode> {
    let mut start = StartOptions::default();
    start.script_limits = place.config.script_limits();
    match outline(script, &start) {
        Ok(shape) if as_json => {
            output::line(&json(&json!({ "outline": shape }))?);
        }
        Ok(shape) => {
            let mut lines = Lines::new();
            for line in drawing::outline(&shape, screen.out) {
                lines.line(&line);
            }
            lines.finish();
        }
        Err(refusal) => {
            if as_json {
                let error = json!({
                    "name": "SyntaxError",
                    "message": refusal.message,
                    "line": refusal.line,
                    "column": refusal.column,
                });
                output::line(&json(&json!({ "outline": null, "error": error }))?);
            }
            return Err(CommandError::exit(ExitCode::Failed, refusal.to_string()));
        }
    }
    Ok(ExitCode::Success)
}
