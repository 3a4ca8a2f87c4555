//! Programs as people use them: curl over TCP, and what HTTP/3 does over UDP.

use std::path::Path;

use anyhow::Result;
use enforcer_tests::needs;
use enforcer_tests::node::{Node, OUTSIDE};
use enforcer_tests::world::{Finished, Spot, finish};

/// HTTP servers listen on 8088; nobody on 8089.
const SHOP: &str = r#"
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop, namespace: web}
spec:
  hosts: [shop.example.com]
  addresses: [203.0.113.1, "2001:db8:3::1"]
  resolution: STATIC
  ports:
  - {number: 80, name: http, protocol: HTTP, targetPort: 8088}
  - {number: 81, name: down, protocol: HTTP, targetPort: 8089}
  - {number: 443, name: quic, protocol: UDP, targetPort: 8443}
  endpoints: [{address: 198.51.100.1}, {address: "2001:db8:1::1"}]
"#;

/// Runs curl as `who`; prints what the server says, and whom curl believes it talked to.
fn curl(node: &Node, who: &str, authority: &str) -> Result<Finished> {
    if let Some(missing) = needs::missing_tool("curl", "apt install curl") {
        anyhow::bail!("this needs what is not here: {missing}");
    }
    let cgroup = node.cgroup(who);
    let spot = Spot { cgroup: Some(&cgroup), ..Spot::default() };
    let mut command = node.world().command(Path::new("curl"), spot)?;
    let format = " %{remote_ip} %{remote_port} %{http_code} %{errormsg}";
    command.args(["--silent", "--noproxy", "*", "--http1.1", "--max-time", "5", "--write-out", format]);
    finish(command.arg(format!("http://{authority}/")))
}

#[test]
fn curl_talks_to_the_vip_as_to_the_endpoint() -> Result<()> {
    let node = Node::new().registry(SHOP).workload("web", "curl").start()?;
    let said = |who: &str, authority: &str| {
        let finished = curl(&node, who, authority)?;
        anyhow::ensure!(finished.code == Some(0), "{finished:?}");
        anyhow::Ok(finished.stdout.trim().to_owned())
    };
    assert_eq!(said("curl", "203.0.113.1")?, "198.51.100.1:8088 203.0.113.1 80 200");
    assert_eq!(said(OUTSIDE, "198.51.100.1:8088")?, "198.51.100.1:8088 198.51.100.1 8088 200");
    assert_eq!(said("curl", "[2001:db8:3::1]")?, "[2001:db8:1::1]:8088 2001:db8:3::1 80 200");
    assert_eq!(said(OUTSIDE, "[2001:db8:1::1]:8088")?, "[2001:db8:1::1]:8088 2001:db8:1::1 8088 200");
    Ok(())
}

#[test]
fn curl_fails_as_it_does_without_a_vip() -> Result<()> {
    let node = Node::new().registry(SHOP).workload("web", "curl").start()?;
    // 7 is "couldn't connect".
    for (vip, endpoint) in
        [("203.0.113.1:81", "198.51.100.1:8089"), ("[2001:db8:3::1]:81", "[2001:db8:1::1]:8089")]
    {
        let (through, direct) = (curl(&node, "curl", vip)?, curl(&node, OUTSIDE, endpoint)?);
        assert_eq!((through.code, direct.code), (Some(7), Some(7)), "{through:?} {direct:?}");
    }
    let denied = curl(&node, "curl", "198.51.100.1:8088")?;
    assert_eq!(denied.code, Some(7), "{denied:?}");
    Ok(())
}

#[test]
fn a_hundred_large_datagrams_come_and_go() -> Result<()> {
    let node = Node::new().registry(SHOP).workload("web", "curl").start()?;
    for (kind, vip, endpoint) in [
        ("udp4", "203.0.113.1:443", "198.51.100.1:8443"),
        ("udp6", "[2001:db8:3::1]:443", "[2001:db8:1::1]:8443"),
    ] {
        let all = format!("100 times 1200 bytes of {endpoint} from {vip}");
        node.expect(
            "curl",
            &[
                (&format!("keep a {kind}"), "made"),
                (&format!("on a exchange 100 1200 {vip}"), &all),
                (&format!("on a connect {vip}"), "connected"),
                ("on a exchange 100 1200", &all),
            ],
        );
    }
    Ok(())
}
