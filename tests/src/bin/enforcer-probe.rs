//! The helper process of the tests and of the demo: `enforcer-probe workload` dials, `enforcer-probe world` and `node` hold a
//! node's namespaces, `enforcer-probe hold` those of its pods and of the network outside. People have no use for it.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use enforcer_tests::inside::{hold, workload, world};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["workload"] => workload::run(),
        ["world", directory, cgroup, list] => {
            let ports = ports(list)?;
            world::hold(Path::new(directory), Path::new(cgroup), || world::served(&ports))
        }
        ["node", directory, cgroup] => world::hold(Path::new(directory), Path::new(cgroup), hold::node),
        ["hold", "pod"] => hold::pod(),
        ["hold", "outside", list] => hold::outside(&ports(list)?),
        _ => bail!(
            "usage: enforcer-probe workload | world DIRECTORY CGROUP PORT,PORT | node DIRECTORY CGROUP | hold pod | \
             hold outside PORT,PORT"
        ),
    }
}

fn ports(list: &str) -> Result<Vec<u16>> {
    let ports: Result<Vec<u16>, _> = list.split(',').map(str::parse).collect();
    ports.context("reading the ports")
}
