//! The node's proxy with sockets in the pod's network: ztunnel, in a cgroup that is not the pod's.

use anyhow::Result;
use enforcer_tests::node::{Builder, Node};
use enforcer_tests::probe::Probe;

use crate::{Mesh, OF_PROXY};

/// Where ztunnel may be, and what it meets at what it may not reach: outside of what is enforced, where its calls succeed and its
/// packets are refused; or below it and no workload.
const CGROUPS: [(&str, &str); 2] = [("ztunnel", "ECONNREFUSED"), ("pods/ztunnel", "EPERM")];

fn strict() -> Builder {
    Node::new().flag("--direct-endpoints", "none").flag("--cgroup", "{cgroup}/pods")
}

#[test]
fn the_application_reaches_what_is_registered_by_ztunnel_and_nothing_else() -> Result<()> {
    for (cgroup, _) in CGROUPS {
        println!("ztunnel in {cgroup}");
        let mesh = Mesh::ambient(strict(), cgroup)?;
        mesh.node.expect("app", &[("tcp 10.250.0.21:8080", "EPERM")]);
        mesh.application_by_proxy()?;
    }
    Ok(())
}

#[test]
fn ztunnel_reaches_endpoints_and_the_mesh_and_nothing_else() -> Result<()> {
    for (cgroup, refused) in CGROUPS {
        println!("ztunnel in {cgroup}");
        let mesh = Mesh::ambient(strict(), cgroup)?;
        for (command, outcome) in OF_PROXY {
            let Some(to) = command.strip_prefix("tcp ") else { continue };
            let expected = match outcome {
                "EPERM" => format!("{to} by {to}: {refused}; "),
                _ => format!("{to} by {to}: connected; {to}"),
            };
            assert_eq!(mesh.application_asks_its_proxy_for(to)?, expected, "{}", mesh.node.log());
        }
        mesh.nothing_left()?;
    }
    Ok(())
}

#[test]
fn ztunnels_datagrams_are_judged_too() -> Result<()> {
    for (cgroup, refused) in [("ztunnel", ("EHOSTUNREACH", "silence")), ("pods/ztunnel", ("EPERM", "EPERM"))]
    {
        println!("ztunnel in {cgroup}");
        let mesh = Mesh::ambient(strict(), cgroup)?;
        mesh.in_pod("ztunnel", &mesh.proxy_cgroup)?;
        mesh.node.expect(
            "ztunnel",
            &[
                ("udp 192.0.2.20:53", "reached 192.0.2.20:53"),
                ("udp-send 192.0.2.20:53", "reached 192.0.2.20:53"),
                ("udp 203.0.113.7:53", refused.0),
                ("udp-send 203.0.113.7:53", refused.1),
                ("udp 198.51.100.10:15008", refused.0),
            ],
        );
        mesh.nothing_left()?;
    }
    Ok(())
}

/// Only in the pod's network is it the pod's proxy.
#[test]
fn ztunnel_in_the_nodes_network_is_nobody() -> Result<()> {
    let mesh = Mesh::ambient(strict(), "pods/ztunnel")?;
    mesh.node.add_probe("at home", Probe::start(mesh.node.world(), &mesh.proxy_cgroup)?);
    mesh.node.expect("at home", &[("tcp 198.51.100.10:15008", "EPERM"), ("tcp 192.0.2.20:80", "EPERM")]);
    mesh.nothing_left()
}
