//! Where the running kernel keeps what no helper tells: offsets that its BTF has, for programs that read its memory.

/// Bytes from the beginning of each structure. Written by the loader, never known when compiling.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KernelOffsets {
    /// `sk_buff.head`, a pointer, with `data`, another, behind it.
    pub skb_head: u32,
    /// `sk_buff.dev`, a pointer.
    pub skb_dev: u32,
    /// `sk_buff.csum_start`, 16 bits, with `csum_offset`, as many, behind it.
    pub skb_csum_start: u32,
    /// The byte with `sk_buff.ip_summed`, ...
    pub skb_ip_summed: u32,
    /// ... and which of its bits is the first of the two.
    pub skb_ip_summed_shift: u32,
    /// `net_device.nd_net.net`, a pointer.
    pub device_net: u32,
    /// `net.ns.inum`, 32 bits.
    pub net_inum: u32,
}

impl KernelOffsets {
    /// What stands in the kernel object until the loader has written.
    pub const NONE: Self = Self {
        skb_head: 0,
        skb_dev: 0,
        skb_csum_start: 0,
        skb_ip_summed: 0,
        skb_ip_summed_shift: 0,
        device_net: 0,
        net_inum: 0,
    };
}
