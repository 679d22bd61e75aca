//! The command that makes a worktree ready (`npm ci`): once, and again when what it depends on has changed.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bellwether_journal::key::Digest;
use bellwether_launcher::{Launcher, Marker};

use super::base::from_top;
use super::clean;
use super::create::check_out;
use super::settings::Settings;
use super::slot::Slot;
use super::{WorktreeError, shell};
use crate::git::RepoPath;

/// The files that a setup depends on, from the repository's top.
///
/// # Errors
/// One of them leads out of the repository.
pub(super) fn inputs(settings: &Settings, project: &Path) -> Result<Vec<RepoPath>, WorktreeError> {
    let input = |path: &std::path::PathBuf| {
        from_top(project, path).ok_or_else(|| WorktreeError::Path {
            setting: "setup_inputs",
            path: path.display().to_string(),
            problem: "is no path within the project".to_owned(),
        })
    };
    settings.setup_inputs.iter().map(input).collect()
}

/// What names a setup: its command, and what its inputs hold in this worktree. One that is not there counts as such.
fn name(command: &str, inputs: &[RepoPath], slot: &Slot) -> String {
    let contents: Vec<Option<Vec<u8>>> = inputs
        .iter()
        .map(|input| fs::read(slot.tree.join(input.as_path())).ok())
        .collect();
    let mut parts: Vec<&[u8]> = vec![command.as_bytes()];
    for (input, content) in inputs.iter().zip(&contents) {
        parts.push(input.as_bytes());
        parts.push(if content.is_some() { b"there" } else { b"not" });
        parts.push(content.as_deref().unwrap_or_default());
    }
    Digest::of("worktree setup", &parts).to_hex()
}

/// Runs the setup in a clean worktree, if one is due. What it makes is remembered as the worktree's own; what it changes
/// in tracked files is put back, so that it never counts as an agent's work.
///
/// # Errors
/// It failed: with the end of its output. Then it is due again.
pub(super) async fn run(
    settings: &Settings,
    launcher: &Arc<Launcher>,
    project: &Path,
    slot: &mut Slot,
    marker: Marker,
) -> Result<(), WorktreeError> {
    let Some(command) = &settings.setup else {
        return Ok(());
    };
    let name = name(command, &inputs(settings, project)?, slot);
    if slot.state.setup.as_ref() == Some(&name) {
        return Ok(());
    }
    slot.state.setup = None;
    slot.save()?;
    let folder = slot.tree.join(project);
    fs::create_dir_all(&folder).map_err(|error| WorktreeError::io(&folder, error))?;
    let ran = shell::run(launcher, command, &folder, marker, settings.setup_timeout).await;
    let ran = ran.map_err(WorktreeError::Launcher)?;
    if !ran.success {
        return Err(WorktreeError::Setup {
            command: command.clone(),
            ended: ran.ended,
            output: ran.output,
        });
    }
    let commit = slot.state.base.clone().unwrap_or_default();
    check_out(&settings.git, slot, &commit).await?;
    slot.state.products.clear();
    slot.state.products = clean::untracked(&settings.git, slot).await?;
    slot.state.setup = Some(name);
    slot.save()
}

/// Makes a setup due again, if an agent has undone it: it changed one of the inputs, or took away what the setup had made.
pub(super) fn check(
    settings: &Settings,
    project: &Path,
    slot: &mut Slot,
    changed: &[RepoPath],
) -> Result<(), WorktreeError> {
    if slot.state.setup.is_none() {
        return Ok(());
    }
    let inputs = inputs(settings, project)?;
    let is_gone =
        |product: &RepoPath| fs::symlink_metadata(slot.tree.join(product.as_path())).is_err();
    if changed.iter().any(|path| inputs.contains(path)) || slot.state.products.iter().any(is_gone) {
        slot.state.setup = None;
        slot.save()?;
    }
    Ok(())
}
