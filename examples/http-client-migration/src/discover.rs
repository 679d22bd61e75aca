//! Which files of a repository there are to migrate, and which are left out and why.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::imports::{self, EXPORT, ModuleStyle};
use crate::repository::{Repository, Tracked};
use crate::sites::{self, Site, Verdict};
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
    /// The files with calls to move, in order of path.
    pub files: Vec<Found>,
    /// The files whose uses are all refused, in order of path.
    pub refused: Vec<Found>,
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
    /// How many uses there are, tests for existence apart.
    pub uses: usize,
    /// Uses that stay as they are.
    pub refused: Vec<Refusal>,
    /// The client's path from the folder, with the ending that this file's imports have.
    pub client: String,
}

/// A use of `fetch` that stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Its line, from 1.
    pub line: usize,
    /// Why it stays, as what a sentence says of it: `is passed as a value`.
    pub reason: String,
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

/// Looks through a repository, for files in the folder `under` (`""` is all of it). `client` names the client's module;
/// without it, it is looked for.
///
/// # Errors
/// git fails, or the client's place is taken by something else.
pub fn discover(repository: &Repository, under: &str, client: Option<&str>) -> Result<Discovery> {
    let tracked = repository.tracked()?;
    let changed = repository.changed()?;
    let base = repository.head()?;
    let known = known_client(repository, &tracked, client)?;
    let mut survey = Survey::default();
    for one in &tracked {
        let is_client = known.as_deref() == Some(one.path.as_str());
        if is_client || !is_source(&one.path) || !Path::new(&one.path).starts_with(under) {
            continue;
        }
        let is_changed = changed.contains(&one.path);
        survey.add(repository, one, is_changed);
    }
    for path in repository.untracked()? {
        let is_client = known.as_deref() == Some(path.as_str());
        if is_source(&path) && !is_client && Path::new(&path).starts_with(under) {
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
    let Survey { found, .. } = &mut survey;
    for one in &mut *found {
        settle_client(repository, one, &client);
    }
    let (files, refused) = survey
        .found
        .into_iter()
        .partition(|one| one.refused.len() < one.uses);
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
        files,
        refused,
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
        let uses: Vec<_> = sites
            .into_iter()
            .filter(|site| site.verdict != Verdict::Guard)
            .collect();
        if uses.is_empty() {
            self.without_global_fetch += 1;
            return;
        }
        if is_changed {
            return self.skip("has uncommitted changes; commit or stash them first", path);
        }
        self.requiring += usize::from(style == ModuleStyle::Require);
        let mut lines: Vec<usize> = uses.iter().map(|site| site.line).collect();
        lines.dedup();
        let refusal = |site: &Site| Refusal {
            line: site.line,
            reason: match &site.verdict {
                Verdict::Refuse(reason) => reason.clone(),
                _ => "is in a classic script, which cannot import the client".to_owned(),
            },
        };
        let stays = |site: &&Site| style == ModuleStyle::Script || site.verdict != Verdict::Move;
        self.found.push(Found {
            file: path.to_owned(),
            uses: uses.len(),
            lines,
            refused: uses.iter().filter(stays).map(refusal).collect(),
            client: String::new(),
        });
    }
}

/// Fills in how the file would name the client; refuses all its calls where the name is taken.
fn settle_client(repository: &Repository, found: &mut Found, client: &str) {
    let (file, client) = (Path::new(&found.file), Path::new(client));
    let Ok(text) = repository.read(&found.file) else {
        return;
    };
    let read = parse(file, &text, |parsed| {
        let taken = imports::is_name_taken(parsed, file, client);
        (taken, imports::written_path(parsed, file, client))
    });
    let Ok((taken, written)) = read else { return };
    found.client = written;
    if taken {
        let refusal = |line: &usize| Refusal {
            line: *line,
            reason: format!("is called where {EXPORT} is something else"),
        };
        found.refused = found.lines.iter().map(refusal).collect();
        found.uses = found.refused.len();
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
