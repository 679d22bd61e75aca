//! `bellwether init`: what a project needs for its first workflow.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::args::Init;
use crate::config::project;
use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;
use crate::output::{self, Screen};

/// The files, by their places below `.bellwether`.
const FILES: [(&str, &str); 4] = [
    ("workflows/first.js", include_str!("../init/first.js")),
    ("config.toml", include_str!("../init/config.toml")),
    ("jsconfig.json", include_str!("../init/jsconfig.json")),
    (
        "bellwether.d.ts",
        include_str!("../../../types/bellwether.d.ts"),
    ),
];

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Became {
    Created,
    /// It was there, with the same content.
    Same,
    /// It was there, with another content, which stays.
    Kept,
}

impl Became {
    const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Same => "same",
            Self::Kept => "kept",
        }
    }
}

pub(super) fn execute(flags: &Init, screen: Screen) -> Result<ExitCode> {
    let here = std::env::current_dir().map_err(|error| {
        CommandError::usage(format!("the working directory cannot be used: {error}"))
    })?;
    let root = match &flags.folder {
        Some(folder) if !folder.is_dir() => {
            let folder = folder.display();
            return Err(CommandError::usage(format!("`{folder}` is no folder")));
        }
        Some(folder) => here.join(folder),
        None => project::root(&here),
    };
    let folder = root.join(project::FOLDER);
    let mut became = Vec::new();
    for (name, text) in FILES {
        let file = folder.join(name);
        let one = create(&file, text).map_err(|error| {
            CommandError::usage(format!("cannot write {}: {error}", file.display()))
                .help("what was there is unchanged; what is missing is written when `bellwether init` is called again")
        })?;
        became.push((file, one));
    }
    if flags.json {
        let files: Vec<_> = became
            .iter()
            .map(|(file, became)| json!({ "file": file, "became": became.name() }))
            .collect();
        output::line(&format!("{:#}", json!({ "project": root, "files": files })));
        return Ok(ExitCode::Success);
    }
    show(&became, &here, screen);
    Ok(ExitCode::Success)
}

fn show(became: &[(PathBuf, Became)], here: &Path, screen: Screen) {
    let shown = |file: &Path| {
        let file = file.strip_prefix(here).unwrap_or(file);
        file.display().to_string()
    };
    for (file, became) in became {
        let became = match became {
            Became::Created => screen.out.green("created"),
            Became::Same => screen.out.dim("is there"),
            Became::Kept => screen.out.yellow("is there and was kept"),
        };
        output::line(&format!("{} {became}", shown(file)));
    }
    let is_kept = |name: &str| {
        became
            .iter()
            .any(|(file, became)| file.ends_with(name) && *became == Became::Kept)
    };
    if is_kept("bellwether.d.ts") {
        screen.note("bellwether.d.ts is another version's: delete it and call `bellwether init` again for this one's");
    }
    screen.note("next:");
    screen.note("  bellwether plan first                     what it would do");
    screen.note("  bellwether run first --backend dry        with made-up answers");
    screen.note("  bellwether run first --agent-command 'claude -p' --agent-input prompt");
}

/// Writes a file that is not there; one that is, or a link in its place, stays as it is.
fn create(file: &Path, text: &str) -> io::Result<Became> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    match File::options().write(true).create_new(true).open(file) {
        Ok(mut created) => {
            let written = created.write_all(text.as_bytes());
            if written.is_err() {
                // Half a file would be kept for good by the next call.
                let _ = fs::remove_file(file);
            }
            written.map(|()| Became::Created)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let is_same = fs::read(file).is_ok_and(|there| there == text.as_bytes());
            Ok(if is_same { Became::Same } else { Became::Kept })
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn what_is_there_stays() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("a/b");
        assert_eq!(create(&file, "one").unwrap(), Became::Created);
        assert_eq!(create(&file, "one").unwrap(), Became::Same);
        assert_eq!(create(&file, "two").unwrap(), Became::Kept);
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");
        let link = place.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert_eq!(create(&link, "three").unwrap(), Became::Kept);
        assert!(!place.path().join("nowhere").exists());
        assert!(create(&file.join("below"), "four").is_err());
    }

    /// A person takes the `#` away and has a setting.
    #[test]
    fn every_setting_that_is_proposed_is_one() {
        let (_, text) = FILES
            .iter()
            .find(|(name, _)| *name == "config.toml")
            .unwrap();
        let settings = text
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .filter(|line| line.contains(" = ") || line.starts_with('['))
            .collect::<Vec<_>>()
            .join("\n");
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("config.toml");
        fs::write(&file, &settings).unwrap();
        let layer = crate::config::file::read_all(&file, place.path())
            .unwrap()
            .0;
        assert_eq!(layer.len(), settings.matches(" = ").count());
    }
}
