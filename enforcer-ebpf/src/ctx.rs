//! Safe views of what the kernel hands to a program: the socket address, the task, the clock.

mod kernel;
pub mod skb;

pub use kernel::{ignores_interfaces, node_network};

use core::arch::asm;
use core::marker::PhantomData;
use core::ptr::{addr_of, addr_of_mut, read_volatile, write_volatile};

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{bpf_sock, bpf_sock_addr};
use aya_ebpf::helpers::generated::bpf_get_netns_cookie;
use aya_ebpf::helpers::{
    bpf_get_current_ancestor_cgroup_id, bpf_get_current_cgroup_id, bpf_get_current_comm,
    bpf_get_current_pid_tgid, bpf_get_prandom_u32, bpf_get_socket_cookie, bpf_ktime_get_ns,
};
use aya_ebpf::programs::{SockAddrContext, SockContext};
use enforcer_common::addr::{Addr, Port, Protocol};
use enforcer_common::key::{CgroupId, NetnsCookie};
use enforcer_common::verdict::Backend;

use skb::PacketSocket;

/// `SOCK_RAW`
const SOCK_RAW: u32 = 3;
/// `AF_INET6`
const AF_INET6: u32 = 10;
/// `TCP_ESTABLISHED`, which a connected UDP socket is in as well.
const TCP_ESTABLISHED: u32 = 1;

/// Written by the loader: 1 where the kernel has `bpf_skc_to_mptcp_sock` (5.19). What it switches off, the verifier never sees.
#[unsafe(no_mangle)]
static HAS_MPTCP_HELPER: u8 = 0;

/// Whether an MPTCP socket can be found by its subflow.
#[inline(always)]
pub fn has_mptcp_helper() -> bool {
    // SAFETY: a byte of the program's own read-only data, which LLVM must not take for the constant that stands here.
    unsafe { read_volatile(&raw const HAS_MPTCP_HELPER) == 1 }
}

/// Written by the loader: 1 where programs of packets have `bpf_get_netns_cookie` (6.15).
#[unsafe(no_mangle)]
static TELLS_NAMESPACE: u8 = 0;

/// Whether a packet tells the network namespace of its socket.
#[inline(always)]
pub fn tells_namespace() -> bool {
    // SAFETY: as above.
    unsafe { read_volatile(&raw const TELLS_NAMESPACE) == 1 }
}

/// The two address families of `bpf_sock_addr`: which of its fields hold the address.
pub trait Family {
    /// Reads the destination.
    fn destination(sock: *mut bpf_sock_addr) -> Addr;
    /// Writes the destination.
    fn set_destination(sock: *mut bpf_sock_addr, addr: Addr);
    /// Whether it can hold this address.
    fn holds(addr: &Addr) -> bool;
    /// Reads the socket's own address.
    fn source(sock: *mut bpf_sock) -> Addr;
}

/// `user_ip4`.
pub struct V4;

/// `user_ip6`.
pub struct V6;

impl Family for V4 {
    #[inline(always)]
    fn destination(sock: *mut bpf_sock_addr) -> Addr {
        // SAFETY: `sock` is the context pointer of a sock_addr program; an aligned 4-byte field of it.
        Addr::from_v4_word(unsafe { read_volatile(addr_of!((*sock).user_ip4)) })
    }

    #[inline(always)]
    fn set_destination(sock: *mut bpf_sock_addr, addr: Addr) {
        // SAFETY: as above; the verdict gives an IPv4 destination an IPv4 backend only.
        unsafe { write_volatile(addr_of_mut!((*sock).user_ip4), addr.v4_word()) }
    }

    #[inline(always)]
    fn holds(addr: &Addr) -> bool {
        addr.is_v4()
    }

    #[inline(always)]
    fn source(sock: *mut bpf_sock) -> Addr {
        // SAFETY: the socket of the context; an aligned 4-byte field of it.
        Addr::from_v4_word(unsafe { read_volatile(addr_of!((*sock).src_ip4)) })
    }
}

impl Family for V6 {
    #[inline(always)]
    fn destination(sock: *mut bpf_sock_addr) -> Addr {
        // SAFETY: as above; the verifier wants the four words read one by one.
        Addr::from_words(unsafe {
            [
                read_volatile(addr_of!((*sock).user_ip6[0])),
                read_volatile(addr_of!((*sock).user_ip6[1])),
                read_volatile(addr_of!((*sock).user_ip6[2])),
                read_volatile(addr_of!((*sock).user_ip6[3])),
            ]
        })
    }

