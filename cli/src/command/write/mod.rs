//! `bellwether write`: a script for a task in plain words, as a file that a person reads and changes.
//!
//! The writing is a run of its own (`scripts/library/write.js`), journaled like any: one that is cut off goes on where it was. This
//! command says what the repository looks like (`survey.rs` reads, `shape.rs` and `proofs.rs` say), and puts what comes of
//! it into a file (`file.rs`).

mod file;
mod proofs;
mod shape;
mod survey;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use bellwether::{Permissions, Script, StartOptions, workflow};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use self::file::Head;
use super::attach::Followed;
use super::carry::{Carrier, Way};
use super::{Place, caller, environment, program, proposal, run, script};
use crate::args::{ArgsFlags, Run, Size, Write};
use crate::config::Agents;
use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;
use crate::host::order::Order;
use crate::model::Outcome;
use crate::output::paint::{one_line, plain};
use crate::output::{self, Screen};
use crate::read;

/// The script, and the file that its messages name.
const SCRIPT: &str = include_str!("../../../../scripts/library/write.js");
const FILE: &str = "bellwether:write.js";
/// What whoever writes scripts is told.
const GUIDE: &str = include_str!("../../../../scripts/library/writing.md");
const TYPES: &str = include_str!("../../../../types/bellwether.d.ts");
/// The backend whose answers are made up: nobody would write.
const DRY: &str = "dry";
/// Backends that a written script may name, beside the one that it is run with.
const BACKENDS: [&str; 1] = ["codemod"];
/// Longer arguments are not repeated in a proposed command, in bytes.
const ARGS_SHOWN: usize = 200;
/// As much of a sentence of an agent's is shown on a line, in characters.
const SENTENCE: usize = 300;

/// What the script is given.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Given<'a> {
    task: &'a str,
    size: Size,
    verify: Option<&'a str>,
    asks: bool,
    shape: String,
    guide: &'a str,
    types: &'a str,
    project: Project,
}

/// For whom the script is: what the backend `script-check` takes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Project {
    agent_types: Vec<String>,
    workflows: BTreeMap<String, PathBuf>,
    backends: Vec<String>,
    merge: bool,
}

/// What the script gives.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    holds: bool,
    rounds: u32,
    kind: String,
    why: String,
    name: String,
    script: String,
    args: Option<Box<RawValue>>,
    notes: Vec<String>,
    verify: Option<String>,
    confirmed: bool,
    findings: Vec<Found>,
    plan: Option<Planned>,
}

/// A finding that is left.
#[derive(Debug, Serialize, Deserialize)]
struct Found {
    severity: String,
    code: String,
    message: String,
    remedy: String,
    line: u32,
    column: u32,
    excerpt: Option<String>,
}

/// What the script would do.
#[derive(Debug, Serialize, Deserialize)]
struct Planned {
    agents: u64,
    #[serde(default)]
    merges: u64,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

pub(super) async fn execute(flags: Write, screen: Screen) -> Result<ExitCode> {
    if flags.attach.detach || flags.attach.events {
        return Err(CommandError::usage(
            "`write` stays until its script is written: leave `--detach` and `--events` out",
        ));
    }
    let place = Place::load(
        screen,
        &flags.common.journal,
        Some(&flags.agents),
        Some(&flags.limits),
    )?;
    let agents = match place.config.agents() {
        None => return Err(run::no_agents()),
        Some(Agents::Backend(name)) if name == DRY => {
            return Err(CommandError::usage("the backend `dry` makes its answers up, and writes no script")
                .help("name an agent: `--backend llm`, or `--agent-command 'claude -p' --agent-input prompt`"));
        }
        Some(Agents::Backend(name)) => Some(name),
        Some(Agents::Command(_)) => None,
    };
    may_be_written(&flags)?;
    let given = given(&flags, &place, agents, screen).await?;
    let (run, followed) = carry_out(&flags, &place, &given, screen).await?;
    let (outcome, code) = match followed {
        Followed::Ended(outcome, code) => (outcome, code),
        Followed::Left(code) => {
            let result = proposal(&format!("result {run}"), &flags.common.journal);
            screen.note(&format!(
                "no file was written: when the run has ended, `{result}` has the script"
            ));
            return Ok(code);
        }
    };
    let Some(written) = written(&outcome)? else {
        return Followed::Ended(outcome, code).show(screen, flags.attach, &flags.common);
    };
    let file = put(&written, &flags, &place, &run)?;
    tell(&written, &flags, &file, &run, screen)?;
    if !written.holds {
        return Ok(ExitCode::Failed);
    }
    if !flags.run {
        return Ok(ExitCode::Success);
    }
    if needs_merge(&written) && !place.config.permissions().merge {
        return Err(CommandError::usage(
            "the script merges, which is not allowed here: it was not run",
        )
        .help(format!("read it, then: {}", how_to_run(&written, &file))));
    }
    let args = written.args.as_ref().map(|args| args.get().to_owned());
    let flags = Run {
        script: file,
        given: ArgsFlags {
            args,
            ..ArgsFlags::default()
        },
        name: None,
        attach: flags.attach,
        notify: flags.notify,
        common: flags.common,
        agents: flags.agents,
        limits: flags.limits,
    };
    Box::pin(run::execute(flags, screen)).await
}

/// Looks at the file before anything is spent on it.
fn may_be_written(flags: &Write) -> Result<()> {
    let Some(output) = &flags.output else {
        return Ok(());
    };
    let shown = output.display();
    let folder = output.parent().filter(|folder| *folder != Path::new(""));
    if output.is_dir() {
        return Err(CommandError::usage(format!("{shown} is a folder")).help("name a file in it"));
    }
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let folder = folder.display();
        return Err(
            CommandError::usage(format!("there is no folder {folder}")).help("make it first")
        );
    }
    if output.exists() && !flags.force {
        return Err(CommandError::usage(format!("{shown} is there already"))
            .help("name another file, or replace it with `--force`"));
    }
    Ok(())
}

