//! The flags of `enforcer mode`.

use clap::Args;

use crate::cli::args::words::Words;
use crate::cli::args::{AdminArgs, PinArgs};

/// As typed. No variables but those of the agent's own places: an environment must not switch anything.
#[derive(Args, Clone, Debug)]
pub struct ModeArgs {
    /// What to switch to; shows what is in force when left out
    #[arg(value_name = "MODE", value_parser = Words(&["enforce", "audit", "off"]))]
    pub mode: Option<String>,
    /// Back to what it was after this time, with or without an agent: 90s, 15m, 8h, 2d
    #[arg(long = "for", value_name = "DURATION")]
    pub limit: Option<String>,
    /// Where things are pinned.
    #[command(flatten)]
    pub pins: PinArgs,
    /// Who is asked for the names of workloads, if somebody answers.
    #[command(flatten)]
    pub admin: AdminArgs,
}
