//! A packet and its socket, as a program of an interface or a cgroup sees them.

use core::ptr::{NonNull, addr_of, read_volatile};

use aya_ebpf::bindings::{__sk_buff, bpf_sock};
use aya_ebpf::helpers::bpf_get_socket_cookie;
use aya_ebpf::helpers::generated::{
    bpf_csum_diff, bpf_get_netns_cookie, bpf_redirect, bpf_sk_fullsock, bpf_skb_ancestor_cgroup_id,
    bpf_skb_cgroup_id, bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_pull_data, bpf_skb_store_bytes,
};
use aya_ebpf::programs::{SkBuffContext, TcContext};
use enforcer_common::addr::Protocol;
use enforcer_common::key::{CgroupId, NetnsCookie};
use enforcer_common::packet::Frame;

use crate::ctx::kernel::{KERNEL, node_network, offset, peek};
use crate::ctx::{AF_INET6, forgotten};

/// `SOCK_STREAM` and `SOCK_DGRAM`.
const SOCK_STREAM: u32 = 1;
const SOCK_DGRAM: u32 = 2;
/// `AF_INET`
const AF_INET: u32 = 2;
/// `ETH_P_IPV6`, as `__sk_buff.protocol` has it.
const ETH_P_IPV6: u32 = 0x86dd_u16.to_be() as u32;

/// `PACKET_LOOPBACK` of `linux/if_packet.h`.
const PACKET_LOOPBACK: u32 = 5;

/// The number of the loopback interface in every network namespace (`LOOPBACK_IFINDEX`).
const LOOPBACK: u32 = 1;

/// `CHECKSUM_PARTIAL`, and the bits of `ip_summed`.
const CHECKSUM_PARTIAL: u8 = 3;

/// A checksum that is written only when the packet leaves by a device which cannot do it: after every program.
#[derive(Clone, Copy)]
pub struct PartialChecksum {
    /// Where what it covers begins, from the beginning of the frame.
    pub start: u32,
    /// How many bytes behind that it is written.
    pub offset: u32,
}

impl PartialChecksum {
    /// What cannot be read is nowhere that a packet has a checksum.
    const UNREADABLE: Self = Self { start: u32::MAX, offset: u32::MAX };
}

/// A packet.
#[derive(Clone, Copy)]
pub struct Skb {
    raw: *mut __sk_buff,
}

impl Skb {
    /// At an interface: the bytes begin with the Ethernet header.
    #[inline(always)]
    pub const fn of_interface(ctx: &TcContext) -> Self {
        Self { raw: ctx.skb.skb }
    }

    /// At a socket of a cgroup: the bytes begin with the IP header.
    #[inline(always)]
    pub const fn of_cgroup(ctx: &SkBuffContext) -> Self {
        Self { raw: ctx.skb.skb }
    }

    /// Whether the kernel takes it for IPv6.
    #[inline(always)]
    pub fn is_v6(self) -> bool {
        // SAFETY: the context pointer; an aligned 4-byte field.
        unsafe { read_volatile(addr_of!((*self.raw).protocol)) == ETH_P_IPV6 }
    }

    /// The index of the interface.
    #[inline(always)]
    pub fn interface(self) -> u32 {
        // SAFETY: as above.
        unsafe { read_volatile(addr_of!((*self.raw).ifindex)) }
    }

    /// The index of the interface of this namespace that it came in by; 0 for what was made here.
    #[inline(always)]
    pub fn came_by(self) -> u32 {
        // SAFETY: as above.
        unsafe { read_volatile(addr_of!((*self.raw).ingress_ifindex)) }
    }

    /// The socket's cookie, 0 when it has none.
    #[inline(always)]
    pub fn cookie(self) -> u64 {
        // SAFETY: the helper takes the context pointer of a packet program.
        unsafe { bpf_get_socket_cookie(self.raw.cast()) }
    }

    /// The cgroup of its socket; 0 without one.
    #[inline(always)]
    pub fn cgroup(self) -> CgroupId {
        // SAFETY: as above.
        CgroupId::new(unsafe { bpf_skb_cgroup_id(self.raw) })
    }

    /// The ancestor of that at a depth; 0 when it is not that deep.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // a depth is below 256
    pub fn ancestor_cgroup(self, level: u64) -> CgroupId {
        // SAFETY: as above.
        CgroupId::new(unsafe { bpf_skb_ancestor_cgroup_id(self.raw, level as i32) })
    }

