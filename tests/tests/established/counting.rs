//! The programs that count their look-ups.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use enforcer_common::key::CgroupId;
use enforcer_common::names::map;
use enforcer_core::policy::budget::Limits;
use enforcer_tests::frame::{self, ethertype, protocol};
use enforcer_tests::needs;
use enforcer_tests::node::Node;
use enforcer_tests::pod::{GATEWAY, Pod};
use enforcer_user::dataplane::load::Options;
use enforcer_user::dataplane::{Dataplane as _, Kernel, Layout, Placed};
use serde_json::Value;

/// They are there as long as this is held.
pub(crate) struct Counting {
    _kernel: Kernel,
    counters: PathBuf,
}

impl Counting {
    /// Over the maps of an agent that has ended, where the workload `curl` is.
    pub(crate) fn over(node: &Node) -> Result<Self> {
        let world = node.world();
        let cgroup = node.cgroup("curl");
        let id = CgroupId::new(fs::metadata(&cgroup)?.ino());
        let mut layout = Layout::default();
        if let Ok(pod) = world.pod("curl") {
            let placed = Placed { name: pod.interface(), workload: Some(id), ambient: false };
            layout.interfaces.insert(world.host_index("curl")?, placed);
            layout.addresses.insert(id, [pod.ipv4().into(), pod.ipv6().into()].into());
        }
        let pins = world.outside(&world.pin_dir());
        let options = Options { counts_lookups: true, ..Options::default() };
        let kernel = world.on_node(|| {
            let mut kernel = Kernel::load(&pins, &Limits::default(), options)?;
            kernel.attach(&[(id, cgroup.clone())], &|_| Vec::new())?;
            let failed = kernel.place(&layout, &|_| Vec::new())?;
            anyhow::ensure!(failed.is_empty(), "{failed:?}");
            Ok(kernel)
        })?;
        let counters = pins.join(format!("v{}/maps", enforcer_common::ABI_VERSION)).join(map::LOOKUPS);
        Ok(Self { _kernel: kernel, counters })
    }

    /// Look-ups so far: of maps, and of storages.
    pub(crate) fn lookups(&self) -> Result<(u64, u64)> {
        let pinned = &self.counters;
        let output = needs::tool("bpftool").args(["-j", "map", "dump", "pinned"]).arg(pinned).output()?;
        let dump: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("bpftool: {}", String::from_utf8_lossy(&output.stdout)))?;
        let sum =
            |index: usize| -> Option<u64> { dump[index]["values"].as_array()?.iter().map(number).sum() };
        Ok((sum(0).context("no counter")?, sum(1).context("no counter")?))
    }
}

/// What a counter is on one CPU.
fn number(value: &Value) -> Option<u64> {
    let bytes = value["value"].as_array()?.iter();
    let bytes = bytes.map(|byte| u8::from_str_radix(byte.as_str()?.trim_start_matches("0x"), 16).ok());
    Some(u64::from_le_bytes(bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()?))
}

/// A frame with a datagram of the pod's.
pub(crate) fn datagram(pod: &Pod, to: &str) -> Result<Vec<u8>> {
    let (from, to) = (format!("{}:40000", pod.ipv4()).parse()?, to.parse().context("no address")?);
    let packet = frame::ip(
        pod.ipv4().into(),
        std::net::SocketAddr::ip(&to),
        protocol::UDP,
        &frame::udp(from, to, b"?"),
    );
    Ok(frame::ethernet(GATEWAY, pod.mac(), ethertype::IPV4, &packet))
}
