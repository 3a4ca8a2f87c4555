//! The storage of single sockets: what each remembers of its translations. It dies with its socket.

use core::ptr::{NonNull, null_mut, read_volatile, write_volatile};

use aya_ebpf::bindings::BPF_SK_STORAGE_GET_F_CREATE;
use aya_ebpf::btf_maps::SkStorage;
use aya_ebpf::helpers::generated::{bpf_sk_storage_get, bpf_skc_to_mptcp_sock};
use aya_ebpf::macros::btf_map;
use enforcer_common::judged::{Judged, Tuple};
use enforcer_common::limits::REPLIES_PER_SOCKET;
use enforcer_common::socket::Translation;
use enforcer_common::verdict::Backend;

use crate::ctx::skb::PacketSocket;
use crate::ctx::{self, Family, SockAddr};
use crate::maps::lookups::{Looked, looked};

/// Written by the connect programs, read by getpeername, recvmsg and the next connect; nobody else. No memory: the
/// connection is denied.
#[btf_map]
static PEERS: SkStorage<Translation> = SkStorage::new();

/// Written by the sendmsg programs, read by recvmsg and the next sendmsg. No memory: the datagram is denied.
#[btf_map]
static REPLIES: SkStorage<[Translation; REPLIES_PER_SOCKET]> = SkStorage::new();

/// Written by the packet programs for their next packet, and by the connect and sendmsg programs for the packet programs: what was
/// decided over the socket's flow. No memory: every packet is decided over anew.
#[btf_map]
static JUDGED: SkStorage<Judged> = SkStorage::new();

/// What was decided over the flow of a packet's socket, if it is `tuple`'s. Read where it stands: only what fits is looked at further.
#[inline(always)]
pub fn judged(socket: &PacketSocket, tuple: &Tuple) -> Option<Judged> {
    looked(Looked::Storage);
    let map = (&raw const JUDGED).cast_mut().cast();
    // SAFETY: the helper takes the socket of the context, a whole one.
    let pointer = unsafe { bpf_sk_storage_get(map, socket.raw().cast(), null_mut(), 0) };
    if pointer.is_null() {
        return None;
    }
    // SAFETY: the storage of a living socket; what another thread writes meanwhile fails its seal.
    let judged: Judged = unsafe { read_volatile(pointer.cast()) };
    judged.is_of(tuple).then_some(judged)
}

/// Remembers what was decided. Without memory it is decided again.
#[inline(always)]
pub fn set_judged(socket: &PacketSocket, judged: Judged) {
    looked(Looked::Storage);
    let map = (&raw const JUDGED).cast_mut().cast();
    let flags = u64::from(BPF_SK_STORAGE_GET_F_CREATE);
    // SAFETY: as above; the kernel makes a value of zeros.
    let pointer = unsafe { bpf_sk_storage_get(map, socket.raw().cast(), null_mut(), flags) };
    if !pointer.is_null() {
        // SAFETY: as above.
        unsafe { write_volatile(pointer.cast(), judged.sealed()) };
    }
}

/// What the socket of a packet remembers of having been sent to `target` instead of what it had asked for.
#[inline(always)]
fn translation(socket: &PacketSocket, target: &Backend) -> Option<NonNull<Translation>> {
    looked(Looked::Storage);
    let map = (&raw const PEERS).cast_mut().cast();
    // SAFETY: as above.
    let pointer = unsafe { bpf_sk_storage_get(map, socket.raw().cast(), null_mut(), 0) };
    if let Some(peer) = NonNull::new(pointer.cast::<Translation>()) {
        // SAFETY: as above.
        let kept = unsafe { read_volatile(peer.as_ptr()) };
        if kept.asked_for(target).is_some() {
            return Some(peer);
        }
    }
    looked(Looked::Storage);
    let map = (&raw const REPLIES).cast_mut().cast();
    // SAFETY: as above.
    let pointer = unsafe { bpf_sk_storage_get(map, socket.raw().cast(), null_mut(), 0) };
    let replies = Replies { first: NonNull::new(pointer.cast::<Translation>())?.as_ptr() };
    let place = replies.position(|kept| kept.backend_differs(target))?;
    // SAFETY: within the array, by the mask, which the verifier sees.
    NonNull::new(unsafe { replies.first.add(place & LAST_REPLY) })
}

/// What the socket of a packet asked for when it was sent to `target` instead ([`Backend::NONE`] when it asked for that itself), and when
/// `target` was missed first.
#[inline(always)]
pub fn asked_for(socket: &PacketSocket, target: &Backend) -> (Backend, u32) {
    let Some(kept) = translation(socket, target) else { return (Backend::NONE, 0) };
    // SAFETY: the storage of a living socket; what another thread writes meanwhile fails its check.
    let kept = unsafe { read_volatile(kept.as_ptr()) };
    (kept.asked_for(target).unwrap_or(Backend::NONE), kept.missed())
}

