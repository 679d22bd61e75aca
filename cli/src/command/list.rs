//! `bellwether list`, and finding a workflow by its name.

use std::path::{Path, PathBuf};

use bellwether::agent_type::Home;
use bellwether::workflow::{Origin, Workflow, Workflows, discover};
use serde_json::{Value, json};

use super::Place;
use crate::args::{JournalFlag, List};
use crate::config::key::nearest;
use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;
use crate::output::paint::one_line;
use crate::output::table::{self, Cell};
use crate::output::{self, Screen};

/// As much of what is wrong with a file is shown.
const PROBLEM_CHARACTERS: usize = 300;

pub(super) fn execute(flags: &List, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &JournalFlag::default(), None, None)?;
    let found = discover(&place.directory, &place.config.home);
    if flags.json {
        output::line(&format!("{:#}", to_json(&found)));
        return Ok(ExitCode::Success);
    }
    if found.workflows.is_empty() {
        screen.note("no workflow has a name here: put scripts into .bellwether/workflows or .claude/workflows");
    } else {
        let paint = screen.out;
        let rows = found.workflows.iter().map(|workflow| {
            let about = workflow.when_to_use.as_ref();
            let about = about.unwrap_or(&workflow.description);
            vec![
                Cell::new(one_line(&workflow.name, 40)).painted(move |text| paint.bold(text)),
                Cell::new(one_line(about, 70)),
                Cell::new(shown(&workflow.file, &place.directory))
                    .painted(move |text| paint.dim(text)),
            ]
        });
        let rows = rows.collect();
        for line in table::lines(&["NAME", "WHEN TO USE", "FILE"], rows, 2, usize::MAX) {
            output::line(&line);
        }
    }
    for problem in &found.problems {
        let file = shown(&problem.file, &place.directory);
        let line = one_line(&format!("{file}: {}", problem.message), PROBLEM_CHARACTERS);
        screen.note(&format!("{} {line}", screen.err.yellow("warning:")));
    }
    Ok(ExitCode::Success)
}

fn to_json(found: &Workflows) -> Value {
    let workflow = |workflow: &Workflow| {
        json!({
            "name": workflow.name,
            "description": workflow.description,
            "whenToUse": workflow.when_to_use,
            "file": workflow.file,
            "origin": match workflow.origin {
                Origin::Project => "project",
                Origin::Personal => "personal",
                Origin::Bundled => "bundled",
                _ => "plugin",
            },
        })
    };
    let workflows: Vec<Value> = found.workflows.iter().map(workflow).collect();
    let problem = |problem: &bellwether::agent_type::Problem| json!({ "file": problem.file, "message": problem.message });
    let problems: Vec<Value> = found.problems.iter().map(problem).collect();
    json!({ "workflows": workflows, "problems": problems })
}

fn shown(file: &Path, directory: &Path) -> String {
    file.strip_prefix(directory)
        .unwrap_or(file)
        .display()
        .to_string()
}

/// The file of what `run` is to carry out: a file that is there, else the workflow of that name.
///
/// # Errors
/// A usage error that says what there is.
pub(super) fn script_file(script: &Path, directory: &Path, home: &Home) -> Result<PathBuf> {
    let looks_like_a_file = script.components().count() != 1
        || script
            .extension()
            .is_some_and(|ending| ending == "js" || ending == "mjs");
    let Some(name) = script
        .to_str()
        .filter(|_| !looks_like_a_file && !script.exists())
    else {
        return Ok(script.to_path_buf());
    };
    let found = discover(directory, home);
    if let Some(file) = found.files().remove(name) {
        return Ok(file);
    }
    let names: Vec<&str> = found
        .workflows
        .iter()
        .map(|workflow| workflow.name.as_str())
        .collect();
    let error = CommandError::usage(format!("there is no script and no workflow `{name}`"));
    Err(match nearest(name, names.iter().copied()) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None if names.is_empty() => error.help(
            "give the path of a workflow script, `bellwether run path/to/script.js`, or put it into .bellwether/workflows",
        ),
        None => error.help(format!("there is: {}", names.join(", "))),
    })
}
