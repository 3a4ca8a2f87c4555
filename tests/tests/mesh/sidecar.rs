//! A sidecar in the pod.

use std::time::Duration;

use anyhow::Result;
use enforcer_tests::cgroup;
use enforcer_tests::marker::Marker;
use enforcer_tests::node::{Node, decisions};
use enforcer_tests::probe::Probe;
use enforcer_tests::world::Spot;

use crate::{Mesh, OF_PROXY, REGISTRY};

fn strict() -> Result<Mesh> {
    Mesh::sidecar(Node::new().flag("--direct-endpoints", "none"))
}

#[test]
fn the_application_reaches_what_is_registered_by_its_sidecar_and_nothing_else() -> Result<()> {
    let mesh = strict()?;
    mesh.node.expect("app", &[("tcp 10.250.0.21:8080", "EPERM")]);
    mesh.application_by_proxy()
}

#[test]
fn the_sidecar_reaches_endpoints_and_the_mesh_and_nothing_else() -> Result<()> {
    let mesh = strict()?;
    mesh.in_pod("sidecar", &mesh.proxy_cgroup)?;
    mesh.node.dial("sidecar", "become 1337")?;
    mesh.node.expect("sidecar", &OF_PROXY);
    mesh.nothing_left()
}

#[test]
fn what_the_sidecar_would_relay_is_judged_like_the_application() -> Result<()> {
    let mesh = strict()?;
    for (destination, outcome) in [
        ("192.0.2.20:80", "192.0.2.20:80 by 192.0.2.20:80: connected; 192.0.2.20:80"),
        ("[2001:db8::20]:80", "[2001:db8::20]:80 by [2001:db8::20]:80: connected; [2001:db8::20]:80"),
        ("203.0.113.7:443", "203.0.113.7:443 by 203.0.113.7:443: EPERM; "),
        ("[2001:db8:7::7]:443", "[2001:db8:7::7]:443 by [2001:db8:7::7]:443: EPERM; "),
        ("198.51.100.30:443", "198.51.100.30:443 by 198.51.100.30:443: EPERM; "),
    ] {
        assert_eq!(mesh.application_asks_its_proxy_for(destination)?, outcome);
    }
    mesh.nothing_left()
}

/// What the user 1337 sends is not redirected: Istio's own way around its proxy.
#[test]
fn an_application_as_the_sidecars_user_gets_no_more_than_the_application() -> Result<()> {
    let mesh = strict()?;
    mesh.in_pod("hole", &mesh.node.world().make_cgroup("pods/app/application")?)?;
    mesh.node.dial("hole", "become 1337")?;
    mesh.node.expect(
        "hole",
        &[
            ("tcp 192.0.2.20:80", "reached 192.0.2.20:80"),
            ("tcp 203.0.113.7:443", "EPERM"),
            ("udp-send 203.0.113.7:53", "EPERM"),
            ("tcp 198.51.100.10:8443", "EPERM"),
            ("tcp 10.250.0.21:15008", "EPERM"),
            ("tcp 10.250.0.9:15012", "EPERM"),
            // A VIP that nobody translates.
            ("tcp 192.0.2.10:443", "reached 192.0.2.10:443"),
        ],
    );
    assert!(mesh.proxy.is_silent());
    mesh.nothing_left()
}

#[test]
fn an_application_in_the_sidecars_cgroup_sees_the_mesh_and_nothing_unregistered() -> Result<()> {
    let mesh = strict()?;
    let moved = Probe::start_in_pod(mesh.node.world(), &mesh.pod)?;
    std::fs::write(mesh.proxy_cgroup.join("cgroup.procs"), moved.pid().to_string())?;
    mesh.node.add_probe("moved", moved);
    mesh.node.dial("moved", "become 1337")?;
    mesh.node.expect("moved", &OF_PROXY);
    mesh.nothing_left()
}

