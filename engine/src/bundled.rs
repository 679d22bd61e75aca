//! Workflows that come with the program (K01): found by their names behind all others, and read like files that lie at
//! `bellwether:<name>.js`.

use std::path::Path;

/// The files, in the order of their names.
pub(crate) const FILES: [(&str, &str); 3] = [
    (
        "bellwether:deep-research.js",
        include_str!("../../scripts/library/workflows/deep-research.js"),
    ),
    (
        "bellwether:research.js",
        include_str!("../../scripts/library/workflows/research.js"),
    ),
    (
        "bellwether:review.js",
        include_str!("../../scripts/library/workflows/review.js"),
    ),
];

/// The text of the workflow that comes with the program as this file.
pub(crate) fn bundled(file: &Path) -> Option<&'static str> {
    let (_, text) = FILES.iter().find(|(name, _)| Path::new(name) == file)?;
    Some(text)
}
