//! Builds the kernel object from `../enforcer-ebpf` with whichever toolchain can, and tells the version.
//!
//! The first that works: 1. `EBPF_PREBUILT_DIR` has the object already; 2. `EBPF_RUSTC`; 3. rustup's nightly with
//! rust-src; 4. any rustc with rust-src in its sysroot (Debian's `rustc-web` with `rust-web-src`).

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const OBJECT: &str = "enforcer";
const MISSING: &str = "run `cargo xtask setup`, which installs it";

type Result<T> = std::result::Result<T, String>;

/// A compiler that can build `core` for the bpf target.
enum Toolchain {
    Nightly,
    Rustc(PathBuf),
}

fn main() {
    println!("cargo::rustc-env=ENFORCER_COMMIT={}", commit());
    if let Err(error) = kernel_object() {
        println!("cargo::error={error}");
        std::process::exit(1);
    }
}

/// The short commit, `unknown` outside a checkout.
fn commit() -> String {
    let head = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.git/logs/HEAD");
    println!("cargo::rerun-if-changed={}", head.display());
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok();
    let hash = output.filter(|output| output.status.success()).map(|output| output.stdout);
    hash.and_then(|hash| String::from_utf8(hash).ok()).map_or("unknown".into(), |hash| hash.trim().into())
}

fn kernel_object() -> Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../enforcer-ebpf");
    for path in ["src", "Cargo.toml", "Cargo.lock", "../enforcer-common/src", "../enforcer-common/Cargo.toml"]
    {
        println!("cargo::rerun-if-changed={}", source.join(path).display());
    }
    for variable in ["EBPF_PREBUILT_DIR", "EBPF_RUSTC", "BPF_LINKER"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let wanted = out_dir()?.join(OBJECT);
    let built = match env::var_os("EBPF_PREBUILT_DIR") {
        Some(directory) => Path::new(&directory).join(OBJECT),
        None => build(&source)?,
    };
    fs::copy(&built, &wanted)
        .map_err(|error| format!("cannot copy the kernel object from {}: {error}", built.display()))?;
    Ok(())
}

fn out_dir() -> Result<PathBuf> {
    env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| "OUT_DIR is not set: run by cargo".into())
}

fn build(source: &Path) -> Result<PathBuf> {
    let linker = linker()?;
    let toolchain = toolchain()?;
    let little = env::var("CARGO_CFG_TARGET_ENDIAN").as_deref() != Ok("big");
    let target = if little { "bpfel-unknown-none" } else { "bpfeb-unknown-none" };
    // One directory for all of cargo's own variants (check, clippy, test), or each would build `core` anew.
    let target_dir = source.join("target");
    let mut cargo = cargo(&toolchain);
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let flags = [
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        format!("-Clinker={}", linker.display()),
        format!("--cfg=bpf_target_arch=\"{arch}\""),
    ];
    cargo
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .current_dir(source)
        .args(["build", "--release", "--locked", "-Zbuild-std=core", "--target", target, "--target-dir"])
        .arg(&target_dir);
    let output =
        cargo.output().map_err(|error| format!("cannot run cargo for the kernel programs: {error}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).replace('\n', "\ncargo::error=");
        return Err(format!("the kernel programs do not build:\ncargo::error={text}"));
    }
    Ok(target_dir.join(target).join("release").join(OBJECT))
}

fn linker() -> Result<PathBuf> {
    let by_variable = env::var_os("BPF_LINKER").map(PathBuf::from);
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cargo")));
    let in_cargo_home = cargo_home.map(|home| home.join("bin/bpf-linker")).filter(|path| path.is_file());
    by_variable
        .or_else(|| in_path("bpf-linker"))
        .or(in_cargo_home)
        .ok_or_else(|| format!("bpf-linker, which links the kernel programs, is missing: {MISSING}"))
}

fn toolchain() -> Result<Toolchain> {
    if let Some(rustc) = env::var_os("EBPF_RUSTC").map(PathBuf::from) {
        return if has_rust_src(&rustc, &[]) {
            Ok(Toolchain::Rustc(rustc))
        } else {
            Err(format!("EBPF_RUSTC={} has no rust-src in its sysroot", rustc.display()))
        };
    }
    if in_path("rustup").is_some() && has_rust_src(Path::new("rustup"), &["run", "nightly", "rustc"]) {
        return Ok(Toolchain::Nightly);
    }
    let candidates = in_path("rustc").into_iter().chain([PathBuf::from("/usr/bin/rustc")]);
    candidates.into_iter().find(|rustc| has_rust_src(rustc, &[])).map(Toolchain::Rustc).ok_or_else(|| {
        format!("a compiler that can build `core` for the kernel (nightly with rust-src, or Debian's rustc-web with rust-web-src) is missing: {MISSING}")
    })
}

fn has_rust_src(program: &Path, args: &[&str]) -> bool {
    let output = Command::new(program)
        .args(args)
        .args(["--print", "sysroot"])
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("RUSTC")
        .output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else { return false };
    let sysroot = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Path::new(&sysroot).join("lib/rustlib/src/rust/library/core/Cargo.toml").is_file()
}

/// Cargo with that compiler, and without what the outer cargo has set for the agent.
fn cargo(toolchain: &Toolchain) -> Command {
    let mut command = match toolchain {
        Toolchain::Nightly => {
            let mut command = Command::new("rustup");
            command.args(["run", "nightly", "cargo"]);
            command
        }
        Toolchain::Rustc(_) => Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into())),
    };
    let others = [
        "RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC",
        "RUSTDOC",
        "RUSTC_LINKER",
        "TARGET",
    ];
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let of_cargo = name.starts_with("CARGO_") && name != "CARGO_HOME";
        if of_cargo || name == "RUSTUP_TOOLCHAIN" || others.contains(&name.as_str()) {
            command.env_remove(name);
        }
    }
    if let Toolchain::Rustc(rustc) = toolchain {
        command.env("RUSTC", rustc);
    }
    command
}

fn in_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}
