//! The public API of `bellwether`, as a snapshot that a reviewer reads.
//!
//! It is put together from the sources: what `engine/src/lib.rs` declares and re-exports is followed to its definition,
//! in whichever crate that is, and printed without bodies, private fields and documentation. Limits: what a macro makes
//! is listed by name only, derived traits by their derive, and blanket implementations not at all. (rustdoc's own
//! description of an API needs a nightly compiler.)

mod signature;
mod source_map;

use std::collections::BTreeSet;

use signature::Signature;
use source_map::{Export, SourceMap};

use super::assert_none;

/// Crates whose names and types are an implementation's affair: another could take their place tomorrow.
const HIDDEN: &[&str] = &[
    "ractor",
    "redb",
    "rquickjs",
    "bincode",
    "blake3",
    "zstd",
    "hyper",
    "axum",
    "ast_grep_core",
    "ast_grep_config",
    "ast_grep_language",
    "globset",
    "ignore",
];

fn exported() -> (SourceMap, Vec<Export>) {
    let sources = SourceMap::read(&[
        ("bellwether", "engine"),
        ("bellwether_actors", "actors"),
        ("bellwether_journal", "journal"),
        ("bellwether_launcher", "launcher"),
        ("bellwether_scripts", "scripts"),
    ]);
    let exports = sources.exports("bellwether");
    assert!(exports.len() > 10, "the API is read wrongly");
    (sources, exports)
}

#[test]
fn the_public_api_is_as_reviewed() {
    let (sources, exports) = exported();
    let mut listing = String::new();
    for export in &exports {
        let signature = Signature::of(&sources, export).print();
        listing.extend(["// ", &export.path, "\n", &signature, "\n"]);
    }
    insta::assert_snapshot!("public_api", listing);
}

#[test]
fn hidden_crates_appear_in_no_public_signature() {
    let (sources, exports) = exported();
    let mut offences = Vec::new();
    for export in &exports {
        let signature = Signature::of(&sources, export);
        let hidden = sources.imported_from(export, HIDDEN);
        for name in signature.names() {
            if HIDDEN.contains(&name.as_str()) || hidden.contains(&name) {
                offences.push(format!("{}: {name}", export.path));
            }
        }
    }
    assert_none("a hidden crate in a public signature", offences);
}

#[test]
fn what_a_public_signature_names_is_public_too() {
    let (sources, exports) = exported();
    let public: BTreeSet<&str> = exports.iter().map(|export| export.name.as_str()).collect();
    let ours = sources.type_names();
    let mut offences = Vec::new();
    for export in &exports {
        for name in Signature::of(&sources, export).type_names() {
            if ours.contains(&name) && !public.contains(name.as_str()) {
                offences.push(format!("{name}, in {}", export.path));
            }
        }
    }
    assert_none(
        "a type of ours in a public signature is not re-exported from bellwether",
        offences,
    );
}

#[test]
fn enums_and_option_structs_can_grow() {
    let (sources, exports) = exported();
    let offences = exports
        .iter()
        .filter(|export| Signature::of(&sources, export).must_grow_and_cannot(&export.name))
        .map(|export| export.path.clone())
        .collect();
    assert_none(
        "a public enum or option struct lacks #[non_exhaustive]",
        offences,
    );
}
