//! How the program ends, as other programs see it.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | the run completed; a command that only reads found what it was asked for |
//! | 1 | the run failed, was killed, or is quarantined; `check` found errors; a `plan` fails, does not end, or has errors |
//! | 2 | wrong usage, wrong settings, or a script that was refused: nothing was started |
//! | 3 | the run is stopped, paused or waiting, and can be resumed |
//! | 4 | the run ended with a value, but agents of it failed (`degraded`) |
//! | 5 | the journal or the process that holds it cannot be used |
//! | 130, 143 | SIGINT or SIGTERM ended the command; the run is stopped and can be resumed |

use bellwether::Status;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// Everything asked for was done.
    Success,
    /// The run failed, was killed, or is quarantined.
    Failed,
    /// Wrong usage, wrong settings, a refused script.
    Usage,
    /// The run is unfinished and can be resumed.
    Unfinished,
    /// The run ended, but agents failed.
    Degraded,
    /// The journal or its host cannot be used.
    Host,
    /// Ctrl-C ended the command.
    Interrupt,
    /// SIGTERM ended the command.
    Terminate,
    /// The terminal was closed.
    Hangup,
}

impl ExitCode {
    /// The number that the operating system is told.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unfinished => 3,
            Self::Degraded => 4,
            Self::Host => 5,
            Self::Interrupt => 130,
            Self::Terminate => 143,
            Self::Hangup => 129,
        }
    }

    /// What a run in this status makes of the command that carried it out.
    pub(crate) const fn of(status: Status) -> Self {
        match status {
            Status::Completed => Self::Success,
            Status::Degraded => Self::Degraded,
            Status::Failed | Status::Killed | Status::Quarantined => Self::Failed,
            _ => Self::Unfinished,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_number() {
        let table = [
            (Status::Completed, 0),
            (Status::Failed, 1),
            (Status::Killed, 1),
            (Status::Quarantined, 1),
            (Status::Stopped, 3),
            (Status::Paused, 3),
            (Status::Waiting, 3),
            (Status::Interrupted, 3),
            (Status::Degraded, 4),
        ];
        for (status, number) in table {
            assert_eq!(ExitCode::of(status).number(), number, "{}", status.name());
        }
        assert_eq!(ExitCode::Usage.number(), 2);
        assert_eq!(ExitCode::Host.number(), 5);
        assert_eq!(ExitCode::Interrupt.number(), 130);
        assert_eq!(ExitCode::Terminate.number(), 143);
    }
}