    #[inline(always)]
    fn set_destination(sock: *mut bpf_sock_addr, addr: Addr) {
        let words = addr.words();
        // SAFETY: as above.
        unsafe {
            write_volatile(addr_of_mut!((*sock).user_ip6[0]), words[0]);
            write_volatile(addr_of_mut!((*sock).user_ip6[1]), words[1]);
            write_volatile(addr_of_mut!((*sock).user_ip6[2]), words[2]);
            write_volatile(addr_of_mut!((*sock).user_ip6[3]), words[3]);
        }
    }

    #[inline(always)]
    fn holds(_: &Addr) -> bool {
        true
    }

    #[inline(always)]
    fn source(sock: *mut bpf_sock) -> Addr {
        // SAFETY: as above, word by word.
        Addr::from_words(unsafe {
            [
                read_volatile(addr_of!((*sock).src_ip6[0])),
                read_volatile(addr_of!((*sock).src_ip6[1])),
                read_volatile(addr_of!((*sock).src_ip6[2])),
                read_volatile(addr_of!((*sock).src_ip6[3])),
            ]
        })
    }
}

/// The context of a connect or sendmsg program.
pub struct SockAddr<F> {
    ctx: SockAddrContext,
    family: PhantomData<F>,
}

impl<F: Family> SockAddr<F> {
    /// Over the context that the kernel passed.
    #[inline(always)]
    pub fn new(ctx: SockAddrContext) -> Self {
        Self { ctx, family: PhantomData }
    }

    /// The protocol of the socket.
    #[inline(always)]
    pub fn protocol(&self) -> Protocol {
        let sock = self.ctx.sock_addr;
        // SAFETY: the context pointer; an aligned 4-byte field.
        Protocol::from_ctx(unsafe { read_volatile(addr_of!((*sock).protocol)) })
    }

    /// Where it wants to go.
    #[inline(always)]
    pub fn destination(&self) -> Addr {
        F::destination(self.ctx.sock_addr)
    }

    /// At which port.
    #[inline(always)]
    pub fn port(&self) -> Port {
        let sock = self.ctx.sock_addr;
        // SAFETY: as above.
        Port::from_ctx(unsafe { read_volatile(addr_of!((*sock).user_port)) })
    }

    /// The socket's own address and port, as far as they are chosen.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // a port
    pub fn source(&self) -> (Addr, Port) {
        let socket = self.socket();
        // SAFETY: the socket of the context; an aligned 4-byte field, in host order.
        let port = unsafe { read_volatile(addr_of!((*socket).src_port)) };
        (F::source(socket), Port::new(port as u16))
    }

    /// The kernel's socket, for the helpers that want it.
    #[inline(always)]
    pub fn socket(&self) -> *mut bpf_sock {
        let sock = self.ctx.sock_addr;
        // SAFETY: the context pointer; the kernel always sets the socket of a sock_addr program.
        unsafe { (*sock).__bindgen_anon_1.sk }
    }

    /// Where it wants to go, as one.
    #[inline(always)]
    pub fn target(&self) -> Backend {
        Backend { addr: self.destination(), port: self.port() }
    }

    /// Whether it is an IPv6 socket: those meet the IPv4 hooks, too.
    #[inline(always)]
    pub fn is_v6_socket(&self) -> bool {
        let sock = self.ctx.sock_addr;
        // SAFETY: as above; the family of the socket, not that of the address.
        unsafe { read_volatile(addr_of!((*sock).family)) == AF_INET6 }
    }

    /// Whether a UDP socket is connected.
    #[inline(always)]
    pub fn is_connected(&self) -> bool {
        let socket = self.socket();
        // SAFETY: the socket of the context; an aligned 4-byte field.
        unsafe { read_volatile(addr_of!((*socket).state)) == TCP_ESTABLISHED }
    }

    /// The network namespace of the socket.
    #[inline(always)]
    pub fn namespace(&self) -> NetnsCookie {
        // SAFETY: the helper takes the context pointer of a sock_addr program.
        NetnsCookie::new(unsafe { bpf_get_netns_cookie(self.ctx.as_ptr()) })
    }

    /// The socket, as packets have it.
    #[inline(always)]
    pub fn as_packets_have_it(&self) -> Option<PacketSocket> {
        PacketSocket::new(self.socket())
    }

    /// The kernel's context, for the helpers that want it.
    #[inline(always)]
    pub const fn raw(&self) -> &SockAddrContext {
        &self.ctx
    }

    /// Puts another address in the place of the one that was asked for, or of the one that answered.
    #[inline(always)]
    pub fn rewrite(&self, backend: Backend) {
        let sock = self.ctx.sock_addr;
        F::set_destination(sock, backend.addr);
        // SAFETY: as above.
        unsafe { write_volatile(addr_of_mut!((*sock).user_port), backend.port.to_ctx()) }
    }

