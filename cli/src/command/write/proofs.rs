//! Commands that could prove a change right, as far as the files of a project say so. Nothing is run.

use std::collections::BTreeSet;

use serde_json::Value as Json;
use toml::{Table, Value as Toml};

use super::shape::file_name;
use super::survey::Survey;

/// Words by which scripts and targets are called that prove something, the strongest first.
const PROVING: [&str; 10] = [
    "ci",
    "verify",
    "check",
    "test",
    "tests",
    "lint",
    "typecheck",
    "type-check",
    "build",
    "clippy",
];
/// What npm puts there when there is no test.
const NO_TEST: &str = "no test specified";
/// As much is shown of what a script does, in characters.
const SHOWN: usize = 50;

/// A command that may prove success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    /// The command line, from the surveyed folder.
    pub(crate) command: String,
    /// The file that speaks of it, and what it says.
    pub(crate) source: String,
}

/// What the files of a survey speak of: those of the folder itself first.
pub(crate) fn proofs(survey: &Survey) -> Vec<Proof> {
    let mut proofs = Vec::new();
    let mut files: Vec<(&str, &str)> = survey
        .texts
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    files.sort_by_key(|(path, _)| (path.matches('/').count(), *path));
    for (path, text) in files {
        let found = match file_name(path) {
            "package.json" => of_package(path, text, survey),
            "composer.json" => of_composer(text),
            "Cargo.toml" => of_cargo(path, text, survey),
            "pyproject.toml" => of_python(path, text, survey),
            "pytest.ini" => vec![("pytest".to_owned(), String::new())],
            "tox.ini" => vec![("tox".to_owned(), String::new())],
            "noxfile.py" => vec![("nox".to_owned(), String::new())],
            "go.mod" => vec![("go test ./...".to_owned(), String::new())],
            "Makefile" | "makefile" | "GNUmakefile" => of_targets("make", &targets(text)),
            "justfile" | "Justfile" | ".justfile" => of_targets("just", &recipes(text)),
            "pom.xml" => wrapped("./mvnw", "mvn", path, survey),
            "build.gradle" | "build.gradle.kts" => wrapped("./gradlew", "gradle", path, survey),
            "mix.exs" => vec![("mix test".to_owned(), String::new())],
            "deno.json" | "deno.jsonc" => vec![("deno test".to_owned(), String::new())],
            "Package.swift" => vec![("swift test".to_owned(), String::new())],
            _ => Vec::new(),
        };
        proofs.extend(found.into_iter().map(|(command, says)| Proof {
            command: within(folder(path), command),
            source: match says.as_str() {
                "" => path.to_owned(),
                says => format!("{path}: {says}"),
            },
        }));
    }
    proofs
}

/// A command and what its file says of it.
type Found = (String, String);

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The command as it is called from the surveyed folder.
fn within(folder: &str, command: String) -> String {
    if folder.is_empty() {
        return command;
    }
    let folder = shlex::try_quote(folder).unwrap_or_else(|_| folder.into());
    format!("cd {folder} && {command}")
}

/// Whether a file of this name lies beside `path`, or in a folder above it.
fn has_above(survey: &Survey, path: &str, name: &str) -> bool {
    let mut folder = folder(path);
    loop {
        let file = if folder.is_empty() {
            name.to_owned()
        } else {
            format!("{folder}/{name}")
        };
        if survey.paths.binary_search(&file).is_ok() {
            return true;
        }
        match folder.rsplit_once('/') {
            Some((above, _)) => folder = above,
            None if folder.is_empty() => return false,
            None => folder = "",
        }
    }
}

