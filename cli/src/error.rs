//! What a person is told when something does not work, and the panic hook.

use std::fmt;

use bellwether::{BuildError, ControlError, ResumeError, RewindError, StartError};

use crate::exit_code::ExitCode;

/// Why a command could not be carried out: one sentence, what helps, and how the program ends.
#[derive(Debug)]
pub(crate) struct CommandError {
    exit: ExitCode,
    message: String,
    help: Option<String>,
    again: bool,
    gone: bool,
}

/// What a command comes to.
pub(crate) type Result<T, E = CommandError> = std::result::Result<T, E>;

impl CommandError {
    /// Wrong usage, wrong settings or a refused script.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            exit: ExitCode::Usage,
            message: message.into(),
            help: None,
            again: false,
            gone: false,
        }
    }

    /// Something that cannot happen happened.
    pub(crate) fn bug(error: impl fmt::Display) -> Self {
        Self::host(format!("the command met a bug in bellwether: {error}"))
    }

    /// The journal or its host cannot be used.
    pub(crate) fn host(message: impl Into<String>) -> Self {
        Self {
            exit: ExitCode::Host,
            message: message.into(),
            help: None,
            again: false,
            gone: false,
        }
    }

    /// Ends the program otherwise.
    pub(crate) fn exit(exit: ExitCode, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            help: None,
            again: false,
            gone: false,
        }
    }

    /// Says what helps.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// How the program ends for this.
    pub(crate) const fn exit_code(&self) -> ExitCode {
        self.exit
    }

    /// Nothing was begun, and who is asked next will answer.
    #[must_use]
    pub(crate) fn asked_again(mut self) -> Self {
        self.again = true;
        self
    }

    /// Whether nothing was begun and it is worth to ask again.
    pub(crate) fn is_to_be_asked_again(&self) -> bool {
        self.again
    }

    /// Who was asked went before it had answered.
    #[must_use]
    pub(crate) fn gone(mut self) -> Self {
        self.gone = true;
        self
    }

    /// Whether who was asked went before it had answered.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    /// The sentence alone.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// What helps, if something does.
    pub(crate) fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "error: {}", self.message)?;
        match &self.help {
            Some(help) => write!(formatter, "\n help: {}", help.replace('\n', "\n       ")),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CommandError {}

impl From<StartError> for CommandError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Journal(_) | StartError::ShuttingDown => Self::host(error.to_string()),
            _ => Self::usage(error.to_string()),
        }
    }
}

impl From<ResumeError> for CommandError {
    fn from(error: ResumeError) -> Self {
        match error {
            ResumeError::Journal(_) | ResumeError::ShuttingDown => Self::host(error.to_string()),
            _ => Self::usage(error.to_string()),
        }
    }
}

impl From<RewindError> for CommandError {
    fn from(error: RewindError) -> Self {
        match error {
            RewindError::Journal(_) | RewindError::ShuttingDown => Self::host(error.to_string()),
            _ => Self::usage(error.to_string()),
        }
    }
}

impl From<BuildError> for CommandError {
    fn from(error: BuildError) -> Self {
        Self::host(error.to_string())
    }
}

impl From<ControlError> for CommandError {
    fn from(error: ControlError) -> Self {
        Self::usage(error.to_string())
    }
}

/// Makes a panic of ours readable: it is a bug, it is no reason to fear for a run.
pub(crate) fn install_panic_hook() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let what = info
            .payload()
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| info.payload().downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        let place = info
            .location()
            .map(|at| format!(" ({}:{})", at.file(), at.line()));
        crate::output::error_line(&format!(
            "error: this is a bug in bellwether: {what}{}\n help: what the journal acknowledged is \
             not lost: see `bellwether ps`, go on with `bellwether resume`; RUST_BACKTRACE=1 shows more",
            place.unwrap_or_default()
        ));
        if std::env::var_os("RUST_BACKTRACE").is_some() {
            before(info);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_stands_under_its_error() {
        let error =
            CommandError::usage("no journal at x").help("start a run with\n  bellwether run");
        assert_eq!(
            error.to_string(),
            "error: no journal at x\n help: start a run with\n         bellwether run"
        );
        assert_eq!(error.exit_code(), ExitCode::Usage);
    }

    #[test]
    fn errors_of_the_engine_end_the_program_by_their_class() {
        let refused = CommandError::from(StartError::Refused("a.js:1:1: no header".to_owned()));
        assert_eq!(refused.exit_code(), ExitCode::Usage);
        assert_eq!(
            CommandError::from(StartError::ShuttingDown).exit_code(),
            ExitCode::Host
        );
    }
}
