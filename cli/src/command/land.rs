//! `bellwether land`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bellwether::landing::{Landing, LandingError, LandingOrder, LeftBranch, land};
use bellwether::view::{ChangesView, RunView};
use bellwether::worktree::{Base, Pool, PoolOptions, Settings};
use bellwether::{Digest, Epoch};

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

    let mut whole = Landing::default();
    for changes in &branches {
        let branch = changes.branch.clone().unwrap_or_default();
        let mut order = LandingOrder::new(vec![branch], &into);
        if let Some(verify) = &flags.verify {
            order = order.verify(verify, flags.timeout);
        }
        let landing = land(&pool, &base, &folder, view.run_id, &order).await;
        let landing = landing.map_err(|error| refused(&error))?;
        tell(screen, changes, &landing);
        if whole.into.is_empty() {
            whole.into.clone_from(&landing.into);
            whole.before.clone_from(&landing.before);
        }
        whole.after.clone_from(&landing.after);
        whole.landed.extend(landing.landed);
        whole.left.extend(landing.left);
    }
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

fn refused(error: &LandingError) -> CommandError {
    let refusal = CommandError::usage(error.to_string());
    match error {
        LandingError::Worktree(_) | LandingError::Contended(_) | LandingError::Verify(_) => {
            CommandError::host(error.to_string())
        }
        LandingError::Dirty { .. } => {
            refusal.help("what has landed until here stays; land again when it is clean")
        }
        _ => refusal,
    }
}

fn tell(screen: Screen, changes: &ChangesView, landing: &Landing) {
    let label = changes.label.as_deref().unwrap_or_default();
    let name = format!("{} {}", changes.agent_id, one_line(label, 40));
    for landed in &landing.landed {
        let what = match landed.files.len() {
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
    } in &landing.left
    {
        let mut why = message.clone();
        if !files.is_empty() {
            why = format!("{why}: {}", files.join(", "));
        }
        let name = screen.err.yellow(name.trim_end());
        screen.note(&format!("{name} left out: {}", one_line(&why, WHY)));
        for line in output.iter().flat_map(|output| output.lines()) {
            screen.note(&screen.err.dim(&format!("  {}", one_line(line, WHY))));
        }
    }
}
