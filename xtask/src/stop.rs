//! How a task ends early, and with which exit code.

use std::fmt;
use std::process::ExitCode;

/// An end whose reason is already on the screen: nothing more is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A check or a test said no: exit code 1.
    Failed,
    /// Something must be installed or granted by hand first: exit code 2.
    NeedsUser,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "a check failed; see above",
            Self::NeedsUser => "something must be installed or granted first; see above",
        })
    }
}

impl std::error::Error for Stop {}

/// Prints an error, unless its text is already on the screen, and gives the exit code for it.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref::<Stop>() {
        Some(Stop::Failed) => ExitCode::from(1),
        Some(Stop::NeedsUser) => ExitCode::from(2),
        None => {
            eprintln!("error: {error:#}");
            ExitCode::from(1)
        }
    }
}
