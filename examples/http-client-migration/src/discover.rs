//! Which files of a repository there are to migrate, and which are left out and why.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::imports::{self, EXPORT, ModuleStyle};
use crate::repository::{Repository, Tracked};
use crate::sites::{self, Verdict};
use crate::source::{EXTENSIONS, parse};

/// Folders of other people's code and of generated code.
const SKIPPED_FOLDERS: [&str; 16] = [
    "node_modules",
    "bower_components",
    "jspm_packages",
    "vendor",
    "vendored",
    "third_party",
    "dist",
    "build",
    "out",
    "target",
    "coverage",
    ".next",
    ".nuxt",
    ".output",
    ".cache",
    ".yarn",
];

/// Files above this are generated or data.
const LARGEST: usize = 1024 * 1024;

/// A line above this length was not written by hand.
const LONGEST_LINE: usize = 5_000;

/// What there is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Discovery {
    /// The repository's folder, absolute.
    pub root: String,
    /// The commit that the work starts from.
    pub base: String,
    /// The client's module, relative to the folder.
    pub client: String,
    /// Whether that module is there already.
    pub client_exists: bool,
    /// The files with something to migrate or to refuse, in order of path.
    pub files: Vec<Found>,
    /// JavaScript and TypeScript files that were read.
    pub scanned: usize,
    /// Files that say `fetch` and never mean the global one.
    pub without_global_fetch: usize,
    /// What was left out, by reason.
    pub skipped: Vec<Skipped>,
}

/// A file with uses of the global `fetch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Its path, relative to the folder.
    pub file: String,
    /// Lines with such a use, from 1.
    pub lines: Vec<usize>,
}

/// Files left out for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Why.
    pub reason: String,
    /// How many.
    pub files: usize,
    /// The first of them.
    pub first: String,
}

/// Looks through a repository. `client` names the client's module; without it, it is looked for.
///
/// # Errors
/// git fails, or the client's place is taken by something else.
pub fn discover(repository: &Repository, client: Option<&str>) -> Result<Discovery> {
    let tracked = repository.tracked()?;
    let changed = repository.changed()?;
    let base = repository.head()?;
    let known = known_client(repository, &tracked, client)?;
    let mut survey = Survey::default();
    for one in &tracked {
        if known.as_deref() == Some(one.path.as_str()) || !is_source(&one.path) {
            continue;
        }
        let is_changed = changed.contains(&one.path);
        survey.add(repository, one, is_changed);
    }
    for path in repository.untracked()? {
        if is_source(&path) && known.as_deref() != Some(path.as_str()) {
            survey.skip("not in git, so there is nothing to compare with", &path);
        }
    }
    let client = match &known {
        Some(path) => path.clone(),
        None => place_for_client(&tracked, &survey),
    };
    if known.is_none() && tracked.iter().any(|one| one.path == client) {
        bail!("{client} exists and exports no {EXPORT}; name the client's module in args.client");
    }
    let client_exists =
        tracked.iter().any(|one| one.path == client) || repository.read(&client).is_ok();
    let skipped = survey.skipped.into_iter();
    let skipped = skipped.map(|(reason, (files, first))| Skipped {
        reason,
        files,
        first,
    });
    Ok(Discovery {
        root: repository.root().to_string_lossy().into_owned(),
        base,
        client,
        client_exists,
        files: survey.found,
        scanned: survey.scanned,
        without_global_fetch: survey.without_global_fetch,
        skipped: skipped.collect(),
    })
}

/// What the search has seen so far.
#[derive(Debug, Default)]
struct Survey {
    found: Vec<Found>,
    skipped: BTreeMap<String, (usize, String)>,
    scanned: usize,
    without_global_fetch: usize,
    requiring: usize,
}

impl Survey {
    fn skip(&mut self, reason: &str, path: &str) {
        self.skipped
            .entry(reason.to_owned())
            .or_insert_with(|| (0, path.to_owned()))
            .0 += 1;
    }

