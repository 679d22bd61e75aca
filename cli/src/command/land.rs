//! `bellwether land`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bellwether::landing::{Branch, LandError, Landed, Landing, LeftBranch, Verify, land};
use bellwether::view::{ChangesView, RunView};
use bellwether::worktree::{Base, Pool, PoolOptions, Settings};
use bellwether::{Attempt, CallNumber, Digest, Epoch, FencingToken, Generation};

use super::source::{Question, Source};
use super::{Place, proposal};
use crate::args::Land;
use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;
use crate::output::paint::one_line;
use crate::output::{self, Screen};
use crate::read::json;

/// Characters of a line that tells why a branch was left out.
const WHY: usize = 200;

pub(super) async fn execute(flags: Land, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &flags.common.journal, None, None)?;
    let (journal, _) = place.config.journal();
    let source = Source::require(&journal, "land").await?;
    let run = flags.run.as_deref().unwrap_or("last");
    let view: RunView = source.read(Question::View(run)).await?;
    let changes: Vec<ChangesView> = source.read(Question::Changes(run)).await?;
    drop(source);

    let branches = chosen(&view, &changes, &flags.agents)?;
    let folder = PathBuf::from(&view.working_directory);
    let into = match flags.into {
        Some(into) => into,
        None => checked_out(&folder).ok_or_else(|| {
            CommandError::usage(format!("no branch is checked out in {}", folder.display()))
                .help("name the branch to land in with --into BRANCH")
        })?,
    };
    if view.status.needs_engine() {
        screen.note("the run is still going on: what its agents have kept so far is landed");
    }
    let settings = Settings::from(&place.config.worktree());
    let commit = branches.first().map_or("", |changes| changes.base.as_str());
    let base = Base::again(&folder, &settings.git, commit).await;
    let base = base.map_err(|error| CommandError::usage(error.to_string()))?;
    // Not the journal's own pool, which a live run may hold.
    let own = Digest::of("land", &[]);
    let mut options = PoolOptions::new(place.config.worktrees(), base.top(), own, Epoch(0));
    options.settings = settings;
    let pool = Pool::open(options).await;
    let pool = pool.map_err(|error| CommandError::host(error.to_string()))?;

    let token = FencingToken {
        epoch: Epoch(0),
        run: view.run_id,
        generation: Generation(0),
        call: CallNumber(0),
        attempt: Attempt(0),
    };
    let mut whole: Option<Landed> = None;
    // One by one, so that each is told of when it has landed.
    for changes in &branches {
        let mut branch = Branch::named(changes.branch.clone().unwrap_or_default());
        branch.label = changes.label.as_deref().map(str::to_owned);
        let mut landing = Landing::new(vec![branch], &into, base.clone(), token);
        landing.verify = flags.verify.clone().map(|command| {
            let mut verify = Verify::new(command);
            verify.timeout = flags.timeout.unwrap_or(verify.timeout);
            verify
        });
        let landed = land(&pool, &landing, &[], None).await;
        let landed = landed.map_err(|error| refused(&error))?;
        tell(screen, changes, &landed);
        whole = Some(match whole {
            None => landed,
            Some(mut whole) => {
                whole.after = landed.after;
                whole.landed.extend(landed.landed);
                whole.left.extend(landed.left);
                whole
            }
        });
    }
    let Some(whole) = whole else {
        return Ok(ExitCode::Success);
    };
    let (landed, left) = (whole.landed.len(), whole.left.len());
    if flags.common.json {
        output::line(&json(&whole)?);
    } else {
        let rest = if left == 0 {
            String::new()
        } else {
            format!("; {left} left out, and {into} untouched by them")
        };
        output::line(&format!(
            "{landed} of {} branches are in {into}{rest}",
            landed + left
        ));
        if left > 0 {
            let diff = proposal(&format!("diff {}", view.run_id), &flags.common.journal);
            screen.note(&format!("what they change: `{diff}`"));
        }
    }
    Ok(match (landed, left) {
        (_, 0) => ExitCode::Success,
        (0, _) => ExitCode::Failed,
        _ => ExitCode::Degraded,
    })
}

/// The kept branches to land, in call order: of each agent that gave its value the newest.
fn chosen<'all>(
    view: &RunView,
    all: &'all [ChangesView],
    agents: &[String],
) -> Result<Vec<&'all ChangesView>> {
    let run = view.run_id;
    let mut kept: BTreeMap<(usize, &str), &ChangesView> = BTreeMap::new();
    for changes in all {
        if changes.completed && changes.branch.is_some() {
            // `a-10` behind `a-9`.
            let place = (changes.agent_id.len(), changes.agent_id.as_str());
            kept.insert(place, changes);
        }
    }
    if kept.is_empty() {
        return Err(
            CommandError::usage(format!("no agent of {run} has left a branch")).help(
                "agents that worked with `isolation: 'worktree'` and changed something leave one",
            ),
        );
    }
    let mut kept: Vec<&ChangesView> = kept.into_values().collect();
    if !agents.is_empty() {
        let is = |changes: &ChangesView, agent: &String| {
            changes.agent_id == *agent || changes.label.as_deref() == Some(agent.as_str())
        };
        if let Some(unknown) = agents
            .iter()
            .find(|agent| !kept.iter().any(|kept| is(kept, agent)))
        {
            return Err(CommandError::usage(format!(
                "agent `{unknown}` of {run} has left no branch"
            ))
            .help(format!(
                "`bellwether diff {run} --stat` lists those that have"
            )));
        }
        kept.retain(|kept| agents.iter().any(|agent| is(kept, agent)));
    }
    Ok(kept)
}

/// The branch that is checked out where the run worked.
fn checked_out(folder: &Path) -> Option<String> {
    let output = Command::new("git")
        .args(["symbolic-ref", "--quiet", "--short", "HEAD"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let branch = String::from_utf8(output.stdout).ok()?;
    let branch = branch.trim();
    (output.status.success() && !branch.is_empty()).then(|| branch.to_owned())
}

fn refused(error: &LandError) -> CommandError {
    match error {
        LandError::Git(_) | LandError::Target { .. } => CommandError::usage(error.to_string()),
        LandError::CheckedOut { .. } => CommandError::usage(error.to_string())
            .help("what has landed until here stays; land again when that is done"),
        _ => CommandError::host(error.to_string()),
    }
}

fn tell(screen: Screen, changes: &ChangesView, landed: &Landed) {
    let label = changes.label.as_deref().unwrap_or_default();
    let name = format!("{} {}", changes.agent_id, one_line(label, 40));
    for branch in &landed.landed {
        let what = match branch.files.len() {
            0 => "was there already".to_owned(),
            1 => "landed, 1 file".to_owned(),
            files => format!("landed, {files} files"),
        };
        screen.note(&format!("{} {what}", screen.err.green(name.trim_end())));
    }
    for LeftBranch {
        message,
        files,
        output,
        ..
    } in &landed.left
    {
        let mut why = message.clone();
        if let Some(files) = files {
            why = format!("{why}: {}", files.join(", "));
        }
        let name = screen.err.yellow(name.trim_end());
        screen.note(&format!("{name} left out: {}", one_line(&why, WHY)));
        for line in output.iter().flat_map(|output| output.lines()) {
            screen.note(&screen.err.dim(&format!("  {}", one_line(line, WHY))));
        }
    }
}
