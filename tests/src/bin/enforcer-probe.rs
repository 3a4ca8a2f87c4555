//! The helper process of the tests and of the demo: `enforcer-probe workload` dials, `enforcer-probe world` and `node` hold a
//! node's namespaces, `enforcer-probe hold` those of its pods and of the network outside, `enforcer-probe proxy`
//! is a mesh proxy. People have no use for it.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use enforcer_tests::inside::{hold, proxy, workload, world};

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
        ["proxy", "sidecar", port, ref list @ ..] => proxy::sidecar(self::port(port)?, tunnels(list)?),
        ["proxy", "ztunnel", network, port, ref list @ ..] => {
            proxy::ztunnel(Path::new(network), self::port(port)?, tunnels(list)?)
        }
        _ => bail!(
            "usage: enforcer-probe workload | world DIRECTORY CGROUP PORT,PORT | node DIRECTORY CGROUP | hold pod | \
             hold outside PORT,PORT | proxy sidecar PORT [ADDR=ADDR ...] | proxy ztunnel NAMESPACE PORT [ADDR=ADDR ...]"
        ),
    }
}

fn ports(list: &str) -> Result<Vec<u16>> {
    list.split(',').map(port).collect()
}

fn port(text: &str) -> Result<u16> {
    text.parse().with_context(|| format!("{text:?} is no port"))
}

fn tunnels(list: &[&str]) -> Result<proxy::Tunnels> {
    let tunnel = |text: &&str| {
        let (meant, to) = text.split_once('=').context("a tunnel is ADDR=ADDR")?;
        Ok((meant.parse()?, to.parse()?))
    };
    list.iter().map(tunnel).collect()
}
