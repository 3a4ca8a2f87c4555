//! The helper process of the tests and of the demo: `enforcer-probe workload` dials, `enforcer-probe world` holds a node's
//! namespaces. People have no use for it.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use enforcer_tests::inside::{workload, world};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["workload"] => workload::run(),
        ["world", directory, cgroup, ports] => {
            let ports: Result<Vec<u16>, _> = ports.split(',').map(str::parse).collect();
            world::hold(Path::new(directory), Path::new(cgroup), &ports.context("reading the ports")?)
        }
        _ => bail!("usage: enforcer-probe workload | enforcer-probe world DIRECTORY CGROUP PORT,PORT"),
    }
}