    /// The network namespace of its socket. Only where [`crate::ctx::tells_namespace`].
    #[inline(always)]
    pub fn namespace(&self) -> NetnsCookie {
        // SAFETY: the helper takes the context pointer of a packet program.
        NetnsCookie::new(unsafe { bpf_get_netns_cookie(self.raw.cast()) })
    }

    /// Its socket, if that is a whole one: not a connection that is being made or has ended.
    #[inline(always)]
    pub fn socket(self) -> Option<PacketSocket> {
        // SAFETY: the context pointer; the verifier wants it checked before it is used.
        let socket = unsafe { (*self.raw).__bindgen_anon_2.sk };
        if socket.is_null() {
            return None;
        }
        // SAFETY: the helper takes the socket of the context.
        let raw = NonNull::new(unsafe { bpf_sk_fullsock(socket) })?;
        Some(PacketSocket { raw })
    }

    /// The checksum that is still to be written into it. None: its bytes stay as they are.
    #[inline(always)]
    pub fn partial_checksum(self) -> Option<PartialChecksum> {
        let Some(summed) = self.peek::<u8>(offset(&KERNEL.skb_ip_summed)) else {
            return Some(PartialChecksum::UNREADABLE);
        };
        if (summed >> offset(&KERNEL.skb_ip_summed_shift)) & CHECKSUM_PARTIAL != CHECKSUM_PARTIAL {
            return None;
        }
        Some(self.where_it_is_written().unwrap_or(PartialChecksum::UNREADABLE))
    }

    /// The kernel counts from the buffer's beginning, programs from the frame's.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // a buffer has less than 64 KiB before its frame
    fn where_it_is_written(self) -> Option<PartialChecksum> {
        let [head, data] = self.peek::<[u64; 2]>(offset(&KERNEL.skb_head))?;
        let [start, written] = self.peek::<[u16; 2]>(offset(&KERNEL.skb_csum_start))?;
        let start = (start as u32).wrapping_sub(data.wrapping_sub(head) as u32);
        Some(PartialChecksum { start, offset: written as u32 })
    }

    /// The inode of the network namespace that its interface is in; 0 if that cannot be read.
    #[inline(always)]
    pub fn network_inode(self) -> u32 {
        let Some(device) = self.peek::<u64>(offset(&KERNEL.skb_dev)) else { return 0 };
        let Some(network) = peek::<u64>(device, offset(&KERNEL.device_net)) else { return 0 };
        peek::<u32>(network, offset(&KERNEL.net_inum)).unwrap_or(0)
    }

    /// Whether it goes by the loopback interface.
    #[inline(always)]
    pub fn is_by_loopback(self) -> bool {
        self.interface() == LOOPBACK
    }

    /// Whether it was sent to a group here, and is heard here: then it has the interface that it leaves by.
    #[inline(always)]
    pub fn is_looped_back(self) -> bool {
        // SAFETY: the context pointer; an aligned 4-byte field.
        unsafe { read_volatile(addr_of!((*self.raw).pkt_type)) == PACKET_LOOPBACK }
    }

    /// Whether its network namespace is the node's own.
    #[inline(always)]
    pub fn is_in_nodes_network(self) -> bool {
        self.network_inode() == node_network()
    }

    /// What the kernel's own structure has there: the context pointer of a packet's program is that of its `sk_buff`.
    #[inline(always)]
    fn peek<T>(self, at: usize) -> Option<T> {
        peek(self.raw as u64, at)
    }

    /// Brings the bytes before `end` into memory that is the packet's alone; false if it ends before.
    #[inline(always)]
    fn pull(self, end: u32) -> bool {
        // SAFETY: the context pointer; aligned 4-byte fields, which the kernel makes pointers of.
        let (data, data_end) = unsafe {
            (
                read_volatile(addr_of!((*self.raw).data)) as u64,
                read_volatile(addr_of!((*self.raw).data_end)) as u64,
            )
        };
        // SAFETY: the helper takes the context pointer of an interface's program.
        u64::from(end) <= data_end.wrapping_sub(data) || unsafe { bpf_skb_pull_data(self.raw, end) == 0 }
    }

    /// Makes it as long as this; what is new is zero.
    #[inline(always)]
    pub fn resize(self, length: u32) -> bool {
        // SAFETY: the helper takes the context pointer of an interface's program.
        unsafe { bpf_skb_change_tail(self.raw, length, 0) == 0 }
    }

