//! The name of an attempt in its processes' environment, by which leftovers are found.

use std::fmt;

/// The variable that every process of an agent inherits.
pub const MARKER_VARIABLE: &str = "BELLWETHER_AGENT";

/// Which attempt of which journal a process belongs to: `<journal>.<epoch>.<run>.<generation>.<call>.<attempt>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Marker {
    journal: String,
    epoch: u64,
    attempt: String,
}

impl Marker {
    /// The marker of the attempt `attempt` (run, generation, call, attempt, joined by dots), started in the opening
    /// `epoch` of the journal with the name `journal` (its digest in hexadecimal).
    #[must_use]
    pub fn new(journal: impl Into<String>, epoch: u64, attempt: impl Into<String>) -> Self {
        Self {
            journal: journal.into(),
            epoch,
            attempt: attempt.into(),
        }
    }

    /// The marker that [`Marker`]'s `Display` wrote; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (journal, rest) = text.split_once('.')?;
        let (epoch, attempt) = rest.split_once('.')?;
        if journal.is_empty() || attempt.is_empty() {
            return None;
        }
        Some(Self::new(journal, epoch.parse().ok()?, attempt))
    }

    /// The journal's name.
    #[must_use]
    pub fn journal(&self) -> &str {
        &self.journal
    }

    /// The journal's opening in which the attempt was started.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            journal,
            epoch,
            attempt,
        } = self;
        write!(formatter, "{journal}.{epoch}.{attempt}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_survives_its_text_and_others_are_none() {
        let marker = Marker::new("00ff", 3, "r-7k2m9q4d.1.12.2");
        assert_eq!(Marker::parse(&marker.to_string()), Some(marker));
        for text in [
            "",
            "00ff",
            "00ff.3",
            "00ff.3.",
            "00ff.x.r",
            ".3.r",
            "00ff.-1.r",
        ] {
            assert_eq!(Marker::parse(text), None, "{text}");
        }
    }
}
