//! The node's uplink as a device that leaves more to the kernel than a veth pair does.

use anyhow::{Context as _, Result};

use crate::pod::UPLINK;
use crate::sys::ethtool;
use crate::world::World;

impl World {
    /// From now on the kernel writes the checksums of what leaves the node, as for a device that cannot.
    pub fn uplink_without_offload(&self) -> Result<()> {
        self.on_node(|| ethtool::without_checksum_offload(UPLINK).context("switching checksum offload off"))
    }
}
