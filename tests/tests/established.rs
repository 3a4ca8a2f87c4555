//! What a packet of an established flow costs: one look-up of its socket's storage in each program that it meets, and none of any map.
//!
//! The programs are the agent's own, loaded over its maps with the one byte set that makes them count their look-ups.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use enforcer_common::key::CgroupId;
use enforcer_common::names::map;
use enforcer_core::policy::budget::Limits;
use enforcer_tests::entry::entry_at;
use enforcer_tests::marker::Marker;
use enforcer_tests::needs;
use enforcer_tests::node::{Node, OUTSIDE};
use enforcer_user::dataplane::{Dataplane as _, Kernel, Layout, Placed};
use serde_json::Value;

/// How many packets are sent, at least.
const PACKETS: u64 = 200;

/// Look-ups so far: of maps, and of storages.
fn lookups(pin: &Path) -> Result<(u64, u64)> {
    let output = needs::tool("bpftool").args(["-j", "map", "dump", "pinned"]).arg(pin).output()?;
    let dump: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("bpftool: {}", String::from_utf8_lossy(&output.stdout)))?;
    let sum = |index: usize| -> Option<u64> {
        let values = dump[index]["values"].as_array()?;
        let number = |value: &Value| {
            let bytes = value["value"]
                .as_array()?
                .iter()
                .map(|byte| u8::from_str_radix(byte.as_str()?.trim_start_matches("0x"), 16).ok());
            Some(u64::from_le_bytes(bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()?))
        };
        values.iter().map(number).sum()
    };
    Ok((sum(0).context("no counter")?, sum(1).context("no counter")?))
}

/// Frames that the pod has sent.
fn sent(node: &Node) -> Result<u64> {
    let interface = node.world().pod("curl")?.interface();
    node.world().on_node(|| {
        let output = needs::tool("ip").args(["-j", "-s", "link", "show", &interface]).output()?;
        let link: Value = serde_json::from_slice(&output.stdout).context("reading what ip says")?;
        link[0]["stats64"]["rx"]["packets"].as_u64().context("no count of packets")
    })
}

#[test]
fn a_packet_of_an_established_flow_costs_one_storage_and_no_map() -> Result<()> {
    let registry = entry_at("payments", "192.0.2.10, \"2001:db8::10\"", &[4433]);
    let mut node = Node::new().pods().registry(&registry).workload("web", "curl").start()?;
    node.stop_agent()?;
    let world = node.world();
    let index = world.host_index("curl")?;
    let cgroup = node.cgroup("curl");
    let id = CgroupId::new(fs::metadata(&cgroup)?.ino());
    let pod = world.pod("curl")?;
    let pins = world.outside(&world.pin_dir());
    let mut layout = Layout::default();
    let placed = Placed { name: pod.interface(), workload: Some(id), ambient: false };
    layout.interfaces.insert(index, placed);
    layout.addresses.insert(id, [pod.ipv4().into(), pod.ipv6().into()].into());
    let kernel = world.on_node(|| {
        let mut kernel = Kernel::load(&pins, &Limits::default(), true)?;
        kernel.attach(&[(id, cgroup.clone())], &|_| Vec::new())?;
        let failed = kernel.place(&layout, &|_| Vec::new())?;
        assert!(failed.is_empty(), "{failed:?}");
        Ok(kernel)
    })?;
    let counters = world.outside(&world.pin_dir()).join(format!("v{}/maps", enforcer_common::ABI_VERSION));
    let counters = counters.join(map::LOOKUPS);

    node.expect(OUTSIDE, &[("keep l listen 4433", "made")]);
    for (name, kind, to) in [("a", "tcp4", "192.0.2.10:4433"), ("b", "tcp6", "[2001:db8::10]:4433")] {
        node.expect("curl", &[(&format!("keep {name} {kind}"), "made")]);
        node.expect("curl", &[(&format!("on {name} connect {to}"), "connected")]);
        node.probe(OUTSIDE)?.ask(&format!("on l accept {name}"))?;
        let send = |count: u64| -> Result<()> {
            for _ in 0..count {
                let said = node.probe("curl")?.ask(&format!("on {name} send {}", Marker::fresh()))?;
                anyhow::ensure!(said["errno"].is_null(), "{said}");
                // Read before the next one goes: else TCP makes one packet of many.
                node.probe(OUTSIDE)?.ask(&format!("on {name} receive"))?;
            }
            Ok(())
        };
        // The first packets are decided over, and what was decided is remembered.
        send(5)?;
        let (packets, (maps, storages)) = (sent(&node)?, lookups(&counters)?);
        send(PACKETS)?;
        let (packets_now, (maps_now, storages_now)) = (sent(&node)?, lookups(&counters)?);
        let packets = packets_now - packets;
        assert!(packets >= PACKETS, "{packets} packets");
        assert_eq!(maps_now - maps, 0, "{to}: look-ups of maps over {packets} packets");
        // One program looks at the socket of its cgroup, and one at the interface.
        assert_eq!(storages_now - storages, 2 * packets, "{to}: look-ups of storages over {packets} packets");
    }
    // Counting counts: a denied call looks maps up.
    let (maps, _) = lookups(&counters)?;
    node.expect("curl", &[("tcp 192.0.2.11:443", "EPERM")]);
    assert!(lookups(&counters)?.0 > maps);
    drop(kernel);
    Ok(())
}
