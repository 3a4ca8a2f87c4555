//! The binary: reads the command line, hands over to the library, and turns the answer into an exit code.

use std::io::Write as _;
use std::process::ExitCode;

use clap::FromArgMatches as _;
use enforcer_user::cli::output::ClosedPipe;
use enforcer_user::cli::{self, Answer, Cli};
use enforcer_user::logging::Logged;

/// The answer is no: denied, invalid, not ready, not found.
const NO: u8 = 1;
/// Usage, or something that could not be done.
const FAILURE: u8 = 2;

fn main() -> ExitCode {
    let matches = cli::command().get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match cli::run(&cli, &matches) {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(NO),
        Ok(Answer::Code(code)) => ExitCode::from(code),
        // Whoever read the output has seen enough.
        Err(error) if error.is::<ClosedPipe>() => ExitCode::SUCCESS,
        Err(error) if error.is::<Logged>() => ExitCode::from(FAILURE),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(FAILURE)
        }
    }
}
