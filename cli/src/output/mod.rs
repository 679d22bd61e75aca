//! What people and programs see. Results and JSON go to stdout, everything else to stderr; a pipe that
//! is closed at the other end is no error.

pub(crate) mod explanation;
pub(crate) mod human;
pub(crate) mod paint;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod shape;
pub(crate) mod table;

use std::io::{self, IsTerminal as _, Write};
use std::sync::OnceLock;

use clap::ValueEnum;
use indicatif::MultiProgress;
use paint::Paint;

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    // No doc comments here: help would give each a paragraph.
    #[default]
    Auto,
    Always,
    Never,
}

impl ColorChoice {
    fn decide(self, terminal: bool, no_color: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => terminal && !no_color,
        }
    }
}

/// How this program is to show things.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    /// Colours of stdout.
    pub(crate) out: Paint,
    /// Colours of stderr.
    pub(crate) err: Paint,
    /// Whether progress may be drawn in place on stderr.
    pub(crate) live: bool,
    /// Whether only results and errors are shown.
    pub(crate) quiet: bool,
}

impl Screen {
    /// Looks at where stdout and stderr go.
    pub(crate) fn detect(choice: ColorChoice, quiet: bool) -> Self {
        // https://no-color.org: set and not empty, whatever the value.
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Self {
            out: Paint(choice.decide(out && !dumb, no_color)),
            err: Paint(choice.decide(err && !dumb, no_color)),
            live: err && !dumb && !quiet,
            quiet,
        }
    }

    /// A line for the person at the terminal, unless they asked for quiet.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            error_line(text);
        }
    }
}

static BARS: OnceLock<MultiProgress> = OnceLock::new();

/// The bars at the bottom of the terminal. Whoever writes to stderr moves them out of the way.
pub(crate) fn bars() -> &'static MultiProgress {
    BARS.get_or_init(MultiProgress::new)
}

/// Writes a line to stderr, above the bars if there are any. Nobody can be told when that fails.
pub(crate) fn error_line(text: &str) {
    let _ = Stderr.write_all(format!("{text}\n").as_bytes());
}

/// Stderr, with the bars out of the way.
pub(crate) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Where stderr is a file on a full disk, whoever hears of it would say so on stderr, and panic.
        let write = || drop(io::stderr().lock().write_all(bytes));
        match BARS.get() {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = io::stderr().flush();
        Ok(())
    }
}

/// Writes a line to stdout; `false` when nobody reads it any more.
pub(crate) fn line(text: &str) -> bool {
    let write = || {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.write_all(b"\n"))
            .and_then(|()| out.flush())
    };
    match BARS.get() {
        Some(bars) => bars.suspend(write).is_ok(),
        None => write().is_ok(),
    }
}

/// Many lines to stdout, without a system call for each.
pub(crate) struct Lines(io::BufWriter<io::Stdout>);

impl Lines {
    /// Begins to write.
    pub(crate) fn new() -> Self {
        Self(io::BufWriter::new(io::stdout()))
    }

    /// Writes a line; `false` when nobody reads it any more.
    pub(crate) fn line(&mut self, text: &str) -> bool {
        self.text(text) && self.text("\n")
    }

    /// Writes a text as it is; `false` when nobody reads it any more.
    pub(crate) fn text(&mut self, text: &str) -> bool {
        self.0.write_all(text.as_bytes()).is_ok()
    }

    /// Writes what is left.
    pub(crate) fn finish(mut self) {
        // A reader that has gone is no error.
        let _ = self.0.flush();
    }
}

/// Writes JSON texts as one JSON array, one a line.
pub(crate) fn array<'a>(lines: &mut Lines, items: impl Iterator<Item = &'a str>) {
    let mut first = true;
    for item in items {
        let before = if std::mem::take(&mut first) {
            "[\n"
        } else {
            ",\n"
        };
        if !(lines.text(before) && lines.text(item)) {
            return;
        }
    }
    lines.line(if first { "[]" } else { "\n]" });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_terminals_unless_said_otherwise() {
        let table = [
            (ColorChoice::Auto, true, false, true),
            (ColorChoice::Auto, true, true, false),
            (ColorChoice::Auto, false, false, false),
            (ColorChoice::Always, false, true, true),
            (ColorChoice::Never, true, false, false),
        ];
        for (choice, terminal, no_color, colour) in table {
            assert_eq!(choice.decide(terminal, no_color), colour, "{choice:?}");
        }
    }
}