/// Names that prove something, those that are so called before those that begin so (`test:unit`), each with what it does.
fn proving<'n>(names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let rank = |name: &str| {
        let word = name.split([':', '-', '_']).next().unwrap_or_default();
        let place = |wanted: &str| PROVING.iter().position(|word| *word == wanted);
        place(name).or_else(|| place(word).map(|place| place + PROVING.len()))
    };
    let mut ranked: Vec<(usize, &str)> =
        names.filter_map(|name| Some((rank(name)?, name))).collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, name)| name).collect()
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn of_package(path: &str, text: &str, survey: &Survey) -> Vec<Found> {
    let Ok(package) = serde_json::from_str::<Json>(text) else {
        return Vec::new();
    };
    let Some(scripts) = package.get("scripts").and_then(Json::as_object) else {
        return Vec::new();
    };
    let runner = [
        ("pnpm-lock.yaml", "pnpm"),
        ("yarn.lock", "yarn"),
        ("bun.lock", "bun run"),
        ("bun.lockb", "bun run"),
    ]
    .into_iter()
    .find(|(lock, _)| has_above(survey, path, lock))
    .map_or("npm run", |(_, runner)| runner);
    proving(scripts.keys().map(String::as_str))
        .into_iter()
        .filter_map(|name| {
            let does = scripts.get(name)?.as_str()?;
            let command = match (runner, name) {
                ("npm run", "test") => "npm test".to_owned(),
                _ => format!("{runner} {name}"),
            };
            (!does.contains(NO_TEST)).then(|| (command, shortened(does)))
        })
        .collect()
}

fn of_composer(text: &str) -> Vec<Found> {
    let package = serde_json::from_str::<Json>(text).unwrap_or_default();
    let Some(scripts) = package.get("scripts").and_then(Json::as_object) else {
        return Vec::new();
    };
    proving(scripts.keys().map(String::as_str))
        .into_iter()
        .map(|name| (format!("composer run {name}"), String::new()))
        .collect()
}

fn of_cargo(path: &str, text: &str, survey: &Survey) -> Vec<Found> {
    let Ok(manifest) = text.parse::<Table>() else {
        return Vec::new();
    };
    if manifest.contains_key("workspace") {
        return vec![(
            "cargo test --workspace".to_owned(),
            "a workspace".to_owned(),
        )];
    }
    let above = folder(path);
    // A crate below another manifest is that workspace's, most of the time.
    let is_member = !above.is_empty() && has_above(survey, above, "Cargo.toml");
    if is_member {
        Vec::new()
    } else {
        vec![("cargo test".to_owned(), String::new())]
    }
}

fn of_python(path: &str, text: &str, survey: &Survey) -> Vec<Found> {
    let project = text.parse::<Table>().unwrap_or_default();
    let tools = project.get("tool").and_then(Toml::as_table);
    let has_tool = |name: &str| tools.is_some_and(|tools| tools.contains_key(name));
    let runner = if has_above(survey, path, "uv.lock") {
        "uv run "
    } else if has_above(survey, path, "poetry.lock") {
        "poetry run "
    } else {
        ""
    };
    let has_tests = survey.paths.iter().any(|path| {
        let (stem, ending) = file_name(path).split_once('.').unwrap_or_default();
        ending == "py" && (stem == "conftest" || stem.starts_with("test_"))
    });
    let tools = [
        ("pytest", has_tool("pytest") || has_tests, "pytest"),
        ("ruff", has_tool("ruff"), "ruff check"),
        ("mypy", has_tool("mypy"), "mypy ."),
        ("pyright", has_tool("pyright"), "pyright"),
    ];
    tools
        .into_iter()
        .filter(|(_, is_there, _)| *is_there)
        .map(|(name, _, command)| {
            let says = if has_tool(name) {
                format!("[tool.{name}]")
            } else {
                "there are tests of it".to_owned()
            };
            (format!("{runner}{command}"), says)
        })
        .collect()
}

fn wrapped(wrapper: &str, plain: &str, path: &str, survey: &Survey) -> Vec<Found> {
    let file = wrapper.trim_start_matches("./");
    let beside = within_folder(folder(path), file);
    let program = if survey.paths.binary_search(&beside).is_ok() {
        wrapper
    } else {
        plain
    };
    vec![(format!("{program} test"), String::new())]
}