/// What the script is told of this place.
async fn given<'a>(
    flags: &'a Write,
    place: &Place,
    backend: Option<String>,
    screen: Screen,
) -> Result<Given<'a>> {
    let folder = place.directory.clone();
    let survey = tokio::task::spawn_blocking(move || survey::survey(&folder)).await;
    let survey = survey.map_err(CommandError::bug)?;
    let types = run::agent_types(place, &place.directory, screen);
    let named = types
        .iter()
        .map(|known| (known.name.clone(), known.description.clone()));
    let named = named.collect();
    let found = workflow::discover(&place.directory, &place.config.home);
    let workflows = found.workflows.iter().map(|workflow| {
        let about = workflow.when_to_use.as_ref();
        let about = about.unwrap_or(&workflow.description);
        (workflow.name.clone(), about.clone())
    });
    let asks = !flags.attach.yes && io::stdin().is_terminal() && io::stderr().is_terminal();
    Ok(Given {
        task: &flags.task,
        size: flags.size,
        verify: flags.verify.as_deref(),
        asks,
        shape: shape::shape(&survey, &named, &workflows.collect()),
        guide: GUIDE,
        types: TYPES,
        project: Project {
            agent_types: types.into_iter().map(|known| known.name).collect(),
            workflows: found.files(),
            backends: BACKENDS
                .map(str::to_owned)
                .into_iter()
                .chain(backend)
                .collect(),
            merge: place.config.permissions().merge,
        },
    })
}

/// Carries the writing out, and shows it.
async fn carry_out(
    flags: &Write,
    place: &Place,
    given: &Given<'_>,
    screen: Screen,
) -> Result<(String, Followed)> {
    let config = &place.config;
    let mut options: StartOptions = place.start_options();
    options.args = Some(read::json(given)?);
    options.agent_input = config.agent_input();
    options.timeout_ms = config
        .timeout()
        .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    options.base_commit = script::base_commit(&place.directory);
    options.started_by = Some(format!("{} ({})", caller(), program()));
    // It reads, whatever scripts are allowed here.
    options.permissions = Permissions::default();
    let journal = run::prepare(config)?;
    let mut signals = run::listen()?;
    let way = Way::of(&journal, place, "run", flags.attach, &flags.notify);
    let carrier = Carrier::reach(way, &mut signals).await?;
    let run = bellwether::new_run_id().map_err(|error| CommandError::host(error.to_string()))?;
    let run = run.to_string();
    let order = Order::Start {
        run: run.clone(),
        script: Script::file(FILE, SCRIPT),
        options: Box::new(options),
        environment: environment(),
    };
    let carried = carrier.carry_out(order, &mut signals).await?;
    screen.note(&format!("{} write", screen.err.bold(&format!("run {run}"))));
    let followed = carried.followed(&journal, signals, screen, flags.attach, &flags.common);
    Ok((run, followed.await?))
}

/// What was written; `None` when nothing was.
fn written(outcome: &Outcome) -> Result<Option<Written>> {
    let Some(result) = outcome.result.as_ref() else {
        return Ok(None);
    };
    if !outcome.status.is_final() || outcome.error.is_some() {
        return Ok(None);
    }
    let written = serde_json::from_str(result.get());
    written.map(Some).map_err(CommandError::bug)
}

