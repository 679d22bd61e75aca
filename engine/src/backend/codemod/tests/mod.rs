//! Rules against texts, in each of the languages that are always built in; tasks against folders.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backend;
mod documents;
mod imports;
mod languages;
mod properties;
mod script_imports;
mod tasks;

use std::path::Path;

use serde_json::Value;

use super::{Language, RewriteError, Rewriter, Rewritten, Rules};

/// Rewrites a text by one rule or several.
fn rewritten(rules: &Value, path: &str, source: &str) -> Result<Rewritten, RewriteError> {
    let rules = match rules {
        Value::Array(_) => rules.to_string(),
        rule => format!("[{rule}]"),
    };
    let rules = Rules::parse(&rules).unwrap();
    let language = Language::of(Path::new(path)).unwrap();
    Rewriter::new(&rules, language)
        .unwrap()
        .rewrite(path, source)
}

/// The text that comes out, which is checked to stay as it is from then on.
#[track_caller]
fn after(rules: &Value, path: &str, source: &str) -> String {
    let first = rewritten(rules, path, source).unwrap_or_else(|error| panic!("{error}\n{source}"));
    let again = rewritten(rules, path, &first.source).unwrap();
    assert_eq!(again.source, first.source, "a second run changes it again");
    first.source
}
