//! The shape of a repository in a few thousand characters, for an agent that is to decide what could be done in it: where its
//! files are, what it is made with, and which commands could prove that a change is right.
//!
//! Pure: the same survey gives the same text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::proofs::proofs;
use super::survey::Survey;

/// How long the sections may be, in characters: together under 6,000.
const ENDINGS_CHARACTERS: usize = 250;
const FOLDERS_CHARACTERS: usize = 1_700;
const MANIFESTS_CHARACTERS: usize = 500;
const PROOFS_CHARACTERS: usize = 1_200;
const README_CHARACTERS: usize = 900;
const NAMES_CHARACTERS: usize = 550;
/// What a line takes that says how many folders are left out.
const REST_CHARACTERS: usize = 30;
/// A line is cut after so many characters.
const LINE_CHARACTERS: usize = 120;
/// Folders are shown to this depth, and deeper where they hold at least one file in [`BIG`].
const DEPTH: usize = 2;
const BIG: usize = 8;
/// Manifests further down say little of the whole.
const MANIFEST_DEPTH_MAX: usize = 3;
/// So many files are read.
const TOLD_BY_MAX: usize = 40;

/// Files that say what a project is made with and how it is checked.
const MANIFESTS: [&str; 30] = [
    "Cargo.toml",
    "package.json",
    "pyproject.toml",
    "go.mod",
    "Makefile",
    "makefile",
    "GNUmakefile",
    "justfile",
    "Justfile",
    ".justfile",
    "tox.ini",
    "pytest.ini",
    "setup.cfg",
    "noxfile.py",
    "pom.xml",
    "build.gradle",
    "build.gradle.kts",
    "mix.exs",
    "composer.json",
    "deno.json",
    "deno.jsonc",
    "Package.swift",
    "Gemfile",
    "CMakeLists.txt",
    "meson.build",
    "build.zig",
    "stack.yaml",
    "dune-project",
    "rebar.config",
    "Taskfile.yml",
];

/// What has a name here: agent types, or workflows, with what they are good for.
pub(crate) type Named = Vec<(String, String)>;

/// The files whose text says something of the whole: manifests, the higher ones first, and what tells people about it.
pub(crate) fn told_by(paths: &[String]) -> Vec<&str> {
    let depth = |path: &str| path.matches('/').count();
    let is_wanted = |path: &&str| {
        let name = file_name(path);
        depth(path) < MANIFEST_DEPTH_MAX && MANIFESTS.contains(&name)
            || depth(path) == 0 && is_readme(name)
    };
    let mut wanted: Vec<&str> = paths.iter().map(String::as_str).filter(is_wanted).collect();
    wanted.sort_by_key(|path| (depth(path), *path));
    wanted.truncate(TOLD_BY_MAX);
    wanted
}

/// The shape of what was surveyed, with the agent types and workflows that scripts may name.
pub(crate) fn shape(survey: &Survey, agent_types: &Named, workflows: &Named) -> String {
    let mut shape = String::new();
    let count = survey.paths.len();
    let more = if survey.has_more { "more than " } else { "" };
    let by = if survey.is_tracked { "git" } else { "no git" };
    // Writing to a text cannot fail.
    let _ = writeln!(shape, "{more}{count} files ({by})");
    let endings = endings(&survey.paths);
    section(&mut shape, "by ending", &endings, ENDINGS_CHARACTERS);
    let folders = folders(&survey.paths);
    section(
        &mut shape,
        "files by folder, those below included",
        &folders,
        FOLDERS_CHARACTERS,
    );
    let manifests: Vec<String> = told_by(&survey.paths)
        .into_iter()
        .filter(|path| !is_readme(path))
        .map(str::to_owned)
        .collect();
    section(&mut shape, "made with", &manifests, MANIFESTS_CHARACTERS);
    let proofs: Vec<String> = proofs(survey)
        .into_iter()
        .map(|proof| format!("{}  ({})", proof.command, proof.source))
        .collect();
    section(
        &mut shape,
        "commands that may prove success; none was tried",
        &proofs,
        PROOFS_CHARACTERS,
    );
    if let Some((name, text)) = survey.texts.iter().find(|(path, _)| is_readme(path)) {
        let lines: Vec<String> = text
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect();
        let title = format!("{name} begins");
        section(&mut shape, &title, &lines, README_CHARACTERS);
    }
    let named = |named: &Named| -> Vec<String> {
        let line = |(name, about): &(String, String)| match about.split_whitespace().next() {
            Some(_) => format!(
                "{name}: {}",
                about.split_whitespace().collect::<Vec<_>>().join(" ")
            ),
            None => name.clone(),
        };
        named.iter().map(line).collect()
    };
    section(
        &mut shape,
        "agent types",
        &named(agent_types),
        NAMES_CHARACTERS,
    );
    section(&mut shape, "workflows", &named(workflows), NAMES_CHARACTERS);
    shape
}

/// Adds a section of as many lines as there is room for, and says how many are left out.
fn section(shape: &mut String, title: &str, lines: &[String], room: usize) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(shape, "\n{title}:");
    let mut left = room;
    for (index, line) in lines.iter().enumerate() {
        let line = cut(line);
        let length = line.chars().count() + 3;
        if length > left {
            let _ = writeln!(shape, "  … {} more", lines.len() - index);
            return;
        }
        left -= length;
        let _ = writeln!(shape, "  {line}");
    }
}