    /// Writes `bytes` over what is at `at`.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // headers
    pub fn store<const N: usize>(self, at: u32, bytes: &[u8; N]) -> bool {
        // SAFETY: as above; `bytes` is as long as is said.
        unsafe { bpf_skb_store_bytes(self.raw, at, bytes.as_ptr().cast(), N as u32, 0) == 0 }
    }

    /// Sends it out by the interface that it came in by; what the program has to return.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // an action
    pub fn send_back(self) -> i32 {
        // SAFETY: the helper takes numbers only.
        unsafe { bpf_redirect(self.interface(), 0) as i32 }
    }
}

impl Frame for Skb {
    #[inline(always)]
    fn length(&self) -> u32 {
        // SAFETY: the context pointer; an aligned 4-byte field.
        unsafe { read_volatile(addr_of!((*self.raw).len)) }
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // headers
    fn load<const N: usize>(&self, at: u32, into: &mut [u8; N]) -> bool {
        // SAFETY: as above; `into` is as long as is said.
        unsafe { bpf_skb_load_bytes(self.raw.cast(), at, into.as_mut_ptr().cast(), N as u32) == 0 }
    }

    #[inline(always)]
    fn same(number: u32) -> u32 {
        forgotten(number)
    }
}

/// A packet at an interface, read by bytes that nobody else can change any more.
///
/// Whoever sends may have left them in pages of his own (`splice`, the rings of packet sockets) and may write there at any time: what is
/// judged would not be what is sent. What sockets of a cgroup send has headers that the kernel has made or copied.
#[derive(Clone, Copy)]
pub struct Pulled(pub Skb);

impl Frame for Pulled {
    #[inline(always)]
    fn length(&self) -> u32 {
        self.0.length()
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // headers
    fn load<const N: usize>(&self, at: u32, into: &mut [u8; N]) -> bool {
        self.0.pull(at + N as u32) && self.0.load(at, into)
    }

    #[inline(always)]
    fn same(number: u32) -> u32 {
        Skb::same(number)
    }
}

/// A packet as a program reads it.
pub trait Readable: Frame + Copy {
    /// All else that is known of it.
    fn skb(self) -> Skb;
}

impl Readable for Skb {
    #[inline(always)]
    fn skb(self) -> Skb {
        self
    }
}

impl Readable for Pulled {
    #[inline(always)]
    fn skb(self) -> Skb {
        self.0
    }
}

/// As much of a header as is read. Aligned, it is read by words, with less on the stack.
#[repr(align(8))]
pub struct Header<const N: usize>(pub [u8; N]);

impl<const N: usize> Header<N> {
    /// Nothing yet.
    pub const NONE: Self = Self([0; N]);
}

/// The ones' complement sum (RFC 1071) of `bytes`, on top of `sum`, not folded yet.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a sum of 32 bits
pub fn checksum<const N: usize>(bytes: &mut [u8; N], sum: u32) -> u32 {
    const { assert!(N.is_multiple_of(4)) }
    // SAFETY: the helper reads as many bytes as is said; nothing is subtracted.
    unsafe { bpf_csum_diff(core::ptr::null_mut(), 0, bytes.as_mut_ptr().cast(), N as u32, sum) as u32 }
}

/// The socket of a packet.
#[derive(Clone, Copy)]
pub struct PacketSocket {
    raw: NonNull<bpf_sock>,
}

impl PacketSocket {
    /// Over the socket of another context.
    #[inline(always)]
    pub const fn new(raw: *mut bpf_sock) -> Option<Self> {
        match NonNull::new(raw) {
            Some(raw) => Some(Self { raw }),
            None => None,
        }
    }

    /// Whether the kernel itself makes this protocol's packets for it: TCP and UDP sockets, not raw and packet sockets.
    #[inline(always)]
    pub fn speaks(&self, protocol: Protocol) -> bool {
        let socket = self.raw.as_ptr();
        // SAFETY: a whole socket; aligned 4-byte fields.
        let (family, kind, own) = unsafe {
            (
                read_volatile(addr_of!((*socket).family)),
                read_volatile(addr_of!((*socket).type_)),
                read_volatile(addr_of!((*socket).protocol)),
            )
        };
        // Of another family, the same numbers mean something else.
        (family == AF_INET || family == AF_INET6)
            && (kind == SOCK_STREAM || kind == SOCK_DGRAM)
            && Protocol::from_ctx(own) == protocol
    }

    /// For the helpers that want it.
    #[inline(always)]
    pub const fn raw(&self) -> *mut bpf_sock {
        self.raw.as_ptr()
    }
}
