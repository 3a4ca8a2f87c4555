//! `enforcer canary`: what the agent starts to see whether its programs notice. Says nothing but by its exit code.

use std::path::PathBuf;

use clap::Args;

use crate::canary;
use crate::cli::Answer;

/// The arguments of `enforcer canary`.
#[derive(Args, Debug)]
pub struct CanaryArgs {
    /// The cgroup to go into
    cgroup: PathBuf,
}

/// Asks, and tells what it met: 0 for denied, 1 for let through, 2 for another error, 3 when it could not ask.
pub(super) fn run(args: &CanaryArgs) -> Answer {
    Answer::Code(canary::sing(&args.cgroup).exit_code())
}
