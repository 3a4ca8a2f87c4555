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

/// Packets that no socket call announces, and such as are no socket's in the pod's network: what is not ztunnel's is the application's,
/// to the ports of the mesh, too.
#[test]
fn crafted_packets_that_are_not_ztunnels_get_the_applications_view() -> Result<()> {
    // By a packet socket, a raw one, a TUN device, and out of a namespace behind the pod's.
    const DATAGRAMS: [&str; 4] = ["packet-raw", "raw4", "tun-inside", "new-netns"];
    for (cgroup, _) in CGROUPS {
        println!("ztunnel in {cgroup}");
        let mesh = Mesh::ambient(strict(), cgroup)?;
        let met = |who: &str, technique: &str, to: &str, expected: usize| -> Result<()> {
            let (seen, answer) = mesh.try_out(who, technique, to)?;
            assert_eq!(seen, expected, "{who} {technique} {to}: {answer}\n{}", mesh.node.log());
            Ok(())
        };
        for technique in DATAGRAMS {
            met("app", technique, "192.0.2.20:53", 1)?;
            for denied in ["203.0.113.7:15008", "203.0.113.7:15012", "10.250.0.21:15008", "10.250.0.9:15012"]
            {
                met("app", technique, denied, 0)?;
            }
            met("app", technique, "192.0.2.20:53", 1)?;
        }
        met("app", "syn-data", "192.0.2.20:80", 1)?;
        met("app", "packet-raw", "[2001:db8::20]:53", 1)?;
        for denied in [
            "203.0.113.7:15008",
            "203.0.113.7:15012",
            "[2001:db8:7::7]:15008",
            "[2001:db8:7::7]:15012",
            "10.250.0.21:15008",
            "10.250.0.9:15012",
        ] {
            met("app", "syn-data", denied, 0)?;
        }
        mesh.in_pod("ztunnel", &mesh.proxy_cgroup)?;
        for (to, expected) in [
            ("10.250.0.21:15008", 1),
            ("10.250.0.9:15012", 1),
            ("203.0.113.7:15008", 0),
            ("203.0.113.7:15012", 0),
            ("[2001:db8:7::7]:15008", 0),
        ] {
            met("ztunnel", "syn-data", to, expected)?;
        }
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
