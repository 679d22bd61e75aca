//! Which crate may use which: our own edges, the third-party walls, and the weight of the engine that others embed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use super::{assert_none, root, text};

/// Each shipped crate, and those of ours that it may use. What is not here is forbidden.
const EDGES: &[(&str, &[&str])] = &[
    ("bellwether-journal", &[]),
    ("bellwether-scripts", &["bellwether-journal"]),
    (
        "bellwether-actors",
        &["bellwether-journal", "bellwether-scripts"],
    ),
    ("bellwether-launcher", &[]),
    ("bellwether-telemetry", &[]),
    (
        "bellwether",
        &[
            "bellwether-journal",
            "bellwether-scripts",
            "bellwether-actors",
            "bellwether-launcher",
        ],
    ),
    ("bellwether-cli", &["bellwether", "bellwether-telemetry"]),
];

/// Third-party crates that stand behind a wall, by the start of their names, and the shipped crates that may name them.
const WALLS: &[(&str, &[&str])] = &[
    ("ractor", &["bellwether-actors"]),
    ("rquickjs", &["bellwether-scripts"]),
    ("oxc", &["bellwether-scripts"]),
    ("url", &["bellwether-scripts"]),
    ("redb", &["bellwether-journal"]),
    ("bincode", &["bellwether-journal", "bellwether-scripts"]),
    ("zstd", &["bellwether-journal"]),
    ("blake3", &["bellwether-journal", "bellwether"]),
    ("ast-grep", &["bellwether"]),
    ("tree-sitter", &["bellwether"]),
    ("opentelemetry", &["bellwether-telemetry"]),
    ("tracing-opentelemetry", &["bellwether-telemetry"]),
    ("tracing-subscriber", &["bellwether-telemetry"]),
    ("clap", &["bellwether-cli"]),
    ("ratatui", &["bellwether-cli"]),
    ("crossterm", &["bellwether-cli"]),
    ("indicatif", &["bellwether-cli"]),
    ("axum", &["bellwether-cli"]),
    ("hyper", &["bellwether-cli", "bellwether"]),
    ("genai", &["bellwether"]),
    ("reqwest", &["bellwether"]),
    ("cap-std", &["bellwether"]),
    ("anyhow", &["bellwether-cli"]),
];

/// `journal`, `scripts` and `launcher` are synchronous: whoever calls them decides where they run.
const WITHOUT_TOKIO: &[&str] = &[
    "bellwether-journal",
    "bellwether-scripts",
    "bellwether-launcher",
    "bellwether-telemetry",
];

/// Crates in the tree of the engine without features, its own and those that run at build time included. It was 192 when
/// this was written; a few more need no discussion, a TLS stack or an HTTP client does.
const ENGINE_CRATES_MAX: usize = 200;

fn metadata() -> Metadata {
    // Without dependencies nothing is resolved and nothing fetched: the manifests say all that is asked here.
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap_or_else(|error| panic!("cargo metadata: {error}"))
}

/// Crates whose code is neither tests nor an example.
fn shipped(metadata: &Metadata) -> impl Iterator<Item = &Package> {
    metadata.packages.iter().filter(|package| {
        let folder = package.manifest_path.strip_prefix(&metadata.workspace_root);
        !folder.is_ok_and(|folder| folder.starts_with("tests") || folder.starts_with("examples"))
    })
}

/// What a crate's shipped code may name: tests of its own may use more.
fn shipped_dependencies(package: &Package) -> BTreeSet<&str> {
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development)
        .map(|dependency| dependency.name.as_str())
        .collect()
}

#[test]
fn our_crates_depend_one_way() {
    let metadata = metadata();
    let ours: BTreeSet<&str> = metadata
        .packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let allowed: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let mut offences = Vec::new();
    for package in shipped(&metadata) {
        let name = package.name.as_str();
        let Some(allowed) = allowed.get(name) else {
            offences.push(format!(
                "{name}: a crate that ARCHITECTURE.md and this test do not know"
            ));
            continue;
        };
        for dependency in shipped_dependencies(package).intersection(&ours) {
            if !allowed.contains(dependency) {
                offences.push(format!("{name} -> {dependency}"));
            }
        }
    }
    assert_none("a forbidden edge between our crates", offences);
}

#[test]
fn third_party_crates_stay_behind_their_walls() {
    let metadata = metadata();
    let mut offences = Vec::new();
    for package in shipped(&metadata) {
        let name = package.name.as_str();
        for dependency in shipped_dependencies(package) {
            let wall = WALLS.iter().find(|(walled, _)| {
                dependency
                    .strip_prefix(walled)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
            });
            if let Some((_, allowed)) = wall
                && !allowed.contains(&name)
            {
                offences.push(format!(
                    "{name} uses {dependency}: only {} may",
                    allowed.join(", ")
                ));
            }
            if dependency.starts_with("tokio") && WITHOUT_TOKIO.contains(&name) {
                offences.push(format!("{name} uses {dependency}: it is synchronous"));
            }
        }
    }
    assert_none("a third-party crate outside its wall", offences);
}

#[test]
fn every_third_party_crate_has_its_reason() {
    let architecture = text(Path::new("ARCHITECTURE.md"));
    let metadata = metadata();
    let ours: BTreeSet<&str> = metadata
        .packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let mut offences = Vec::new();
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            // `oxc_*` is one row: one parser in many crates.
            let family = name
                .split_once('_')
                .map(|(family, _)| format!("`{family}_*`"));
            let has_row = architecture.lines().any(|line| {
                line.starts_with("| `")
                    && (line.contains(&format!("`{name}`"))
                        || family.as_ref().is_some_and(|family| line.contains(family)))
            });
            if !ours.contains(name) && !has_row {
                offences.push(name.to_owned());
            }
        }
    }
    assert_none("a dependency without its line in ARCHITECTURE.md", offences);
}

#[test]
fn the_embedded_engine_stays_light() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = [
        "tree",
        "--package",
        "bellwether",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--locked",
        "--offline",
    ];
    let output = Command::new(cargo)
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap_or_else(|error| panic!("cargo tree: {error}"));
    let listing = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    // `name v1.2.3 (*)`: the mark says only that the tree was shown before.
    let crates: BTreeSet<(&str, &str)> = listing
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?))
        })
        .collect();
    let count = crates.len();
    assert!(
        count <= ENGINE_CRATES_MAX,
        "{count} crates, at most {ENGINE_CRATES_MAX}:\n{crates:?}"
    );
    for heavy in [
        "rustls",
        "native-tls",
        "openssl",
        "reqwest",
        "hyper",
        "axum",
        "tree-sitter",
        "tonic",
    ] {
        assert!(
            !crates.iter().any(|(name, _)| *name == heavy),
            "{heavy} in the default tree"
        );
    }
}