/// Remembers with the translation when its endpoint was missed first.
#[inline(always)]
pub fn set_missed(socket: &PacketSocket, target: &Backend, second: u32) {
    if let Some(kept) = translation(socket, target) {
        // SAFETY: an aligned word of the storage of a living socket.
        unsafe { write_volatile(kept.as_ptr().cast::<u8>().add(Translation::MISSED_AT).cast(), second) };
    }
}

/// What a socket remembers of its peer.
#[inline(always)]
pub fn peer<F: Family>(sock: &SockAddr<F>) -> Translation {
    looked(Looked::Storage);
    // SAFETY: the helper takes the socket of the context.
    let pointer = unsafe { PEERS.get_ptr_mut(sock.raw()) };
    if pointer.is_null() {
        return Translation::EMPTY;
    }
    // SAFETY: the storage of a living socket; what another thread writes meanwhile fails its check.
    unsafe { read_volatile(pointer) }
}

/// Remembers the peer; whether there was memory for it.
#[inline(always)]
pub fn set_peer<F: Family>(sock: &SockAddr<F>, peer: Translation) -> bool {
    looked(Looked::Storage);
    // SAFETY: as above; without a value the kernel makes one of zeros.
    let pointer = unsafe { PEERS.get_or_insert_ptr_mut(sock.raw(), None) };
    if pointer.is_null() {
        return false;
    }
    // SAFETY: as above.
    unsafe { write_volatile(pointer, peer) };
    set_mptcp_peer(sock, peer);
    true
}

/// The connection of an MPTCP socket is made by a subflow, which is what the hook meets; `getpeername` asks the socket
/// itself. Without the helper (before 5.19) it shows the endpoint.
#[inline(always)]
fn set_mptcp_peer<F: Family>(sock: &SockAddr<F>, peer: Translation) {
    if !ctx::has_mptcp_helper() {
        return;
    }
    // SAFETY: the helper takes the socket of the context, and gives null for one that is no subflow.
    let socket = unsafe { bpf_skc_to_mptcp_sock(sock.socket().cast()) };
    if socket.is_null() {
        return;
    }
    looked(Looked::Storage);
    let map = (&raw const PEERS).cast_mut().cast();
    let flags = u64::from(BPF_SK_STORAGE_GET_F_CREATE);
    // SAFETY: the helper takes any socket that the kernel itself gave; the kernel makes a value of zeros.
    let pointer = unsafe { bpf_sk_storage_get(map, socket.cast(), null_mut(), flags) };
    if !pointer.is_null() {
        // SAFETY: as above.
        unsafe { write_volatile(pointer.cast(), peer) };
    }
}

/// Forgets the peer, if there is one.
#[inline(always)]
pub fn forget_peer<F: Family>(sock: &SockAddr<F>) {
    // SAFETY: the helper takes the socket of the context; a socket that remembers nothing is no error.
    let _ = unsafe { PEERS.delete(sock.socket()) };
}

const LAST_REPLY: usize = REPLIES_PER_SOCKET - 1;
const _: () = assert!(REPLIES_PER_SOCKET.is_power_of_two());

/// The translations of an unconnected socket.
pub struct Replies {
    first: *mut Translation,
}

impl Replies {
    /// The one at `index`.
    #[inline(always)]
    pub fn get(&self, index: usize) -> Translation {
        // SAFETY: within the array, by the mask, which the verifier sees; see `peer`.
        unsafe { read_volatile(self.first.add(index & LAST_REPLY)) }
    }

    /// Replaces the one at `index`.
    #[inline(always)]
    pub fn set(&self, index: usize, translation: Translation) {
        // SAFETY: as above.
        unsafe { write_volatile(self.first.add(index & LAST_REPLY), translation) }
    }
}

/// The translations of a socket that has some.
#[inline(always)]
pub fn replies<F: Family>(sock: &SockAddr<F>) -> Option<Replies> {
    looked(Looked::Storage);
    // SAFETY: the helper takes the socket of the context.
    let pointer = unsafe { REPLIES.get_ptr_mut(sock.raw()) };
    (!pointer.is_null()).then_some(Replies { first: pointer.cast() })
}

/// The translations of a socket, made when there are none yet; `None` without memory.
#[inline(always)]
pub fn make_replies<F: Family>(sock: &SockAddr<F>) -> Option<Replies> {
    looked(Looked::Storage);
    // SAFETY: as above; without a value the kernel makes one of zeros.
    let pointer = unsafe { REPLIES.get_or_insert_ptr_mut(sock.raw(), None) };
    (!pointer.is_null()).then_some(Replies { first: pointer.cast() })
}