    fn add(&mut self, repository: &Repository, one: &Tracked, is_changed: bool) {
        let path = one.path.as_str();
        if path.split('/').any(|part| SKIPPED_FOLDERS.contains(&part)) {
            return self.skip("in a folder of generated or foreign code", path);
        }
        if !one.is_file {
            return self.skip("a symlink", path);
        }
        let Ok(text) = repository.read(path) else {
            return self.skip("not readable as UTF-8 text", path);
        };
        self.scanned += 1;
        if !sites::has_word(&text, "fetch") {
            return;
        }
        if text.len() > LARGEST {
            return self.skip("larger than 1 MB", path);
        }
        if path.contains(".min.") || text.lines().any(|line| line.len() > LONGEST_LINE) {
            return self.skip("minified", path);
        }
        if text.get(..1_000).unwrap_or(&text).contains("@generated") {
            return self.skip("generated", path);
        }
        let package_is_module = package_is_module(repository, path);
        let read = parse(Path::new(path), &text, |parsed| {
            let style = imports::module_style(parsed, Path::new(path), package_is_module);
            (sites::find(parsed), style)
        });
        let Ok((sites, style)) = read else {
            return self.skip("does not parse", path);
        };
        let uses = sites.iter().filter(|site| site.verdict != Verdict::Guard);
        let mut lines: Vec<usize> = uses.map(|site| site.line).collect();
        lines.dedup();
        if lines.is_empty() {
            self.without_global_fetch += 1;
        } else if is_changed {
            self.skip("has uncommitted changes; commit or stash them first", path);
        } else {
            self.requiring += usize::from(style == ModuleStyle::Require);
            self.found.push(Found {
                file: path.to_owned(),
                lines,
            });
        }
    }
}

/// JavaScript or TypeScript that runs.
fn is_source(path: &str) -> bool {
    let extension = Path::new(path)
        .extension()
        .and_then(|extension| extension.to_str());
    let is_declaration = [".d.ts", ".d.mts", ".d.cts"]
        .iter()
        .any(|ending| path.ends_with(ending));
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) && !is_declaration
}

/// File names that a client's module goes by.
const NAMES: [&str; 3] = ["http-client", "httpClient", "HttpClient"];

/// The client's module: the one that was named, or one that looks like it.
fn known_client(
    repository: &Repository,
    tracked: &[Tracked],
    named: Option<&str>,
) -> Result<Option<String>> {
    if let Some(named) = named {
        if !is_source(named) {
            bail!("args.client must be a JavaScript or TypeScript file, not {named}");
        }
        return Ok(Some(named.to_owned()));
    }
    let has_name = |path: &str| {
        let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str());
        stem.is_some_and(|stem| NAMES.contains(&stem))
    };
    let exports = |path: &str| {
        repository.read(path).is_ok_and(|text| {
            [
                format!("export const {EXPORT}"),
                format!("exports.{EXPORT}"),
            ]
            .iter()
            .any(|mark| text.contains(mark))
        })
    };
    let mut fitting: Vec<&str> = tracked.iter().map(|one| one.path.as_str()).collect();
    fitting.retain(|path| is_source(path) && has_name(path) && exports(path));
    fitting.sort_by_key(|path| (path.len(), *path));
    Ok(fitting.first().map(|path| (*path).to_owned()))
}

/// Where a client's module would go.
fn place_for_client(tracked: &[Tracked], survey: &Survey) -> String {
    let any = |test: &dyn Fn(&str) -> bool| tracked.iter().any(|one| test(&one.path));
    let folder = if any(&|path| path.starts_with("src/")) {
        "src/lib"
    } else {
        "lib"
    };
    let has_types = any(&|path| path == "tsconfig.json" || is_typescript(path));
    let ending = match (has_types, survey.requiring * 2 > survey.found.len()) {
        (true, _) => "ts",
        (false, true) => "cjs",
        (false, false) => "js",
    };
    format!("{folder}/http-client.{ending}")
}

/// TypeScript that runs.
fn is_typescript(path: &str) -> bool {
    let extension = Path::new(path)
        .extension()
        .and_then(|extension| extension.to_str());
    is_source(path) && matches!(extension, Some("ts" | "tsx"))
}

/// The text of a client's module for a repository that has none.
pub fn client_text(client: &str) -> &'static str {
    match Path::new(client)
        .extension()
        .and_then(|extension| extension.to_str())
    {
        Some("ts" | "mts" | "tsx" | "cts") => include_str!("../service/src/lib/http-client.ts"),
        Some("cjs") => include_str!("../client/http-client.cjs"),
        _ => include_str!("../client/http-client.js"),
    }
}

/// Whether the `package.json` nearest to `file` makes its `.js` files modules.
pub fn package_is_module(repository: &Repository, file: &str) -> bool {
    let folders = Path::new(file).ancestors().skip(1);
    let mut nearest = folders.filter_map(|folder| {
        let path = folder.join("package.json");
        repository.read(&path.to_string_lossy()).ok()
    });
    let package = nearest.find_map(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
    package.is_some_and(|package| package["type"] == "module")
}
