//! Rules about each crate's Cargo.toml that cargo itself does not keep.

use std::path::PathBuf;

use super::{assert_none, files, text};

fn manifests() -> Vec<(PathBuf, toml::Table)> {
    files()
        .into_iter()
        .filter(|path| path.ends_with("Cargo.toml"))
        .map(|path| {
            let table = text(&path)
                .parse()
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path, table)
        })
        .collect()
}

/// The manifests of crates; the root's is a workspace only.
fn crates() -> Vec<(PathBuf, toml::Table)> {
    manifests()
        .into_iter()
        .filter(|(_, manifest)| manifest.contains_key("package"))
        .collect()
}

#[test]
fn every_crate_inherits_the_lints() {
    let inherits = |manifest: &toml::Table| {
        manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace")?.as_bool())
            == Some(true)
    };
    let offences = crates()
        .into_iter()
        .filter(|(_, manifest)| !inherits(manifest))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert_none("a crate lacks `[lints] workspace = true`", offences);
}

#[test]
fn versions_are_set_once_in_the_root() {
    let mut offences = Vec::new();
    for (path, manifest) in crates() {
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(dependencies) = manifest.get(table).and_then(toml::Value::as_table) else {
                continue;
            };
            for (name, dependency) in dependencies {
                let inherited = dependency.get("workspace").and_then(toml::Value::as_bool);
                if inherited != Some(true) {
                    offences.push(format!("{}: {name}", path.display()));
                }
            }
        }
    }
    assert_none("a dependency is not inherited from the workspace", offences);
}

#[test]
fn features_of_the_engine_are_off_by_default() {
    let engine = crates()
        .into_iter()
        .find(|(path, _)| path.starts_with("engine"));
    let Some((_, manifest)) = engine else {
        panic!("no engine/Cargo.toml")
    };
    let default = manifest
        .get("features")
        .and_then(|features| features.get("default"));
    assert_eq!(
        default,
        Some(&toml::Value::Array(Vec::new())),
        "default features of the engine"
    );
}
