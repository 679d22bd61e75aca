//! What Bellwether's programs show of themselves: the subscriber that writes the program's own
//! trace lines to stderr. It is installed by a program, never by the library, and installs nothing
//! else.

use std::io;

use tracing_subscriber::EnvFilter;

/// The environment variable that decides over [`Verbosity`] when it is set.
pub const FILTER_VARIABLE: &str = "RUST_LOG";

/// How much is shown, as the number of `-v` on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verbosity(pub u8);

impl Verbosity {
    /// The filter for this verbosity, in the syntax of `RUST_LOG`. Other people's crates stay a
    /// level quieter than ours, so that `-v` shows our work and not theirs. `genai` is silent: it writes what models say into
    /// its errors, and each of those errors is told elsewhere.
    #[must_use]
    pub const fn filter(self) -> &'static str {
        match self.0 {
            0 => "warn,genai=off",
            1 => "warn,genai=off,bellwether=info",
            2 => "info,genai=off,bellwether=debug",
            _ => "debug,genai=off,bellwether=trace",
        }
    }
}

/// How the subscriber is to be set up.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// How much is shown when `filter` is `None`.
    pub verbosity: Verbosity,
    /// A filter in the syntax of `RUST_LOG`; the caller reads the variable.
    pub filter: Option<String>,
    /// Whether lines are coloured; the caller knows whether stderr is a terminal.
    pub color: bool,
}

impl Options {
    /// Shows as much as `verbosity` says, without colour.
    #[must_use]
    pub fn new(verbosity: Verbosity) -> Self {
        Self {
            verbosity,
            ..Self::default()
        }
    }

    /// Takes a filter in the syntax of `RUST_LOG` in place of the verbosity; an empty one is none.
    #[must_use]
    pub fn filter(mut self, filter: Option<String>) -> Self {
        self.filter = filter.filter(|text| !text.trim().is_empty());
        self
    }

    /// Sets whether lines are coloured.
    #[must_use]
    pub fn color(mut self, color: bool) -> Self {
        self.color = color;
        self
    }
}

/// Why the subscriber was not installed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The filter cannot be read.
    #[error("{FILTER_VARIABLE}: `{filter}` is no filter: {reason}")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What does not fit.
        reason: String,
    },
    /// The program has a subscriber already.
    #[error("a tracing subscriber is installed already")]
    Installed,
}

/// Installs the subscriber for the whole program; `writer` gives the place of each line (stderr, or
/// something that moves a progress display out of the way first).
///
/// # Errors
/// [`InstallError`]; nothing is installed then.
pub fn install<Writer, Make>(options: &Options, writer: Make) -> Result<(), InstallError>
where
    Writer: io::Write,
    Make: Fn() -> Writer + Send + Sync + 'static,
{
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter(options)?)
        .with_ansi(options.color)
        .with_writer(writer)
        .finish();
    tracing::subscriber::set_global_default(subscriber).map_err(|_| InstallError::Installed)
}

fn filter(options: &Options) -> Result<EnvFilter, InstallError> {
    let text = options
        .filter
        .as_deref()
        .unwrap_or(options.verbosity.filter());
    EnvFilter::try_new(text).map_err(|error| InstallError::Filter {
        filter: text.to_owned(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_verbosity_is_a_filter() {
        for verbosity in 0..=4 {
            assert!(
                filter(&Options::new(Verbosity(verbosity))).is_ok(),
                "-v x {verbosity}"
            );
        }
    }

    #[test]
    fn a_malformed_filter_is_named() {
        let options = Options::new(Verbosity(0)).filter(Some("bellwether=loud".to_owned()));
        let Err(error) = filter(&options) else {
            panic!("accepted")
        };
        assert!(
            error
                .to_string()
                .starts_with("RUST_LOG: `bellwether=loud` is no filter"),
            "{error}"
        );
        assert!(filter(&Options::new(Verbosity(0)).filter(Some("  ".to_owned()))).is_ok());
    }

    #[test]
    fn installs_once_and_writes_where_it_is_told() {
        let lines = Lines::default();
        let place = lines.clone();
        assert!(install(&Options::new(Verbosity(1)), move || place.clone()).is_ok());
        tracing::info!(target: "bellwether::run", "shown");
        tracing::info!(target: "other", "hidden");
        let text = lines
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(text.contains("shown") && !text.contains("hidden"), "{text}");
        assert!(
            !text.contains('\u{1b}'),
            "colour without a terminal: {text:?}"
        );
        let again = install(&Options::new(Verbosity(1)), io::stderr);
        assert!(matches!(again, Err(InstallError::Installed)));
    }
}
