//! What a device does for the kernel, and may be told not to do.

use std::io;
use std::os::fd::AsRawFd as _;

use socket2::{Domain, Socket, Type};

/// `ETHTOOL_STXCSUM`, `ETHTOOL_SGRO`
const SET_TX_CHECKSUM: u32 = 0x17;
const SET_GRO: u32 = 0x2c;

/// `struct ethtool_value`
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// From now on the kernel writes the checksums of what leaves by this device of the caller's network namespace: it has no offload.
pub(crate) fn without_checksum_offload(interface: &str) -> io::Result<()> {
    switch_off(interface, SET_TX_CHECKSUM)
}

/// From now on the kernel looks for no flows in what this device receives, and so copies no header.
pub(crate) fn without_gro(interface: &str) -> io::Result<()> {
    switch_off(interface, SET_GRO)
}

fn switch_off(interface: &str, command: u32) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    let mut value = Value { command, data: 0 };
    let mut request = super::request(interface)?;
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: the kernel reads the request and the value that it points to; both live until it returns.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
