//! Programs of a few instructions that do one thing to every frame an interface receives.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_LINK_DETACH: libc::c_int = 34;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_TCX_INGRESS: u32 = 46;
const BPF_F_BEFORE: u32 = 8;
/// `exit`.
const EXIT: u64 = 0x95;
/// `r0 = TC_ACT_SHOT; exit`.
const DROP: [u64; 2] = [0x0000_0002_0000_00b7, EXIT];
/// `r0 = TCX_NEXT; exit`.
const NEXT: [u64; 2] = [0xffff_ffff_0000_00b7, EXIT];
const LICENSE: &std::ffi::CStr = c"Apache-2.0";

/// The first fields of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
}

/// ... for `BPF_LINK_CREATE` on an interface.
#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
}

/// A program on an interface, until this is dropped.
#[derive(Debug)]
pub struct Classifier(OwnedFd);

impl Drop for Classifier {
    /// Closing is not enough: a child that was just born may have the descriptor for a while.
    fn drop(&mut self) {
        let link = self.0.as_raw_fd();
        // SAFETY: the kernel reads the descriptor and no more. It fails only when there is no program any more.
        unsafe {
            libc::syscall(libc::SYS_bpf, BPF_LINK_DETACH, std::ptr::from_ref(&link), size_of_val(&link))
        };
    }
}

/// Drops what an interface of this thread's network namespace receives: behind all other programs, or before them.
pub(crate) fn wall(interface: u32, first: bool) -> io::Result<Classifier> {
    attach(interface, first, &DROP)
}

/// Hands what an interface of this thread's network namespace receives to the other end of the veth pair `veth`, past all that is at
/// this end of it.
pub(crate) fn redirect_peer(interface: u32, veth: u32) -> io::Result<Classifier> {
    // r1 = veth; r2 = 0; call bpf_redirect_peer; exit.
    attach(interface, true, &[0x01b7 | u64::from(veth) << 32, 0x02b7, 0x0000_009b_0000_0085, EXIT])
}

/// Takes a place and does nothing.
pub(crate) fn bystander(interface: u32) -> io::Result<Classifier> {
    attach(interface, false, &NEXT)
}

fn attach(interface: u32, first: bool, code: &[u64]) -> io::Result<Classifier> {
    let program = bpf(
        BPF_PROG_LOAD,
        &ProgLoad {
            prog_type: BPF_PROG_TYPE_SCHED_CLS,
            insn_cnt: code.len().try_into().map_err(io::Error::other)?,
            insns: code.as_ptr() as u64,
            license: LICENSE.as_ptr() as u64,
        },
    )?;
    let prog_fd = u32::try_from(program.as_raw_fd()).map_err(io::Error::other)?;
    let (attach_type, flags) = (BPF_TCX_INGRESS, if first { BPF_F_BEFORE } else { 0 });
    let attributes = LinkCreate { prog_fd, target_ifindex: interface, attach_type, flags };
    bpf(BPF_LINK_CREATE, &attributes).map(Classifier)
}

fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads as many bytes as the attributes have, and what they point to lives in the caller.
    let made =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    match i32::try_from(made) {
        // SAFETY: the descriptor is new and nobody else's.
        Ok(made) if made >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(made) }),
        _ => Err(io::Error::last_os_error()),
    }
}
