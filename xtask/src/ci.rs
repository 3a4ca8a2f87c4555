//! `cargo xtask ci`: what CI runs, fastest first, stopping at the first step that fails.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::command::{self, cargo};
use crate::stop::{self, Stop};
use crate::test::{self, Count};
use crate::{codegen, layers, setup, tidy, toolchain, tree};

/// A step and what it runs.
struct Step {
    name: &'static str,
    run: fn() -> Result<()>,
}

const STEPS: &[Step] = &[
    Step { name: "layers", run: layers::run },
    Step { name: "tidy", run: tidy::run },
    Step { name: "fmt", run: fmt },
    Step { name: "unused dependencies", run: machete },
    Step { name: "licences and sources", run: deny },
    Step { name: "codegen", run: || codegen::run(&codegen::Args { check: true }) },
    Step { name: "clippy, kernel programs", run: clippy_kernel },
    Step { name: "clippy, host", run: clippy_host },
    Step { name: "doc", run: doc },
];

/// Runs every step, then the tests; the last line is the tests' count.
pub(crate) fn run() -> Result<()> {
    timed("setup", || setup::ensure(setup::Scope::Ci))?;
    for step in STEPS {
        timed(step.name, step.run)?;
    }
    let mut count = Count::default();
    let end = timed("tests", || {
        let stop;
        (count, stop) = test::all_suites()?;
        stop.map_or(Ok(()), |stop| Err(stop.into()))
    });
    println!("\n{count}");
    end
}

/// Runs a step between a heading and its duration. A failure names the step.
fn timed<T>(name: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("\n== {name}");
    let start = Instant::now();
    let result = run();
    let seconds = start.elapsed().as_secs_f64();
    match result {
        Ok(value) => {
            println!("== {name}: done in {seconds:.1} s");
            Ok(value)
        }
        Err(error) => {
            let end = error.downcast_ref::<Stop>().copied().unwrap_or(Stop::Failed);
            stop::report(&error);
            println!("== {name}: FAILED after {seconds:.1} s");
            Err(end.into())
        }
    }
}

/// The kernel programs' own workspace.
const KERNEL_MANIFEST: &str = "enforcer-ebpf/Cargo.toml";

fn fmt() -> Result<()> {
    let advice = "run `cargo fmt --all`, also in enforcer-ebpf";
    command::run(&mut cargo(["fmt", "--all", "--check"])).context(advice)?;
    command::run(&mut cargo(["fmt", "--manifest-path", KERNEL_MANIFEST, "--check"])).context(advice)
}

fn machete() -> Result<()> {
    command::run(&mut cargo(["machete", "--skip-target-dir"]))
        .context("remove what is unused from Cargo.toml")
}

fn deny() -> Result<()> {
    for manifest in ["Cargo.toml", KERNEL_MANIFEST] {
        let check =
            ["deny", "--manifest-path", manifest, "--config", "deny.toml", "check", "--hide-inclusion-graph"];
        command::run(cargo(check).args(["bans", "licenses", "sources"]))
            .context("deny.toml says what is allowed")?;
    }
    Ok(())
}

/// The kernel programs are linted for the target they run on, by the compiler that builds them: nightly's clippy, or
/// Debian's rust-web-clippy with `core` checked from rust-web-src. Both see the real code, with no host stubs.
fn clippy_kernel() -> Result<()> {
    let toolchain = toolchain::find().context("no kernel toolchain; run `cargo xtask setup`")?;
    let arch = format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH);
    let mut clippy = toolchain.clippy();
    clippy
        .args(["--locked", "-Zbuild-std=core"])
        .args(["--target", "bpfel-unknown-none", "--target-dir"])
        .arg(tree::target().join("ebpf-clippy"))
        .args(["--", "-D", "warnings"])
        .env("CARGO_ENCODED_RUSTFLAGS", arch)
        .current_dir(tree::root().join("enforcer-ebpf"));
    command::run(&mut clippy)
}

fn clippy_host() -> Result<()> {
    let args =
        ["clippy", "--workspace", "--all-targets", "--features", "xtask/codegen", "--", "-D", "warnings"];
    command::run(&mut cargo(args))
}

fn doc() -> Result<()> {
    command::run(cargo(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-Dwarnings"))
}
