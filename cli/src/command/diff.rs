//! `bellwether diff`

use bellwether::FileChange;
use bellwether::view::ChangesView;

use super::Place;
use super::source::{Question, Source};
use crate::args::Diff;
use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;
use crate::output::paint::one_line;
use crate::output::{self, Screen, human};
use crate::read::json;

/// Characters of a label that a line shows.
const LABEL: usize = 60;

pub(super) async fn execute(flags: Diff, screen: Screen) -> Result<ExitCode> {
    let place = Place::load(screen, &flags.common.journal, None, None)?;
    let (journal, _) = place.config.journal();
    let source = Source::require(&journal, "diff").await?;
    let run = flags.run.as_deref().unwrap_or("last");
    let mut all: Vec<ChangesView> = source.read(Question::Changes(run)).await?;
    drop(source);
    if let Some(agent) = &flags.agent {
        all.retain(|changes| {
            changes.agent_id == *agent || changes.label.as_deref() == Some(agent.as_str())
        });
        if all.is_empty() {
            return Err(CommandError::usage(format!(
                "no agent `{agent}` of {run} has changed anything in a worktree"
            ))
            .help(format!(
                "`bellwether diff {run} --stat` lists those that have"
            )));
        }
    }
    if flags.common.json {
        output::line(&json(&all)?);
        return Ok(ExitCode::Success);
    }
    if all.is_empty() {
        screen.note("no agent of this run has changed anything in a worktree");
    }
    let mut lines = output::Lines::new();
    'all: for changes in &all {
        // In front of a patch this is text that `git apply` skips.
        let label = one_line(changes.label.as_deref().unwrap_or_default(), LABEL);
        let head = format!("{}  {label}  {}", changes.agent_id, human::kept(changes));
        if !lines.line(&screen.out.bold(&head)) {
            break;
        }
        if flags.stat {
            for file in &changes.files {
                let mark = match file.change {
                    FileChange::Added => 'A',
                    FileChange::Deleted => 'D',
                    FileChange::Renamed => 'R',
                    _ => 'M',
                };
                let path = one_line(&file.path, usize::MAX);
                let line = format!("  {mark} {path}  +{} -{}", file.added, file.removed);
                if !lines.line(&line) {
                    break 'all;
                }
            }
        } else {
            // As it is: a patch with other line ends is another patch.
            let patch = changes.diff.as_deref().unwrap_or_default();
            let end = if patch.is_empty() || patch.ends_with('\n') {
                ""
            } else {
                "\n"
            };
            if !(lines.text(patch) && lines.text(end)) {
                break;
            }
        }
    }
    lines.finish();
    Ok(ExitCode::Success)
}
