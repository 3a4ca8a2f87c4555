//! Sending a frame by `AF_XDP`, with a copy: no driver needs to know of it.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::ptr;
use std::thread::sleep;
use std::time::Duration;

use super::area::Area;
use super::packet::set_option;

const FRAME: u32 = 4096;
const FRAMES: u32 = 4;
const ENTRIES: u32 = 4;
/// How long to wait for the kernel to have sent it, in milliseconds.
const PATIENCE_MS: u32 = 200;

/// What is said of a frame, in front of it (`struct xsk_tx_metadata`, Linux 6.11): how long that is, and its flags.
const METADATA: u32 = 24;
const WITH_METADATA: u32 = 1 << 2;
const HAS_METADATA: u32 = 1 << 1;
const NEEDS_CHECKSUM: u64 = 1 << 1;

/// Sends one frame out of the interface; how many bytes.
pub(crate) fn send(interface: u32, frame: &[u8]) -> io::Result<usize> {
    send_with(interface, frame, None)
}

/// The same, of a frame whose checksum is still to be written: what it covers, and where it goes from there.
pub(crate) fn send_with(interface: u32, frame: &[u8], checksum: Option<[u16; 2]>) -> io::Result<usize> {
    // SAFETY: takes no pointers.
    let raw = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW, 0) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(raw) };
    let memory = Area::anonymous((FRAME * FRAMES) as usize)?;
    let (at, options) = if checksum.is_some() { (METADATA, HAS_METADATA) } else { (0, 0) };
    if let Some([start, offset]) = checksum {
        let words = [NEEDS_CHECKSUM, u64::from(start) | u64::from(offset) << 16];
        memory.write(0, &words.map(u64::to_ne_bytes).concat())?;
    }
    memory.write(at as usize, frame)?;
    let flags = if checksum.is_some() { u64::from(METADATA) << 32 | u64::from(WITH_METADATA) } else { 0 };
    let registration = [memory.address(), u64::from(FRAME * FRAMES), u64::from(FRAME), flags];
    // Address, length, size of a chunk with no headroom after it (two words of 32 bits), flags and the length of metadata (the same).
    let registration: Vec<u8> = registration.iter().flat_map(|word| word.to_ne_bytes()).collect();
    set_option(socket.as_fd(), libc::SOL_XDP, libc::XDP_UMEM_REG, &registration)?;
    for ring in [libc::XDP_UMEM_FILL_RING, libc::XDP_UMEM_COMPLETION_RING, libc::XDP_TX_RING] {
        set_option(socket.as_fd(), libc::SOL_XDP, ring, &ENTRIES.to_ne_bytes())?;
    }
    let offsets = offsets(&socket)?;
    let size = |ring: &libc::xdp_ring_offset, entry: u64| place(ring.desc + u64::from(ENTRIES) * entry);
    let pages = i64::try_from(libc::XDP_UMEM_PGOFF_COMPLETION_RING).map_err(io::Error::other)?;
    let done = Area::of_file(socket.as_fd(), size(&offsets.cr, 8)?, pages)?;
    let transmit = Area::of_file(socket.as_fd(), size(&offsets.tx, 16)?, libc::XDP_PGOFF_TX_RING)?;
    // The memory of a socket that was closed just now is given up a little later.
    let mut bound = bind(&socket, interface);
    for _ in 0..PATIENCE_MS {
        if !bound.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY)) {
            break;
        }
        sleep(Duration::from_millis(1));
        bound = bind(&socket, interface);
    }
    bound?;
    let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
    // A descriptor: the address in the memory (64 bits), the length, options.
    let descriptor = [at, 0, length, options];
    let descriptor: Vec<u8> = descriptor.iter().flat_map(|word: &u32| word.to_ne_bytes()).collect();
    transmit.write(place(offsets.tx.desc)?, &descriptor)?;
    transmit.store(place(offsets.tx.producer)?, 1)?;
    // SAFETY: without a buffer the kernel reads what is in the ring.
    let kicked = unsafe { libc::send(socket.as_raw_fd(), ptr::null(), 0, libc::MSG_DONTWAIT) };
    if kicked < 0 {
        return Err(io::Error::last_os_error());
    }
    for _ in 0..PATIENCE_MS {
        if done.load(place(offsets.cr.producer)?)? == 1 {
            return Ok(frame.len());
        }
        sleep(Duration::from_millis(1));
    }
    Err(io::Error::from(io::ErrorKind::TimedOut))
}

/// A place in a ring.
fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(io::Error::other)
}

fn offsets(socket: &OwnedFd) -> io::Result<libc::xdp_mmap_offsets> {
    // SAFETY: all zeros are offsets.
    let mut offsets: libc::xdp_mmap_offsets = unsafe { std::mem::zeroed() };
    let mut length = size_of_val(&offsets).try_into().map_err(io::Error::other)?;
    let to = ptr::from_mut(&mut offsets).cast();
    // SAFETY: the kernel writes no more than the length, which is that of the offsets.
    let read = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_XDP, libc::XDP_MMAP_OFFSETS, to, &raw mut length)
    };
    if read == 0 { Ok(offsets) } else { Err(io::Error::last_os_error()) }
}

fn bind(socket: &OwnedFd, interface: u32) -> io::Result<()> {
    let address = libc::sockaddr_xdp {
        sxdp_family: u16::try_from(libc::AF_XDP).map_err(io::Error::other)?,
        sxdp_flags: libc::XDP_COPY,
        sxdp_ifindex: interface,
        sxdp_queue_id: 0,
        sxdp_shared_umem_fd: 0,
    };
    let length = size_of_val(&address).try_into().map_err(io::Error::other)?;
    // SAFETY: the address is as long as is said.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), ptr::from_ref(&address).cast(), length) };
    if bound == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
