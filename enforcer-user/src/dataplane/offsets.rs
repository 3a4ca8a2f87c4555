//! Where the running kernel keeps what no helper tells its programs, by its own BTF.

mod btf;

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, Result, ensure};
use enforcer_common::kernel::KernelOffsets;

use btf::{Member, Types};

const BTF: &str = "/sys/kernel/btf/vmlinux";
const NETWORK: &str = "/proc/self/ns/net";

/// Those of the kernel that runs.
pub(super) fn of_this_kernel() -> Result<KernelOffsets> {
    let btf = fs::read(BTF).with_context(|| format!("cannot read the kernel's BTF from {BTF}"))?;
    let types = Types::parse(&btf).with_context(|| format!("cannot understand the kernel's BTF in {BTF}"))?;
    find(&types).with_context(|| format!("the kernel's BTF in {BTF} is not as the programs need it"))
}

/// The inode of the agent's own network namespace, which is the node's.
pub(super) fn own_network() -> Result<u32> {
    let network = fs::metadata(NETWORK).with_context(|| format!("cannot look at {NETWORK}"))?;
    u32::try_from(network.ino()).with_context(|| format!("the inode of {NETWORK} has more than 32 bits"))
}

fn find(types: &Types<'_>) -> Result<KernelOffsets> {
    let skb = types.structure("sk_buff")?;
    let of_skb = |name: &str| types.member(skb, name).with_context(|| format!("sk_buff.{name}"));
    let byte = |name: &str| of_skb(name)?.byte().with_context(|| format!("sk_buff.{name}"));
    let summed = of_skb("ip_summed")?;
    ensure!(summed.width == 2 && summed.bit % 8 <= 6, "sk_buff.ip_summed is not two bits of a byte");
    let (skb_head, skb_csum_start) = (byte("head")?, byte("csum_start")?);
    // One read each.
    ensure!(byte("data")? == skb_head + 8, "sk_buff.data is not behind sk_buff.head");
    ensure!(
        byte("csum_offset")? == skb_csum_start + 2,
        "sk_buff.csum_offset is not behind sk_buff.csum_start"
    );
    let device = types.pointee(of_skb("dev")?.kind).context("sk_buff.dev")?;
    let (device_net, net) = inner(types, device, "nd_net", "net").context("net_device.nd_net.net")?;
    let net = types.pointee(net.kind).context("net_device.nd_net.net")?;
    let (net_inum, _) = inner(types, net, "ns", "inum").context("net.ns.inum")?;
    Ok(KernelOffsets {
        skb_head,
        skb_dev: byte("dev")?,
        skb_csum_start,
        skb_ip_summed: summed.bit / 8,
        skb_ip_summed_shift: summed.bit % 8,
        device_net,
        net_inum,
    })
}

/// A member of a member, and where it is.
fn inner(types: &Types<'_>, of: btf::Id, outer: &str, name: &str) -> Result<(u32, Member)> {
    let outer = types.member(of, outer)?;
    let inner = types.member(outer.kind, name)?;
    Ok((outer.byte()? + inner.byte()?, inner))
}

#[cfg(test)]
mod tests;
