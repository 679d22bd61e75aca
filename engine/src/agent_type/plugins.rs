//! Where Claude Code's plugins keep their agents: what is installed stands in one file of the person's, whether it is
//! enabled in the settings, and where the agents lie in the plugin's own manifest.

use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::discover::Problem;

/// A plugin that is installed and enabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plugin {
    /// What its agents' names begin with.
    pub(crate) name: String,
    /// Files and folders that hold its agents.
    pub(super) agents: Vec<PathBuf>,
    /// The folder that holds its workflows, if there is one.
    pub(crate) workflows: PathBuf,
}

/// The plugins for somebody who works in `directory`. `claude` is the person's folder, `projects` are the folders of
/// projects, nearest first.
pub(crate) fn plugins(
    claude: &Path,
    directory: &Path,
    projects: &[PathBuf],
    problems: &mut Vec<Problem>,
) -> Vec<Plugin> {
    let file = claude.join("plugins").join("installed_plugins.json");
    let Some(installed) = json(&file, problems) else {
        return Vec::new();
    };
    let mut settings = Vec::new();
    for folder in projects {
        for name in ["settings.local.json", "settings.json"] {
            settings.extend(json(&folder.join(".claude").join(name), problems));
        }
    }
    settings.extend(json(&claude.join("settings.json"), problems));
    let installed = installed.get("plugins").and_then(Value::as_object);
    let mut found = Vec::new();
    for (id, entry) in installed.into_iter().flatten() {
        // Whoever speaks of it first decides; where nobody does, installing it was meant.
        let enabled = settings
            .iter()
            .find_map(|settings| settings.get("enabledPlugins")?.get(id)?.as_bool());
        if enabled == Some(false) {
            continue;
        }
        let Some(folder) = install_path(entry, directory) else {
            continue;
        };
        let name = id.split('@').next().unwrap_or(id).to_owned();
        let agents = agents_of(&folder, problems);
        let workflows = folder.join("workflows");
        found.push(Plugin {
            name,
            agents,
            workflows,
        });
    }
    found
}

/// Where a plugin is installed that counts here. Older files have one installation a plugin, newer ones a list.
fn install_path(entry: &Value, directory: &Path) -> Option<PathBuf> {
    let all = match entry {
        Value::Array(entries) => entries.as_slice(),
        one => std::slice::from_ref(one),
    };
    let project = |entry: &Value| {
        entry
            .get("projectPath")
            .and_then(Value::as_str)
            .map(PathBuf::from)
    };
    let of_project =
        |entry: &&Value| project(entry).is_some_and(|project| directory.starts_with(project));
    let of_person = |entry: &&Value| project(entry).is_none();
    let entry = all
        .iter()
        .find(of_project)
        .or_else(|| all.iter().find(of_person))?;
    entry
        .get("installPath")
        .and_then(Value::as_str)
        .map(PathBuf::from)
}

/// What the manifest says, else the folder `agents`.
fn agents_of(folder: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let file = folder.join(".claude-plugin").join("plugin.json");
    let manifest = json(&file, problems).unwrap_or_default();
    let named: Vec<&str> = match manifest.get("agents") {
        Some(Value::String(path)) => vec![path],
        Some(Value::Array(paths)) => paths.iter().filter_map(Value::as_str).collect(),
        _ => return vec![folder.join("agents")],
    };
    let mut agents = Vec::new();
    for path in named {
        let stays_inside = Path::new(path)
            .components()
            .all(|part| matches!(part, Component::CurDir | Component::Normal(_)));
        if stays_inside {
            agents.push(folder.join(path));
        } else {
            let message = format!("its `agents` has `{path}`, which is not inside the plugin");
            problems.push(Problem::new(&file, message));
        }
    }
    agents
}

/// A file of JSON; none when it is not there, and a problem when it is none.
fn json(file: &Path, problems: &mut Vec<Problem>) -> Option<Value> {
    let text = std::fs::read_to_string(file).ok()?;
    match serde_json::from_str(text.trim_start_matches('\u{feff}')) {
        Ok(value) => Some(value),
        Err(error) => {
            problems.push(Problem::new(file, format!("it is no JSON: {error}")));
            None
        }
    }
}
