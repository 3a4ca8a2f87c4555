//! What comes in to the proxy of a pod is answered, and handed on to the application.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use enforcer_tests::marker::Marker;
use enforcer_tests::node::{Node, OUTSIDE};
use serde_json::json;

use crate::Mesh;

/// Longer than the agent takes to look again for connections that nobody saw.
const LOOK: Duration = Duration::from_secs(5);

fn said(mesh: &Mesh, who: &str, command: &str) -> Result<String> {
    let answer = mesh.node.probe(who)?.ask(command)?;
    let text = answer["said"].as_str().or(answer["errno"].as_str());
    Ok(text.map_or_else(|| answer.to_string(), str::to_owned))
}

/// A stranger connects to `port` of the pod, where `server` listens, and both talk.
fn both_talk(mesh: &Mesh, server: &str, port: u16) -> Result<()> {
    assert_eq!(said(mesh, server, &format!("keep server listen {port}"))?, "made");
    said(mesh, OUTSIDE, "keep client tcp4")?;
    let connected = said(mesh, OUTSIDE, &format!("on client connect {}:{port}", mesh.pod.ipv4()))?;
    assert_eq!(connected, "connected", "to {server}:\n{}", mesh.node.log());
    let accepted = said(mesh, server, "on server accept one")?;
    assert!(accepted.starts_with("accepted"), "{server}: {accepted}\n{}", mesh.node.log());
    for _ in 0..3 {
        let (there, back) = (Marker::fresh(), Marker::fresh());
        mesh.node.probe(OUTSIDE)?.ask(&format!("on client send {there}"))?;
        assert_eq!(said(mesh, server, "on one receive")?, there.to_string());
        mesh.node.probe(server)?.ask(&format!("on one send {back}"))?;
        assert_eq!(said(mesh, OUTSIDE, "on client receive")?, back.to_string());
    }
    assert_eq!(said(mesh, OUTSIDE, "on client close")?, "closed");
    assert_eq!(said(mesh, server, "on one receive")?, "closed by the peer");
    said(mesh, server, "on one close")?;
    said(mesh, server, "on server close").map(drop)
}

/// By the mesh's tunnel straight to the proxy; and by a plain connection, which is redirected to the proxy and handed on.
fn all_that_comes_in(mesh: &Mesh) -> Result<()> {
    mesh.in_pod("proxy", &mesh.proxy_cgroup)?;
    both_talk(mesh, "proxy", 15008)?;
    both_talk(mesh, "app", 8080)?;
    let to = format!("{}:8080", mesh.pod.ipv4());
    assert_eq!(mesh.inbound.said()?, format!("{to} by {to}: connected"));
    mesh.nothing_left()
}

#[test]
fn a_sidecar_is_reached() -> Result<()> {
    all_that_comes_in(&Mesh::sidecar(Node::new())?).context("with a sidecar")
}

#[test]
fn a_ztunnel_is_reached() -> Result<()> {
    for cgroup in ["ztunnel", "pods/ztunnel"] {
        println!("ztunnel in {cgroup}");
        let mesh = Mesh::ambient(Node::new().flag("--cgroup", "{cgroup}/pods"), cgroup)?;
        all_that_comes_in(&mesh).with_context(|| format!("with a ztunnel in {cgroup}"))?;
    }
    Ok(())
}

/// The proxy's socket meets another port than the one that the host's side of the interface has seen.
fn is_told_of_what_nobody_saw(mesh: &Mesh) -> Result<()> {
    both_talk(mesh, "app", 8080)?;
    sleep(LOOK);
    assert_eq!(mesh.node.status()?["workloads"][0]["notes"], json!([]));
    let _detour = mesh.node.world().deliver_past_host_side("app")?;
    said(mesh, OUTSIDE, "keep skipping tcp4")?;
    let met = said(mesh, OUTSIDE, &format!("on skipping connect {}:8080", mesh.pod.ipv4()))?;
    assert_ne!(met, "connected");
    mesh.node.status_soon(|status| {
        let note = status["workloads"][0]["notes"][0].as_str()?;
        note.contains("bpf_redirect_peer").then_some(())
    })
}

#[test]
fn what_skips_the_hosts_side_of_a_pod_with_a_proxy_is_told() -> Result<()> {
    is_told_of_what_nobody_saw(&Mesh::sidecar(Node::new())?).context("with a sidecar")?;
    // A ztunnel that is not below what is enforced has no programs at its sockets.
    let mesh = Mesh::ambient(Node::new().flag("--cgroup", "{cgroup}/pods"), "pods/ztunnel")?;
    is_told_of_what_nobody_saw(&mesh).context("with a ztunnel")
}
