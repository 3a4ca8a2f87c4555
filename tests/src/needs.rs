//! What the machine must have. A test whose needs are missing fails and says what is missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use nix::unistd::Uid;

use crate::cgroup;

/// Where tools of administrators are, for shells that do not know.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Fails with everything that is missing, and where to get it.
pub fn check() -> Result<()> {
    let mut missing = Vec::new();
    if !Uid::effective().is_root() {
        missing.push("root: namespaces, cgroups and eBPF programs need it; run with sudo -E".to_owned());
    }
    if let Err(error) = cgroup::mount() {
        missing.push(format!("cgroup v2: {error:#}"));
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        missing.push("/sys/kernel/btf/vmlinux: a kernel with CONFIG_DEBUG_INFO_BTF=y".to_owned());
    }
    missing.extend(missing_tool("ip", "apt install iproute2"));
    missing.extend(missing_tool("tc", "apt install iproute2"));
    for name in ["enforcer", "enforcer-probe"] {
        missing.extend(binary(name).err().map(|error| format!("{error:#}")));
    }
    if missing.is_empty() {
        Ok(())
    } else {
        bail!("this needs what is not here:\n  {}", missing.join("\n  "))
    }
}

/// A tool that is called by its name.
pub fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", format!("{}:{PATH}", std::env::var("PATH").unwrap_or_default()));
    command
}

/// What to say when a tool is missing.
pub fn missing_tool(name: &str, remedy: &str) -> Option<String> {
    let answer = tool(name).arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    answer.is_err().then(|| format!("the program {name}: {remedy}"))
}

/// A program of this project, built beside the running one.
pub fn binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding the running program")?;
    let mut directory = own.parent().context("the running program is nowhere")?;
    if directory.ends_with("deps") {
        directory = directory.parent().unwrap_or(directory);
    }
    let path = directory.join(name);
    if path.is_file() {
        return Ok(path);
    }
    let package = if name == "enforcer" { "enforcer-user" } else { "enforcer-tests" };
    bail!(
        "the program {}: build it with `cargo build -p {package}`, or run `cargo xtask test`",
        path.display()
    )
}