    /// The socket's cookie.
    #[inline(always)]
    pub fn cookie(&self) -> u64 {
        // SAFETY: the helper takes the context pointer of a sock_addr program.
        unsafe { bpf_get_socket_cookie(self.ctx.as_ptr()) }
    }
}

/// The context of a program that meets a new socket.
pub struct Sock {
    ctx: SockContext,
}

impl Sock {
    /// Over the context that the kernel passed.
    #[inline(always)]
    pub const fn new(ctx: SockContext) -> Self {
        Self { ctx }
    }

    /// The protocol that was asked for.
    #[inline(always)]
    pub fn protocol(&self) -> Protocol {
        // SAFETY: the context pointer; an aligned 4-byte field.
        Protocol::from_ctx(unsafe { read_volatile(addr_of!((*self.ctx.sock).protocol)) })
    }

    /// Whether its packets are made by its program: no protocol of it speaks for them.
    #[inline(always)]
    pub fn is_raw(&self) -> bool {
        // SAFETY: as above.
        unsafe { read_volatile(addr_of!((*self.ctx.sock).type_)) == SOCK_RAW }
    }

    /// Its network namespace.
    #[inline(always)]
    pub fn namespace(&self) -> NetnsCookie {
        // SAFETY: the helper takes the context pointer of a sock program.
        NetnsCookie::new(unsafe { bpf_get_netns_cookie(self.ctx.as_ptr()) })
    }

    /// The socket's cookie.
    #[inline(always)]
    pub fn cookie(&self) -> u64 {
        // SAFETY: the helper takes the context pointer of a sock program.
        unsafe { bpf_get_socket_cookie(self.ctx.as_ptr()) }
    }
}

/// The id of the task's cgroup at a depth; 0 when it is not that deep.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // a depth is below 256
pub fn ancestor_cgroup(level: u64) -> CgroupId {
    // SAFETY: the helper only reads the current task.
    CgroupId::new(unsafe { bpf_get_current_ancestor_cgroup_id(level as i32) })
}

/// The id of the task's own cgroup.
#[inline(always)]
pub fn own_cgroup() -> CgroupId {
    // SAFETY: as above.
    CgroupId::new(unsafe { bpf_get_current_cgroup_id() })
}

/// Nanoseconds since boot.
#[inline(always)]
pub fn now_ns() -> u64 {
    // SAFETY: the helper has no arguments.
    unsafe { bpf_ktime_get_ns() }
}

/// Seconds since boot.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // a century
pub fn now_second() -> u32 {
    (now_ns() / 1_000_000_000) as u32
}

/// All ones for zero, zero for all else, without a branch in the eyes of LLVM and the verifier.
#[inline(always)]
pub fn ones_if_zero(number: u32) -> usize {
    let mut mask = (number as usize).wrapping_sub(1);
    // SAFETY: an arithmetic shift of a register.
    unsafe { asm!("{mask} s>>= 63", mask = inout(reg) mask) };
    mask
}

/// The same number, of which LLVM knows nothing more.
#[inline(always)]
pub fn hidden(number: u32) -> u32 {
    let mut hidden = number;
    // SAFETY: a register moved to itself (without any instruction the line information is invalid to the kernel).
    unsafe { asm!("{0} = {0}", inout(reg) hidden) };
    hidden
}

/// The same number, of which the verifier knows nothing more: it does not follow bytes that are swapped.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // it came from as many bits
pub fn forgotten(number: u32) -> u32 {
    let mut forgotten = number as u64;
    // SAFETY: the bytes of a register, swapped twice.
    unsafe { asm!("{0} = be64 {0}", "{0} = be64 {0}", inout(reg) forgotten) };
    forgotten as u32
}

/// The same value, word by word, of which the verifier knows nothing more: what comes next is walked once, and not once for each way
/// that led here. `T` has no padding.
#[inline(always)]
pub fn forget<T>(value: &mut T) {
    const { assert!(size_of::<T>().is_multiple_of(8) && align_of::<T>() == 8) }
    let words = core::ptr::from_mut(value).cast::<u64>();
    for index in 0..size_of::<T>() / 8 {
        // SAFETY: within the value, aligned; all bits stay as they are.
        unsafe {
            let mut word = read_volatile(words.add(index));
            asm!("{0} = be64 {0}", "{0} = be64 {0}", inout(reg) word);
            write_volatile(words.add(index), word);
        }
    }
}

/// Any number.
#[inline(always)]
pub fn random() -> u32 {
    // SAFETY: the helper has no arguments.
    unsafe { bpf_get_prandom_u32() }
}

/// The process id in the initial pid namespace.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // the upper half is the thread group id
pub fn pid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// The thread's name.
#[inline(always)]
pub fn command() -> [u8; 16] {
    bpf_get_current_comm().unwrap_or([0; 16])
}
