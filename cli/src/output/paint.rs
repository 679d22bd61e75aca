//! Colours, where they are wanted.

use bellwether::Status;

/// Whether to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    fn code(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// What matters.
    pub(crate) fn bold(self, text: &str) -> String {
        self.code("1", text)
    }

    /// What matters less.
    pub(crate) fn dim(self, text: &str) -> String {
        self.code("2", text)
    }

    /// Something went wrong.
    pub(crate) fn red(self, text: &str) -> String {
        self.code("31", text)
    }

    /// Something went well.
    pub(crate) fn green(self, text: &str) -> String {
        self.code("32", text)
    }

    /// Something wants attention.
    pub(crate) fn yellow(self, text: &str) -> String {
        self.code("33", text)
    }

    /// Something goes on.
    pub(crate) fn cyan(self, text: &str) -> String {
        self.code("36", text)
    }

    /// An error's text: its two words stand out.
    pub(crate) fn error(self, text: &str) -> String {
        let text = match text.strip_prefix("error:") {
            Some(rest) => format!("{}{rest}", self.code("1;31", "error:")),
            None => text.to_owned(),
        };
        text.replacen("\n help:", &format!("\n {}", self.code("1;36", "help:")), 1)
    }

    /// A run's status in its colour.
    pub(crate) fn status(self, status: Status, text: &str) -> String {
        match status {
            Status::Completed => self.green(text),
            Status::Failed | Status::Killed | Status::Quarantined => self.red(text),
            Status::Degraded | Status::Interrupted | Status::Stopped | Status::Paused => {
                self.yellow(text)
            }
            _ => self.cyan(text),
        }
    }

    /// An agent's state in its colour.
    pub(crate) fn outcome(self, outcome: &str, text: &str) -> String {
        match outcome {
            "completed" => self.green(text),
            "failed" | "refused" => self.red(text),
            "running" => self.cyan(text),
            _ => self.dim(text),
        }
    }
}

/// A text for a terminal: what a script or an agent wrote may hold control characters, and none of them
/// is to move the cursor or to change a title.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '\n' | '\t' => letter,
            '\r' => ' ',
            // What turns the direction of writing around can make a line read as another.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            _ if letter.is_control() => '\u{fffd}',
            _ => letter,
        })
        .collect()
}

/// The first line of a text, safe for a terminal, cut to `width` characters.
pub(crate) fn one_line(text: &str, width: usize) -> String {
    let line = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let line = plain(line.trim()).replace('\t', " ");
    if line.chars().count() <= width {
        return line;
    }
    let cut: String = line.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", cut.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_others_reaches_the_terminal_raw() {
        assert_eq!(
            plain("a\u{1b}[31mb\u{7}\r\nc"),
            "a\u{fffd}[31mb\u{fffd} \nc"
        );
        assert_eq!(one_line("\n  first line\nsecond", 20), "first line");
        assert_eq!(one_line("a rather long line", 9), "a rather…");
        assert_eq!(one_line("éééé", 4), "éééé");
    }

    #[test]
    fn without_colour_nothing_is_added() {
        assert_eq!(Paint(false).status(Status::Failed, "failed"), "failed");
        assert_eq!(Paint(true).red("x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
