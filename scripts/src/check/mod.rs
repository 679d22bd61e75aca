//! `check`: all that is wrong with a script, or may be, by its syntax alone. Nothing is executed.
//!
//! What a run's start would refuse is found by the very rules of [`crate::parse()`]; what a run would throw, or would
//! probably not mean, by rules of its own, one file each. A rule that cannot prove what it looks for says nothing: a
//! false alarm costs more than a finding that is missed.

pub(crate) mod body;
pub(crate) mod fanout;
mod finding;
pub(crate) mod literal;
pub(crate) mod multiplicity;
mod names;
mod options;
mod patterns;
mod phases;
mod promises;
mod read;
mod surroundings;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod types;
pub(crate) mod unverified;
mod workflows;

pub use finding::{Finding, Related, Severity};
pub use surroundings::{Anywhere, Caps, Problem, Surroundings};

use crate::limits::Limits;
use crate::parse::{deep, is_short_enough};

/// Checks a script. The findings are in the order of their places.
///
/// ```
/// use bellwether_scripts::check::{Anywhere, Severity, check};
/// use bellwether_scripts::Limits;
///
/// let source = "export const meta = { name: 'n', description: 'd' }\nreturn await agent('Look', { lable: Date.now() })";
/// let found = check(source, &Limits::default(), &Anywhere);
/// let told: Vec<_> = found.iter().map(|it| (it.line, it.column, it.code, it.severity)).collect();
/// assert_eq!(told, [
///     (2, 30, "unknown-option", Severity::Warning),
///     (2, 37, "clock", Severity::Error),
/// ]);
/// ```
pub fn check(source: &str, limits: &Limits, surroundings: &dyn Surroundings) -> Vec<Finding> {
    let of_file = |(message, help)| vec![Finding::of_file("file", message, help)];
    if let Err(wrong) = is_short_enough(source, limits) {
        return of_file(wrong);
    }
    let found = deep(source, || read::check(source, surroundings));
    found.map_or_else(of_file, |found| finding::placed(source, found))
}

/// The name that is nearest to `wanted`, if one is near.
fn nearest<'n>(wanted: &str, names: &[&'n str]) -> Option<&'n str> {
    /// Names are near from this likeness on (Jaro-Winkler, 0 to 1).
    const LIKENESS_MIN: f64 = 0.85;
    let wanted = wanted.to_lowercase();
    names
        .iter()
        .map(|name| (strsim::jaro_winkler(&wanted, &name.to_lowercase()), *name))
        .filter(|(likeness, _)| *likeness > LIKENESS_MIN)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}
