//! Packet sockets: their addresses, options of any kind, frames as they were on the wire, and sending through a ring.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr;

use socket2::{SockAddr, SockAddrStorage, Socket};

use super::area::Area;
use super::flip::Flip;

/// A VLAN tag as it is on the wire, and the bytes of both MAC addresses before it.
const TAG_AT: usize = 12;
/// Where the frame begins in a slot of a ring of the second version: after its header.
const RING_DATA: usize = 32;
const RING_SIZE: usize = 4096;
const TPACKET_V2: libc::c_int = 1;
const SEND_REQUEST: u32 = 1;

/// The address of an interface on its link.
pub(crate) fn link(index: u32, ethertype: u16, mac: [u8; 6]) -> io::Result<SockAddr> {
    let mut storage = SockAddrStorage::zeroed();
    let mut sll_addr = [0; 8];
    sll_addr[..mac.len()].copy_from_slice(&mac);
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).map_err(io::Error::other)?,
        sll_protocol: ethertype.to_be(),
        sll_ifindex: index.try_into().map_err(io::Error::other)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr,
    };
    let length = size_of::<libc::sockaddr_ll>().try_into().map_err(io::Error::other)?;
    // SAFETY: the storage is larger than `sockaddr_ll` and aligned for every address; the length is that of what it holds.
    unsafe {
        *storage.view_as::<libc::sockaddr_ll>() = address;
        Ok(SockAddr::new(storage, length))
    }
}

/// `setsockopt` with these bytes.
pub(crate) fn set_option(socket: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    let length = value.len().try_into().map_err(io::Error::other)?;
    // SAFETY: the kernel reads as many bytes as the slice has.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value.as_ptr().cast(), length) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How many frames the kernel had no room for since the last time.
pub(crate) fn dropped(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
    let mut length = size_of_val(&statistics).try_into().map_err(io::Error::other)?;
    let to = ptr::from_mut(&mut statistics).cast();
    // SAFETY: the kernel writes no more than the length, which is that of the statistics.
    let done = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_PACKET, libc::PACKET_STATISTICS, to, &raw mut length)
    };
    if done == 0 { Ok(statistics.tp_drops) } else { Err(io::Error::last_os_error()) }
}

/// The next frame that waits, as it was on the wire: the tag that the kernel keeps beside it is put back.
/// `PACKET_AUXDATA` must be on. `None` when nothing waits.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<Vec<u8>>> {
    let mut control = [0_u64; 16];
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all zeros are a message of nothing.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    // SAFETY: the kernel writes into the buffer and the control space, both as long as the message says.
    let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    let Ok(length) = usize::try_from(received) else {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
    };
    let mut frame = buffer[..length.min(buffer.len())].to_vec();
    if let Some(tag) = tag(&message)
        && frame.len() >= TAG_AT
    {
        frame.splice(TAG_AT..TAG_AT, tag);
    }
    Ok(Some(frame))
}

/// The VLAN tag that came beside a frame.
fn tag(message: &libc::msghdr) -> Option<[u8; 4]> {
    // SAFETY: the message was filled by `recvmsg`, and its control space lives.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: not null, so it is a header within the control space, with its data behind it.
        let (level, kind, data) =
            unsafe { ((*header).cmsg_level, (*header).cmsg_type, libc::CMSG_DATA(header)) };
        if level == libc::SOL_PACKET && kind == libc::PACKET_AUXDATA {
            // SAFETY: data of this kind is a `tpacket_auxdata`.
            let auxiliary: libc::tpacket_auxdata = unsafe { ptr::read_unaligned(data.cast()) };
            let valid = auxiliary.tp_status & libc::TP_STATUS_VLAN_VALID != 0;
            let [a, b] = auxiliary.tp_vlan_tpid.to_be_bytes();
            let [c, d] = auxiliary.tp_vlan_tci.to_be_bytes();
            return valid.then_some([a, b, c, d]);
        }
        // SAFETY: as above.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    None
}

/// Sends a frame by `PACKET_TX_RING`. The socket is bound to its interface.
pub(crate) fn ring_send(socket: &Socket, frame: &[u8]) -> io::Result<usize> {
    let area = ring(socket, frame)?;
    area.store(0, SEND_REQUEST)?;
    // SAFETY: without a buffer the kernel reads what is in the ring.
    let sent = unsafe { libc::send(socket.as_raw_fd(), ptr::null(), 0, 0) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    match area.load(0)? {
        0 => usize::try_from(sent).map_err(io::Error::other),
        status => Err(io::Error::other(format!("the ring's slot has the status {status}"))),
    }
}

/// Sends a packet by `PACKET_TX_RING` while a word of it is flipped there; how many of them the interface took. The socket is one
/// whose frames the kernel begins: so the packet begins at a multiple of four.
pub(crate) fn ring_flip(socket: &Socket, to: &SockAddr, packet: &[u8], flip: Flip) -> io::Result<usize> {
    let area = ring(socket, packet)?;
    flip.around(area.word(RING_DATA + flip.at)?, || {
        area.store(0, SEND_REQUEST)?;
        match socket.send_to(&[], to) {
            Ok(_) => Ok(true),
            // Dropped on its way into the interface, by a program there.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(false),
            Err(error) => Err(error),
        }
    })
}

/// Makes a ring of one slot, with this in it.
fn ring(socket: &Socket, bytes: &[u8]) -> io::Result<Area> {
    use std::os::fd::AsFd as _;
    let request: [u32; 4] = [4096, 1, 4096, 1];
    let request: Vec<u8> = request.iter().flat_map(|word| word.to_ne_bytes()).collect();
    set_option(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_VERSION, &TPACKET_V2.to_ne_bytes())?;
    set_option(socket.as_fd(), libc::SOL_PACKET, libc::PACKET_TX_RING, &request)?;
    if bytes.len() > RING_SIZE - RING_DATA {
        return Err(io::Error::other("the frame is too long for a ring"));
    }
    let area = Area::of_file(socket.as_fd(), RING_SIZE, 0)?;
    area.write(RING_DATA, bytes)?;
    area.store(4, u32::try_from(bytes.len()).map_err(io::Error::other)?)?;
    Ok(area)
}