fn cut(line: &str) -> String {
    // Names of files, and what is in them, may hold anything.
    let line: String = line
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    match line.char_indices().nth(LINE_CHARACTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// How many files have which ending, the most frequent first.
fn endings(paths: &[String]) -> Vec<String> {
    let mut counts = BTreeMap::<&str, usize>::new();
    for path in paths {
        let name = file_name(path).trim_start_matches('.');
        let ending = name.rsplit_once('.').map_or("(none)", |(_, ending)| ending);
        *counts.entry(ending).or_default() += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by(|(name, count), (other, more)| more.cmp(count).then(name.cmp(other)));
    let line = |(ending, count): &(&str, usize)| format!("{ending} {count}");
    counts.iter().map(line).collect()
}

/// How many files are below which folder: two levels, and further where many are. Where there is no room for all of them, those
/// with the most files stay. In the order of their paths.
fn folders(paths: &[String]) -> Vec<String> {
    let mut counts = BTreeMap::<&str, usize>::new();
    for path in paths {
        for (end, _) in path.match_indices('/') {
            *counts.entry(&path[..end]).or_default() += 1;
        }
    }
    let is_shown = |folder: &str, count: usize| {
        folder.matches('/').count() < DEPTH || count * BIG >= paths.len()
    };
    let mut shown: Vec<(&str, usize)> = counts
        .into_iter()
        .filter(|&(folder, count)| is_shown(folder, count))
        .collect();
    shown.sort_by(|(folder, count), (other, more)| more.cmp(count).then(folder.cmp(other)));
    let line = |(folder, count): &(&str, usize)| format!("{folder}/ {count}");
    // What a section gives a line, and the last one.
    let mut left = FOLDERS_CHARACTERS - REST_CHARACTERS;
    let fits = |it: &&(&str, usize)| {
        let length = cut(&line(it)).chars().count() + 3;
        let fits = length <= left;
        left = left.saturating_sub(length);
        fits
    };
    let room = shown.iter().take_while(fits).count();
    let rest = shown.len() - room;
    shown.truncate(room);
    shown.sort_unstable();
    let mut lines: Vec<String> = shown.iter().map(line).collect();
    if rest > 0 {
        lines.push(format!("… {rest} smaller ones"));
    }
    lines
}

pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn is_readme(path: &str) -> bool {
    let stem = path.split('.').next().unwrap_or_default();
    stem.eq_ignore_ascii_case("readme") && !path.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surveyed(paths: &[&str], texts: &[(&str, &str)]) -> Survey {
        let mut paths: Vec<String> = paths
            .iter()
            .copied()
            .chain(texts.iter().map(|(path, _)| *path))
            .map(str::to_owned)
            .collect();
        paths.sort();
        let texts = texts
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        Survey {
            paths,
            texts,
            is_tracked: true,
            has_more: false,
        }
    }

    #[test]
    fn a_repository_is_told_in_a_page() {
        let survey = surveyed(
            &[
                ".gitignore",
                "cli/src/main.rs",
                "cli/tests/a.rs",
                "docs/a.md",
                "engine/src/deep/er/a.rs",
                "engine/src/deep/er/b.rs",
                "engine/src/lib.rs",
            ],
            &[
                ("Cargo.toml", "[workspace]\nmembers = ['cli', 'engine']\n"),
                ("README.md", "# Title\n\nWhat it is.\n"),
                ("cli/Cargo.toml", "[package]\nname = 'cli'\n"),
                (
                    "justfile",
                    "check *flags:\n    cargo test\nset shell := ['sh']\nfmt:\n",
                ),
            ],
        );
        let named = |name: &str, about: &str| vec![(name.to_owned(), about.to_owned())];
        let told = shape(
            &survey,
            &named("migrator", "moves\n  calls"),
            &named("review", "Before a merge"),
        );
        assert_eq!(
            told,
            "11 files (git)

by ending:
  rs 5
  (none) 2
  md 2
  toml 2

files by folder, those below included:
  cli/ 3
  cli/src/ 1
  cli/tests/ 1
  docs/ 1
  engine/ 3
  engine/src/ 3
  engine/src/deep/ 2
  engine/src/deep/er/ 2

made with:
  Cargo.toml
  justfile
  cli/Cargo.toml

commands that may prove success; none was tried:
  cargo test --workspace  (Cargo.toml: a workspace)
  just check  (justfile)

README.md begins:
  # Title
  What it is.

agent types:
  migrator: moves calls

workflows:
  review: Before a merge
"
        );
    }

    #[test]
    fn a_large_repository_fits_and_says_what_is_left_out() {
        let paths: Vec<String> = (0..40)
            .flat_map(|top| {
                (0..=top).map(move |below| {
                    format!("{}{top:02}/b{below:02}/file.x{below:02}", "t".repeat(100))
                })
            })
            .collect();
        let survey = Survey {
            paths,
            has_more: true,
            is_tracked: false,
            texts: [("README".to_owned(), "words and words\n".repeat(1_000))].into(),
        };
        let many: Named = (0..200)
            .map(|n| (format!("n{n}"), "about ".repeat(50)))
            .collect();
        let told = shape(&survey, &many, &many);
        assert!(told.chars().count() < 6_000, "{}", told.chars().count());
        assert!(told.starts_with("more than 820 files (no git)\n"));
        // The largest folders stay, and nothing is left out in silence.
        assert!(told.contains(&format!("  {}39/ 40\n", "t".repeat(100))));
        for left in ["smaller ones\n", "  … 950 more\n"] {
            assert!(told.contains(left), "{left}\n{told}");
        }
        assert_eq!(told.matches(" more\n").count(), 4, "{told}");
    }

    #[test]
    fn an_empty_folder_has_a_shape() {
        assert_eq!(
            shape(&Survey::default(), &vec![], &vec![]),
            "0 files (no git)\n"
        );
    }
}
