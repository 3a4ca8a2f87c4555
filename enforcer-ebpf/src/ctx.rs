//! Safe views of what the kernel hands to a program: the socket address, the task, the clock.

use core::marker::PhantomData;
use core::ptr::{addr_of, addr_of_mut, read_volatile, write_volatile};

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{bpf_sock, bpf_sock_addr};
use aya_ebpf::helpers::{
    bpf_get_current_ancestor_cgroup_id, bpf_get_current_cgroup_id, bpf_get_current_comm,
    bpf_get_current_pid_tgid, bpf_get_prandom_u32, bpf_get_socket_cookie, bpf_ktime_get_ns,
};
use aya_ebpf::programs::SockAddrContext;
use enforcer_common::addr::{Addr, Port, Protocol};
use enforcer_common::key::CgroupId;
use enforcer_common::verdict::Backend;

/// The two address families of `bpf_sock_addr`: which of its fields hold the address.
pub trait Family {
    /// Reads the destination.
    fn destination(sock: *mut bpf_sock_addr) -> Addr;
    /// Writes the destination.
    fn set_destination(sock: *mut bpf_sock_addr, addr: Addr);
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

    #[inline(always)]
    fn socket(&self) -> *mut bpf_sock {
        let sock = self.ctx.sock_addr;
        // SAFETY: the context pointer; the kernel always sets the socket of a sock_addr program.
        unsafe { (*sock).__bindgen_anon_1.sk }
    }

    /// Sends it elsewhere.
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
