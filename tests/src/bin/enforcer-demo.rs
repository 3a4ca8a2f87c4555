//! `cargo xtask demo`: shows what enforcer does, on this machine, and leaves nothing behind.

use std::process::ExitCode;

fn main() -> ExitCode {
    match enforcer_tests::demo::run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