/// Puts the script into its file.
fn put(written: &Written, flags: &Write, place: &Place, run: &str) -> Result<PathBuf> {
    let folder = file::folder(&place.directory, &place.config.root);
    let stem = file::stem(&written.name);
    // The name may still change: this is what it will be, most of the time.
    let likely = flags
        .output
        .clone()
        .unwrap_or_else(|| near(&folder.join(format!("{stem}.js")), &place.directory));
    let how = how_to_run(written, &likely);
    let text = Head {
        task: &flags.task,
        verify: written.verify.as_deref(),
        is_confirmed: written.confirmed,
        run: &how,
        holds: written.holds,
    }
    .over(&written.script);
    let put = match &flags.output {
        Some(output) => file::put_at(output, &text, flags.force).map(|()| output.clone()),
        None => file::put(&place.config.root, &folder, &stem, &text, flags.force),
    };
    let file = put.map_err(|error| {
        CommandError::usage(format!("the script was not written: {error}")).help(format!(
            "`{}` has it",
            proposal(&format!("result {run}"), &flags.common.journal)
        ))
    })?;
    Ok(near(&file, &place.directory))
}

fn near(file: &Path, directory: &Path) -> PathBuf {
    file.strip_prefix(directory).unwrap_or(file).to_path_buf()
}

/// Says what came of it: the file to stdout, all else to stderr.
fn tell(written: &Written, flags: &Write, file: &Path, run: &str, screen: Screen) -> Result<()> {
    let paint = screen.err;
    screen.note(&format!(
        "{}: {}",
        paint.bold(&one_line(&written.kind, 20)),
        one_line(&written.why, SENTENCE)
    ));
    for found in &written.findings {
        let severity = match found.severity.as_str() {
            "error" => paint.red("error:"),
            "info" => paint.dim("note:"),
            _ => paint.yellow("warning:"),
        };
        let message = one_line(&found.message, SENTENCE);
        let place = match found.line {
            0 => String::new(),
            line => format!("line {line} of the script: "),
        };
        let code = paint.dim(&format!("[{}]", plain(&found.code)));
        screen.note(&format!("{place}{severity} {message} {code}"));
        for line in found.excerpt.iter().flat_map(|excerpt| excerpt.lines()) {
            screen.note(&plain(line));
        }
        if !found.remedy.is_empty() {
            screen.note(&format!("  = {}", one_line(&found.remedy, SENTENCE)));
        }
    }
    for note in &written.notes {
        screen.note(&format!("  - {}", one_line(note, SENTENCE)));
    }
    match &written.verify {
        Some(verify) => {
            let verify = one_line(verify, SENTENCE);
            let by = if written.confirmed {
                ""
            } else {
                " (nobody has confirmed that)"
            };
            screen.note(&format!("proves success: {verify}{by}"));
        }
        None => screen.note("no command is known that proves success"),
    }
    if let Some(plan) = &written.plan {
        screen.note(&format!(
            "agents in the plan, with lists of three: {}",
            plan.agents
        ));
    }
    if written.holds {
        screen.note(&format!(
            "next:\n  {}\n  {}",
            with_args("plan", written, file),
            how_to_run(written, file)
        ));
    } else {
        let rounds = written.rounds;
        screen.note(&paint.red(&format!(
            "after {rounds} rounds the script does not hold: correct it, or write it again with a clearer task"
        )));
    }
    let shown = file.display().to_string();
    let goes_on = flags.run && written.holds;
    if flags.common.json && !goes_on {
        let mut object = serde_json::to_value(written).map_err(CommandError::bug)?;
        object["file"] = json!(shown);
        object["runId"] = json!(run);
        output::line(&read::json(&object)?);
    } else if goes_on {
        // Stdout is the run's.
        screen.note(&shown);
    } else {
        output::line(&shown);
    }
    Ok(())
}

fn needs_merge(written: &Written) -> bool {
    written.plan.as_ref().is_some_and(|plan| plan.merges > 0)
}

/// The command that runs it.
fn how_to_run(written: &Written, file: &Path) -> String {
    let allowed = if needs_merge(written) {
        " --allow merge"
    } else {
        ""
    };
    with_args("run", written, file) + allowed
}

/// A command with the script and its example arguments.
fn with_args(command: &str, written: &Written, file: &Path) -> String {
    let quoted = |text: &str| match shlex::try_quote(text) {
        Ok(quoted) => quoted.into_owned(),
        Err(_) => text.to_owned(),
    };
    let file = quoted(&file.display().to_string());
    match written.args.as_ref().map(|args| args.get()) {
        Some(args) if args.len() <= ARGS_SHOWN => {
            format!("bellwether {command} {file} --args {}", quoted(args))
        }
        Some(_) => format!("bellwether {command} {file} --args …"),
        None => format!("bellwether {command} {file}"),
    }
}