/// Packets that no socket call announces.
#[test]
fn crafted_packets_are_judged_by_the_cgroup_of_their_socket() -> Result<()> {
    let mesh = strict()?;
    mesh.in_pod("sidecar", &mesh.proxy_cgroup)?;
    for (who, technique, to, expected) in [
        ("app", "syn-data", "203.0.113.7:443", 0),
        ("app", "syn-data", "10.250.0.21:15008", 0),
        ("app", "packet-raw", "192.0.2.20:53", 1),
        ("app", "packet-raw", "203.0.113.7:53", 0),
        ("sidecar", "syn-data", "203.0.113.7:443", 0),
        ("sidecar", "syn-data", "10.250.0.21:15008", 1),
        ("sidecar", "packet-raw", "192.0.2.20:53", 1),
        ("sidecar", "packet-raw", "203.0.113.7:53", 0),
    ] {
        let marker = Marker::fresh();
        let answer = mesh.node.probe(who)?.ask(&format!("try {technique} {marker} {to}"))?;
        let seen = mesh.outside.saw(&marker)?.len();
        assert_eq!(seen, expected, "{who} {technique} {to}: {answer}\n{}", mesh.node.log());
    }
    mesh.nothing_left()
}

#[test]
fn endpoints_are_open_to_the_application_if_the_operator_says_so() -> Result<()> {
    let kubernetes = Mesh::sidecar(Node::new())?;
    kubernetes.through(
        "app",
        "tcp 10.250.0.21:8080",
        "reached 10.250.0.21:8080",
        "10.250.0.21:8080 by 10.250.0.21:8080: connected",
    )?;
    kubernetes.node.expect("app", &[("tcp 198.51.100.10:8443", "EPERM"), ("tcp 10.250.0.21:15008", "EPERM")]);
    drop(kubernetes);
    let all = Mesh::sidecar(Node::new().flag("--direct-endpoints", "all"))?;
    all.through(
        "app",
        "tcp 198.51.100.10:8443",
        "reached 198.51.100.10:8443",
        "198.51.100.10:8443 by 198.51.100.10:8443: connected",
    )
}

/// The last segment of a connection is nobody's socket's any more, and the application may not send it.
#[test]
fn the_sidecars_connections_end_in_peace() -> Result<()> {
    let mesh = strict()?;
    mesh.in_pod("sidecar", &mesh.proxy_cgroup)?;
    mesh.node.dial("sidecar", "become 1337")?;
    for to in ["10.250.0.21:15008", "198.51.100.10:8443"] {
        let mut sidecar = mesh.node.probe("sidecar")?;
        sidecar.ask("keep one tcp4")?;
        assert_eq!(sidecar.ask(&format!("on one connect {to}"))?["said"], "connected");
        let greeting = sidecar.ask("on one receive")?;
        assert!(greeting["said"].as_str().is_some_and(|said| said != "silence"), "{greeting}");
        sidecar.ask("on one close")?;
    }
    std::thread::sleep(Duration::from_millis(500));
    let status = mesh.node.status()?;
    for reason in ["not_registered", "no_flow"] {
        assert_eq!(decisions(&status, reason), (0, 0), "{reason}: {:#}", status["denials"]);
    }
    Ok(())
}

/// Its container starts after the pod, and again later: the cgroup has the same name and is another one.
#[test]
fn a_sidecar_that_comes_later_is_known_soon() -> Result<()> {
    let fields = "namespace=web,name=app,mesh=sidecar,mesh-proxy=istio-proxy";
    let node = Node::new().pods().registry(REGISTRY).workload_with("app", fields).start()?;
    let pod = node.world().pod("app")?;
    let network = pod.network();
    for _ in 0..2 {
        let cgroup = node.world().make_cgroup("pods/app/istio-proxy")?;
        let spot = Spot { cgroup: Some(&cgroup), network: Some(&network), nobody: false };
        node.add_probe("sidecar", Probe::start_at(node.world(), spot)?);
        node.expect_within(
            Duration::from_secs(5),
            "sidecar",
            &[("tcp 10.250.0.21:15008", "reached 10.250.0.21:15008"), ("tcp 203.0.113.7:443", "EPERM")],
        );
        node.expect("app", &[("tcp 10.250.0.21:15008", "EPERM")]);
        // The one before goes with its processes.
        cgroup::remove(&cgroup)?;
    }
    Ok(())
}