fn within_folder(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

fn of_targets(program: &str, names: &[&str]) -> Vec<Found> {
    proving(names.iter().copied())
        .into_iter()
        .map(|name| (format!("{program} {name}"), String::new()))
        .collect()
}

/// The targets of a makefile that have names. Assignments (`A := b`), files and patterns (`%.o:`) are none.
fn targets(makefile: &str) -> Vec<&str> {
    let named = heads(makefile).flat_map(str::split_whitespace);
    let names: BTreeSet<&str> = named.filter(|word| is_name(word)).collect();
    names.into_iter().collect()
}

/// The recipes of a justfile that need be given nothing.
fn recipes(justfile: &str) -> Vec<&str> {
    let recipes = heads(justfile).filter_map(|head| {
        let mut words = head.split_whitespace();
        let name = words.next()?.trim_start_matches('@');
        // A parameter that is needed has neither a default nor a star.
        let is_free = words.all(|word| word.contains('=') || word.starts_with('*'));
        (is_free && is_name(name)).then_some(name)
    });
    let names: BTreeSet<&str> = recipes.collect();
    names.into_iter().collect()
}

/// What stands in front of the colon of a line that is neither indented, nor a comment, nor an assignment.
fn heads(text: &str) -> impl Iterator<Item = &str> {
    let lines = text
        .lines()
        .filter(|line| !line.starts_with([' ', '\t', '#', '.']));
    lines.filter_map(|line| {
        let (head, behind) = line.split_once(':')?;
        let is_assignment = behind.starts_with('=') || behind.starts_with(":=");
        (!is_assignment).then_some(head)
    })
}

fn is_name(word: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_');
    !word.is_empty() && word.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(paths: &[&str], texts: &[(&str, &str)]) -> Vec<String> {
        let mut paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        paths.sort();
        let texts = texts
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        let survey = Survey {
            paths,
            texts,
            ..Survey::default()
        };
        proofs(&survey)
            .into_iter()
            .map(|proof| proof.command)
            .collect()
    }

    #[test]
    fn scripts_of_packages_are_called_by_the_packages_own_runner() {
        let package = r#"{"scripts": {"build": "tsc", "dev": "vite", "test:unit": "vitest", "test": "npm run test:unit", "testimony": "x"}}"#;
        assert_eq!(
            found(&[], &[("package.json", package)]),
            ["npm test", "npm run build", "npm run test:unit"]
        );
        assert_eq!(
            found(&["pnpm-lock.yaml"], &[("web app/package.json", package)])[0],
            "cd 'web app' && pnpm test"
        );
        let none = r#"{"scripts": {"test": "echo \"Error: no test specified\" && exit 1"}}"#;
        assert!(found(&[], &[("package.json", none)]).is_empty());
        assert!(found(&[], &[("package.json", "{")]).is_empty());
    }

    #[test]
    fn a_crate_below_another_is_its_workspaces() {
        let workspace = "[workspace]\nmembers = ['a']";
        let member = "[package]\nname = 'a'";
        let files = ["Cargo.toml", "a/Cargo.toml"];
        assert_eq!(
            found(
                &files,
                &[("Cargo.toml", workspace), ("a/Cargo.toml", member)]
            ),
            ["cargo test --workspace"]
        );
        assert_eq!(
            found(&files[1..], &[("a/Cargo.toml", member)]),
            ["cd a && cargo test"]
        );
    }

    #[test]
    fn python_is_run_as_its_lock_says() {
        let project = "[tool.ruff]\nline-length = 100\n";
        assert_eq!(
            found(&["src/a.py"], &[("pyproject.toml", project)]),
            ["ruff check"]
        );
        assert_eq!(
            found(
                &["tests/test_a.py", "uv.lock"],
                &[("pyproject.toml", project)]
            ),
            ["uv run pytest", "uv run ruff check"]
        );
    }

    #[test]
    fn targets_and_recipes_are_no_assignments() {
        let makefile = "TEST := 1\nA::=b\n.PHONY: check\ncheck: lint build\n\ttest: x\n%.o: %.c\nall lint: x\nx.o: y\n";
        assert_eq!(targets(makefile), ["all", "check", "lint"]);
        let justfile =
            "set shell := ['sh']\n@test filter='':\n  x\nverify *flags: test\ncheck name:\n  y\n";
        assert_eq!(recipes(justfile), ["test", "verify"]);
        assert_eq!(
            found(
                &["gradlew"],
                &[("build.gradle.kts", ""), ("Makefile", makefile)]
            ),
            ["make check", "make lint", "./gradlew test"]
        );
    }
}
