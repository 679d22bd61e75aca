//! Globs over paths from the working directory: `*` and `?` stay within one folder, `**` does not.

use std::path::Path;

use globset::{GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};
use serde_json::Value;

use super::place::{Place, TaskError};

/// Whether a text is a glob and no plain path.
pub(super) fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

/// A glob by itself.
pub(super) fn matcher(text: &str, place: &Place) -> Result<GlobMatcher, TaskError> {
    Ok(build(text, place)?.compile_matcher())
}

/// The folder in which all matches of a glob are: its parts before the first that is no plain name.
pub(super) fn folder(text: &str) -> &Path {
    let plain = text
        .split_inclusive('/')
        .take_while(|part| part.ends_with('/') && !is_glob(part))
        .map(str::len)
        .sum();
    Path::new(&text[..plain])
}

/// An array of globs as one.
pub(super) fn set(value: &Value, place: &Place) -> Result<GlobSet, TaskError> {
    let mut set = GlobSetBuilder::new();
    for (place, text) in place.texts(value)? {
        set.add(build(text, &place)?);
    }
    set.build().map_err(|error| place.wrong(error.to_string()))
}

fn build(text: &str, place: &Place) -> Result<globset::Glob, TaskError> {
    let text = text.strip_prefix("./").unwrap_or(text);
    let mut glob = GlobBuilder::new(text);
    glob.literal_separator(true).backslash_escape(true);
    glob.build()
        .map_err(|error| place.wrong(format!("no glob: {}", error.kind())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_begins_in_the_folder_that_it_names() {
        for (glob, parent) in [
            ("src/lib/**/*.ts", "src/lib/"),
            ("*.js", ""),
            ("src/*/a/b.ts", "src/"),
            ("src/{a,b}/c", "src/"),
        ] {
            assert_eq!(folder(glob), Path::new(parent), "{glob}");
        }
    }

    #[test]
    fn a_star_stays_in_its_folder() {
        let place = Place::default();
        let matches =
            |glob: &str, path| matcher(glob, &place).is_ok_and(|glob| glob.is_match(path));
        assert!(matches("*.js", "a.js") && !matches("*.js", "b/a.js"));
        assert!(matches("./**/*.js", "a.js") && matches("**/*.js", "b/c/a.js"));
        assert!(matches("src/*.{ts,tsx}", "src/a.tsx"));
    }
}
