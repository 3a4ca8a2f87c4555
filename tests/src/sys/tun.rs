//! TUN devices, and descriptors that another process passed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

/// Makes a TUN device of this name; it is there as long as the file is open, from which its packets are read.
pub(crate) fn tun(name: &str) -> io::Result<File> {
    device(name, libc::IFF_TUN | libc::IFF_NO_PI)
}

/// The same, with the header of a guest's device (`virtio_net_hdr`) in front of each packet.
pub(crate) fn tun_of_guest(name: &str) -> io::Result<File> {
    device(name, libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR)
}

fn device(name: &str, flags: libc::c_int) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    let mut request = request(name)?;
    request.ifr_ifru.ifru_flags = flags.try_into().map_err(io::Error::other)?;
    // SAFETY: the kernel reads and writes one request.
    let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if made == 0 { Ok(file) } else { Err(io::Error::last_os_error()) }
}

/// A request about the device of this name.
pub(crate) fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all zeros are a request of no name.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::other("the name is too long"));
    }
    for (to, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([byte]);
    }
    Ok(request)
}

/// A descriptor that came by `SCM_RIGHTS`, so that it is closed when done with.
pub(crate) fn passed(descriptor: RawFd) -> OwnedFd {
    // SAFETY: the kernel made it for this process when the message was received, and the caller has nobody else close it.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}
