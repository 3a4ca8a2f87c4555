//! The project's own tool: `cargo xtask help` lists what it does.
//!
//! One task is one file. A task prints what it does as it goes and returns an error that says what was being
//! done, to what, and what to do next. Exit code 0: done; 1: a check or a step failed; 2: something must be
//! installed or granted first.

mod ci;
mod codegen;
mod command;
mod demo;
mod layers;
mod setup;
mod source;
mod stop;
mod test;
mod tidy;
mod toolchain;
mod tree;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", about = "Builds, checks and tries out enforcer", version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Installs what is missing to build and test, and nothing else
    Setup(setup::Args),
    /// Shows a denial, an audit and an explanation on this machine, then cleans up
    Demo,
    /// Runs the unit tests and the system tests, and counts them
    Test(test::Args),
    /// Runs what CI runs, fastest first
    Ci,
    /// Checks who imports whom
    Layers,
    /// Checks sizes, module documentation and lint tables
    Tidy,
    /// Writes the generated files
    Codegen(codegen::Args),
}

fn dispatch(task: &Task) -> anyhow::Result<()> {
    match task {
        Task::Setup(args) => setup::run(args),
        Task::Demo => demo::run(),
        Task::Test(args) => test::run(args),
        Task::Ci => ci::run(),
        Task::Layers => layers::run(),
        Task::Tidy => tidy::run(),
        Task::Codegen(args) => codegen::run(args),
    }
}

fn main() -> ExitCode {
    match dispatch(&Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => stop::report(&error),
    }
}
